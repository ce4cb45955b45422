//! What is read of a cluster: these kinds and no others. `deploy/rbac.yaml` grants exactly them.

/// A kind of the Kubernetes API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// As it stands in paths and in RBAC rules.
    pub resource: &'static str,
    pub is_namespaced: bool,
    /// Whether names, labels, annotations and owners are all that is asked for.
    pub is_bare: bool,
}

impl Kind {
    /// `apps/v1`, `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The path of its list, in one namespace or in all.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let within = namespace.map_or_else(String::new, |name| format!("namespaces/{name}/"));
        format!("{root}/{}/{within}{}", self.api_version(), self.resource)
    }
}

const fn inside(group: &'static str, version: &'static str, kind: &'static str, resource: &'static str) -> Kind {
    Kind { group, version, kind, resource, is_namespaced: true, is_bare: false }
}

const fn global(group: &'static str, version: &'static str, kind: &'static str, resource: &'static str) -> Kind {
    Kind { is_namespaced: false, ..inside(group, version, kind, resource) }
}

const fn bare(kind: Kind) -> Kind {
    Kind { is_bare: true, ..kind }
}

/// Everything that is read; never a Secret. The largest come first, so that they do not keep the others waiting.
///
/// Events are asked for once: core/v1 shows those of events.k8s.io as well.
pub const KINDS: &[Kind] = &[
    inside("", "v1", "Pod", "pods"),
    inside("", "v1", "Event", "events"),
    inside("apps", "v1", "ReplicaSet", "replicasets"),
    inside("apps", "v1", "Deployment", "deployments"),
    inside("apps", "v1", "StatefulSet", "statefulsets"),
    inside("apps", "v1", "DaemonSet", "daemonsets"),
    inside("apps", "v1", "ControllerRevision", "controllerrevisions"),
    inside("batch", "v1", "Job", "jobs"),
    inside("batch", "v1", "CronJob", "cronjobs"),
    inside("", "v1", "Service", "services"),
    inside("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    inside("networking.k8s.io", "v1", "Ingress", "ingresses"),
    inside("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    inside("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    inside("", "v1", "ConfigMap", "configmaps"),
    inside("argoproj.io", "v1alpha1", "Application", "applications"),
    inside("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations"),
    inside("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases"),
    inside("source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories"),
    bare(inside("", "v1", "ServiceAccount", "serviceaccounts")),
    inside("", "v1", "ResourceQuota", "resourcequotas"),
    inside("", "v1", "LimitRange", "limitranges"),
    global("", "v1", "Node", "nodes"),
    bare(global("", "v1", "Namespace", "namespaces")),
    bare(global("storage.k8s.io", "v1", "StorageClass", "storageclasses")),
    bare(global("networking.k8s.io", "v1", "IngressClass", "ingressclasses")),
    bare(global("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let of = |name: &str| KINDS.iter().find(|k| k.kind == name).unwrap();
        assert_eq!(of("Pod").path(None), "/api/v1/pods");
        assert_eq!(of("Deployment").path(Some("shop")), "/apis/apps/v1/namespaces/shop/deployments");
    }

    #[test]
    fn no_secret_is_ever_read() {
        assert!(KINDS.iter().all(|k| !k.resource.contains("secret") && k.kind != "Secret"));
    }
}
