//! The life of pull requests on a real Gitea, over HTTP: opened, brought up to date, left alone, closed, merged, raced for.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

#[path = "forge/bed.rs"]
mod bed;
#[path = "forge/faults.rs"]
mod faults;
#[path = "forge/gitea.rs"]
mod gitea;
#[path = "forge/github.rs"]
mod github;
#[path = "forge/gitlab.rs"]
mod gitlab;
#[path = "forge/life.rs"]
mod life;
#[path = "forge/openapi.rs"]
mod openapi;
#[path = "forge/proxy.rs"]
mod proxy;
#[path = "forge/races.rs"]
mod races;
#[path = "forge/recorder.rs"]
mod recorder;
