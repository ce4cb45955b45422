//! Everything KubeCure can do to the outside.
//!
//! A security reviewer reads this page and knows: three verbs write, all of them to the forge. One writes a [`Request`],
//! one a comment on what is ours, one closes what is ours.

use anyhow::Result;

use crate::case::{
    Checks, Evidence, History, HistoryEntry, Incident, Merged, Proposal, Question, Receipt, Reply, Request, Snapshot,
    Sources,
};

/// The outside: a cluster (live or recorded), a repository, a forge.
#[expect(async_fn_in_trait, reason = "used through generics in one crate; no caller needs to name the futures")]
pub trait World {
    /// What the cluster shows now.
    async fn snapshot(&self) -> Result<std::sync::Arc<Snapshot>>;

    /// What bears on an incident: status, events, logs of the containers that fail. Redacted.
    async fn gather(&self, incident: &Incident) -> Result<Evidence>;

    /// The manifests of the repository that the incident's workloads come from.
    async fn sources(&self, of: &Incident) -> Result<std::sync::Arc<Sources>>;

    /// Asks a language model, if there is one. What comes back is a witness's word: nothing is done because of it alone.
    async fn ask(&self, question: &Question) -> Result<Reply>;

    /// Validates a proposal against the schema that the API server publishes.
    ///
    /// Not a server-side dry run: that needs the right to write.
    async fn check(&self, proposal: &Proposal) -> Result<Checks>;

    /// Our own branches, pull requests and issues, as the forge has them now.
    async fn history(&self) -> Result<History>;

    /// Our pull requests that were merged, and what they said of themselves.
    async fn merged(&self) -> Result<Vec<Merged>>;

    /// Opens or updates a pull request or an issue.
    async fn publish(&self, request: &Request) -> Result<Receipt>;

    /// Says something on one of ours, in one comment that is rewritten when the text is another one.
    async fn comment(&self, on: &HistoryEntry, text: &str) -> Result<Receipt>;

    /// Closes an open one of ours with a sentence.
    async fn close(&self, entry: &HistoryEntry, sentence: &str) -> Result<Receipt>;
}
