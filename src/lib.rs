//! KubeCure finds what is failing in a Kubernetes cluster, finds the line of Git that causes it, and opens a pull
//! request with the smallest edit that cures it.
//!
//! The modules, in reading order. Start with [`cure`], the whole pipeline on one page, then [`case`], its nouns.

pub mod controller;
pub mod cure;
pub mod world;
pub mod case;

pub mod detect;
pub mod diagnose;
pub mod locate;
pub mod propose;
pub mod review;
pub mod submit;
pub mod verify;

pub mod failures;
pub mod yaml;
pub mod quantity;
pub mod redact;
pub mod settings;
pub mod report;

pub mod cli;
pub mod adapters;

#[cfg(test)]
mod testing;
