//! Files of `.kubecure/` in; for each workload what may be changed, how far, when, and how it is delivered, out.
//!
//! Policy is data. A repository's own policies stand before the built-in default, the most specific one decides, and
//! what it leaves out it has from the default. A file with a mistake is refused with every mistake in it: a policy is
//! never half in force.

mod allow;
mod check;
mod decide;
mod node;
mod read;
pub(crate) mod schema;
mod settle;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub use self::decide::Decision;
pub use self::schema::{policy_schema, settings_schema};
pub use self::settle::Settle;
pub use super::schedule::{Cron, Duration, Freeze, Moment, Recurring, Schedule, Window, Zone};
use crate::case::{Origin, Timestamp};
use crate::settings::Settings;

/// The API version of everything in `.kubecure/`.
pub const API_VERSION: &str = "healing.kubecure.io/v1alpha1";

/// The failures that a policy can speak of.
pub const KNOWN_FAILURES: &[&str] = &[
    "oom-killed",
    "security-context",
    "config-missing",
    "image-pull",
    "run-error",
    "probe-failing",
    "evicted",
    "unschedulable",
    "crash-loop",
    "quota-exceeded",
    "replica-create-failed",
    "pvc-pending",
    "job-failed",
    "gitops-sync-failed",
    "hpa-failing",
    "service-no-endpoints",
    "ingress-backend",
    "rollout-stuck",
    "node-not-ready",
];

/// Every policy of one repository at one commit, the built-in default, and the settings beside them.
#[derive(Clone, Debug)]
pub struct Policies {
    /// The repository's own, by file and place in it.
    own: Vec<(String, Policy)>,
    built_in: Policy,
    settings: Settings,
    warnings: Vec<PolicyProblem>,
}

/// A file of `.kubecure/`.
#[derive(Clone, Copy, Debug)]
pub struct PolicyFile<'a> {
    /// From the root of the repository: `.kubecure/policy.yaml`.
    pub path: &'a str,
    pub text: &'a str,
}

/// The policy in force for one workload.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = schema::inherited)]
pub struct Policy {
    /// From the metadata.
    #[serde(skip)]
    pub name: String,
    /// Which workloads this policy is for. The most specific policy wins: an exact namespace before a pattern before
    /// `*`, then one that names kinds, then the one with more labels.
    pub r#match: Match,
    /// When pull requests may open.
    pub schedule: Schedule,
    /// How a cure is delivered.
    pub deliver: Deliver,
    /// The fields that may be changed, each for one failure. Everything else is denied.
    pub allow: Vec<Allowance>,
    /// Which line is edited where several overlays lead to one object.
    pub layer: Layer,
    /// Bounds on what KubeCure does. Open pull requests are counted in the forge, so a restart forgets none.
    pub limits: Limits,
    /// How long a failure must have stood before it is worked: a rollout in progress, or a node that blinks, opens
    /// nothing. A key for each failure, and `node` for what fails because its node does.
    #[schemars(schema_with = "schema::settle")]
    pub settle: Settle,
    /// What happens after the merge.
    pub verify: VerifyPolicy,
    /// What pull requests look like.
    pub pull_request: PullRequestPolicy,
}

/// Which workloads a policy is for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = schema::inherited)]
pub struct Match {
    /// Namespaces, by name or by a pattern with `*`: `shop`, `team-*`. Objects without a namespace match none.
    #[schemars(schema_with = "schema::namespaces", length(min = 1))]
    pub namespaces: Vec<String>,
    /// Namespaces that this policy leaves alone, by name or pattern, whatever `namespaces` says.
    #[schemars(schema_with = "schema::namespaces")]
    pub exclude: Vec<String>,
    /// Kinds of workloads, as manifests write them: `Deployment`. None: every kind.
    #[schemars(schema_with = "schema::kinds")]
    pub kinds: Vec<String>,
    /// Labels that a workload must have, with these values.
    pub labels: BTreeMap<String, String>,
}

/// How a cure is delivered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = schema::inherited)]
pub struct Deliver {
    /// The confidence, in percent, below which a cure is delivered as `otherwise` says.
    #[schemars(range(max = 100))]
    pub min_confidence: u8,
    /// For a cure that a rule of the catalogue establishes.
    pub rule: Delivery,
    /// For a rule's cure that puts a field back to its value in the last healthy revision.
    pub revert: Delivery,
    /// For a cure that a language model suggests.
    pub model: Delivery,
    /// For everything that is not good enough for the above.
    pub otherwise: Delivery,
}

/// What becomes of a cure, the boldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Delivery {
    /// A pull request, ready to be merged.
    PullRequest,
    /// A draft pull request, for a person to take up.
    Draft,
    /// An issue that says what is wrong and what would cure it.
    Issue,
    /// Nothing: only the log and the metrics show it.
    Nothing,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PullRequest => "pullRequest",
            Self::Draft => "draft",
            Self::Issue => "issue",
            Self::Nothing => "nothing",
        })
    }
}

