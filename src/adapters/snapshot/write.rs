//! Objects and logs in, a folder out that [`read`](super::read) reads: without secrets, one file for each kind in each
//! namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::case::{Gap, LogKey, Timestamp};
use crate::redact::{self, Redactor};

/// A snapshot folder that is being written. One that is given up on the way is taken away again: half a snapshot would
/// read as a whole one.
pub struct Writer {
    root: PathBuf,
    is_finished: bool,
    redactor: Redactor,
    /// Files of Lists that still lack their end.
    open: BTreeSet<PathBuf>,
    written: Written,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub objects: usize,
    pub logs: usize,
    /// Values that were masked.
    pub masked: usize,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: HeadMeta,
}

#[derive(Default, Deserialize)]
struct HeadMeta {
    namespace: Option<String>,
}

impl Writer {
    /// Starts a folder, which must not hold anything yet.
    pub fn create(root: &Path) -> Result<Self> {
        if root.exists() && !root.is_dir() {
            bail!(
                "{} is a file, and a folder was expected\nHint: name a folder that does not exist yet",
                root.display()
            );
        }
        let is_empty = std::fs::read_dir(root).map_or(true, |mut entries| entries.next().is_none());
        if !is_empty {
            bail!(
                "{} is not empty, and nothing is overwritten\nHint: name a folder that does not exist yet",
                root.display()
            );
        }
        std::fs::create_dir_all(root).with_context(|| cannot(root))?;
        let root = root.to_owned();
        Ok(Self {
            root,
            is_finished: false,
            redactor: Redactor::new(),
            open: BTreeSet::new(),
            written: Written::default(),
        })
    }

    /// Some objects of one kind, of any namespaces.
    pub fn objects<'t>(
        &mut self,
        api_version: &str,
        kind: &str,
        resource: &str,
        items: impl IntoIterator<Item = &'t str>,
    ) -> Result<()> {
        let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
        for item in items {
            let namespace = serde_json::from_str::<Head>(item).ok().and_then(|head| head.metadata.namespace);
            let Some(file) = self.file(namespace.as_deref(), resource) else { continue };
            let Some(text) = self.cleaned(api_version, kind, item) else { continue };
            let to = files.entry(file).or_default();
            to.push_str(if to.is_empty() { "\n" } else { ",\n" });
            to.push_str(&text);
            self.written.objects += 1;
        }
        files.into_iter().try_for_each(|(file, text)| self.append(&file, &text))
    }

    /// A kind of which there is none: an empty list says so, and no list would leave it unknown.
    pub fn none_of(&mut self, api_version: &str, kind: &str, resource: &str) -> Result<()> {
        let path = self.root.join(format!("{resource}.json"));
        let list = json!({"apiVersion": api_version, "kind": format!("{kind}List"), "items": []});
        std::fs::write(&path, format!("{list:#}\n")).with_context(|| cannot(&path))
    }

    /// The log of a container.
    pub fn log(&mut self, key: &LogKey, text: &str) -> Result<()> {
        let (namespace, pod) = (key.pod.ns(), key.pod.name.as_str());
        if ![namespace, pod, &key.container].iter().all(|part| is_name(part)) {
            return Ok(());
        }
        let folder = self.root.join("logs").join(namespace).join(pod);
        std::fs::create_dir_all(&folder).with_context(|| cannot(&folder))?;
        let suffix = if key.previous { ".previous" } else { "" };
        let path = folder.join(format!("{}{suffix}.log", key.container));
        let clean = self.redactor.redact(text);
        self.written.masked += clean.count;
        self.written.logs += 1;
        std::fs::write(&path, clean.text.as_bytes()).with_context(|| cannot(&path))
    }

    /// Ends all files, and says when the snapshot was taken and what it lacks.
    pub fn finish(mut self, taken: Timestamp, partial: &BTreeSet<String>, gaps: &[Gap]) -> Result<Written> {
        for path in std::mem::take(&mut self.open) {
            end(&path, "\n]}\n")?;
        }
        let gaps: Vec<Value> = gaps.iter().map(|gap| json!({"what": gap.what, "why": gap.why})).collect();
        let mut text = format!("apiVersion: healing.kubecure.io/v1alpha1\nkind: Snapshot\ntaken: \"{taken}\"\n");
        // JSON is YAML; and names of kinds and sentences are quoted that way.
        for (key, value) in [("partial", json!(partial)), ("gaps", json!(gaps))] {
            if value.as_array().is_some_and(|list| !list.is_empty()) {
                let _ = writeln!(text, "{key}: {value}");
            }
        }
        let path = self.root.join("snapshot.yaml");
        std::fs::write(&path, text).with_context(|| cannot(&path))?;
        self.is_finished = true;
        Ok(self.written)
    }

    /// The file of a kind; none for a name that is no name.
    fn file(&self, namespace: Option<&str>, resource: &str) -> Option<PathBuf> {
        let file = format!("{resource}.json");
        match namespace.filter(|name| !name.is_empty()) {
            Some(name) if is_name(name) => Some(self.root.join(name).join(file)),
            Some(_) => None,
            None => Some(self.root.join(file)),
        }
    }

    /// One object as it is written: with its kind, which items of a list need not say.
    fn cleaned(&mut self, api_version: &str, kind: &str, item: &str) -> Option<String> {
        let Ok(Value::Object(fields)) = serde_json::from_str(item) else { return None };
        let mut whole = serde_json::Map::new();
        whole.insert("apiVersion".to_owned(), Value::from(api_version));
        whole.insert("kind".to_owned(), Value::from(kind));
        whole.extend(fields.into_iter().filter(|(key, _)| key != "apiVersion" && key != "kind"));
        let mut object = Value::Object(whole);
        self.written.masked += redact::object(kind, &mut object, &mut self.redactor);
        Some(object.to_string())
    }

    fn append(&mut self, path: &Path, text: &str) -> Result<()> {
        if self.open.contains(path) {
            return end(path, &format!(",{text}"));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| cannot(folder))?;
        }
        let head = "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [";
        std::fs::write(path, format!("{head}{text}")).with_context(|| cannot(path))?;
        self.open.insert(path.to_owned());
        Ok(())
    }
}

