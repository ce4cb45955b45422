//! The clone of a remote repository on this machine: bare, shallow, and mended by itself.
//!
//! ```text
//! CLONE-DIR/git.example.com-shop-app-1a2b3c4d/lock       held by the process that works here
//! CLONE-DIR/git.example.com-shop-app-1a2b3c4d/repo.git   made aside and renamed, so that it is never half there
//! ```
//!
//! It is a cache: whatever is wrong with it, it is made anew from the server. Nothing but these two is ever touched.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use git2::{Oid, Repository, RepositoryInitOptions, RepositoryOpenFlags};
use sha2::{Digest, Sha256};

use super::remote::{Depth, Push, Remote, Trouble};
use super::{Marks, Repo};

/// The key in the clone's configuration that says of what it is one.
const MARK: &str = "kubecure.of";
const REPO: &str = "repo.git";
/// What is made aside begins with this.
const ASIDE: &str = ".aside.";
/// Each fetch that brings something leaves a pack. So many, and the clone is made anew.
const MAX_PACKS: usize = 100;
/// Branches that went away, and are remembered.
const MAX_GONE: usize = 1000;
/// How long the process before this one has to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A clone, and the server that it is one of.
#[derive(Debug)]
pub struct Mirror {
    remote: Remote,
    /// The branch to work on; else the server's own.
    wanted: Option<String>,
    depth: Depth,
    folder: PathBuf,
    lock: Option<File>,
    /// Whether what lies there turned out to be broken.
    spoilt: bool,
    branches: Branches,
}

/// The branches of ours as they were seen, and those that went away meanwhile.
#[derive(Debug, Default)]
struct Branches {
    there: BTreeMap<String, (Oid, Marks)>,
    gone: BTreeMap<String, Marks>,
}

impl Mirror {
    /// A clone in a folder of its own under `clones`. Touches nothing yet.
    pub fn new(remote: Remote, wanted: Option<String>, depth: Depth, clones: &Path) -> Self {
        let folder = clones.join(folder_name(&remote.url().canonical()));
        Self { remote, wanted, depth, folder, lock: None, spoilt: false, branches: Branches::default() }
    }

    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// What the repository is called: its URL, without credentials.
    pub fn name(&self) -> String {
        self.remote.url().to_string()
    }

    /// Brings the clone up to date. What was there stays as it was when that fails.
    pub fn fetch(&mut self) -> Result<(), Trouble> {
        self.hold()?;
        if self.branches.there.is_empty() {
            // What an earlier process has seen.
            self.look_at_branches();
        }
        self.bring()?;
        self.look_at_branches();
        Ok(())
    }

    fn bring(&mut self) -> Result<(), Trouble> {
        let fetched = match self.there() {
            Some(repo) => self.update(&repo),
            None => return self.renew(),
        };
        match fetched {
            Ok(()) if self.packs() > MAX_PACKS => self.renew(),
            Err(trouble) if trouble.is_of_the_clone() => {
                tracing::warn!(reason = trouble.word(), "the clone is made anew");
                self.renew()
            }
            fetched => fetched,
        }
    }

    /// Opens what is there, without asking the server.
    pub fn repo(&mut self) -> Result<Repo> {
        self.hold()?;
        let inner = self.there().with_context(|| format!("{} was not fetched yet", self.name()))?;
        Ok(Repo { inner, prefix: String::new(), shown: self.name() })
    }

    /// Branches of ours that were on the server and are no longer, as far as this process or the clone remembers.
    pub fn gone(&self) -> &BTreeMap<String, Marks> {
        &self.branches.gone
    }

