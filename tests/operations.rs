//! What an operator relies on: metrics, health, logs, an orderly end, one leader.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

#[path = "operations/metrics.rs"]
mod metrics;
