//! Log files of a recorded cluster, in either layout: `logs/NAMESPACE/POD/CONTAINER[.previous].log`, and
//! `NAMESPACE/POD/logs.txt` as `kubectl cluster-info dump` writes it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::case::{LogKey, ObjectRef};

/// What is read of a log: its beginning and its end. Between them lies nothing that decides.
const HEAD: u64 = 64 << 10;
const TAIL: u64 = 256 << 10;

/// Where the logs are. Nothing is read before it is asked for.
#[derive(Debug, Default)]
pub struct LogFiles {
    /// One file for a run of a container.
    single: BTreeMap<(String, String, String, bool), PathBuf>,
    /// One file for all containers of a pod.
    dumps: BTreeMap<(String, String), PathBuf>,
}

/// Text of a log, as it stands in the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogText {
    pub text: String,
    /// Bytes between the beginning and the end that were not read.
    pub left_out: u64,
}

impl LogFiles {
    /// Takes a file if it is a log by its path; says whether it did.
    pub fn offer(&mut self, relative: &Path, full: &Path) -> bool {
        let parts: Vec<&str> = relative.iter().filter_map(|p| p.to_str()).collect();
        match parts.as_slice() {
            [.., "logs", namespace, pod, file] if file.strip_suffix(".log").is_some() => {
                let name = file.strip_suffix(".log").unwrap_or(file);
                let container = name.strip_suffix(".previous").unwrap_or(name);
                let previous = container != name;
                let key = ((*namespace).to_owned(), (*pod).to_owned(), container.to_owned(), previous);
                self.single.insert(key, full.to_owned());
                true
            }
            [.., namespace, pod, "logs.txt"] => {
                self.dumps.insert(((*namespace).to_owned(), (*pod).to_owned()), full.to_owned());
                true
            }
            _ => false,
        }
    }

    /// Reads one log; `None` when there is none.
    pub fn read(&self, key: &LogKey) -> Result<Option<LogText>> {
        let ObjectRef { name, .. } = &key.pod;
        let namespace = key.pod.ns();
        let single = (namespace.to_owned(), name.clone(), key.container.clone(), key.previous);
        if let Some(path) = self.single.get(&single) {
            return head_and_tail(path).map(Some);
        }
        match self.dumps.get(&(namespace.to_owned(), name.clone())) {
            Some(path) if !key.previous => {
                let all = head_and_tail(path)?;
                Ok(section(&all.text, &key.container).map(|text| LogText { text, left_out: all.left_out }))
            }
            _ => Ok(None),
        }
    }
}

/// The beginning and the end of a file; bytes that are no UTF-8 become U+FFFD.
fn head_and_tail(path: &Path) -> Result<LogText> {
    let context = || format!("cannot read the log {}", path.display());
    let mut file = File::open(path).with_context(context)?;
    let size = file.metadata().with_context(context)?.len();
    let mut bytes = Vec::new();
    if size <= HEAD + TAIL {
        file.read_to_end(&mut bytes).with_context(context)?;
        return Ok(LogText { text: String::from_utf8_lossy(&bytes).into_owned(), left_out: 0 });
    }
    file.by_ref().take(HEAD).read_to_end(&mut bytes).with_context(context)?;
    bytes.truncate(bytes.iter().rposition(|b| *b == b'\n').map_or(bytes.len(), |end| end + 1));
    let head = bytes.len() as u64;
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(size - TAIL)).with_context(context)?;
    file.read_to_end(&mut tail).with_context(context)?;
    let start = tail.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
    bytes.extend_from_slice(&tail[start..]);
    let left_out = size - head - (tail.len() - start) as u64;
    Ok(LogText { text: String::from_utf8_lossy(&bytes).into_owned(), left_out })
}

/// The lines of one container in a dump: between "==== START logs for container C of pod ..." and "==== END".
fn section(text: &str, container: &str) -> Option<String> {
    let start = format!("==== START logs for container {container} of pod ");
    let end = format!("==== END logs for container {container} of pod ");
    let from = text.find(&start)?;
    let body = &text[from..];
    let body = &body[body.find('\n')? + 1..];
    Some(body[..body.find(&end).unwrap_or(body.len())].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_cut_into_its_containers() {
        let text = "==== START logs for container a of pod x/y ====\none\n==== END logs for container a of pod x/y ====\n\
                    ==== START logs for container b of pod x/y ====\ntwo\n==== END logs for container b of pod x/y ====\n";
        assert_eq!(section(text, "b").as_deref(), Some("two\n"));
        assert_eq!(section(text, "c"), None);
    }

    #[test]
    fn of_a_large_log_the_beginning_and_the_end_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let mut text = String::from("first\n");
        while text.len() < 1 << 20 {
            text.push_str("between\n");
        }
        text.push_str("last\n");
        std::fs::write(&path, &text).unwrap();
        let read = head_and_tail(&path).unwrap();
        assert!(read.text.starts_with("first\n") && read.text.ends_with("last\n"));
        assert_eq!(read.text.len() as u64 + read.left_out, text.len() as u64);
    }
}
