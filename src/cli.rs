//! The command line: one file per verb.

pub mod explain;
pub mod output;
