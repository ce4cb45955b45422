//! JSON or YAML text in, projected objects out, one item at a time: what no rule reads is never stored.
//!
//! Files and a live cluster go the same way, so that both are read alike.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::case::{
    Autoscaler, Claim, Config, ControllerRevision, EndpointSlice, Event, Gap, Ingress, Json, LimitRange, Meta, Named,
    Node, ObjectRef, Pod, Quota, Service, Snapshot, Syncer, Timestamp, Word, Workload, WorkloadSpec, WorkloadStatus,
};

/// Collects objects into a snapshot.
#[derive(Default)]
pub(crate) struct Projector {
    snapshot: Snapshot,
    /// When the snapshot says that it was taken.
    said: Option<Timestamp>,
    /// What is there already.
    seen: HashSet<Key>,
    /// Kinds of which not everything was read: what is absent there may exist.
    partial: BTreeSet<String>,
    newest: Option<Timestamp>,
    /// How many objects were read.
    pub(crate) objects: usize,
}

/// So many files that could not be read are named where no other could.
const NAMED: usize = 3;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    items: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    metadata: Option<Names>,
}

/// An empty list may say `items: null`: it is a list all the same.
fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Vec<&'de RawValue>>, D::Error> {
    Option::deserialize(d).map(|items| Some(items.unwrap_or_default()))
}

/// A page of a list as the API server sends it: the items need not say of what kind they are.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PageMeta {
    /// The token for the next page; empty at the last.
    pub(crate) r#continue: Option<String>,
    /// What the list is as old as.
    pub(crate) resource_version: Option<String>,
}

