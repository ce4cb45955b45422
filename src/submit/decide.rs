//! A case in, what the forge should hold of it out: a pull request, a draft, an issue, or nothing.

use crate::case::{Case, Cure, Declined, Diagnosis, Evidence, Reason, Request, Ruling, Verdict};
use crate::redact::Redactor;
use crate::review::means_later;
use crate::review::policy::{Delivery, Policy};
use crate::settings::Terms;

use super::{Context, Section, issue, pull_request};

/// What to publish, as policy delivers it. Secrets are masked once more on the way out: whatever let one into a text,
/// it does not reach the forge.
pub fn submit(case: &Case, terms: Terms<'_>) -> Request {
    masked(decide(case, terms))
}

fn masked(request: Request) -> Request {
    let mut redactor = Redactor::new();
    let mut mask = |text: &mut String| *text = redactor.redact(text).text.into_owned();
    match request {
        Request::PullRequest(mut pull) => {
            [&mut pull.title, &mut pull.body, &mut pull.commit_message].into_iter().for_each(&mut mask);
            Request::PullRequest(pull)
        }
        Request::Issue(mut issue) => {
            [&mut issue.title, &mut issue.body].into_iter().for_each(mask);
            Request::Issue(issue)
        }
        nothing @ Request::Nothing(_) => nothing,
    }
}

fn decide(case: &Case, terms: Terms<'_>) -> Request {
    let Some(evidence) = &case.evidence else {
        let why = case.declined.clone();
        return Request::Nothing(why.unwrap_or_else(|| Declined::Excluded { why: "nothing was looked at".to_owned() }));
    };
    let workload = &case.incident.first().workload;
    let decision = terms.policies.decide(workload, &evidence.snapshot.labels_of(workload));
    let wording = Wording::of(decision.policy);
    let context = wording.context(decision.policy, &decision.file, terms);
    match (&case.proposal, &case.verdict, &case.declined) {
        (_, _, Some(declined)) => told(case, evidence, declined, decision.policy, &context),
        (Some(_), Some(verdict), None) => ruled(case, evidence, verdict, decision.policy, &context),
        _ => Request::Nothing(Declined::Excluded { why: "the case came to no verdict".to_owned() }),
    }
}

/// A proposal with a verdict.
fn ruled(case: &Case, evidence: &Evidence, verdict: &Verdict, policy: &Policy, context: &Context<'_>) -> Request {
    let (Some(proposal), Some(diagnosis)) = (&case.proposal, &case.diagnosis) else {
        return Request::Nothing(Declined::Denied(verdict.reasons.clone()));
    };
    if verdict.reasons.iter().any(|reason| means_later(reason.gate)) {
        return Request::Nothing(Declined::Denied(verdict.reasons.clone()));
    }
    let delivery = match verdict.ruling {
        Ruling::Allow => policy.delivery(diagnosis.origin, is_revert(diagnosis)),
        Ruling::Hold | Ruling::Deny => policy.deliver.otherwise,
    };
    let declined = Declined::Denied(verdict.reasons.clone());
    match (delivery, verdict.ruling) {
        (Delivery::Nothing, _) => Request::Nothing(declined),
        // What a gate denies is never a branch, whatever policy says of the rest.
        (Delivery::PullRequest | Delivery::Draft, Ruling::Deny) | (Delivery::Issue, Ruling::Hold | Ruling::Deny) => {
            Request::Issue(issue(
                &case.incident,
                evidence,
                case.diagnosis.as_ref(),
                Some((proposal, verdict)),
                &declined,
                context,
            ))
        }
        (Delivery::Issue, Ruling::Allow) => {
            let by_policy = vec![Reason {
                gate: "deliver",
                ruling: Ruling::Hold,
                text: "policy delivers this as an issue".to_owned(),
            }];
            let declined = Declined::Denied(by_policy);
            Request::Issue(issue(
                &case.incident,
                evidence,
                case.diagnosis.as_ref(),
                Some((proposal, verdict)),
                &declined,
                context,
            ))
        }
        (Delivery::PullRequest, Ruling::Allow) => {
            Request::PullRequest(pull_request(proposal, verdict, evidence, false, context))
        }
        (Delivery::Draft, _) | (Delivery::PullRequest, Ruling::Hold) => {
            Request::PullRequest(pull_request(proposal, verdict, evidence, true, context))
        }
    }
}

/// A case that was declined: told to a person, if policy wants that.
fn told(case: &Case, evidence: &Evidence, declined: &Declined, policy: &Policy, context: &Context<'_>) -> Request {
    let silent = matches!(declined, Declined::Excluded { .. }) || policy.deliver.otherwise == Delivery::Nothing;
    if silent {
        return Request::Nothing(declined.clone());
    }
    Request::Issue(issue(&case.incident, evidence, case.diagnosis.as_ref(), None, declined, context))
}

fn is_revert(diagnosis: &Diagnosis) -> bool {
    matches!(diagnosis.cure, Cure::Revert { .. })
}

/// What a policy words, held for as long as a request is written.
struct Wording {
    sections: Vec<Section>,
}

impl Wording {
    fn of(policy: &Policy) -> Self {
        let sections = policy.pull_request.sections.iter();
        Self { sections: sections.map(|s| Section { title: s.title.clone(), text: s.text.clone() }).collect() }
    }

    fn context<'a>(&'a self, policy: &'a Policy, file: &'a str, terms: Terms<'a>) -> Context<'a> {
        let wanted = &policy.pull_request;
        Context {
            cluster: terms.cluster,
            policy_file: file,
            minimum_confidence: policy.deliver.min_confidence,
            labels: &wanted.labels,
            reviewers: &wanted.reviewers,
            subject: Some(wanted.subject.as_str()).filter(|s| !s.is_empty()),
            trailers: &wanted.trailers,
            sections: &self.sections,
            now: terms.now,
        }
    }
}
