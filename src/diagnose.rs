//! Evidence in, diagnosis out: a rule first.

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
pub mod raise;
pub mod references;
pub mod services;
pub mod template;

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
    let failure = failures::by_id(evidence.incident.failure.0);
    failure.and_then(|f| f.diagnose(evidence, policy)).ok_or_else(|| undiagnosed(evidence))
}

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
    Declined::Undiagnosed { looked_at, needed: "no rule reaches from here to a line of the repository".to_owned() }
}

fn node_is_down(evidence: &Evidence, node: &str) -> Diagnosis {
    let workloads = evidence.incident.workloads().len();
    let cause = format!("node {node} is not ready; {workloads} workload(s) with pods there fail because of it");
    let why = format!("the node {node} is the cause, and no line of the repository is");
    let next = vec![format!("kubectl describe node {node}")];
    person(
        cause,
        Vec::new(),
        vec![confidence::ground(confidence::STATUS_NAMES_IT, format!("node {node} is not Ready"))],
        why,
        next,
    )
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
/// `cause` gets what changed, as words: "it was 160Mi until revision 2".
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
            let was = format!("in {} {}", healthy.name, list(&differences));
            grounds.push(healthy.ground.clone());
            grounds.push(confidence::ground(
                confidence::ONLY_DIFFERENCE,
                format!("nothing else changed since {}", healthy.name),
            ));
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
            Some(person(cause(&was), because, grounds, why, vec![format!("compare with {}", healthy.name)]))
        }
        Revert::Unrelated { .. } | Revert::NoHistory => None,
    }
}

/// `put limits.memory back to 160Mi, as in revision 1`
pub fn back_in_words(differences: &[history::Difference], revision: &str) -> String {
    let one = |d: &history::Difference| {
        let field = d.path.to_string();
        let field = field.rsplit_once(']').map_or(field.as_str(), |(_, rest)| rest).trim_start_matches('.');
        let field = if field.is_empty() { d.path.to_string() } else { field.to_owned() };
        match &d.old {
            Some(serde_json::Value::String(old)) => format!("put `{field}` back to {old}"),
            Some(old) => format!("put `{field}` back to {old}"),
            None => format!("remove `{field}` again"),
        }
    };
    let all: Vec<String> = differences.iter().map(one).collect();
    format!("{}, as in {revision}", all.join(" and "))
}
