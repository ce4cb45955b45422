//! A folder in, its manifests out, as they lie there.
//!
//! Read are files that end in `.yaml`, `.yml` or `.json`, those called `Kustomization`, what generators of kustomize
//! take, helpers of charts (`templates/*.tpl`), and everything under `.kubecure/`. Not entered are `.git`,
//! `node_modules` and `.terraform`, wherever they stand. A symlink is never followed: where it leads to a place in
//! the folder, the file is read there; where it leads out, it is none of ours.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::case::Gap;
use crate::locate::kustomize;

/// A manifest larger than this is not read.
pub const MAX_FILE: u64 = 4 * 1024 * 1024;
/// A folder with more files than this is not a repository of manifests.
pub const MAX_FILES: usize = 100_000;
/// Folders in folders.
pub const MAX_DEPTH: usize = 64;
/// Where policy lives; read whole.
pub const POLICY_FOLDER: &str = ".kubecure";

/// Manifests as text, by their path from the root, with `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawFiles {
    pub files: BTreeMap<String, Arc<str>>,
    /// The commit that was read, if it is one and not a folder.
    pub commit: Option<String>,
    /// What was passed over, each with its reason.
    pub skipped: Vec<Gap>,
}

/// Reads the manifests of a folder.
pub fn read(root: &Path) -> Result<RawFiles> {
    let listing = list(root)?;
    let mut raw = RawFiles { skipped: listing.skipped, ..RawFiles::default() };
    let (manifests, others): (Vec<Entry>, Vec<Entry>) = listing
        .entries
        .into_iter()
        .partition(|entry| is_manifest(&entry.path) || matches!(entry.kind, Kind::Link { .. }));
    for entry in manifests {
        raw.take(entry);
    }
    let wanted = kustomize::attachments(&raw.files);
    for entry in others.into_iter().filter(|entry| wanted.contains(&entry.path)) {
        raw.take(entry);
    }
    raw.skipped.sort();
    Ok(raw)
}

impl RawFiles {
    fn take(&mut self, entry: Entry) {
        let read = match entry.kind {
            Kind::File { .. } => read_text(&entry.at),
            Kind::Link { target } => Err(link_reason(&entry.path, &target.to_string_lossy())),
        };
        match read {
            Ok(text) => {
                self.files.insert(entry.path, text);
            }
            Err(why) => self.skipped.push(Gap { what: entry.path, why }),
        }
    }
}

/// Whether a path is one that is read.
pub(super) fn is_manifest(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = Path::new(name).extension().and_then(|e| e.to_str()).unwrap_or_default();
    let is_helper = extension == "tpl" && path.contains("templates/");
    name == "Kustomization"
        || is_helper
        || ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
        || is_policy(path)
}

/// Whether a path lies in the policy folder.
pub fn is_policy(path: &str) -> bool {
    path.strip_prefix(POLICY_FOLDER).is_some_and(|rest| rest.starts_with('/'))
}

/// Why a folder of that name is not entered, if it is not.
pub(super) fn not_entered(name: &str) -> Option<&'static str> {
    match name {
        "node_modules" => Some("not entered: packages of other people"),
        ".terraform" => Some("not entered: Terraform's cache"),
        _ => None,
    }
}

/// What is said of a symlink, from its own path and its target.
pub(super) fn link_reason(path: &str, target: &str) -> String {
    match resolved(path, target) {
        Some(inside) => format!("a symlink to {inside}, read at its target"),
        None => format!("a symlink that leads out of the repository, to {target}; not followed"),
    }
}

/// The path from the root that a relative link means; `None` when it leads out.
fn resolved(path: &str, target: &str) -> Option<String> {
    let mut at: Vec<&str> = path.split('/').collect();
    at.pop();
    if target.starts_with('/') || target.contains('\\') {
        return None;
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                at.pop()?;
            }
            name => at.push(name),
        }
    }
    Some(if at.is_empty() { "the root".to_owned() } else { at.join("/") })
}

/// Bytes as text, or why not.
pub(super) fn as_text(bytes: Vec<u8>) -> Result<Arc<str>, String> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(format!("not UTF-8, at byte {}", error.utf8_error().valid_up_to())),
    }
}

/// What is said of a file that is too large.
pub(super) fn too_large(size: u64) -> String {
    format!("{size} bytes, more than the {MAX_FILE} that are read")
}

fn read_text(at: &Path) -> Result<Arc<str>, String> {
    let why = |error: std::io::Error| format!("cannot be read: {error}");
    let file = File::open(at).map_err(why)?;
    let mut bytes = Vec::new();
    // One byte more than allowed: the file may grow between the listing and this.
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(why)?;
    if bytes.len() as u64 > MAX_FILE {
        let size = fs::metadata(at).map_or(bytes.len() as u64, |meta| meta.len());
        return Err(too_large(size));
    }
    as_text(bytes)
}

