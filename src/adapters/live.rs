//! A live cluster, a repository and, where one is given, a forge.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};

use crate::adapters::cluster::{Cluster, Logged};
use crate::adapters::forge::Forge;
use crate::case::{Checks, Evidence, Gap, History, Incident, Proposal, Receipt, Request, Snapshot, Sources};
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
    forge: Option<Arc<Mutex<Box<dyn Forge>>>>,
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
        Self { cluster: cluster.into(), snapshot, sources: sources.into(), forge, gaps: Mutex::default() }
    }

    /// Asks the forge on a thread where waiting for it stops nobody: neither the watches nor other incidents.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Forge) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let Some(forge) = self.forge.clone() else { return Ok(None) };
        let asked = tokio::task::spawn_blocking(move || {
            question(forge.lock().unwrap_or_else(PoisonError::into_inner).as_ref())
        });
        asked.await.context("the forge was not asked to the end")?.map(Some)
    }

    /// What could not be read since the snapshot: logs, mostly.
    pub fn gaps(&self) -> Vec<Gap> {
        self.gaps.lock().map_or_else(|_| Vec::new(), |gaps| gaps.iter().cloned().collect())
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
        Ok(self.ask(|forge| forge.history()).await?.unwrap_or_default())
    }

    async fn publish(&self, request: &Request) -> Result<Receipt> {
        let request = request.clone();
        let receipt = self.ask(move |forge| forge.publish(&request)).await?;
        Ok(receipt.unwrap_or_else(|| Receipt::Nothing { why: "no forge was given".to_owned() }))
    }
}
