//! What kustomize knows of the kinds of Kubernetes: which belong to no namespace, and how their lists are merged.
//!
//! Its knowledge is that of Kubernetes 1.21, and of each kind only in the versions that it names: to kustomize, a
//! `HorizontalPodAutoscaler` of `autoscaling/v2` is a kind like any other.

/// Kinds that are known, by version: those of namespaces, then those of the cluster.
const KNOWN: &[(&str, &[&str], &[&str])] = &[
    ("admissionregistration.k8s.io/v1", &[], &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]),
    ("admissionregistration.k8s.io/v1beta1", &[], &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]),
    ("apiextensions.k8s.io/v1", &[], &["CustomResourceDefinition"]),
    ("apiextensions.k8s.io/v1beta1", &[], &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io/v1", &[], &["APIService"]),
    ("apiregistration.k8s.io/v1beta1", &[], &["APIService"]),
    ("apps/v1", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"], &[]),
    ("autoscaling/v1", &["HorizontalPodAutoscaler", "Scale"], &[]),
    ("autoscaling/v2beta1", &["HorizontalPodAutoscaler"], &[]),
    ("autoscaling/v2beta2", &["HorizontalPodAutoscaler"], &[]),
    ("batch/v1", &["CronJob", "Job"], &[]),
    ("batch/v1beta1", &["CronJob"], &[]),
    ("certificates.k8s.io/v1", &[], &["CertificateSigningRequest"]),
    ("certificates.k8s.io/v1beta1", &[], &["CertificateSigningRequest"]),
    ("coordination.k8s.io/v1", &["Lease"], &[]),
    ("coordination.k8s.io/v1beta1", &["Lease"], &[]),
    ("discovery.k8s.io/v1", &["EndpointSlice"], &[]),
    ("discovery.k8s.io/v1beta1", &["EndpointSlice"], &[]),
    ("events.k8s.io/v1", &["Event"], &[]),
    ("events.k8s.io/v1beta1", &["Event"], &[]),
    ("extensions/v1beta1", &["Ingress"], &[]),
    ("flowcontrol.apiserver.k8s.io/v1beta1", &[], &["FlowSchema", "PriorityLevelConfiguration"]),
    ("networking.k8s.io/v1", &["Ingress", "NetworkPolicy"], &["IngressClass"]),
    ("networking.k8s.io/v1beta1", &["Ingress"], &["IngressClass"]),
    ("node.k8s.io/v1", &[], &["RuntimeClass"]),
    ("node.k8s.io/v1beta1", &[], &["RuntimeClass"]),
    ("policy/v1", &["PodDisruptionBudget"], &[]),
    ("policy/v1beta1", &["PodDisruptionBudget"], &["PodSecurityPolicy"]),
    ("rbac.authorization.k8s.io/v1", &["Role", "RoleBinding"], &["ClusterRole", "ClusterRoleBinding"]),
    ("rbac.authorization.k8s.io/v1beta1", &["Role", "RoleBinding"], &["ClusterRole", "ClusterRoleBinding"]),
    ("scheduling.k8s.io/v1", &[], &["PriorityClass"]),
    ("scheduling.k8s.io/v1beta1", &[], &["PriorityClass"]),
    ("storage.k8s.io/v1", &[], &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"]),
    ("storage.k8s.io/v1beta1", &["CSIStorageCapacity"], &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"]),
    (
        "v1",
        &[
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
        &["ComponentStatus", "Namespace", "Node", "PersistentVolume"],
    ),
];

/// Whether a kind belongs to no namespace, for sure: of a kind that is not known nobody can say.
pub(super) fn is_of_cluster(api_version: &str, kind: &str) -> bool {
    KNOWN.iter().any(|(version, _, cluster)| *version == api_version && cluster.contains(&kind))
}

/// What is known of a value of an object: how the lists in it are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Unknown,
    Meta,
    /// An object, by the name of its kind.
    Object(Kind),
    WorkloadSpec,
    CronSpec,
    JobTemplate,
    PodTemplate,
    PodSpec,
    Container,
    EphemeralContainer,
    ServiceSpec,
    NodeSpec,
}

/// Kinds that have lists of their own with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Workload,
    CronJob,
    Pod,
    PodTemplate,
    Service,
    ServiceAccount,
    Webhooks,
    CsiNode,
    Kustomization,
    Other,
}

/// What is known of a field: its shape or, of a list, that of its items; and the keys that its items are merged by.
/// A list without keys is one of scalars; a list that is not merged is replaced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub shape: Shape,
    pub keys: Option<&'static [&'static str]>,
}