/// Everything under a folder, without what is not entered.
pub(super) struct Listing {
    /// In the order of their paths.
    pub entries: Vec<Entry>,
    pub skipped: Vec<Gap>,
}

/// A file or symlink.
pub(super) struct Entry {
    /// From the root, with `/`.
    pub path: String,
    pub at: PathBuf,
    pub kind: Kind,
}

pub(super) enum Kind {
    File { executable: bool },
    Link { target: PathBuf },
}

/// Lists a folder and all folders in it.
pub(super) fn list(root: &Path) -> Result<Listing> {
    let shown = root.display();
    let meta = fs::metadata(root)
        .with_context(|| format!("cannot read the folder {shown}\nHint: give the path of a folder with manifests"))?;
    if !meta.is_dir() {
        bail!("{shown} is a file; a folder was expected\nHint: give the folder that it lies in");
    }
    let mut listing = Listing { entries: Vec::new(), skipped: Vec::new() };
    walk(root, "", 0, &mut listing)?;
    listing.entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

fn walk(folder: &Path, prefix: &str, depth: usize, listing: &mut Listing) -> Result<()> {
    let here = |why: String| Gap { what: if prefix.is_empty() { "." } else { prefix }.to_owned(), why };
    if depth > MAX_DEPTH {
        listing.skipped.push(here(format!("not entered: more than {MAX_DEPTH} folders deep")));
        return Ok(());
    }
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            listing.skipped.push(here(format!("cannot be read: {error}")));
            return Ok(());
        }
    };
    for entry in entries {
        match entry {
            Ok(entry) => found.push(entry),
            Err(error) => listing.skipped.push(here(format!("cannot be read whole: {error}"))),
        }
    }
    found.sort_by_key(fs::DirEntry::file_name);
    for entry in found {
        visit(&entry, prefix, depth, listing)?;
    }
    Ok(())
}

fn visit(entry: &fs::DirEntry, prefix: &str, depth: usize, listing: &mut Listing) -> Result<()> {
    let name = entry.file_name();
    let lossy = name.to_string_lossy();
    let path = if prefix.is_empty() { lossy.to_string() } else { format!("{prefix}/{lossy}") };
    let mut skip = |path: &str, why: String| listing.skipped.push(Gap { what: path.to_owned(), why });
    if name.to_str().is_none() {
        skip(&path, "its name is not UTF-8".to_owned());
        return Ok(());
    }
    if lossy == ".git" {
        return Ok(());
    }
    let kind = match entry.file_type() {
        Ok(kind) => kind,
        Err(error) => {
            skip(&path, format!("cannot be read: {error}"));
            return Ok(());
        }
    };
    if kind.is_dir() {
        if let Some(why) = not_entered(&lossy) {
            skip(&path, why.to_owned());
        } else if entry.path().join(".git").symlink_metadata().is_ok() {
            skip(&path, "a submodule or a repository of its own; not entered".to_owned());
        } else {
            walk(&entry.path(), &path, depth + 1, listing)?;
        }
        return Ok(());
    }
    let kind = if kind.is_symlink() {
        Kind::Link { target: fs::read_link(entry.path()).unwrap_or_default() }
    } else if kind.is_file() {
        Kind::File { executable: executable(entry) }
    } else {
        skip(&path, "neither a file nor a folder".to_owned());
        return Ok(());
    };
    if listing.entries.len() >= MAX_FILES {
        bail!("more than {MAX_FILES} files in the folder\nHint: give the folder that holds the manifests");
    }
    listing.entries.push(Entry { path, at: entry.path(), kind });
    Ok(())
}

