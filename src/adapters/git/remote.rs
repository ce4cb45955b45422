//! A repository on a server: what it has comes in, a branch of our own goes out. Everything has a limit.

mod access;
mod door;
mod http;
mod link;
mod session;
mod ssh;
mod trouble;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use git2::{
    AutotagOption, Direction, ErrorCode, FetchOptions, FetchPrune, Oid, PushOptions, RemoteCallbacks, RemoteConnection,
    Repository,
};

pub(in crate::adapters) use self::access::Keys;
pub use self::access::{Access, Minted, Secret};
pub use self::door::Door;
use self::link::Link;
use self::session::Session;
pub(in crate::adapters) use self::session::runtime;
pub use self::trouble::{Login, Trouble};
use super::write::BRANCHES;
use crate::case::{RepoUrl, Scheme};

/// What an operation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection.
    pub connect: Duration,
    /// Without a byte.
    pub stall: Duration,
    /// In all.
    pub whole: Duration,
    /// Bytes that are received.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(10), stall: seconds(30), whole: seconds(300), bytes: 1 << 30 }
    }
}

/// Commits of each branch that a first fetch takes; 0 for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth(pub u16);

/// A repository on a server, or at `file://`.
#[derive(Debug)]
pub struct Remote {
    url: RepoUrl,
    door: Door,
}

/// A branch to be pushed, from where it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    /// Begins with `kubecure/`.
    pub branch: &'a str,
    pub commit: Oid,
    /// Where the server must have it; `None`: it must not have it.
    pub seen: Option<Oid>,
}

/// What a server is like, from a look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The branch that its HEAD points to.
    pub default_branch: Option<String>,
    /// Whether it would talk about a push. Whether it takes one, its rules for branches decide.
    pub push: Result<(), Trouble>,
    /// Its clock less ours, in seconds, if it tells.
    pub clock_ahead: Option<i64>,
}

impl Remote {
    pub fn new(url: RepoUrl, access: Access, limits: Limits) -> Self {
        Self { url, door: Door::new(access, limits) }
    }

    pub fn url(&self) -> &RepoUrl {
        &self.url
    }

    /// Brings the base branch and all branches of ours into a bare repository, and takes away those that are gone.
    ///
    /// Returns the name of the base branch: the one that is wanted, or the server's HEAD, or main or master.
    pub fn fetch(&self, into: &Repository, base: Option<&str>, depth: Depth) -> Result<String, Trouble> {
        let session = self.session(Some(into.path()))?;
        session.has_room()?;
        let wanted = session.run(|| {
            let mut remote = into.remote_anonymous(&self.address())?;
            let mut connection = remote.connect_auth(Direction::Fetch, Some(callbacks(&session)), None)?;
            let wanted = base.map_or_else(|| candidates(&connection), |base| Ok(vec![base.to_owned()]))?;
            let mut specs = vec![format!("+refs/heads/{BRANCHES}*:refs/heads/{BRANCHES}*")];
            specs.extend(wanted.iter().map(|name| format!("+refs/heads/{name}:refs/heads/{name}")));
            let mut options = FetchOptions::new();
            options.remote_callbacks(callbacks(&session)).prune(FetchPrune::On).download_tags(AutotagOption::None);
            options.update_fetchhead(false);
            if depth.0 > 0 && self.url.scheme() != Scheme::File {
                options.depth(i32::from(depth.0));
            }
            connection.remote().fetch(&specs, Some(&mut options), Some("kubecure"))?;
            Ok(wanted)
        })?;
        let there = |name: &String| into.find_reference(&format!("refs/heads/{name}")).is_ok();
        let found = wanted.into_iter().find(there);
        found.ok_or_else(|| Trouble::NoBase { wanted: base.map(ToOwned::to_owned) })
    }

    /// Pushes a branch if the server has it where it was seen. Returns the link that the server prints, if it does.
    pub fn push(&self, from: &Repository, push: &Push<'_>) -> Result<Option<String>, Trouble> {
        if !push.branch.starts_with(BRANCHES) {
            return Err(Trouble::Other { why: format!("{} is no branch of KubeCure", push.branch) });
        }
        if self.url.scheme() == Scheme::File {
            return self.push_to_folder(from, push).map(|()| None);
        }
        let session = self.session(Some(from.path()))?;
        let mut link = Link::new(&self.url);
        let name = format!("refs/heads/{}", push.branch);
        session.run(|| {
            let mut answer = callbacks(&session);
            let lease = |updates: &[git2::PushUpdate<'_>]| {
                let expected = push.seen.unwrap_or(Oid::ZERO_SHA1);
                let held = matches!(updates, [update] if update.src() == expected && update.dst() == push.commit);
                if held { Ok(()) } else { Err(failed(&session, Trouble::Moved { branch: push.branch.to_owned() })) }
            };
            answer.push_negotiation(lease);
            answer.push_update_reference(|_, refused| match refused {
                Some(why) => Err(failed(&session, rejected(push.branch, &session.keys.said(why)))),
                None => Ok(()),
            });
            answer.sideband_progress(|text| {
                link.heard(text);
                true
            });
            let mut options = PushOptions::new();
            options.remote_callbacks(answer).packbuilder_parallelism(1);
            let mut remote = from.remote_anonymous(&self.address())?;
            // Forced for the sake of our own older commit alone: the lease says which one that is.
            remote.push(&[format!("+{}:{name}", push.commit)], Some(&mut options))
        })?;
        Ok(link.found())
    }

