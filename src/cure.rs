//! One incident, from symptom to pull request.
//!
//! Every line with `.await` touches the world; every other line is a pure function, or a note in the journal.

use anyhow::Result;

use crate::case::{Case, Declined, Incident, Proposal, Verdict};
use crate::diagnose::answer::heard;
use crate::diagnose::diagnose;
use crate::diagnose::question::question;
use crate::locate::{blamed, declared_in, locate_all};
use crate::propose::propose;
use crate::report::Journal;
use crate::review::policy::{Policies, Policy};
use crate::review::review;
use crate::settings::Terms;
use crate::submit::submit;
use crate::world::World;

/// Works one incident through to what the forge should hold of it, and publishes that.
pub async fn cure(incident: &Incident, world: &impl World, terms: Terms<'_>, mut journal: Journal<'_>) -> Result<Case> {
    consider(incident, world, terms, &mut journal).await?;
    deliver(world, terms, journal).await
}

/// Publishes what an incident came to when it was considered.
pub async fn deliver(world: &impl World, terms: Terms<'_>, mut journal: Journal<'_>) -> Result<Case> {
    let request = submit(journal.case(), terms);
    journal.note(&request);

    let receipt = world.publish(&request).await?;
    journal.note(&receipt);
    Ok(journal.close())
}

/// Everything but the publishing: what is wrong, where, what would cure it, and whether that may be done.
pub async fn consider(
    incident: &Incident,
    world: &impl World,
    terms: Terms<'_>,
    journal: &mut Journal<'_>,
) -> Result<()> {
    match judge(incident, world, terms, journal).await {
        Ok(_) => Ok(()),
        Err(Stop::Declined(declined)) => {
            journal.note(&declined);
            Ok(())
        }
        Err(Stop::Unreachable(error)) => Err(error),
    }
}

async fn judge(
    incident: &Incident,
    world: &impl World,
    terms: Terms<'_>,
    journal: &mut Journal<'_>,
) -> Result<(Proposal, Verdict), Stop> {
    let sources = world.sources(incident).await?;
    let mut evidence = world.gather(incident).await?;
    let policy = decide(incident, &evidence.snapshot, terms.policies, journal)?;
    evidence.declared = declared_in(&sources, &incident.namespaces(), policy.home());
    evidence.blamed = blamed(incident, &evidence.snapshot, &sources, policy.home());
    journal.note(&evidence);

    let diagnosis = match diagnose(&evidence, policy) {
        Err(undiagnosed @ Declined::Undiagnosed { .. }) => {
            let question = question(&evidence, policy);
            journal.note(&question);
            let reply = world.ask(&question).await?;
            heard(&evidence, policy, &reply, undiagnosed)?
        }
        ruled => ruled?,
    };
    journal.note(&diagnosis);

    let diagnosis = diagnosis.curable()?;
    let locations = locate_all(diagnosis.changes(), &sources, policy.home())?;
    journal.note(&locations);

    let proposal = propose(incident, &diagnosis, &locations, &sources)?;
    journal.note(&proposal);

    let checks = world.check(&proposal).await?;
    let history = world.history().await?;
    let verdict = review(&proposal, &evidence, &checks, policy, &history, terms.now);
    journal.note(&verdict);
    Ok((proposal, verdict))
}

/// The policy for the incident's workload, unless it tells KubeCure to leave that alone.
fn decide<'p>(
    incident: &Incident,
    snapshot: &crate::case::Snapshot,
    policies: &'p Policies,
    journal: &mut Journal<'_>,
) -> Result<&'p Policy, Declined> {
    let workload = &incident.first().workload;
    let decision = policies.decide(workload, &snapshot.labels_of(workload));
    journal.note(decision.file.as_str());
    match decision.excluded {
        Some(why) => Err(Declined::Excluded { why }),
        None => Ok(decision.policy),
    }
}

/// Why the work on an incident ended before a verdict: an answer, or an accident.
#[derive(Debug)]
enum Stop {
    Declined(Declined),
    Unreachable(anyhow::Error),
}

impl From<Declined> for Stop {
    fn from(declined: Declined) -> Self {
        Self::Declined(declined)
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Unreachable(error)
    }
}
