//! Evidence in, diagnosis out: a rule first, a model's answer second.

pub mod answer;
pub mod assemble;
pub mod changes;
pub mod confidence;
pub mod environment;
pub mod history;
pub mod image;
pub mod injection;
pub mod logs;
pub mod near;
pub mod next;
pub mod nodes;
pub mod objects;
pub mod probes;
pub mod question;
pub mod raise;
pub mod references;
pub mod rollout;
pub mod services;
pub mod template;
pub mod unapplied;
pub mod vocabulary;

use crate::case::{Cure, Declined, Diagnosis, Evidence, Ground, Origin, Quote, Shared};
use crate::failures;
use crate::review::policy::Policy;

/// Why it fails and what cures it, as far as a rule establishes it.
///
/// A cause outside of the repository is a diagnosis, too: one whose cure is a person.
pub fn diagnose(evidence: &Evidence, policy: &Policy) -> Result<Diagnosis, Declined> {
    if let Some(quote) = injection::suspected(evidence) {
        return Err(Declined::InjectionSuspected { quote });
    }
    if let Some(Shared::Node(node)) = &evidence.incident.shared
        && evidence.snapshot.nodes.iter().any(|n| n.metadata.name == *node && !n.is_ready())
    {
        return Ok(node_is_down(evidence, node));
    }
    if let Some(outdated) = rollout::outdated(evidence) {
        return Ok(outdated);
    }
    let failure = failures::by_id(evidence.incident.failure.0);
    let diagnosis = failure.and_then(|f| f.diagnose(evidence, policy)).ok_or_else(|| undiagnosed(evidence));
    diagnosis.map(|diagnosis| unapplied::held(evidence, doubted(evidence, diagnosis))).map(|mut diagnosis| {
        let of_job = evidence.incident.first().workload.kind == "Job" && !diagnosis.changes().is_empty();
        if of_job && !diagnosis.notes.iter().any(|note| note == MADE_ANEW) {
            diagnosis.notes.push(MADE_ANEW.to_owned());
        }
        diagnosis.notes.extend(not_replaced(evidence).filter(|_| !diagnosis.changes().is_empty()));
        diagnosis
    })
}

/// A StatefulSet waits until a pod is ready before it touches it, also when its template has been mended ("Forced
/// rollback" in the documentation of StatefulSets).
fn not_replaced(evidence: &Evidence) -> Option<String> {
    let finding = evidence.incident.first();
    let pod = finding.pods.first().filter(|_| finding.workload.kind == "StatefulSet")?;
    let delete = format!("kubectl delete pod {}{}", pod.name, next::flag(pod.namespace.as_deref()));
    Some(format!(
        "a StatefulSet does not replace a pod that never becomes ready, even when its template is mended: if {} is \
         still there after the merge, `{delete}`",
        pod.name
    ))
}

/// A line of the template is not the cause by itself where that template runs, or ran. How long a program takes differs
/// from pod to pod; what it is given and asked does not.
fn doubted(evidence: &Evidence, mut diagnosis: Diagnosis) -> Diagnosis {
    let of_time = |c: &crate::case::Change| {
        let path = c.path.to_string();
        ["Seconds", "Threshold"].iter().any(|end| path.ends_with(end))
    };
    let by_template = matches!(diagnosis.cure, Cure::Repair { .. })
        && evidence.incident.failure.0 != "config-missing"
        && !diagnosis.changes().iter().all(of_time);
    if let Some(said) = rollout::worked(evidence, &evidence.incident.first().workload).filter(|_| by_template) {
        diagnosis.grounds.push(confidence::doubt(60, said));
        diagnosis.confidence = confidence::confidence(&diagnosis.grounds);
    }
    diagnosis
}

/// What a change of a Job needs besides, whatever the failure.
pub const MADE_ANEW: &str = "a Job's pod template cannot be changed: to run again, the Job must be deleted and made anew (Argo CD: sync \
                             option Replace=true; Flux: annotation kustomize.toolkit.fluxcd.io/force: enabled)";

/// What was looked at, for an answer that names no cause.
fn undiagnosed(evidence: &Evidence) -> Declined {
    let mut looked_at = vec!["the status".to_owned(), "events".to_owned()];
    let logs = evidence.logs.iter().filter(|log| !log.lines.is_empty()).count();
    looked_at.push(match logs {
        0 => "no log (none is there)".to_owned(),
        1 => "1 log".to_owned(),
        n => format!("{n} logs"),
    });
    looked_at.push("the last healthy revision".to_owned());
    let needed = if logs == 0 { "the log of a run that failed" } else { "a line of the log that says what is wrong" };
    Declined::Undiagnosed { looked_at, needed: needed.to_owned() }
}

