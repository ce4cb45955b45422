//! Ratios to something measured in the same run: a scan of 10,000 pods against only parsing the same files, a look at a
//! large cluster against reading it and against a look at a smaller one, and the index of a repository against only
//! parsing its YAML.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The fastest of some runs: the one that was disturbed least.
fn best(runs: usize, mut work: impl FnMut()) -> Duration {
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .min()
        .unwrap()
}

fn ratio(what: &str, ours: Duration, theirs: Duration, goal: &str) {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    let (ours, theirs) = (ours.as_secs_f64() * 1e3, theirs.as_secs_f64() * 1e3);
    println!("{what}: {ours:.1} ms against {theirs:.1} ms, ratio {ratio:.2} ({goal})");
}

/// A recorded pod, again and again under other names.
fn many_pods(folder: &Path, count: usize) {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/captures/healthy/snapshot");
    let read = |file: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(recording.join(file)).unwrap()).unwrap()
    };
    let pods = read("demo/pods.json");
    for chunk in 0..count / 500 {
        let items: Vec<Value> = (0..500)
            .map(|i| {
                let mut pod = pods["items"][0].clone();
                pod["metadata"]["name"] = json!(format!("healthy-7ff9f9ffbc-{chunk}-{i}"));
                pod
            })
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        std::fs::write(folder.join(format!("pods-{chunk}.json")), list.to_string()).unwrap();
    }
    for file in ["demo/deployments.json", "demo/replicasets.json", "demo/events.json", "nodes.json"] {
        std::fs::copy(recording.join(file), folder.join(file.replace('/', "-"))).unwrap();
    }
}

fn scan() {
    let folder = tempfile::tempdir().unwrap();
    many_pods(folder.path(), 10_000);
    let files: Vec<PathBuf> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    let parse = best(3, || {
        for file in &files {
            let value: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
            std::hint::black_box(value);
        }
    });
    let scan = best(3, || {
        let recording = kubecure::adapters::snapshot::read(folder.path()).unwrap();
        std::hint::black_box(kubecure::detect::detect(&recording.snapshot));
    });
    ratio("scan of 10,000 pods against parsing the same files into JSON values", scan, parse, "goal 2");
}