/// The items of a page, and what it says about the list.
pub(crate) fn page(text: &str) -> serde_json::Result<(Vec<&RawValue>, PageMeta)> {
    let page: Page<'_> = serde_json::from_str(text)?;
    Ok((page.items.unwrap_or_default(), page.metadata))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemHead {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    metadata: Option<Names>,
}

/// `apps` of `apps/v1`, nothing of `v1`.
fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// Group, kind, namespace and name.
type Key = (String, String, String, String);

/// What an object with a name is known by: `kubectl get all` and `kubectl get pods` in one folder say it twice.
fn key(api_version: &str, kind: &str, names: Option<Names>) -> Option<Key> {
    let Names { namespace, name } = names?;
    let name = name.filter(|name| !name.is_empty())?;
    // One event, whichever of the two APIs tells it.
    let group = if kind == "Event" { "" } else { group(api_version) };
    Some((group.to_owned(), kind.to_owned(), namespace.unwrap_or_default(), name))
}

impl Projector {
    pub(crate) fn gap(&mut self, gap: Gap) {
        self.snapshot.gaps.push(gap);
    }

    /// What could not be read, in a sentence.
    pub(crate) fn troubles(&self) -> String {
        let gaps = &self.snapshot.gaps;
        let named: Vec<String> = gaps.iter().take(NAMED).map(|gap| format!("; {} {}", gap.what, gap.why)).collect();
        let more = gaps.len() - named.len();
        named.concat() + &if more > 0 { format!("; and {more} more") } else { String::new() }
    }

    /// What could not be read of a kind makes its absence mean nothing.
    pub(crate) fn partial(&mut self, kind: &str) {
        self.partial.insert(kind.to_owned());
    }

    /// When it was taken, as whoever answered says.
    pub(crate) fn taken(&mut self, at: Option<Timestamp>) {
        self.said = newest([self.said, at]);
    }

    /// The kind is known now, even if there is none of it.
    pub(crate) fn known(&mut self, kind: &str) {
        self.snapshot.kinds.insert(kind.to_owned());
    }

    /// An object of an API server's list.
    pub(crate) fn item(&mut self, from: &str, api_version: &str, kind: &str, text: &str) {
        // A list of the API server has each once.
        self.object(from, api_version, kind, None, text);
    }

    /// What another one collected, after what this one did.
    pub(crate) fn join(&mut self, other: Self) {
        let (to, from) = (&mut self.snapshot, other.snapshot);
        to.pods.append(from.pods);
        to.workloads.append(from.workloads);
        to.revisions.append(from.revisions);
        to.events.append(from.events);
        to.services.append(from.services);
        to.endpoint_slices.append(from.endpoint_slices);
        to.ingresses.append(from.ingresses);
        to.autoscalers.append(from.autoscalers);
        to.syncers.append(from.syncers);
        to.claims.append(from.claims);
        to.config_maps.append(from.config_maps);
        to.secrets.append(from.secrets);
        to.quotas.append(from.quotas);
        to.limit_ranges.append(from.limit_ranges);
        to.nodes.append(from.nodes);
        to.named.append(from.named);
        to.kinds.extend(from.kinds);
        to.gaps.extend(from.gaps);
        self.partial.extend(other.partial);
        self.said = newest([self.said, other.said]);
        self.newest = newest([self.newest, other.newest]);
        self.objects += other.objects;
    }

    /// One file of JSON: an object, a List, a typed list (`PodList`), or several of these one after another.
    pub(crate) fn json(&mut self, file: &str, text: &str) {
        let text = text.trim_start_matches('\u{feff}');
        for document in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
            match document {
                Ok(raw) => self.document(file, raw.get()),
                Err(error) => {
                    let why = format!("is not valid JSON and was skipped: {error}");
                    return self.gap(Gap { what: file.to_owned(), why });
                }
            }
        }
    }

    /// One file of YAML documents.
    pub(crate) fn yaml(&mut self, file: &str, text: &str) {
        match crate::yaml::documents(text) {
            Ok(documents) => {
                for document in documents.iter().filter(|d| d.root.is_some()) {
                    self.document(file, &document.value().to_string());
                }
            }
            Err(error) => {
                self.gap(Gap { what: file.to_owned(), why: format!("is not valid YAML and was skipped: {error}") });
            }
        }
    }

    fn document(&mut self, file: &str, text: &str) {
        let head: Head<'_> = match serde_json::from_str(text) {
            Ok(head) => head,
            Err(error) => {
                return self.gap(Gap {
                    what: file.to_owned(),
                    why: format!("is no Kubernetes object and was skipped: {error}"),
                });
            }
        };
        let (Some(kind), Some(api_version)) = (head.kind, head.api_version) else {
            return self
                .gap(Gap { what: file.to_owned(), why: "has no kind or no apiVersion and was skipped".to_owned() });
        };
        let Some(items) = head.items else {
            return self.object(file, &api_version, &kind, head.metadata, text);
        };
        let item_kind = kind.strip_suffix("List").unwrap_or_default();
        if !item_kind.is_empty() {
            self.snapshot.kinds.insert(item_kind.to_owned());
        }
        for item in items {
            let own: ItemHead = serde_json::from_str(item.get()).unwrap_or_default();
            let kind = own.kind.as_deref().unwrap_or(item_kind);
            let api_version = own.api_version.as_deref().unwrap_or(&api_version);
            self.object(file, api_version, kind, own.metadata, item.get());
        }
    }

    /// One object; a field of the wrong type costs only that object, and is named.
    fn object(&mut self, file: &str, api_version: &str, kind: &str, names: Option<Names>, text: &str) {
        let key = key(api_version, kind, names);
        if key.as_ref().is_some_and(|key| self.seen.contains(key)) {
            return;
        }
        if let Err(error) = self.project(api_version, kind, text) {
            let name = serde_json::from_str::<Bare>(text).map(|b| b.metadata.name).unwrap_or_default();
            let why = format!("{kind} {name:?} cannot be read and was skipped: {error}");
            self.gap(Gap { what: file.to_owned(), why });
        } else {
            self.seen.extend(key);
            self.objects += 1;
            self.snapshot.kinds.insert(kind.to_owned());
        }
    }

    fn project(&mut self, api_version: &str, kind: &str, text: &str) -> serde_json::Result<()> {
        if (group_of(api_version), kind) == ("healing.kubecure.io", "Snapshot") {
            let own: WireSnapshot = serde_json::from_str(text)?;
            self.said = own.taken;
            self.partial.extend(own.partial);
            self.snapshot.gaps.extend(own.gaps.into_iter().map(|gap| Gap { what: gap.what, why: gap.why }));
            return Ok(());
        }
        if kind == "Node" {
            let WireNode { status } = serde_json::from_str(text)?;
            let heartbeats = status.conditions.iter().flatten().map(|c| c.last_heartbeat_time);
            self.newest = newest(heartbeats.chain([self.newest]));
        }
        let object = Object::read(api_version, kind, text)?;
        if let Object::Event(event) = &object {
            self.newest = newest([self.newest, event.last]);
        }
        object.join(&mut self.snapshot);
        Ok(())
    }

    pub(crate) fn finish(self) -> Snapshot {
        let mut snapshot = self.snapshot;
        snapshot.taken = self.said.or(newest([self.newest, newest_of(&snapshot)])).unwrap_or_default();
        snapshot.kinds.retain(|kind| !self.partial.contains(kind));
        snapshot.indexed()
    }
}

