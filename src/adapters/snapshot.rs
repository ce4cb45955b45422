//! A folder in, the cluster's state out.
//!
//! Any tree of Kubernetes YAML or JSON, objects or Lists: what `kubectl get -o json` prints, what
//! `kubectl cluster-info dump` writes, a support bundle. What cannot be read is named in the snapshot's gaps.

mod write;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::adapters::logs::LogFiles;
use crate::case::{Gap, Snapshot};

pub use write::{Writer, Written};

use crate::adapters::project::Projector;

/// Files larger than this are no manifests.
const MAX_FILE: u64 = 1 << 30;
/// A folder deeper or larger than this is not a snapshot.
const MAX_DEPTH: usize = 32;
const MAX_FILES: usize = 1_000_000;

/// A recorded cluster: its state, and where its logs are.
#[derive(Debug)]
pub struct Recording {
    pub snapshot: Snapshot,
    pub logs: LogFiles,
}

/// Reads a snapshot folder.
pub fn read(root: &Path) -> Result<Recording> {
    let meta = std::fs::metadata(root).with_context(|| {
        format!("no snapshot at {}\nHint: give a folder of Kubernetes YAML or JSON, such as `kubectl cluster-info dump --all-namespaces --output-directory=DIR` writes", root.display())
    })?;
    if !meta.is_dir() {
        bail!(
            "{} is a file, and a snapshot is a folder\nHint: put the file into a folder of its own, and logs beside it as logs/NAMESPACE/POD/CONTAINER.log",
            root.display()
        );
    }
    std::fs::read_dir(root).with_context(|| {
        format!("cannot list the snapshot {}\nHint: give a folder that this user may read", root.display())
    })?;
    let mut walk = Walk { root, files: Vec::new(), gaps: Vec::new() };
    walk.folder(root, 0);
    let Walk { mut files, gaps, .. } = walk;
    files.sort();

    let mut projector = Projector::default();
    for gap in gaps {
        projector.gap(gap);
    }
    let mut logs = LogFiles::default();
    for path in &files {
        let relative = path.strip_prefix(root).unwrap_or(path);
        // A log is read only when it is asked for; that it cannot be is said now.
        if let Err(error) = std::fs::File::open(path) {
            if is_data(path) {
                projector.gap(Gap { what: relative.display().to_string(), why: format!("cannot be read: {error}") });
            }
            continue;
        }
        if !logs.offer(relative, path) && is_manifest(path) {
            read_file(path, &relative.display().to_string(), &mut projector);
        }
    }
    if projector.objects == 0 {
        bail!(
            "{} holds no Kubernetes object{}\nHint: a snapshot is a folder with YAML or JSON as `kubectl get -A -o json` prints it, in any number of files that end in .json, .yaml or .yml",
            root.display(),
            projector.troubles()
        );
    }
    Ok(Recording { snapshot: projector.finish(), logs })
}

/// A snapshot from one text, for tests of the rules.
#[cfg(test)]
pub(crate) fn from_yaml(text: &str) -> Snapshot {
    let mut projector = Projector::default();
    projector.yaml("test.yaml", text);
    let snapshot = projector.finish();
    assert!(snapshot.gaps.is_empty(), "{:?}", snapshot.gaps);
    snapshot
}

/// All files below, without following links: a snapshot is data, and links could lead anywhere.
struct Walk<'r> {
    root: &'r Path,
    files: Vec<PathBuf>,
    gaps: Vec<Gap>,
}

impl Walk<'_> {
    /// What is passed over is named; one folder that cannot be read costs only that folder.
    fn folder(&mut self, folder: &Path, depth: usize) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.pass(folder, format!("cannot be listed: {error}")),
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                Ok((path, kind)) => self.entry(path, kind, depth),
                Err(error) => self.pass(folder, format!("cannot be listed whole: {error}")),
            }
        }
    }

    fn entry(&mut self, path: PathBuf, kind: std::fs::FileType, depth: usize) {
        let is_data = is_data(&path);
        if kind.is_dir() {
            match path.file_name() {
                Some(name) if name == ".git" => {}
                _ if depth >= MAX_DEPTH => {
                    self.pass(&path, format!("is more than {MAX_DEPTH} folders deep and was skipped"));
                }
                _ => self.folder(&path, depth + 1),
            }
        } else if kind.is_symlink() {
            if is_data || path.is_dir() {
                self.pass(&path, "is a symlink and was skipped".to_owned());
            }
        } else if !kind.is_file() {
            if is_data {
                self.pass(&path, "is neither a file nor a folder and was skipped".to_owned());
            }
        } else if self.files.len() < MAX_FILES {
            self.files.push(path);
        } else if is_data {
            self.pass(&path, format!("is one of more than {MAX_FILES} files and was skipped"));
        }
    }

    fn pass(&mut self, path: &Path, why: String) {
        let relative = path.strip_prefix(self.root).unwrap_or(path);
        self.gaps.push(Gap { what: relative.display().to_string(), why });
    }
}

/// Whether a file is one that may be read: a manifest or a log.
fn is_data(path: &Path) -> bool {
    is_manifest(path) || path.extension().is_some_and(|end| end == "log" || end == "txt")
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    ["json", "yaml", "yml"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn read_file(path: &Path, name: &str, projector: &mut Projector) {
    match text(path) {
        Ok(text) if is_json(&text) => projector.json(name, &text),
        Ok(text) => projector.yaml(name, &text),
        Err(why) => projector.gap(Gap { what: name.to_owned(), why }),
    }
}

/// JSON is YAML, too, but the JSON reader is much faster.
fn is_json(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '['])
}

fn text(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| format!("cannot be read: {e}"))?.len();
    if size > MAX_FILE {
        return Err(format!("is larger than {} MiB and was skipped", MAX_FILE >> 20));
    }
    let bytes = std::fs::read(path).map_err(|e| format!("cannot be read: {e}"))?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text and was skipped".to_owned())
}
