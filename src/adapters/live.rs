//! A live cluster, a repository and, where one is given, a forge.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};

use crate::adapters::cluster::{Cluster, Logged};
use crate::adapters::forge::Forge;
use crate::adapters::llm::Model;
use crate::case::{
    Checks, Evidence, Gap, History, HistoryEntry, Incident, Merged, Proposal, Question, Receipt, Reply, Request,
    Snapshot, Sources,
};
use crate::diagnose::assemble::{RawLog, assemble, wanted_logs};
use crate::review::schema::conforms;
use crate::world::World;

/// Logs that are read at the same time.
const AT_ONCE: usize = 4;

/// What `scan` and `cure` work on when the cluster is one that answers.
pub struct Live {
    cluster: Arc<Cluster>,
    snapshot: Arc<Snapshot>,
    sources: Arc<Sources>,
    /// It may take its time, so it is asked on threads of its own.
    forge: Option<Arc<Mutex<Box<dyn Forge>>>>,
    model: Option<Arc<Model>>,
    /// What could not be read on the way.
    gaps: Mutex<BTreeSet<Gap>>,
}

impl Live {
    pub fn new(
        cluster: impl Into<Arc<Cluster>>,
        snapshot: Arc<Snapshot>,
        sources: impl Into<Arc<Sources>>,
        forge: Option<Box<dyn Forge>>,
    ) -> Self {
        let forge = forge.map(|forge| Arc::new(Mutex::new(forge)));
        Self { cluster: cluster.into(), snapshot, sources: sources.into(), forge, model: None, gaps: Mutex::default() }
    }

    /// Asks this model where no rule knows.
    #[must_use]
    pub fn with_model(mut self, model: Option<Arc<Model>>) -> Self {
        self.model = model;
        self
    }

    /// What could not be read since the snapshot: logs, mostly.
    pub fn gaps(&self) -> Vec<Gap> {
        self.gaps.lock().map_or_else(|_| Vec::new(), |gaps| gaps.iter().cloned().collect())
    }

    /// Asks the forge without keeping anybody else waiting. `None` where there is none.
    async fn on_forge<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Forge) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let Some(forge) = self.forge.clone() else { return Ok(None) };
        let span = tracing::Span::current();
        let asked = tokio::task::spawn_blocking(move || {
            span.in_scope(|| ask(&**forge.lock().unwrap_or_else(PoisonError::into_inner)))
        });
        asked.await.context("the forge's thread ended early")?.map(Some)
    }

    fn gap(&self, gap: Gap) {
        if let Ok(mut gaps) = self.gaps.lock() {
            gaps.insert(gap);
        }
    }
}

impl World for Live {
    async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        Ok(self.snapshot.clone())
    }

    async fn gather(&self, incident: &Incident) -> Result<Evidence> {
        let wanted = stream::iter(wanted_logs(incident));
        let read = wanted.map(|key| async { self.cluster.log(&key).await.map(|logged| (key, logged)) });
        let read: Vec<_> = read.buffered(AT_ONCE).try_collect().await?;
        let mut logs = Vec::new();
        for (key, logged) in read {
            match logged {
                Logged::Text(text) => logs.push(RawLog { key, text, left_out: 0 }),
                Logged::None => {}
                Logged::Refused(gap) => self.gap(gap),
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

    async fn check(&self, proposal: &Proposal) -> Result<Checks> {
        let mut checks = Checks::default();
        for change in proposal.diagnosis.changes() {
            match self.cluster.schema(&change.object).await {
                Ok(schema) => match conforms(&schema, change) {
                    Ok(()) => checks.passed.push("valid against the schema of the API server".to_owned()),
                    Err(why) => checks.failed.push(why),
                },
                Err(why) => checks.not_run.push(format!("the schema of the API server: {why}")),
            }
        }
        for all in [&mut checks.passed, &mut checks.failed, &mut checks.not_run] {
            all.dedup();
        }
        Ok(checks)
    }

    async fn history(&self) -> Result<History> {
        Ok(self.on_forge(|forge| forge.history()).await?.unwrap_or_default())
    }

    async fn merged(&self) -> Result<Vec<Merged>> {
        Ok(self.on_forge(|forge| forge.merged()).await?.unwrap_or_default())
    }

    async fn comment(&self, on: &HistoryEntry, text: &str) -> Result<Receipt> {
        let (on, text) = (on.clone(), text.to_owned());
        let said = self.on_forge(move |forge| forge.comment(&on, &text)).await?;
        Ok(said.unwrap_or_else(|| Receipt::Nothing { why: "no forge was given".to_owned() }))
    }

    async fn close(&self, entry: &HistoryEntry, sentence: &str) -> Result<Receipt> {
        let (entry, sentence) = (entry.clone(), sentence.to_owned());
        let closed = self.on_forge(move |forge| forge.close(&entry, &sentence)).await?;
        Ok(closed.unwrap_or_else(|| Receipt::Nothing { why: "no forge was given".to_owned() }))
    }

    async fn publish(&self, request: &Request) -> Result<Receipt> {
        let request = request.clone();
        let published = self.on_forge(move |forge| forge.publish(&request)).await?;
        Ok(published.unwrap_or_else(|| Receipt::Nothing { why: "no forge was given".to_owned() }))
    }
}
