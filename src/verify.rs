//! A merged pull request of ours and what the cluster shows in, whether it helped out.
//!
//! Nothing is kept from look to look: the page of the pull request carries its [`Record`], and our comment on it says
//! whether an end was reached.

pub mod record;
mod say;
#[cfg(test)]
mod tests;

use jiff::SignedDuration;
use serde_json::Value;

pub use self::record::Record;
pub use self::say::{comment, is_final, issue};
use crate::case::{Change, Incident, ObjectRef, Operation, Snapshot, Timestamp, Workload};
use crate::quantity::Quantity;

/// A failure that is new must stand for so long before a change is called worse: rollouts have bad moments.
const STANDS: SignedDuration = SignedDuration::from_mins(2);

/// What verification waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Until the cluster has what was merged.
    Applied,
    /// Until every pod is made anew.
    Rollout,
    /// Until it was well for long enough.
    Soak,
}

/// What came of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not known yet; a sentence says what is missing.
    Waiting { stage: Stage, why: String },
    /// Applied, rolled out, and without the failure for the whole window.
    Cured,
    /// Applied, and it still fails; how.
    NotCured { why: String },
    /// Applied, and something fails that did not before; what.
    Worse { why: String },
}

impl Outcome {
    /// The word for logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Cured => "cured",
            Self::NotCured { .. } => "not-cured",
            Self::Worse { .. } => "worse",
        }
    }
}

/// What the cluster shows at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'s> {
    pub snapshot: &'s Snapshot,
    /// Everything that fails in it.
    pub incidents: &'s [Incident],
    /// How long it must be well, as policy says.
    pub window: SignedDuration,
    pub now: Timestamp,
}

/// What came of a pull request that was merged then.
pub fn verify(record: &Record, merged: Timestamp, seen: &Seen<'_>) -> Outcome {
    if let Some(why) = unapplied(record, merged, seen) {
        return Outcome::Waiting { stage: Stage::Applied, why };
    }
    let began = record.workloads.iter().map(|id| rolled_out(seen.snapshot, id)).fold(merged, Timestamp::max);
    if let Some(why) = worse(record, began, seen) {
        return Outcome::Worse { why };
    }
    let old = seen.incidents.iter().filter(|incident| incident.failure == record.failure);
    let old = old.flat_map(|incident| &incident.findings).find(|finding| record.workloads.contains(&finding.workload));
    let is_over = seen.now.duration_since(began) >= seen.window;
    match (old, rolling(record, seen.snapshot)) {
        (Some(finding), _) if is_over => {
            Outcome::NotCured { why: format!("{} {}", finding.workload, finding.symptom.trim_end_matches('.')) }
        }
        (_, Some(why)) => Outcome::Waiting { stage: Stage::Rollout, why },
        (Some(finding), None) => Outcome::Waiting {
            stage: Stage::Soak,
            why: format!("it is applied, and {} still shows {}", finding.workload, record.failure),
        },
        (None, None) => soaked(record, began, seen),
    }
}

/// Well for the whole window, counted anew from every start of a container.
fn soaked(record: &Record, began: Timestamp, seen: &Seen<'_>) -> Outcome {
    let well = record.workloads.iter().filter_map(|id| ready_since(seen.snapshot, id)).fold(began, Timestamp::max);
    if seen.now.duration_since(well) >= seen.window {
        return Outcome::Cured;
    }
    let until = well.checked_add(seen.window).unwrap_or(seen.now).strftime("%H:%M UTC");
    Outcome::Waiting {
        stage: Stage::Soak,
        why: format!("it is applied and rolled out; it has to stay well until {until}"),
    }
}

/// What of the changes the cluster does not have, in words that change only now and then.
fn unapplied(record: &Record, merged: Timestamp, seen: &Seen<'_>) -> Option<String> {
    let missing = record.changes.iter().find(|change| !is_live(seen.snapshot, change))?;
    let age = match seen.now.duration_since(merged).as_mins() {
        ..10 => "",
        10..60 => ", more than 10 minutes ago",
        60..1440 => ", more than an hour ago",
        _ => ", more than a day ago",
    };
    let is = match live(seen.snapshot, missing) {
        Live::Is(value) => format!("in the cluster it is {value}"),
        Live::Absent => "in the cluster it is not set".to_owned(),
        Live::Gone => "the object is not in the cluster".to_owned(),
        Live::Unseen => return None,
    };
    let at = merged.strftime("%H:%M UTC");
    Some(format!("merged at {at}{age}; `{}` of {} is not applied: {is}", missing.path, missing.object))
}

/// A field of the live object.
enum Live {
    Is(Value),
    Absent,
    /// There is no such object.
    Gone,
    /// What is kept of the object does not have the field.
    Unseen,
}

