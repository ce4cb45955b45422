//! From a verdict to a branch and a page: submit and a local forge together, as a user's machine has them.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test makes a folder, reads what was written, and may fail"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kubecure::adapters::folder;
use kubecure::adapters::forge::Forge;
use kubecure::adapters::forge::local::LocalForge;
use kubecure::case::*;
use kubecure::submit::{Context, pull_request};
use serde_json::json;

const MANIFEST: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout, namespace: shop}
spec:
  template:
    spec:
      containers:
        - name: checkout
          image: registry.shop.example/shop/checkout:v2.1.O # pinned
";

fn now() -> Timestamp {
    "2026-11-23T23:49:00Z".parse().unwrap()
}

/// Back to the tag that ran before.
fn checkout() -> (Proposal, Verdict, Evidence) {
    let object = ObjectRef::new("apps/v1", "Deployment", Some("shop"), "checkout");
    let finding = Finding {
        failure: FailureId("image-not-found"),
        workload: object.clone(),
        container: Some("checkout".to_owned()),
        symptom: "cannot pull its image (the tag does not exist)".to_owned(),
        since: Some(now()),
        pods: Vec::new(),
        shared: None,
    };
    let incident = Incident { failure: finding.failure, findings: vec![finding], shared: None };
    let image = |tag: &str| json!(format!("registry.shop.example/shop/checkout:{tag}"));
    let path = "spec.template.spec.containers[name=checkout].image".parse().unwrap();
    let change = Change { object, path, operation: Operation::Set { from: image("v2.1.O"), to: image("v2.1.0") } };
    let location = SourceLocation {
        file: "apps/checkout.yaml".to_owned(),
        document: 0,
        path: change.path.clone(),
        span: 0..0,
        line: 9,
        column: 18,
        value: Some(image("v2.1.O")),
        chain: Vec::new(),
        writes: None,
        rendered: Vec::new(),
        also: Vec::new(),
    };
    let cure = Cure::Revert { changes: vec![change], help: "back to v2.1.0".to_owned(), revision: "1".to_owned() };
    let diagnosis = Diagnosis {
        cause: "the registry has no tag v2.1.O".to_owned(),
        because: Vec::new(),
        origin: Origin::Rule,
        grounds: Vec::new(),
        confidence: 90,
        cure,
        notes: Vec::new(),
        unchecked: Vec::new(),
    };
    let file = EditedFile {
        path: location.file.clone(),
        before: MANIFEST.into(),
        after: MANIFEST.replace("v2.1.O", "v2.1.0"),
    };
    let snapshot = Arc::new(Snapshot::default().indexed());
    let evidence = Evidence {
        incident: incident.clone(),
        snapshot,
        items: vec![],
        logs: vec![],
        declared: vec![],
        blamed: None,
        redactions: 0,
    };
    let proposal = Proposal { incident, diagnosis, locations: vec![location], files: vec![file], base: None };
    let verdict =
        Verdict { ruling: Ruling::Allow, reasons: vec![], passed: vec!["renders".to_owned()], not_checked: vec![] };
    (proposal, verdict, evidence)
}

fn request() -> PullRequest {
    let (proposal, verdict, evidence) = checkout();
    let ctx = Context {
        cluster: "shop",
        policy_file: ".kubecure/policy.yaml",
        minimum_confidence: 80,
        labels: &[],
        reviewers: &["team-shop".to_owned()],
        subject: None,
        trailers: &BTreeMap::new(),
        sections: &[],
        now: now(),
    };
    pull_request(&proposal, &verdict, &evidence, false, &ctx)
}

fn merge(dir: &Path, branch: &str) {
    let repo = git2::Repository::open_bare(dir.join("forge/repo.git")).unwrap();
    let tip = repo.find_reference(&format!("refs/heads/{branch}")).unwrap().target().unwrap();
    repo.reference("refs/heads/main", tip, true, "merge").unwrap();
}

#[test]
fn a_cure_is_offered_once_merged_once_and_changes_one_word() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    std::fs::create_dir_all(from.join("apps")).unwrap();
    std::fs::write(from.join("apps/checkout.yaml"), MANIFEST).unwrap();
    let forge = LocalForge::open(&dir.path().join("forge"), Some(&from), now()).unwrap();

    let request = request();
    assert_eq!(request.title, "shop/checkout: restore image tag from v2.1.O to v2.1.0");
    assert!(request.body.contains("This restores the image tag of container `checkout` from"), "{}", request.body);
    assert!(request.body.contains(", as it was in revision 1. Nothing else changes."), "{}", request.body);
    let published = forge.publish(&Request::PullRequest(request.clone())).unwrap();
    assert!(matches!(published, Receipt::Opened { kind: EntryKind::PullRequest, number: 1, .. }), "{published:?}");

    let page = std::fs::read_to_string(dir.path().join("forge/pulls/1.md")).unwrap();
    assert!(page.ends_with(&request.body), "{page}");
    assert!(
        page.contains("reviewers: [\"team-shop\"]\n") && page.contains("workloads: [\"Deployment shop/checkout\"]\n"),
        "{page}"
    );
    let read = forge.repo().manifests(Some(&request.branch), "").unwrap();
    assert_eq!(&*read.files["apps/checkout.yaml"], MANIFEST.replace("v2.1.O", "v2.1.0"));
    // Neither the base branch nor the folder has changed.
    assert_eq!(forge.repo().manifests(None, "").unwrap().files, folder::read(&from).unwrap().files);

    let again = forge.publish(&Request::PullRequest(request.clone())).unwrap();
    assert!(matches!(again, Receipt::Exists { number: 1, .. }), "{again:?}");

    merge(dir.path(), &request.branch);
    let entry = &forge.history().unwrap().entries[0];
    assert_eq!((entry.state, &entry.fingerprint), (EntryState::Merged, &request.fingerprint));
    let after = forge.publish(&Request::PullRequest(request)).unwrap();
    assert!(matches!(after, Receipt::Exists { number: 1, .. }), "{after:?}");
}
