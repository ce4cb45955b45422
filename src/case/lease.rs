use std::time::Duration;

use super::Timestamp;

/// By what several processes agree who of them works, as Kubernetes keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who works; empty when it was given back.
    pub holder: String,
    /// After a renewal.
    pub lasts: Duration,
    /// By the holder's clock: only good for seeing whether it changed.
    pub renewed: Option<Timestamp>,
    /// Since when it has this holder, by its clock.
    pub acquired: Option<Timestamp>,
    /// How often it changed hands.
    pub transitions: i32,
    /// Over which one it is written: if another one is there, it is not. Empty: over none.
    pub version: String,
}
