//! What fails now in, what is to be worked next out: settled, fair, and nothing twice.
//!
//! Knows no clock: the time is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::SignedDuration;
use tracing::debug;

use crate::case::{FailureId, Incident, ObjectRef, Shared, Timestamp};
use crate::report::tally;

/// It is early until a failure has stood this many times as long as it has to.
const EARLY: i32 = 3;
/// Incidents that are worked at the same time.
pub const AT_ONCE: usize = 4;
/// Incidents that are kept in mind; what is beyond is seen again when there is room.
const MOST: usize = 10_000;
/// A failure that is away for less has not gone: a crashing container runs for a moment in between.
const AWAY: SignedDuration = SignedDuration::from_secs(10);
/// How long one that was worked is remembered after it is gone; the forge remembers for ever.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(10);
/// Marks that are remembered of one incident.
const MARKS: usize = 8;
/// The waits after an attempt that came to nothing: doubled each time, between these.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);

/// An incident as the cluster shows it now, and a mark of everything that its outcome depends on.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub incident: Incident,
    /// The same mark means that working it again would come to the same.
    pub mark: u64,
}

/// An incident whose turn has come.
#[derive(Clone, Debug)]
pub struct Picked {
    pub incident: Incident,
    /// That of its sighting.
    pub mark: u64,
    /// Whether it has stood for so little that more may be known of it soon.
    pub is_early: bool,
}

/// What came of working an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The forge holds what it should: nothing more to do until something changes.
    Settled,
    /// A limit or a schedule stands against it, and will pass.
    Later,
    /// It comes to an issue as yet, and it is early for one.
    Early,
    /// It has its issue, because the evidence is thin: that may grow without anything else that changes.
    Unsure,
    /// The outside did not answer.
    Failed,
}

/// What identifies an incident from one look to the next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    namespace: String,
    failure: FailureId,
    shared: Option<Shared>,
    workload: Option<(ObjectRef, Option<String>)>,
}

impl Key {
    /// Of a shared cause it is the cause, however many workloads it hits by now.
    pub fn of(incident: &Incident) -> Self {
        let first = incident.first();
        let namespace = first.workload.ns().to_owned();
        match &incident.shared {
            Some(shared) => Self {
                // The first workload of many is another one when that recovers.
                namespace: String::new(),
                failure: incident.failure,
                shared: Some(shared.clone()),
                workload: None,
            },
            None => Self {
                namespace,
                failure: incident.failure,
                shared: None,
                workload: Some((first.workload.clone(), first.container.clone())),
            },
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// Since when it stands, as far as is known.
    since: Timestamp,
    /// Since when looks do not show it.
    gone: Option<Timestamp>,
    /// The marks with which it was worked to an end: what changes to and fro is not new each time.
    worked: Vec<u64>,
    /// The mark with which it is being worked now.
    working: Option<u64>,
    /// The mark with which it got an issue for want of evidence.
    unsure: Option<u64>,
    /// Attempts in a row that came to nothing.
    attempts: u32,
    not_before: Option<Timestamp>,
}

/// How many incidents stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub settling: usize,
    /// Settled and waiting for their turn.
    pub queued: usize,
    pub working: usize,
    /// Tried in vain, and waiting to be tried again.
    pub waiting: usize,
    pub done: usize,
    /// Beyond what is kept in mind.
    pub left_out: usize,
    /// Since when the oldest of those that queue could have been worked.
    pub oldest: Option<Timestamp>,
}

/// One that can be worked now.
#[derive(Debug)]
struct Ready {
    /// Since when it stands.
    since: Timestamp,
    /// Since when it could have been worked.
    at: Timestamp,
    key: Key,
    sighting: Sighting,
}

/// How fast it goes.
#[derive(Clone, Copy)]
pub struct Pace<'p> {
    /// How long an incident must have stood before it is worked.
    pub settle: &'p dyn Fn(&Incident) -> SignedDuration,
    /// Incidents that are worked at the same time; 0 where another process works them.
    pub most: usize,
}

/// Decides which incidents are worked, and when.
#[derive(Debug)]
pub struct Agenda {
    entries: BTreeMap<Key, Entry>,
    /// The namespace that was served last.
    served: String,
    scale: f64,
    standing: Standing,
    due: Option<Timestamp>,
}

impl Default for Agenda {
    fn default() -> Self {
        Self::scaled(1.0)
    }
}

