#![doc = include_str!("gitops_sync_failed.md")]

use crate::case::{
    Blamed, Cure, Declined, Diagnosis, Evidence, FailureId, Finding, Operation, Quote, SyncError, Syncer,
};
use crate::detect::{Claims, Look, count};
use crate::diagnose::confidence::{ONE_CANDIDATE, STATUS_NAMES_IT, ground};
use crate::diagnose::{next, person, rule};
use crate::failures::Failure;
use crate::review::policy::Policy;

/// Argo CD or Flux cannot apply what Git says.
pub struct GitopsSyncFailed;

const ID: FailureId = FailureId("gitops-sync-failed");

/// As much of a message as a symptom or a quote has room for.
const TAIL: usize = 160;

impl Failure for GitopsSyncFailed {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("gitops_sync_failed.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        look.syncers.iter().filter_map(finding).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let id = &evidence.incident.first().workload;
        let syncer = evidence.snapshot.syncers.iter().find(|syncer| syncer.id == *id)?;
        let errors = syncer.errors();
        let first = errors.first()?;
        Some(match &evidence.blamed {
            Some(blamed) => placed(evidence, first, blamed),
            None => unplaced(evidence, syncer, first),
        })
    }
}

fn finding(syncer: &Syncer) -> Option<Finding> {
    let errors = syncer.errors();
    let first = errors.first()?;
    let more = match errors.len() {
        1 => String::new(),
        n => format!(", and {}", count(n - 1, "other error")),
    };
    let about = first.object.as_ref().map(|object| format!("{object}: ")).unwrap_or_default();
    Some(Finding {
        failure: ID,
        workload: syncer.id.clone(),
        container: None,
        symptom: format!("cannot apply what Git says: {about}{}{more}", tail(&first.message)),
        since: first.since,
        pods: Vec::new(),
        shared: None,
    })
}

/// The end of a message, which says what is wrong; what stands before it says where in the program.
fn tail(message: &str) -> &str {
    let line = message.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if line.len() <= TAIL {
        return line;
    }
    let ends = line.match_indices(": ").map(|(at, colon)| &line[at + colon.len()..]);
    let fitting = ends.into_iter().find(|end| end.len() <= TAIL && end.len() > TAIL / 4);
    let mut from = line.len() - TAIL;
    while !line.is_char_boundary(from) {
        from += 1;
    }
    fitting.unwrap_or_else(|| line[from..].split_once(' ').map_or(&line[from..], |(_, rest)| rest))
}

fn because(evidence: &Evidence, error: &SyncError) -> Vec<Option<Quote>> {
    let head = error.text.split(" message=").next().unwrap_or_default();
    vec![evidence.quote(tail(&error.message)).or_else(|| evidence.quote(head))]
}

/// The place is known: cured where the right text is, else for a person.
fn placed(evidence: &Evidence, error: &SyncError, blamed: &Blamed) -> Diagnosis {
    let place = &blamed.place;
    let cause = format!("{}:{}: {}", place.file, place.line, blamed.what);
    let mut grounds = vec![ground(
        STATUS_NAMES_IT,
        format!("{} says so, and speaks of this place", evidence.incident.first().workload.kind),
    )];
    let Some(change) = &blamed.cure else {
        let why = "what should stand there is not established".to_owned();
        let cure = Cure::Person(Declined::Blocked { location: Some(Box::new(place.clone())), why });
        return rule(cause, because(evidence, error), grounds, cure);
    };
    let (from, to) = match &change.operation {
        Operation::Set { from, to } => (from.as_str().unwrap_or_default(), to.as_str().unwrap_or_default()),
        _ => ("", ""),
    };
    grounds.push(ground(ONE_CANDIDATE, format!("one file is one edit away from {from}: {to}")));
    let help = format!("name {to}, which is there");
    let mut diagnosis = rule(
        cause,
        because(evidence, error),
        grounds,
        Cure::Repair { changes: vec![change.clone()], help, hold: None },
    );
    diagnosis.notes.push("the kustomization is rendered with the other name, and is not as it is".to_owned());
    diagnosis
}

/// The repository does not show the place.
fn unplaced(evidence: &Evidence, syncer: &Syncer, error: &SyncError) -> Diagnosis {
    let cause = format!("{} cannot apply what Git says: {}", syncer.id, tail(&error.message));
    let why = match syncer.id.kind.as_str() {
        "GitRepository" => {
            format!("the error speaks of `spec` of {}, which no manifest of the repository declares", syncer.id)
        }
        _ => "the place that the error speaks of was not found in the repository".to_owned(),
    };
    let mut steps = vec![next::describe(&syncer.id)];
    let name = &syncer.metadata.name;
    steps.push(match syncer.id.kind.as_str() {
        "Application" => format!("argocd app get {name} --show-operation"),
        "GitRepository" => format!("flux get sources git {name}{}", next::flag(syncer.id.namespace.as_deref())),
        "HelmRelease" => format!("flux get helmreleases {name}{}", next::flag(syncer.id.namespace.as_deref())),
        _ => format!("flux get kustomizations {name}{}", next::flag(syncer.id.namespace.as_deref())),
    });
    person(cause, because(evidence, error), vec![ground(STATUS_NAMES_IT, "its status says so")], why, steps)
}
