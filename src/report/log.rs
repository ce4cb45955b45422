//! Notes in, log events out: every line of one incident carries the same incident id.

pub mod lines;

use tracing::{info, warn};

use super::{Note, Reader, plain, tally};
use crate::case::{EntryKind, Incident, Receipt, Request};

/// The longest text of a line.
const LONGEST: usize = 400;

/// Writes every note as a `tracing` event. Where the events go, and as text or JSON, the subscriber decides.
#[derive(Debug, Default)]
pub struct Log;

impl Reader for Log {
    fn opened(&mut self, incident: &Incident) {
        let first = incident.first();
        event(incident, "opened", &format!("{} {}", first.workload, first.symptom));
    }

    fn noted(&mut self, incident: &Incident, note: &Note) {
        let (what, text) = in_words(note);
        event(incident, what, &text);
    }

    fn failed(&mut self, incident: &Incident, why: &str) {
        let id = tally::incident_id(incident);
        warn!(
            incident = %plain::inline(&id),
            failure = incident.failure.0,
            "not worked: {}",
            plain::cut(&plain::inline(why), LONGEST)
        );
    }
}

/// Log text is for grep as well as for terminals: one line, nothing that a terminal would obey.
fn event(incident: &Incident, note: &str, text: &str) {
    info!(
        incident = %plain::inline(&tally::incident_id(incident)),
        failure = incident.failure.0,
        findings = incident.findings.len(),
        note,
        "{}",
        plain::cut(&plain::inline(text), LONGEST)
    );
}

/// The word for a note, and a sentence about it.
fn in_words(note: &Note) -> (&'static str, String) {
    match note {
        Note::Policy(policy) => ("policy", format!("{policy} decides")),
        Note::Evidence(evidence) => (
            "evidence",
            format!(
                "{} items, {} logs, {} values masked",
                evidence.items.len(),
                evidence.logs.len(),
                evidence.redactions
            ),
        ),
        Note::Question(question) => ("question", format!("about {} tokens for a model", question.tokens())),
        Note::Diagnosis(diagnosis) => ("diagnosis", format!("{} ({} sure)", diagnosis.cause, diagnosis.confidence)),
        Note::Locations(locations) => {
            let places: Vec<String> = locations.iter().map(ToString::to_string).collect();
            ("locations", places.join(", "))
        }
        Note::Proposal(proposal) => {
            let files: Vec<&str> = proposal.files.iter().map(|file| file.path.as_str()).collect();
            ("proposal", format!("edits {}", files.join(", ")))
        }
        Note::Verdict(verdict) => {
            let reasons: Vec<&str> = verdict.reasons.iter().map(|reason| reason.text.as_str()).collect();
            let colon = if reasons.is_empty() { "" } else { ": " };
            ("verdict", format!("{}{colon}{}", verdict.ruling, reasons.join("; ")))
        }
        Note::Declined(declined) => ("declined", format!("{}: {declined}", declined.code())),
        Note::Request(request) => ("request", requested(request)),
        Note::Receipt(receipt) => ("receipt", received(receipt)),
    }
}

fn requested(request: &Request) -> String {
    match request {
        Request::PullRequest(request) => format!("pull request {}: {}", request.branch, request.title),
        Request::Issue(issue) => format!("issue {}: {}", issue.fingerprint.short(), issue.title),
        Request::Nothing(declined) => format!("nothing: {declined}"),
    }
}

fn received(receipt: &Receipt) -> String {
    let named = |kind: &EntryKind, number: &u64, link: &str| match kind {
        EntryKind::PullRequest => format!("pull request #{number} {link}"),
        EntryKind::Issue => format!("issue #{number} {link}"),
        EntryKind::Branch => format!("branch {link}"),
    };
    match receipt {
        Receipt::Opened { kind, number, link } => format!("opened {}", named(kind, number, link)),
        Receipt::Updated { kind, number, link } => format!("updated {}", named(kind, number, link)),
        Receipt::Exists { kind, number, link, why } => format!("left {} as it is: {why}", named(kind, number, link)),
        Receipt::Nothing { why } => format!("nothing published: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::case::{Declined, FailureId, Finding, ObjectRef};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_of_an_incident_carries_its_id_and_breaks_nothing() {
        let finding = Finding {
            failure: FailureId("oom-killed"),
            workload: ObjectRef::new("apps/v1", "Deployment", Some("shop"), "web"),
            container: None,
            symptom: "fails\n\x1b[2J".to_owned(),
            since: None,
            pods: Vec::new(),
            shared: None,
        };
        let incident = Incident { failure: finding.failure, findings: vec![finding], shared: None };
        let page = Page::default();
        let writer = page.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            Log.opened(&incident);
            Log.noted(&incident, &Note::Declined(Declined::Denied(Vec::new())));
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.lines().all(|line| line.contains("incident=oom-killed/deployment/shop/web")), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }
}