/// More text at the end of a file.
fn end(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().append(true).open(path).with_context(|| cannot(path))?;
    file.write_all(text.as_bytes()).with_context(|| cannot(path))
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_finished {
            // It was empty or not there when it was begun: all in it is ours.
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }
}

fn cannot(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// Names of the API are names of files; anything else could lead out of the folder.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::ObjectRef;

    #[test]
    fn what_is_written_reads_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("snapshot");
        let mut writer = Writer::create(&root).unwrap();
        let pods = [
            r#"{"metadata":{"name":"a","namespace":"shop"}}"#,
            r#"{"metadata":{"name":"b","namespace":"bank"}}"#,
            r#"{"metadata":{"name":"c","namespace":"../up"}}"#,
        ];
        writer.objects("v1", "Pod", "pods", pods).unwrap();
        writer.objects("v1", "Pod", "pods", [r#"{"metadata":{"name":"d","namespace":"shop"}}"#]).unwrap();
        writer.none_of("batch/v1", "Job", "jobs").unwrap();
        let pod = ObjectRef::new("v1", "Pod", Some("shop"), "a");
        writer.log(&LogKey { pod, container: "app".to_owned(), previous: true }, "password=hunter2\n").unwrap();
        let taken: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let gap = Gap { what: "events in bank".to_owned(), why: "cannot be listed: \"x\"".to_owned() };
        let partial = BTreeSet::from(["Event".to_owned()]);
        let written = writer.finish(taken, &partial, std::slice::from_ref(&gap)).unwrap();
        assert_eq!(written, Written { objects: 3, logs: 1, masked: 1 });

        let read = super::super::read(&root).unwrap();
        let mut names: Vec<&str> = read.snapshot.pods.iter().map(|p| p.metadata.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "d"]);
        assert_eq!((read.snapshot.taken, read.snapshot.gaps), (taken, vec![gap]));
        assert!(read.snapshot.kinds.contains("Job") && !read.snapshot.kinds.contains("Event"));
        assert!(!std::fs::read_to_string(root.join("logs/shop/a/app.previous.log")).unwrap().contains("hunter2"));
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("snapshot");
        let mut writer = Writer::create(&root).unwrap();
        writer.none_of("batch/v1", "Job", "jobs").unwrap();
        drop(writer);
        assert!(!root.exists());
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "x").unwrap();
        assert!(Writer::create(folder.path()).err().unwrap().to_string().contains("is not empty"));
        assert!(Writer::create(&folder.path().join("mine")).err().unwrap().to_string().contains("is a file"));
    }
}
