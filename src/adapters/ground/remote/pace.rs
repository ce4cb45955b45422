//! How many attempts failed in, how long to wait out: never the same twice, so that many clusters do not ask at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first wait after a failure, doubled with each further one.
const FIRST: Duration = Duration::from_secs(2);
/// The longest.
const LONGEST: Duration = Duration::from_secs(300);

/// How often a server is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    every: Duration,
}

impl Pace {
    pub fn new(every: Duration) -> Self {
        Self { every }
    }

    /// How long to wait after so many failures in a row, and at least as long as the server asked for.
    pub fn wait(self, failures: u32, asked_for: Option<Duration>) -> Duration {
        let least = match failures {
            0 => self.every,
            // A server that fails is not asked less often at first, and not more often than one that is well at last.
            _ => FIRST.min(self.every).saturating_mul(1 << (failures - 1).min(16)).min(LONGEST.max(self.every)),
        };
        let asked_for = asked_for.unwrap_or_default().min(LONGEST);
        // Up to a tenth more for a round, up to half more after a failure.
        let most_more = if failures == 0 { least / 10 } else { least / 2 };
        let share = u32::try_from(RandomState::new().hash_one(failures) % 1000).unwrap_or(0);
        (least + most_more / 1000 * share).max(asked_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_a_bound_and_is_never_the_same_for_all() {
        let seconds = Duration::from_secs;
        let pace = Pace::new(seconds(30));
        for (failures, least, most) in
            [(0, 30, 33), (1, 2, 3), (2, 4, 6), (5, 32, 48), (9, 300, 450), (1_000_000, 300, 450)]
        {
            let waits: Vec<Duration> = (0..50).map(|_| pace.wait(failures, None)).collect();
            assert!(waits.iter().all(|wait| (seconds(least)..=seconds(most)).contains(wait)), "{failures}: {waits:?}");
            assert!(waits.iter().any(|wait| wait != &waits[0]), "{failures}: {waits:?}");
        }
        assert!(pace.wait(1, Some(seconds(60))) >= seconds(60));
        assert!(pace.wait(1, Some(seconds(86_400))) <= seconds(450), "a server does not stop us for a day");
        assert!(Pace::new(seconds(3600)).wait(20, None) >= seconds(3600));
    }
}
