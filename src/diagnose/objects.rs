//! What objects besides pods say about a finding: a Service and its endpoints, a claim, the nodes, a quota. As
//! items, so that there is something to quote.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::case::{
    Claim, EndpointSlice, Finding, Ingress, IngressBackend, Item, ItemSource, LimitRange, List, Node, ObjectRef, Quota,
    Service, Shared, Snapshot, Workload,
};
use crate::diagnose::changes::plain;
use crate::diagnose::template::Template;

/// Limits of what is told of one finding.
const MOST_NODES: usize = 8;
const MOST_BACKENDS: usize = 20;
const MOST_CLAIMS: usize = 8;

/// Items about objects that are no pods; the texts are not yet redacted.
pub fn items(finding: &Finding, snapshot: &Snapshot) -> Vec<Item> {
    let id = &finding.workload;
    let mut items = match id.kind.as_str() {
        "Service" => find(&snapshot.services, id, |s| &s.metadata).map(|s| of_service(s, id, snapshot)),
        "Ingress" => find(&snapshot.ingresses, id, |i| &i.metadata).map(|i| of_ingress(i, id)),
        "HorizontalPodAutoscaler" => find(&snapshot.autoscalers, id, |a| &a.metadata).map(|a| {
            let target = &a.spec.scale_target_ref;
            vec![spec(id, format!("scaleTargetRef kind={} name={}", target.kind, target.name))]
        }),
        "PersistentVolumeClaim" => find(&snapshot.claims, id, |c| &c.metadata).map(of_claim),
        _ => None,
    }
    .unwrap_or_default();
    let here = |namespace: &Option<String>| *namespace == id.namespace;
    match finding.failure.0 {
        "unschedulable" => {
            items.extend(pod_spec(finding, snapshot));
            items.extend(snapshot.nodes.iter().take(MOST_NODES).map(of_node));
        }
        "quota-exceeded" => {
            let named =
                |q: &&Quota| matches!(&finding.shared, Some(Shared::Quota { name, .. }) if *name == q.metadata.name);
            items.extend(snapshot.quotas.iter().filter(|q| here(&q.metadata.namespace)).filter(named).map(of_quota));
        }
        "replica-create-failed" => {
            items.extend(pod_spec(finding, snapshot));
            items.extend(snapshot.limit_ranges.iter().filter(|l| here(&l.metadata.namespace)).map(of_limit_range));
        }
        "rollout-stuck" => items.extend(snapshot.workload(id).map(|w| status(id, rollout(w)))),
        "pvc-pending" if id.kind == "StatefulSet" => {
            let claims = snapshot.workload(id).map(|w| claims_of(snapshot, w)).unwrap_or_default();
            items.extend(claims.into_iter().take(MOST_CLAIMS).flat_map(|(claim, _)| of_claim(claim)));
        }
        _ => {}
    }
    items
}

/// Objects besides the workload and its pods whose events bear on a finding.
pub fn also_about(finding: &Finding, snapshot: &Snapshot) -> Vec<ObjectRef> {
    let Some(workload) = snapshot.workload(&finding.workload).filter(|w| w.kind == "StatefulSet") else {
        return Vec::new();
    };
    claims_of(snapshot, workload).into_iter().take(MOST_CLAIMS).map(|(claim, _)| claim_ref(claim)).collect()
}

/// The claims that a StatefulSet made, each with the name of its `volumeClaimTemplates` entry.
///
/// A claim is called `<entry>-<StatefulSet>-<ordinal>`.
pub fn claims_of<'s>(snapshot: &'s Snapshot, set: &Workload) -> Vec<(&'s Claim, String)> {
    let templates = set.spec.volume_claim_templates.value();
    let entries = templates.as_array().into_iter().flatten().filter_map(|t| t.pointer("/metadata/name")?.as_str());
    let entries: Vec<&str> = entries.collect();
    let entry_of = |claim: &Claim| {
        let entry = entries.iter().find(|entry| {
            let rest = claim.metadata.name.strip_prefix(&format!("{entry}-{}-", set.metadata.name));
            rest.is_some_and(|ordinal| ordinal.parse::<u32>().is_ok())
        })?;
        Some((*entry).to_owned())
    };
    let here = snapshot.claims.iter().filter(|c| c.metadata.namespace == set.metadata.namespace);
    here.filter_map(|claim| Some((claim, entry_of(claim)?))).collect()
}

