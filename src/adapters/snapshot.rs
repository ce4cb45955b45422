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
    let mut files = Vec::new();
    walk(root, 0, &mut files)?;
    files.sort();

    let mut projector = Projector::default();
    let mut logs = LogFiles::default();
    for path in &files {
        let relative = path.strip_prefix(root).unwrap_or(path);
        if !logs.offer(relative, path) && is_manifest(path) {
            read_file(path, &relative.display().to_string(), &mut projector);
        }
    }
    if projector.objects == 0 {
        bail!(
            "{} holds no Kubernetes object\nHint: a snapshot is a folder with YAML or JSON as `kubectl get -A -o json` prints it, in any number of files",
            root.display()
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
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let kind = entry.file_type().with_context(|| format!("cannot read {}", entry.path().display()))?;
        if kind.is_dir() && depth < MAX_DEPTH && entry.file_name() != ".git" {
            walk(&entry.path(), depth + 1, files)?;
        } else if kind.is_file() && files.len() < MAX_FILES {
            files.push(entry.path());
        }
    }
    Ok(())
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
