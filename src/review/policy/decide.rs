//! A workload in, the policy that decides for it out.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::{Match, Policies, Policy, node};
use crate::case::ObjectRef;
use crate::settings::Settings;

/// What stands for a file where the built-in default decides.
pub(super) const BUILT_IN: &str = "built-in default";

const DEFAULT: &str = include_str!("../../../policies/default.yaml");

static DEFAULT_SPEC: LazyLock<Value> = LazyLock::new(|| {
    let documents = node::documents(DEFAULT).unwrap_or_default();
    documents.iter().find_map(|document| document.get("spec")).map(node::Node::value).unwrap_or_default()
});

static DEFAULT_POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let policy = serde_json::from_value(default_spec());
    let policy: Policy = policy.expect("the default policy is part of the program, and a test reads it");
    Policy { name: "default".to_owned(), ..policy }
});

/// The `spec` of the built-in default, from which every policy has what it leaves out.
pub(super) fn default_spec() -> Value {
    DEFAULT_SPEC.clone()
}

/// The policy for one workload, and how it came to be that one.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    pub policy: &'a Policy,
    /// `.kubecure/policy.yaml`, or `built-in default`.
    pub file: String,
    /// Why KubeCure leaves this workload alone, if it does: a sentence without a period.
    pub excluded: Option<String>,
    /// Every policy, whether it matches, and why.
    pub considered: Vec<String>,
}

/// How closely a policy fits a workload: larger is closer.
type Rank = (Closeness, bool, usize);

/// How closely an entry of `namespaces` fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    Any,
    Pattern,
    Exact,
}

enum Fit {
    Matches(Rank, String),
    /// Would match, were it not for its own `exclude`.
    Excluded(String),
    No(String),
}

impl Policies {
    /// The built-in default alone, for a repository that has no policy.
    pub fn built_in() -> Self {
        Self { own: Vec::new(), built_in: DEFAULT_POLICY.clone(), settings: Settings::default(), warnings: Vec::new() }
    }

    /// The policy that decides for a workload: of those that match the most specific, the first of equals.
    ///
    /// A repository that excludes a namespace means it: then the built-in default does not step in.
    pub fn decide(&self, workload: &ObjectRef, labels: &BTreeMap<String, String>) -> Decision<'_> {
        let mut considered = Vec::new();
        let mut best: Option<(Rank, &str, &Policy)> = None;
        let mut excluded: Option<(&str, &Policy, String)> = None;
        for (file, policy) in self.all() {
            let is_built_in = std::ptr::eq(policy, &raw const self.built_in);
            let (word, why) = match policy.r#match.fit(workload, labels) {
                Fit::Matches(rank, why) => {
                    if is_built_in && (best.is_some() || excluded.is_some()) {
                        ("stands behind the repository's own", why)
                    } else {
                        if best.is_none_or(|(other, ..)| rank > other) {
                            best = Some((rank, file, policy));
                        }
                        ("matches", why)
                    }
                }
                Fit::Excluded(why) => {
                    excluded.get_or_insert_with(|| (file, policy, why.clone()));
                    ("excludes it", why)
                }
                Fit::No(why) => ("does not match", why),
            };
            considered.push(format!("{} ({file}) {word}: {why}", policy.name));
        }
        let (file, policy, excluded) = match (best, excluded) {
            (Some((_, file, policy)), _) => (file, policy, None),
            (None, Some((file, policy, why))) => {
                (file, policy, Some(format!("policy `{}` leaves {workload} alone: {why}", policy.name)))
            }
            (None, None) => (BUILT_IN, &self.built_in, Some(format!("no policy is for {workload}"))),
        };
        Decision { policy, file: file.to_owned(), excluded, considered }
    }
}

