#![doc = include_str!("rollout_stuck.md")]

use jiff::SignedDuration;
use serde_json::Value;

use crate::case::{
    Cure, Diagnosis, Evidence, FailureId, Finding, Ground, ObjectRef, Pod, Quote, Snapshot, Timestamp, Workload,
};
use crate::detect::{Claims, Look, count, counts, pod_ref};
use crate::diagnose::assemble::newest_pods;
use crate::diagnose::confidence::{ONLY_DIFFERENCE, STATUS_NAMES_IT, ground};
use crate::diagnose::history::{Difference, Healthy, Revert, revert};
use crate::diagnose::{back_in_words, next, person, rule};
use crate::failures::Failure;
use crate::review::policy::Policy;

/// A rollout does not get on, and nothing more specific says why.
pub struct RolloutStuck;

const ID: FailureId = FailureId("rollout-stuck");

/// How long a rollout without a deadline of its own may stand still: a Deployment's default deadline.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

impl Failure for RolloutStuck {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("rollout_stuck.md")
    }

    fn detect(&self, look: &Look<'_>, claims: &Claims) -> Vec<Finding> {
        let stuck = look.workloads.iter().filter_map(|workload| finding(workload, look));
        stuck.filter(|finding| !is_explained(&finding.workload, look, claims)).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let (snapshot, id) = (&*evidence.snapshot, &evidence.incident.first().workload);
        let workload = snapshot.workload(id)?;
        if let Some(why) = ready_and_waiting(snapshot, workload) {
            let cause = "the new pods are ready, and the rollout waits all the same".to_owned();
            let mut commands = commands(id);
            commands.push(format!("kubectl get pods,poddisruptionbudgets -n {}", id.ns()));
            return Some(person(cause, because(evidence), grounds(workload), why, commands));
        }
        match revert(evidence, id, |_| true) {
            Revert::Established { changes, differences, healthy } if differences.len() == 1 => {
                let mut grounds = grounds(workload);
                grounds.push(healthy.ground.clone());
                grounds.push(ground(ONLY_DIFFERENCE, format!("nothing else changed since {}", healthy.name)));
                let cause = format!("the pods of the last change do not get ready: {}", words(&differences));
                let help = back_in_words(&differences, &healthy.name);
                let cure = Cure::Revert { changes, help, revision: healthy.name };
                Some(rule(cause, because(evidence), grounds, cure))
            }
            Revert::Established { differences, healthy, .. }
            | Revert::Several { differences, healthy }
            | Revert::Unrelated { differences, healthy } => Some(several(evidence, workload, &differences, &healthy)),
            Revert::NoHistory => Some(unknown(evidence, workload)),
        }
    }
}

/// Whether a finding exists for the workload, or for something that its pods wait for.
fn is_explained(id: &ObjectRef, snapshot: &Snapshot, claims: &Claims) -> bool {
    claims.workload(id) || snapshot.pods_of(id).any(|pod| claims.pod(&pod_ref(pod)))
}

fn finding(workload: &Workload, snapshot: &Snapshot) -> Option<Finding> {
    if workload.spec.paused == Some(true) || workload.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let (symptom, since) = match workload.kind.as_str() {
        "Deployment" => deployment_stands(workload)?,
        "StatefulSet" | "DaemonSet" => set_stands(workload, snapshot)?,
        _ => return None,
    };
    let id = workload.id();
    if !counts(snapshot, &id) {
        return None;
    }
    let pods = newest_pods(not_ready(&new_pods(snapshot, workload)));
    Some(Finding { failure: ID, workload: id, container: None, symptom, since, pods, shared: None })
}

/// The Deployment controller says so itself, after `progressDeadlineSeconds`.
fn deployment_stands(workload: &Workload) -> Option<(String, Option<Timestamp>)> {
    let condition = workload.condition("Progressing").filter(|c| c.status == "False")?;
    if condition.reason.as_deref() != Some("ProgressDeadlineExceeded") {
        return None;
    }
    let status = &workload.status;
    let wants = workload.spec.replicas.unwrap_or(1);
    let (updated, available) = (status.updated_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0));
    let done = updated >= wants && available >= wants && status.replicas.unwrap_or(0) == updated;
    let symptom = format!("does not finish its rollout: {updated} of {wants} pods are new, {available} available");
    (!done).then_some((symptom, condition.last_transition_time))
}

