//! Cases in, JSON out: a stable interface, with types of its own, so that the nouns can change and it cannot.
//!
//! Text is as the cluster has it, redacted but not neutralised: JSON escapes what breaks it, and the reader is a program.

mod trace;

use serde::Serialize;
use serde_json::Value;

use crate::case::{self, Case, Cure, Declined, EntryKind, Gap, ObjectRef, Operation, Receipt, Request, Timestamp};
use crate::report::tally::{self, Standing, Tally};
use crate::report::{diff, terminal};

pub use trace::{coverage, trace};

/// Lines of context in a diff, as Git has them.
const CONTEXT: usize = 3;

/// What `scan -o json` prints.
pub fn scan(cases: &[Case], gaps: &[Gap], snapshot_taken: Timestamp) -> Value {
    value(&Scan::of(cases, gaps, snapshot_taken))
}

/// What `cure -o json` prints: the same, every request word for word, and what was published of them.
pub fn cure(cases: &[Case], gaps: &[Gap], snapshot_taken: Timestamp) -> Value {
    let requests = cases.iter().filter_map(Asked::of).collect();
    let published = cases.iter().filter_map(Published::of).collect();
    value(&CureResult { scan: Scan::of(cases, gaps, snapshot_taken), requests, published })
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("structs with string keys are always JSON")
}

#[derive(Serialize)]
struct Scan<'a> {
    taken: String,
    findings: Vec<Finding<'a>>,
    proposals: Vec<Proposal<'a>>,
    declined: Vec<Refused<'a>>,
    warnings: Vec<Warning<'a>>,
    summary: Tally,
}

#[derive(Serialize)]
struct CureResult<'a> {
    #[serde(flatten)]
    scan: Scan<'a>,
    /// Of a dry run, too.
    requests: Vec<Asked<'a>>,
    published: Vec<Published<'a>>,
}

#[derive(Serialize)]
struct Workload<'a> {
    kind: &'a str,
    /// `null` for what belongs to no namespace.
    namespace: Option<&'a str>,
    name: &'a str,
}

#[derive(Serialize)]
struct Finding<'a> {
    failure: &'a str,
    workload: Workload<'a>,
    container: Option<&'a str>,
    symptom: &'a str,
    since: Option<String>,
    /// The same for all findings that have one cause.
    incident: String,
    pods: Vec<Workload<'a>>,
    shared: Option<String>,
}

#[derive(Serialize)]
struct Proposal<'a> {
    failure: &'a str,
    workload: Workload<'a>,
    workloads: Vec<Workload<'a>>,
    incident: String,
    cause: &'a str,
    help: &'a str,
    origin: &'static str,
    confidence: u8,
    grounds: Vec<Ground<'a>>,
    quotes: Vec<Quote<'a>>,
    notes: &'a [String],
    unchecked: Vec<&'a str>,
    passed: &'a [String],
    changes: Vec<Change<'a>>,
    locations: Vec<Location<'a>>,
    /// Of all files, as `git apply` reads it.
    diff: String,
    /// The commit that the diff is made against.
    base: Option<&'a str>,
    policy: Option<&'a str>,
    /// `null` when nothing was reviewed.
    verdict: Option<String>,
    reasons: Vec<Reason<'a>>,
}

#[derive(Serialize)]
struct Refused<'a> {
    failure: &'a str,
    workload: Workload<'a>,
    workloads: Vec<Workload<'a>>,
    incident: String,
    reason: &'static str,
    detail: String,
    cause: Option<&'a str>,
    quotes: Vec<Quote<'a>>,
    /// The candidates of an `ambiguous`, or the place that is `blocked`.
    places: Vec<Location<'a>>,
    next: Vec<String>,
}

#[derive(Serialize)]
struct Ground<'a> {
    text: &'a str,
    weight: i8,
}

#[derive(Serialize)]
struct Quote<'a> {
    /// `E1`, as on the screen and in the pull request.
    evidence: String,
    source: Option<String>,
    text: &'a str,
}

#[derive(Serialize)]
struct Change<'a> {
    object: Workload<'a>,
    path: String,
    op: &'static str,
    from: Option<&'a Value>,
    to: Option<&'a Value>,
}

#[derive(Serialize)]
struct Location<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    path: String,
    chain: Vec<Link<'a>>,
    /// Fields of other objects that an edit of the place changes as well.
    also: Vec<trace::Feed<'a>>,
}

#[derive(Serialize)]
struct Link<'a> {
    file: &'a str,
    line: usize,
    what: &'a str,
}

