//! Ratios to something measured in the same run: a scan of 10,000 pods against only parsing the same files, and the
//! index of a repository against only parsing its YAML.
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
    index();
}
