//! What was merged in, whether it helped out: said on the pull request, and in an issue where a person is needed.

use anyhow::Result;
use tracing::info;

use crate::case::{Incident, Merged, Receipt, Request, Snapshot};
use crate::detect::detect;
use crate::settings::Terms;
use crate::verify::{Outcome, Record, Seen, comment, is_final, issue, verify};
use crate::world::World;

/// So many merges are verified in one look, the newest first.
const MOST: usize = 50;

/// What was said of one merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub outcome: Outcome,
    /// Whether it is news.
    pub is_new: bool,
}

/// Verifies everything that was merged and has come to no end. An issue goes first: should the comment fail, the next
/// look finds the issue there and says the rest.
pub async fn aftercare(world: &impl World, terms: Terms<'_>, snapshot: &Snapshot) -> Result<Vec<Said>> {
    let incidents = detect(snapshot);
    let mut all = Vec::new();
    for (merged, record) in open(world, terms).await? {
        let outcome = outcome(&merged, &record, terms, snapshot, &incidents);
        if let Some(issue) = issue(&outcome, &merged, &record) {
            world.publish(&Request::Issue(issue)).await?;
        }
        let receipt = world.comment(&merged.entry, &comment(&outcome, &merged)).await?;
        let is_new = matches!(receipt, Receipt::Updated { .. } | Receipt::Opened { .. });
        if is_new {
            info!(outcome = outcome.word(), pull_request = merged.entry.called(), failure = %record.failure, "verified");
        }
        all.push(Said { outcome, is_new });
    }
    Ok(all)
}

/// Whether a merged pull request for this incident has yet to show what it does.
pub async fn is_awaited(incident: &Incident, world: &impl World, terms: Terms<'_>) -> Result<bool> {
    let snapshot = world.snapshot().await?;
    let incidents = std::slice::from_ref(incident);
    let workloads = incident.workloads();
    let about = |record: &Record| {
        record.failure == incident.failure && record.workloads.iter().any(|id| workloads.contains(&id))
    };
    let open = open(world, terms).await?;
    let mut of_it = open.iter().filter(|(_, record)| about(record));
    Ok(of_it.any(|(merged, record)| {
        matches!(outcome(merged, record, terms, &snapshot, incidents), Outcome::Waiting { .. })
    }))
}

/// What was merged for this cluster and has come to no end.
async fn open(world: &impl World, terms: Terms<'_>) -> Result<Vec<(Merged, Record)>> {
    let merged = world.merged().await?.into_iter();
    let open = merged.filter(|merged| !merged.said.as_deref().is_some_and(is_final));
    let read = open.filter_map(|merged| Record::read(&merged.body).map(|record| (merged, record)));
    Ok(read.filter(|(_, record)| record.cluster == terms.cluster).take(MOST).collect())
}

fn outcome(merged: &Merged, record: &Record, terms: Terms<'_>, snapshot: &Snapshot, incidents: &[Incident]) -> Outcome {
    let workload = &record.workloads[0];
    let policy = terms.policies.decide(workload, &snapshot.labels_of(workload)).policy;
    let window = policy.verify.window.0;
    verify(record, merged.at, &Seen { snapshot, incidents, window, now: snapshot.taken })
}
