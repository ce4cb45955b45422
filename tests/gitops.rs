//! What the real Argo CD and the real Flux say of five mistakes: each names its file and line, and what is established
//! becomes a pull request with one line.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

fn recording() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/gitops/refused")
}

fn kubecure(verb: &[&str], repo: &Path) -> Command {
    let mut command = Command::cargo_bin("kubecure").unwrap();
    command.env_clear().env("NO_COLOR", "1").args(verb);
    command.arg("--snapshot").arg(recording().join("snapshot")).arg("--repo").arg(repo);
    command
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The repository, and in it the `GitRepository` that the cluster has.
fn repository(folder: &Path) -> PathBuf {
    let repo = folder.join("repo");
    copy(&recording().join("repo"), &repo);
    let source = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: shop, namespace: flux-system}\n\
                  spec:\n  url: https://git.example/shop.git\n  ref:\n    branch: gone\n";
    std::fs::create_dir_all(repo.join("clusters")).unwrap();
    std::fs::write(repo.join("clusters/flux.yaml"), source).unwrap();
    repo
}

#[test]
fn each_of_the_five_errors_names_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let output = kubecure(&["scan", "-o", "json"], &repository(folder.path())).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["failure"] == "gitops-sync-failed"), "{findings:?}");
    let mut places: Vec<String> = Vec::new();
    let mut add = |of: &Value, at: &Value| {
        let workload = &of["workload"];
        let text = |key: &str| workload[key].as_str().unwrap().to_owned();
        places.push(format!("{} {}: {}:{}", text("kind"), text("name"), at["file"].as_str().unwrap(), at["line"]));
    };
    for proposal in found["proposals"].as_array().unwrap() {
        add(proposal, &proposal["locations"][0]);
        assert_eq!(proposal["verdict"], "allow", "{}", proposal["reasons"]);
    }
    for declined in found["declined"].as_array().unwrap() {
        add(declined, &declined["places"][0]);
    }
    places.sort();
    let expected = [
        "Application chart: argo/chart/values-prod.yaml:1",
        "Application kustomized: argo/kustomize/overlays/prod/kustomization.yaml:12",
        "Application plain: argo/plain/catalog.yaml:7",
        "GitRepository shop: clusters/flux.yaml:7",
        "Kustomization shop: flux/app/kustomization.yaml:6",
    ];
    assert_eq!(places, expected);
    assert_eq!(findings.len(), 5);
}

#[test]
fn what_is_established_becomes_a_pull_request_and_the_rest_an_issue() {
    let folder = tempfile::tempdir().unwrap();
    let repo = repository(folder.path());
    let forge = folder.path().join("forge");
    let mut cure = kubecure(&["cure", "--all"], &repo);
    cure.arg("--forge").arg(format!("local:{}", forge.display()));
    let output = cure.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let bare = git2::Repository::open_bare(forge.join("repo.git")).unwrap();
    let main = bare.find_branch("main", git2::BranchType::Local).unwrap().get().peel_to_tree().unwrap();
    let mut changed: Vec<String> = Vec::new();
    for branch in bare.branches(None).unwrap().map(|branch| branch.unwrap().0) {
        let tree = branch.get().peel_to_tree().unwrap();
        let diff = bare.diff_tree_to_tree(Some(&main), Some(&tree), None).unwrap();
        diff.print(git2::DiffFormat::Patch, |_, _, line| {
            if matches!(line.origin(), '+' | '-') {
                changed.push(format!("{} {}", line.origin(), String::from_utf8_lossy(line.content()).trim()));
            }
            true
        })
        .unwrap();
    }
    changed.sort();
    let expected = ["+ - path: memory.yaml", "+ - payments.yaml", "- - path: memroy.yaml", "- - payment.yaml"];
    assert_eq!(changed, expected);
    let issues: Vec<String> = std::fs::read_dir(forge.join("issues"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(issues.len(), 3);
    for place in ["argo/chart/values-prod.yaml:1", "argo/plain/catalog.yaml:7", "clusters/flux.yaml:7"] {
        assert!(issues.iter().any(|issue| issue.contains(place)), "no issue names {place}: {issues:?}");
    }
}
