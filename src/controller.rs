//! The loop: what changed? detect, cure.
//!
//! Level-triggered: an event of the cluster only wakes it. Each turn looks at all that is known, so nothing is lost
//! when an event is, and a restart repeats nothing: the forge is the memory.

pub mod agenda;
pub mod election;

use std::collections::{BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;

use anyhow::Result;
use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use jiff::SignedDuration;
use tracing::{Instrument, debug, error_span, info, warn};

use self::agenda::{AT_ONCE, Agenda, Outcome, Pace, Picked, Sighting, Standing, mark};
use crate::case::{Case, Incident, ObjectRef, Request, Snapshot, Timestamp};
use crate::cure::{consider, deliver};
use crate::detect::{Focus, detect};
use crate::report::{Journal, Reader, plain, tally};
use crate::review::policy::Policies;
use crate::review::{means_later, means_more_evidence};
pub use crate::settings::Ground;
use crate::settings::Terms;
use crate::submit::submit;
use crate::world::World;

/// A turn comes at the latest after this: some failures appear because time passes and nothing happens.
const LATEST: SignedDuration = SignedDuration::from_secs(15);
/// While the cluster is not seen, after this.
const BLIND: SignedDuration = SignedDuration::from_secs(1);
/// A cluster that is not seen for so long is news.
const BLINKS: SignedDuration = SignedDuration::from_secs(5);
/// Between two turns at least this, and twice what one takes: a busy cluster costs a part of a core.
const SOONEST: SignedDuration = SignedDuration::from_millis(40);
/// So many looks are remembered for that.
const LOOKS: usize = 4;
const SLOWEST: SignedDuration = SignedDuration::from_secs(2);
/// What is being worked when the end comes has this long.
const GRACE: SignedDuration = SignedDuration::from_millis(3500);
/// A single pass gives up on a cluster that has not answered by then.
const SYNC: SignedDuration = SignedDuration::from_secs(60);

/// What the loop stands in: a cluster that is watched, a repository, a forge.
#[expect(async_fn_in_trait, reason = "used through generics in one crate; no caller needs to name the futures")]
pub trait Station {
    type World: World;
    type Reader<'s>: Reader
    where
        Self: 's;

    fn now(&self) -> Timestamp;

    /// Waits for `least`, then until something changed in the cluster or `most` is over.
    async fn wake(&self, least: SignedDuration, most: SignedDuration) -> Woken;

    async fn sleep(&self, time: SignedDuration);

    /// What the cluster shows, once every kind was answered.
    fn snapshot(&self) -> Option<Arc<Snapshot>>;

    /// What still keeps the first snapshot.
    fn missing(&self) -> String;

    /// The base branch as it is now; read anew only when it moved.
    fn ground(&self) -> Result<Arc<Ground>>;

    /// The world in which one incident is worked.
    fn world(&self, snapshot: Arc<Snapshot>, ground: &Ground) -> Result<Self::World>;

    /// Whether this process works what it finds. One that follows another only keeps watching.
    fn leads(&self) -> bool;

    /// Who reads along while an incident is worked.
    fn reader(&self) -> Self::Reader<'_>;

    /// Takes note of what the loop sees and does. Nothing in the loop depends on it.
    fn told(&self, news: News<'_>);
}

/// What the loop sees and does.
#[derive(Clone, Copy, Debug)]
pub enum News<'n> {
    /// This fails now.
    Looked(&'n [Incident]),
    /// A look is over. `waits` is how long the oldest incident could have been worked by now.
    Turned { standing: Standing, took: SignedDuration, waits: Option<SignedDuration> },
    /// The work on an incident is over.
    Worked(Outcome),
}

/// Why the loop woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Something changed, or it was time.
    Look,
    /// The process is to end.
    Stop,
}

/// How the loop is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the cluster is called in pull requests.
    pub cluster: String,
    /// Which workloads are worked.
    pub focus: Focus,
    /// Whether it ends when everything that stood at the start was worked.
    pub once: bool,
    /// What settle times are multiplied by.
    pub settle_scale: f64,
}

/// How it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Incidents that were worked.
    pub worked: usize,
    /// Attempts that failed because the outside did not answer.
    pub failed: usize,
    /// Whether the cluster was seen at all.
    pub looked: bool,
    /// Incidents that were still being worked when the time was over.
    pub unfinished: usize,
}

/// Runs until it is stopped, or until one pass is done.
pub async fn run(station: &impl Station, plan: &Plan) -> Ended {
    let mut turns = Turns::new(plan, station.now());
    let mut running = FuturesUnordered::new();
    loop {
        for (snapshot, ground, picked) in turns.turn(station, &plan.focus) {
            running.push(work(station, plan, snapshot, ground, picked));
        }
        if plan.once && turns.is_over(station.now()) {
            break;
        }
        let (least, most) = turns.pause(station.now());
        let mut woken = pin!(station.wake(least, most));
        let stop = loop {
            if running.is_empty() {
                break woken.as_mut().await == Woken::Stop;
            }
            match select(woken.as_mut(), running.next()).await {
                Either::Left((woken, _)) => break woken == Woken::Stop,
                Either::Right((Some((incident, outcome)), _)) => {
                    turns.done(&incident, outcome, station.now());
                    // There is room for the next, and a pass may be over: do not wait for the cluster.
                    break false;
                }
                Either::Right((None, _)) => {}
            }
        };
        if stop {
            info!(working = running.len(), "stopping");
            let finish = async {
                while let Some((incident, outcome)) = running.next().await {
                    turns.done(&incident, outcome, station.now());
                }
            };
            select(pin!(finish), pin!(station.sleep(GRACE))).await;
            turns.ended.unfinished = running.len();
            break;
        }
    }
    turns.ended
}

