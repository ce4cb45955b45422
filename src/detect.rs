//! Snapshot in, incidents out.
//!
//! The catalogue is asked in order, specific before general; a container belongs to the first failure that claims
//! it. What has one cause becomes one incident.

mod containers;
mod creation;

use std::collections::BTreeMap;

use jiff::SignedDuration;

pub use containers::{Container, Instance, Role, container_of, containers, counts, pods};
pub use creation::{FailedCreate, failed_creates};

use crate::case::{Event, Finding, Incident, ObjectRef, Pod, Shared, Snapshot, Timestamp};
use crate::failures::ALL;

/// What the failures so far have found: one container is claimed once.
#[derive(Debug, Default)]
pub struct Claims {
    findings: Vec<Finding>,
}

impl Claims {
    /// Whether a more specific failure has this container already.
    pub fn container(&self, workload: &ObjectRef, container: &str) -> bool {
        self.findings.iter().any(|f| f.workload == *workload && f.container.as_deref() == Some(container))
    }

    /// Whether anything was found for this workload.
    pub fn workload(&self, workload: &ObjectRef) -> bool {
        self.findings.iter().any(|f| f.workload == *workload)
    }

    /// What was found so far.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn take(&mut self, finding: Finding) {
        let claimed = match &finding.container {
            Some(container) => self.container(&finding.workload, container),
            None => self.findings.iter().any(|f| f.failure == finding.failure && f.workload == finding.workload),
        };
        if !claimed {
            self.findings.push(finding);
        }
    }
}

/// Everything that fails, cause before symptom.
pub fn detect(snapshot: &Snapshot) -> Vec<Incident> {
    let mut claims = Claims::default();
    for failure in ALL {
        for finding in failure.detect(snapshot, &claims) {
            claims.take(finding);
        }
    }
    let findings = claims.findings.into_iter().map(|f| held_by_node(f, snapshot)).collect();
    group(findings)
}

/// A finding whose pods all sit on a node that is not ready is the node's, not the workload's.
fn held_by_node(mut finding: Finding, snapshot: &Snapshot) -> Finding {
    let node_of = |id: &ObjectRef| {
        let pod = snapshot.pods.iter().find(|p| p.metadata.name == id.name && p.metadata.namespace == id.namespace)?;
        pod.spec.node_name.clone()
    };
    let nodes: Option<Vec<String>> = finding.pods.iter().map(node_of).collect();
    let Some(nodes) = nodes.filter(|nodes| !nodes.is_empty()) else { return finding };
    let broken = |name: &String| snapshot.nodes.iter().any(|n| n.metadata.name == *name && !n.is_ready());
    if nodes.iter().all(|node| node == &nodes[0] && broken(node)) {
        finding.shared = Some(Shared::Node(nodes[0].clone()));
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
pub fn pod_events<'s>(snapshot: &'s Snapshot, pod: &Pod, reason: &'s str) -> impl Iterator<Item = &'s Event> {
    let id = pod_ref(pod);
    let events: Vec<&Event> = snapshot.events_about(&id).filter(|e| e.reason == reason).collect();
    events.into_iter()
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
