//! Snapshot in, incidents out.

use crate::case::Finding;

/// What the failures so far have found: one container is claimed once.
#[derive(Debug, Default)]
pub struct Claims {
    pub findings: Vec<Finding>,
}
