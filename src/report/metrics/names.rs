//! Every metric there is: its name, its labels, and what it says. README.md has the same as a table, and a test
//! compares.
//!
//! Ages are computed when they are asked for, so they grow while nothing happens.

use super::NAMESPACES;

/// What is counted or measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only goes up while the process runs.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often which size was seen.
    Histogram(&'static [f64]),
}

impl Kind {
    /// As it stands behind `# TYPE`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [Label],
    pub help: &'static str,
}

/// A label, and what bounds its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// At most [`NAMESPACES`], and `other`.
    Namespace,
    /// A failure of the catalogue.
    FailureType,
    /// One of these words.
    One { name: &'static str, of: &'static [&'static str] },
    /// A kind that is watched.
    Watched,
    /// Of this build.
    Build(&'static str),
}

impl Label {
    /// As it stands in the braces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::FailureType => "failure_type",
            Self::One { name, .. } | Self::Build(name) => name,
            Self::Watched => "kind",
        }
    }

    /// Its values, as a reader of the table wants them.
    pub fn values(self) -> String {
        match self {
            Self::Namespace => format!("the first {NAMESPACES}, the rest `other`"),
            Self::FailureType => "a failure of the catalogue".to_owned(),
            Self::One { of, .. } => of.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Self::Watched => "what is watched: `Pod`".to_owned(),
            Self::Build(_) => "of this build".to_owned(),
        }
    }
}

