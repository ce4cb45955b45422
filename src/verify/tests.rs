use serde_json::{Value, json};

use super::*;
use crate::case::{EntryKind, EntryState, FailureId, Finding, Fingerprint, HistoryEntry, Merged};
use crate::testing::{deployment, snapshot, taken};

fn web() -> ObjectRef {
    ObjectRef::new("apps/v1", "Deployment", Some("shop"), "web")
}

fn record() -> Record {
    let path = "spec.template.spec.containers[name=app].resources.limits.memory".parse().unwrap();
    let operation = Operation::Set { from: json!("64Mi"), to: json!("128Mi") };
    let changes = vec![Change { object: web(), path, operation }];
    Record {
        cluster: "test".to_owned(),
        failure: FailureId("oom-killed"),
        changes,
        workloads: vec![web()],
        ready: Some(1),
    }
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-23T{time}:00Z").parse().unwrap()
}

/// The cluster at noon, with this limit and so many ready pods of one.
fn shows(memory: &str, ready: i64) -> std::sync::Arc<Snapshot> {
    let spec = json!({"containers": [{"name": "app", "image": "web:1", "resources": {"limits": {"memory": memory}}}]});
    let rest =
        json!({"spec": {"replicas": 1}, "status": {"replicas": 1, "updatedReplicas": 1, "readyReplicas": ready}});
    snapshot(&json!([taken(), deployment("web", &spec, &rest)]))
}

fn fails(failure: &'static str, since: &str) -> Incident {
    let failure = FailureId(failure);
    let (since, symptom) = (Some(at(since)), "does not work".to_owned());
    let finding = Finding { failure, workload: web(), container: None, symptom, since, pods: Vec::new(), shared: None };
    Incident { failure, findings: vec![finding], shared: None }
}

fn of(merged: &str, snapshot: &Snapshot, incidents: &[Incident]) -> Outcome {
    let seen = Seen { snapshot, incidents, window: SignedDuration::from_mins(10), now: at("12:00") };
    verify(&record(), at(merged), &seen)
}

fn waits(outcome: Outcome) -> (Stage, String) {
    match outcome {
        Outcome::Waiting { stage, why } => (stage, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_in_the_cluster_is_waited_for_whatever_fails() {
    let (stage, why) = waits(of("11:20", &shows("64Mi", 0), &[fails("oom-killed", "11:00")]));
    assert_eq!(stage, Stage::Applied);
    assert!(why.contains("more than 10 minutes ago") && why.contains("it is \"64Mi\""), "{why}");
    let gone = snapshot(&json!([taken()]));
    assert!(waits(of("11:20", &gone, &[])).1.contains("not in the cluster"));
}

#[test]
fn the_same_quantity_in_other_words_is_applied() {
    assert_eq!(of("11:20", &shows("131072Ki", 1), &[]), Outcome::Cured);
}

#[test]
fn a_rollout_and_a_soak_are_waited_for() {
    assert_eq!(waits(of("11:58", &shows("128Mi", 0), &[])).0, Stage::Rollout);
    let (stage, why) = waits(of("11:55", &shows("128Mi", 1), &[]));
    assert_eq!(stage, Stage::Soak);
    assert!(why.ends_with("until 12:05 UTC"), "{why}");
    assert_eq!(of("11:50", &shows("128Mi", 1), &[]), Outcome::Cured);
}

#[test]
fn what_still_fails_after_the_window_is_not_cured() {
    let old = [fails("oom-killed", "11:00")];
    assert_eq!(waits(of("11:55", &shows("128Mi", 1), &old)).0, Stage::Soak);
    assert!(matches!(of("11:50", &shows("128Mi", 1), &old), Outcome::NotCured { .. }));
}

#[test]
fn a_new_failure_is_worse_only_when_it_is_new_and_stands() {
    let (merged, cluster) = ("11:50", shows("128Mi", 1));
    assert!(matches!(of(merged, &cluster, &[fails("crash-loop", "11:55")]), Outcome::Worse { .. }));
    assert_eq!(of(merged, &cluster, &[fails("crash-loop", "11:40")]), Outcome::Cured, "it was there before");
    assert_eq!(of(merged, &cluster, &[fails("crash-loop", "11:59")]), Outcome::Cured, "it may pass");
    let both = [fails("crash-loop", "11:55"), fails("oom-killed", "11:00")];
    assert!(matches!(of(merged, &cluster, &both), Outcome::NotCured { .. }), "it follows from the old one");
    assert!(matches!(of(merged, &shows("128Mi", 0), &[]), Outcome::Worse { .. }), "fewer are ready");
}

fn page(changes: &Value) -> String {
    let json = json!({"v": 1, "failure": "oom-killed", "cluster": "test", "changes": changes,
        "of": record::workloads(&[&web()]), "ready": 1});
    format!("text\n{}rest\n", crate::submit::markdown::hidden(&json))
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    assert_eq!(Record::read(&page(&record::changes(&record().changes))), Some(record()));
    assert_eq!(Record::read(&page(&Value::Null)), None);
    assert_eq!(Record::read("<!-- kubecure {broken -->\n"), None);
}

#[test]
fn an_end_is_told_once_and_a_person_is_asked_when_it_did_not_help() {
    let entry = HistoryEntry {
        kind: EntryKind::PullRequest,
        state: EntryState::Merged,
        number: 1,
        fingerprint: Fingerprint("aaaaaaaaaaaaaaaa".to_owned()),
        failure: "oom-killed".to_owned(),
        workloads: vec![web().to_string()],
        branch: None,
        opened: None,
        foreign_commit: None,
        link: "pulls/1.md".to_owned(),
    };
    let merged = Merged { entry, commit: "0123456789".to_owned(), at: at("11:00"), body: String::new(), said: None };
    let waiting = Outcome::Waiting { stage: Stage::Applied, why: "x".to_owned() };
    assert!(!is_final(&comment(&waiting, &merged)) && issue(&waiting, &merged, &record()).is_none());
    assert!(is_final(&comment(&Outcome::Cured, &merged)) && issue(&Outcome::Cured, &merged, &record()).is_none());
    for outcome in [Outcome::NotCured { why: "x".to_owned() }, Outcome::Worse { why: "x".to_owned() }] {
        assert!(is_final(&comment(&outcome, &merged)));
        assert_ne!(issue(&outcome, &merged, &record()).unwrap().fingerprint, merged.entry.fingerprint);
    }
}