    /// Compares the branches with those that were there before. What cannot be read is seen the next time.
    fn look_at_branches(&mut self) {
        let Some(inner) = self.there() else { return };
        let repo = Repo { inner, prefix: String::new(), shown: self.name() };
        let Ok(found) = repo.own_branches() else { return };
        let mut there = BTreeMap::new();
        for (branch, tip) in found {
            let known = self.branches.there.remove(&branch).filter(|(known, _)| *known == tip);
            let marks = known.map(|(_, marks)| marks).or_else(|| repo.marks_on(tip).ok().flatten());
            self.branches.gone.remove(&branch);
            if let Some(marks) = marks {
                there.insert(branch, (tip, marks));
            }
        }
        let went = std::mem::replace(&mut self.branches.there, there);
        self.branches.gone.extend(went.into_iter().map(|(branch, (_, marks))| (branch, marks)));
        while self.branches.gone.len() > MAX_GONE {
            self.branches.gone.pop_first();
        }
    }

    /// What is there turned out to be broken: the next fetch makes it anew.
    pub fn spoilt(&mut self) {
        self.spoilt = true;
    }

    /// Pushes a branch, and remembers where it is now.
    pub fn push(&self, repo: &Repo, push: &Push<'_>) -> Result<Option<String>, Trouble> {
        let link = self.remote.push(&repo.inner, push)?;
        let name = format!("refs/heads/{}", push.branch);
        // The server has it, and the next fetch brings it in any case.
        if let Err(error) = repo.inner.reference(&name, push.commit, true, "kubecure") {
            tracing::debug!(error = error.message(), "the pushed branch is not noted in the clone");
        }
        Ok(link)
    }

    fn repo_path(&self) -> PathBuf {
        self.folder.join(REPO)
    }

    fn unusable(&self, error: impl std::fmt::Display) -> Trouble {
        let why = error.to_string();
        // ENOSPC has its own name: it passes, and the person who can help is another.
        if why.contains("No space left") || why.contains("quota exceeded") {
            return Trouble::DiskFull { folder: self.folder.clone() };
        }
        Trouble::Folder { folder: self.folder.clone(), why }
    }

    /// Takes the folder for this process, and clears away what one that was killed has left.
    fn hold(&mut self) -> Result<(), Trouble> {
        if self.lock.is_some() {
            return Ok(());
        }
        make_private(&self.folder).map_err(|error| self.unusable(error))?;
        let options = File::options().create(true).append(true).open(self.folder.join("lock"));
        let file = options.map_err(|error| self.unusable(error))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(TryLockError::WouldBlock) => return Err(Trouble::Locked { folder: self.folder.clone() }),
                Err(TryLockError::Error(error)) => return Err(self.unusable(error)),
            }
        }
        self.lock = Some(file);
        self.tidy();
        Ok(())
    }

    /// What a process left that was ended in the middle. What cannot be removed does no harm but take room.
    fn tidy(&self) {
        let left = |name: &str| name.starts_with(ASIDE);
        remove_in(&self.folder, left);
        remove_in(&self.repo_path().join("objects/pack"), |name| name.contains("_git2_"));
    }

    /// The clone, if there is one, it is of this repository, and it is whole as far as a look tells.
    fn there(&self) -> Option<Repository> {
        let path = self.repo_path();
        let is_folder = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        if !is_folder || self.spoilt {
            return None;
        }
        // Not `open_bare`: that one forgets where a shallow history ends.
        let as_it_is = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT | RepositoryOpenFlags::BARE;
        let repo = Repository::open_ext(&path, as_it_is, &[] as &[&Path]).ok()?;
        let of = repo.config().ok()?.snapshot().ok()?.get_string(MARK).ok()?;
        let whole = repo.head().and_then(|head| head.peel_to_tree()).is_ok();
        (whole && of == self.remote.url().canonical()).then_some(repo)
    }

    /// What is new since the last time. Its history has an end already, so no depth is asked for.
    fn update(&self, repo: &Repository) -> Result<(), Trouble> {
        let base = self.remote.fetch(repo, self.wanted.as_deref(), Depth(0))?;
        self.point(repo, &base)
    }

    fn point(&self, repo: &Repository, base: &str) -> Result<(), Trouble> {
        let head = format!("refs/heads/{base}");
        let is_there = repo.find_reference("HEAD").is_ok_and(|now| now.symbolic_target().ok().flatten() == Some(&head));
        if is_there { Ok(()) } else { repo.set_head(&head).map_err(|error| self.unusable(error.message())) }
    }

    /// Clones from the beginning, beside what is there, and takes its place when it is whole.
    fn renew(&mut self) -> Result<(), Trouble> {
        let aside = tempfile::Builder::new().prefix(ASIDE).tempdir_in(&self.folder);
        let aside = aside.map_err(|error| self.unusable(error))?;
        let made = self.clone_into(&aside.path().join(REPO))?;
        drop(made);
        let (place, old) = (self.repo_path(), aside.path().join("old"));
        if place.symlink_metadata().is_ok() {
            fs::rename(&place, &old).map_err(|error| self.unusable(error))?;
        }
        fs::rename(aside.path().join(REPO), &place).map_err(|error| self.unusable(error))?;
        self.spoilt = false;
        Ok(())
    }

    fn clone_into(&self, path: &Path) -> Result<Repository, Trouble> {
        let unusable = |error: git2::Error| self.unusable(error.message());
        let mut options = RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).mkdir(true).external_template(false).initial_head("main");
        let repo = Repository::init_opts(path, &options).map_err(unusable)?;
        let mut config =
            repo.config().and_then(|config| config.open_level(git2::ConfigLevel::Local)).map_err(unusable)?;
        config.set_str(MARK, &self.remote.url().canonical()).map_err(unusable)?;
        let base = self.remote.fetch(&repo, self.wanted.as_deref(), self.depth)?;
        self.point(&repo, &base)?;
        Ok(repo)
    }

    fn packs(&self) -> usize {
        let entries = fs::read_dir(self.repo_path().join("objects/pack")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "pack")).count()
    }
}