#[derive(Serialize)]
struct Reason<'a> {
    gate: &'static str,
    ruling: String,
    text: &'a str,
}

#[derive(Serialize)]
struct Warning<'a> {
    what: &'a str,
    why: &'a str,
}

/// A pull request or issue as the forge should hold it.
#[derive(Serialize)]
struct Asked<'a> {
    incident: String,
    kind: &'static str,
    title: &'a str,
    branch: Option<&'a str>,
    draft: bool,
    labels: &'a [String],
    body: &'a str,
}

impl<'a> Asked<'a> {
    fn of(case: &'a Case) -> Option<Self> {
        let incident = tally::incident_id(&case.incident);
        match case.request.as_ref()? {
            Request::PullRequest(pull) => Some(Self {
                incident,
                kind: "pull-request",
                title: &pull.title,
                branch: Some(&pull.branch),
                draft: pull.draft,
                labels: &pull.labels,
                body: &pull.body,
            }),
            Request::Issue(issue) => Some(Self {
                incident,
                kind: "issue",
                title: &issue.title,
                branch: None,
                draft: false,
                labels: &issue.labels,
                body: &issue.body,
            }),
            Request::Nothing(_) => None,
        }
    }
}

#[derive(Serialize)]
struct Published<'a> {
    failure: &'a str,
    workload: Workload<'a>,
    workloads: Vec<Workload<'a>>,
    incident: String,
    kind: Option<&'static str>,
    number: Option<u64>,
    link: Option<&'a str>,
    branch: Option<&'a str>,
    /// `opened`, `updated`, `exists` or `nothing`.
    status: &'static str,
    /// Why it was left as it is, or nothing was published.
    why: Option<&'a str>,
}

impl<'a> Scan<'a> {
    fn of(cases: &'a [Case], gaps: &'a [Gap], snapshot_taken: Timestamp) -> Self {
        Self {
            taken: snapshot_taken.to_string(),
            findings: cases.iter().flat_map(findings).collect(),
            proposals: cases.iter().filter_map(Proposal::of).collect(),
            declined: cases.iter().filter_map(Refused::of).collect(),
            warnings: gaps.iter().map(|gap| Warning { what: &gap.what, why: &gap.why }).collect(),
            summary: Tally::of(cases),
        }
    }
}

fn findings(case: &Case) -> impl Iterator<Item = Finding<'_>> {
    case.incident.findings.iter().map(|finding| Finding {
        failure: finding.failure.0,
        workload: (&finding.workload).into(),
        container: finding.container.as_deref(),
        symptom: &finding.symptom,
        since: finding.since.map(|since| since.to_string()),
        incident: tally::incident_id(&case.incident),
        pods: finding.pods.iter().map(Into::into).collect(),
        shared: finding.shared.as_ref().map(ToString::to_string),
    })
}

impl<'a> From<&'a ObjectRef> for Workload<'a> {
    fn from(object: &'a ObjectRef) -> Self {
        Self { kind: &object.kind, namespace: object.namespace.as_deref(), name: &object.name }
    }
}

fn workloads(case: &Case) -> Vec<Workload<'_>> {
    case.incident.workloads().into_iter().map(Into::into).collect()
}

impl<'a> Proposal<'a> {
    fn of(case: &'a Case) -> Option<Self> {
        let proposal = case.proposal.as_ref()?;
        let diagnosis = &proposal.diagnosis;
        let verdict = case.verdict.as_ref();
        let not_checked = verdict.map_or(&[][..], |verdict| &verdict.not_checked);
        let diffs = proposal.files.iter().map(|file| diff::unified(&file.path, &file.before, &file.after, CONTEXT));
        Some(Self {
            failure: case.incident.failure.0,
            workload: (&case.incident.first().workload).into(),
            workloads: workloads(case),
            incident: tally::incident_id(&case.incident),
            cause: &diagnosis.cause,
            help: match &diagnosis.cure {
                Cure::Repair { help, .. } | Cure::Revert { help, .. } => help,
                Cure::Person(_) => "",
            },
            origin: terminal::origin(diagnosis.origin),
            confidence: diagnosis.confidence,
            grounds: diagnosis.grounds.iter().map(|g| Ground { text: &g.text, weight: g.weight }).collect(),
            quotes: quotes(case, &diagnosis.because),
            notes: &diagnosis.notes,
            unchecked: diagnosis.unchecked.iter().chain(not_checked).map(String::as_str).collect(),
            passed: verdict.map_or(&[], |verdict| &verdict.passed),
            changes: diagnosis.changes().iter().map(Into::into).collect(),
            locations: proposal.locations.iter().map(Into::into).collect(),
            diff: diffs.collect(),
            base: proposal.base.as_deref(),
            policy: case.policy.as_deref(),
            verdict: verdict.map(|verdict| verdict.ruling.to_string()),
            reasons: verdict.iter().flat_map(|verdict| &verdict.reasons).map(Into::into).collect(),
        })
    }
}