fn group_of(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// One projected object. A clone shares it.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Pod(Arc<Pod>),
    Workload(Arc<Workload>),
    Revision(Arc<ControllerRevision>),
    Event(Arc<Event>),
    Service(Arc<Service>),
    EndpointSlice(Arc<EndpointSlice>),
    Ingress(Arc<Ingress>),
    Autoscaler(Arc<Autoscaler>),
    Syncer(Arc<Syncer>),
    Claim(Arc<Claim>),
    ConfigMap(Arc<Config>),
    Secret(Arc<Config>),
    Quota(Arc<Quota>),
    LimitRange(Arc<LimitRange>),
    Node(Arc<Node>),
    Named(Arc<Named>),
}

impl Object {
    /// Reads an object as the API server sends it, down to what rules read.
    pub(crate) fn read(api_version: &str, kind: &str, text: &str) -> serde_json::Result<Self> {
        Ok(match (group_of(api_version), kind) {
            ("", "Pod") => Self::Pod(Arc::new(pod(text)?)),
            ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job" | "CronJob") => {
                let Parts { metadata, spec, status } = serde_json::from_str(text)?;
                let (kind, api_version) = (kind.into(), api_version.into());
                Self::Workload(Arc::new(Workload { kind, api_version, metadata, spec, status }))
            }
            ("apps", "ControllerRevision") => Self::Revision(serde_json::from_str(text)?),
            ("" | "events.k8s.io", "Event") => Self::Event(Arc::new(serde_json::from_str::<WireEvent>(text)?.into())),
            ("", "Service") => Self::Service(serde_json::from_str(text)?),
            ("discovery.k8s.io", "EndpointSlice") => Self::EndpointSlice(serde_json::from_str(text)?),
            ("networking.k8s.io", "Ingress") => Self::Ingress(serde_json::from_str(text)?),
            ("autoscaling", "HorizontalPodAutoscaler") => {
                let mut scaler: Autoscaler = serde_json::from_str(text)?;
                if scaler.api_version.is_empty() {
                    api_version.clone_into(&mut scaler.api_version);
                }
                Self::Autoscaler(Arc::new(scaler))
            }
            ("argoproj.io", "Application")
            | ("kustomize.toolkit.fluxcd.io", "Kustomization")
            | ("helm.toolkit.fluxcd.io", "HelmRelease")
            | ("source.toolkit.fluxcd.io", "GitRepository") => {
                let mut syncer: Syncer = serde_json::from_str(text)?;
                let namespace = syncer.metadata.namespace.as_deref();
                syncer.id = ObjectRef::new(api_version, kind, namespace, &syncer.metadata.name);
                Self::Syncer(Arc::new(syncer))
            }
            ("", "PersistentVolumeClaim") => Self::Claim(serde_json::from_str(text)?),
            ("", "ConfigMap") => Self::ConfigMap(Arc::new(serde_json::from_str::<WireConfig>(text)?.into())),
            ("", "Secret") => Self::Secret(Arc::new(serde_json::from_str::<WireConfig>(text)?.into())),
            ("", "ResourceQuota") => Self::Quota(serde_json::from_str(text)?),
            ("", "LimitRange") => Self::LimitRange(serde_json::from_str(text)?),
            ("", "Node") => Self::Node(serde_json::from_str(text)?),
            _ => {
                let Bare { metadata } = serde_json::from_str(text)?;
                let id = ObjectRef::new(api_version, kind, metadata.namespace.as_deref(), &metadata.name);
                Self::Named(Arc::new(Named { id, metadata }))
            }
        })
    }

    /// Adds it to the list of its kind.
    pub(crate) fn join(self, to: &mut Snapshot) {
        match self {
            Self::Pod(object) => to.pods.push(object),
            Self::Workload(object) => to.workloads.push(object),
            Self::Revision(object) => to.revisions.push(object),
            Self::Event(object) => to.events.push(object),
            Self::Service(object) => to.services.push(object),
            Self::EndpointSlice(object) => to.endpoint_slices.push(object),
            Self::Ingress(object) => to.ingresses.push(object),
            Self::Autoscaler(object) => to.autoscalers.push(object),
            Self::Syncer(object) => to.syncers.push(object),
            Self::Claim(object) => to.claims.push(object),
            Self::ConfigMap(object) => to.config_maps.push(object),
            Self::Secret(object) => to.secrets.push(object),
            Self::Quota(object) => to.quotas.push(object),
            Self::LimitRange(object) => to.limit_ranges.push(object),
            Self::Node(object) => to.nodes.push(object),
            Self::Named(object) => to.named.push(object),
        }
    }
}

