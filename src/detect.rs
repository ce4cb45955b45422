//! Snapshot in, incidents out.
//!
//! The catalogue is asked in order, specific before general; a container belongs to the first failure that claims
//! it. What has one cause becomes one incident.

mod containers;
mod creation;
mod focus;
mod look;

use std::collections::BTreeMap;

use foldhash::{HashMap, HashSet};
use jiff::SignedDuration;

pub use containers::{Container, Instance, Role, container_of, containers, counts};
use containers::{all_containers, pods};
pub use creation::{FailedCreate, failed_creates};
pub use focus::Focus;
pub use look::Look;

use crate::case::{Event, Finding, Incident, ObjectRef, Pod, Shared, Snapshot, Timestamp};
use crate::failures::ALL;

/// What the failures so far have found: one container is claimed once.
#[derive(Debug, Default)]
pub struct Claims {
    findings: Vec<Finding>,
    /// What the findings of each workload are about.
    of: HashMap<ObjectRef, Vec<usize>>,
    /// Pods that show any of it.
    pods: HashSet<ObjectRef>,
}

impl Claims {
    /// Whether a more specific failure has this container already.
    pub fn container(&self, workload: &ObjectRef, container: &str) -> bool {
        self.about(workload).any(|f| f.container.as_deref() == Some(container))
    }

    /// Whether anything was found for this workload.
    pub fn workload(&self, workload: &ObjectRef) -> bool {
        self.of.contains_key(workload)
    }

    /// Whether anything that was found shows in this pod.
    pub fn pod(&self, pod: &ObjectRef) -> bool {
        self.pods.contains(pod)
    }

    /// What was found so far for this workload.
    pub fn about(&self, workload: &ObjectRef) -> impl Iterator<Item = &Finding> {
        self.of.get(workload).into_iter().flatten().map(|&at| &self.findings[at])
    }

    fn take(&mut self, finding: Finding) {
        let claimed = match &finding.container {
            Some(container) => self.container(&finding.workload, container),
            None => self.about(&finding.workload).any(|f| f.failure == finding.failure),
        };
        if !claimed {
            self.of.entry(finding.workload.clone()).or_default().push(self.findings.len());
            self.pods.extend(finding.pods.iter().cloned());
            self.findings.push(finding);
        }
    }
}

/// Everything that fails, cause before symptom.
pub fn detect(snapshot: &Snapshot) -> Vec<Incident> {
    let (look, mut claims) = (Look::at(snapshot), Claims::default());
    for failure in ALL {
        for finding in failure.detect(&look, &claims) {
            claims.take(finding);
        }
    }
    let not_ready = snapshot.nodes.iter().filter(|node| !node.is_ready());
    let not_ready: HashSet<&str> = not_ready.map(|node| node.metadata.name.as_str()).collect();
    let going = going(snapshot);
    claims.findings.retain(|f| f.workload.namespace.as_deref().is_none_or(|namespace| !going.contains(namespace)));
    group(claims.findings.into_iter().map(|finding| held_by_node(finding, snapshot, &not_ready)).collect())
}

/// Namespaces that are being deleted: what fails there on its way out needs no cure.
fn going(snapshot: &Snapshot) -> HashSet<&str> {
    let namespaces = snapshot.named.iter().filter(|n| n.id.kind == "Namespace");
    namespaces.filter(|n| n.metadata.deletion_timestamp.is_some()).map(|n| n.id.name.as_str()).collect()
}

/// A finding whose pods all sit on a node that is not ready is the node's, not the workload's.
fn held_by_node(mut finding: Finding, snapshot: &Snapshot, not_ready: &HashSet<&str>) -> Finding {
    let node_of = |id: &ObjectRef| snapshot.pod(id.namespace.as_deref(), &id.name)?.spec.node_name.as_deref();
    let mut nodes = finding.pods.iter().map(node_of);
    let first = nodes.next().flatten().filter(|node| not_ready.contains(node));
    if let Some(node) = first.filter(|node| nodes.all(|other| other == Some(node))) {
        finding.shared = Some(Shared::Node(node.to_owned()));
    }
    finding
}

/// Findings with one cause are one incident; the others are one each. Sorted by namespace, name and failure.
fn group(findings: Vec<Finding>) -> Vec<Incident> {
    let mut shared: BTreeMap<(Shared, &'static str), Vec<Finding>> = BTreeMap::new();
    let mut incidents = Vec::new();
    for finding in findings {
        match &finding.shared {
            // A node explains whatever fails on it, of whatever kind.
            Some(node @ Shared::Node(_)) => shared.entry((node.clone(), "")).or_default().push(finding),
            Some(cause) => shared.entry((cause.clone(), finding.failure.0)).or_default().push(finding),
            None => incidents.push(Incident { failure: finding.failure, findings: vec![finding], shared: None }),
        }
    }
    for ((cause, _), mut findings) in shared {
        findings.sort_by(|a, b| (&a.workload, &a.container).cmp(&(&b.workload, &b.container)));
        incidents.push(Incident { failure: findings[0].failure, findings, shared: Some(cause) });
    }
    let key = |i: &Incident| {
        let f = i.first();
        (f.workload.namespace.clone(), f.workload.name.clone(), f.workload.kind.clone(), f.failure, f.container.clone())
    };
    incidents.sort_by_key(key);
    incidents
}

/// The reference to a pod.
pub fn pod_ref(pod: &Pod) -> ObjectRef {
    ObjectRef::new("v1", "Pod", pod.metadata.namespace.as_deref(), &pod.metadata.name)
}

/// How long a pod has been there at the time of the snapshot.
pub fn age(pod: &Pod, snapshot: &Snapshot) -> SignedDuration {
    let from = pod.status.start_time.or(pod.metadata.creation_timestamp);
    from.map_or(SignedDuration::ZERO, |from| snapshot.taken.duration_since(from))
}

/// Warnings and notices of one reason about a pod.
pub fn pod_events<'s>(snapshot: &'s Snapshot, pod: &'s Pod, reason: &'s str) -> impl Iterator<Item = &'s Event> {
    snapshot.events_about_pod(&pod.metadata).filter(move |e| e.reason == reason)
}

/// The earliest of some points in time.
pub fn earliest(times: impl IntoIterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    times.into_iter().flatten().min()
}

/// `1 pod`, `3 pods`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// ` in 2 of 3 pods`, or nothing when there is only one.
pub fn of_pods(failing: usize, all: usize) -> String {
    match (failing, all) {
        (_, 0 | 1) => String::new(),
        (2, 2) => " in both pods".to_owned(),
        (f, a) if f == a => format!(" in all {a} pods"),
        (f, a) => format!(" in {f} of {a} pods"),
    }
}