/// A field that may be changed to cure a failure.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allowance {
    /// The failure that the change cures: `oom-killed`.
    #[schemars(extend("enum" = KNOWN_FAILURES))]
    pub failure: String,
    /// The field, from the root of the object. `*` stands for any key, `[*]` for any item of a list. A field of a pod
    /// template is written `spec.template.spec.…` and means the same in a CronJob and in a bare Pod.
    #[schemars(extend("x-check" = "field"))]
    pub field: String,
    /// The largest value that may be written: a quantity (`4Gi`, `500m`) or a number.
    #[serde(default, deserialize_with = "text_or_number")]
    #[schemars(schema_with = "schema::quantity")]
    pub max: Option<String>,
    /// How many times the present value at most: `2` allows to double it.
    #[schemars(with = "f64", range(min = 1))]
    #[serde(default)]
    pub max_factor: Option<f64>,
    /// `revert`: only back to the value of the last healthy revision.
    #[schemars(with = "Only")]
    #[serde(default)]
    pub only: Option<Only>,
}

/// A narrower reading of an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Only {
    /// Back to the value of the last healthy revision, and to no other.
    Revert,
}

/// Which line is edited where several overlays lead to one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Layer {
    /// The overlay that affects only the failing environment.
    Narrowest,
    /// The line that sets the value now, whatever else it feeds.
    Current,
    /// The line nearest to the base, so that every environment gets the cure.
    Widest,
}

/// Bounds on what KubeCure does.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = schema::inherited)]
pub struct Limits {
    /// Pull requests of KubeCure that may be open at one time.
    pub open_pull_requests: u32,
    /// Pull requests that may be opened within an hour.
    pub pull_requests_per_hour: u32,
    /// Pull requests that may be open for one workload.
    pub per_workload: u32,
    /// Objects besides the failing one that an edit may change, in all environments together: the blast radius.
    pub max_blast_radius: u32,
    /// Questions to a language model within an hour.
    pub model_calls_per_hour: u32,
    /// Tokens, asked and answered, within a day.
    pub model_tokens_per_day: u64,
}

/// What happens after the merge.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = schema::inherited)]
pub struct VerifyPolicy {
    /// How long the workload must be healthy after the rollout before the cure counts: `10m`.
    #[schemars(with = "String", extend("x-check" = "duration"))]
    pub window: Duration,
    /// What to do when the workload is worse than before.
    pub on_worse: OnWorse,
}

/// What to do when a workload is worse after a cure than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnWorse {
    /// Open a pull request that takes the cure back.
    RevertPullRequest,
    /// Open an issue.
    Issue,
    /// Only say so on the pull request.
    Comment,
}

/// What pull requests look like.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = schema::inherited)]
pub struct PullRequestPolicy {
    /// Labels besides `kubecure` and `kubecure/<failure>`.
    pub labels: Vec<String>,
    /// Who is asked for a review, by the forge's user or team name.
    pub reviewers: Vec<String>,
    /// Title and first line of the commit. `{help}`, `{failure}`, `{kind}`, `{namespace}`, `{name}`, `{workload}`,
    /// `{container}` and `{file}` stand for what they say.
    #[schemars(extend("x-check" = "subject"))]
    pub subject: String,
    /// Trailers of the commit message besides KubeCure's own: `Change-Class: standard`.
    #[schemars(extend("x-check" = "trailers"))]
    pub trailers: BTreeMap<String, String>,
    /// Sections at the end of the body, in this order.
    pub sections: Vec<Section>,
}

/// A section of a pull request's body, as the policy words it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// Markdown. The placeholders of `subject` stand for the same here.
    #[schemars(extend("x-check" = "placeholders"))]
    pub text: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The file is refused.
    Error,
    /// The file is read, but hardly means what it says.
    Warning,
}

/// What is wrong with a file of `.kubecure/`, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyProblem {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters are wrong from there, at least one.
    pub width: usize,
    pub level: Level,
    /// "unknown key `machFactor`"
    pub message: String,
    /// "the nearest key is `maxFactor`"
    pub hint: Option<String>,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl Policies {
    /// The settings of the repository; empty ones when it has none.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is read but hardly means what it says.
    pub fn warnings(&self) -> &[PolicyProblem] {
        &self.warnings
    }

    /// Every policy of the repository with its file, and the built-in default after them.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Policy)> {
        let own = self.own.iter().map(|(file, policy)| (file.as_str(), policy));
        own.chain([(decide::BUILT_IN, &self.built_in)])
    }
}

impl Policy {
    /// Whether pull requests may open at that moment.
    pub fn window(&self, now: Timestamp) -> Window {
        self.schedule.window(now)
    }

    /// The namespace that the policy speaks of, when it names exactly one: where a manifest without a namespace lives.
    pub fn home(&self) -> Option<&str> {
        match self.r#match.namespaces.as_slice() {
            [only] if !only.contains(['*', '?']) => Some(only),
            _ => None,
        }
    }

    /// How a cure of sufficient confidence is delivered. A model's revert gets the more careful of the two.
    pub fn delivery(&self, origin: Origin, is_revert: bool) -> Delivery {
        match (origin, is_revert) {
            (Origin::Rule, false) => self.deliver.rule,
            (Origin::Rule, true) => self.deliver.revert,
            (Origin::Model, false) => self.deliver.model,
            (Origin::Model, true) => self.deliver.model.max(self.deliver.revert),
        }
    }
}

/// A number is taken as the text that it is written as.
fn text_or_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(from)? {
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(other) => return Err(serde::de::Error::custom(format!("{other} is no quantity"))),
        None => None,
    })
}

#[cfg(test)]
mod tests;
