//! What the cluster shows at one instant: lists of projected objects, and who belongs to whom.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashMapExt};

use super::places::{Places, key};
use super::{
    Autoscaler, Claim, Config, ControllerRevision, EndpointSlice, Event, Gap, Ingress, LimitRange, List, Meta, Named,
    Node, ObjectRef, OwnerReference, Pod, Quota, Service, Syncer, Timestamp, Workload,
};

/// What the cluster shows at one instant.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken.
    pub taken: Timestamp,
    pub pods: List<Pod>,
    pub workloads: List<Workload>,
    pub revisions: List<ControllerRevision>,
    pub events: List<Event>,
    pub services: List<Service>,
    pub endpoint_slices: List<EndpointSlice>,
    pub ingresses: List<Ingress>,
    pub autoscalers: List<Autoscaler>,
    pub syncers: List<Syncer>,
    pub claims: List<Claim>,
    pub config_maps: List<Config>,
    pub secrets: List<Config>,
    pub quotas: List<Quota>,
    pub limit_ranges: List<LimitRange>,
    pub nodes: List<Node>,
    pub named: List<Named>,
    /// Kinds of which the snapshot holds a list, even an empty one: what is absent there does not exist;
    /// what is absent elsewhere is unknown.
    pub kinds: BTreeSet<String>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    index: Index,
}

/// Where in the lists of a snapshot what stands, made once.
#[derive(Clone, Debug, Default)]
struct Index {
    workloads: Places,
    workloads_in: Places,
    children: Places,
    named: Places,
    events: Places,
    pods: Places,
    pods_in: Places,
    /// By the controller that stands in the pod itself.
    controlled: Places,
    services: Places,
    slices: Places,
    /// Workloads that have pods, with the pods.
    groups: Vec<(ObjectRef, Vec<u32>)>,
    group: Places,
}

/// The key of an object, as an [`ObjectRef`] tells it.
fn key_of(id: &ObjectRef) -> u64 {
    key(&[&id.group, &id.kind, id.ns(), &id.name])
}

/// The key of an object in a namespace, of a kind that the list tells.
fn key_in(namespace: Option<&str>, name: &str) -> u64 {
    key(&[namespace.unwrap_or(""), name])
}

fn key_here(meta: &Meta) -> u64 {
    key_in(meta.namespace.as_deref(), &meta.name)
}

/// The key of an object's controller.
fn key_of_controller(meta: &Meta) -> Option<u64> {
    let owner = meta.controller()?;
    Some(key(&[group_of(&owner.api_version), &owner.kind, meta.namespace.as_deref().unwrap_or(""), &owner.name]))
}

