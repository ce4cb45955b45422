//! The nouns, in the order they come to exist.
//!
//! Plain data. Nothing here decides anything, and nothing here can be written to a wire:
//! the terminal, the JSON interface and the forge have types of their own.

mod change;
mod delivery;
mod evidence;
mod lease;
mod list;
mod memo;
mod objects;
mod once;
mod places;
mod question;
mod repo_url;
mod selector;
mod snapshot;
mod syncer;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

pub use delivery::*;
pub use evidence::{Blamed, Evidence, Item, ItemSource, Log, LogKey};
pub use jiff::Timestamp;
pub use lease::Lease;
pub use list::List;
pub use memo::Memo;
pub use objects::*;
pub use once::{Same, Word};
pub use question::{Answer, Budget, Question, Reply, Unanswered, tokens};
pub use repo_url::{BadUrl, RepoUrl, Scheme};
pub use selector::LabelSelector;
pub use snapshot::Snapshot;
pub use syncer::*;

use crate::yaml::FieldPath;

/// A failure of the catalogue, by its kebab-case name: `oom-killed`.
///
/// The same word is the file, the page, the CLI argument, the metric label, the branch and the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FailureId(pub &'static str);

impl fmt::Display for FailureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One object of the Kubernetes API, by what identifies it in a repository: no version, no uid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// API group, empty for the core group.
    pub group: String,
    pub kind: String,
    /// `None` for objects of the cluster's own scope.
    pub namespace: Option<String>,
    pub name: String,
}

impl ObjectRef {
    /// An object of `api_version` (`apps/v1`, `v1`); an empty namespace is none.
    pub fn new(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.filter(|n| !n.is_empty()).map(ToOwned::to_owned),
            name: name.to_owned(),
        }
    }

    /// `shop/web`, or `web` for an object without a namespace.
    pub fn path(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The namespace, or the empty string.
    pub fn ns(&self) -> &str {
        self.namespace.as_deref().unwrap_or("")
    }

    /// Where the pod template stands in an object of this kind.
    ///
    /// The empty path for a Pod, which is its own template; `None` for kinds that have none.
    pub fn template_path(&self) -> Option<FieldPath> {
        let keys: &[&str] = match self.kind.as_str() {
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "ReplicationController" => {
                &["spec", "template"]
            }
            "CronJob" => &["spec", "jobTemplate", "spec", "template"],
            "Pod" => &[],
            _ => return None,
        };
        Some(FieldPath::keys(keys))
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.path())
    }
}

/// One failure of one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub failure: FailureId,
    /// What a person would edit, never the pod of a controller.
    pub workload: ObjectRef,
    /// The container that fails, where one does.
    pub container: Option<String>,
    /// What the cluster says, one sentence without the subject: "keeps running out of memory (killed 6 times)".
    pub symptom: String,
    /// Since when, as far as the cluster still tells.
    pub since: Option<Timestamp>,
    /// Pods that show it, newest first: the ones whose logs and events bear on it.
    pub pods: Vec<ObjectRef>,
    /// What it has in common with others that fail for the same reason, if anything.
    pub shared: Option<Shared>,
}

/// A cause that can hit many workloads at once. Findings that share one are one incident.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shared {
    /// A registry from which nothing is pulled, and what it does instead.
    Registry { host: String, answer: RegistryAnswer },
    /// A node that is not ready or under pressure.
    Node(String),
    /// A ResourceQuota that is used up.
    Quota { namespace: String, name: String },
    /// A ConfigMap or Secret that does not exist.
    Missing(ObjectRef),
    /// An admission webhook that fails to answer.
    Webhook(String),
}

/// What a registry does that gives no image. Each is a cause of its own: a host may refuse one and be silent to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RegistryAnswer {
    Silence,
    AccessDenied,
    TooManyRequests,
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { host, .. } => write!(f, "registry {host}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Quota { namespace, name } => write!(f, "quota {namespace}/{name}"),
            Self::Missing(object) => write!(f, "missing {object}"),
            Self::Webhook(name) => write!(f, "admission webhook {name}"),
        }
    }
}

