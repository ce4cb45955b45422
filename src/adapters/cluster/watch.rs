//! One watch for each kind: the cluster's state is held and kept up to date, and every change wakes who waits for it.
//!
//! A watch that begins with everything, where the server offers that (Kubernetes 1.34), else a list, page by page, and a
//! watch from where it ends. A watch that breaks goes on where it was; one that the server has forgotten (410 Gone) begins
//! anew. Nothing is asked in a hurry: each failure waits longer.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use http::header::{ACCEPT, DATE};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::access::{ANSWER, SILENCE};
use super::http::{encoded, http_date};
use super::store::{Held, Key, Store, Watched, held, shared};
use super::{Cluster, KINDS, Kind, Scope, local_clock};
use crate::case::Snapshot;

const WHOLE: &str = "application/json";
const BARE: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
/// A watch is asked to end after so long, and a little longer, so that not all end at once.
const LASTS: u64 = 240;
const LASTS_LONGER: u64 = 50;
/// A watch that begins with everything says something within this, or the server did not understand what it was asked.
const BEGINS: Duration = Duration::from_secs(10);
/// One event is one object; no object that etcd takes is as large.
const LARGEST_LINE: usize = 32 << 20;
/// A refusal, as far as it is read.
const LARGEST_REFUSAL: usize = 64 << 10;
/// After a failure; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A kind that is not served is asked for again, in case it comes.
const SLOWLY: Duration = Duration::from_secs(120);
/// A right that is missing as well, and sooner: somebody may just be adding it.
const REFUSED: Duration = Duration::from_secs(30);

/// A cluster that is watched. Ends with it.
pub struct Watching {
    inner: Arc<Inner>,
    /// Ended when this is dropped.
    _feeds: JoinSet<()>,
}

#[derive(Default)]
struct Inner {
    store: Mutex<Store>,
    changed: Notify,
    /// Whether the server has refused to begin a watch with everything.
    lists_only: AtomicBool,
}

impl Inner {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the store, and wakes who waits.
    fn change<T>(&self, with: impl FnOnce(&mut Store) -> T) -> T {
        let done = with(&mut self.store());
        self.changed.notify_one();
        done
    }
}

impl Watching {
    /// Begins to watch every kind within the scope. Needs a runtime.
    pub fn start(cluster: &Arc<Cluster>, scope: &Scope) -> Self {
        let (inner, mut feeds) = (Arc::new(Inner::default()), JoinSet::new());
        for kind in KINDS {
            let within: Vec<Option<String>> = match &scope.namespaces {
                Some(namespaces) if kind.is_namespaced => namespaces.iter().cloned().map(Some).collect(),
                _ => vec![None],
            };
            for namespace in within {
                let shelf = inner.store().shelf(kind);
                let feed = Feed {
                    cluster: cluster.clone(),
                    inner: inner.clone(),
                    shelf,
                    kind,
                    namespace,
                    excluded: scope.excluded.clone(),
                    tried: 0,
                    watched: 0,
                };
                feeds.spawn(feed.run());
            }
        }
        Self { inner, _feeds: feeds }
    }

    /// What the cluster shows now; `None` until every kind was answered, and while the server is silent.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        shared(&mut self.inner.store(), local_clock())
    }

    /// Waits for a change since the last time.
    pub async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    /// What keeps the snapshot, each with its reason.
    pub fn missing(&self) -> Vec<String> {
        let store = self.inner.store();
        let missing = store.missing(local_clock());
        if missing.is_empty() && !store.is_readable() {
            return vec![
                "nothing of the cluster may be read; deploy/rbac.yaml has the rights that are needed".to_owned(),
            ];
        }
        missing
    }

    /// How often a watch had to begin again before its time.
    pub fn restarts(&self) -> u64 {
        self.watched().iter().map(|watched| watched.restarts).sum()
    }

    /// How each watch is.
    pub fn watched(&self) -> Vec<Watched> {
        self.inner.store().watched()
    }
}

/// The watch of one kind.
struct Feed {
    cluster: Arc<Cluster>,
    inner: Arc<Inner>,
    shelf: usize,
    kind: &'static Kind,
    namespace: Option<String>,
    excluded: Vec<String>,
    /// Failures in a row.
    tried: u32,
    watched: u64,
}

/// What a list came to.
enum Listing {
    /// The version from which to watch.
    Whole(String),
    Refused,
    Unserved,
}

/// How a watch ended.
enum End {
    /// As it was asked to.
    InTime,
    /// The server does not remember so far back, or refuses: a list tells which.
    Expired,
    /// The server does not begin watches with everything.
    NotOffered,
}

/// What a watch has sent so far of everything that is there; `None` once that is whole.
type First = Option<BTreeMap<Key, Held>>;

/// What marks the end of everything, as `metadata.annotations` of a bookmark (KEP-3157).
const END_OF_FIRST: &str = "k8s.io/initial-events-end";

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// What names an object, and how old it is.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: HeadMeta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HeadMeta {
    namespace: Option<Box<str>>,
    name: Option<Box<str>>,
    resource_version: Option<String>,
}

