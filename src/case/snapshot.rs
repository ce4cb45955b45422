//! What the cluster shows at one instant: lists of projected objects, and who belongs to whom.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Autoscaler, Claim, Config, ControllerRevision, EndpointSlice, Event, Gap, Ingress, LimitRange, List, Meta, Named,
    Node, ObjectRef, Pod, Quota, Service, Timestamp, Workload,
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

/// Positions in the lists of a snapshot, made once.
#[derive(Clone, Debug, Default)]
struct Index {
    workloads: HashMap<ObjectRef, usize>,
    named: HashMap<ObjectRef, usize>,
    events: HashMap<ObjectRef, Vec<usize>>,
    pods: HashMap<ObjectRef, Vec<usize>>,
    children: HashMap<ObjectRef, Vec<usize>>,
}

impl Snapshot {
    /// Call once, when all lists are filled.
    #[must_use]
    pub fn indexed(mut self) -> Self {
        self.index = Index::default();
        for (i, workload) in self.workloads.iter().enumerate() {
            self.index.workloads.insert(workload.id(), i);
            if let Some(owner) = workload.metadata.controller() {
                let namespace = workload.metadata.namespace.as_deref();
                let owner = ObjectRef::new(&owner.api_version, &owner.kind, namespace, &owner.name);
                self.index.children.entry(owner).or_default().push(i);
            }
        }
        for (i, named) in self.named.iter().enumerate() {
            self.index.named.insert(named.id.clone(), i);
        }
        for (i, event) in self.events.iter().enumerate() {
            self.index.events.entry(event.about.clone()).or_default().push(i);
        }
        let mut pods: HashMap<ObjectRef, Vec<usize>> = HashMap::new();
        for (i, pod) in self.pods.iter().enumerate() {
            pods.entry(self.workload_of(pod)).or_default().push(i);
        }
        self.index.pods = pods;
        self
    }

    pub fn workload(&self, id: &ObjectRef) -> Option<&Workload> {
        self.index.workloads.get(id).map(|&i| &self.workloads[i])
    }

    /// An object of which only the name is kept.
    pub fn named(&self, id: &ObjectRef) -> Option<&Named> {
        self.index.named.get(id).map(|&i| &self.named[i])
    }

    /// The names of all objects of one kind, in one namespace or of the cluster's scope.
    pub fn names_of(&self, kind: &str, namespace: Option<&str>) -> Vec<&str> {
        let of = |id: &ObjectRef| id.kind == kind && id.namespace.as_deref() == namespace;
        self.named.iter().filter(|n| of(&n.id)).map(|n| n.id.name.as_str()).collect()
    }

    /// Events about one object, in the order of the snapshot.
    pub fn events_about(&self, id: &ObjectRef) -> impl Iterator<Item = &Event> {
        self.index.events.get(id).into_iter().flatten().map(|&i| &self.events[i])
    }

    /// Pods that belong to a workload, through ReplicaSets and Jobs.
    pub fn pods_of(&self, workload: &ObjectRef) -> impl Iterator<Item = &Pod> {
        self.index.pods.get(workload).into_iter().flatten().map(|&i| &self.pods[i])
    }

    /// Workloads that another one controls: the ReplicaSets of a Deployment, the Jobs of a CronJob.
    pub fn children_of(&self, workload: &ObjectRef) -> impl Iterator<Item = &Workload> {
        self.index.children.get(workload).into_iter().flatten().map(|&i| &self.workloads[i])
    }

    /// All workloads that have pods, with them.
    pub fn pods_by_workload(&self) -> impl Iterator<Item = (&ObjectRef, Vec<&Pod>)> {
        self.index.pods.iter().map(|(id, pods)| (id, pods.iter().map(|&i| &self.pods[i]).collect()))
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
            self.services
                .iter()
                .map(|s| &s.metadata)
                .find(|m| id.kind == "Service" && m.name == id.name && m.namespace == id.namespace)
        };
        self.meta(id).or_else(service).map(|meta| meta.labels.clone()).unwrap_or_default()
    }

    /// `metadata` of a workload or of an object of which only that is kept.
    fn meta(&self, id: &ObjectRef) -> Option<&Meta> {
        self.workload(id).map(|w| &w.metadata).or_else(|| self.named(id).map(|n| &n.metadata))
    }
}

/// The Deployment of a ReplicaSet that the snapshot does not hold, from a pod's label that only a Deployment sets.
fn deployment_behind(replica_set: &ObjectRef, pod: &Meta) -> Option<ObjectRef> {
    let hash = pod.labels.get("pod-template-hash").filter(|_| replica_set.kind == "ReplicaSet")?;
    let name = replica_set.name.strip_suffix(hash.as_str())?.strip_suffix('-').filter(|name| !name.is_empty())?;
    Some(ObjectRef::new("apps/v1", "Deployment", replica_set.namespace.as_deref(), name))
}