fn live(snapshot: &Snapshot, change: &Change) -> Live {
    let Some(template) = change.object.template_path() else { return Live::Unseen };
    let Some(workload) = snapshot.workload(&change.object) else { return Live::Gone };
    let Some(path) = change.path.strip_prefix(&template) else { return Live::Unseen };
    let template = workload.pod_template();
    path.get(&template).filter(|value| !value.is_null()).map_or(Live::Absent, |value| Live::Is(value.clone()))
}

/// Whether the cluster has a change. A field that is not seen counts as applied: then the failure alone decides.
fn is_live(snapshot: &Snapshot, change: &Change) -> bool {
    match (live(snapshot, change), &change.operation) {
        (Live::Unseen, _) => true,
        (Live::Absent, operation) => matches!(operation, Operation::Remove { .. }),
        (Live::Is(now), Operation::Set { to: value, .. } | Operation::Add { value }) => is_same(&now, value),
        (Live::Gone, _) | (Live::Is(_), Operation::Remove { .. }) => false,
    }
}

/// The API server writes quantities in a way of its own.
fn is_same(a: &Value, b: &Value) -> bool {
    a == b || matches!((Quantity::of(a), Quantity::of(b)), (Some(a), Some(b)) if a == b)
}

/// When the newest revision of a workload came to be.
fn rolled_out(snapshot: &Snapshot, id: &ObjectRef) -> Timestamp {
    let sets = snapshot.children_of(id).filter(|_| id.kind == "Deployment").map(|set| &set.metadata);
    let is_own = |owner: &crate::case::OwnerReference| owner.kind == id.kind && owner.name == id.name;
    let revisions = snapshot.revisions.iter().map(|revision| &revision.metadata);
    let revisions = revisions.filter(|meta| meta.namespace == id.namespace && meta.controller().is_some_and(is_own));
    sets.chain(revisions).filter_map(|meta| meta.creation_timestamp).max().unwrap_or(Timestamp::MIN)
}

/// What fails since the rollout and did not before, or how many are ready less.
fn worse(record: &Record, began: Timestamp, seen: &Seen<'_>) -> Option<String> {
    let others = seen.incidents.iter().filter(|incident| incident.failure != record.failure);
    let ours = others.flat_map(|i| &i.findings).filter(|finding| record.workloads.contains(&finding.workload));
    let mut new = ours.filter(|finding| {
        finding.since.is_some_and(|since| since >= began && seen.now.duration_since(since) >= STANDS)
    });
    // While it fails as before, whatever follows from that is not new.
    let as_before = seen.incidents.iter().filter(|incident| incident.failure == record.failure);
    let as_before = as_before.flat_map(|i| &i.findings).any(|f| record.workloads.contains(&f.workload));
    if let Some(finding) = new.next().filter(|_| !as_before) {
        return Some(format!("{} {}", finding.workload, finding.symptom.trim_end_matches('.')));
    }
    let before = record.ready?;
    let now = ready(seen.snapshot, &record.workloads)?;
    let is_over = seen.now.duration_since(began) >= seen.window.max(STANDS);
    (now < before && is_over).then(|| format!("{now} replicas are ready, and before the merge {before} were"))
}

/// How many pods of these are ready, where the cluster tells.
pub fn ready(snapshot: &Snapshot, workloads: &[ObjectRef]) -> Option<i64> {
    let count = |workload: &Workload| match workload.kind.as_str() {
        "Deployment" | "StatefulSet" => Some(workload.status.ready_replicas.unwrap_or(0)),
        "DaemonSet" => Some(workload.status.number_ready.unwrap_or(0)),
        _ => None,
    };
    workloads.iter().map(|id| count(snapshot.workload(id)?)).sum()
}

/// Why a rollout is not done.
fn rolling(record: &Record, snapshot: &Snapshot) -> Option<String> {
    record.workloads.iter().find_map(|id| {
        let workload = snapshot.workload(id)?;
        let (status, generation) = (&workload.status, workload.metadata.generation.unwrap_or(0));
        if status.observed_generation.is_some_and(|observed| observed < generation) {
            return Some(format!("it is applied, and the cluster has not begun to roll out {id}"));
        }
        let (updated, well, wanted) = match workload.kind.as_str() {
            "Deployment" | "StatefulSet" => {
                (status.updated_replicas, status.ready_replicas, workload.spec.replicas.unwrap_or(1))
            }
            "DaemonSet" => {
                (status.updated_number_scheduled, status.number_ready, status.desired_number_scheduled.unwrap_or(0))
            }
            _ => return None,
        };
        let (updated, well) = (updated.unwrap_or(0), well.unwrap_or(0));
        (updated.min(well) < wanted)
            .then(|| format!("it is applied; of the {wanted} pods of {id} {updated} are new and {well} are ready"))
    })
}

/// Since when all pods of a workload are ready, as far as they tell.
fn ready_since(snapshot: &Snapshot, id: &ObjectRef) -> Option<Timestamp> {
    let ready = snapshot.pods_of(id).flat_map(|pod| &pod.status.conditions).filter(|c| c.r#type == "Ready");
    ready.filter_map(|condition| condition.last_transition_time).max()
}