/// An `ERROR` event.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: u16,
    message: String,
}

impl HeadMeta {
    fn key(&mut self) -> Key {
        (self.namespace.take().unwrap_or_default(), self.name.take().unwrap_or_default())
    }
}

impl Feed {
    async fn run(mut self) {
        loop {
            match self.begin().await {
                Ok(Listing::Whole(version)) => self.follow(version).await,
                Ok(Listing::Unserved) => tokio::time::sleep(self.jittered(SLOWLY)).await,
                Ok(Listing::Refused) => tokio::time::sleep(self.jittered(REFUSED)).await,
                Err(error) => self.failed(&error).await,
            }
        }
    }

    /// Everything that is there, and the version from which to watch.
    async fn begin(&mut self) -> Result<Listing> {
        if !self.inner.lists_only.load(Ordering::Relaxed)
            && let Some(version) = self.stream().await?
        {
            return Ok(Listing::Whole(version));
        }
        self.list().await
    }

    /// A watch that begins with everything, for as long as it lasts. `None` where the server refuses: a list tells why.
    async fn stream(&mut self) -> Result<Option<String>> {
        let (mut version, mut first) = (String::new(), Some(BTreeMap::new()));
        let ended = self.watch(&mut version, &mut first).await;
        if first.is_some() {
            return match ended? {
                End::InTime => Err(anyhow!("the watch of {} ended before all of it was sent", self.kind.resource)),
                End::Expired => Ok(None),
                End::NotOffered => {
                    self.inner.lists_only.store(true, Ordering::Relaxed);
                    Ok(None)
                }
            };
        }
        match ended {
            Ok(End::InTime) => Ok(Some(version)),
            Ok(End::Expired | End::NotOffered) => Err(self.gone()),
            Err(error) => {
                self.failed(&error).await;
                Ok(Some(version))
            }
        }
    }

    /// Lists everything.
    async fn list(&self) -> Result<Listing> {
        let (mut objects, api_version) = (BTreeMap::new(), self.kind.api_version());
        let scope = self.scope();
        let listed = self.cluster.list(self.kind, &scope, |items| {
            for item in items {
                let mut head = serde_json::from_str::<Head>(item.get())?.metadata;
                let key = head.key();
                let object = held(self.kind, &api_version, &key.1, item.get());
                objects.insert(key, object);
            }
            Ok(())
        });
        let listed = listed.await?;
        Ok(self.inner.change(|store| {
            store.clock(listed.at, local_clock());
            store.heard(self.shelf, local_clock());
            if !listed.is_served {
                store.unserved(self.shelf, local_clock());
                Listing::Unserved
            } else if listed.gaps.is_empty() {
                store.replace(self.shelf, objects, local_clock());
                // A server that does not say how old a list is has the newest.
                Listing::Whole(listed.version.unwrap_or_else(|| "0".to_owned()))
            } else {
                store.refused(self.shelf, listed.gaps, local_clock());
                Listing::Refused
            }
        }))
    }

    /// What this watch is of.
    fn scope(&self) -> Scope {
        Scope { namespaces: self.namespace.clone().map(|name| vec![name]), excluded: self.excluded.clone() }
    }

    /// Watches on and on, until only a list can help.
    async fn follow(&mut self, mut version: String) {
        loop {
            match self.watch(&mut version, &mut None).await {
                Ok(End::InTime) => {}
                Ok(End::Expired | End::NotOffered) => return self.failed(&self.gone()).await,
                Err(error) => self.failed(&error).await,
            }
        }
    }

    fn gone(&self) -> anyhow::Error {
        anyhow!("the watch of {} has expired, and begins again", self.kind.resource)
    }

