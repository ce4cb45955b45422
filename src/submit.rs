//! A verdict in, the pull request out, word for word.
//!
//! Everything that comes from a cluster, a repository or a model passes through [`markdown`]; everything else is written
//! here. The parts of a body stand in [`body`] and [`issue`](mod@self::issue), one pure function each.

pub mod markdown;
pub mod fingerprint;
pub mod text;
mod body;
mod decide;
mod diff;
mod issue;
mod logs;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use decide::submit;

use std::collections::BTreeMap;

use crate::case::{
    Declined, Diagnosis, Evidence, FailureId, Incident, Issue, ObjectRef, Proposal, PullRequest, Timestamp, Verdict,
};

/// The trailer of a commit that carries the fingerprint.
pub const FIX_TRAILER: &str = "KubeCure-Fix";
/// The trailer that names a failure and a workload that has it: `oom-killed/Deployment/shop/web`. One for each.
pub const CASE_TRAILER: &str = "KubeCure-Case";
/// The trailer that names the file and field of a change.
pub const SOURCE_TRAILER: &str = "KubeCure-Source";
/// Our part of a body begins with this line; what people write stands before or after.
pub const BEGIN: &str = "<!-- kubecure:begin -->";
/// Our part ends with this line.
pub const END: &str = "<!-- kubecure:end -->";

/// What a request needs to know besides the case: names and the repository's wishes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the cluster is called.
    pub cluster: &'a str,
    /// The file whose policy decides, for the reader who wants to change it.
    pub policy_file: &'a str,
    pub minimum_confidence: u8,
    /// Labels besides our own.
    pub labels: &'a [String],
    pub reviewers: &'a [String],
    /// Title and subject with placeholders, if the policy has a wording.
    pub subject: Option<&'a str>,
    /// Trailers besides our own.
    pub trailers: &'a BTreeMap<String, String>,
    /// Sections that the policy puts at the end of a pull request.
    pub sections: &'a [Section],
    pub now: Timestamp,
}

/// A section as the policy words it. The policy is reviewed by people, so its Markdown is taken as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub title: String,
    /// Markdown with the placeholders of `subject`.
    pub text: String,
}

/// The pull request for a proposal. A draft begins with the doubts.
pub fn pull_request(
    proposal: &Proposal,
    verdict: &Verdict,
    evidence: &Evidence,
    draft: bool,
    ctx: &Context<'_>,
) -> PullRequest {
    let fingerprint = fingerprint::of_proposal(proposal, ctx.cluster);
    let incident = &proposal.incident;
    let title = text::title(proposal, ctx);
    PullRequest {
        branch: fingerprint::branch(&incident.first().workload, incident.failure, &fingerprint),
        body: body::pull_request(proposal, verdict, evidence, draft, &fingerprint, ctx),
        commit_message: text::commit_message(&title, proposal, &fingerprint, ctx),
        title,
        labels: labels(incident.failure, ctx),
        reviewers: ctx.reviewers.to_vec(),
        draft,
        files: proposal.files.clone(),
        failure: incident.failure,
        workloads: workloads(incident),
        fingerprint,
    }
}

/// The issue for an incident that gets no pull request.
pub fn issue(
    incident: &Incident,
    evidence: &Evidence,
    diagnosis: Option<&Diagnosis>,
    proposal: Option<(&Proposal, &Verdict)>,
    declined: &Declined,
    ctx: &Context<'_>,
) -> Issue {
    let fingerprint = fingerprint::of_issue(incident, declined, ctx.cluster);
    let case = issue::Case { incident, evidence, diagnosis, proposal, declined };
    Issue {
        title: text::issue_title(incident, declined),
        body: issue::body(&case, &fingerprint, ctx),
        labels: labels(incident.failure, ctx),
        failure: incident.failure,
        workloads: workloads(incident),
        fingerprint,
    }
}

fn labels(failure: FailureId, ctx: &Context<'_>) -> Vec<String> {
    let mut labels = vec!["kubecure".to_owned(), format!("kubecure/{failure}")];
    for label in ctx.labels {
        if !labels.contains(label) {
            labels.push(label.clone());
        }
    }
    labels
}

fn workloads(incident: &Incident) -> Vec<ObjectRef> {
    incident.workloads().into_iter().cloned().collect()
}