/// StatefulSets and DaemonSets have no condition: their numbers differ, and no pod was made for a while.
fn set_stands(workload: &Workload, snapshot: &Snapshot) -> Option<(String, Option<Timestamp>)> {
    let (status, strategy) = (&workload.status, workload.spec.update_strategy.value());
    let by_hand = strategy["type"] == "OnDelete";
    let partitioned = strategy.pointer("/rollingUpdate/partition").and_then(Value::as_i64).unwrap_or(0) > 0;
    let (updated, wants, ready) = if workload.kind == "StatefulSet" {
        if status.update_revision.is_none() || status.update_revision == status.current_revision {
            return None;
        }
        (status.updated_replicas?, workload.spec.replicas.unwrap_or(1), status.ready_replicas.unwrap_or(0))
    } else {
        let wants = status.desired_number_scheduled?;
        (status.updated_number_scheduled.unwrap_or(0), wants, status.number_ready.unwrap_or(0))
    };
    let is_rolling = if workload.kind == "StatefulSet" { updated < wants || ready < wants } else { updated < wants };
    if by_hand || partitioned || !is_rolling || ready >= wants {
        return None; // pods that are all ready are being replaced, one after another
    }
    let id = workload.id();
    let made = snapshot.pods_of(&id).filter_map(|p| p.metadata.creation_timestamp).max();
    let revision = snapshot.revisions.iter().filter(|r| {
        r.metadata.namespace == id.namespace
            && r.metadata.controller().is_some_and(|o| o.kind == id.kind && o.name == id.name)
    });
    let last = revision.filter_map(|r| r.metadata.creation_timestamp).max().max(made)?;
    let symptom = format!("does not finish its rollout: {updated} of {wants} pods are new, {ready} ready");
    (snapshot.taken.duration_since(last) >= PATIENCE).then_some((symptom, Some(last)))
}

/// Pods of the newest template; all pods where that cannot be told.
fn new_pods<'s>(snapshot: &'s Snapshot, workload: &Workload) -> Vec<&'s Pod> {
    let id = workload.id();
    let newest = snapshot.children_of(&id).max_by_key(|set| set.revision()).map(|set| set.metadata.name.clone());
    let revision = workload.status.update_revision.clone();
    let is_new = |pod: &&Pod| match (&newest, &revision) {
        (Some(set), _) => pod.metadata.controller().is_some_and(|o| o.name == *set),
        (None, Some(revision)) => pod.metadata.labels.get("controller-revision-hash") == Some(revision),
        (None, None) => true,
    };
    snapshot.pods_of(&id).filter(|p| p.metadata.deletion_timestamp.is_none()).filter(is_new).collect()
}

fn not_ready<'s>(pods: &[&'s Pod]) -> Vec<&'s Pod> {
    let ready = |pod: &Pod| pod.status.conditions.iter().any(|c| c.r#type == "Ready" && c.status == "True");
    pods.iter().filter(|pod| !ready(pod)).copied().collect()
}

/// The template is not at fault when its pods are ready: then the rollout waits for something else.
fn ready_and_waiting(snapshot: &Snapshot, workload: &Workload) -> Option<String> {
    let new = new_pods(snapshot, workload);
    if new.is_empty() || !not_ready(&new).is_empty() {
        return None;
    }
    let wait = workload.spec.min_ready_seconds.filter(|seconds| *seconds > 0);
    Some(wait.map_or_else(
        || "old pods that do not end, a PodDisruptionBudget, or `maxUnavailable: 0` without room for one more pod: which of them holds it is not to be seen".to_owned(),
        |seconds| format!("a new pod counts only after it was ready for {seconds} s (`minReadySeconds`): is that longer than `progressDeadlineSeconds`?"),
    ))
}

fn because(evidence: &Evidence) -> Vec<Option<Quote>> {
    let condition = evidence.quote("ProgressDeadlineExceeded");
    let id = &evidence.incident.first().workload;
    let told = |item: &crate::case::Item| item.source == crate::case::ItemSource::Status(id.clone());
    vec![condition.or_else(|| evidence.quote_item(told))]
}

fn grounds(workload: &Workload) -> Vec<Ground> {
    let said = if workload.kind == "Deployment" {
        "the Deployment says that its deadline has passed"
    } else {
        "pods of the new revision are not ready, and none was made for 10 minutes"
    };
    vec![ground(STATUS_NAMES_IT, said)]
}