    /// Looks at the server: can it be read, would it talk about a push, what does its clock say.
    pub fn look(&self) -> Result<Looked, Trouble> {
        let scratch = tempfile::tempdir().map_err(|error| Trouble::Other { why: error.to_string() })?;
        let other = |error: git2::Error| Trouble::Other { why: error.message().to_owned() };
        let empty = Repository::init_bare(scratch.path()).map_err(other)?;
        let session = self.session(None)?;
        let connect = |session: &Arc<Session>, direction| {
            session.run(|| {
                let mut remote = empty.remote_anonymous(&self.address())?;
                let connection = remote.connect_auth(direction, Some(callbacks(session)), None)?;
                head(&connection)
            })
        };
        let default_branch = connect(&session, Direction::Fetch)?;
        let push = match self.url.scheme() {
            Scheme::File => writable(Path::new(self.url.path())),
            _ => self.session(None).and_then(|session| connect(&session, Direction::Push)).map(|_| ()),
        };
        Ok(Looked { default_branch, push, clock_ahead: session.clock_ahead() })
    }

    /// libgit2 itself reads folders; everything else goes through our transport.
    fn address(&self) -> String {
        if self.url.scheme() == Scheme::File { self.url.path().to_owned() } else { session::URL.to_owned() }
    }

    fn session(&self, folder: Option<&Path>) -> Result<Arc<Session>, Trouble> {
        if self.url.scheme() == Scheme::File && !Path::new(self.url.path()).is_dir() {
            return Err(Trouble::NotFound { url: self.url.to_string() });
        }
        let mut session = Session::new(self.url.clone(), self.door.keys()?, self.door.limits());
        session.folder = folder.map(Path::to_owned);
        if matches!(self.url.scheme(), Scheme::Https | Scheme::Http) {
            session.client = Some(self.door.client(&session.keys)?);
        }
        Ok(Arc::new(session))
    }

    /// The same for a folder: the objects first, then the branch, if it is where it was seen.
    fn push_to_folder(&self, from: &Repository, push: &Push<'_>) -> Result<(), Trouble> {
        let session = self.session(None)?;
        let name = format!("refs/heads/{}", push.branch);
        session.run(|| {
            let to = Repository::open(self.url.path())?;
            let mut walk = from.revwalk()?;
            walk.push(push.commit)?;
            for parent in from.find_commit(push.commit)?.parent_ids() {
                walk.hide(parent)?;
            }
            super::seed::copy(from, &mut walk, &to)?;
            let moved = match push.seen {
                Some(seen) => to.reference_matching(&name, push.commit, true, seen, "kubecure"),
                None => to.reference(&name, push.commit, false, "kubecure"),
            };
            moved.map(|_| ()).map_err(|error| match error.code() {
                ErrorCode::Modified | ErrorCode::Exists | ErrorCode::NotFound => {
                    failed(&session, Trouble::Moved { branch: push.branch.to_owned() })
                }
                _ => error,
            })
        })
    }
}

/// The transport counts what comes over a network; here is what libgit2 copies from a folder.
fn callbacks(session: &Session) -> RemoteCallbacks<'_> {
    let mut all = RemoteCallbacks::new();
    if session.url.scheme() == Scheme::File {
        all.transfer_progress(|progress| {
            let came = session.copied(progress.received_bytes() as u64);
            came.map_err(|trouble| session.fail(trouble)).is_ok()
        });
    }
    all
}

/// An error for libgit2, whose cause is kept.
fn failed(session: &Session, trouble: Trouble) -> git2::Error {
    git2::Error::from_str(&session.fail(trouble).to_string())
}

/// The branches that may be the base: the server's HEAD, or the usual names.
fn candidates(connection: &RemoteConnection<'_, '_, '_>) -> Result<Vec<String>, git2::Error> {
    let usual = || ["main", "master"].map(ToOwned::to_owned).to_vec();
    // A branch of our own is never the base, even where somebody left HEAD on it.
    let head = head(connection)?.filter(|name| !name.starts_with(BRANCHES));
    Ok(head.map_or_else(usual, |name| vec![name]))
}

fn head(connection: &RemoteConnection<'_, '_, '_>) -> Result<Option<String>, git2::Error> {
    match connection.default_branch() {
        Ok(name) => {
            let name = String::from_utf8_lossy(&name).into_owned();
            Ok(name.strip_prefix("refs/heads/").map(ToOwned::to_owned))
        }
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A push that came too late, or one that the server's rules forbid.
fn rejected(branch: &str, said: &str) -> Trouble {
    let late = ["lock ref", "failed to update ref", "already exists", "old value", "stale info", "fetch first"];
    if late.iter().any(|words| said.contains(words)) {
        return Trouble::Moved { branch: branch.to_owned() };
    }
    Trouble::Rejected { branch: branch.to_owned(), said: said.to_owned() }
}

/// Whether objects can be written there, without writing.
fn writable(repository: &Path) -> Result<(), Trouble> {
    let refused = |why: String| Trouble::Rejected { branch: format!("{BRANCHES}*"), said: why };
    let repo = Repository::open(repository).map_err(|error| refused(error.message().to_owned()))?;
    #[cfg(unix)]
    rustix::fs::access(repo.path().join("objects"), rustix::fs::Access::WRITE_OK)
        .map_err(|error| refused(format!("its folder cannot be written: {error}")))?;
    drop(repo);
    Ok(())
}