fn group_of(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// Whether an object is called so.
fn is_called(meta: &Meta, namespace: Option<&str>, name: &str) -> bool {
    meta.name == name && is_in(meta, namespace)
}

fn is_in(meta: &Meta, namespace: Option<&str>) -> bool {
    meta.namespace.as_deref().unwrap_or("") == namespace.unwrap_or("")
}

fn is_owned_by(meta: &Meta, owner: &ObjectRef) -> bool {
    let is =
        |o: &OwnerReference| o.name == owner.name && o.kind == owner.kind && group_of(&o.api_version) == owner.group;
    meta.controller().is_some_and(is) && is_in(meta, owner.namespace.as_deref())
}

impl Snapshot {
    /// Call once, when all lists are filled.
    #[must_use]
    pub fn indexed(mut self) -> Self {
        self.index = Index::default();
        let key_of_workload = |w: &Workload| {
            let namespace = w.metadata.namespace.as_deref().unwrap_or("");
            Some(key(&[group_of(&w.api_version), &w.kind, namespace, &w.metadata.name]))
        };
        let key_of_namespace = |meta: &Meta| Some(key(&[meta.namespace.as_deref().unwrap_or("")]));
        let key_of_service = |s: &EndpointSlice| Some(key_in(s.metadata.namespace.as_deref(), s.service()?));
        self.index = Index {
            workloads: Places::of(self.workloads.iter().map(key_of_workload)),
            workloads_in: Places::of(self.workloads.iter().map(|w| key_of_namespace(&w.metadata))),
            children: Places::of(self.workloads.iter().map(|w| key_of_controller(&w.metadata))),
            named: Places::of(self.named.iter().map(|n| Some(key_of(&n.id)))),
            events: Places::of(self.events.iter().map(|e| Some(key_of(&e.about)))),
            pods: Places::of(self.pods.iter().map(|p| Some(key_here(&p.metadata)))),
            pods_in: Places::of(self.pods.iter().map(|p| key_of_namespace(&p.metadata))),
            controlled: Places::of(self.pods.iter().map(|p| key_of_controller(&p.metadata))),
            services: Places::of(self.services.iter().map(|s| Some(key_here(&s.metadata)))),
            slices: Places::of(self.endpoint_slices.iter().map(key_of_service)),
            ..Index::default()
        };
        self.index.groups = self.groups();
        self.index.group = Places::of(self.index.groups.iter().map(|(id, _)| Some(key_of(id))));
        self
    }

    /// The pods of each workload. Pods of one controller belong to one workload, which is looked for once.
    fn groups(&self) -> Vec<(ObjectRef, Vec<u32>)> {
        let mut groups: Vec<(ObjectRef, Vec<u32>)> = Vec::new();
        let mut group_of: HashMap<ObjectRef, usize> = HashMap::new();
        let mut of_controller: HashMap<Origin<'_>, usize> = HashMap::new();
        for (at, pod) in (0_u32..).zip(&self.pods) {
            let mut group = || {
                let workload = self.workload_of(pod);
                *group_of.entry(workload).or_insert_with_key(|workload| {
                    groups.push((workload.clone(), Vec::new()));
                    groups.len() - 1
                })
            };
            let group = match Origin::of(&pod.metadata) {
                Some(origin) => *of_controller.entry(origin).or_insert_with(group),
                None => group(),
            };
            groups[group].1.push(at);
        }
        groups
    }

    pub fn workload(&self, id: &ObjectRef) -> Option<&Workload> {
        let is = |w: &&Workload| {
            w.kind == id.kind
                && group_of(&w.api_version) == id.group
                && is_called(&w.metadata, id.namespace.as_deref(), &id.name)
        };
        self.index.workloads.at(key_of(id)).rev().map(|at| &self.workloads[at]).find(is)
    }

    /// Workloads of one namespace.
    pub fn workloads_in(&self, namespace: Option<&str>) -> impl Iterator<Item = &Workload> {
        let here = self.index.workloads_in.at(key(&[namespace.unwrap_or("")])).map(|at| &self.workloads[at]);
        here.filter(move |workload| is_in(&workload.metadata, namespace))
    }

    /// An object of which only the name is kept.
    pub fn named(&self, id: &ObjectRef) -> Option<&Named> {
        self.index.named.at(key_of(id)).rev().map(|at| &self.named[at]).find(|named| named.id == *id)
    }

    /// The names of all objects of one kind, in one namespace or of the cluster's scope.
    pub fn names_of(&self, kind: &str, namespace: Option<&str>) -> Vec<&str> {
        let of = |id: &ObjectRef| id.kind == kind && id.namespace.as_deref() == namespace;
        self.named.iter().filter(|n| of(&n.id)).map(|n| n.id.name.as_str()).collect()
    }

    /// Events about one object, in the order of the snapshot.
    pub fn events_about(&self, id: &ObjectRef) -> impl Iterator<Item = &Event> {
        self.index.events.at(key_of(id)).map(|at| &self.events[at]).filter(|event| event.about == *id)
    }

    /// Events about one pod, in the order of the snapshot.
    pub fn events_about_pod(&self, pod: &Meta) -> impl Iterator<Item = &Event> {
        let (namespace, name) = (pod.namespace.as_deref(), pod.name.as_str());
        let at = self.index.events.at(key(&["", "Pod", namespace.unwrap_or(""), name]));
        let is = move |about: &ObjectRef| {
            about.name == name && about.ns() == namespace.unwrap_or("") && about.kind == "Pod" && about.group.is_empty()
        };
        at.map(|at| &self.events[at]).filter(move |event| is(&event.about))
    }

    /// A pod by its name.
    pub fn pod(&self, namespace: Option<&str>, name: &str) -> Option<&Pod> {
        let at = self.index.pods.at(key_in(namespace, name));
        at.map(|at| &self.pods[at]).find(|pod| is_called(&pod.metadata, namespace, name))
    }

    /// Pods of one namespace.
    pub fn pods_in(&self, namespace: Option<&str>) -> impl Iterator<Item = &Pod> {
        let here = self.index.pods_in.at(key(&[namespace.unwrap_or("")])).map(|at| &self.pods[at]);
        here.filter(move |pod| is_in(&pod.metadata, namespace))
    }

    /// Pods that name this object as their controller.
    pub fn pods_controlled_by(&self, owner: &ObjectRef) -> impl Iterator<Item = &Pod> {
        let at = self.index.controlled.at(key_of(owner));
        at.map(|at| &self.pods[at]).filter(|pod| is_owned_by(&pod.metadata, owner))
    }

    /// A Service by its name.
    pub fn service(&self, namespace: Option<&str>, name: &str) -> Option<&Service> {
        let at = self.index.services.at(key_in(namespace, name));
        at.map(|at| &self.services[at]).find(|service| is_called(&service.metadata, namespace, name))
    }

    /// The endpoints of a Service.
    pub fn slices_of(&self, service: &Service) -> impl Iterator<Item = &EndpointSlice> {
        let (namespace, name) = (service.metadata.namespace.as_deref(), service.metadata.name.as_str());
        let at = self.index.slices.at(key_in(namespace, name));
        let own = move |slice: &&EndpointSlice| slice.service() == Some(name) && is_in(&slice.metadata, namespace);
        at.map(|at| &self.endpoint_slices[at]).filter(own)
    }

    /// Pods that belong to a workload, through ReplicaSets and Jobs.
    pub fn pods_of(&self, workload: &ObjectRef) -> impl Iterator<Item = &Pod> {
        let groups = self.index.group.at(key_of(workload)).map(|at| &self.index.groups[at]);
        let own = groups.filter(move |(id, _)| id == workload).flat_map(|(_, pods)| pods);
        own.map(|&at| &self.pods[at as usize])
    }

    /// Workloads that another one controls: the ReplicaSets of a Deployment, the Jobs of a CronJob.
    pub fn children_of(&self, workload: &ObjectRef) -> impl Iterator<Item = &Workload> {
        let at = self.index.children.at(key_of(workload));
        at.map(|at| &self.workloads[at]).filter(|child| is_owned_by(&child.metadata, workload))
    }

    /// All workloads that have pods, with them.
    pub fn pods_by_workload(&self) -> impl Iterator<Item = (&ObjectRef, Vec<&Pod>)> {
        self.index.groups.iter().map(|(id, pods)| (id, pods.iter().map(|&at| &self.pods[at as usize]).collect()))
    }

    /// What a person would edit to change this pod: the last owner that can be followed.
    pub fn workload_of(&self, pod: &Pod) -> ObjectRef {
        let own = ObjectRef::new("v1", "Pod", pod.metadata.namespace.as_deref(), &pod.metadata.name);
        self.follow(own, &pod.metadata)
    }

    /// The outermost controller of an object, itself if it has none. Bounded: owners cannot be deeper than a few.
    pub fn root_owner(&self, id: &ObjectRef) -> ObjectRef {
        match self.meta(id) {
            Some(meta) => self.follow(id.clone(), &meta.clone()),
            None => id.clone(),
        }
    }

    fn follow(&self, own: ObjectRef, meta: &Meta) -> ObjectRef {
        let mut at = own;
        let mut meta = meta;
        for _ in 0..8 {
            let Some(owner) = meta.controller() else { break };
            let namespace = if owner.kind == "Node" { None } else { at.namespace.clone() };
            at = ObjectRef::new(&owner.api_version, &owner.kind, namespace.as_deref(), &owner.name);
            match self.meta(&at) {
                Some(next) => meta = next,
                None => return deployment_behind(&at, meta).unwrap_or(at),
            }
        }
        at
    }

    /// The namespaces that anything is in, or that are there themselves.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        let pods = self.pods.iter().map(|pod| &pod.metadata);
        let workloads = self.workloads.iter().map(|workload| &workload.metadata);
        let services = self.services.iter().map(|service| &service.metadata);
        let claims = self.claims.iter().map(|claim| &claim.metadata);
        let named = self.named.iter().map(|named| &named.metadata);
        let all = pods.chain(workloads).chain(services).chain(claims).chain(named);
        let own = self.named.iter().filter(|named| named.id.kind == "Namespace").map(|named| named.id.name.as_str());
        let events = self.events.iter().filter_map(|event| event.about.namespace.as_deref());
        all.filter_map(|meta| meta.namespace.as_deref()).chain(own).chain(events).collect()
    }

    /// Labels of a workload; empty when it is not one that is kept.
    pub fn labels_of(&self, id: &ObjectRef) -> BTreeMap<String, String> {
        let service = || {
            let service = self.service(id.namespace.as_deref(), &id.name).filter(|_| id.kind == "Service");
            service.map(|service| &service.metadata)
        };
        self.meta(id).or_else(service).map(|meta| (*meta.labels).clone()).unwrap_or_default()
    }

    /// `metadata` of a workload or of an object of which only that is kept.
    fn meta(&self, id: &ObjectRef) -> Option<&Meta> {
        self.workload(id).map(|w| &w.metadata).or_else(|| self.named(id).map(|n| &n.metadata))
    }
}

