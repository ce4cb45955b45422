//! Namespaces in, label values out: a bounded number of them, however many there are.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::NAMESPACES;
use crate::case::Timestamp;

/// A namespace without a new failure for this long gives its place to one that has.
const IDLE: SignedDuration = SignedDuration::from_hours(24);
/// Everything that has no place of its own.
const OTHER: &str = "other";

/// Which namespaces have series of their own.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    last: BTreeMap<String, Timestamp>,
}

/// Where a namespace is counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'n> {
    pub label: &'n str,
    /// A namespace that lost its place: its series end.
    pub instead_of: Option<String>,
}

impl Spaces {
    pub fn place<'n>(&mut self, namespace: &'n str, now: Timestamp) -> Place<'n> {
        let mut instead_of = None;
        if !self.last.contains_key(namespace) && self.last.len() >= NAMESPACES {
            let idle = self.last.iter().min_by_key(|(_, last)| **last).filter(|(_, last)| {
                let idle = now.duration_since(**last);
                idle > IDLE
            });
            let Some((name, _)) = idle else { return Place { label: OTHER, instead_of } };
            let name = name.clone();
            self.last.remove(&name);
            instead_of = Some(name);
        }
        self.last.insert(namespace.to_owned(), now);
        Place { label: namespace, instead_of }
    }
}
