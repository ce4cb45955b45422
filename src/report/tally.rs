//! Cases in, how they stand out: what the screen and the JSON interface must say alike.

use std::borrow::Cow;

use crate::case::{Case, Cure, Declined, EntryKind, Incident, Receipt, Request, Ruling};

/// How a case stands once the pipeline is through with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A cure that may become a pull request.
    Cure,
    /// A cure that policy or doubt holds back until a person has looked.
    Held,
    /// No cure to offer: a person must act.
    Person,
}

impl Standing {
    /// How one case stands.
    pub fn of(case: &Case) -> Self {
        let held = case.verdict.as_ref().is_some_and(|verdict| verdict.ruling == Ruling::Hold);
        match (&case.proposal, why(case)) {
            (None, _) | (_, Some(_)) => Self::Person,
            _ if held => Self::Held,
            _ => Self::Cure,
        }
    }
}

/// Why a case has no pull request, if it has none.
///
/// A case without a proposal always has a reason: at the least, that nothing was established.
pub fn why(case: &Case) -> Option<Cow<'_, Declined>> {
    if let Some(declined) = &case.declined {
        return Some(Cow::Borrowed(declined));
    }
    if let Some(Request::Nothing(declined)) = &case.request {
        return Some(Cow::Borrowed(declined));
    }
    if let Some(verdict) = case.verdict.as_ref().filter(|verdict| verdict.ruling == Ruling::Deny) {
        let reasons = verdict.reasons.iter().filter(|reason| reason.ruling == Ruling::Deny);
        return Some(Cow::Owned(Declined::Denied(reasons.cloned().collect())));
    }
    if case.proposal.is_some() {
        return None;
    }
    Some(match case.diagnosis.as_ref().map(|diagnosis| &diagnosis.cure) {
        Some(Cure::Person(declined)) => Cow::Borrowed(declined),
        _ => Cow::Owned(Declined::Undiagnosed { looked_at: Vec::new(), needed: String::new() }),
    })
}

/// A name for an incident that stays the same from scan to scan: `oom-killed/deployment/shop/web`.
pub fn incident_id(incident: &Incident) -> String {
    let workload = &incident.first().workload;
    format!("{}/{}/{}", incident.failure, workload.kind.to_ascii_lowercase(), workload.path())
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    pub failures: usize,
    pub incidents: usize,
    pub cures: usize,
    pub held: usize,
    pub person: usize,
    /// Opened or brought up to date just now.
    #[serde(rename = "pullRequests")]
    pub pull_requests: usize,
    pub issues: usize,
}

impl Tally {
    /// Counts cases.
    pub fn of(cases: &[Case]) -> Self {
        let mut tally = Self { incidents: cases.len(), ..Self::default() };
        for case in cases {
            tally.failures += case.incident.findings.len();
            match Standing::of(case) {
                Standing::Cure => tally.cures += 1,
                Standing::Held => tally.held += 1,
                Standing::Person => tally.person += 1,
            }
            if let Some(Receipt::Opened { kind, .. } | Receipt::Updated { kind, .. }) = &case.receipt {
                match kind {
                    EntryKind::PullRequest | EntryKind::Branch => tally.pull_requests += 1,
                    EntryKind::Issue => tally.issues += 1,
                }
            }
        }
        tally
    }
}
