//! The only I/O: one thin file for each thing outside. Adapters translate and return; they decide nothing.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the edge: files and Git are read and written here, and nowhere else but in cli"
)]

pub mod cluster;
pub mod folder;
pub mod forge;
pub mod git;
pub mod ground;
pub mod live;
pub mod llm;
pub mod logs;
pub mod process;
pub(crate) mod project;
pub mod recorded;
pub mod serve;
pub mod snapshot;