/// A cluster of Deployments with a ReplicaSet, ten pods, a Service and its endpoints each, in a hundred namespaces; of
/// every hundred Deployments one has a pod that keeps running out of memory. A file of JSON for each of its kinds.
fn many_workloads(folder: &Path, pods: usize) {
    let taken = "2026-01-01T00:00:00Z";
    let (mut all_pods, mut sets, mut deployments) = (Vec::new(), Vec::new(), Vec::new());
    let (mut services, mut slices) = (Vec::new(), Vec::new());
    for n in 0..pods / 10 {
        let (namespace, name) = (format!("team-{}", n % 100), format!("app-{n}"));
        let meta = |name: &str, owner: Option<(&str, &str, &str)>| {
            let owners: Vec<Value> = owner
                .iter()
                .map(|(version, kind, name)| json!({"apiVersion": version, "kind": kind, "name": name, "controller": true}))
                .collect();
            json!({"namespace": namespace, "name": name, "labels": {"app": format!("app-{n}"), "pod-template-hash": "7ff9"},
                "creationTimestamp": "2025-12-01T00:00:00Z", "ownerReferences": owners})
        };
        let set = format!("{name}-7ff9");
        let container = json!({"name": "app", "image": format!("registry.example/{name}:1.0"),
            "ports": [{"name": "http", "containerPort": 8080}], "resources": {"limits": {"memory": "64Mi"}}});
        let spec = json!({"replicas": 10, "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}});
        let status = json!({"replicas": 10, "readyReplicas": 10, "updatedReplicas": 10, "availableReplicas": 10});
        deployments.push(json!({"metadata": meta(&name, None), "spec": spec, "status": status}));
        sets.push(
            json!({"metadata": meta(&set, Some(("apps/v1", "Deployment", &name))), "spec": spec, "status": status}),
        );
        services.push(json!({"metadata": meta(&name, None), "spec": {"selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}}));
        let mut slice = json!({"metadata": meta(&name, None), "ports": [{"name": "http", "port": 8080}], "endpoints": vec![json!({"conditions": {"ready": true}}); 10]});
        slice["metadata"]["labels"]["kubernetes.io/service-name"] = json!(name);
        slices.push(slice);
        for pod in 0..10 {
            let fails = n % 100 == 0 && pod == 0;
            let end = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": taken, "finishedAt": taken}});
            let (state, last) = if fails {
                (end.clone(), end)
            } else {
                (json!({"running": {"startedAt": "2025-12-01T00:00:01Z"}}), json!({}))
            };
            let conditions: Vec<Value> =
                ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
                    .iter()
                    .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": "2025-12-01T00:00:01Z"}))
                    .collect();
            all_pods.push(json!({"metadata": meta(&format!("{set}-{pod}"), Some(("apps/v1", "ReplicaSet", &set))),
                "spec": {"nodeName": format!("node-{}", pod % 50), "containers": [container]},
                "status": {"phase": "Running", "conditions": conditions, "containerStatuses": [{"name": "app", "ready": !fails,
                    "restartCount": if fails { 5 } else { 0 }, "state": state, "lastState": last}]}}));
        }
    }
    let kinds = [
        ("v1", "Pod", all_pods),
        ("apps/v1", "ReplicaSet", sets),
        ("apps/v1", "Deployment", deployments),
        ("v1", "Service", services),
        ("discovery.k8s.io/v1", "EndpointSlice", slices),
    ];
    for (version, kind, items) in kinds {
        let list = json!({"apiVersion": version, "kind": format!("{kind}List"), "items": items});
        std::fs::write(folder.join(format!("{kind}.json")), list.to_string()).unwrap();
    }
    let taken = json!({"apiVersion": "healing.kubecure.io/v1alpha1", "kind": "Snapshot", "taken": taken});
    std::fs::write(folder.join("snapshot.json"), taken.to_string()).unwrap();
}

/// What a turn of the controller costs: who belongs to whom, and what fails.
fn look() {
    let measure = |pods: usize| {
        let folder = tempfile::tempdir().unwrap();
        many_workloads(folder.path(), pods);
        let text = std::fs::read_to_string(folder.path().join("Pod.json")).unwrap();
        let parse = best(3, || drop(std::hint::black_box(serde_json::from_str::<Value>(&text).unwrap())));
        let snapshot = kubecure::adapters::snapshot::read(folder.path()).unwrap().snapshot;
        let look = best(10, || {
            let incidents = kubecure::detect::detect(&snapshot.clone().indexed());
            assert_eq!(incidents.len(), pods / 1_000, "one workload in a hundred fails");
        });
        ratio(&format!("a look at {pods} pods against parsing those pods into JSON values"), look, parse, "goal 0.2");
        look
    };
    let (small, large) = (measure(10_000), measure(50_000));
    ratio("a look at 50,000 pods against five at 10,000", large, small * 5, "goal 1.5");
}

/// All YAML below a folder, as often as it takes to have `count` files.
fn manifests(folder: &Path, count: usize) -> BTreeMap<String, Arc<str>> {
    let raw = kubecure::adapters::folder::read(folder).unwrap();
    let readable: Vec<(String, Arc<str>)> =
        raw.files.into_iter().filter(|(_, text)| kubecure::yaml::documents(text).is_ok()).collect();
    let copies = count.div_ceil(readable.len().max(1));
    let copy_of = |copy| readable.iter().map(move |(path, text)| (format!("{copy}/{path}"), text.clone()));
    (0..copies).flat_map(copy_of).take(count).collect()
}

fn index() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let samples = root.join("../shared/samples");
    let folder = if samples.is_dir() { samples } else { root.join("example-gitops-repo") };
    let files = manifests(&folder, 4_000);
    let lines: usize = files.values().map(|text| text.lines().count()).sum();
    println!("{} files of YAML, {lines} lines", files.len());
    let parse = best(3, || {
        for text in files.values() {
            for event in granit_parser::Parser::new_from_str(text) {
                let _ = std::hint::black_box(event);
            }
        }
    });
    let index = best(3, || {
        std::hint::black_box(kubecure::locate::index("bench", None, files.clone(), Vec::new()));
    });
    ratio("index of 4,000 files against only parsing them (events of the same parser)", index, parse, "goal 1.5");
}

fn main() {
    scan();
    look();
    index();
}
