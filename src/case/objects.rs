//! Objects of the Kubernetes API, projected to what KubeCure needs.
//!
//! The structs keep the names and the nesting of the Kubernetes API, minus everything that no rule reads.
//! Large parts that are read only for an incident (pod templates) stay as compact JSON text until asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{ObjectRef, Same, Timestamp, Word};

/// JSON that is kept as text until a rule asks for it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Json(Option<Box<RawValue>>);

impl Json {
    /// The value; null when there is none.
    pub fn value(&self) -> Value {
        self.0.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or(Value::Null)
    }

    /// From a value, for snapshots that were not JSON.
    pub fn from_value(value: &Value) -> Self {
        Self(serde_json::value::to_raw_value(value).ok())
    }

    /// The text as it stands.
    pub fn text(&self) -> &str {
        self.0.as_ref().map_or("null", |raw| raw.get())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

/// `metadata`, without what is large and never read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    #[serde(deserialize_with = "null_default")]
    pub name: String,
    pub namespace: Option<String>,
    #[serde(deserialize_with = "null_default")]
    pub labels: Same<BTreeMap<String, String>>,
    #[serde(deserialize_with = "small_annotations")]
    pub annotations: Same<BTreeMap<String, String>>,
    #[serde(deserialize_with = "null_default")]
    pub owner_references: Same<Vec<OwnerReference>>,
    pub creation_timestamp: Option<Timestamp>,
    pub deletion_timestamp: Option<Timestamp>,
    pub generation: Option<i64>,
}

impl Meta {
    /// The owner that controls the object, if one does.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|o| o.controller)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub controller: bool,
}

/// `last-applied-configuration` repeats the whole object; no rule reads it.
fn small_annotations<'de, D: Deserializer<'de>>(d: D) -> Result<Same<BTreeMap<String, String>>, D::Error> {
    let mut all = Option::<BTreeMap<String, String>>::deserialize(d)?.unwrap_or_default();
    all.remove("kubectl.kubernetes.io/last-applied-configuration");
    Ok(all.into())
}

/// Kubernetes writes `null` where it means "empty": events without counts, slices without endpoints.
fn null_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// A list without room to grow: what is read is not added to.
fn tight<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    let mut list = Option::<Vec<T>>::deserialize(d)?.unwrap_or_default();
    list.shrink_to_fit();
    Ok(list)
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    pub metadata: Meta,
    pub spec: PodSpec,
    pub status: PodStatus,
    /// `metadata` and `spec` as they stand, kept only for a pod that nothing controls: it is its own template.
    #[serde(skip)]
    pub template: Json,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    pub node_name: Option<Word>,
    pub restart_policy: Option<Word>,
    #[serde(deserialize_with = "null_default")]
    pub init_containers: Same<Vec<ContainerSpec>>,
    #[serde(deserialize_with = "null_default")]
    pub containers: Same<Vec<ContainerSpec>>,
}

/// What detection needs of a container; rules read the rest from the template of the workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerSpec {
    pub name: String,
    pub image: Option<String>,
    pub restart_policy: Option<String>,
    #[serde(deserialize_with = "null_default")]
    pub ports: Vec<ContainerPort>,
    pub readiness_probe: Option<ProbeTiming>,
    pub startup_probe: Option<ProbeTiming>,
    #[serde(deserialize_with = "null_default")]
    pub resources: Bounds,
}

/// What a container got in the end, after defaults and webhooks: its limits, as far as a rule looks at them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Bounds {
    #[serde(deserialize_with = "null_default")]
    pub limits: Limits,
}

/// Limits of a running container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    pub memory: Option<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    pub name: Option<String>,
    pub container_port: i64,
    pub protocol: Option<String>,
}

/// When a probe may first be believed. Defaults are those of the API: 0 s, 10 s, 1 s, 3 times.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeTiming {
    pub initial_delay_seconds: i64,
    pub period_seconds: i64,
    pub timeout_seconds: i64,
    pub failure_threshold: i64,
}

impl Default for ProbeTiming {
    fn default() -> Self {
        Self { initial_delay_seconds: 0, period_seconds: 10, timeout_seconds: 1, failure_threshold: 3 }
    }
}

