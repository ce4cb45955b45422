//! The base branch of a repository on a server: fetched in the background, so that nobody waits for a network.

mod pace;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use self::pace::Pace;
use super::{Base, GroundStatus, read};
use crate::adapters::forge::Forge;
use crate::adapters::forge::branch::BranchForge;
use crate::adapters::forge::hosted::{Hosted, HostedForge};
use crate::adapters::git::mirror::Mirror;
use crate::adapters::git::remote::{Depth, Remote, Trouble};
use crate::case::Timestamp;
use crate::review::policy::Policies;
use crate::settings::Ground;

/// A repository on a server, and a thread that fetches it for as long as this lives.
pub struct RemoteBase {
    fetched: Arc<Fetched>,
    /// The forge that it is on; without one branches are all there is.
    hosted: Option<Arc<Hosted>>,
}

/// How a repository is fetched.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The branch to work on; else the server's own.
    pub base: Option<String>,
    pub depth: Depth,
    pub every: Duration,
}

/// What was fetched, for the thread that fetches, those who read, and the forge.
///
/// Two locks: `mirror` is held while the network is waited for, `known` for a moment only.
pub struct Fetched {
    mirror: Mutex<Mirror>,
    known: Mutex<Known>,
    errand: Mutex<Errand>,
    called: Condvar,
    pace: Pace,
    name: String,
}

#[derive(Default)]
struct Known {
    status: GroundStatus,
    /// The ground in force, or why what was fetched is none.
    ground: Option<Result<Arc<Ground>, String>>,
    /// When the server answered last.
    asked: Option<Instant>,
    /// The last policy that was valid.
    good: Option<Policies>,
}

/// What the thread is to do besides its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errand {
    None,
    Fetch,
    End,
}

impl RemoteBase {
    /// Fetches a first time, and goes on in the background.
    ///
    /// What a person must mend is an error: a URL that leads nowhere, a token that is refused. What may pass by itself is
    /// none: what an earlier process fetched is in force then, if there is anything.
    pub fn start(remote: Remote, plan: Plan, clones: &Path) -> Result<Self> {
        let name = remote.url().to_string();
        let mirror = Mutex::new(Mirror::new(remote, plan.base, plan.depth, clones));
        let (known, errand, called) = (Mutex::default(), Mutex::new(Errand::None), Condvar::new());
        let fetched = Arc::new(Fetched { mirror, known, errand, called, pace: Pace::new(plan.every), name });
        if let Err(trouble) = fetched.round() {
            if trouble.is_mistake() {
                return Err(anyhow!(trouble).context(format!("cannot read {}", fetched.name)));
            }
            fetched.fall_back();
        } else if let Some(Err(error)) = &lock(&fetched.known).ground {
            return Err(anyhow!("{error}"));
        }
        let own = fetched.clone();
        std::thread::Builder::new().name("git".to_owned()).spawn(move || own.keep_up())?;
        Ok(Self { fetched, hosted: None })
    }

    /// Pull requests go to a forge with an API.
    #[must_use]
    pub fn on(mut self, hosted: Hosted) -> Self {
        self.hosted = Some(Arc::new(hosted));
        self
    }

    /// Fetches now, without waiting for it: somebody said that there is something new.
    pub fn call(&self) {
        self.fetched.tell(Errand::Fetch);
    }
}

impl Drop for RemoteBase {
    fn drop(&mut self) {
        // It may be waiting for a network; nobody waits for it.
        self.fetched.tell(Errand::End);
    }
}

impl Base for RemoteBase {
    fn ground(&self) -> Result<Arc<Ground>> {
        let known = lock(&self.fetched.known);
        match (&known.ground, &known.status.error) {
            (Some(ground), _) => ground.clone().map_err(anyhow::Error::msg),
            (None, Some(error)) => Err(anyhow!("{error}")),
            (None, None) => Err(anyhow!("{} was not fetched yet", self.fetched.name)),
        }
    }

    fn forge(&self) -> Result<Box<dyn Forge>> {
        let (fetched, now) = (self.fetched.clone(), Timestamp::now());
        Ok(match &self.hosted {
            Some(hosted) => Box::new(HostedForge::new(hosted.clone(), fetched, now)),
            None => Box::new(BranchForge::new(fetched, now)),
        })
    }

    fn status(&self) -> GroundStatus {
        let known = lock(&self.fetched.known);
        GroundStatus { age: known.asked.map(|asked| asked.elapsed()), ..known.status.clone() }
    }
}

