//! What bears on an incident, with a number for every piece that can be quoted.

use std::fmt;
use std::sync::Arc;

use super::{Change, Declared, Incident, ObjectRef, Quote, Snapshot, SourceLocation, Timestamp};

/// What bears on an incident. Secrets are already gone from every text in it.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub incident: Incident,
    /// Everything else that the cluster showed at the same instant.
    pub snapshot: Arc<Snapshot>,
    /// What can be quoted, in order: status, events, log lines.
    pub items: Vec<Item>,
    /// Logs of the containers that fail, whole as far as they were read.
    pub logs: Vec<Log>,
    /// What the repository declares in the namespaces of the incident: names and keys, never values.
    pub declared: Vec<Declared>,
    /// The place in the repository that an error of Argo CD or Flux speaks of.
    pub blamed: Option<Blamed>,
    /// How many values were masked on the way in.
    pub redactions: usize,
}

/// A place in the repository that keeps it from being applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Blamed {
    pub place: SourceLocation,
    /// What is wrong there: a sentence without a period, of which the file is the subject.
    pub what: String,
    /// What was meant, where the repository shows it.
    pub cure: Option<Change>,
}

/// A piece of evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub source: ItemSource,
    /// What it says, redacted.
    pub text: String,
    pub at: Option<Timestamp>,
}

/// Where a piece of evidence comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemSource {
    /// Status of a container of a pod: state, last state, restarts.
    ContainerStatus {
        pod: ObjectRef,
        container: String,
    },
    /// Status or a condition of an object.
    Status(ObjectRef),
    Event {
        about: ObjectRef,
        reason: String,
    },
    /// One line of a log.
    LogLine(LogKey),
    /// A field of an object's specification.
    Spec(ObjectRef),
}

impl fmt::Display for ItemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContainerStatus { pod, container } => {
                write!(f, "status of container {container} in pod {}", pod.path())
            }
            Self::Status(object) => write!(f, "status of {object}"),
            Self::Event { about, reason } => write!(f, "event {reason} on {about}"),
            Self::LogLine(key) => write!(f, "{key}"),
            Self::Spec(object) => write!(f, "specification of {object}"),
        }
    }
}

/// Which log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogKey {
    pub pod: ObjectRef,
    pub container: String,
    /// Of the run before.
    pub previous: bool,
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = if self.previous { "previous log" } else { "log" };
        write!(f, "{which} of container {} in pod {}", self.container, self.pod.path())
    }
}

/// A log as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub key: LogKey,
    /// Redacted, without the kubelet's time stamps, oldest first.
    pub lines: Vec<String>,
    /// Bytes that were left out because the log is larger than what is read.
    pub left_out: u64,
}

impl Evidence {
    /// The first item that contains these words, as a quote.
    pub fn quote(&self, words: &str) -> Option<Quote> {
        let item = self.items.iter().position(|item| item.text.contains(words))?;
        Some(Quote { item, text: words.to_owned() })
    }

    /// A line of a log, as a quote. The words may stand in a specification, too: a script that prints them.
    pub fn quote_log(&self, line: &str) -> Option<Quote> {
        let is_line = |item: &Item| matches!(item.source, ItemSource::LogLine(_)) && item.text.contains(line);
        let item = self.items.iter().position(is_line);
        item.map(|item| Quote { item, text: line.to_owned() }).or_else(|| self.quote(line))
    }

    /// All of one item, as a quote.
    pub fn quote_item(&self, matches: impl Fn(&Item) -> bool) -> Option<Quote> {
        let item = self.items.iter().position(matches)?;
        Some(Quote { item, text: self.items[item].text.clone() })
    }
}