/// The reference to a claim.
pub fn claim_ref(claim: &Claim) -> ObjectRef {
    ObjectRef::new("v1", "PersistentVolumeClaim", claim.metadata.namespace.as_deref(), &claim.metadata.name)
}

fn find<'s, T>(list: &'s List<T>, id: &ObjectRef, meta: impl Fn(&T) -> &crate::case::Meta) -> Option<&'s T> {
    list.iter().find(|object| meta(object).name == id.name && meta(object).namespace == id.namespace)
}

fn spec(id: &ObjectRef, text: String) -> Item {
    Item { source: ItemSource::Spec(id.clone()), text, at: None }
}

fn status(id: &ObjectRef, text: String) -> Item {
    Item { source: ItemSource::Status(id.clone()), text, at: None }
}

fn of_service(service: &Service, id: &ObjectRef, snapshot: &Snapshot) -> Vec<Item> {
    let port = |p: &crate::case::ServicePort| json!({"name": p.name, "port": p.port, "targetPort": p.target_port});
    let ports: Vec<Value> = service.spec.ports.iter().map(port).collect();
    let mut items = vec![spec(id, json!({"selector": service.spec.selector, "ports": ports}).to_string())];
    let own = |s: &&EndpointSlice| s.service() == Some(&id.name) && s.metadata.namespace == id.namespace;
    items.extend(snapshot.endpoint_slices.iter().filter(own).map(|slice| {
        let id = ObjectRef::new(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            slice.metadata.namespace.as_deref(),
            &slice.metadata.name,
        );
        status(&id, slice_text(slice))
    }));
    items
}

/// `endpoints=null ports=null`, `endpoints=2 ready=1 ports=[{"name":"http","port":8080}]`
fn slice_text(slice: &EndpointSlice) -> String {
    let ports = slice.ports.as_ref().map_or("null".to_owned(), |ports| Value::from(ports.clone()).to_string());
    let ready = slice.endpoints.iter().filter(|e| e.conditions.ready != Some(false)).count();
    match slice.endpoints.len() {
        0 => format!("endpoints=null ports={ports}"),
        n => format!("endpoints={n} ready={ready} ports={ports}"),
    }
}

fn of_ingress(ingress: &Ingress, id: &ObjectRef) -> Vec<Item> {
    let mut items =
        vec![spec(id, format!("ingressClassName={}", ingress.spec.ingress_class_name.as_deref().unwrap_or("null")))];
    for (path, backend) in backends(ingress).into_iter().take(MOST_BACKENDS) {
        if let Some(service) = &backend.service {
            let port = service.port.name.clone().or(service.port.number.map(|n| n.to_string())).unwrap_or_default();
            items.push(spec(id, format!("{path}.service name={} port={port}", service.name)));
        }
    }
    items
}

/// Every backend of an Ingress, with its path: `spec.rules[0].http.paths[0].backend`.
pub fn backends(ingress: &Ingress) -> Vec<(crate::yaml::FieldPath, &IngressBackend)> {
    let root = crate::yaml::FieldPath::keys(&["spec"]);
    let default = ingress.spec.default_backend.iter().map(|b| (root.clone().key("defaultBackend"), b));
    let rules = ingress.spec.rules.iter().enumerate().flat_map(|(i, rule)| {
        let at = root.clone().key("rules").index(i).key("http").key("paths");
        let paths = rule.http.iter().flat_map(|http| http.paths.iter().enumerate());
        paths.map(move |(j, path)| (at.clone().index(j).key("backend"), &path.backend))
    });
    default.chain(rules).collect()
}