fn words(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn commands(id: &ObjectRef) -> Vec<String> {
    vec![format!("kubectl rollout status {} {} -n {}", id.kind.to_lowercase(), id.name, id.ns()), next::describe(id)]
}

fn several(evidence: &Evidence, workload: &Workload, differences: &[Difference], healthy: &Healthy) -> Diagnosis {
    let id = workload.id();
    let cause = format!("the pods of the last change do not get ready; since {} {}", healthy.name, words(differences));
    let why = format!(
        "{} changed since {}, and nothing says which of them is the cause",
        count(differences.len(), "field"),
        healthy.name
    );
    let mut commands = commands(&id);
    commands.push(next::rollout_history(&id));
    person(cause, because(evidence), grounds(workload), why, commands)
}

fn unknown(evidence: &Evidence, workload: &Workload) -> Diagnosis {
    let cause = "the pods do not get ready, and they do not say why".to_owned();
    let why = "no earlier revision is known to have worked, so there is nothing to compare with".to_owned();
    person(cause, because(evidence), grounds(workload), why, commands(&workload.id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BEFORE, NOW, changes, deployment, found, object, pod, replica_set, taken, work};
    use serde_json::json;

    fn spec(gate: &str, image: &str) -> Value {
        json!({"readinessGates": [{"conditionType": gate}], "containers": [{"name": "app", "image": image}]})
    }

    fn cluster(new: &Value, old: Option<&Value>, ready: &str) -> Value {
        let condition = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastTransitionTime": BEFORE});
        let status =
            json!({"status": {"replicas": 2, "updatedReplicas": 1, "availableReplicas": 1, "conditions": [condition]}});
        let running = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [{"name": "app", "ready": true}]});
        let mut all = vec![
            taken(),
            deployment("web", new, &status),
            replica_set("web", 2, 0, new, &json!({"status": {"replicas": 1}})),
            pod("web-2", new, &running),
        ];
        all.extend(old.map(|old| replica_set("web", 1, 1, old, &json!({}))));
        Value::from(all)
    }

    #[test]
    fn the_one_field_that_changed_goes_back() {
        let all = cluster(&spec("lb/new", "a:1"), Some(&spec("lb/old", "a:1")), "False");
        let (_, diagnosis) = work(ID.0, &all, &[]);
        assert_eq!(
            changes(&diagnosis),
            [r#"spec.template.spec.readinessGates[0].conditionType: "lb/new" -> "lb/old""#]
        );
        assert!(diagnosis.unwrap().confidence >= 80);
    }

    #[test]
    fn of_two_changed_fields_both_are_named_and_none_goes_back() {
        let (_, diagnosis) = work(ID.0, &cluster(&spec("lb/new", "a:2"), Some(&spec("lb/old", "a:1")), "False"), &[]);
        let diagnosis = diagnosis.unwrap();
        assert!(
            diagnosis.changes().is_empty() && diagnosis.cause.contains("a:2") && diagnosis.cause.contains("lb/new")
        );
    }

    #[test]
    fn new_pods_that_are_ready_are_not_the_templates_fault() {
        let (_, diagnosis) = work(ID.0, &cluster(&spec("lb/new", "a:1"), Some(&spec("lb/old", "a:1")), "True"), &[]);
        assert!(changes(&diagnosis).is_empty());
    }

    #[test]
    fn a_paused_or_finished_rollout_and_one_that_another_finding_explains_are_none() {
        let mut paused = cluster(&spec("lb/new", "a:1"), None, "False");
        paused[1]["spec"]["paused"] = true.into();
        assert_eq!(found(&paused), []);
        let mut done = cluster(&spec("lb/new", "a:1"), None, "False");
        done[1]["status"]["replicas"] = 1.into();
        assert_eq!(found(&done), []);
        let mut explained = cluster(&spec("lb/new", "a:1"), None, "False");
        explained[3]["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: x", "lastTransitionTime": BEFORE}]);
        let failures: Vec<&str> = found(&explained).iter().map(|f| f.failure.0).collect();
        assert_eq!(failures, ["unschedulable"]);
    }

    #[test]
    fn a_daemonset_that_still_makes_pods_is_rolling_and_not_stuck() {
        let status = json!({"spec": {"template": {"spec": {}}}, "status": {"desiredNumberScheduled": 3, "updatedNumberScheduled": 1, "numberReady": 2}});
        let owner = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "controller": true}]);
        let mut all = json!([
            taken(),
            object("apps/v1", "DaemonSet", "agent", &status),
            object("v1", "Pod", "agent-x", &json!({"metadata": {"ownerReferences": owner, "creationTimestamp": NOW}}))
        ]);
        assert_eq!(found(&all), []);
        all[2]["metadata"]["creationTimestamp"] = BEFORE.into();
        let (_, diagnosis) = work(ID.0, &all, &[]);
        assert!(changes(&diagnosis).is_empty());
    }
}
