//! Labels in, the Services that select them out, and the other way round.

use std::collections::BTreeMap;

use crate::case::{Pod, Service, Snapshot, Workload};

/// Whether a selector selects these labels. An empty one selects nothing: such a Service has endpoints of its own.
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// The Services of a namespace that select pods with these labels.
pub fn selecting<'s>(
    snapshot: &'s Snapshot,
    namespace: Option<&str>,
    labels: &BTreeMap<String, String>,
) -> Vec<&'s Service> {
    let services = snapshot.services.iter().filter(|s| s.metadata.namespace.as_deref() == namespace);
    services.filter(|s| selects(&s.spec.selector, labels)).collect()
}

/// Pods that a Service selects and that are meant to serve.
pub fn selected_pods<'s>(snapshot: &'s Snapshot, service: &Service) -> Vec<&'s Pod> {
    let here = snapshot.pods_in(service.metadata.namespace.as_deref());
    let alive = here.filter(|p| {
        p.metadata.deletion_timestamp.is_none() && !matches!(p.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    });
    alive.filter(|p| selects(&service.spec.selector, &p.metadata.labels)).collect()
}

/// Labels of a workload's pod template.
pub fn template_labels(workload: &Workload) -> BTreeMap<String, String> {
    let template = workload.pod_template();
    crate::case::string_map(template.pointer("/metadata/labels").unwrap_or(&serde_json::Value::Null))
}

/// Workloads of a namespace that keep pods running and that a person edits: Deployments, StatefulSets, DaemonSets,
/// and ReplicaSets that nothing owns.
pub fn serving_workloads<'s>(snapshot: &'s Snapshot, namespace: Option<&'s str>) -> impl Iterator<Item = &'s Workload> {
    snapshot.workloads_in(namespace).filter(|w| match w.kind.as_str() {
        "Deployment" | "StatefulSet" | "DaemonSet" => true,
        "ReplicaSet" => w.metadata.controller().is_none(),
        _ => false,
    })
}
