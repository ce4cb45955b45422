//! How fresh the ground is, for `/readyz`, metrics and `doctor`.

use std::time::Duration;

use crate::case::Timestamp;

/// What is known of the base branch, and since when it is not known any better.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroundStatus {
    /// The commit that is in force; none until the first one was read.
    pub commit: Option<String>,
    /// When the repository answered last.
    pub fetched_at: Option<Timestamp>,
    /// Since when that is, by a clock that nobody sets.
    pub age: Option<Duration>,
    /// Since when it does not answer, or cannot be used. None: it is well.
    pub failing_since: Option<Timestamp>,
    /// Why.
    pub error: Option<GroundError>,
    /// Attempts that failed since the process began.
    pub failures: u64,
}

/// Why the ground is not as fresh as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroundError {
    /// One word, of a fixed set: fit for the label of a metric.
    pub word: &'static str,
    /// A sentence, and a hint on a line of its own. Without credentials.
    pub text: String,
}

impl std::fmt::Display for GroundError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl GroundStatus {
    /// Whether there is ground to stand on, however old.
    pub fn is_known(&self) -> bool {
        self.commit.is_some()
    }

    /// The repository answered.
    pub(super) fn fetched(&mut self, now: Timestamp) {
        self.fetched_at = Some(now);
    }

    /// A commit is in force, and nothing is wrong.
    pub(super) fn well(&mut self, commit: &str) {
        if self.commit.as_deref() != Some(commit) {
            self.commit = Some(commit.to_owned());
        }
        (self.failing_since, self.error) = (None, None);
    }

    /// Something is wrong; what was in force stays so.
    pub(super) fn failed(&mut self, error: &anyhow::Error, word: &'static str, now: Timestamp) {
        self.failing_since.get_or_insert(now);
        self.failures += 1;
        self.error = Some(GroundError { word, text: format!("{error:#}") });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_beginning_and_what_was_in_force() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut status = GroundStatus::default();
        assert!(!status.is_known());
        status.fetched(at(1));
        status.well("abc");
        status.failed(&anyhow::anyhow!("no answer"), "unreachable", at(2));
        status.failed(&anyhow::anyhow!("still none"), "stalled", at(3));
        let failing = GroundStatus {
            commit: Some("abc".to_owned()),
            fetched_at: Some(at(1)),
            age: None,
            failing_since: Some(at(2)),
            error: Some(GroundError { word: "stalled", text: "still none".to_owned() }),
            failures: 2,
        };
        assert_eq!(status, failing);
        status.well("abc");
        assert_eq!((status.failing_since, status.error), (None, None));
    }
}