impl ProbeTiming {
    /// Seconds after which the probe has certainly failed as often as it may.
    pub fn budget(&self) -> i64 {
        self.initial_delay_seconds + self.failure_threshold * (self.period_seconds + self.timeout_seconds)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    pub phase: Option<Word>,
    pub reason: Option<Word>,
    pub message: Option<Box<str>>,
    pub start_time: Option<Timestamp>,
    #[serde(deserialize_with = "tight")]
    pub conditions: Vec<Condition>,
    #[serde(deserialize_with = "tight")]
    pub init_container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "tight")]
    pub container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    pub r#type: Word,
    pub status: Word,
    pub reason: Option<Word>,
    pub message: Option<Box<str>>,
    pub last_transition_time: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    pub name: Word,
    pub ready: bool,
    pub started: Option<bool>,
    pub restart_count: i64,
    pub image: Option<Word>,
    #[serde(deserialize_with = "null_default")]
    pub state: ContainerState,
    #[serde(deserialize_with = "null_default")]
    pub last_state: ContainerState,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerState {
    pub waiting: Option<Box<Waiting>>,
    pub running: Option<Running>,
    pub terminated: Option<Box<Terminated>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Waiting {
    pub reason: Option<Word>,
    pub message: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Running {
    pub started_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terminated {
    pub exit_code: i64,
    pub signal: Option<i64>,
    pub reason: Option<Word>,
    pub message: Option<String>,
    /// 1970 for a container that never started (reason `StartError`).
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    pub kind: Word,
    pub api_version: Word,
    pub metadata: Meta,
    pub spec: WorkloadSpec,
    pub status: WorkloadStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSpec {
    pub replicas: Option<i64>,
    pub paused: Option<bool>,
    pub suspend: Option<bool>,
    pub progress_deadline_seconds: Option<i64>,
    pub min_ready_seconds: Option<i64>,
    pub schedule: Option<String>,
    /// Of a Job: how often it is tried, and for how long it may run.
    pub backoff_limit: Option<i64>,
    pub active_deadline_seconds: Option<i64>,
    pub selector: Json,
    pub template: Json,
    pub job_template: Json,
    pub volume_claim_templates: Json,
    pub update_strategy: Json,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadStatus {
    pub observed_generation: Option<i64>,
    pub replicas: Option<i64>,
    pub ready_replicas: Option<i64>,
    pub updated_replicas: Option<i64>,
    pub available_replicas: Option<i64>,
    pub unavailable_replicas: Option<i64>,
    pub current_revision: Option<String>,
    pub update_revision: Option<String>,
    pub desired_number_scheduled: Option<i64>,
    pub updated_number_scheduled: Option<i64>,
    pub number_ready: Option<i64>,
    pub active: Option<Value>,
    pub succeeded: Option<i64>,
    pub failed: Option<i64>,
    pub completion_time: Option<Timestamp>,
    pub last_schedule_time: Option<Timestamp>,
    pub last_successful_time: Option<Timestamp>,
    #[serde(deserialize_with = "tight")]
    pub conditions: Vec<Condition>,
}

impl Workload {
    pub fn id(&self) -> ObjectRef {
        ObjectRef::new(&self.api_version, &self.kind, self.metadata.namespace.as_deref(), &self.metadata.name)
    }

    /// The pod template (`metadata`, `spec`), wherever this kind keeps it; null if it has none.
    pub fn pod_template(&self) -> Value {
        if self.kind == "CronJob" {
            self.spec.job_template.value().pointer("/spec/template").cloned().unwrap_or(Value::Null)
        } else {
            self.spec.template.value()
        }
    }

    /// `spec.selector.matchLabels`
    pub fn match_labels(&self) -> BTreeMap<String, String> {
        let selector = self.spec.selector.value();
        string_map(selector.get("matchLabels").unwrap_or(&Value::Null))
    }

    pub fn condition(&self, r#type: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|c| c.r#type == r#type)
    }

    /// `deployment.kubernetes.io/revision` of a Deployment or its ReplicaSet.
    pub fn revision(&self) -> Option<i64> {
        self.metadata.annotations.get("deployment.kubernetes.io/revision")?.parse().ok()
    }
}

/// A JSON object of strings; other values are left out.
pub fn string_map(value: &Value) -> BTreeMap<String, String> {
    let Some(map) = value.as_object() else { return BTreeMap::new() };
    map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// A ControllerRevision: a former template of a StatefulSet or DaemonSet.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ControllerRevision {
    pub metadata: Meta,
    pub revision: i64,
    pub data: Json,
}

impl ControllerRevision {
    /// The pod template that it recorded.
    pub fn pod_template(&self) -> Value {
        let mut template = self.data.value().pointer("/spec/template").cloned().unwrap_or(Value::Null);
        if let Some(map) = template.as_object_mut() {
            map.shift_remove("$patch");
        }
        template
    }
}

/// An event of core/v1 or events.k8s.io, as one shape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    pub about: ObjectRef,
    /// `Normal` or `Warning`.
    pub r#type: Word,
    pub reason: Word,
    /// Without the prefix "(combined from similar events): ".
    pub message: String,
    /// At least 1.
    pub count: i64,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// `spec.containers{app}`: the container that a kubelet event is about.
    pub container: Option<Word>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    pub metadata: Meta,
    pub spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    pub r#type: Option<String>,
    #[serde(deserialize_with = "null_default")]
    pub selector: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_default")]
    pub ports: Vec<ServicePort>,
    pub external_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    pub name: Option<String>,
    pub port: i64,
    /// A number or a name; absent means the same as `port`.
    pub target_port: Option<Value>,
    pub protocol: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    pub metadata: Meta,
    #[serde(deserialize_with = "null_default")]
    pub endpoints: Vec<Endpoint>,
    /// `None` for `ports: null`, which an unknown named target port leaves behind.
    pub ports: Option<Vec<Value>>,
}

impl EndpointSlice {
    /// The Service that it belongs to.
    pub fn service(&self) -> Option<&str> {
        self.metadata.labels.get("kubernetes.io/service-name").map(String::as_str)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    #[serde(deserialize_with = "null_default")]
    pub conditions: EndpointConditions,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointConditions {
    /// Absent means ready.
    pub ready: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ingress {
    pub metadata: Meta,
    pub spec: IngressSpec,
    pub status: IngressStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressStatus {
    pub load_balancer: LoadBalancer,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancer {
    /// Addresses at which a controller serves it.
    #[serde(deserialize_with = "null_default")]
    pub ingress: Vec<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    pub ingress_class_name: Option<String>,
    pub default_backend: Option<IngressBackend>,
    #[serde(deserialize_with = "null_default")]
    pub rules: Vec<IngressRule>,
    #[serde(deserialize_with = "null_default")]
    pub tls: Vec<IngressTls>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressRule {
    pub host: Option<String>,
    pub http: Option<IngressHttp>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressHttp {
    #[serde(deserialize_with = "null_default")]
    pub paths: Vec<IngressPath>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressPath {
    pub path: Option<String>,
    pub backend: IngressBackend,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressBackend {
    pub service: Option<IngressService>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressService {
    pub name: String,
    pub port: IngressServicePort,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressServicePort {
    pub name: Option<String>,
    pub number: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    pub secret_name: Option<String>,
}

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Autoscaler {
    pub api_version: String,
    pub metadata: Meta,
    pub spec: AutoscalerSpec,
    pub status: ConditionedStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoscalerSpec {
    pub scale_target_ref: OwnerReference,
    pub min_replicas: Option<i64>,
    pub max_replicas: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConditionedStatus {
    #[serde(deserialize_with = "tight")]
    pub conditions: Vec<Condition>,
}

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claim {
    pub metadata: Meta,
    pub spec: ClaimSpec,
    pub status: ClaimStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSpec {
    pub storage_class_name: Option<String>,
    pub volume_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimStatus {
    pub phase: Option<String>,
}

/// A ConfigMap or Secret: its name and the names of its keys, never a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub metadata: Meta,
    pub keys: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Quota {
    pub metadata: Meta,
    pub status: QuotaStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QuotaStatus {
    #[serde(deserialize_with = "null_default")]
    pub hard: BTreeMap<String, Value>,
    #[serde(deserialize_with = "null_default")]
    pub used: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitRange {
    pub metadata: Meta,
    pub spec: LimitRangeSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitRangeSpec {
    #[serde(deserialize_with = "null_default")]
    pub limits: Vec<LimitRangeItem>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitRangeItem {
    pub r#type: String,
    #[serde(deserialize_with = "null_default")]
    pub max: BTreeMap<String, Value>,
    #[serde(deserialize_with = "null_default")]
    pub min: BTreeMap<String, Value>,
    #[serde(deserialize_with = "null_default")]
    pub default: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    pub metadata: Meta,
    pub spec: NodeSpec,
    pub status: NodeStatus,
}

impl Node {
    /// Whether the kubelet says that it is ready. No answer is not health.
    pub fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|c| c.r#type == "Ready" && c.status == "True")
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    pub unschedulable: Option<bool>,
    #[serde(deserialize_with = "null_default")]
    pub taints: Vec<Taint>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Taint {
    pub key: String,
    pub value: Option<String>,
    pub effect: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    #[serde(deserialize_with = "null_default")]
    pub allocatable: BTreeMap<String, Value>,
    #[serde(deserialize_with = "tight")]
    pub conditions: Vec<Condition>,
}

/// An object of which only its name, labels and owners matter: ServiceAccount, Namespace, StorageClass,
/// IngressClass, PriorityClass, and every kind that KubeCure does not know (an owner may be one).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Named {
    pub id: ObjectRef,
    pub metadata: Meta,
}
