//! Every recording of a real cluster: is the right failure named, on the right workload, and does the case end where a
//! person would have ended it?
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

#[path = "cluster/expected.rs"]
mod expected;

use expected::{CAPTURES, SHOP, check};

fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

fn scan(snapshot: &Path, repo: &Path) -> Value {
    let mut command = Command::cargo_bin("kubecure").unwrap();
    command.args(["scan", "-o", "json", "--snapshot"]).arg(snapshot).arg("--repo").arg(repo);
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn every_recording_ends_where_a_person_would_have_ended() {
    let mut wrong = Vec::new();
    for expected in CAPTURES {
        let folder = recordings().join("captures").join(expected.case);
        let found = scan(&folder.join("snapshot"), &folder.join("repo"));
        if let Err(why) = check(&found, expected) {
            wrong.push(format!("{}: {why}", expected.case));
        }
        let others = found["findings"].as_array().unwrap().len();
        if others != 1 {
            wrong.push(format!("{}: {others} findings instead of one: {}", expected.case, found["findings"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong\n{}", wrong.len(), CAPTURES.len(), wrong.join("\n"));
}

#[test]
fn every_folder_of_the_recordings_is_in_the_table() {
    let mut folders: Vec<String> = std::fs::read_dir(recordings().join("captures"))
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().is_dir() && e.file_name() != "healthy")
        .map(|e| e.file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let listed: Vec<&str> = CAPTURES.iter().map(|e| e.case).collect();
    assert_eq!(folders, listed);
}

#[test]
fn the_healthy_workload_has_no_finding() {
    let folder = recordings().join("captures/healthy");
    let found = scan(&folder.join("snapshot"), &folder.join("repo"));
    assert_eq!(found["findings"], serde_json::json!([]));
}

#[test]
fn the_shop_ends_as_its_reviewers_expect() {
    let found = scan(&recordings().join("shop"), &Path::new(env!("CARGO_MANIFEST_DIR")).join("example-gitops-repo"));
    let wrong: Vec<String> =
        SHOP.iter().filter_map(|e| check(&found, e).err().map(|why| format!("{}: {why}", e.workload))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // `ads` and `fraud` share one incident.
    assert_eq!(
        (found["findings"].as_array().unwrap().len(), found["declined"].as_array().unwrap().len()),
        (11, 3),
        "{}",
        found["declined"]
    );
}

/// Copies the files of a folder under other names, so that two recordings make one cluster.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { std::fs::copy(&path, &target).map(drop).unwrap() }
    }
}

#[test]
fn one_dead_registry_is_one_incident() {
    let folder = tempfile::tempdir().unwrap();
    for case in ["registry-down-a", "registry-down-b"] {
        let recording = recordings().join("captures").join(case);
        copy(&recording.join("snapshot"), &folder.path().join("snapshot").join(case));
        copy(&recording.join("repo"), &folder.path().join("repo").join(case));
    }
    let found = scan(&folder.path().join("snapshot"), &folder.path().join("repo"));
    assert_eq!(found["findings"].as_array().unwrap().len(), 2, "{}", found["findings"]);
    assert_eq!(found["declined"].as_array().unwrap().len(), 1, "{}", found["declined"]);
}
