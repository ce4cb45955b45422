//! Several processes in, one that works out: the Lease, looked at on and on.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::Notify;

use crate::adapters::cluster::{Cluster, LeasePlace};
use crate::adapters::forge::{self, Fence};
use crate::case::{Lease, Timestamp};
use crate::controller::election::{Candidate, Moment, RETRY, Step, may_write};
use crate::report::health::Lead;
use crate::report::plain;

/// A request that takes longer came too late.
const REQUEST: Duration = Duration::from_secs(4);
/// At the end nobody waits for long.
const LAST_REQUEST: Duration = Duration::from_millis(400);

/// Whether this process may write.
pub enum Leadership {
    /// There is no election.
    Alone,
    Among(Arc<Election>),
}

impl Leadership {
    /// Begins to stand for election, where that was asked for.
    pub fn stand(cluster: &Arc<Cluster>, place: Option<LeasePlace>) -> Self {
        let Some(place) = place else { return Self::Alone };
        let election = Arc::new(Election::new(cluster.clone(), place));
        let standing = election.clone();
        let task = tokio::spawn(async move { standing.run().await });
        election.state().task = Some(task);
        Self::Among(election)
    }

    pub fn leads(&self) -> bool {
        match self {
            Self::Alone => true,
            Self::Among(election) => election.leads(),
        }
    }

    pub fn lead(&self) -> Lead {
        match self {
            Self::Alone => Lead::Alone,
            Self::Among(election) => election.lead(),
        }
    }

    /// What is asked right before each write.
    pub fn fence(&self) -> Fence {
        match self {
            Self::Alone => forge::open(),
            Self::Among(election) => {
                let election = election.clone();
                Arc::new(move || election.check())
            }
        }
    }

    /// Waits until it leads, or does not any more.
    pub async fn changed(&self) {
        match self {
            Self::Alone => std::future::pending().await,
            Self::Among(election) => election.changed.notified().await,
        }
    }

    /// Gives the Lease back, so that nobody has to wait until it is over. Only when nothing is being written any more.
    pub async fn resign(&self) {
        let Self::Among(election) = self else { return };
        if let Err(error) = election.resign().await {
            tracing::warn!(
                "the Lease is not given back, and runs out by itself: {}",
                plain::inline(&format!("{error:#}"))
            );
        }
    }
}

/// The election as this process sees it.
pub struct Election {
    cluster: Arc<Cluster>,
    place: LeasePlace,
    began: Instant,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    candidate: Candidate,
    /// Why the Lease cannot be used, if it cannot.
    trouble: Option<String>,
    /// What was told last.
    told: Option<String>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Election {
    fn new(cluster: Arc<Cluster>, place: LeasePlace) -> Self {
        let candidate = Candidate::new(name());
        tracing::info!(name = candidate.name(), lease = %format!("{}/{}", place.namespace, place.name), "stands for election");
        let state = State { candidate, trouble: None, told: None, task: None };
        Self { cluster, place, began: Instant::now(), state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        Moment { steady: self.began.elapsed(), wall: Timestamp::now() }
    }

    fn leads(&self) -> bool {
        let renewed = self.state().candidate.renewed();
        may_write(renewed, self.now())
    }

    fn check(&self) -> Result<()> {
        if self.leads() {
            return Ok(());
        }
        match self.state().candidate.holder() {
            Some(other) => bail!("nothing is written: this process does not lead any more, and {other} may"),
            None => bail!("nothing is written: this process does not lead any more"),
        }
    }

    fn lead(&self) -> Lead {
        if self.leads() {
            return Lead::Leads;
        }
        let state = self.state();
        match (&state.trouble, state.candidate.holder()) {
            (Some(trouble), _) => Lead::Barred(trouble.clone()),
            (None, holder) => {
                Lead::Follows(holder.filter(|holder| *holder != state.candidate.name()).map(str::to_owned))
            }
        }
    }

    async fn run(&self) {
        loop {
            let result = self.turn().await;
            self.tell(result.err());
            // A tenth more or less, so that they do not all ask at once.
            let noise = u32::try_from(random() % 201).unwrap_or(0) + 900;
            tokio::time::sleep(RETRY / 1000 * noise).await;
        }
    }

    /// Looks at the Lease, and renews or takes it where that may be done.
    async fn turn(&self) -> Result<()> {
        let must_look = self.state().candidate.must_look();
        if must_look {
            let lease = in_time(REQUEST, self.cluster.lease(&self.place)).await?;
            // As late as the answer: whoever has it, has it from then on at the most.
            self.state().candidate.observe(lease, self.began.elapsed());
        }
        let sent = self.now();
        let step = self.state().candidate.step(sent);
        let Step::Write(lease) = step else { return Ok(()) };
        match in_time(REQUEST, self.cluster.write_lease(&self.place, &lease)).await {
            Ok(Some(written)) => self.state().candidate.wrote(written, sent),
            Ok(None) => self.state().candidate.lost_sight(),
            Err(error) => {
                self.state().candidate.lost_sight();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Says what changed, once.
    fn tell(&self, error: Option<anyhow::Error>) {
        let leads = self.leads();
        let mut state = self.state();
        state.trouble = error.map(|error| format!("{error:#}"));
        let now = match (&state.trouble, state.candidate.holder()) {
            _ if leads => "leads".to_owned(),
            (Some(trouble), _) => format!("does not lead: {trouble}"),
            (None, Some(other)) => format!("follows {other}"),
            (None, None) => "nobody leads".to_owned(),
        };
        if state.told.as_ref() == Some(&now) {
            return;
        }
        let led = state.told.as_deref() == Some("leads");
        if led || (state.trouble.is_some() && !leads) {
            tracing::warn!("{}", plain::inline(&now));
        } else {
            tracing::info!("{}", plain::inline(&now));
        }
        state.told = Some(now);
        self.changed.notify_one();
    }

    async fn resign(&self) -> Result<()> {
        let task = self.state().task.take();
        if let Some(task) = task {
            task.abort();
            // Until it has ended it may still renew.
            let _ = task.await;
        }
        let given = self.state().candidate.resign(Timestamp::now());
        let Some(given) = given else { return Ok(()) };
        if in_time(LAST_REQUEST, self.cluster.write_lease(&self.place, &given)).await?.is_some() {
            tracing::info!("gave the Lease back");
            return Ok(());
        }
        // A renewal was under way: it is another version, and as much one's own.
        let there = in_time(LAST_REQUEST, self.cluster.lease(&self.place)).await?;
        let own = there.filter(|lease| lease.holder == self.state().candidate.name());
        if let Some(own) = own {
            let given = Lease { version: own.version, ..given };
            in_time(LAST_REQUEST, self.cluster.write_lease(&self.place, &given)).await?;
        }
        Ok(())
    }
}

async fn in_time<T>(most: Duration, asked: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(most, asked).await.context("the API server does not answer about the Lease")?
}

/// The machine's name, which in a pod is the pod's, and a random part: two processes are never the same one.
fn name() -> String {
    #[cfg(unix)]
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let host = "kubecure".to_owned();
    format!("{}_{:016x}", plain::cut(&host, 63), random())
}

/// The keys of a hasher are the operating system's randomness.
fn random() -> u64 {
    RandomState::new().hash_one(())
}
