use super::super::fixture::{context, time, vendor, web};
use super::*;
use crate::case::{Change, Reason, Workload, WorkloadStatus};

#[test]
fn the_symptom_names_container_workload_and_time() {
    let (proposal, ..) = web();
    let mut incident = proposal.incident;
    let first =
        "**Container `web` of Deployment shop/web keeps running out of memory (killed 11 times, exit code 137)**";
    assert_eq!(symptom(&incident, context().now), format!("{first}, since 23:42 UTC."));
    incident.findings[0].container = None;
    incident.findings[0].since = None;
    incident.findings[0].symptom = String::new();
    assert_eq!(symptom(&incident, context().now), "**Deployment shop/web fails**.");
}

#[test]
fn a_time_has_its_date_when_it_is_not_today() {
    assert_eq!(clock(time("23:42:50"), context().now), "23:42 UTC");
    let yesterday = "2026-11-22T23:42:50Z".parse().unwrap();
    assert_eq!(clock(yesterday, context().now), "2026-11-22 23:42 UTC");
}

#[test]
fn a_cause_becomes_a_sentence() {
    assert_eq!(sentences("the limit is low"), "The limit is low.");
    assert_eq!(sentences("Is it?"), "Is it?");
    assert_eq!(sentences(" "), "");
}

#[test]
fn places_are_sorted_and_a_file_is_named_once() {
    let (mut proposal, ..) = web();
    let mut other = proposal.locations[0].clone();
    "apps/base.yaml".clone_into(&mut other.file);
    proposal.locations.push(other);
    assert_eq!(places(&proposal), "`apps/base.yaml:23`, `apps/web/deployment.yaml:21`, `:23`");
}

#[test]
fn impact_says_only_what_the_cluster_said() {
    let (proposal, _, mut evidence) = web();
    assert_eq!(impact(&proposal.incident, &evidence).unwrap(), "0 of 2 replicas ready, 11 restarts");
    let (incident, ..) = vendor();
    assert_eq!(impact(&incident, &evidence), None);
    let mut snapshot = crate::case::Snapshot::default();
    let status =
        WorkloadStatus { number_ready: Some(2), desired_number_scheduled: Some(3), ..WorkloadStatus::default() };
    let metadata = crate::case::Meta { name: "agent".to_owned(), ..crate::case::Meta::default() };
    let agent =
        Workload { kind: "DaemonSet".into(), api_version: "apps/v1".into(), metadata, status, ..Workload::default() };
    let mut incident = incident;
    incident.findings.truncate(1);
    incident.findings[0].workload = agent.id();
    snapshot.workloads.push(agent);
    evidence.snapshot = std::sync::Arc::new(snapshot.indexed());
    assert_eq!(impact(&incident, &evidence).unwrap(), "2 of 3 replicas ready");
}

#[test]
fn risk_and_undo_are_numbers_and_values() {
    let (mut proposal, ..) = web();
    assert_eq!(risk(&proposal), "2 fields of Deployment shop/web; 2 lines in 1 file");
    assert_eq!(undo(&proposal), "revert the commit; before it was `64Mi`");
    let Cure::Repair { changes, .. } = &mut proposal.diagnosis.cure else { panic!() };
    let add = Change { operation: Operation::Add { value: json!(1) }, ..changes[0].clone() };
    changes.push(add);
    assert_eq!(undo(&proposal), "revert the commit; before it was `64Mi` and absent");
}

#[test]
fn a_quote_has_its_number_source_and_time() {
    let (proposal, _, evidence) = web();
    let shown = quotes(&proposal.diagnosis, &evidence, context().now);
    let first = "- E1 `reason OOMKilled, exit code 137` (status of container web in pod `shop/web-55fc44f7c6-qh8td`, 23:48 UTC)\n";
    assert!(shown.starts_with(&format!("**Evidence**\n\n{first}")), "{shown}");
}

#[test]
fn every_ground_has_its_weight_in_words() {
    let ground = |weight| self::weight(&Ground { text: String::new(), weight });
    let shown = [90, 60, 59, 30, 29, 0, -1].map(ground);
    assert_eq!(
        shown,
        [
            "strong, +90",
            "strong, +60",
            "fair, +59",
            "fair, +30",
            "weak, +29",
            "counts for nothing, +0",
            "speaks against it, -1"
        ]
    );
}

#[test]
fn what_was_not_checked_is_never_empty_and_said_once() {
    let last = "whether it cures the failure: that shows after the merge";
    assert_eq!(not_checked(&[], &[]), format!("**Not checked** {last}"));
    let twice = ["quota".to_owned()];
    assert_eq!(not_checked(&twice, &twice), format!("**Not checked** quota · {last}"));
}

#[test]
fn what_was_checked_is_only_what_passed() {
    let (_, mut verdict, _) = web();
    verdict.passed = vec!["renders".to_owned()];
    verdict.reasons = vec![Reason { gate: "policy", ruling: Ruling::Hold, text: "held".to_owned() }];
    assert_eq!(checked(&verdict), "**Checked** renders");
    verdict.passed.clear();
    assert_eq!(checked(&verdict), "**Checked** nothing.");
}

#[test]
fn a_log_says_how_much_of_it_is_shown_and_hidden() {
    let (proposal, _, mut evidence) = web();
    evidence.logs[0].lines.splice(0..0, (0..50).map(|i| format!("line {i}")));
    evidence.redactions = 7;
    let shown = log(&proposal.incident, &evidence, None);
    let head = "**The log of the run before** of container `web` in pod `shop/web-55fc44f7c6-qh8td` (3 of 53 lines; 7 values hidden in all evidence):";
    assert!(shown.starts_with(head), "{shown}");
    evidence.logs.clear();
    assert_eq!(log(&proposal.incident, &evidence, None), "");
}

#[test]
fn a_long_list_says_how_much_more_there_is() {
    let shown = bullets((0..30).map(|i| i.to_string()));
    assert!(shown.ends_with("- 19\n- … and 10 more\n"), "{shown}");
}

#[test]
fn what_does_not_fit_gives_way_and_the_answer_stays() {
    let parts = ["answer".to_owned(), "x".repeat(40_000), "y".repeat(40_000), "end".to_owned()];
    let page = finished(&parts, "<!-- kubecure {} -->\n");
    assert!(page.chars().count() < MAX_BODY && page.contains("answer") && page.contains("end"));
    assert!(page.contains("A part of this page was left out"), "{}", page.len());
}