/// Findings with one cause, worked as one. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    pub failure: FailureId,
    pub findings: Vec<Finding>,
    /// What makes them one, when there is more than one or could be.
    pub shared: Option<Shared>,
}

impl Incident {
    /// The finding that stands for all.
    pub fn first(&self) -> &Finding {
        &self.findings[0]
    }

    /// Every namespace of the incident, each once.
    pub fn namespaces(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.findings.iter().map(|f| f.workload.ns()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Every workload of the incident, each once, in order.
    pub fn workloads(&self) -> Vec<&ObjectRef> {
        let mut all: Vec<&ObjectRef> = self.findings.iter().map(|f| &f.workload).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Words that stand in the evidence, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Index of the item in [`Evidence::items`]; shown as `E1`, `E2` ...
    pub item: usize,
    /// Verbatim.
    pub text: String,
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A rule of the catalogue.
    Rule,
    /// A language model.
    Model,
}

/// Why, and what cures it.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// A sentence a person can disagree with.
    pub cause: String,
    pub because: Vec<Quote>,
    pub origin: Origin,
    /// What is established, each with its weight; the confidence is computed from it.
    pub grounds: Vec<Ground>,
    /// 0-100, from the grounds.
    pub confidence: u8,
    pub cure: Cure,
    /// Facts that a reviewer would look up next: numbers, names, candidates that were not taken.
    pub notes: Vec<String>,
    /// What was not looked at or could not be known.
    pub unchecked: Vec<String>,
}

impl Diagnosis {
    /// The changes that cure it; empty when a person must act.
    pub fn changes(&self) -> &[Change] {
        match &self.cure {
            Cure::Repair { changes, .. } | Cure::Revert { changes, .. } => changes,
            Cure::Person(_) => &[],
        }
    }

    /// The diagnosis itself, if it ends in changes; else why a person must act.
    pub fn curable(self) -> Result<Self, Declined> {
        match self.cure {
            Cure::Person(declined) => Err(declined),
            _ => Ok(self),
        }
    }
}

/// What to do about a cause.
#[derive(Clone, Debug, PartialEq)]
pub enum Cure {
    /// A change that the evidence establishes.
    Repair {
        changes: Vec<Change>,
        /// The change in words, as a help line: "raise the limit to 128Mi".
        help: String,
        /// Set when the change is right as far as it goes, but a person should decide: why.
        hold: Option<String>,
    },
    /// Back to the value of the last healthy revision.
    Revert { changes: Vec<Change>, help: String, revision: String },
    /// The cause is known, or not, but nothing in Git can be established as the cure.
    Person(Declined),
}

/// One thing that is established (or, with a negative weight, that stands against the diagnosis).
#[derive(Clone, Debug, PartialEq)]
pub struct Ground {
    pub text: String,
    /// -100 to 100. Positive weights add up as independent evidence, negative ones scale the result down.
    pub weight: i8,
}

/// One field of one live object, and what should become of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub object: ObjectRef,
    /// In the coordinates of the live object: `spec.template.spec.containers[name=app].image`.
    pub path: FieldPath,
    pub operation: Operation,
}

/// What should become of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// The field exists with this value and gets another.
    Set { from: serde_json::Value, to: serde_json::Value },
    /// The field does not exist; missing parents are made.
    Add { value: serde_json::Value },
    /// The field exists and goes away.
    Remove { from: serde_json::Value },
}

/// The manifests of one repository at one commit, or of a folder as it lies there.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// What to call it: a path or URL as the user gave it.
    pub name: String,
    /// The commit read, if it is a commit and not a work tree.
    pub commit: Option<String>,
    /// Every manifest file, by its path from the repository's root, with `/`.
    pub files: BTreeMap<String, SourceFile>,
    /// What was passed over, each with its reason.
    pub skipped: Vec<Gap>,
    /// What a stage has found out about the files, and need not find out again.
    pub memo: Memo,
}