fn pod(text: &str) -> serde_json::Result<Pod> {
    let mut pod: Pod = serde_json::from_str(text)?;
    if pod.metadata.controller().is_none() {
        let Spec { spec } = serde_json::from_str(text)?;
        let labels = &*pod.metadata.labels;
        pod.template = Json::from_value(&serde_json::json!({ "metadata": { "labels": labels }, "spec": spec }));
    }
    Ok(pod)
}

/// The newest of some points in time.
fn newest(times: impl IntoIterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    times.into_iter().flatten().max()
}

/// The newest point in time that any object of the snapshot speaks of.
fn newest_of(snapshot: &Snapshot) -> Option<Timestamp> {
    let pods = snapshot.pods.iter().map(newest_in_pod);
    let workloads = snapshot.workloads.iter().map(|w| {
        let conditions = w.status.conditions.iter().map(|c| c.last_transition_time);
        newest(conditions.chain([w.metadata.creation_timestamp, w.status.completion_time, w.status.last_schedule_time]))
    });
    let nodes = snapshot.nodes.iter().map(|n| newest(n.status.conditions.iter().map(|c| c.last_transition_time)));
    let named = snapshot.named.iter().map(|n| n.metadata.creation_timestamp);
    newest(pods.chain(workloads).chain(nodes).chain(named))
}

fn newest_in_pod(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.conditions.iter().map(|c| c.last_transition_time);
    let containers = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses).flat_map(|c| {
        let of = |state: &crate::case::ContainerState| {
            newest([
                state.running.as_ref().and_then(|r| r.started_at),
                state.terminated.as_ref().and_then(|t| t.finished_at),
            ])
        };
        [of(&c.state), of(&c.last_state)]
    });
    newest(conditions.chain(containers).chain([pod.metadata.creation_timestamp, pod.status.start_time]))
}

#[derive(Deserialize)]
struct Bare {
    #[serde(default)]
    metadata: Meta,
}

/// What an object is called.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    spec: serde_json::Value,
}

#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    metadata: Meta,
    #[serde(default)]
    spec: WorkloadSpec,
    #[serde(default)]
    status: WorkloadStatus,
}

/// When the kubelet last spoke: often the newest time in a quiet cluster.
#[derive(Deserialize)]
struct WireNode {
    #[serde(default)]
    status: WireNodeStatus,
}

#[derive(Default, Deserialize)]
struct WireNodeStatus {
    #[serde(default)]
    conditions: Option<Vec<WireHeartbeat>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireHeartbeat {
    last_heartbeat_time: Option<Timestamp>,
}

/// `kind: Snapshot` of our own group: says when the snapshot was taken, and what it lacks.
#[derive(Deserialize)]
struct WireSnapshot {
    taken: Option<Timestamp>,
    #[serde(default)]
    partial: Vec<String>,
    #[serde(default)]
    gaps: Vec<WireGap>,
}

#[derive(Deserialize)]
struct WireGap {
    what: String,
    why: String,
}

/// A ConfigMap or Secret. Values are passed over by the reader, never held.
#[expect(clippy::zero_sized_map_values, reason = "on the wire these are maps; what is read of them are the keys")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireConfig {
    #[serde(default)]
    metadata: Meta,
    #[serde(default)]
    data: Option<BTreeMap<String, IgnoredAny>>,
    #[serde(default)]
    string_data: Option<BTreeMap<String, IgnoredAny>>,
    #[serde(default)]
    binary_data: Option<BTreeMap<String, IgnoredAny>>,
}

