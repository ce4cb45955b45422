//! Revisions in, the last healthy one and what changed since out: the strongest evidence there is.
//!
//! A Deployment keeps a ReplicaSet for each revision, a StatefulSet and a DaemonSet a ControllerRevision, a CronJob
//! the Jobs that succeeded. Each holds the whole pod template.

use jiff::SignedDuration;
use serde_json::Value;

use crate::case::{Change, Event, Evidence, Ground, Meta, ObjectRef, Operation, Snapshot, Timestamp, Workload};
use crate::diagnose::confidence::{AGREES, RAN_BEFORE, RUNS_NOW, ground};
use crate::diagnose::rollout;
use crate::diagnose::template::Template;
use crate::quantity::Quantity;
use crate::yaml::FieldPath;

/// A former state of a workload that worked.
#[derive(Clone, Debug)]
pub struct Healthy {
    /// What to call it: `revision 3`, `ControllerRevision search-849bc4ccb9`, `Job report-29924600`.
    pub name: String,
    pub template: Value,
    /// Why it counts as healthy.
    pub ground: Ground,
    /// When the revision of now was rolled out, or the one that followed this.
    pub replaced: Option<Timestamp>,
}

/// A field that differs between two templates.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Inside of the template: `spec.containers[name=app].image`.
    pub path: FieldPath,
    /// In the healthy template.
    pub old: Option<Value>,
    /// Now.
    pub new: Option<Value>,
}

/// Whether a failure is cured by going back.
#[derive(Clone, Debug)]
pub enum Revert {
    /// Exactly the blamed fields changed since the last healthy revision.
    Established { changes: Vec<Change>, differences: Vec<Difference>, healthy: Healthy },
    /// Among the fields that changed are blamed ones, but others, too.
    Several { differences: Vec<Difference>, healthy: Healthy },
    /// Fields changed, but none that this failure blames.
    Unrelated { differences: Vec<Difference>, healthy: Healthy },
    /// No earlier revision, or none that is known to have worked; or this one worked, too, so that the failure did not
    /// come with its rollout.
    NoHistory,
}

/// What changed since the last healthy revision, judged by which fields the failure blames.
///
/// `blamed` gets paths inside of the template. Annotations that only mark a rollout do not count: a restart writes one.
pub fn revert(evidence: &Evidence, workload: &ObjectRef, blamed: impl Fn(&FieldPath) -> bool) -> Revert {
    let snapshot = &evidence.snapshot;
    let (Some(template), Some(healthy)) = (Template::of(snapshot, workload), last_healthy(snapshot, workload)) else {
        return Revert::NoHistory;
    };
    if rollout::worked(evidence, workload).is_some() {
        return Revert::NoHistory;
    }
    let mut differences = differences(&healthy.template, &template.value);
    differences.retain(|d| !is_a_mark(d));
    if !differences.iter().any(|d| blamed(&d.path)) {
        return if differences.is_empty() { Revert::NoHistory } else { Revert::Unrelated { differences, healthy } };
    }
    if !differences.iter().all(|d| blamed(&d.path)) {
        return Revert::Several { differences, healthy };
    }
    let changes = differences.iter().map(|d| d.back(&template)).collect();
    Revert::Established { changes, differences, healthy }
}

/// An annotation that says when or from what a rollout was made. Any other may have an effect: `checksum/config` stands
/// for a ConfigMap that changed, others switch injectors on and off.
fn is_a_mark(difference: &Difference) -> bool {
    const MARKS: [&str; 11] = [
        "restart",
        "redeploy",
        "rollme",
        "timestamp",
        "deployed",
        "updated-at",
        "commit",
        "git-sha",
        "change-cause",
        "version",
        "build",
    ];
    let all = FieldPath::keys(&["metadata", "annotations"]);
    let said =
        |value: &Option<Value>| value.as_ref().and_then(Value::as_object).map(|map| map.keys().cloned().collect());
    if !difference.path.starts_with(&all) {
        return false;
    }
    // The map as a whole where one side has none of it.
    let keys: Vec<String> = if difference.path == all {
        said(&difference.old).or_else(|| said(&difference.new)).unwrap_or_default()
    } else {
        vec![difference.path.to_string()]
    };
    keys.iter().all(|key| MARKS.iter().any(|mark| key.to_lowercase().contains(mark)))
}