impl Fetched {
    /// What the repository is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The clone, brought up to date unless it was within `age`: for who wants to look before writing.
    ///
    /// Waits for the network. Fails when the server does not answer, however much is known from before.
    pub fn fresh(&self, age: Duration) -> Result<MutexGuard<'_, Mirror>, Trouble> {
        let mut mirror = lock(&self.mirror);
        let is_fresh = lock(&self.known).asked.is_some_and(|asked| asked.elapsed() < age);
        if !is_fresh {
            self.fetch(&mut mirror)?;
        }
        Ok(mirror)
    }

    /// Fetches and reads, as often as it is time to, until the end.
    fn keep_up(&self) {
        let mut failures = u32::from(lock(&self.known).status.failing_since.is_some());
        let mut wait = self.pace.wait(failures, None);
        loop {
            match self.errand_within(wait) {
                Errand::End => return,
                Errand::None | Errand::Fetch => {}
            }
            wait = match self.round() {
                Ok(()) => {
                    failures = 0;
                    self.pace.wait(0, None)
                }
                Err(trouble) => {
                    failures = failures.saturating_add(1);
                    let later = if let Trouble::Busy { retry_after, .. } = &trouble { *retry_after } else { None };
                    self.pace.wait(failures, later)
                }
            };
        }
    }

    fn round(&self) -> Result<(), Trouble> {
        self.fetch(&mut lock(&self.mirror))
    }

    /// Fetches, and reads the base branch if it moved.
    fn fetch(&self, mirror: &mut Mirror) -> Result<(), Trouble> {
        let fetched = mirror.fetch();
        let now = Timestamp::now();
        if let Err(trouble) = &fetched {
            self.failed(&anyhow!(trouble.clone()), trouble.word(), now);
            return fetched;
        }
        {
            let mut known = lock(&self.known);
            known.asked = Some(Instant::now());
            known.status.fetched(now);
        }
        if !self.read(mirror, now) {
            // It was read as far as the server is concerned, and lies broken here.
            mirror.fetch()?;
            self.read(mirror, now);
        }
        Ok(())
    }

    /// What lies there from before, while the server does not answer.
    fn fall_back(&self) {
        let mut mirror = lock(&self.mirror);
        let failing = lock(&self.known).status.clone();
        self.read(&mut mirror, Timestamp::now());
        let mut known = lock(&self.known);
        // It is old all the same.
        let (since, error) = (failing.failing_since, failing.error);
        (known.status.failing_since, known.status.error) = (since, error);
        if known.status.is_known() {
            tracing::warn!("what an earlier process fetched is in force until the server answers");
        } else {
            known.ground = None;
        }
    }

    /// Reads the base branch if it is not the commit that was read last. False: the clone is broken.
    fn read(&self, mirror: &mut Mirror, now: Timestamp) -> bool {
        let found = mirror.repo().and_then(|repo| Ok((repo.commit_id(None)?.to_string(), repo)));
        let found = found.and_then(|(commit, repo)| {
            // Read without the lock: a large repository takes its time.
            let (is_new, mut good) = {
                let known = lock(&self.known);
                let is_known = known.status.commit.as_deref() == Some(&commit) && matches!(known.ground, Some(Ok(_)));
                (!is_known, known.good.clone())
            };
            let ground = is_new.then(|| read(&repo, &self.name, &commit, &mut good)).transpose()?;
            lock(&self.known).good = good;
            Ok((ground, commit))
        });
        match found {
            Ok((ground, commit)) => {
                self.well(ground, &commit);
                true
            }
            // Objects that cannot be read are no mistake of a person: the next fetch makes the clone anew.
            Err(error) if is_of_git(&error) => {
                mirror.spoilt();
                self.failed(&error, "damaged", now);
                false
            }
            Err(error) => {
                self.failed(&error, "unusable", now);
                lock(&self.known).ground = Some(Err(format!("{error:#}")));
                true
            }
        }
    }

    fn well(&self, ground: Option<Ground>, commit: &str) {
        let mut known = lock(&self.known);
        if known.status.error.is_some() {
            tracing::info!("the repository is well again");
        }
        known.status.well(commit);
        if let Some(ground) = ground {
            known.ground = Some(Ok(Arc::new(ground)));
        }
    }

    /// Told once for each different error.
    fn failed(&self, error: &anyhow::Error, word: &'static str, now: Timestamp) {
        let mut known = lock(&self.known);
        let before = known.status.error.take();
        known.status.failed(error, word, now);
        if before.is_none_or(|before| Some(&before) != known.status.error.as_ref()) {
            let text = format!("{error:#}");
            tracing::warn!(reason = word, "the repository: {}", crate::report::plain::inline(&text));
        }
    }

    fn tell(&self, errand: Errand) {
        *lock(&self.errand) = errand;
        self.called.notify_all();
    }

    /// Waits until it is time, or somebody wants something.
    fn errand_within(&self, time: Duration) -> Errand {
        let errand = lock(&self.errand);
        let waited = self.called.wait_timeout_while(errand, time, |errand| *errand == Errand::None);
        let (mut errand, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let found = *errand;
        if found == Errand::Fetch {
            *errand = Errand::None;
        }
        found
    }
}

/// Whether Git itself could not read something.
fn is_of_git(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error + 'static>::is::<git2::Error>)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
