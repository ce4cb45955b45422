//! A proposal in, a verdict out: every gate is asked, and every objection is told, not only the first.

pub mod policy;
pub mod schedule;
pub mod schema;

mod guard;
mod limits;
mod validate;

pub(crate) use validate::others;

use std::collections::BTreeSet;

use crate::case::{Checks, Cure, Evidence, FailureId, History, Proposal, Reason, Ruling, Timestamp, Verdict};
use crate::diagnose::near::listed;
use policy::Policy;

/// What the gates look at.
pub(crate) struct Matter<'m> {
    pub proposal: &'m Proposal,
    pub evidence: &'m Evidence,
    pub checks: &'m Checks,
    pub policy: &'m Policy,
    pub history: &'m History,
    pub now: Timestamp,
}

/// A gate: its name, what it says when it has no objection, and the question itself.
struct Gate {
    name: &'static str,
    /// `None` for gates whose silence is nothing to tell a reviewer.
    passed: Option<&'static str>,
    ask: fn(&Matter<'_>) -> Vec<Objection>,
}

/// What a gate has against a proposal.
pub(crate) struct Objection {
    ruling: Ruling,
    text: String,
}

pub(crate) fn deny(text: impl Into<String>) -> Objection {
    Objection { ruling: Ruling::Deny, text: text.into() }
}

pub(crate) fn hold(text: impl Into<String>) -> Objection {
    Objection { ruling: Ruling::Hold, text: text.into() }
}

/// In the order of DESIGN §7.
const GATES: &[Gate] = &[
    Gate { name: "quote", passed: Some("every quote stands word for word in the evidence"), ask: guard::quotes },
    Gate { name: "category", passed: Some("the API status agrees with the failure"), ask: guard::category },
    Gate { name: "policy", passed: Some("allowed by policy"), ask: guard::allowed },
    Gate { name: "value", passed: Some("the value is within bounds and comes from evidence"), ask: guard::values },
    Gate { name: "protected-path", passed: Some("no protected file, kind or field is touched"), ask: guard::protected },
    Gate { name: "loosened", passed: None, ask: guard::loosened },
    Gate { name: "size", passed: None, ask: guard::size },
    Gate {
        name: "rendered",
        passed: Some("read again before and after: only the intended fields differ"),
        ask: validate::rendered,
    },
    Gate { name: "blast-radius", passed: None, ask: validate::radius },
    Gate { name: "check", passed: None, ask: validate::checked },
    Gate { name: "confidence", passed: None, ask: confident },
    Gate { name: "judgement", passed: None, ask: held_by_rule },
    Gate { name: "repeated", passed: None, ask: limits::repeated },
    Gate { name: "limits", passed: None, ask: limits::budget },
    Gate { name: "schedule", passed: None, ask: limits::schedule },
];

/// Gates whose objection means "later", not "no": nothing is told to a person meanwhile.
pub fn means_later(gate: &str) -> bool {
    matches!(gate, "limits" | "schedule")
}

/// Gates whose objection means "not as far as is known": more evidence may come without anything else that changes.
pub fn means_more_evidence(gate: &str) -> bool {
    gate == "confidence"
}

/// Asks every gate.
pub fn review(
    proposal: &Proposal,
    evidence: &Evidence,
    checks: &Checks,
    policy: &Policy,
    history: &History,
    now: Timestamp,
) -> Verdict {
    let matter = Matter { proposal, evidence, checks, policy, history, now };
    let mut reasons = Vec::new();
    let mut passed: Vec<String> = Vec::new();
    for gate in GATES {
        let objections = (gate.ask)(&matter);
        if objections.is_empty() {
            passed.extend(gate.passed.map(ToOwned::to_owned));
        }
        reasons.extend(objections.into_iter().map(|o| Reason { gate: gate.name, ruling: o.ruling, text: o.text }));
    }
    let rendered: BTreeSet<&str> = proposal.locations.iter().flat_map(|l| &l.rendered).map(String::as_str).collect();
    if !rendered.is_empty() {
        let others = others(proposal);
        let besides = match others.len() {
            0 => "nothing else differs".to_owned(),
            1 => "1 other object changes, too,".to_owned(),
            n => format!("{n} other objects change, too,"),
        };
        passed.push(format!("rendered before and after: {besides} in what {} gives", listed(rendered)));
    }
    passed.extend(checks.passed.iter().cloned());
    let ruling = reasons.iter().map(|r| r.ruling).max().unwrap_or(Ruling::Allow);
    let not_checked: BTreeSet<&String> = checks.not_run.iter().chain(&proposal.diagnosis.unchecked).collect();
    Verdict { ruling, reasons, passed, not_checked: not_checked.into_iter().cloned().collect() }
}

fn confident(matter: &Matter<'_>) -> Vec<Objection> {
    let (sure, least) = (matter.proposal.diagnosis.confidence, matter.policy.deliver.min_confidence);
    if sure >= least {
        return Vec::new();
    }
    vec![hold(format!("the confidence is {sure}, and policy asks for {least}"))]
}

fn held_by_rule(matter: &Matter<'_>) -> Vec<Objection> {
    match &matter.proposal.diagnosis.cure {
        Cure::Repair { hold: Some(why), .. } => vec![hold(why.clone())],
        _ => Vec::new(),
    }
}

/// The failure that a proposal is for.
pub(crate) fn failure(matter: &Matter<'_>) -> FailureId {
    matter.proposal.incident.failure
}