fn node_is_down(evidence: &Evidence, node: &str) -> Diagnosis {
    let workloads = evidence.incident.workloads().len();
    let cause = format!("node {node} is not ready, and {} with pods there", failing(workloads));
    let why = "the cause is the node, not a line of the repository".to_owned();
    let next = vec![format!("kubectl describe node {node}")];
    person(
        cause,
        Vec::new(),
        vec![confidence::ground(confidence::STATUS_NAMES_IT, format!("node {node} is not Ready"))],
        why,
        next,
    )
}

fn failing(workloads: usize) -> String {
    if workloads == 1 { "1 workload fails".to_owned() } else { format!("{workloads} workloads fail") }
}

/// A rule's diagnosis that ends in changes.
pub fn rule(cause: String, because: Vec<Option<Quote>>, grounds: Vec<Ground>, cure: Cure) -> Diagnosis {
    let because = because.into_iter().flatten().collect();
    let confidence = confidence::confidence(&grounds);
    Diagnosis {
        cause,
        because,
        origin: Origin::Rule,
        grounds,
        confidence,
        cure,
        notes: Vec::new(),
        unchecked: Vec::new(),
    }
}

/// A rule's diagnosis that ends with a person: why, and what to do or look at next.
pub fn person(
    cause: String,
    because: Vec<Option<Quote>>,
    grounds: Vec<Ground>,
    why: String,
    next: Vec<String>,
) -> Diagnosis {
    rule(cause, because, grounds, Cure::Person(Declined::NeedsPerson { why, next }))
}

/// The diagnosis of a failure that the last rollout brought: the blamed fields, and only they, changed since the
/// last healthy revision, and the cure is their old value. `None` when history does not say so.
///
/// `cause` gets what changed, as words: "since revision 1 `spec.replicas` went from 1 to 2".
pub fn went_back(
    evidence: &Evidence,
    workload: &crate::case::ObjectRef,
    blamed: impl Fn(&crate::yaml::FieldPath) -> bool,
    cause: impl Fn(&str) -> String,
    because: Vec<Option<Quote>>,
    mut grounds: Vec<Ground>,
) -> Option<Diagnosis> {
    use history::{Difference, Revert};
    let list = |all: &[Difference]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    match history::revert(evidence, workload, blamed) {
        Revert::Established { changes, differences, healthy } => {
            let was = format!("since {} {}", healthy.name, list(&differences));
            grounds.push(healthy.ground.clone());
            grounds.push(confidence::ground(
                confidence::ONLY_DIFFERENCE,
                format!("nothing else changed since {}", healthy.name),
            ));
            grounds.extend(rollout::late(evidence, workload, &healthy));
            let help = back_in_words(&differences, &healthy.name);
            let cure = Cure::Revert { changes, help, revision: healthy.name };
            Some(rule(cause(&was), because, grounds, cure))
        }
        Revert::Several { differences, healthy } => {
            let was = format!("since {} {}", healthy.name, list(&differences));
            let why = format!(
                "{} fields changed since {}, and one alone is not established as the cause",
                differences.len(),
                healthy.name
            );
            Some(person(cause(&was), because, grounds, why, vec![next::rollout_history(workload)]))
        }
        Revert::Unrelated { .. } | Revert::NoHistory => None,
    }
}

/// `put limits.memory back to 160Mi, as in revision 1`
pub fn back_in_words(differences: &[history::Difference], revision: &str) -> String {
    let one = |d: &history::Difference| {
        // Inside of its container, which the block names; of a container as a whole, all of it.
        let whole = d.path.to_string();
        let inside = whole.split_once("ontainers[").and_then(|(_, rest)| rest.split_once("].")).map(|(_, field)| field);
        let field = inside.unwrap_or(&whole);
        match &d.old {
            Some(serde_json::Value::String(old)) => format!("put `{field}` back to {old}"),
            Some(old) => format!("put `{field}` back to {old}"),
            None => format!("remove `{field}` again"),
        }
    };
    let all: Vec<String> = differences.iter().map(one).collect();
    format!("{}, as in {revision}", all.join(" and "))
}
