//! Notes of one incident in, durations and counts out.

use std::time::Duration;

use super::{Metrics, names};
use crate::case::{EntryKind, Incident, Receipt, Request, Ruling};
use crate::report::{Note, Reader};

/// Measures the work on one incident.
pub struct Meter<'m> {
    metrics: &'m Metrics,
    /// Time since any moment that stays the same. Never runs backwards.
    clock: &'m (dyn Fn() -> Duration + Sync),
    /// When the stage began that is under way.
    since: Duration,
    /// Its place in [`names::STAGES`].
    stage: usize,
    /// Whether a reason was counted already.
    is_declined: bool,
    /// What is being published.
    requested: Option<EntryKind>,
}

impl<'m> Meter<'m> {
    pub fn new(metrics: &'m Metrics, clock: &'m (dyn Fn() -> Duration + Sync)) -> Self {
        Self { metrics, clock, since: clock(), stage: 0, is_declined: false, requested: None }
    }

    /// The stage that was under way has ended.
    fn ended(&mut self) {
        let now = (self.clock)();
        if let Some(stage) = names::STAGES.get(self.stage) {
            let took = now.saturating_sub(self.since).as_secs_f64();
            self.metrics.observe(&names::STAGE_DURATION, &[stage], took);
        }
        self.since = now;
    }

    fn stage(&mut self, name: &str) {
        self.stage = names::STAGES.iter().position(|stage| *stage == name).unwrap_or(self.stage);
    }

    fn declined(&mut self, code: &str) {
        if !std::mem::replace(&mut self.is_declined, true) {
            self.metrics.count(&names::DECLINED, &[code]);
        }
    }

    fn delivered(&self, kind: EntryKind, outcome: &str) {
        let metric = match kind {
            EntryKind::PullRequest | EntryKind::Branch => &names::PULL_REQUESTS,
            EntryKind::Issue => &names::ISSUES,
        };
        self.metrics.count(metric, &[outcome]);
    }
}

impl Reader for Meter<'_> {
    fn opened(&mut self, _: &Incident) {
        self.since = (self.clock)();
        self.stage("gather");
    }

    fn noted(&mut self, _: &Incident, note: &Note) {
        // Which policy decides is told in the middle of gathering.
        if matches!(note, Note::Policy(_)) {
            return;
        }
        self.ended();
        match note {
            Note::Policy(_) | Note::Question(_) => {}
            Note::Evidence(_) => self.stage("diagnose"),
            Note::Diagnosis(_) => self.stage("locate"),
            Note::Locations(_) => self.stage("propose"),
            Note::Proposal(proposal) => {
                let sure = f64::from(proposal.diagnosis.confidence) / 100.0;
                self.metrics.observe(&names::CONFIDENCE_OF, &[], sure);
                self.stage("review");
            }
            Note::Verdict(verdict) => {
                let ruling = match verdict.ruling {
                    Ruling::Allow => "allow",
                    Ruling::Hold => "hold",
                    Ruling::Deny => "deny",
                };
                self.metrics.count(&names::VERDICTS, &[ruling]);
                self.stage("submit");
            }
            Note::Declined(declined) => {
                self.declined(declined.code());
                self.stage("submit");
            }
            Note::Request(request) => {
                match request {
                    Request::PullRequest(_) => self.requested = Some(EntryKind::PullRequest),
                    Request::Issue(_) => self.requested = Some(EntryKind::Issue),
                    Request::Nothing(declined) => self.declined(declined.code()),
                }
                self.stage("publish");
            }
            Note::Receipt(receipt) => {
                let outcome = match receipt {
                    Receipt::Opened { .. } => "opened",
                    Receipt::Updated { .. } => "updated",
                    Receipt::Exists { .. } | Receipt::Nothing { .. } => "unchanged",
                };
                if let Some(kind) = self.requested.take() {
                    self.delivered(kind, outcome);
                }
            }
        }
    }

    fn failed(&mut self, _: &Incident, _: &str) {
        if let Some(kind) = self.requested.take() {
            self.delivered(kind, "failed");
            self.metrics.count(&names::GIT_ERRORS_TOTAL, &["publish"]);
        }
    }
}