    /// One watch, for as long as it lasts: from a version on, or with everything first.
    async fn watch(&mut self, version: &mut String, first: &mut First) -> Result<End> {
        self.watched += 1;
        let lasts = LASTS + self.noise() % LASTS_LONGER;
        let path = self.kind.path(self.namespace.as_deref().map(encoded).as_deref());
        let path = format!(
            "{path}?watch=true&allowWatchBookmarks=true{}&timeoutSeconds={lasts}{}",
            match first {
                Some(_) => "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan".to_owned(),
                None => format!("&resourceVersion={}", encoded(version)),
            },
            self.scope().query(self.kind)
        );
        let accept = if self.kind.is_bare { BARE } else { WHOLE };
        let request = Request::get(&path).header(ACCEPT, accept).body(Body::empty());
        let request = request.with_context(|| format!("{path} is no path of an API server"))?;
        let sent = tokio::time::timeout(ANSWER, self.cluster.watcher.send(request)).await;
        let sent = sent.with_context(|| format!("the watch of {} is not answered", self.kind.resource))?;
        let response = sent.map_err(|error| self.cluster.unreachable(&error))?;
        let (parts, body) = response.into_parts();
        self.cluster.errors.answered(parts.status);
        match parts.status {
            StatusCode::OK => {}
            StatusCode::GONE | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => return Ok(End::Expired),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY if first.is_some() => {
                return Ok(End::NotOffered);
            }
            status => {
                let read = Limited::new(body, LARGEST_REFUSAL).collect().await;
                let text = read.map(|all| String::from_utf8_lossy(&all.to_bytes()).into_owned()).unwrap_or_default();
                let message = serde_json::from_str::<Refusal>(&text).unwrap_or_default().message;
                return Err(anyhow!("{} cannot be watched: {status} {message}", self.kind.resource));
            }
        }
        self.inner.change(|store| {
            store.clock(parts.headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?)), local_clock());
            if first.is_none() {
                store.answers(self.shelf, local_clock());
            }
        });
        self.read(body, version, first).await
    }

    /// What a watch says, until it ends.
    async fn read(&mut self, mut body: kube::client::Body, version: &mut String, first: &mut First) -> Result<End> {
        let mut rest = Vec::new();
        loop {
            let patience = if first.is_some() { BEGINS } else { SILENCE };
            let frame = match tokio::time::timeout(patience, body.frame()).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(End::InTime),
                // One that does not know what it was asked for sends what it has, and no end of it. One that is slow, too: so
                // only this time it is listed.
                Err(_) if first.is_some() => return Ok(End::Expired),
                Err(_) => {
                    return Err(anyhow!(
                        "the watch of {} is silent for longer than it was to last",
                        self.kind.resource
                    ));
                }
            };
            let frame = frame.map_err(|error| anyhow!("the watch of {} broke off: {error}", self.kind.resource))?;
            let Ok(data) = frame.into_data() else { continue };
            self.inner.store().heard(self.shelf, local_clock());
            rest.extend_from_slice(&data);
            if let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') {
                for line in rest[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    if let Some(end) = self.event(line, version, first)? {
                        return Ok(end);
                    }
                }
                rest.drain(..=end);
            }
            if rest.len() > LARGEST_LINE {
                return Err(anyhow!("an event of {} is larger than any object", self.kind.resource));
            }
        }
    }

    /// One line of a watch.
    fn event(&mut self, line: &[u8], version: &mut String, first: &mut First) -> Result<Option<End>> {
        let said = || format!("the watch of {} says what cannot be read", self.kind.resource);
        let line: Line<'_> = serde_json::from_slice(line).with_context(said)?;
        if line.r#type == "ERROR" {
            let refusal: Refusal = serde_json::from_str(line.object.get()).unwrap_or_default();
            if refusal.code == StatusCode::GONE.as_u16() {
                return Ok(Some(End::Expired));
            }
            return Err(anyhow!("the watch of {} ended: {}", self.kind.resource, refusal.message));
        }
        let mut head = serde_json::from_str::<Head>(line.object.get()).with_context(said)?.metadata;
        let (key, newer) = (head.key(), head.resource_version);
        match &*line.r#type {
            "ADDED" | "MODIFIED" => {
                let object = held(self.kind, &self.kind.api_version(), &key.1, line.object.get());
                match first {
                    Some(first) => _ = first.insert(key, object),
                    None => self.inner.change(|store| store.put(self.shelf, key, object)),
                }
            }
            "DELETED" => match first {
                Some(first) => _ = first.remove(&key),
                None => self.inner.change(|store| store.remove(self.shelf, &key)),
            },
            // A bookmark says how far the watch has come; one of them that everything was sent.
            _ if line.object.get().contains(END_OF_FIRST) => {
                if let Some(all) = first.take() {
                    self.inner.change(|store| store.replace(self.shelf, all, local_clock()));
                }
            }
            _ => {}
        }
        if let Some(newer) = newer.filter(|newer| !newer.is_empty()) {
            *version = newer;
        }
        if first.is_none() {
            self.tried = 0;
        }
        Ok(None)
    }

    /// Takes note of a failure, and waits: longer each time.
    async fn failed(&mut self, error: &anyhow::Error) {
        let why = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
        tracing::debug!(kind = self.kind.resource, tried = self.tried, "{why}");
        {
            let mut store = self.inner.store();
            store.restarted(self.shelf);
            store.broken(self.shelf, why);
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.tried.min(10)).min(LONGEST_WAIT);
        self.tried = self.tried.saturating_add(1);
        tokio::time::sleep(self.jittered(wait)).await;
    }

    /// A quarter less or more.
    fn jittered(&self, wait: Duration) -> Duration {
        let per_mille = u32::try_from(self.noise() % 501).unwrap_or(0) + 750;
        wait / 1000 * per_mille
    }

    /// Differs from kind to kind and from try to try.
    fn noise(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.kind.resource, &self.namespace, self.tried, self.watched).hash(&mut hasher);
        hasher.finish()
    }
}