/// One file of the repository.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub text: std::sync::Arc<str>,
    /// The objects that it declares, in order; empty when it holds none or cannot be read.
    pub objects: Vec<Declared>,
    /// Why it cannot be read as YAML, if so: line, column and reason.
    pub broken: Option<String>,
}

/// An object as a file declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// `namespace` is what the file says: `None` when it says nothing.
    pub id: ObjectRef,
    /// Document of the file, from 0, empty ones counted.
    pub document: usize,
    /// Path of the object in its document: empty, or `items[3]` in a List.
    pub root: FieldPath,
    /// Byte offset at which the document starts.
    pub offset: usize,
    /// Keys of `data`, `stringData` and `binaryData` (ConfigMap, Secret), or of what makes a Secret (SealedSecret,
    /// ExternalSecret). Never values.
    pub keys: Vec<String>,
}

/// Something that could not be read, and why: shown, never swallowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// What: a path, a kind, a log.
    pub what: String,
    /// A sentence without a period.
    pub why: String,
}

/// Where a field comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceLocation {
    pub file: String,
    /// Document in the file, from 0.
    pub document: usize,
    /// In the coordinates of the document: with `items[3]` before it in a List.
    pub path: FieldPath,
    /// The bytes of the value; for a field that is to be added, the place after which it goes (empty).
    pub span: Range<usize>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The value now, if there is one.
    pub value: Option<serde_json::Value>,
    /// What led there, outermost first.
    pub chain: Vec<Link>,
    /// What is done to the document at `path`, where that is not the change itself: a tag is set for an image, a text
    /// for a patch that stands in it. See [`SourceLocation::operation`].
    pub writes: Option<Operation>,
    /// Kustomizations that were rendered with the edit and without: nothing but what is intended differs, and `also`.
    pub rendered: Vec<String>,
    /// Fields of other objects that the edit changes as well: the blast radius. Policy says how many objects it may be.
    pub also: Vec<Feed>,
}

/// A field of an object that is applied, and what renders it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Feed {
    /// The kustomization that renders it, or the manifest that says it.
    pub root: String,
    pub object: ObjectRef,
    pub field: FieldPath,
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One step on the way from a live object to its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub file: String,
    pub line: usize,
    pub what: String,
}

/// A diagnosis and its places: the edited files, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    pub incident: Incident,
    pub diagnosis: Diagnosis,
    /// One for each change of the diagnosis, in the same order.
    pub locations: Vec<SourceLocation>,
    pub files: Vec<EditedFile>,
    /// The commit that it was made against, if the sources are a commit.
    pub base: Option<String>,
}

/// A file before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct EditedFile {
    pub path: String,
    pub before: std::sync::Arc<str>,
    pub after: String,
}

/// What the outside found out about a proposal: the API server's schema, a second renderer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// What ran and passed, each a short phrase: "valid against the schema of the API server".
    pub passed: Vec<String>,
    /// What ran and failed.
    pub failed: Vec<String>,
    /// What did not run, and why.
    pub not_run: Vec<String>,
}

/// What may be done with a proposal; every reason, not the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub ruling: Ruling,
    pub reasons: Vec<Reason>,
    /// What was checked and held, for the reader of the pull request.
    pub passed: Vec<String>,
    pub not_checked: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ruling {
    /// A pull request.
    Allow,
    /// A draft or an issue, as policy says.
    Hold,
    /// Nothing is submitted.
    Deny,
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Hold => "hold",
            Self::Deny => "deny",
        })
    }
}

/// An objection of one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Kebab-case name of the gate: `policy`, `confidence`, `quote`, `protected-path`.
    pub gate: &'static str,
    pub ruling: Ruling,
    /// A sentence without a period.
    pub text: String,
}

