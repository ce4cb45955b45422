//! Pods that the API server refuses to create. No pod carries the cause: it is on the controller, as a condition
//! (Deployment, ReplicaSet) and as events (all kinds).

use jiff::SignedDuration;

use crate::case::{Event, ObjectRef, Snapshot, Timestamp, Workload};
use crate::detect::counts;

/// Controllers try again with growing pauses, up to about a quarter of an hour.
const RETRY: SignedDuration = SignedDuration::from_mins(20);
/// A refusal that is over after this long was an object applied a moment later.
const GRACE: SignedDuration = SignedDuration::from_secs(30);

/// A workload whose pods are refused.
#[derive(Clone, Debug)]
pub struct FailedCreate {
    pub workload: ObjectRef,
    /// The API server's words, without what differs from one pod to the next: "exceeded quota: pods, ...".
    pub message: String,
    /// How often, as far as events tell.
    pub times: i64,
    pub since: Option<Timestamp>,
}

/// Every workload whose pods are refused now.
pub fn failed_creates(snapshot: &Snapshot) -> Vec<FailedCreate> {
    let mut all: Vec<FailedCreate> =
        snapshot.workloads.iter().filter_map(|workload| of_controller(snapshot, workload)).collect();
    // A Deployment repeats what its ReplicaSet says; a CronJob's Jobs are one.
    all.sort_by(|a, b| a.workload.cmp(&b.workload).then(b.times.cmp(&a.times)));
    all.dedup_by(|a, b| a.workload == b.workload);
    all
}

/// A controller that makes pods itself (ReplicaSet, StatefulSet, DaemonSet, Job), or a Deployment whose ReplicaSets
/// the snapshot does not hold.
fn of_controller(snapshot: &Snapshot, workload: &Workload) -> Option<FailedCreate> {
    if workload.metadata.deletion_timestamp.is_some() || !lacks_pods(snapshot, workload) {
        return None;
    }
    let id = workload.id();
    let root = snapshot.root_owner(&id);
    if !counts(snapshot, &id) || !counts(snapshot, &root) {
        return None;
    }
    let events: Vec<&Event> = snapshot
        .events_about(&id)
        .filter(|e| e.reason == "FailedCreate")
        .filter(|e| e.last.is_none_or(|last| snapshot.taken.duration_since(last) <= RETRY))
        .collect();
    let condition = workload.condition("ReplicaFailure").filter(|c| c.status == "True");
    let condition = condition.filter(|c| c.reason.as_deref() == Some("FailedCreate"));
    let newest = events.iter().max_by_key(|e| e.last);
    let message = condition.and_then(|c| c.message.as_deref()).or_else(|| newest.map(|e| e.message.as_str()))?;
    let times: i64 = events.iter().map(|e| e.count).sum();
    let first = events.iter().filter_map(|e| e.first.or(e.last)).min();
    let since = condition.and_then(|c| c.last_transition_time).or(first);
    let lasts = since.is_some_and(|since| snapshot.taken.duration_since(since) >= GRACE);
    (lasts || times >= 3).then(|| FailedCreate { workload: root, message: without_pod(message), times, since })
}

/// Whether it has fewer pods than it wants.
fn lacks_pods(snapshot: &Snapshot, workload: &Workload) -> bool {
    let status = &workload.status;
    match workload.kind.as_str() {
        "ReplicaSet" | "StatefulSet" => status.replicas.unwrap_or(0) < workload.spec.replicas.unwrap_or(1),
        "Deployment" => {
            let lacks = status.replicas.unwrap_or(0) < workload.spec.replicas.unwrap_or(1);
            lacks && snapshot.children_of(&workload.id()).next().is_none()
        }
        "DaemonSet" => {
            let pods = snapshot.pods_of(&workload.id()).count();
            i64::try_from(pods).is_ok_and(|pods| pods < status.desired_number_scheduled.unwrap_or(0))
        }
        "Job" => {
            let ended =
                ["Complete", "Failed"].iter().any(|c| workload.condition(c).is_some_and(|c| c.status == "True"));
            !ended && snapshot.pods_of(&snapshot.root_owner(&workload.id())).next().is_none()
        }
        _ => false,
    }
}

/// What comes after `Error creating: pods "web-5f9-x2x4q" is forbidden: `, each part of it if it is there.
fn without_pod(message: &str) -> String {
    let message = message.strip_prefix("Error creating: ").unwrap_or(message);
    let message = match message.split_once(" failed error: ") {
        Some((before, after)) if before.starts_with("create Pod ") => after,
        _ => message,
    };
    let own = message.strip_prefix("pods \"").and_then(|rest| rest.split_once("\" is forbidden: "));
    own.map_or(message, |(_, cause)| cause).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_what_is_the_same_for_every_pod() {
        for message in [
            "Error creating: pods \"web-6d-x\" is forbidden: exceeded quota: pods, requested: pods=1",
            "create Pod db-0 in StatefulSet db failed error: pods \"db-0\" is forbidden: exceeded quota: pods, requested: pods=1",
            "pods \"web-6d-x\" is forbidden: exceeded quota: pods, requested: pods=1",
        ] {
            assert_eq!(without_pod(message), "exceeded quota: pods, requested: pods=1");
        }
    }
}
