//! The failures of each look in, those that are new out.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::SignedDuration;

use crate::case::{Finding, Incident, Timestamp};

/// What comes back sooner was never away: a crashing container runs for minutes in between.
const AWAY: SignedDuration = SignedDuration::from_mins(10);
/// Failures that are kept in mind. What is beyond is counted once there is room.
const MOST: usize = 50_000;

/// Which failures stand.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// When each was seen last, by a hash of what it is: names would cost ten times the memory.
    last: HashMap<u64, Timestamp>,
}

impl Census {
    /// Those that were not there in the last minutes.
    pub fn new_ones<'i>(&mut self, incidents: &'i [Incident], now: Timestamp) -> Vec<&'i Finding> {
        let mut new = Vec::new();
        for finding in incidents.iter().flat_map(|incident| &incident.findings) {
            let mut hasher = DefaultHasher::new();
            (finding.failure, &finding.workload, &finding.container).hash(&mut hasher);
            let key = hasher.finish();
            if let Some(last) = self.last.get_mut(&key) {
                if now.duration_since(*last) > AWAY {
                    new.push(finding);
                }
                *last = now;
            } else if self.last.len() < MOST {
                self.last.insert(key, now);
                new.push(finding);
            }
        }
        self.last.retain(|_, last| now.duration_since(*last) <= AWAY);
        new
    }
}
