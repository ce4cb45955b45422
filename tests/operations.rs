//! What an operator relies on: metrics, health, logs, an orderly end, one leader.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

use std::path::Path;

#[cfg(unix)]
#[path = "operations/cluster.rs"]
mod cluster;
#[cfg(unix)]
#[path = "operations/leader.rs"]
mod leader;
#[path = "operations/logs.rs"]
mod logs;
#[path = "operations/metrics.rs"]
mod metrics;
#[cfg(unix)]
#[path = "operations/stop.rs"]
mod stop;
#[cfg(unix)]
#[path = "operations/watch.rs"]
mod watch;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file that a change must change with it; `UPDATE=1` writes it.
fn golden(path: &Path, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, kept, "{} is stale; UPDATE=1 writes it. Dashboards and pipelines must follow", path.display());
}