impl<'a> Refused<'a> {
    fn of(case: &'a Case) -> Option<Self> {
        if Standing::of(case) != Standing::Person {
            return None;
        }
        let why = tally::why(case)?;
        let own = case.declined.as_ref();
        let places = match own {
            Some(Declined::Ambiguous { places, .. }) => places.iter().map(Into::into).collect(),
            Some(Declined::Blocked { location: Some(location), .. }) => vec![location.as_ref().into()],
            _ => Vec::new(),
        };
        let mut quoted: Vec<&case::Quote> = case.diagnosis.iter().flat_map(|diagnosis| &diagnosis.because).collect();
        if let Some(Declined::InjectionSuspected { quote }) = own {
            quoted.insert(0, quote);
        }
        Some(Self {
            failure: case.incident.failure.0,
            workload: (&case.incident.first().workload).into(),
            workloads: workloads(case),
            incident: tally::incident_id(&case.incident),
            reason: why.code(),
            detail: why.to_string(),
            cause: case.diagnosis.as_ref().map(|diagnosis| diagnosis.cause.as_str()),
            quotes: quotes(case, quoted),
            places,
            next: terminal::next_steps(case, &why),
        })
    }
}

impl<'a> Published<'a> {
    fn of(case: &'a Case) -> Option<Self> {
        let kind = |kind: EntryKind| match kind {
            EntryKind::PullRequest => "pull-request",
            EntryKind::Issue => "issue",
            EntryKind::Branch => "branch",
        };
        let (status, entry, why) = match case.receipt.as_ref()? {
            Receipt::Opened { kind, number, link } => ("opened", Some((kind, number, link)), None),
            Receipt::Updated { kind, number, link } => ("updated", Some((kind, number, link)), None),
            Receipt::Exists { kind, number, link, why } => ("exists", Some((kind, number, link)), Some(why)),
            Receipt::Nothing { why } => ("nothing", None, Some(why)),
        };
        Some(Self {
            failure: case.incident.failure.0,
            workload: (&case.incident.first().workload).into(),
            workloads: workloads(case),
            incident: tally::incident_id(&case.incident),
            kind: entry.map(|(entry, ..)| kind(*entry)),
            number: entry.filter(|(kind, ..)| **kind != EntryKind::Branch).map(|(_, number, _)| *number),
            link: entry.map(|(_, _, link)| link.as_str()),
            branch: match &case.request {
                Some(Request::PullRequest(request)) => Some(&request.branch),
                _ => None,
            },
            status,
            why: why.map(String::as_str),
        })
    }
}

fn quotes<'a>(case: &'a Case, quotes: impl IntoIterator<Item = &'a case::Quote>) -> Vec<Quote<'a>> {
    let items = case.evidence.as_ref().map_or(&[][..], |evidence| &evidence.items);
    let quote = |quote: &'a case::Quote| Quote {
        evidence: format!("E{}", quote.item + 1),
        source: items.get(quote.item).map(|item| item.source.to_string()),
        text: &quote.text,
    };
    quotes.into_iter().map(quote).collect()
}

impl<'a> From<&'a case::Change> for Change<'a> {
    fn from(change: &'a case::Change) -> Self {
        let (op, from, to) = match &change.operation {
            Operation::Set { from, to } => ("set", Some(from), Some(to)),
            Operation::Add { value } => ("add", None, Some(value)),
            Operation::Remove { from } => ("remove", Some(from), None),
        };
        Self { object: (&change.object).into(), path: change.path.to_string(), op, from, to }
    }
}

impl<'a> From<&'a case::SourceLocation> for Location<'a> {
    fn from(location: &'a case::SourceLocation) -> Self {
        let link = |link: &'a case::Link| Link { file: &link.file, line: link.line, what: &link.what };
        Self {
            file: &location.file,
            line: location.line,
            column: location.column,
            path: location.path.to_string(),
            chain: location.chain.iter().map(link).collect(),
            also: location.also.iter().map(trace::Feed::of).collect(),
        }
    }
}

impl<'a> From<&'a case::Reason> for Reason<'a> {
    fn from(reason: &'a case::Reason) -> Self {
        Self { gate: reason.gate, ruling: reason.ruling.to_string(), text: &reason.text }
    }
}