impl Difference {
    /// The change that restores the old value.
    pub fn back(&self, template: &Template) -> Change {
        let operation = match (&self.old, &self.new) {
            (Some(old), Some(new)) => Operation::Set { from: new.clone(), to: old.clone() },
            (Some(old), None) => Operation::Add { value: old.clone() },
            (None, new) => Operation::Remove { from: new.clone().unwrap_or(Value::Null) },
        };
        Change { object: template.workload.clone(), path: template.path(&self.path), operation }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "`{}` went from {old} to {new}", self.path),
            (Some(old), None) => write!(f, "`{}` is gone, which was {old}", self.path),
            (None, Some(new)) => write!(f, "`{}` is new: {new}", self.path),
            (None, None) => write!(f, "`{}`", self.path),
        }
    }
}

/// Whether no quantity among these changes grows: what asks for too much is not cured by asking for more.
pub fn asks_no_more(changes: &[Change]) -> bool {
    let grows = |c: &Change| match &c.operation {
        Operation::Set { from, to } => Quantity::of(to) > Quantity::of(from),
        _ => false,
    };
    !changes.iter().any(grows)
}

/// What a field of a workload's template was in its last healthy revision.
pub fn was<'h>(healthy: &'h Healthy, workload: &ObjectRef, field: &FieldPath) -> Option<&'h Value> {
    field.strip_prefix(&workload.template_path()?)?.get(&healthy.template)
}

/// The newest revision before the current one that is known to have worked.
pub fn last_healthy(snapshot: &Snapshot, workload: &ObjectRef) -> Option<Healthy> {
    match workload.kind.as_str() {
        "Deployment" => of_deployment(snapshot, workload),
        "StatefulSet" | "DaemonSet" => of_controller_revisions(snapshot, workload),
        "CronJob" => of_cron_job(snapshot, workload),
        _ => None,
    }
}

fn of_deployment(snapshot: &Snapshot, workload: &ObjectRef) -> Option<Healthy> {
    let mut sets: Vec<_> = snapshot.children_of(workload).filter(|set| set.revision().is_some()).collect();
    sets.sort_by_key(|set| std::cmp::Reverse(set.revision()));
    let ready = |set: &&Workload| set.status.ready_replicas.unwrap_or(0) > 0;
    // While an older one still serves, those between it and the newest never took over.
    let serves = sets.iter().skip(1).position(ready).unwrap_or(0);
    for pair in sets.windows(2).skip(serves) {
        let (next, set) = (pair[0], pair[1]);
        let name = format!("revision {}", set.revision().unwrap_or_default());
        let ready = set.status.ready_replicas.unwrap_or(0);
        let pods = |e: &Event| e.about.kind == "Pod" && e.about.name.starts_with(&format!("{}-", set.metadata.name));
        let ground = if ready > 0 {
            ground(RUNS_NOW, format!("{name} runs now with {ready} ready {}", if ready == 1 { "pod" } else { "pods" }))
        } else if let Some(ground) =
            worked_before(snapshot, &name, workload, pods, lived(&set.metadata, &next.metadata))
        {
            ground
        } else {
            // One that failed, too, is passed over: the one before it may have worked.
            continue;
        };
        // After a rollback the newest is an old object: then the time of the one that followed.
        let replaced = next.metadata.creation_timestamp.max(sets[0].metadata.creation_timestamp);
        let template = without_hash(set.pod_template());
        return Some(Healthy { name, template, ground, replaced });
    }
    None
}

