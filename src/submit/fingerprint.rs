//! A problem in, its name out: the fingerprint, and the branch that carries it.

use sha2::{Digest, Sha256};

use crate::case::{Declined, FailureId, Fingerprint, Incident, ObjectRef, Operation, Proposal};

/// The fingerprint of a proposal.
///
/// The current values are part of it, the new ones are not: it expires by itself when a person edits the line, and a
/// better value for the same line is the same pull request.
pub fn of_proposal(proposal: &Proposal, cluster: &str) -> Fingerprint {
    let mut parts = vec!["pull-request".to_owned(), cluster.to_owned(), proposal.incident.failure.to_string()];
    parts.extend(workloads(&proposal.incident));
    let mut places: Vec<String> = proposal
        .diagnosis
        .changes()
        .iter()
        .zip(&proposal.locations)
        .map(|(change, place)| {
            let current = place.value.as_ref().or(match &change.operation {
                Operation::Set { from, .. } | Operation::Remove { from } => Some(from),
                Operation::Add { .. } => None,
            });
            joined(&[
                &place.file,
                &change.object.to_string(),
                &change.path.to_string(),
                &current.map(ToString::to_string).unwrap_or_default(),
            ])
        })
        .collect();
    places.sort();
    parts.extend(places);
    digest(&parts)
}

/// The fingerprint of an issue: who fails, of what, for which shared cause, and why there is no pull request.
pub fn of_issue(incident: &Incident, declined: &Declined, cluster: &str) -> Fingerprint {
    let shared = incident.shared.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut parts =
        vec!["issue".to_owned(), cluster.to_owned(), incident.failure.to_string(), shared, declined.code().to_owned()];
    parts.extend(workloads(incident));
    digest(&parts)
}

/// The fingerprint of the issue for a merge that did not help.
pub fn of_outcome(merged: &Fingerprint) -> Fingerprint {
    digest(&["outcome".to_owned(), merged.0.clone()])
}

/// `kubecure/<namespace>/<workload>/<failure>-<fp8>`; `cluster` for an object without a namespace.
pub fn branch(workload: &ObjectRef, failure: FailureId, fingerprint: &Fingerprint) -> String {
    let namespace = workload.namespace.as_deref().unwrap_or("cluster");
    format!(
        "kubecure/{}/{}/{}-{}",
        ref_part(namespace),
        ref_part(&workload.name),
        ref_part(failure.0),
        fingerprint.short()
    )
}

/// A name as one part of a branch: what Git forbids becomes a dash.
fn ref_part(name: &str) -> String {
    let safe: String = name
        .chars()
        .take(63)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .collect();
    let mut safe = safe.replace("..", "-");
    // Git forbids an end in `.lock` and in a dot.
    while let Some(shorter) = safe.strip_suffix(".lock").or_else(|| safe.strip_suffix('.')) {
        safe = shorter.to_owned();
    }
    let safe = safe.trim_start_matches(['.', '-']);
    if safe.is_empty() { "unnamed".to_owned() } else { safe.to_owned() }
}

/// Every workload with its container, each once, in order.
fn workloads(incident: &Incident) -> Vec<String> {
    let mut all: Vec<String> = incident
        .findings
        .iter()
        .map(|f| joined(&[f.workload.ns(), &f.workload.kind, &f.workload.name, f.container.as_deref().unwrap_or("")]))
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Parts as one text from which they can be told apart again.
fn joined(parts: &[&str]) -> String {
    serde_json::Value::from(parts.to_vec()).to_string()
}

fn digest(parts: &[String]) -> Fingerprint {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let hash = Sha256::digest(joined(&parts).as_bytes());
    let first = hash[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    Fingerprint(format!("{first:016x}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::case::Finding;

    fn incident(names: &[&str]) -> Incident {
        let findings = names.iter().map(|name| Finding {
            failure: FailureId("oom-killed"),
            workload: ObjectRef::new("apps/v1", "Deployment", Some("shop"), name),
            container: Some("app".to_owned()),
            symptom: format!("fails {}", names.len()),
            since: None,
            pods: Vec::new(),
            shared: None,
        });
        Incident { failure: FailureId("oom-killed"), findings: findings.collect(), shared: None }
    }

    #[test]
    fn an_issue_is_the_same_in_any_order_and_another_for_another_reason() {
        let why = Declined::NeedsPerson { why: "x".to_owned(), next: Vec::new() };
        let same_why = Declined::NeedsPerson { why: "other words".to_owned(), next: Vec::new() };
        let other = Declined::Blocked { location: None, why: "x".to_owned() };
        let one = of_issue(&incident(&["a", "b"]), &why, "prod");
        assert_eq!(one, of_issue(&incident(&["b", "a"]), &same_why, "prod"));
        assert_ne!(one, of_issue(&incident(&["a", "b"]), &other, "prod"));
        assert_ne!(one, of_issue(&incident(&["a", "b"]), &why, "test"));
        assert_ne!(one, of_issue(&incident(&["a"]), &why, "prod"));
        assert_eq!(one.0.len(), 16);
    }

    #[test]
    fn a_branch_says_what_it_is() {
        let fingerprint = Fingerprint("7f3a91c2deadbeef".to_owned());
        let web = ObjectRef::new("apps/v1", "Deployment", Some("shop"), "web");
        assert_eq!(branch(&web, FailureId("oom-killed"), &fingerprint), "kubecure/shop/web/oom-killed-7f3a91c2");
        let node = ObjectRef::new("v1", "Node", None, "../../main.lock");
        assert_eq!(branch(&node, FailureId("oom-killed"), &fingerprint), "kubecure/cluster/main/oom-killed-7f3a91c2");
    }

    proptest! {
        #[test]
        fn every_name_makes_a_branch_that_git_takes(namespace in ".{0,80}", name in ".{0,80}") {
            let object = ObjectRef::new("v1", "Pod", Some(&namespace), &name);
            let branch = branch(&object, FailureId("oom-killed"), &Fingerprint("0123456789abcdef".to_owned()));
            let full = format!("refs/heads/{branch}");
            prop_assert!(git2::Reference::is_valid_name(&full), "{}", full);
            prop_assert_eq!(branch.split('/').count(), 4);
        }
    }
}
