//! The only I/O: one thin file for each thing outside.
#![expect(clippy::disallowed_methods, reason = "this is where the file system belongs")]

pub mod folder;
pub mod git;
pub mod forge;
