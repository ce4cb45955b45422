//! What the Lease says in, what to do about it out: of several processes one works, and never two.
//!
//! Nobody's clock is compared with anybody else's. Who leads stops writing a while before the Lease can be taken, by its
//! own clock; who follows takes it only when it has seen nothing of the leader for as long as the Lease lasts, by its own
//! clock.

use std::time::Duration;

use crate::case::{Lease, Timestamp};

/// How long a Lease lasts after it was renewed.
pub const LASTS: Duration = Duration::from_secs(15);
/// Who could not renew it for this long stops writing; what it is just writing then has the rest of the time to end.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// How often it is looked at.
pub const RETRY: Duration = Duration::from_secs(2);

/// A moment, by two clocks: one that nobody sets but that may stand still while the machine sleeps, and one that does
/// not sleep but that somebody may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub steady: Duration,
    pub wall: Timestamp,
}

impl Moment {
    /// How long ago another one was, by the clock that says more.
    fn since(self, other: Self) -> Duration {
        let wall = Duration::try_from(self.wall.duration_since(other.wall)).unwrap_or_default();
        self.steady.saturating_sub(other.steady).max(wall)
    }
}

/// What to do about the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write this one; it says over which.
    Write(Lease),
    /// Somebody else has it.
    Wait,
}

/// One of those who want to lead.
#[derive(Debug)]
pub struct Candidate {
    name: String,
    /// The Lease as it was seen last, and when it was seen to change: by the steady clock, since a clock that is set
    /// forward must not end somebody else's Lease.
    seen: Option<(Lease, Duration)>,
    /// When the last renewal that worked was sent.
    renewed: Option<Moment>,
}

impl Candidate {
    pub fn new(name: String) -> Self {
        Self { name, seen: None, renewed: None }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes note of the Lease as it is, or of that there is none.
    pub fn observe(&mut self, lease: Option<Lease>, now: Duration) {
        let Some(lease) = lease else {
            (self.seen, self.renewed) = (None, None);
            return;
        };
        if lease.holder != self.name {
            self.renewed = None;
        }
        let is_same = self.seen.as_ref().is_some_and(|(seen, _)| *seen == lease);
        if !is_same {
            self.seen = Some((lease, now));
        }
    }

    /// What to do about it.
    pub fn step(&self, now: Moment) -> Step {
        let Some((lease, changed)) = &self.seen else { return Step::Write(self.next(None, now.wall)) };
        let is_over = now.steady.saturating_sub(*changed) >= lease.lasts.max(LASTS);
        let is_free = lease.holder == self.name || lease.holder.is_empty() || is_over;
        if is_free { Step::Write(self.next(Some(lease), now.wall)) } else { Step::Wait }
    }

    /// The Lease with one's own name. The same holder again only renews.
    fn next(&self, over: Option<&Lease>, now: Timestamp) -> Lease {
        let renewal = over.filter(|over| over.holder == self.name);
        let changes = over.map_or(0, |over| over.transitions);
        Lease {
            holder: self.name.clone(),
            lasts: LASTS,
            renewed: Some(now),
            acquired: renewal.map_or(Some(now), |own| own.acquired),
            transitions: if renewal.is_some() { changes } else { changes.saturating_add(1) },
            version: over.map_or_else(String::new, |over| over.version.clone()),
        }
    }

    /// The Lease was written with one's own name, by a request that was sent then.
    pub fn wrote(&mut self, lease: Lease, sent: Moment) {
        self.seen = Some((lease, sent.steady));
        self.renewed = Some(sent);
    }

    /// Somebody else wrote first, or it is not known whether it was written.
    pub fn lost_sight(&mut self) {
        // What was seen is not what is there, so it does not age; whether one still leads, time tells.
        if let Some((lease, _)) = &mut self.seen {
            lease.version.clear();
        }
    }

    /// Whether the Lease has to be read before a step.
    pub fn must_look(&self) -> bool {
        match &self.seen {
            Some((lease, _)) => lease.holder != self.name || lease.version.is_empty(),
            None => true,
        }
    }

    /// Stops to lead. The Lease that gives it back, if one is held.
    pub fn resign(&mut self, now: Timestamp) -> Option<Lease> {
        self.renewed.take()?;
        let held = self.seen.as_ref().map(|(lease, _)| lease).filter(|lease| lease.holder == self.name)?;
        Some(Lease { holder: String::new(), renewed: Some(now), ..held.clone() })
    }

    /// When the last renewal was sent that still counts, if any does.
    pub fn renewed(&self) -> Option<Moment> {
        self.renewed
    }

    /// Who has the Lease, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref().map(|(lease, _)| lease.holder.as_str()).filter(|holder| !holder.is_empty())
    }
}

/// Whether whoever sent a renewal then may write now.
pub fn may_write(renewed: Option<Moment>, now: Moment) -> bool {
    renewed.is_some_and(|renewed| now.since(renewed) < DEADLINE)
}

#[cfg(test)]
mod tests;