#[cfg(unix)]
fn executable(entry: &fs::DirEntry) -> bool {
    use std::os::unix::fs::PermissionsExt;
    entry.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
fn executable(_: &fs::DirEntry) -> bool {
    false
}

/// A path from a root that stays under it: relative, of plain names, and nothing of Git's own.
pub(super) fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', '\0'])
        && path.split('/').all(|part| !part.is_empty() && part != "." && !part.to_ascii_lowercase().starts_with(".git"))
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let at = dir.path().join(path);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, bytes).unwrap();
        }
        dir
    }

    fn skipped(raw: &RawFiles) -> Vec<String> {
        raw.skipped.iter().map(|gap| format!("{}: {}", gap.what, gap.why)).collect()
    }

    #[test]
    fn manifests_and_policy_are_read_and_nothing_else() {
        let dir = folder(&[
            ("apps/a.yaml", b"a: 1\n"),
            ("apps/B.YML", b"b: 1\n"),
            ("c.json", b"{}"),
            ("README.md", b"#"),
            ("logo.png", &[0xff, 0xd8]),
            (".kubecure/notes.txt", b"policy"),
            (".hidden/d.yaml", b"d: 1\n"),
            (".git/config.yaml", b"x"),
            ("node_modules/p/e.yaml", b"x"),
            (".terraform/f.json", b"{}"),
            ("vendor/sub/.git", b"gitdir: elsewhere"),
            ("vendor/sub/g.yaml", b"x"),
        ]);
        let raw = read(dir.path()).unwrap();
        let read: Vec<&str> = raw.files.keys().map(String::as_str).collect();
        assert_eq!(read, [".hidden/d.yaml", ".kubecure/notes.txt", "apps/B.YML", "apps/a.yaml", "c.json"]);
        assert_eq!(raw.commit, None);
        assert_eq!(
            skipped(&raw),
            [
                ".terraform: not entered: Terraform's cache",
                "node_modules: not entered: packages of other people",
                "vendor/sub: a submodule or a repository of its own; not entered",
            ]
        );
    }

    #[test]
    fn what_a_generator_takes_is_read_and_its_neighbours_are_not() {
        let kustomization = b"configMapGenerator:\n  - name: a\n    files: [app.conf, key=../shared/b.txt, logo.png]\n    envs: [.env]\nsecretGenerator: [{name: s, env: ../secret.env}]\n";
        let dir = folder(&[
            ("app/kustomization.yaml", kustomization),
            ("app/app.conf", b"x"),
            ("app/other.conf", b"x"),
            ("app/.env", b"A=1\n"),
            ("app/logo.png", &[0xff, 0xd8]),
            ("shared/b.txt", b"b"),
            ("secret.env", b"P=q\n"),
            ("base/Kustomization", b"resources: []\n"),
        ]);
        let raw = read(dir.path()).unwrap();
        let read: Vec<&str> = raw.files.keys().map(String::as_str).collect();
        assert_eq!(
            read,
            ["app/.env", "app/app.conf", "app/kustomization.yaml", "base/Kustomization", "secret.env", "shared/b.txt"]
        );
        assert_eq!(skipped(&raw), ["app/logo.png: not UTF-8, at byte 0"]);
    }

    #[test]
    fn what_is_too_large_or_not_text_is_named() {
        let large = vec![b' '; usize::try_from(MAX_FILE).unwrap() + 1];
        let dir = folder(&[("large.yaml", &large), ("latin.yaml", b"a: \xe9\n"), ("ok.yaml", b"a: 1\n")]);
        let raw = read(dir.path()).unwrap();
        assert_eq!(raw.files.len(), 1);
        assert_eq!(
            skipped(&raw),
            ["large.yaml: 4194305 bytes, more than the 4194304 that are read", "latin.yaml: not UTF-8, at byte 3"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn symlinks_are_named_and_never_followed() {
        let dir = folder(&[("base/a.yaml", b"a: 1\n")]);
        let outside = folder(&[("secret.yaml", b"password: x\n")]);
        let link = |target: &Path, at: &str| std::os::unix::fs::symlink(target, dir.path().join(at)).unwrap();
        link(&outside.path().join("secret.yaml"), "out.yaml");
        link(outside.path(), "folder");
        link(Path::new("../../x.yaml"), "up.yaml");
        link(Path::new("base/a.yaml"), "in.yaml");
        link(Path::new("."), "loop");
        let raw = read(dir.path()).unwrap();
        assert_eq!(raw.files.keys().collect::<Vec<_>>(), ["base/a.yaml"]);
        let said = skipped(&raw).join("\n");
        assert!(said.contains("in.yaml: a symlink to base/a.yaml, read at its target"), "{said}");
        assert!(said.contains("loop: a symlink to the root, read at its target"), "{said}");
        assert!(said.contains("up.yaml: a symlink that leads out of the repository, to ../../x.yaml"), "{said}");
        assert_eq!(raw.skipped.len(), 5);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_named_and_not_waited_for() {
        let dir = folder(&[]);
        std::os::unix::net::UnixListener::bind(dir.path().join("s.yaml")).unwrap();
        let raw = read(dir.path()).unwrap();
        assert_eq!(skipped(&raw), ["s.yaml: neither a file nor a folder"]);
    }

    #[test]
    fn a_path_that_leaves_the_root_or_enters_git_is_not_plain() {
        assert!(is_plain("apps/web/a.yaml"));
        for path in [
            "",
            "/etc/passwd",
            "../a",
            "a/../b",
            "a//b",
            "./a",
            ".git/config",
            "a/.GIT/x",
            ".github/w.yml",
            "a\\b",
            "C:\\a",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_with_a_hint() {
        let error = format!("{:#}", read(Path::new("no/such/folder")).unwrap_err());
        assert!(error.starts_with("cannot read the folder no/such/folder"), "{error}");
        assert!(error.contains("Hint:"), "{error}");
    }
}
