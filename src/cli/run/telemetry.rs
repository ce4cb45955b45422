//! What the loop says of itself in; `/metrics`, `/healthz` and `/readyz` out.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use jiff::SignedDuration;

use crate::adapters::cluster::{Cluster, Watching};
use crate::adapters::ground::GroundStatus;
use crate::adapters::process;
use crate::adapters::serve::Page;
use crate::case::{Incident, Timestamp};
use crate::controller::News;
use crate::controller::agenda::{Outcome, Standing};
use crate::report::health::{self, Check, Lead, Policy, Repository, Vitals, Watch};
use crate::report::log::Log;
use crate::report::metrics::{CONTENT_TYPE, Meter, Metrics, names};
use crate::settings::Ground;

/// The commit that this was built from, where whoever built it said so.
const REVISION: Option<&str> = option_env!("KUBECURE_REVISION");

/// What is known of the running process.
pub struct Telemetry {
    metrics: Metrics,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    began: Instant,
    state: Mutex<State>,
}

/// When what happened last. Of a clock that nobody sets.
#[derive(Default)]
struct State {
    turned: Option<Instant>,
    /// How long the oldest incident had waited at that turn.
    waits: Option<SignedDuration>,
    commit: Option<String>,
    policy_read: Option<Instant>,
    policy_invalid: Option<String>,
}