const fn counter(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

/// The stages of the Line, as their durations are measured: `gather` ends with the evidence, `publish` with the receipt.
pub const STAGES: &[&str] = &["gather", "diagnose", "locate", "propose", "review", "submit", "publish"];
/// Where incidents stand.
pub const STATES: &[&str] = &["settling", "queued", "working", "waiting", "done", "left-out"];
/// What came of working an incident.
pub const OUTCOMES: &[&str] = &["settled", "later", "early", "unsure", "failed"];
/// What became of a pull request or an issue.
pub const DELIVERIES: &[&str] = &["opened", "updated", "unchanged", "failed"];
/// What review says.
pub const RULINGS: &[&str] = &["allow", "hold", "deny"];
/// Why there is no pull request: the codes of [`Declined`](crate::case::Declined).
pub const REASONS: &[&str] =
    &["undiagnosed", "needs-person", "not-in-git", "ambiguous", "blocked", "denied", "injection-suspected", "excluded"];
/// How the API server fails.
pub const API_ERRORS: &[&str] = &["unreachable", "unauthorized", "forbidden", "busy", "expired", "conflict", "other"];
/// How Git fails: the base branch cannot be read, or a pull request cannot be published.
pub const GIT_ERRORS: &[&str] = &["read", "publish"];

const CONFIDENCE: &[f64] = &[0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
/// From a rule, which takes microseconds, to a forge that is far away.
const STAGE_SECONDS: &[f64] = &[0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 30.0];
const TURN_SECONDS: &[f64] = &[0.0005, 0.002, 0.01, 0.05, 0.2, 1.0, 5.0];

/// Findings, counted when they are first seen.
pub const FAILURES_DETECTED: Metric = counter(
    "kubecure_failures_detected_total",
    &[Label::Namespace, Label::FailureType],
    "Failures that were found, each once until it has been away for ten minutes",
);
/// Incidents by where they stand.
pub const INCIDENTS: Metric =
    gauge("kubecure_incidents", &[Label::One { name: "state", of: STATES }], "Incidents that stand now");
/// Settled and waiting for their turn.
pub const QUEUE_DEPTH: Metric = gauge("kubecure_queue_depth", &[], "Incidents that have settled and wait to be worked");
/// How long the oldest of them waits.
pub const QUEUE_OLDEST: Metric =
    gauge("kubecure_queue_oldest_seconds", &[], "How long the oldest of them has waited; 0 without one");
/// Incidents that were worked.
pub const WORKED: Metric = counter(
    "kubecure_incidents_worked_total",
    &[Label::One { name: "outcome", of: OUTCOMES }],
    "Incidents that were worked: settled, stopped by a limit that passes, early for an issue, unsure and looked at again, or failed because the outside did not answer",
);
/// How long the stages take.
pub const STAGE_DURATION: Metric = Metric {
    name: "kubecure_stage_duration_seconds",
    kind: Kind::Histogram(STAGE_SECONDS),
    labels: &[Label::One { name: "stage", of: STAGES }],
    help: "How long the stages of one incident take, what they wait for included",
};
/// How sure a proposal is.
pub const CONFIDENCE_OF: Metric = Metric {
    name: "kubecure_remediation_confidence",
    kind: Kind::Histogram(CONFIDENCE),
    labels: &[],
    help: "How sure the diagnosis of a proposal is, 0 to 1, each time one is made",
};
/// What review said.
pub const VERDICTS: Metric =
    counter("kubecure_verdicts_total", &[Label::One { name: "ruling", of: RULINGS }], "What review said of proposals");
/// Why there is no pull request.
pub const DECLINED: Metric = counter(
    "kubecure_declined_total",
    &[Label::One { name: "reason", of: REASONS }],
    "Incidents without a pull request, by the reason, each time they are worked",
);
/// Pull requests by outcome.
pub const PULL_REQUESTS: Metric = counter(
    "kubecure_pull_requests_total",
    &[Label::One { name: "outcome", of: DELIVERIES }],
    "Pull requests that were to be opened, by what became of it",
);
/// Issues by outcome.
pub const ISSUES: Metric = counter(
    "kubecure_issues_total",
    &[Label::One { name: "outcome", of: DELIVERIES }],
    "Issues that were to be opened, by what became of it",
);
/// How long a look takes.
pub const TURN_DURATION: Metric = Metric {
    name: "kubecure_turn_duration_seconds",
    kind: Kind::Histogram(TURN_SECONDS),
    labels: &[],
    help: "How long one look at the whole cluster takes",
};
/// Since the last look.
pub const TURN_AGE: Metric = gauge("kubecure_turn_age_seconds", &[], "Since the loop last turned");
/// How often a watch began again.
pub const WATCH_RESTARTS: Metric =
    counter("kubecure_watch_restarts_total", &[Label::Watched], "How often a watch had to begin again before its time");
/// How long the API server was silent.
pub const WATCH_LAG: Metric = gauge(
    "kubecure_watch_lag_seconds",
    &[Label::Watched],
    "Since the API server last said something about it; bookmarks come about every minute",
);
/// How many objects are held.
pub const WATCH_OBJECTS: Metric = gauge("kubecure_watch_objects", &[Label::Watched], "Objects that are held of it");
/// What the account may not read.
pub const WATCH_REFUSED: Metric = gauge(
    "kubecure_watch_refused",
    &[Label::Watched],
    "1 where the account has no right to read it, and what it would show stays unseen",
);
/// Requests that the API server did not answer as was hoped.
pub const API_ERRORS_TOTAL: Metric = counter(
    "kubecure_api_errors_total",
    &[Label::One { name: "error", of: API_ERRORS }],
    "Requests to the API server that failed",
);
/// Git that failed.
pub const GIT_ERRORS_TOTAL: Metric = counter(
    "kubecure_git_errors_total",
    &[Label::One { name: "error", of: GIT_ERRORS }],
    "Reads of the base branch, and publications, that failed",
);
/// How fresh the repository is.
pub const REPOSITORY_AGE: Metric =
    gauge("kubecure_repository_age_seconds", &[], "Since the base branch was last asked for and answered");
/// Whether the policy of the base branch is in force.
pub const POLICY_VALID: Metric = gauge(
    "kubecure_policy_valid",
    &[],
    "1 while the policy of the base branch is in force, 0 while it is invalid and the last good one is",
);
/// How old the policy in force is.
pub const POLICY_AGE: Metric = gauge("kubecure_policy_age_seconds", &[], "Since the policy that is in force was read");
/// Whether this process may write.
pub const LEADER: Metric =
    gauge("kubecure_leader", &[], "1 while this process may open pull requests: it leads, or there is no election");
/// What runs.
pub const BUILD_INFO: Metric =
    gauge("kubecure_build_info", &[Label::Build("version"), Label::Build("revision")], "1, with what runs as labels");

/// Memory in RAM.
pub const RESIDENT: Metric = gauge("process_resident_memory_bytes", &[], "Resident memory size in bytes");
/// Processor time.
pub const CPU: Metric = counter("process_cpu_seconds_total", &[], "Total user and system CPU time spent in seconds");
/// Open files.
pub const OPEN_FILES: Metric = gauge("process_open_fds", &[], "Number of open file descriptors");
/// As many as it may open.
pub const MOST_FILES: Metric = gauge("process_max_fds", &[], "Maximum number of open file descriptors");
/// Threads.
pub const THREADS: Metric = gauge("process_threads", &[], "Number of OS threads in the process");
/// When it began.
pub const STARTED: Metric =
    gauge("process_start_time_seconds", &[], "Start time of the process since unix epoch in seconds");

/// All of them, in the order in which a reader wants them.
pub const ALL: &[Metric] = &[
    FAILURES_DETECTED,
    INCIDENTS,
    QUEUE_DEPTH,
    QUEUE_OLDEST,
    WORKED,
    STAGE_DURATION,
    CONFIDENCE_OF,
    VERDICTS,
    DECLINED,
    PULL_REQUESTS,
    ISSUES,
    TURN_DURATION,
    TURN_AGE,
    WATCH_RESTARTS,
    WATCH_LAG,
    WATCH_OBJECTS,
    WATCH_REFUSED,
    API_ERRORS_TOTAL,
    GIT_ERRORS_TOTAL,
    REPOSITORY_AGE,
    POLICY_VALID,
    POLICY_AGE,
    LEADER,
    BUILD_INFO,
    RESIDENT,
    CPU,
    OPEN_FILES,
    MOST_FILES,
    THREADS,
    STARTED,
];

/// The table of README.md.
pub fn table() -> String {
    let mut lines = vec!["| metric | type | labels | says |".to_owned(), "|---|---|---|---|".to_owned()];
    lines.extend(ALL.iter().map(|metric| {
        let labels: Vec<String> =
            metric.labels.iter().map(|label| format!("`{}`: {}", label.name(), label.values())).collect();
        format!("| `{}` | {} | {} | {} |", metric.name, metric.kind.word(), labels.join("; "), metric.help)
    }));
    lines.join("\n") + "\n"
}
