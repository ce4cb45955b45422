//! One journal, many readers: a stage notes what it found once; screen, JSON, log and progress read it.
//!
//! Readers never influence a case.

pub mod diff;
pub mod health;
pub mod json;
pub mod log;
pub mod metrics;
pub mod plain;
pub mod progress;
pub mod tally;
pub mod terminal;

use crate::case::{
    Case, Declined, Diagnosis, Evidence, Incident, Proposal, Question, Receipt, Request, SourceLocation, Verdict,
};

/// Something that came to exist while an incident was worked.
#[expect(clippy::large_enum_variant, reason = "notes are made once for a stage, and few at a time")]
#[derive(Clone, Debug)]
pub enum Note {
    Policy(String),
    Evidence(Evidence),
    Question(Question),
    Diagnosis(Diagnosis),
    Locations(Vec<SourceLocation>),
    Proposal(Proposal),
    Verdict(Verdict),
    Declined(Declined),
    Request(Request),
    Receipt(Receipt),
}

/// Who wants to know at once: a progress bar, a log.
pub trait Reader {
    /// Work on an incident begins.
    fn opened(&mut self, incident: &Incident);
    /// Something came to exist.
    fn noted(&mut self, incident: &Incident, note: &Note);
    /// The work came to nothing because the outside did not answer.
    fn failed(&mut self, _: &Incident, _: &str) {}
}

/// Two that want to know the same.
impl<A: Reader, B: Reader> Reader for (A, B) {
    fn opened(&mut self, incident: &Incident) {
        self.0.opened(incident);
        self.1.opened(incident);
    }

    fn noted(&mut self, incident: &Incident, note: &Note) {
        self.0.noted(incident, note);
        self.1.noted(incident, note);
    }

    fn failed(&mut self, incident: &Incident, why: &str) {
        self.0.failed(incident, why);
        self.1.failed(incident, why);
    }
}

/// A reader that does not care.
#[derive(Debug, Default)]
pub struct Silent;

impl Reader for Silent {
    fn opened(&mut self, _: &Incident) {}
    fn noted(&mut self, _: &Incident, _: &Note) {}
}

/// The record of one incident while it is worked.
pub struct Journal<'r> {
    case: Case,
    reader: &'r mut dyn Reader,
}

impl<'r> Journal<'r> {
    pub fn open(incident: &Incident, reader: &'r mut dyn Reader) -> Self {
        reader.opened(incident);
        Self { case: Case::new(incident.clone()), reader }
    }

    /// Records a noun, and tells the reader.
    pub fn note(&mut self, note: impl Into<Note>) {
        let note = note.into();
        self.reader.noted(&self.case.incident, &note);
        match note {
            Note::Policy(policy) => self.case.policy = Some(policy),
            Note::Evidence(evidence) => self.case.evidence = Some(evidence),
            Note::Question(question) => self.case.question = Some(question),
            Note::Diagnosis(diagnosis) => self.case.diagnosis = Some(diagnosis),
            Note::Locations(locations) => self.case.locations = locations,
            Note::Proposal(proposal) => self.case.proposal = Some(proposal),
            Note::Verdict(verdict) => self.case.verdict = Some(verdict),
            Note::Declined(declined) => self.case.declined = Some(declined),
            Note::Request(request) => self.case.request = Some(request),
            Note::Receipt(receipt) => self.case.receipt = Some(receipt),
        }
    }

    pub fn case(&self) -> &Case {
        &self.case
    }

    pub fn close(self) -> Case {
        self.case
    }
}

macro_rules! notes {
    ($($noun:ident),*) => { $(
        impl From<&$noun> for Note {
            fn from(noun: &$noun) -> Self {
                Self::$noun(noun.clone())
            }
        }
    )* };
}
notes!(Evidence, Question, Diagnosis, Proposal, Verdict, Declined, Request, Receipt);

impl From<&str> for Note {
    fn from(policy: &str) -> Self {
        Self::Policy(policy.to_owned())
    }
}

impl From<&Vec<SourceLocation>> for Note {
    fn from(locations: &Vec<SourceLocation>) -> Self {
        Self::Locations(locations.clone())
    }
}