impl Agenda {
    /// With settle times multiplied: tests have no minutes.
    pub fn scaled(scale: f64) -> Self {
        let (entries, served) = (BTreeMap::new(), String::new());
        Self { entries, served, scale, standing: Standing::default(), due: None }
    }

    /// What is to be worked now. Each must be reported with [`Agenda::done`].
    pub fn turn(&mut self, sightings: Vec<Sighting>, now: Timestamp, pace: Pace<'_>) -> Vec<Picked> {
        self.standing = Standing::default();
        self.due = None;
        let mut ready: BTreeMap<String, Vec<Ready>> = BTreeMap::new();
        // Until it is seen below. Looks may be far apart: only one that does not show it says that it is gone.
        self.entries.values_mut().for_each(|entry| _ = entry.gone.get_or_insert(now));
        for sighting in sightings {
            let key = Key::of(&sighting.incident);
            if !self.see(&key, &sighting.incident, now) {
                self.standing.left_out += 1;
            } else if let Some(at) = self.is_ready(&key, &sighting, now, pace) {
                let since = self.entries[&key].since;
                let namespace = sighting.incident.first().workload.ns().to_owned();
                ready.entry(namespace).or_default().push(Ready { since, at, key, sighting });
            }
        }
        self.forget(now);
        let picked = self.pick(ready, pace.most);
        self.standing.working = self.working();
        let early = |Sighting { incident, mark }| Picked {
            is_early: self.is_early(&incident, mark, now, pace),
            incident,
            mark,
        };
        picked.into_iter().map(early).collect()
    }

    /// Reports what came of an incident that [`Agenda::turn`] gave out.
    pub fn done(&mut self, incident: &Incident, outcome: Outcome, now: Timestamp) {
        let key = Key::of(incident);
        let scale = self.scale;
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let mark = entry.working.take();
        match outcome {
            Outcome::Settled => {
                entry.worked.extend(mark);
                let surplus = entry.worked.len().saturating_sub(MARKS);
                entry.worked.drain(..surplus);
                entry.attempts = 0;
                (entry.unsure, entry.not_before) = (None, None);
            }
            Outcome::Later | Outcome::Early | Outcome::Unsure | Outcome::Failed => {
                if outcome == Outcome::Unsure {
                    entry.unsure = mark;
                }
                entry.attempts = entry.attempts.saturating_add(1);
                entry.not_before = now.checked_add(scaled(wait(&key, entry.attempts), scale)).ok();
            }
        }
    }

    /// When the next turn is due if nothing happens: something has settled then, or its wait is over.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// How many incidents stand where, as of the last turn.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether nothing that was there at this time still settles, queues or is worked. One that was tried in vain is
    /// no reason to stay.
    pub fn is_through(&self, with: Timestamp) -> bool {
        let open = |e: &Entry| e.working.is_some() || (e.worked.is_empty() && e.attempts == 0);
        !self.entries.values().any(|e| e.since <= with && open(e))
    }

    fn working(&self) -> usize {
        self.entries.values().filter(|entry| entry.working.is_some()).count()
    }

    /// Takes note of an incident; `false` when there are too many.
    fn see(&mut self, key: &Key, incident: &Incident, now: Timestamp) -> bool {
        if let Some(entry) = self.entries.get_mut(key) {
            if entry.gone.take().is_some_and(|gone| now.duration_since(gone) > scaled(AWAY, self.scale)) {
                entry.since = now;
            }
            return true;
        }
        if self.entries.len() >= MOST {
            return false;
        }
        // What the cluster says has stood for long need not be waited for again after a restart.
        let told = incident.findings.iter().filter_map(|finding| finding.since).min();
        let since = told.map_or(now, |since| since.min(now));
        let entry =
            Entry { since, gone: None, worked: Vec::new(), working: None, unsure: None, attempts: 0, not_before: None };
        self.entries.insert(key.clone(), entry);
        debug!(incident = %tally::incident_id(incident), %since, "found");
        true
    }

    /// Whether an issue is nothing to publish: it has stood for too little, or has the same issue already.
    fn is_early(&self, incident: &Incident, mark: u64, now: Timestamp, pace: Pace<'_>) -> bool {
        let early = scaled((pace.settle)(incident).saturating_mul(EARLY), self.scale);
        let entry = self.entries.get(&Key::of(incident));
        entry.is_some_and(|entry| now.duration_since(entry.since) < early || entry.unsure == Some(mark))
    }