fn of_controller_revisions(snapshot: &Snapshot, workload: &ObjectRef) -> Option<Healthy> {
    let object = snapshot.workload(workload)?;
    let owned = |m: &crate::case::Meta| {
        m.namespace == workload.namespace
            && m.controller().is_some_and(|o| o.kind == workload.kind && o.name == workload.name)
    };
    let mut revisions: Vec<_> = snapshot.revisions.iter().filter(|r| owned(&r.metadata)).collect();
    revisions.sort_by_key(|r| std::cmp::Reverse(r.revision));
    let current = object.status.update_revision.clone().or_else(|| Some(revisions.first()?.metadata.name.clone()))?;
    let replaced = revisions.iter().find(|r| r.metadata.name == current).and_then(|r| r.metadata.creation_timestamp);
    let former = revisions.iter().find(|r| r.metadata.name != current)?;
    let name = format!("ControllerRevision {}", former.metadata.name);
    // A StatefulSet moves `currentRevision` only when a rollout is done: this one was. But it begins with the first.
    let is_named = object.status.current_revision.as_deref() == Some(former.metadata.name.as_str());
    let lived =
        revisions.iter().find(|r| r.metadata.name == current).and_then(|r| lived(&former.metadata, &r.metadata));
    let ground = if is_named && (former.revision > 1 || lived.is_none_or(|lived| lived >= AN_ATTEMPT)) {
        ground(RUNS_NOW, format!("{name} is the last that was fully rolled out (status.currentRevision)"))
    } else {
        // Its pods had the names that those of now have: what was last seen before the change is theirs.
        let pods = |e: &Event| {
            let of_this = e.about.kind == "Pod" && e.about.name.starts_with(&format!("{}-", workload.name));
            of_this && e.last.zip(replaced).is_some_and(|(last, replaced)| last <= replaced)
        };
        worked_before(snapshot, &name, workload, pods, lived)?
    };
    Some(Healthy { name, template: former.pod_template(), ground, replaced })
}

fn of_cron_job(snapshot: &Snapshot, workload: &ObjectRef) -> Option<Healthy> {
    let complete =
        snapshot.children_of(workload).filter(|j| j.condition("Complete").is_some_and(|c| c.status == "True"));
    let job = complete.max_by_key(|job| job.metadata.creation_timestamp)?;
    let name = format!("Job {}", job.metadata.name);
    let ground = ground(RUNS_NOW, format!("{name} of the same CronJob succeeded"));
    let template = without_job_labels(job.pod_template());
    Some(Healthy { name, template, ground, replaced: job.status.completion_time })
}

/// What is replaced within this time was as likely an attempt that failed.
const AN_ATTEMPT: SignedDuration = SignedDuration::from_mins(30);

/// How long a revision was the newest, where the times tell: not after a rollback, which takes an old object again.
fn lived(revision: &Meta, next: &Meta) -> Option<SignedDuration> {
    let lived = next.creation_timestamp?.duration_since(revision.creation_timestamp?);
    (lived > SignedDuration::ZERO).then_some(lived)
}

/// Whether a run was made from the template that its CronJob has now.
pub fn is_made_from(job: &Workload, cron_job: &Workload) -> bool {
    let (then, now) = (without_job_labels(job.pod_template()), cron_job.pod_template());
    !then.is_object() || differences(&then, &now).iter().all(is_a_mark)
}

/// A revision that is scaled down: its pods are gone. It worked if nothing that is still recorded of it failed.
fn worked_before(
    snapshot: &Snapshot,
    name: &str,
    workload: &ObjectRef,
    is_its_pod: impl Fn(&Event) -> bool,
    lived: Option<SignedDuration>,
) -> Option<Ground> {
    let events: Vec<&Event> =
        snapshot.events.iter().filter(|e| e.about.namespace == workload.namespace && is_its_pod(e)).collect();
    let has_started = |kept: &Event| {
        let of_it = |e: &&&Event| e.reason == "Started" && e.about.name == kept.about.name;
        events.iter().filter(of_it).any(|start| start.last >= kept.last)
    };
    for event in &events {
        // One warning of a probe is a start, several are a probe that does not pass. What kept a pod from its start is over
        // when it starts.
        let failed = match event.reason.as_str() {
            "BackOff" | "Failed" | "Evicted" => true,
            "FailedMount" | "FailedScheduling" => !has_started(event),
            "Unhealthy" => event.count >= 5,
            _ => false,
        };
        if failed {
            return None;
        }
    }
    let started = events.iter().any(|event| event.reason == "Started");
    if !started && lived.is_some_and(|lived| lived < AN_ATTEMPT) {
        return None;
    }
    Some(if started {
        ground(RAN_BEFORE + 10, format!("{name} started and shows no failure in the events that are left of it"))
    } else {
        ground(AGREES, format!("{name} ran before; no event is left that says how"))
    })
}