/// What decides to which workload a pod belongs: its controller, and the label that names a Deployment behind it.
#[derive(PartialEq, Eq, Hash)]
struct Origin<'p> {
    namespace: Option<&'p str>,
    api_version: &'p str,
    kind: &'p str,
    name: &'p str,
    template: Option<&'p str>,
}

impl<'p> Origin<'p> {
    /// `None` for a pod that nothing controls: it is a workload of its own.
    fn of(pod: &'p Meta) -> Option<Self> {
        let owner = pod.controller()?;
        Some(Self {
            namespace: pod.namespace.as_deref(),
            api_version: &owner.api_version,
            kind: &owner.kind,
            name: &owner.name,
            template: pod.labels.get("pod-template-hash").map(String::as_str),
        })
    }
}

/// The Deployment of a ReplicaSet that the snapshot does not hold, from a pod's label that only a Deployment sets.
fn deployment_behind(replica_set: &ObjectRef, pod: &Meta) -> Option<ObjectRef> {
    let hash = pod.labels.get("pod-template-hash").filter(|_| replica_set.kind == "ReplicaSet")?;
    let name = replica_set.name.strip_suffix(hash.as_str())?.strip_suffix('-').filter(|name| !name.is_empty())?;
    Some(ObjectRef::new("apps/v1", "Deployment", replica_set.namespace.as_deref(), name))
}
