//! The containers that count, with every pod they run in.
//!
//! Left out are pods that are going away, that ended as they should, that a newer ReplicaSet has replaced, that an
//! older run of a CronJob left behind, and mirror pods: their failures are no failures of what Git declares.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::case::{ContainerSpec, ContainerStatus, Finding, ObjectRef, Pod, Snapshot, Terminated, Timestamp, Workload};

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the others start.
    Init,
    /// An init container with `restartPolicy: Always`: runs beside the others.
    Sidecar,
    App,
}

/// One container in one pod.
#[derive(Clone, Copy, Debug)]
pub struct Instance<'s> {
    pub pod: &'s Pod,
    pub spec: Option<&'s ContainerSpec>,
    pub status: &'s ContainerStatus,
}

/// One container of one workload, in all of its pods.
#[derive(Clone, Debug)]
pub struct Container<'s> {
    pub workload: ObjectRef,
    pub name: &'s str,
    pub role: Role,
    /// Newest pod first.
    pub instances: Vec<Instance<'s>>,
}

impl<'s> Instance<'s> {
    /// The last time that it ended: now, or before the current run.
    pub fn last_end(&self) -> Option<&'s Terminated> {
        self.status.state.terminated.as_deref().or(self.status.last_state.terminated.as_deref())
    }

    /// How often it has ended.
    pub fn ends(&self) -> i64 {
        self.status.restart_count + i64::from(self.status.state.terminated.is_some())
    }

    /// Whether its last end bears on now: it does not run, or ended within the last ten minutes, or is not ready
    /// and has not yet run for as long as the run that ended.
    ///
    /// `lastState` is kept for ever: a container that was killed last week and runs now is healthy, or fails for
    /// another reason.
    pub fn is_recent(&self, taken: Timestamp) -> bool {
        let Some(running) = &self.status.state.running else { return true };
        let Some(end) = self.last_end() else { return false };
        let window = SignedDuration::from_mins(10);
        if end.finished_at.is_some_and(|at| taken.duration_since(at) <= window) {
            return true;
        }
        let last_run = end.finished_at.zip(end.started_at).map(|(to, from)| to.duration_since(from));
        let this_run = running.started_at.map(|from| taken.duration_since(from));
        !self.status.ready && this_run.zip(last_run).is_some_and(|(this, last)| this <= last)
    }

    pub fn waiting_reason(&self) -> &'s str {
        self.status.state.waiting.as_ref().and_then(|w| w.reason.as_deref()).unwrap_or("")
    }

    pub fn waiting_message(&self) -> &'s str {
        self.status.state.waiting.as_ref().and_then(|w| w.message.as_deref()).unwrap_or("")
    }
}

/// The pods that count, by workload, in the order of the workloads.
pub(super) fn pods(snapshot: &Snapshot) -> Vec<(&ObjectRef, Vec<&Pod>)> {
    let counted = snapshot.pods_by_workload().filter(|(workload, _)| counts(snapshot, workload));
    let mut all: Vec<_> = counted.map(|(workload, pods)| (workload, current_pods(snapshot, workload, pods))).collect();
    all.sort_by_key(|(workload, _)| *workload);
    all
}

/// The container that a finding is about.
pub fn container_of<'s>(snapshot: &'s Snapshot, finding: &Finding) -> Option<Container<'s>> {
    let pods = snapshot.pods_of(&finding.workload).collect();
    let current = current_pods(snapshot, &finding.workload, pods);
    of_workload(&finding.workload, &current).into_iter().find(|c| Some(c.name) == finding.container.as_deref())
}

/// All containers that count.
pub fn containers(snapshot: &Snapshot) -> Vec<Container<'_>> {
    all_containers(&pods(snapshot))
}

/// The containers of pods that are in the order of their workloads: they are in that order, too, and by name.
pub(super) fn all_containers<'s>(pods: &[(&'s ObjectRef, Vec<&'s Pod>)]) -> Vec<Container<'s>> {
    pods.iter().flat_map(|(workload, pods)| of_workload(workload, pods)).collect()
}