/// A ReplicaSet's template carries a label that its Deployment's does not.
fn without_hash(mut template: Value) -> Value {
    remove_labels(&mut template, |label| label == "pod-template-hash");
    template
}

/// A Job's template carries labels that its CronJob's does not.
fn without_job_labels(mut template: Value) -> Value {
    remove_labels(&mut template, |label| label.ends_with("controller-uid") || label.ends_with("job-name"));
    template
}

fn remove_labels(template: &mut Value, which: impl Fn(&str) -> bool) {
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.retain(|label, _| !which(label));
    }
}

/// Every leaf that differs between two templates. Lists of named items are compared by name.
pub fn differences(old: &Value, new: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&FieldPath::root(), Some(old), Some(new), &mut found);
    found
}

fn compare(path: &FieldPath, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Difference>) {
    match (old, new) {
        (old, new) if is_nothing(old) && is_nothing(new) => {}
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let only_new = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(only_new) {
                compare(&path.clone().key(key), a.get(key), b.get(key), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() || all_names(a, b).is_some() => {
            compare_lists(path, a, b, found);
        }
        (old, new) => found.push(Difference { path: path.clone(), old: old.cloned(), new: new.cloned() }),
    }
}

/// By name where all items have one, else by number.
fn compare_lists(path: &FieldPath, a: &[Value], b: &[Value], found: &mut Vec<Difference>) {
    let Some(names) = all_names(a, b) else {
        for (i, (old, new)) in a.iter().zip(b).enumerate() {
            compare(&path.clone().index(i), Some(old), Some(new), found);
        }
        return;
    };
    let by_name = |list: &[Value], name: &str| list.iter().find(|v| v["name"] == name).cloned();
    for name in names {
        let item = path.clone().named(&name);
        compare(&item, by_name(a, &name).as_ref(), by_name(b, &name).as_ref(), found);
    }
}

/// The API server fills in empty maps; absent, null and empty mean the same.
fn is_nothing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    }
}

/// The names in two lists, in order, if every item of both has one and no name comes twice.
fn all_names(a: &[Value], b: &[Value]) -> Option<Vec<String>> {
    let names = |list: &[Value]| -> Option<Vec<String>> {
        let names: Vec<String> =
            list.iter().map(|v| v["name"].as_str().map(ToOwned::to_owned)).collect::<Option<_>>()?;
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        (unique.len() == names.len()).then_some(names)
    };
    let mut all = names(a)?;
    for name in names(b)? {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_name_the_leaf_and_not_the_list() {
        let old = json!({"spec": {"containers": [{"name": "app", "image": "a:1", "args": ["x", "y"]}], "securityContext": {}}});
        let new = json!({"spec": {"containers": [{"name": "app", "image": "a:2", "args": ["x", "z"]}]}});
        let paths: Vec<String> = differences(&old, &new).iter().map(|d| d.path.to_string()).collect();
        assert_eq!(paths, ["spec.containers[name=app].image", "spec.containers[name=app].args[1]"]);
    }

    #[test]
    fn a_list_that_grew_is_one_difference() {
        let old = json!({"args": ["x"]});
        let new = json!({"args": ["x", "y"]});
        assert_eq!(differences(&old, &new)[0].path.to_string(), "args");
    }

    #[test]
    fn a_named_item_that_is_gone_is_one_difference() {
        let old = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
        let new = json!({"env": [{"name": "A", "value": "1"}]});
        let found = differences(&old, &new);
        assert_eq!((found.len(), found[0].path.to_string().as_str()), (1, "env[name=B]"));
        assert!(found[0].new.is_none());
    }
}