impl Repo {
    /// The branches of ours, each with its last commit.
    pub fn own_branches(&self) -> Result<Vec<(String, Oid)>> {
        let mut found = Vec::new();
        for reference in self.inner.references_glob(&format!("refs/heads/{}*", super::write::BRANCHES))? {
            let reference = reference?;
            // A name that is no text is none of ours.
            if let (Ok(name), Some(tip)) = (reference.shorthand(), reference.target()) {
                found.push((name.to_owned(), tip));
            }
        }
        Ok(found)
    }
}

/// `git.example.com-shop-app-1a2b3c4d`: readable, and no two repositories have the same.
fn folder_name(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_, path)| path);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let words: String = path.chars().map(plain).collect();
    let words: String = words.trim_matches(['-', '.']).chars().take(80).collect();
    let digest = Sha256::digest(url.as_bytes());
    format!("{words}-{:08x}", u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
}

/// A folder that nobody else looks into: a repository may be private.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn remove_in(folder: &Path, is_left: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(&is_left) {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed {
            tracing::debug!(path = %path.display(), %error, "cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_has_a_folder_of_its_own_with_a_readable_name() {
        let of = |url: &str| folder_name(&crate::case::RepoUrl::parse(url).unwrap().canonical());
        assert!(of("https://git.example.com/shop/app.git").starts_with("git.example.com-shop-app.git-"));
        assert!(of("git@git.example.com:shop/app").starts_with("git.example.com-shop-app-"));
        let all = ["https://h/a-b", "https://h/a/b", "ssh://h/a/b", "https://h:1/a/b", "file:///h/a/b"].map(of);
        for (i, one) in all.iter().enumerate() {
            assert!(!one.contains(['/', ':', '\\']) && !one.starts_with('.'), "{one}");
            assert!(all[i + 1..].iter().all(|other| other != one), "{one}");
        }
        assert!(of(&format!("https://h/{}", "x".repeat(1000))).len() < 100);
    }
}