impl From<WireConfig> for Config {
    fn from(wire: WireConfig) -> Self {
        let maps = [wire.data, wire.string_data, wire.binary_data];
        let mut keys: Vec<String> = maps.into_iter().flatten().flat_map(BTreeMap::into_keys).collect();
        keys.sort();
        keys.dedup();
        Self { metadata: wire.metadata, keys }
    }
}

/// Both shapes of an event: core/v1 (`involvedObject`, `message`, `count`) and events.k8s.io (`regarding`, `note`,
/// `deprecatedCount`). The scheduler's have null counts and times, and say `eventTime` and `series` instead.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEvent {
    #[serde(alias = "regarding", default)]
    involved_object: Option<WireReference>,
    #[serde(default)]
    r#type: Option<Word>,
    #[serde(default)]
    reason: Option<Word>,
    #[serde(alias = "note", default)]
    message: Option<String>,
    #[serde(alias = "deprecatedCount", default)]
    count: Option<i64>,
    #[serde(alias = "deprecatedFirstTimestamp", default)]
    first_timestamp: Option<Timestamp>,
    #[serde(alias = "deprecatedLastTimestamp", default)]
    last_timestamp: Option<Timestamp>,
    #[serde(default)]
    event_time: Option<Timestamp>,
    #[serde(default)]
    series: Option<WireSeries>,
    #[serde(default)]
    metadata: Option<Meta>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireReference {
    api_version: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    field_path: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSeries {
    #[serde(default)]
    count: Option<i64>,
    #[serde(default)]
    last_observed_time: Option<Timestamp>,
}

impl WireEvent {
    fn last(&self) -> Option<Timestamp> {
        let series = self.series.as_ref().and_then(|s| s.last_observed_time);
        newest([series, self.last_timestamp, self.event_time]).or_else(|| self.metadata.as_ref()?.creation_timestamp)
    }
}

impl From<WireEvent> for Event {
    fn from(wire: WireEvent) -> Self {
        let last = wire.last();
        let about = wire.involved_object.unwrap_or_default();
        let container = about.field_path.as_deref().and_then(|path| {
            let inner = path.strip_suffix('}')?.split_once('{')?.1;
            Some(inner.into())
        });
        let message = wire.message.unwrap_or_default();
        let message =
            message.strip_prefix("(combined from similar events): ").map(ToOwned::to_owned).unwrap_or(message);
        Self {
            about: ObjectRef::new(
                about.api_version.as_deref().unwrap_or("v1"),
                about.kind.as_deref().unwrap_or(""),
                about.namespace.as_deref(),
                about.name.as_deref().unwrap_or(""),
            ),
            r#type: wire.r#type.unwrap_or_default(),
            reason: wire.reason.unwrap_or_default(),
            message,
            count: wire.count.or(wire.series.and_then(|s| s.count)).unwrap_or(1).max(1),
            first: wire.first_timestamp.or(wire.event_time),
            last,
            container,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Snapshot {
        let mut projector = Projector::default();
        projector.json("test.json", text);
        projector.finish()
    }

    #[test]
    fn an_event_of_the_scheduler_has_no_count_and_no_last_timestamp() {
        let snapshot = read(
            r#"{"apiVersion":"v1","kind":"Event","metadata":{"name":"e"},"involvedObject":{"kind":"Pod","namespace":"a","name":"b","apiVersion":"v1"},
            "reason":"FailedScheduling","message":"0/1 nodes","count":null,"firstTimestamp":null,"lastTimestamp":null,
            "eventTime":"2026-11-23T23:18:53.000001Z","series":{"count":2,"lastObservedTime":"2026-11-23T23:20:53.000001Z"},"type":"Warning"}"#,
        );
        assert_eq!(snapshot.events[0].count, 2);
        assert_eq!(snapshot.events[0].last.unwrap().to_string(), "2026-11-23T23:20:53.000001Z");
        assert_eq!(snapshot.taken.to_string(), "2026-11-23T23:20:53.000001Z");
    }

    #[test]
    fn an_object_that_is_told_twice_is_one() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"a"}}"#;
        let event = r#"{"apiVersion":"v1","kind":"Event","metadata":{"name":"e","namespace":"a"},"reason":"BackOff"}"#;
        let newer = event.replace("\"v1\"", "\"events.k8s.io/v1\"");
        let other = pod.replace("\"a\"", "\"b\"");
        let nameless = r#"{"apiVersion":"v1","kind":"Event","reason":"BackOff"}"#;
        let snapshot = read(&[pod, event, pod, &newer, &other, nameless, nameless].join("\n"));
        assert_eq!((snapshot.pods.len(), snapshot.events.len()), (2, 3));
        let broken = pod.replacen('}', r#"},"spec":{"containers":7}"#, 1);
        assert_eq!(read(&[&broken, pod].join("\n")).pods.len(), 1, "what cannot be read does not hide what can");
    }

    #[test]
    fn an_empty_list_may_say_null() {
        let snapshot = read(r#"{"apiVersion":"v1","kind":"ConfigMapList","items":null}"#);
        assert!(snapshot.kinds.contains("ConfigMap") && snapshot.named.is_empty() && snapshot.gaps.is_empty());
    }

    #[test]
    fn a_pod_without_its_replica_set_still_belongs_to_the_deployment() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-5d4-x","namespace":"a",
            "labels":{"pod-template-hash":"5d4"},"ownerReferences":[
            {"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-5d4","controller":true}]}}"#;
        let snapshot = read(pod);
        assert_eq!(snapshot.workload_of(&snapshot.pods[0]).to_string(), "Deployment a/web");
        // A ReplicaSet of somebody else's has no such label.
        let snapshot = read(&pod.replace("pod-template-hash", "app"));
        assert_eq!(snapshot.workload_of(&snapshot.pods[0]).to_string(), "ReplicaSet a/web-5d4");
    }

    #[test]
    fn an_event_of_the_newer_api_is_read_like_the_older() {
        let snapshot = read(
            r#"{"apiVersion":"events.k8s.io/v1","kind":"EventList","items":[{"metadata":{"name":"e"},"regarding":{"kind":"Pod","namespace":"a","name":"b",
            "fieldPath":"spec.containers{app}"},"reason":"BackOff","note":"(combined from similar events): x","deprecatedCount":7,"type":"Warning",
            "deprecatedLastTimestamp":"2026-11-23T23:18:53Z"}]}"#,
        );
        let event = &snapshot.events[0];
        assert_eq!((event.count, event.message.as_str(), event.container.as_deref()), (7, "x", Some("app")));
    }

    #[test]
    fn one_broken_item_costs_only_that_item_and_is_named() {
        let snapshot = read(
            r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bad"},"spec":{"containers":7}},
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"good"}}]}"#,
        );
        assert_eq!(snapshot.pods.len(), 1);
        assert!(snapshot.gaps[0].why.contains("\"bad\""), "{:?}", snapshot.gaps);
    }

    #[test]
    fn no_value_of_a_secret_is_kept() {
        let snapshot =
            read(r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"password":"aHVudGVyMg=="}}"#);
        assert_eq!(snapshot.secrets[0].keys, ["password"]);
        assert!(!format!("{snapshot:?}").contains("aHVudGVyMg"));
    }

    #[test]
    fn an_owner_of_unknown_kind_is_kept_as_the_workload() {
        let snapshot = read(
            r#"{"apiVersion":"v1","kind":"List","items":[
            {"apiVersion":"db.example/v1","kind":"Cluster","metadata":{"name":"main","namespace":"a"}},
            {"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"main-0","namespace":"a","ownerReferences":[
              {"apiVersion":"db.example/v1","kind":"Cluster","name":"main","controller":true}]}},
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"main-0-0","namespace":"a","ownerReferences":[
              {"apiVersion":"apps/v1","kind":"StatefulSet","name":"main-0","controller":true}]}}]}"#,
        );
        assert_eq!(snapshot.workload_of(&snapshot.pods[0]).to_string(), "Cluster a/main");
    }
}
