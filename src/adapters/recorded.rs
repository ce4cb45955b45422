//! A recorded cluster, a repository on disk and, where one is given, a forge: a world that works without a network.

use std::sync::Arc;

use anyhow::Result;

use crate::adapters::forge::Forge;
use crate::adapters::llm::Model;
use crate::adapters::logs::LogFiles;
use crate::adapters::snapshot::Recording;
use crate::case::{
    Checks, Evidence, History, HistoryEntry, Incident, Merged, Proposal, Question, Receipt, Reply, Request, Snapshot,
    Sources,
};
use crate::diagnose::assemble::{RawLog, assemble, wanted_logs};
use crate::world::World;

/// What `scan` and `cure` work on when the cluster is a folder.
pub struct Recorded {
    snapshot: Arc<Snapshot>,
    logs: LogFiles,
    sources: Arc<Sources>,
    forge: Option<Box<dyn Forge>>,
    model: Option<Arc<Model>>,
}

impl Recorded {
    pub fn new(recording: Recording, sources: Sources, forge: Option<Box<dyn Forge>>) -> Self {
        Self {
            snapshot: Arc::new(recording.snapshot),
            logs: recording.logs,
            sources: Arc::new(sources),
            forge,
            model: None,
        }
    }

    /// Asks this model where no rule knows.
    #[must_use]
    pub fn with_model(mut self, model: Option<Arc<Model>>) -> Self {
        self.model = model;
        self
    }
}

impl World for Recorded {
    async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        Ok(self.snapshot.clone())
    }

    async fn gather(&self, incident: &Incident) -> Result<Evidence> {
        let mut logs = Vec::new();
        for key in wanted_logs(incident) {
            if let Some(read) = self.logs.read(&key)? {
                logs.push(RawLog { key, text: read.text, left_out: read.left_out });
            }
        }
        Ok(assemble(incident, self.snapshot.clone(), logs))
    }

    async fn sources(&self, _: &Incident) -> Result<Arc<Sources>> {
        Ok(self.sources.clone())
    }

    async fn ask(&self, question: &Question) -> Result<Reply> {
        Ok(match &self.model {
            Some(model) => model.ask(question).await,
            None => Reply::NoModel,
        })
    }

    async fn check(&self, _: &Proposal) -> Result<Checks> {
        let not_run = vec!["the schema of the API server: the cluster is a recording".to_owned()];
        Ok(Checks { not_run, ..Checks::default() })
    }

    async fn history(&self) -> Result<History> {
        self.forge.as_ref().map_or_else(|| Ok(History::default()), |forge| forge.history())
    }

    async fn publish(&self, request: &Request) -> Result<Receipt> {
        match &self.forge {
            Some(forge) => forge.publish(request),
            None => Ok(Receipt::Nothing { why: "no forge was given".to_owned() }),
        }
    }

    async fn merged(&self) -> Result<Vec<Merged>> {
        self.forge.as_ref().map_or_else(|| Ok(Vec::new()), |forge| forge.merged())
    }

    async fn comment(&self, on: &HistoryEntry, text: &str) -> Result<Receipt> {
        match &self.forge {
            Some(forge) => forge.comment(on, text),
            None => Ok(Receipt::Nothing { why: "no forge was given".to_owned() }),
        }
    }

    async fn close(&self, entry: &HistoryEntry, sentence: &str) -> Result<Receipt> {
        match &self.forge {
            Some(forge) => forge.close(entry, sentence),
            None => Ok(Receipt::Nothing { why: "no forge was given".to_owned() }),
        }
    }
}
