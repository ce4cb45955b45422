//! The screens, word for word: `UPDATE=1 cargo test --test screens` rewrites them.

#![allow(clippy::unwrap_used, reason = "a case that cannot be built is a failed test")]

#[path = "screens/cases.rs"]
mod cases;

use kubecure::case::{Case, Gap};
use kubecure::report::json;
use kubecure::report::terminal::{Healthy, View, screen};

/// Compares a screen with its golden file.
#[expect(clippy::disallowed_methods, reason = "golden files are read and, when asked, rewritten")]
fn golden(name: &str, screen: &str) {
    let file = if name.contains('.') { name.to_owned() } else { format!("{name}.txt") };
    let path = format!("{}/tests/golden/screens/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, screen).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == screen, "{name} differs; UPDATE=1 rewrites it. It is now:\n{screen}");
}

fn one(case: Case) -> String {
    screen(&[case], &View::default())
}

#[test]
fn two_places_in_one_file_share_one_snippet() {
    golden("web", &one(cases::web()));
}

#[test]
fn a_revert_names_its_revision() {
    golden("checkout", &one(cases::checkout()));
}

#[test]
fn workloads_with_one_cause_share_one_block() {
    golden("vendor", &one(cases::vendor()));
}

#[test]
fn a_line_that_gives_orders_is_shown_and_not_obeyed() {
    golden("mailer", &one(cases::mailer()));
}

#[test]
fn an_unknown_cause_shows_the_log_lines_that_complain() {
    golden("report", &one(cases::report()));
}

#[test]
fn two_places_between_which_nothing_decides_are_both_shown() {
    golden("ambiguous", &one(cases::ambiguous()));
    let sources = cases::catalog_sources();
    golden(
        "ambiguous-with-sources",
        &screen(&[cases::ambiguous()], &View { sources: Some(&sources), ..View::default() }),
    );
}

#[test]
fn a_held_addition_shows_where_it_goes_and_why_it_waits() {
    golden("held-addition", &one(cases::held_addition()));
}

#[test]
fn line_ends_do_not_show() {
    golden("crlf", &one(cases::crlf()));
}

#[test]
fn carets_stand_under_the_value_behind_tabs_and_wide_characters() {
    golden("wide", &screen(&[cases::wide()], &View { width: 80, ..View::default() }));
}

#[test]
fn a_denied_proposal_is_shown_with_every_reason() {
    golden("denied", &one(cases::denied()));
}

#[test]
fn a_published_cure_names_its_pull_request() {
    golden("published", &one(cases::published()));
}

#[test]
fn the_whole_screen_ends_with_counts_and_the_next_command() {
    let gaps = [
        Gap {
            what: "charts/old/values.yaml".to_owned(),
            why: "line 4, column 3: a mapping value is not allowed here".to_owned(),
        },
        Gap {
            what: "previous log of container mailer in pod shop/mailer-6f4fbc487-qtc55".to_owned(),
            why: "the kubelet no longer has it".to_owned(),
        },
    ];
    let all = [cases::web(), cases::held_addition(), cases::vendor()];
    let next = vec![
        "kubecure cure --all --dry-run -n shop   # prints the pull requests".to_owned(),
        "kubecure cure deployment/web -n shop    # opens one".to_owned(),
    ];
    let view = View { gaps: &gaps, next, ..View::default() };
    golden("all", &screen(&all, &view));
    golden("all-color", &screen(&all, &View { color: true, ..view }));
}

#[test]
fn a_healthy_cluster_is_one_line_unless_something_was_not_seen() {
    let healthy = Healthy { workloads: 32, pods: 147 };
    let view = View { healthy, ..View::default() };
    assert_eq!(screen(&[], &view), "No failures. 147 pods of 32 workloads looked at.\n");
    let gaps = [Gap { what: "jobs".to_owned(), why: "forbidden: cannot list jobs".to_owned() }];
    golden("degraded", &screen(&[], &View { gaps: &gaps, ..view }));
}

#[test]
fn a_place_that_does_not_fit_its_file_is_shown_all_the_same() {
    let text = "a: é\r\n\tb: 日本\r\n\u{feff}c: x";
    for start in 0..text.len() + 3 {
        for end in start..text.len() + 3 {
            for line in 0..6 {
                let mut case = cases::crlf();
                let proposal = case.proposal.as_mut().unwrap();
                proposal.files[0].before = text.into();
                let location = &mut proposal.locations[0];
                (location.span, location.line, location.column) = (start..end, line, start);
                assert!(one(case).contains("--> web/service.yaml"));
            }
        }
    }
    let mut case = cases::crlf();
    case.proposal.as_mut().unwrap().files[0].before = "".into();
    assert!(one(case).contains("web/service.yaml"));
}

#[test]
fn the_gutter_is_as_wide_as_the_longest_number_below_it() {
    golden("gutter", &one(cases::at_line_99()));
}

#[test]
fn a_case_without_anything_still_says_why() {
    let case = Case::new(cases::incident(cases::finding("crash-loop", "Deployment", "web", "crashes")));
    golden("bare", &one(case));
}

#[test]
fn nothing_that_a_cluster_says_is_obeyed_by_the_terminal() {
    let evil = "x\x1b[2J\x1b]0;owned\x07\u{202e}\u{9b}31m\r\ny";
    let mut case = cases::web();
    case.incident.findings[0].symptom = format!("fails {evil}");
    case.incident.findings[0].container = Some(evil.to_owned());
    let diagnosis = case.diagnosis.as_mut().unwrap();
    diagnosis.cause = evil.to_owned();
    diagnosis.because[0].text = evil.repeat(50);
    diagnosis.notes = vec![evil.to_owned()];
    let proposal = case.proposal.as_mut().unwrap();
    proposal.files[0].path = format!("apps/{evil}.yaml");
    for location in &mut proposal.locations {
        location.file = format!("apps/{evil}.yaml");
    }
    proposal.files[0].before = cases::WEB.replace("# raised", "# \x1b[2J\u{202e}raised").into();
    let gaps = [Gap { what: evil.to_owned(), why: evil.to_owned() }];
    let mut declined = cases::vendor();
    declined.declined =
        Some(kubecure::case::Declined::NeedsPerson { why: evil.to_owned(), next: vec![evil.to_owned(); 2] });
    let shown = screen(&[case, declined], &View { gaps: &gaps, next: vec![evil.to_owned()], ..View::default() });
    let control = |c: &char| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c);
    assert_eq!(shown.chars().find(control), None, "{shown}");
    golden("hostile", &shown);
}

