//! A live cluster: what it shows, once or on and on, the end of a log, the schema that it publishes. Reads, and never
//! writes, but for one Lease where leader election is switched on (`lease.rs`).
//!
//! Every other request is a GET but one: `doctor` asks the API server what this account may do (`rights.rs`), which is a
//! POST and leaves nothing behind.
//!
//! Answers are read as text and go through the projection that recordings go through.

mod access;
mod errors;
mod http;
mod kinds;
mod lease;
mod list;
mod logs;
mod rights;
mod schema;
mod store;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Result, anyhow, bail};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::adapters::project::Projector;
use crate::case::{Snapshot, Timestamp};

use access::Use;
pub use errors::{ApiError, Errors};
pub use kinds::{KINDS, Kind};
pub use lease::LeasePlace;
pub use list::Listed;
pub use logs::Logged;
pub use rights::{Greeting, Right};
pub use store::Watched;
pub use watch::Watching;

/// Lists that are read at the same time.
const AT_ONCE: usize = 4;

/// What to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// `None` for all.
    pub namespaces: Option<Vec<String>>,
    /// Namespaces of which nothing is read, where all are.
    pub excluded: Vec<String>,
}

impl Scope {
    /// What a request asks for besides, so that the server leaves out what nobody wants: `&fieldSelector=...`, or nothing.
    fn query(&self, kind: &Kind) -> String {
        if self.namespaces.is_some() || self.excluded.is_empty() || !kind.is_namespaced {
            return String::new();
        }
        let terms: Vec<String> = self.excluded.iter().map(|name| format!("metadata.namespace!={name}")).collect();
        format!("&fieldSelector={}", http::encoded(&terms.join(",")))
    }
}

/// A cluster that can be asked.
pub struct Cluster {
    client: kube::Client,
    /// For watches: a list that is read keeps none of them waiting.
    watcher: kube::Client,
    /// Where it is, for errors.
    url: String,
    /// What named it: a context of kubeconfig, or the pod's ServiceAccount.
    named_by: String,
    /// Of the context that was chosen.
    namespace: String,
    /// Schemas that were read, by their paths.
    schemas: Mutex<HashMap<String, Arc<Value>>>,
    errors: Errors,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Finds the cluster as kubectl does. Needs a runtime, and asks nothing yet.
    pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self> {
        let (config, named_by) = access::find(kubeconfig, context).await?;
        let (url, namespace) = (shown(&config.cluster_url), config.default_namespace.clone());
        let unusable = |error: kube::Error| {
            anyhow!(
                "the cluster at {url} cannot be used: {}\nHint: `kubectl auth whoami` uses the same credentials",
                http::root(&error)
            )
        };
        let watcher = access::client(config.clone(), Use::Watches).map_err(unusable)?;
        let client = access::client(config, Use::Answers).map_err(unusable)?;
        Ok(Self { client, watcher, url, named_by, namespace, schemas: Mutex::default(), errors: Errors::default() })
    }

    /// Where it is, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What named it: a context of kubeconfig, or the pod's ServiceAccount.
    pub fn named_by(&self) -> &str {
        &self.named_by
    }

    /// How often it failed to answer as was hoped.
    pub fn errors(&self) -> &Errors {
        &self.errors
    }

    /// The namespace of the context; `default` if it names none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What the cluster shows now. What may not be read, or is not served, is a gap and no error.
    pub async fn snapshot(&self, scope: &Scope) -> Result<Snapshot> {
        let lists = stream::iter(KINDS).map(|kind| self.project(kind, scope)).buffered(AT_ONCE);
        let (mut all, mut readable) = (Projector::default(), false);
        let mut lists = std::pin::pin!(lists);
        while let Some((part, listed)) = lists.try_next().await? {
            readable |= listed.is_served && listed.gaps.is_empty();
            all.join(part);
        }
        if !readable {
            bail!(
                "nothing of the cluster at {} may be read\nHint: deploy/rbac.yaml has the rights that are needed: get, list and watch, and none to write",
                self.url
            );
        }
        Ok(all.finish())
    }

    async fn project(&self, kind: &Kind, scope: &Scope) -> Result<(Projector, Listed)> {
        let mut to = Projector::default();
        let api_version = kind.api_version();
        let listed = self
            .list(kind, scope, |items| {
                for item in items {
                    to.item(&self.url, &api_version, kind.kind, item.get());
                }
                Ok(())
            })
            .await?;
        to.settle(kind.kind, &listed, local_clock());
        Ok((to, listed))
    }
}

/// An address without the user and password that may stand in it.
fn shown(url: &::http::Uri) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme_str().unwrap_or("https"), url.host().unwrap_or(""))
}

impl Projector {
    /// What a list says about its kind as a whole.
    pub(crate) fn settle(&mut self, kind: &str, listed: &Listed, now: Timestamp) {
        if listed.is_served {
            self.known(kind);
        }
        if !listed.gaps.is_empty() {
            self.partial(kind);
        }
        for gap in &listed.gaps {
            self.gap(gap.clone());
        }
        self.taken(listed.at.or(Some(now)));
    }
}

/// For a server that does not say what time it is.
pub(crate) fn local_clock() -> Timestamp {
    Timestamp::now()
}
