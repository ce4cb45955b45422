//! A proposal in, a verdict out.

pub mod policy;
pub mod schedule;