/// Works one incident, and says what came of it; an accident goes into the log.
async fn work(
    station: &impl Station,
    plan: &Plan,
    snapshot: Arc<Snapshot>,
    ground: Arc<Ground>,
    Picked { incident, is_early, .. }: Picked,
) -> (Incident, Outcome) {
    let mut reader = station.reader();
    // Whatever is said on the way, also by who does not know of incidents, carries its id.
    let span = error_span!("work", incident = %tally::incident_id(&incident));
    let worked = async {
        let world = station.world(snapshot, &ground)?;
        let terms = Terms { policies: &ground.policies, cluster: &plan.cluster, now: station.now() };
        // A single pass does not come back to what was too early.
        through(&incident, &world, terms, Journal::open(&incident, &mut reader), is_early && !plan.once).await
    };
    let outcome = match worked.instrument(span).await {
        Ok(outcome) => outcome,
        Err(error) => {
            reader.failed(&incident, &format!("{error:#}"));
            Outcome::Failed
        }
    };
    station.told(News::Worked(outcome));
    (incident, outcome)
}

/// Works one incident through to the forge. While it is early only a pull request goes there: the evidence for one may
/// still come, and an issue takes a person's time.
async fn through(
    incident: &Incident,
    world: &impl World,
    terms: Terms<'_>,
    mut journal: Journal<'_>,
    is_early: bool,
) -> Result<Outcome> {
    consider(incident, world, terms, &mut journal).await?;
    if is_early && matches!(submit(journal.case(), terms), Request::Issue(_)) {
        info!("an issue waits, in case more is known soon");
        return Ok(Outcome::Early);
    }
    Ok(outcome(&deliver(world, terms, journal).await?))
}

/// A limit and a closed window pass by themselves; every other answer stands until something changes.
fn outcome(case: &Case) -> Outcome {
    let later = case.verdict.as_ref().is_some_and(|verdict| verdict.reasons.iter().any(|r| means_later(r.gate)));
    let thin = case.verdict.as_ref().is_some_and(|verdict| verdict.reasons.iter().any(|r| means_more_evidence(r.gate)));
    match &case.request {
        Some(Request::Nothing(_)) if later => Outcome::Later,
        Some(Request::Issue(_)) if thin => Outcome::Unsure,
        _ => Outcome::Settled,
    }
}

/// An incident that is to be worked, and what it was seen in.
type Turn = (Arc<Snapshot>, Arc<Ground>, Picked);

/// What is kept from turn to turn.
struct Turns {
    agenda: Agenda,
    began: Timestamp,
    /// When the first snapshot was there.
    synced: Option<Timestamp>,
    /// How long the last looks took, the newest last.
    took: VecDeque<SignedDuration>,
    /// The cluster's clock less ours: what stands since when is told by the cluster.
    ahead: SignedDuration,
    told: Standing,
    /// Errors and gaps that were told: once, not in every turn.
    trouble: String,
    invalid: Option<String>,
    /// Since when the cluster is not seen, and whether that was told.
    blind: Option<(Timestamp, bool)>,
    gaps: BTreeSet<crate::case::Gap>,
    ended: Ended,
}

impl Turns {
    fn new(plan: &Plan, now: Timestamp) -> Self {
        let agenda = Agenda::scaled(plan.settle_scale);
        let (told, trouble, invalid, gaps) = (Standing::default(), String::new(), None, BTreeSet::new());
        let (took, ahead, ended) = (VecDeque::new(), SignedDuration::ZERO, Ended::default());
        Self { agenda, began: now, synced: None, took, ahead, told, trouble, invalid, blind: None, gaps, ended }
    }

    /// Looks at the cluster, and says what is to be worked now.
    fn turn(&mut self, station: &impl Station, focus: &Focus) -> Vec<Turn> {
        let began = station.now();
        let snapshot = station.snapshot();
        self.tell_blind(station, snapshot.is_none(), began);
        let picked = snapshot.map(|snapshot| self.look(station, &snapshot, focus, began));
        let took = station.now().duration_since(began);
        self.took.push_back(took);
        self.took.drain(..self.took.len().saturating_sub(LOOKS));
        let standing = self.agenda.standing();
        let waits = standing.oldest.map(|oldest| began.duration_since(oldest) + self.ahead);
        station.told(News::Turned { standing, took, waits });
        picked.unwrap_or_default()
    }

