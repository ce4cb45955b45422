//! A folder in, a bare repository out: what `kubecure demo` and a local forge begin with.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use git2::{
    FetchOptions, FileMode, Index, IndexEntry, IndexTime, Oid, Repository, RepositoryInitOptions, StatusOptions,
};

use super::{Author, Repo, open_bare};
use crate::adapters::folder::{self, Kind};
use crate::case::Timestamp;

const MAIN: &str = "refs/heads/main";

/// Makes a bare repository with branch `main` from a folder.
///
/// When the folder is the top of a work tree without changes, its history becomes `main`. Otherwise `main` is one
/// commit of all its files as they lie there.
pub fn seed(bare: &Path, from: &Path, now: Timestamp) -> Result<Repo> {
    // Listed first: nothing is made when the folder cannot be read.
    let listing = folder::list(from)?;
    let mut options = RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).mkpath(true).external_template(false).initial_head("main");
    let repo = Repository::init_opts(bare, &options)
        .with_context(|| format!("cannot make the repository {}", bare.display()))?;
    if let Some(source) = clean_work_tree(from) {
        let url =
            source.path().to_str().ok_or_else(|| anyhow!("the path of {} is not UTF-8", from.display()))?.to_owned();
        let mut fetch = FetchOptions::new();
        // FETCH_HEAD would keep the path of this machine.
        fetch.update_fetchhead(false).download_tags(git2::AutotagOption::None);
        repo.remote_anonymous(&url)?
            .fetch(&[format!("+HEAD:{MAIN}")], Some(&mut fetch), None)
            .with_context(|| format!("cannot fetch the history of {}", from.display()))?;
    } else {
        first_commit(&repo, &listing, now)?;
    }
    drop(repo);
    open_bare(bare)?.ok_or_else(|| anyhow!("the repository {} is not there after it was made", bare.display()))
}

/// The repository of a folder, when the folder is exactly its last commit.
fn clean_work_tree(from: &Path) -> Option<Repository> {
    let repo = Repository::open(from).ok()?;
    repo.workdir()?;
    repo.head().ok()?.peel_to_commit().ok()?;
    let mut options = StatusOptions::new();
    options.include_untracked(true).include_ignored(false).exclude_submodules(true);
    let clean = repo.statuses(Some(&mut options)).ok()?.is_empty();
    (clean && !repo.is_shallow()).then_some(repo)
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