impl Telemetry {
    pub fn start() -> Self {
        let (metrics, began) = (Metrics::default(), Instant::now());
        let revision = REVISION.unwrap_or("unknown");
        metrics.set(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION"), revision], 1.0);
        Self { metrics, clock: Box::new(move || began.elapsed()), began, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who reads along while an incident is worked.
    pub fn reader(&self) -> (Log, Meter<'_>) {
        (Log, Meter::new(&self.metrics, &*self.clock))
    }

    /// Takes note of what the loop sees and does.
    pub fn told(&self, news: News<'_>) {
        match news {
            News::Looked(incidents) => self.looked(incidents),
            News::Turned { standing, took, waits } => {
                self.metrics.observe(&names::TURN_DURATION, &[], took.as_secs_f64().max(0.0));
                self.stands(standing);
                let mut state = self.state();
                (state.turned, state.waits) = (Some(Instant::now()), waits);
            }
            News::Worked(outcome) => {
                let outcome = match outcome {
                    Outcome::Settled => "settled",
                    Outcome::Later => "later",
                    Outcome::Early => "early",
                    Outcome::Unsure => "unsure",
                    Outcome::Failed => "failed",
                };
                self.metrics.count(&names::WORKED, &[outcome]);
            }
        }
    }

    fn looked(&self, incidents: &[Incident]) {
        self.metrics.detected(incidents, Timestamp::now());
    }

    #[expect(clippy::cast_precision_loss, reason = "there are at most ten thousand")]
    fn stands(&self, standing: Standing) {
        let Standing { settling, queued, working, waiting, done, left_out, oldest: _ } = standing;
        for (state, number) in names::STATES.iter().zip([settling, queued, working, waiting, done, left_out]) {
            self.metrics.set(&names::INCIDENTS, &[state], number as f64);
        }
        self.metrics.set(&names::QUEUE_DEPTH, &[], queued as f64);
    }

    /// The commit that is worked with, and whether its policy is in force.
    pub fn stands_on(&self, ground: &Ground) {
        let mut state = self.state();
        if state.commit != ground.sources.commit {
            state.commit.clone_from(&ground.sources.commit);
            if ground.invalid.is_none() {
                state.policy_read = Some(Instant::now());
            }
        }
        state.policy_invalid.clone_from(&ground.invalid);
    }

    fn vitals(&self, watching: &Watching, base: GroundStatus, lead: Lead) -> Vitals {
        let state = self.state();
        let age = |at: Option<Instant>| at.and_then(|at| SignedDuration::try_from(at.elapsed()).ok());
        let turned = age(state.turned);
        Vitals {
            up: age(Some(self.began)).unwrap_or_default(),
            turned,
            watches: watches(watching, Timestamp::now()),
            missing: watching.missing(),
            repository: Repository {
                commit: base.commit,
                answered: base.age.and_then(|age| SignedDuration::try_from(age).ok()),
                error: base.error.map(|error| error.text),
            },
            policy: Policy { read: age(state.policy_read), invalid: state.policy_invalid.clone() },
            lead,
            queued: state.waits.map(|waits| waits + turned.unwrap_or_default()),
        }
    }

    /// What is answered to a path.
    pub fn page(
        &self,
        path: &str,
        cluster: &Cluster,
        watching: &Watching,
        base: GroundStatus,
        lead: Lead,
    ) -> Option<Page> {
        match path {
            "/metrics" => {
                #[expect(clippy::cast_precision_loss, reason = "no number here comes near 2^52")]
                self.metrics.total(&names::GIT_ERRORS_TOTAL, &["read"], base.failures as f64);
                let vitals = self.vitals(watching, base, lead);
                let text = self.metrics.text(|metrics| fill(metrics, &vitals, cluster));
                Some(Page { status: StatusCode::OK, content_type: CONTENT_TYPE, text })
            }
            "/healthz" => Some(page_of(&health::alive(&self.vitals(watching, base, lead)))),
            "/readyz" => Some(page_of(&health::ready(&self.vitals(watching, base, lead)))),
            _ => None,
        }
    }
}

fn page_of(checks: &[Check]) -> Page {
    let (is_well, text) = health::page(checks);
    Page::plain(if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

/// How the watches are, each kind once: of several namespaces the one that was silent longest counts.
fn watches(watching: &Watching, now: Timestamp) -> Vec<Watch> {
    let mut all: Vec<Watch> = Vec::new();
    for watched in watching.watched() {
        let kind = watched.kind.kind;
        let silent = watched.heard.map(|heard| now.duration_since(heard));
        if let Some(known) = all.iter_mut().find(|watch| watch.kind == kind) {
            known.silent = known.silent.max(silent);
            known.restarts += watched.restarts;
            known.objects += watched.objects;
            known.is_refused |= watched.is_refused;
        } else {
            let (restarts, objects, is_refused) = (watched.restarts, watched.objects, watched.is_refused);
            all.push(Watch { kind, silent, restarts, objects, is_refused });
        }
    }
    all
}

/// Sets what is only known when it is asked for.
#[expect(clippy::cast_precision_loss, reason = "no number here comes near 2^52")]
fn fill(metrics: &Metrics, vitals: &Vitals, cluster: &Cluster) {
    for watch in &vitals.watches {
        metrics.age(&names::WATCH_LAG, &[watch.kind], watch.silent);
        metrics.total(&names::WATCH_RESTARTS, &[watch.kind], watch.restarts as f64);
        metrics.set(&names::WATCH_OBJECTS, &[watch.kind], watch.objects as f64);
        metrics.set(&names::WATCH_REFUSED, &[watch.kind], f64::from(u8::from(watch.is_refused)));
    }
    for (error, count) in cluster.errors().counts() {
        metrics.total(&names::API_ERRORS_TOTAL, &[error.word()], count as f64);
    }
    metrics.age(&names::TURN_AGE, &[], vitals.turned);
    metrics.age(&names::QUEUE_OLDEST, &[], Some(vitals.queued.unwrap_or_default()));
    metrics.age(&names::REPOSITORY_AGE, &[], vitals.repository.answered);
    metrics.age(&names::POLICY_AGE, &[], vitals.policy.read);
    if vitals.policy.read.is_some() {
        metrics.set(&names::POLICY_VALID, &[], f64::from(u8::from(vitals.policy.invalid.is_none())));
    }
    metrics.set(&names::LEADER, &[], f64::from(u8::from(vitals.lead.leads())));
    if let Some(usage) = process::usage() {
        metrics.set(&names::RESIDENT, &[], usage.resident as f64);
        metrics.total(&names::CPU, &[], usage.cpu);
        metrics.set(&names::OPEN_FILES, &[], usage.open_files as f64);
        if let Some(most) = usage.most_files {
            metrics.set(&names::MOST_FILES, &[], most as f64);
        }
        metrics.set(&names::THREADS, &[], usage.threads as f64);
        metrics.set(&names::STARTED, &[], usage.started);
    }
}
