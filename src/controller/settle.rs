//! How long a failure must have stood before it is worked: a rollout in progress and a node that blinks open nothing.

use jiff::SignedDuration;

use crate::case::{Incident, Shared};

/// Seconds, where it is not the default: what heals by itself is given the time to.
const SECONDS: &[(&str, i64)] = &[
    ("evicted", 60),
    ("hpa-failing", 120),
    ("ingress-backend", 60),
    ("probe-failing", 60),
    ("pvc-pending", 60),
    ("service-no-endpoints", 60),
    ("unschedulable", 60),
];
const OTHERWISE: i64 = 30;
/// A node that restarts is back within minutes, and what failed on it with it.
const NODE: i64 = 180;

/// How long this incident must have stood.
pub fn settle(incident: &Incident) -> SignedDuration {
    if matches!(incident.shared, Some(Shared::Node(_))) {
        return SignedDuration::from_secs(NODE);
    }
    let own = SECONDS.iter().find(|(failure, _)| *failure == incident.failure.0);
    SignedDuration::from_secs(own.map_or(OTHERWISE, |(_, seconds)| *seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_of_the_catalogue_have_a_time_of_their_own() {
        for (failure, seconds) in SECONDS {
            assert!(crate::failures::by_id(failure).is_some(), "{failure}");
            assert!(*seconds > OTHERWISE && *seconds < NODE);
        }
    }
}