fn of_claim(claim: &Claim) -> Vec<Item> {
    let id = claim_ref(claim);
    let class = claim.spec.storage_class_name.as_deref().unwrap_or("null");
    let phase = claim.status.phase.as_deref().unwrap_or("");
    vec![spec(&id, format!("storageClassName={class}")), status(&id, format!("phase={phase}"))]
}

fn of_node(node: &Node) -> Item {
    let id = ObjectRef::new("v1", "Node", None, &node.metadata.name);
    let allocatable: Vec<String> =
        node.status.allocatable.iter().filter(|(_, v)| **v != "0").map(|(k, v)| format!("{k}={}", plain(v))).collect();
    let labels: Vec<String> = node.metadata.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let taints: Vec<String> = node.spec.taints.iter().map(|t| format!("{}:{}", t.key, t.effect)).collect();
    let text = format!(
        "allocatable {}; labels {}; taints {}",
        allocatable.join(" "),
        labels.join(" "),
        if taints.is_empty() { "none".to_owned() } else { taints.join(" ") }
    );
    status(&id, text)
}

fn of_quota(quota: &Quota) -> Item {
    let id = ObjectRef::new("v1", "ResourceQuota", quota.metadata.namespace.as_deref(), &quota.metadata.name);
    let used = |resource: &String| quota.status.used.get(resource).map_or("0".to_owned(), plain);
    let lines: Vec<String> =
        quota.status.hard.iter().map(|(r, hard)| format!("{r} used={} hard={}", used(r), plain(hard))).collect();
    status(&id, lines.join("; "))
}

fn of_limit_range(range: &LimitRange) -> Item {
    let id = ObjectRef::new("v1", "LimitRange", range.metadata.namespace.as_deref(), &range.metadata.name);
    let map = |m: &BTreeMap<String, Value>| json!(m).to_string();
    let lines: Vec<String> = range
        .spec
        .limits
        .iter()
        .map(|l| format!("{} max={} min={} default={}", l.r#type, map(&l.max), map(&l.min), map(&l.default)))
        .collect();
    spec(&id, lines.join("; "))
}

/// A rollout in the numbers of its controller.
fn rollout(workload: &Workload) -> String {
    let status = &workload.status;
    let numbers = [
        ("desiredNumberScheduled", status.desired_number_scheduled),
        ("updatedNumberScheduled", status.updated_number_scheduled),
        ("numberReady", status.number_ready),
        ("replicas", status.replicas),
        ("updatedReplicas", status.updated_replicas),
        ("readyReplicas", status.ready_replicas),
        ("availableReplicas", status.available_replicas),
    ];
    let told = numbers.iter().filter_map(|(name, number)| Some(format!("{name}={}", (*number)?)));
    told.collect::<Vec<_>>().join(" ")
}

/// What the template says of the pod as a whole, and each container's resources and security context.
fn pod_spec(finding: &Finding, snapshot: &Snapshot) -> Option<Item> {
    let template = Template::of(snapshot, &finding.workload)?;
    let all = template.value.get("spec")?;
    let mut told = serde_json::Map::new();
    for key in [
        "nodeSelector",
        "affinity",
        "tolerations",
        "serviceAccountName",
        "priorityClassName",
        "runtimeClassName",
        "securityContext",
        "overhead",
    ] {
        if let Some(value) = all.get(key).filter(|v| v.as_object().is_none_or(|map| !map.is_empty())) {
            told.insert(key.to_owned(), value.clone());
        }
    }
    let container = |c: &crate::diagnose::template::Part<'_>| json!({"name": c.name(), "resources": c.value.get("resources"), "securityContext": c.value.get("securityContext")});
    told.insert("containers".to_owned(), template.containers().iter().map(container).collect());
    Some(spec(&finding.workload, Value::Object(told).to_string()))
}