/// The keys of an object, in order.
fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_json_interface_has_its_documented_shape() {
    let gaps = [Gap { what: "jobs".to_owned(), why: "forbidden".to_owned() }];
    let taken = "2026-11-23T23:48:30Z".parse().unwrap();
    let mut cases =
        vec![cases::published(), cases::held_addition(), cases::denied(), cases::vendor(), cases::ambiguous()];
    cases[3].incident.findings[0].workload.namespace = None;
    let scan = json::scan(&cases, &gaps, taken);
    let has = |value: &serde_json::Value, wanted: &[&str]| {
        let keys = keys(value);
        for key in wanted {
            assert!(keys.contains(key), "{key} is missing in {keys:?}");
        }
    };
    has(&scan["findings"][0], &["failure", "workload", "container", "symptom", "since"]);
    assert_eq!(keys(&scan["findings"][0]["workload"]), ["kind", "namespace", "name"]);
    assert!(scan["findings"][3]["workload"]["namespace"].is_null());
    let proposal = &scan["proposals"][0];
    has(
        proposal,
        &["failure", "workload", "cause", "origin", "confidence", "changes", "locations", "diff", "verdict", "reasons"],
    );
    has(&proposal["changes"][0], &["path", "op", "from", "to"]);
    has(&proposal["locations"][0], &["file", "line", "column", "chain"]);
    assert!(proposal["diff"].as_str().unwrap().contains("-              memory: \"64Mi\" # raised"));
    let verdicts: Vec<_> = scan["proposals"].as_array().unwrap().iter().map(|p| p["verdict"].clone()).collect();
    assert_eq!(verdicts, ["allow", "hold", "deny"]);
    assert_eq!(keys(&scan["proposals"][1]["reasons"][0]), ["gate", "ruling", "text"]);
    assert_eq!(scan["proposals"][1]["changes"][0]["op"], "add");
    let reasons: Vec<_> = scan["declined"].as_array().unwrap().iter().map(|d| d["reason"].clone()).collect();
    assert_eq!(reasons, ["denied", "needs-person", "ambiguous"]);
    has(&scan["declined"][0], &["failure", "workload", "reason", "detail"]);
    let cure = json::cure(&cases, &gaps, taken);
    has(&cure["published"][0], &["kind", "number", "link", "branch", "status"]);
    golden("cure.json", &(serde_json::to_string_pretty(&json::cure(&cases[..1], &gaps, taken)).unwrap() + "\n"));
}
