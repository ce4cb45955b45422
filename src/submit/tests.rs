#![expect(clippy::disallowed_methods, reason = "golden files are read and, with UPDATE=1, rewritten")]

use super::fixture::{context, mailer, vendor, web};
use super::*;

/// Compares with `tests/golden/NAME.md`: title, labels and body as a person gets them.
fn golden(name: &str, text: &str) {
    let at = format!("tests/golden/{name}.md");
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(&at, text).unwrap();
    }
    let want = std::fs::read_to_string(&at).unwrap_or_default();
    assert!(want == text, "{at} differs; UPDATE=1 rewrites it. Now it is:\n{text}");
}

#[test]
fn a_pull_request_for_two_fields_reads_well() {
    let (proposal, verdict, evidence) = web();
    let request = pull_request(&proposal, &verdict, &evidence, false, &context());
    assert_eq!(request.title, "shop/web: raise memory limit and memory request from 64Mi to 128Mi");
    assert_eq!(request.labels, ["kubecure", "kubecure/oom-killed"]);
    let message = request.commit_message.lines().map(|line| format!("    {line}\n")).collect::<String>();
    golden("web", &format!("{}\n\n{}\n\n{message}\n{}", request.title, request.branch, request.body));
}

#[test]
fn an_issue_for_a_suspicious_log_reads_well() {
    let (incident, evidence, declined) = mailer();
    let request = issue(&incident, &evidence, None, None, &declined, &context());
    golden("mailer", &format!("{}\n\n{}", request.title, request.body));
}

#[test]
fn an_issue_for_a_group_reads_well() {
    let (incident, evidence, diagnosis, declined) = vendor();
    let request = issue(&incident, &evidence, Some(&diagnosis), None, &declined, &context());
    golden("vendor", &format!("{}\n\n{}", request.title, request.body));
}
