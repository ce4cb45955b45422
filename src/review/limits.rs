//! How much at once, when, and never the same twice: counted in the forge, so that it survives a restart.

use jiff::SignedDuration;

use super::schedule::Window;
use super::{Matter, Objection, deny, failure, hold};
use crate::case::{EntryKind, EntryState, HistoryEntry};

/// A cure that was merged and did not help is not tried again: a person should look.
pub(super) fn repeated(matter: &Matter<'_>) -> Vec<Objection> {
    let merged = of_workloads(matter).find(|e| e.state == EntryState::Merged && e.failure == failure(matter).0);
    let told = merged.map(|e| hold(format!("{} was merged for this, and it still fails", e.called())));
    told.into_iter().collect()
}

/// Open pull requests in all, per workload, and per hour.
pub(super) fn budget(matter: &Matter<'_>) -> Vec<Objection> {
    let limits = &matter.policy.limits;
    let pulls = || matter.history.entries.iter().filter(|e| e.kind != EntryKind::Issue);
    let open = pulls().filter(|e| e.state == EntryState::Open && !is_this(matter, e)).count();
    let mut objections = Vec::new();
    if open >= limits.open_pull_requests as usize {
        objections
            .push(deny(format!("{open} pull requests are open, and policy allows {}", limits.open_pull_requests)));
    }
    let of_this = of_workloads(matter).filter(|e| e.state == EntryState::Open && !is_this(matter, e)).count();
    if of_this >= limits.per_workload as usize {
        objections.push(deny(format!(
            "{of_this} pull request(s) for this workload are open, and policy allows {}",
            limits.per_workload
        )));
    }
    let hour = SignedDuration::from_hours(1);
    let recent = pulls()
        .filter(|e| !is_this(matter, e) && e.opened.is_some_and(|at| matter.now.duration_since(at) < hour))
        .count();
    if recent >= limits.pull_requests_per_hour as usize {
        objections.push(deny(format!(
            "{recent} pull requests were opened within the hour, and policy allows {}",
            limits.pull_requests_per_hour
        )));
    }
    objections
}

/// When pull requests may open.
pub(super) fn schedule(matter: &Matter<'_>) -> Vec<Objection> {
    match matter.policy.window(matter.now) {
        Window::Open => Vec::new(),
        Window::Closed { why, next } => {
            let next = next.map_or(String::new(), |at| format!("; it opens at {at}"));
            vec![deny(format!("{why}{next}"))]
        }
    }
}

fn of_workloads<'m>(matter: &'m Matter<'_>) -> impl Iterator<Item = &'m HistoryEntry> {
    let names: Vec<String> = matter.proposal.incident.workloads().iter().map(ToString::to_string).collect();
    matter
        .history
        .entries
        .iter()
        .filter(move |e| e.kind != EntryKind::Issue && e.workloads.iter().any(|w| names.contains(w)))
}

/// Whether an entry is what this very proposal would become: the same workload and failure, open already.
fn is_this(matter: &Matter<'_>, entry: &HistoryEntry) -> bool {
    let names: Vec<String> = matter.proposal.incident.workloads().iter().map(ToString::to_string).collect();
    entry.failure == failure(matter).0 && entry.workloads == names
}