    fn look(&mut self, station: &impl Station, snapshot: &Arc<Snapshot>, focus: &Focus, now: Timestamp) -> Vec<Turn> {
        self.ahead = snapshot.taken.duration_since(now);
        self.tell_gaps(snapshot);
        let incidents = focus.keep(detect(snapshot), snapshot);
        station.told(News::Looked(&incidents));
        let ground = match station.ground() {
            Ok(ground) => ground,
            Err(error) => {
                self.tell_trouble(&format!("{error:#}"));
                return Vec::new();
            }
        };
        self.tell_trouble("");
        self.tell_invalid(ground.invalid.as_deref());
        if self.synced.is_none() {
            info!(pods = snapshot.pods.len(), incidents = incidents.len(), "watching");
        }
        self.synced.get_or_insert(snapshot.taken);
        self.ended.looked = true;
        let sources = ground.sources.commit.as_deref().unwrap_or("");
        let seen = incidents.into_iter().map(|incident| {
            let mark = mark(&incident, &generations(&incident, snapshot), sources);
            Sighting { incident, mark }
        });
        let settle = |incident: &Incident| settle(incident, snapshot, &ground.policies);
        let pace = Pace { settle: &settle, most: if station.leads() { AT_ONCE } else { 0 } };
        let picked = self.agenda.turn(seen.collect(), snapshot.taken, pace);
        let standing = self.agenda.standing();
        if standing != self.told {
            debug!(?standing, "agenda");
            self.told = standing;
        }
        picked.into_iter().map(|picked| (snapshot.clone(), ground.clone(), picked)).collect()
    }

    fn done(&mut self, incident: &Incident, outcome: Outcome, now: Timestamp) {
        self.ended.worked += 1;
        self.ended.failed += usize::from(outcome == Outcome::Failed);
        self.agenda.done(incident, outcome, now.checked_add(self.ahead).unwrap_or(now));
    }

    /// How long to wait at least and at most.
    fn pause(&self, now: Timestamp) -> (SignedDuration, SignedDuration) {
        // The least of some: that others kept the processor for a moment is no reason to see less.
        let took = self.took.iter().min().copied().unwrap_or_default();
        let least = took.saturating_mul(2).clamp(SOONEST, SLOWEST);
        // No event tells that the cluster is seen again.
        let latest = if self.blind.is_some() { BLIND } else { LATEST };
        let due = self.agenda.due().map_or(latest, |due| due.duration_since(now) - self.ahead);
        (least, due.clamp(least, latest))
    }

    /// Whether a single pass is over.
    fn is_over(&self, now: Timestamp) -> bool {
        match self.synced {
            Some(synced) => self.agenda.is_through(synced),
            None => now.duration_since(self.began) > SYNC,
        }
    }

    /// A cluster that is not seen is news, but not in the first moments: watches break off, and are back at once.
    fn tell_blind(&mut self, station: &impl Station, is_blind: bool, now: Timestamp) {
        let (since, told) = self.blind.unwrap_or((now, false));
        let patience = if self.synced.is_some() { BLINKS } else { LATEST };
        let is_news = is_blind && !told && now.duration_since(since) >= patience;
        if is_news {
            let missing = station.missing();
            warn!("the cluster is not seen as a whole, so nothing is worked: {}", plain::inline(&missing));
        } else if told && !is_blind {
            info!("the cluster is seen again");
        }
        self.blind = is_blind.then_some((since, told || is_news));
    }

    fn tell_trouble(&mut self, trouble: &str) {
        if self.trouble != trouble {
            if trouble.is_empty() {
                info!("the repository can be read again");
            } else {
                warn!("the repository cannot be used, so nothing is worked: {}", plain::inline(trouble));
            }
            trouble.clone_into(&mut self.trouble);
        }
    }

    fn tell_invalid(&mut self, invalid: Option<&str>) {
        if self.invalid.as_deref() != invalid {
            if let Some(why) = invalid {
                warn!("the last good policy stays in force: {}", plain::inline(why));
            } else {
                info!("the policy of the base branch is in force again");
            }
            self.invalid = invalid.map(str::to_owned);
        }
    }

    fn tell_gaps(&mut self, snapshot: &Snapshot) {
        let gaps: BTreeSet<_> = snapshot.gaps.iter().cloned().collect();
        for gap in gaps.difference(&self.gaps).take(20) {
            warn!("{}: {}", plain::inline(&gap.what), plain::inline(&gap.why));
        }
        self.gaps = gaps;
    }
}

/// How long it must have stood, as the policy for its first workload says.
fn settle(incident: &Incident, snapshot: &Snapshot, policies: &Policies) -> SignedDuration {
    let workload = &incident.first().workload;
    policies.decide(workload, &snapshot.labels_of(workload)).policy.settle.of(incident)
}

/// The generations of the workloads: a person who edits one changes the case.
fn generations(incident: &Incident, snapshot: &Snapshot) -> BTreeSet<(ObjectRef, Option<i64>)> {
    let of = |id: &ObjectRef| (id.clone(), snapshot.workload(id).and_then(|w| w.metadata.generation));
    incident.workloads().into_iter().map(of).collect()
}