impl Shape {
    /// The shape of an object.
    pub fn of(api_version: &str, kind: &str) -> Self {
        let kustomization = api_version == "kustomize.config.k8s.io/v1beta1" && kind == "Kustomization";
        let is_known = KNOWN.iter().any(|(version, spaced, cluster)| {
            *version == api_version && (spaced.contains(&kind) || cluster.contains(&kind))
        });
        if !is_known && !kustomization {
            return Self::Unknown;
        }
        Self::Object(match kind {
            "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet" | "Job" | "ReplicationController" => {
                Kind::Workload
            }
            "CronJob" => Kind::CronJob,
            "Pod" => Kind::Pod,
            "PodTemplate" => Kind::PodTemplate,
            "Service" => Kind::Service,
            "ServiceAccount" => Kind::ServiceAccount,
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => Kind::Webhooks,
            "CSINode" => Kind::CsiNode,
            "Kustomization" => Kind::Kustomization,
            _ => Kind::Other,
        })
    }

    /// What is known of a field of this.
    pub fn field(self, key: &str) -> Field {
        let map = |shape| Field { shape, keys: None };
        let list = |keys, shape| Field { shape, keys: Some(keys) };
        match (self, key) {
            (Self::Object(_) | Self::PodTemplate | Self::JobTemplate, "metadata") => map(Self::Meta),
            (Self::Meta, "finalizers") => list(&[], Self::Unknown),
            (Self::Meta, "ownerReferences") => list(&["uid"], Self::Unknown),
            (Self::Object(Kind::Workload) | Self::JobTemplate, "spec") => map(Self::WorkloadSpec),
            (Self::Object(Kind::CronJob), "spec") => map(Self::CronSpec),
            (Self::Object(Kind::Pod) | Self::PodTemplate, "spec") => map(Self::PodSpec),
            (Self::Object(Kind::Service), "spec") => map(Self::ServiceSpec),
            (Self::Object(Kind::CsiNode), "spec") => map(Self::NodeSpec),
            (Self::Object(Kind::PodTemplate) | Self::WorkloadSpec, "template") => map(Self::PodTemplate),
            (Self::Object(Kind::ServiceAccount), "secrets")
            | (Self::Object(Kind::Webhooks), "webhooks")
            | (Self::Object(Kind::Kustomization), "configMapGenerator" | "secretGenerator")
            | (Self::NodeSpec, "drivers")
            | (Self::PodSpec, "volumes" | "imagePullSecrets")
            | (Self::Container | Self::EphemeralContainer, "env") => list(&["name"], Self::Unknown),
            (Self::CronSpec, "jobTemplate") => map(Self::JobTemplate),
            (Self::ServiceSpec, "ports") => list(&["port", "protocol"], Self::Unknown),
            (Self::PodSpec, "containers" | "initContainers") => list(&["name"], Self::Container),
            (Self::PodSpec, "ephemeralContainers") => list(&["name"], Self::EphemeralContainer),
            (Self::PodSpec, "hostAliases") => list(&["ip"], Self::Unknown),
            (Self::PodSpec, "topologySpreadConstraints") => list(&["topologyKey", "whenUnsatisfiable"], Self::Unknown),
            (Self::Container, "ports") => list(&["containerPort", "protocol"], Self::Unknown),
            (Self::Container | Self::EphemeralContainer, "volumeMounts") => list(&["mountPath"], Self::Unknown),
            (Self::Container | Self::EphemeralContainer, "volumeDevices") => list(&["devicePath"], Self::Unknown),
            _ => map(Self::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(api_version: &str, kind: &str, path: &[&str]) -> Option<&'static [&'static str]> {
        let start = Field { shape: Shape::of(api_version, kind), keys: None };
        path.iter().fold(start, |field, key| field.shape.field(key)).keys
    }

    #[test]
    fn lists_of_kinds_that_are_known_have_keys() {
        let ports = ["spec", "template", "spec", "containers", "ports"];
        assert_eq!(keys("apps/v1", "Deployment", &ports), Some(&["containerPort", "protocol"][..]));
        assert_eq!(keys("apps/v1", "Deployment", &["metadata", "finalizers"]), Some(&[][..]));
        let env = ["spec", "jobTemplate", "spec", "template", "spec", "initContainers", "env"];
        assert_eq!(keys("batch/v1", "CronJob", &env), Some(&["name"][..]));
        assert_eq!(keys("apps/v1", "Deployment", &["spec", "template", "spec", "tolerations"]), None);
        assert_eq!(keys("example.org/v1", "Deployment", &ports), None);
    }

    #[test]
    fn a_kind_that_is_not_known_may_belong_to_a_namespace() {
        assert!(is_of_cluster("v1", "Namespace"));
        assert!(is_of_cluster("rbac.authorization.k8s.io/v1", "ClusterRole"));
        assert!(!is_of_cluster("example.org/v1", "ClusterThing"));
        assert!(!is_of_cluster("rbac.authorization.k8s.io/v1", "Role"));
    }
}
