#![doc = include_str!("node_not_ready.md")]

use std::collections::BTreeMap;

use crate::case::{Diagnosis, Evidence, FailureId, Finding, Node, ObjectRef, Pod, Shared};
use crate::detect::{Claims, Look, count, pod_ref};
use crate::failures::Failure;
use crate::review::policy::Policy;

/// The pods of a workload are not ready, because the node that they run on is not.
pub struct NodeNotReady;

const ID: FailureId = FailureId("node-not-ready");

impl Failure for NodeNotReady {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("node_not_ready.md")
    }

    fn detect(&self, look: &Look<'_>, claims: &Claims) -> Vec<Finding> {
        let silent = look.nodes.iter().filter(|node| !node.is_ready());
        let silent: BTreeMap<&str, &Node> = silent.map(|node| (node.metadata.name.as_str(), node)).collect();
        if silent.is_empty() {
            return Vec::new();
        }
        let unclaimed = look.pods_by_workload().filter(|(workload, _)| !claims.workload(workload));
        unclaimed.filter_map(|(workload, pods)| finding(workload, &pods, &silent)).collect()
    }

    /// What sits on a node that is not ready is diagnosed as the node's, whatever the failure; when this is asked, the
    /// node is back, and there is nothing to say.
    fn diagnose(&self, _: &Evidence, _: &Policy) -> Option<Diagnosis> {
        None
    }
}

/// The node that most of the pods wait for, if any does.
fn finding(workload: &ObjectRef, pods: &[&Pod], silent: &BTreeMap<&str, &Node>) -> Option<Finding> {
    let mut waiting: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in pods.iter().copied().filter(|pod| is_not_ready(pod)) {
        if let Some(node) = pod.spec.node_name.as_deref().filter(|node| silent.contains_key(node)) {
            waiting.entry(node).or_default().push(pod);
        }
    }
    let (node, hit) = waiting.into_iter().max_by_key(|(_, pods)| pods.len())?;
    let since = silent[node].status.conditions.iter().find(|c| c.r#type == "Ready");
    Some(Finding {
        failure: ID,
        workload: workload.clone(),
        container: None,
        symptom: format!("has {} on node {node}, which is not ready", count(hit.len(), "pod")),
        since: since.and_then(|condition| condition.last_transition_time),
        pods: hit.into_iter().map(pod_ref).collect(),
        shared: Some(Shared::Node(node.to_owned())),
    })
}

/// The node controller sets `Ready` of a silent node's pods to `False`; one that ended or is being deleted does not count.
fn is_not_ready(pod: &Pod) -> bool {
    let ended = matches!(pod.status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let ready = pod.status.conditions.iter().find(|c| c.r#type == "Ready");
    !ended && pod.metadata.deletion_timestamp.is_none() && ready.is_some_and(|c| c.status != "True")
}
