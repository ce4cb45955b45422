//! A folder in, a bare repository out: what `kubecure demo` and a local forge begin with.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use git2::{FileMode, Index, IndexEntry, IndexTime, Oid, Repository, RepositoryInitOptions, Revwalk, StatusOptions};

use super::{Author, Repo, open, open_bare};
use crate::adapters::folder::{self, Kind};
use crate::case::Timestamp;

const MAIN: &str = "refs/heads/main";

/// What a bare repository is made from.
pub struct Origin {
    shown: String,
    what: What,
}

enum What {
    /// A commit with its history.
    Commit { of: Repository, id: Oid },
    /// The files of a folder as they lie there.
    Files(folder::Listing),
}

impl Origin {
    /// Looks at a folder, and makes nothing.
    ///
    /// With a revision it is that commit. Without, when the folder is the top of a work tree without changes, it is
    /// its last commit. Otherwise it is all its files as they lie there.
    pub fn of(from: &Path, rev: Option<&str>) -> Result<Self> {
        let shown = from.display().to_string();
        if let Some(rev) = rev {
            let repo = open(from)?;
            if repo.inner.is_shallow() {
                bail!(
                    "{shown} is a shallow clone, and a branch needs the history of {rev:?}\nHint: git fetch --unshallow"
                );
            }
            let id = repo.commit_id(Some(rev))?;
            return Ok(Self { shown, what: What::Commit { of: repo.inner, id } });
        }
        let listing = folder::list(from)?;
        let what = match clean_work_tree(from) {
            Some((of, id)) => What::Commit { of, id },
            None => What::Files(listing),
        };
        Ok(Self { shown, what })
    }
}

/// Makes a bare repository whose branch `main` is what the origin says.
pub fn seed(bare: &Path, origin: &Origin, now: Timestamp) -> Result<Repo> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).mkpath(true).external_template(false).initial_head("main");
    let repo = Repository::init_opts(bare, &options)
        .with_context(|| format!("cannot make the repository {}", bare.display()))?;
    match &origin.what {
        What::Commit { of, id } => {
            let copied = of.revwalk().and_then(|mut walk| walk.push(*id).and_then(|()| copy(of, &mut walk, &repo)));
            copied.with_context(|| format!("cannot copy the history of {}", origin.shown))?;
            repo.reference(MAIN, *id, false, "kubecure")?;
        }
        What::Files(listing) => first_commit(&repo, listing, now)?,
    }
    drop(repo);
    open_bare(bare)?.ok_or_else(|| anyhow!("the repository {} is not there after it was made", bare.display()))
}

/// Copies the commits of a walk and all that they stand on, and nothing else: no other branch, no tag, no path of this
/// machine.
pub(super) fn copy(from: &Repository, walk: &mut Revwalk<'_>, to: &Repository) -> Result<(), git2::Error> {
    let mut pack = from.packbuilder()?;
    pack.insert_walk(walk)?;
    let odb = to.odb()?;
    let mut writer = odb.packwriter()?;
    let mut written = Ok(());
    pack.foreach(|chunk| {
        written = writer.write_all(chunk);
        written.is_ok()
    })
    .ok();
    written.map_err(|error| git2::Error::from_str(&error.to_string()))?;
    writer.commit()?;
    Ok(())
}

/// The repository of a folder and its last commit, when the folder is exactly that.
fn clean_work_tree(from: &Path) -> Option<(Repository, Oid)> {
    let repo = Repository::open(from).ok()?;
    repo.workdir()?;
    let id = repo.head().ok()?.peel_to_commit().ok()?.id();
    let mut options = StatusOptions::new();
    options.include_untracked(true).include_ignored(false).exclude_submodules(true);
    let clean = repo.statuses(Some(&mut options)).ok()?.is_empty();
    (clean && !repo.is_shallow()).then_some((repo, id))
}

fn first_commit(repo: &Repository, listing: &folder::Listing, now: Timestamp) -> Result<()> {
    let mut index = Index::new()?;
    for entry in &listing.entries {
        let (bytes, mode) = match &entry.kind {
            Kind::File { executable } => {
                let bytes = fs::read(&entry.at).with_context(|| format!("cannot read {}", entry.path))?;
                (bytes, if *executable { FileMode::BlobExecutable } else { FileMode::Blob })
            }
            Kind::Link { target } => (target.to_string_lossy().into_owned().into_bytes(), FileMode::Link),
        };
        index
            .add(&index_entry(&entry.path, repo.blob(&bytes)?, mode))
            .with_context(|| format!("cannot add {}", entry.path))?;
    }
    let tree = repo.find_tree(index.write_tree_to(repo)?)?;
    let author =
        Author { name: "KubeCure demo".to_owned(), email: "demo@kubecure.io".to_owned(), at: now }.signature()?;
    repo.commit(Some(MAIN), &author, &author, "The manifests as they were found\n", &tree, &[])?;
    Ok(())
}

fn index_entry(path: &str, id: Oid, mode: FileMode) -> IndexEntry {
    let never = IndexTime::new(0, 0);
    IndexEntry {
        ctime: never,
        mtime: never,
        dev: 0,
        ino: 0,
        mode: u32::from(mode),
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    }
}
