//! The base branch of a forge in a folder: read where it lies.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Base, GroundStatus, read};
use crate::adapters::forge::Forge;
use crate::adapters::forge::local::LocalForge;
use crate::case::Timestamp;
use crate::review::policy::Policies;
use crate::settings::Ground;

/// How often it is asked whether the base branch moved.
const ASKED_EVERY: Duration = Duration::from_secs(2);

/// The forge's folder, and what was read of its base branch.
pub struct LocalBase {
    dir: PathBuf,
    seed: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    status: GroundStatus,
    read: Option<Read>,
    /// The last policy that was valid.
    good: Option<Policies>,
    answered: Option<Instant>,
}

/// A commit as it was read, or why it cannot be used.
struct Read {
    asked: Instant,
    commit: String,
    ground: Result<Arc<Ground>, String>,
}

impl LocalBase {
    /// The forge of a folder; where it has no repository yet, one is made from `seed`.
    pub fn new(dir: PathBuf, seed: PathBuf) -> Self {
        Self { dir, seed, known: Mutex::default() }
    }

    fn open(&self) -> Result<LocalForge> {
        LocalForge::open(&self.dir, Some(&self.seed), Timestamp::now())
    }

    /// Reads the base branch if it moved since.
    fn look(&self, last: Option<Read>, good: &mut Option<Policies>) -> Result<Read> {
        let forge = self.open()?;
        let commit = forge.repo().commit_id(None)?.to_string();
        let ground = match last.filter(|last| last.commit == commit) {
            Some(last) => last.ground,
            None => read(forge.repo(), forge.name(), &commit, good).map(Arc::new).map_err(|error| format!("{error:#}")),
        };
        Ok(Read { asked: Instant::now(), commit, ground })
    }
}

impl Base for LocalBase {
    fn ground(&self) -> Result<Arc<Ground>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = known.read.as_ref().filter(|read| read.asked.elapsed() < ASKED_EVERY) {
            return read.ground.clone().map_err(anyhow::Error::msg);
        }
        let now = Timestamp::now();
        let last = known.read.take();
        let found = self.look(last, &mut known.good).and_then(|read| {
            known.status.fetched(now);
            known.answered = Some(read.asked);
            let (ground, commit) = (read.ground.clone(), read.commit.clone());
            known.read = Some(read);
            Ok((ground.map_err(anyhow::Error::msg)?, commit))
        });
        match found {
            Ok((ground, commit)) => {
                known.status.well(&commit);
                Ok(ground)
            }
            Err(error) => {
                known.status.failed(&error, "unusable", now);
                Err(error)
            }
        }
    }

    fn forge(&self) -> Result<Box<dyn Forge>> {
        Ok(Box::new(self.open()?))
    }

    fn status(&self) -> GroundStatus {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        GroundStatus { age: known.answered.map(|answered| answered.elapsed()), ..known.status.clone() }
    }
}