/// Why there is no pull request. Not an error: an answer, fit to be shown to a person.
#[derive(Clone, Debug, PartialEq)]
pub enum Declined {
    /// The evidence does not establish a cause. What was looked at, and what would be needed.
    Undiagnosed { looked_at: Vec<String>, needed: String },
    /// No rule knows, and a language model that was asked gave no answer that holds.
    Unanswered { code: &'static str, why: String, looked_at: Vec<String>, needed: String },
    /// The cause is known and lies outside the repository, or needs a person's decision.
    NeedsPerson { why: String, next: Vec<String> },
    /// No manifest of the repository declares the object, or the field.
    NotInGit { object: ObjectRef, detail: String },
    /// Two places or more could be the one.
    Ambiguous { what: String, places: Vec<SourceLocation> },
    /// The place is known but must not or cannot be edited.
    Blocked { location: Option<Box<SourceLocation>>, why: String },
    /// A gate refused the proposal.
    Denied(Vec<Reason>),
    /// Text in the evidence reads like an instruction to a machine.
    InjectionSuspected { quote: Quote },
    /// Policy tells KubeCure to leave the workload alone: nothing is published.
    Excluded { why: String },
}

impl Declined {
    /// The reason code: a word for JSON, metrics and labels.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Undiagnosed { .. } => "undiagnosed",
            Self::Unanswered { code, .. } => code,
            Self::NeedsPerson { .. } => "needs-person",
            Self::NotInGit { .. } => "not-in-git",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Blocked { .. } => "blocked",
            Self::Denied(_) => "denied",
            Self::InjectionSuspected { .. } => "injection-suspected",
            Self::Excluded { .. } => "excluded",
        }
    }
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undiagnosed { looked_at, needed } => {
                write!(f, "the evidence does not establish a cause")?;
                if !looked_at.is_empty() {
                    write!(f, "; looked at {}", looked_at.join(", "))?;
                }
                if !needed.is_empty() {
                    write!(f, "; missing is {needed}")?;
                }
                Ok(())
            }
            Self::Unanswered { why, .. } => write!(f, "the evidence does not establish a cause; {why}"),
            Self::NeedsPerson { why, .. } | Self::Excluded { why } | Self::Blocked { location: None, why } => {
                f.write_str(why)
            }
            Self::NotInGit { object, detail } => write!(f, "{object} is not declared in the repository: {detail}"),
            Self::Ambiguous { what, places } => {
                let places: Vec<String> = places.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "{what} is set in {} places, and nothing says which counts: {}",
                    places.len(),
                    places.join(" and ")
                )
            }
            Self::Blocked { location: Some(location), why } => write!(f, "{location} cannot be edited: {why}"),
            Self::Denied(reasons) => {
                let reasons: Vec<&str> = reasons.iter().map(|r| r.text.as_str()).collect();
                f.write_str(&reasons.join("; "))
            }
            Self::InjectionSuspected { quote } => {
                write!(f, "a line of the evidence reads like an instruction to a machine: {:?}", quote.text)
            }
        }
    }
}

/// All that is known of one incident so far: every noun that came to exist on the way.
#[derive(Clone, Debug)]
pub struct Case {
    pub incident: Incident,
    /// Which policy decides, as a reader would look it up: `.kubecure/policy.yaml` or the built-in default.
    pub policy: Option<String>,
    pub evidence: Option<Evidence>,
    /// What a language model was asked, or would be.
    pub question: Option<Question>,
    pub diagnosis: Option<Diagnosis>,
    pub locations: Vec<SourceLocation>,
    pub proposal: Option<Proposal>,
    pub verdict: Option<Verdict>,
    pub declined: Option<Declined>,
    pub request: Option<Request>,
    pub receipt: Option<Receipt>,
}

impl Case {
    pub fn new(incident: Incident) -> Self {
        Self {
            incident,
            policy: None,
            evidence: None,
            question: None,
            diagnosis: None,
            locations: Vec::new(),
            proposal: None,
            verdict: None,
            declined: None,
            request: None,
            receipt: None,
        }
    }
}