/// The containers of one workload's pods, by name.
fn of_workload<'s>(workload: &ObjectRef, current: &[&'s Pod]) -> Vec<Container<'s>> {
    let mut by_name: BTreeMap<&str, (Role, Vec<Instance<'_>>)> = BTreeMap::new();
    for pod in current {
        for (role, spec, status) in statuses(pod) {
            let entry = by_name.entry(&status.name).or_insert((role, Vec::new()));
            entry.1.push(Instance { pod, spec, status });
        }
    }
    let container = |(name, (role, mut instances)): (&'s str, (Role, Vec<Instance<'s>>))| {
        instances.sort_by_key(|i| std::cmp::Reverse(i.pod.metadata.creation_timestamp));
        Container { workload: workload.clone(), name, role, instances }
    };
    by_name.into_iter().map(container).collect()
}

/// Whether anyone wants this workload to run.
pub fn counts(snapshot: &Snapshot, id: &ObjectRef) -> bool {
    if id.kind == "Node" {
        return false; // mirror pods: their file lies on the node
    }
    let Some(workload) = snapshot.workload(id) else { return true };
    let scaled_to_zero = workload.spec.replicas == Some(0);
    let suspended = workload.spec.suspend == Some(true);
    let complete = workload.kind == "Job" && is_complete(workload);
    !(scaled_to_zero || suspended || complete)
}

/// Whether a Job has ended as it should.
fn is_complete(job: &Workload) -> bool {
    job.condition("Complete").is_some_and(|c| c.status == "True")
}

/// The pods of the workload's current state.
fn current_pods<'s>(snapshot: &'s Snapshot, workload: &ObjectRef, pods: Vec<&'s Pod>) -> Vec<&'s Pod> {
    let mut pods: Vec<&Pod> = pods.into_iter().filter(|pod| is_alive(pod, workload)).collect();
    let owned_by =
        |pod: &Pod, owner: &Workload| pod.metadata.controller().is_some_and(|o| o.name == owner.metadata.name);
    match workload.kind.as_str() {
        "Deployment" => {
            // Once the newest ReplicaSet serves or has a pod, what the older ones show is on its way out: a rollout
            // may be the cure of just that.
            let newest = snapshot.children_of(workload).max_by_key(|rs| rs.revision());
            let has_pods = |rs: &&Workload| rs.revision().is_some() && pods.iter().any(|pod| owned_by(pod, rs));
            if let Some(newest) = newest.filter(|rs| rs.status.ready_replicas.unwrap_or(0) > 0 || has_pods(rs)) {
                pods.retain(|pod| owned_by(pod, newest));
            }
        }
        "CronJob" => {
            // A CronJob keeps a failed Job for days: only the newest run says how it is.
            if let Some(newest) = snapshot.children_of(workload).max_by_key(|job| job.metadata.creation_timestamp) {
                pods.retain(|pod| !is_complete(newest) && owned_by(pod, newest));
            }
        }
        _ => {}
    }
    pods
}

/// Whether what a pod shows is its own failure: not one that is being deleted (a drain looks like a kill), that
/// succeeded, or that was thrown out as a whole (an eviction has a failure of its own).
fn is_alive(pod: &Pod, workload: &ObjectRef) -> bool {
    let phase = pod.status.phase.as_deref();
    let keeps_failed_pods = matches!(workload.kind.as_str(), "Job" | "CronJob" | "Pod");
    pod.metadata.deletion_timestamp.is_none()
        && phase != Some("Succeeded")
        && (phase != Some("Failed") || (keeps_failed_pods && pod.status.reason.is_none()))
}

/// Every container of a pod that has a status.
fn statuses(pod: &Pod) -> impl Iterator<Item = (Role, Option<&ContainerSpec>, &ContainerStatus)> {
    let init = pod.status.init_container_statuses.iter().map(|status| {
        let spec = pod.spec.init_containers.iter().find(|c| c.name == status.name);
        let sidecar = spec.is_some_and(|c| c.restart_policy.as_deref() == Some("Always"));
        (if sidecar { Role::Sidecar } else { Role::Init }, spec, status)
    });
    let app = pod
        .status
        .container_statuses
        .iter()
        .map(|status| (Role::App, pod.spec.containers.iter().find(|c| c.name == status.name), status));
    init.chain(app)
}
