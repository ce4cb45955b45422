//! An incident in, how long it must have stood before it is worked out: a rollout in progress and a node that blinks
//! open nothing.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Deserialize;

use super::{Duration, KNOWN_FAILURES};
use crate::case::{Incident, Shared};

/// The key of what fails because its node does.
pub(super) const NODE: &str = "node";
/// For a failure that the default does not name; a test keeps that from happening.
const OTHERWISE: SignedDuration = SignedDuration::from_secs(60);
/// What must have stood for longer is never worked.
pub(super) const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// How long failures must have stood, by their ids.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Settle(BTreeMap<String, Duration>);

impl Settle {
    /// How long this incident must have stood. What fails on a node that is not ready has the time of a node: that
    /// restarts within minutes, and what failed on it is back with it.
    pub fn of(&self, incident: &Incident) -> SignedDuration {
        let own = self.time(incident.failure.0);
        match incident.shared {
            Some(Shared::Node(_)) => own.max(self.time(NODE)),
            _ => own,
        }
    }

    /// Every failure with its time, and `node`.
    pub fn all(&self) -> impl Iterator<Item = (&str, SignedDuration)> {
        keys().map(|key| (key, self.time(key)))
    }

    fn time(&self, key: &str) -> SignedDuration {
        self.0.get(key).map_or(OTHERWISE, |time| time.0)
    }
}

/// Everything that has a time.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    KNOWN_FAILURES.iter().copied().chain([NODE])
}
