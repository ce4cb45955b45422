//! What the tests of rules share: objects in, findings and diagnoses out, through the same doors as a real cluster.
#![expect(clippy::disallowed_methods, reason = "a test writes its snapshot into a temporary folder")]

use std::sync::Arc;

use serde_json::{Value, json};

use crate::case::{Declined, Diagnosis, Finding, Incident, LogKey, ObjectRef, Operation, Snapshot};
use crate::diagnose::assemble::{RawLog, assemble};
use crate::review::policy::Policies;

/// A log of a test: pod, container, whether of the run before, text.
pub(crate) type TestLog<'a> = (&'a str, &'a str, bool, &'a str);

/// A snapshot from a list of objects (or Lists), read as a recorded one is.
pub(crate) fn snapshot(objects: &Value) -> Arc<Snapshot> {
    let folder = tempfile::tempdir().unwrap();
    let documents: Vec<String> = objects.as_array().unwrap().iter().map(Value::to_string).collect();
    std::fs::write(folder.path().join("objects.json"), documents.join("\n")).unwrap();
    let recording = crate::adapters::snapshot::read(folder.path()).unwrap();
    assert!(recording.snapshot.gaps.is_empty(), "{:?}", recording.snapshot.gaps);
    Arc::new(recording.snapshot)
}

/// Everything that is found in these objects.
pub(crate) fn found(objects: &Value) -> Vec<Finding> {
    crate::detect::detect(&snapshot(objects)).into_iter().flat_map(|i| i.findings).collect()
}

/// The one finding of a failure in these objects, and what comes of it.
pub(crate) fn work(failure: &str, objects: &Value, logs: &[TestLog<'_>]) -> (Incident, Result<Diagnosis, Declined>) {
    let snapshot = snapshot(objects);
    let mut incidents = crate::detect::detect(&snapshot);
    let at = incidents.iter().position(|i| i.failure.0 == failure);
    let incident = incidents.remove(at.unwrap_or_else(|| panic!("no {failure} in {incidents:#?}")));
    let raw = logs.iter().map(|(pod, container, previous, text)| RawLog {
        key: LogKey {
            pod: ObjectRef::new("v1", "Pod", Some("shop"), pod),
            container: (*container).to_owned(),
            previous: *previous,
        },
        text: (*text).to_owned(),
        left_out: 0,
    });
    let evidence = assemble(&incident, snapshot, raw.collect());
    let policies = Policies::built_in();
    let decision = policies.decide(&incident.first().workload, &std::collections::BTreeMap::new());
    let diagnosis = crate::diagnose::diagnose(&evidence, decision.policy);
    if let Ok(diagnosis) = &diagnosis {
        for quote in &diagnosis.because {
            assert!(evidence.items[quote.item].text.contains(&quote.text), "{quote:?}");
        }
        assert!(!diagnosis.because.is_empty(), "nothing is quoted: {diagnosis:#?}\n{:#?}", evidence.items);
    }
    (incident, diagnosis)
}

/// Changes as text: `spec.x: "a" -> "b"`, `spec.x += 1`, `spec.x removed`.
pub(crate) fn changes(diagnosis: &Result<Diagnosis, Declined>) -> Vec<String> {
    let diagnosis = diagnosis.as_ref().expect("a diagnosis");
    let text = |c: &crate::case::Change| match &c.operation {
        Operation::Set { from, to } => format!("{}: {from} -> {to}", c.path),
        Operation::Add { value } => format!("{} += {value}", c.path),
        Operation::Remove { .. } => format!("{} removed", c.path),
    };
    diagnosis.changes().iter().map(text).collect()
}

/// When the snapshots of tests are taken.
pub(crate) const NOW: &str = "2026-11-23T12:00:00Z";
/// When their objects were made.
pub(crate) const BEFORE: &str = "2026-11-23T11:00:00Z";

/// Says when a snapshot was taken.
pub(crate) fn taken() -> Value {
    json!({"apiVersion": "healing.kubecure.io/v1alpha1", "kind": "Snapshot", "metadata": {"name": "now"}, "taken": NOW})
}

/// An object in the namespace `shop`, made an hour before; `rest` is `spec`, `status` and the like.
pub(crate) fn object(api_version: &str, kind: &str, name: &str, rest: &Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": BEFORE, "labels": {"app": name}}});
    merge(&mut object, rest);
    object
}

/// A Deployment of one replica whose pods have the label `app=<name>`.
pub(crate) fn deployment(name: &str, pod_spec: &Value, rest: &Value) -> Value {
    let mut object = object(
        "apps/v1",
        "Deployment",
        name,
        &json!({"metadata": {"annotations": {"deployment.kubernetes.io/revision": "2"}},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec}}}),
    );
    merge(&mut object, rest);
    object
}

/// A ReplicaSet `<deployment>-<revision>`.
pub(crate) fn replica_set(deployment: &str, revision: u32, ready: u32, pod_spec: &Value, rest: &Value) -> Value {
    let mut object = object(
        "apps/v1",
        "ReplicaSet",
        &format!("{deployment}-{revision}"),
        &json!({"metadata": {"annotations": {"deployment.kubernetes.io/revision": revision.to_string()},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment, "controller": true}]},
            "spec": {"replicas": 1, "template": {"metadata": {"labels": {"app": deployment}}, "spec": pod_spec}},
            "status": {"replicas": ready, "readyReplicas": ready}}),
    );
    merge(&mut object, rest);
    object
}

/// A pod `<set>-x` of a ReplicaSet, with the label `app` of its Deployment.
pub(crate) fn pod(set: &str, pod_spec: &Value, status: &Value) -> Value {
    let app = set.rsplit_once('-').map_or(set, |(app, _)| app);
    object(
        "v1",
        "Pod",
        &format!("{set}-x"),
        &json!({"metadata": {"labels": {"app": app}, "ownerReferences":
                [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set, "controller": true}]},
            "spec": pod_spec, "status": status}),
    )
}

/// An event, last seen now. A container's when `container` is not empty.
pub(crate) fn event(about: (&str, &str), container: &str, reason: &str, message: &str, count: i64) -> Value {
    let path = (!container.is_empty()).then(|| format!("spec.containers{{{container}}}"));
    let api_version = match about.0 {
        "Pod" | "PersistentVolumeClaim" => "v1",
        "Job" => "batch/v1",
        _ => "apps/v1",
    };
    object(
        "v1",
        "Event",
        &format!("{}.{reason}.{count}", about.1),
        &json!({"involvedObject": {"apiVersion": api_version, "kind": about.0, "namespace": "shop", "name": about.1, "fieldPath": path},
            "type": if reason == "Killing" { "Normal" } else { "Warning" }, "reason": reason, "message": message,
            "count": count, "firstTimestamp": BEFORE, "lastTimestamp": NOW}),
    )
}

/// An empty list of a kind: it was read, and there are none.
pub(crate) fn none_of(api_version: &str, kind: &str) -> Value {
    json!({"apiVersion": api_version, "kind": format!("{kind}List"), "items": []})
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