impl Match {
    fn fit(&self, workload: &ObjectRef, labels: &BTreeMap<String, String>) -> Fit {
        let namespace = workload.ns();
        if namespace.is_empty() {
            return Fit::No(format!("{workload} has no namespace"));
        }
        let entries = self.namespaces.iter().filter(|entry| is_match(entry, namespace));
        let Some(entry) = entries.max_by_key(|entry| closeness(entry)) else {
            return Fit::No(format!("namespace `{namespace}` is none of {}", self.namespaces.join(", ")));
        };
        if !self.kinds.is_empty() && !self.kinds.contains(&workload.kind) {
            return Fit::No(format!("{} is none of {}", workload.kind, self.kinds.join(", ")));
        }
        if let Some((key, value)) = self.labels.iter().find(|(key, value)| labels.get(*key) != Some(value)) {
            return Fit::No(format!("the workload has no label {key}={value}"));
        }
        if let Some(exclude) = self.exclude.iter().find(|exclude| is_match(exclude, namespace)) {
            return Fit::Excluded(format!("namespace `{namespace}` is excluded by `{exclude}`"));
        }
        let rank = (closeness(entry), !self.kinds.is_empty(), self.labels.len());
        let mut why = vec![format!("namespace `{entry}`")];
        if !self.kinds.is_empty() {
            why.push(format!("kind {}", workload.kind));
        }
        if !self.labels.is_empty() {
            why.push(format!(
                "labels {}",
                self.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
            ));
        }
        Fit::Matches(rank, why.join(", "))
    }

    /// Whether some workload is matched by both, equally closely: a namespace entry of each that says so.
    pub(super) fn ties_with<'m>(&'m self, other: &'m Self) -> Option<(&'m str, &'m str)> {
        let is_same_shape = self.kinds.is_empty() == other.kinds.is_empty() && self.labels.len() == other.labels.len();
        let kinds_meet = self.kinds.is_empty() || self.kinds.iter().any(|kind| other.kinds.contains(kind));
        let labels_meet = self.labels.iter().all(|(key, value)| other.labels.get(key).is_none_or(|v| v == value));
        if !(is_same_shape && kinds_meet && labels_meet) {
            return None;
        }
        let is_excluded =
            |entry: &str| self.exclude.iter().chain(&other.exclude).any(|exclude| is_match(exclude, entry));
        let pairs = self.namespaces.iter().flat_map(|a| other.namespaces.iter().map(move |b| (a.as_str(), b.as_str())));
        pairs
            .filter(|(a, b)| closeness(a) == closeness(b) && !is_excluded(a) && !is_excluded(b))
            .find(|(a, b)| meet(a.as_bytes(), b.as_bytes()))
    }
}

pub(super) fn closeness(entry: &str) -> Closeness {
    match entry {
        "*" => Closeness::Any,
        _ if entry.contains('*') => Closeness::Pattern,
        _ => Closeness::Exact,
    }
}

/// Whether a pattern in which `*` stands for any characters covers a name. No pattern covers the empty name.
pub(super) fn is_match(pattern: &str, name: &str) -> bool {
    let is_covered = pattern == name || (!name.contains('*') && meet(pattern.as_bytes(), name.as_bytes()));
    is_covered && !name.is_empty()
}

/// Whether some name is covered by both patterns.
///
/// One row of a table for each byte, so it takes the product of the two lengths and no more.
fn meet(a: &[u8], b: &[u8]) -> bool {
    let mut row = vec![false; b.len() + 1];
    for i in 0..=a.len() {
        let above = std::mem::replace(&mut row, vec![false; b.len() + 1]);
        for j in 0..=b.len() {
            let start = i == 0 && j == 0;
            let from_a = i > 0 && above[j] && (a[i - 1] == b'*' || (j > 0 && b[j - 1] == b'*'));
            let from_b = j > 0 && row[j - 1] && (b[j - 1] == b'*' || (i > 0 && a[i - 1] == b'*'));
            let both = i > 0 && j > 0 && above[j - 1] && a[i - 1] == b[j - 1];
            row[j] = start || from_a || from_b || both;
        }
    }
    row[b.len()]
}
