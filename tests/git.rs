//! A repository on a server: real Git behind https, ssh and file://, with everything that goes wrong out there.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

#[path = "git/api.rs"]
mod api;
#[path = "git/bed.rs"]
mod bed;
#[path = "git/clone.rs"]
mod clone;
#[path = "git/doctor.rs"]
mod doctor;
#[path = "git/faults.rs"]
mod faults;
#[path = "git/fetch.rs"]
mod fetch;
#[path = "git/push.rs"]
mod push;
#[path = "git/run.rs"]
mod run;
#[path = "git/secrets.rs"]
mod secrets;
#[path = "git/server.rs"]
mod server;
#[path = "git/ssh.rs"]
mod ssh;
