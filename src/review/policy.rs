//! The policy of a repository: what may be changed, how far, when, and how it is delivered.

/// The policy in force for one workload.
#[derive(Clone, Debug)]
pub struct Policy {}
