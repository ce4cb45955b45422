use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::case::{
    Declined, EntryKind, FailureId, Finding, Fingerprint, Issue, ObjectRef, Receipt, Request, Ruling, Verdict,
};
use crate::report::{Note, Reader};

fn incident(namespace: &str, name: &str) -> Incident {
    let finding = Finding {
        failure: FailureId("oom-killed"),
        workload: ObjectRef::new("apps/v1", "Deployment", Some(namespace), name),
        container: Some("app".to_owned()),
        symptom: String::new(),
        since: None,
        pods: Vec::new(),
        shared: None,
    };
    Incident { failure: finding.failure, findings: vec![finding], shared: None }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::new(1_800_000_000 + seconds, 0).unwrap()
}

/// The lines of a metric, without its help.
fn lines(metrics: &Metrics, name: &str) -> Vec<String> {
    let text = metrics.text(|_| {});
    let of = |line: &&str| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']);
    text.lines().filter(of).map(str::to_owned).collect()
}

#[test]
fn ten_thousand_namespaces_make_a_hundred_series_and_one() {
    let metrics = Metrics::default();
    let many: Vec<Incident> = (0..10_000).map(|n| incident(&format!("ns-{n}"), "web")).collect();
    metrics.detected(&many, at(0));
    let series = lines(&metrics, "kubecure_failures_detected_total");
    assert_eq!(series.len(), NAMESPACES + 1);
    let other = r#"kubecure_failures_detected_total{failure_type="oom-killed",namespace="other"} 9900"#;
    assert!(series.iter().any(|line| line == other), "{series:?}");
    metrics.detected(&many, at(1));
    assert_eq!(lines(&metrics, "kubecure_failures_detected_total"), series, "each failure counts once");
}

#[test]
fn a_namespace_that_was_quiet_for_a_day_gives_its_place_to_one_that_is_not() {
    let metrics = Metrics::default();
    let first: Vec<Incident> = (0..NAMESPACES).map(|n| incident(&format!("old-{n}"), "web")).collect();
    metrics.detected(&first, at(0));
    let has = |namespace: &str| {
        let label = format!("namespace=\"{namespace}\"");
        lines(&metrics, "kubecure_failures_detected_total").iter().any(|line| line.contains(&label))
    };
    metrics.detected(&[incident("new", "web")], at(3600));
    assert!(!has("new") && has("other") && has("old-0"));
    metrics.detected(&[incident("newer", "web")], at(90_000));
    assert!(has("newer"));
    assert_eq!((0..NAMESPACES).filter(|n| !has(&format!("old-{n}"))).count(), 1, "one of them is gone");
}

#[test]
fn a_failure_that_comes_back_is_counted_again_only_after_a_while() {
    let metrics = Metrics::default();
    let seen = [incident("shop", "web")];
    let counted = || metrics.counted(&names::FAILURES_DETECTED, &["shop", "oom-killed"]).to_string();
    for (second, expected) in [(0, "1"), (300, "1"), (900, "1"), (1501, "2")] {
        metrics.detected(&seen, at(second));
        assert_eq!(counted(), expected, "after {second}s");
    }
}

/// A clock that a test moves.
static CLOCK: AtomicU64 = AtomicU64::new(0);

fn clock() -> Duration {
    Duration::from_millis(CLOCK.load(Ordering::SeqCst))
}