    /// Since when it can be worked, if it can.
    fn is_ready(&mut self, key: &Key, sighting: &Sighting, now: Timestamp, pace: Pace<'_>) -> Option<Timestamp> {
        let entry = &self.entries[key];
        if entry.working.is_some() {
            return None;
        }
        if entry.worked.contains(&sighting.mark) {
            self.standing.done += 1;
            return None;
        }
        let settled = entry.since.checked_add(scaled((pace.settle)(&sighting.incident), self.scale)).unwrap_or(now);
        let waits = entry.not_before.filter(|at| *at > now);
        match waits.into_iter().chain(Some(settled).filter(|at| *at > now)).max() {
            None => Some(entry.not_before.map_or(settled, |at| at.max(settled))),
            Some(at) => {
                self.due = Some(self.due.map_or(at, |due| due.min(at)));
                if waits.is_some() {
                    self.standing.waiting += 1;
                } else {
                    self.standing.settling += 1;
                }
                None
            }
        }
    }

    /// What is gone is forgotten: at once if nothing was done about it.
    fn forget(&mut self, now: Timestamp) {
        let scale = self.scale;
        self.entries.retain(|_, entry| {
            let Some(gone) = entry.gone.map(|gone| now.duration_since(gone)) else { return true };
            let kept = if entry.worked.is_empty() { scaled(AWAY, scale) } else { REMEMBERED };
            entry.working.is_some() || gone <= kept
        });
    }

    /// One of each namespace in turn, from the one after that which was served last; within one the oldest first.
    fn pick(&mut self, ready: BTreeMap<String, Vec<Ready>>, most: usize) -> Vec<Sighting> {
        let mut room = most.saturating_sub(self.working());
        let mut queues = ready;
        for queue in queues.values_mut() {
            queue.sort_by(|a, b| (b.since, &b.key).cmp(&(a.since, &a.key)));
        }
        let mut picked = Vec::new();
        while room > 0 && !queues.is_empty() {
            let after = queues.keys().find(|namespace| **namespace > self.served);
            let Some(namespace) = after.or_else(|| queues.keys().next()).cloned() else { break };
            let next = queues.get_mut(&namespace).and_then(Vec::pop);
            if queues.get(&namespace).is_none_or(Vec::is_empty) {
                queues.remove(&namespace);
            }
            self.served = namespace;
            let Some(Ready { key, sighting, .. }) = next else { continue };
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.working = Some(sighting.mark);
                picked.push(sighting);
                room -= 1;
            }
        }
        self.standing.queued = queues.values().map(Vec::len).sum();
        self.standing.oldest = queues.values().flatten().map(|ready| ready.at).min();
        picked
    }
}

/// How long to wait after so many attempts: doubled each time up to a bound, and a quarter less or more, so that what
/// failed together is not tried together. The same incident and attempt always wait the same.
fn wait(key: &Key, attempts: u32) -> SignedDuration {
    let doubled = FIRST_WAIT.saturating_mul(1 << (attempts.saturating_sub(1)).min(12)).min(LONGEST_WAIT);
    let mut hasher = DefaultHasher::new();
    (key, attempts).hash(&mut hasher);
    let per_mille = i32::try_from(hasher.finish() % 501).unwrap_or(0) + 750;
    doubled / 1000 * per_mille
}

fn scaled(duration: SignedDuration, by: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(duration.as_secs_f64() * by).unwrap_or(duration)
}

/// A mark from the parts that an outcome depends on.
pub fn mark(incident: &Incident, generations: &BTreeSet<(ObjectRef, Option<i64>)>, sources: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (Key::of(incident), generations, sources).hash(&mut hasher);
    for finding in &incident.findings {
        let symptom = in_steps(&finding.symptom);
        (symptom.split(" in ").next(), &finding.workload, &finding.container).hash(&mut hasher);
    }
    hasher.finish()
}

/// Counts in a symptom go up while little changes: "killed 2 times, killed 3 times". Each of the first few may make
/// evidence of what was not; after that only a count that has doubled is news.
fn in_steps(symptom: &str) -> String {
    let mut words = String::with_capacity(symptom.len());
    let mut rest = symptom;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let (digits, after) = from.split_at(from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len()));
        let number: u64 = digits.parse().unwrap_or(u64::MAX);
        let step = if number <= 4 { number } else { u64::from(number.ilog2()) + 3 };
        words.push_str(before);
        words.push_str(&step.to_string());
        rest = after;
    }
    words + rest
}

#[cfg(test)]
mod tests;