#[test]
fn stages_are_measured_and_what_came_of_them_is_counted() {
    let metrics = Metrics::default();
    let incident = incident("shop", "web");
    let mut meter = Meter::new(&metrics, &clock);
    let mut note = |millis: u64, note: &Note| {
        CLOCK.fetch_add(millis, Ordering::SeqCst);
        meter.noted(&incident, note);
    };
    note(20, &Note::Policy("default".to_owned()));
    note(30, &Note::Declined(Declined::Undiagnosed { looked_at: Vec::new(), needed: String::new() }));
    let nothing = Request::Nothing(Declined::Excluded { why: String::new() });
    note(4, &Note::Request(nothing));
    note(2000, &Note::Receipt(Receipt::Nothing { why: String::new() }));
    let sum = |stage: &str| {
        let lines = lines(&metrics, "kubecure_stage_duration_seconds_sum");
        let line = lines.iter().find(|line| line.contains(&format!("\"{stage}\""))).unwrap().clone();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!((sum("gather"), sum("submit"), sum("publish")), (0.05, 0.004, 2.0));
    assert_eq!(sum("diagnose").to_string(), "0", "it did not come to that");
    let counts = |reason| metrics.counted(&names::DECLINED, &[reason]).to_string();
    assert_eq!((counts("undiagnosed"), counts("excluded")), ("1".to_owned(), "0".to_owned()), "one reason each time");
    assert!(lines(&metrics, "kubecure_pull_requests_total").iter().all(|line| line.ends_with(" 0")));
}

#[test]
fn deliveries_are_counted_by_what_became_of_them() {
    let metrics = Metrics::default();
    let incident = incident("shop", "web");
    let issue = Request::Issue(Issue {
        fingerprint: Fingerprint("0123456789abcdef".to_owned()),
        title: String::new(),
        body: String::new(),
        labels: Vec::new(),
        failure: incident.failure,
        workloads: Vec::new(),
    });
    let receipt = |kind| Receipt::Opened { kind, number: 1, link: String::new() };
    let mut meter = Meter::new(&metrics, &clock);
    meter.noted(
        &incident,
        &Note::Verdict(Verdict { ruling: Ruling::Hold, reasons: vec![], passed: vec![], not_checked: vec![] }),
    );
    meter.noted(&incident, &Note::Request(issue.clone()));
    meter.noted(&incident, &Note::Receipt(receipt(EntryKind::Issue)));
    let mut meter = Meter::new(&metrics, &clock);
    meter.noted(&incident, &Note::Request(issue));
    meter.failed(&incident, "the disk is full");
    assert_eq!(
        lines(&metrics, "kubecure_issues_total"),
        ["failed", "opened", "unchanged", "updated"].map(|outcome| {
            let count = u8::from(["failed", "opened"].contains(&outcome));
            format!("kubecure_issues_total{{outcome=\"{outcome}\"}} {count}")
        })
    );
    assert_eq!(metrics.counted(&names::GIT_ERRORS_TOTAL, &["publish"]).to_string(), "1");
    assert_eq!(metrics.counted(&names::VERDICTS, &["hold"]).to_string(), "1");
}

#[test]
fn every_reason_has_its_series() {
    let codes: BTreeSet<&str> = names::REASONS.iter().copied().collect();
    assert_eq!(codes.len(), names::REASONS.len());
    let excluded = Declined::Excluded { why: String::new() };
    let denied = Declined::Denied(Vec::new());
    assert!(codes.contains(excluded.code()) && codes.contains(denied.code()));
    let ids: BTreeSet<&str> = crate::failures::ALL.iter().map(|failure| failure.id().0).collect();
    assert!(is_bounded(&names::FAILURES_DETECTED, &["any", ids.first().unwrap()]));
    assert!(!is_bounded(&names::FAILURES_DETECTED, &["any", "made-up"]));
    assert!(!is_bounded(&names::DECLINED, &["because"]));
}

#[test]
fn confidence_has_the_buckets_that_were_promised() {
    let metrics = Metrics::default();
    metrics.observe(&names::CONFIDENCE_OF, &[], 0.86);
    let bucket = |le: &str, count: u8| format!("kubecure_remediation_confidence_bucket{{le=\"{le}\"}} {count}");
    let expected: Vec<String> = [("0.5", 0), ("0.6", 0), ("0.7", 0), ("0.8", 0), ("0.9", 1), ("1", 1), ("+Inf", 1)]
        .map(|(le, count)| bucket(le, count))
        .to_vec();
    assert_eq!(lines(&metrics, "kubecure_remediation_confidence_bucket"), expected);
}

#[test]
fn a_total_that_another_part_counts_is_taken_over_and_an_unknown_age_is_absent() {
    let metrics = Metrics::default();
    for total in [3.0, 7.0, 7.0, 2.0] {
        metrics.total(&names::API_ERRORS_TOTAL, &["busy"], total);
    }
    assert_eq!(metrics.counted(&names::API_ERRORS_TOTAL, &["busy"]).to_string(), "2", "who counts began again");
    metrics.age(&names::TURN_AGE, &[], Some(SignedDuration::from_millis(1500)));
    assert_eq!(lines(&metrics, "kubecure_turn_age_seconds"), ["kubecure_turn_age_seconds 1.5"]);
    metrics.age(&names::TURN_AGE, &[], None);
    assert!(lines(&metrics, "kubecure_turn_age_seconds").is_empty());
}
