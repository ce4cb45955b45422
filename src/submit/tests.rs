#![expect(clippy::disallowed_methods, reason = "golden files are read and, with UPDATE=1, rewritten")]

use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use serde_json::json;

use super::fixture::{POLICY, context, mailer, vendor, web};
use super::markdown::tests::{HOSTILE, references};
use super::*;
use crate::case::{Cure, EditedFile, Ground, Operation, Origin, Reason, Ruling, Shared, SourceLocation};

/// Everything in a body that is more than text and code, and is not what we write ourselves.
fn strangers(body: &str) -> Vec<String> {
    let ours = |html: &str| {
        let html = html.trim();
        html == "<!-- kubecure:begin -->"
            || html == "<!-- kubecure:end -->"
            || html == "<details><summary>How the line was found, and the log</summary>"
            || html == "</details>"
            || (html.starts_with("<!-- kubecure {\"v\":1,")
                && html.ends_with("} -->")
                && html.matches("-->").count() == 1)
    };
    let mut found = Vec::new();
    let mut in_code = false;
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES | Options::ENABLE_TASKLISTS;
    for event in Parser::new_ext(body, options) {
        match event {
            Event::Html(html) if ours(&html) => {}
            Event::Html(html) | Event::InlineHtml(html) => found.push(format!("html {html}")),
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Text(text) if !in_code => found.extend(references(&text)),
            Event::Start(
                Tag::Paragraph
                | Tag::List(_)
                | Tag::Item
                | Tag::Strong
                | Tag::HtmlBlock
                | Tag::Table(_)
                | Tag::TableHead
                | Tag::TableRow
                | Tag::TableCell,
            )
            | Event::Text(_)
            | Event::Code(_)
            | Event::End(_)
            | Event::SoftBreak => {}
            other => found.push(format!("{other:?}")),
        }
    }
    found.extend(body.lines().filter(|line| line.starts_with('/')).map(|line| format!("command {line}")));
    found
}

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
    assert_eq!(request.title, "shop/web: raise memory limit and request from 64Mi to 128Mi");
    assert_eq!(request.labels, ["kubecure", "kubecure/oom-killed"]);
    let message = format!("    {}\n", request.commit_message.trim_end().replace('\n', "\n    "));
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

/// The page of the storefront, with one text in the place of every text that others write.
fn hostile_pull_request(text: &str, draft: bool) -> PullRequest {
    let (mut proposal, mut verdict, mut evidence) = web();
    let evil = |slot: &mut String| text.clone_into(slot);
    let finding = &mut proposal.incident.findings[0];
    finding.workload.name = text.to_owned();
    finding.workload.namespace = Some(text.to_owned());
    finding.container = Some(text.to_owned());
    evil(&mut finding.symptom);
    let diagnosis = &mut proposal.diagnosis;
    evil(&mut diagnosis.cause);
    diagnosis.origin = Origin::Model;
    diagnosis.because.iter_mut().for_each(|quote| evil(&mut quote.text));
    diagnosis.grounds = vec![Ground { text: text.to_owned(), weight: -20 }];
    diagnosis.notes.iter_mut().chain(&mut diagnosis.unchecked).for_each(evil);
    if let Cure::Repair { changes, help, hold } = &mut diagnosis.cure {
        *hold = Some(text.to_owned());
        evil(help);
        for change in changes {
            change.object.name = text.to_owned();
            change.path = change.path.clone().key(text);
            change.operation = Operation::Set { from: json!(text), to: json!({ text: text }) };
        }
    }
    for place in &mut proposal.locations {
        evil(&mut place.file);
        place.chain.iter_mut().for_each(|link| (evil(&mut link.file), evil(&mut link.what)).0);
    }
    let file = EditedFile {
        path: text.to_owned(),
        before: format!("a: 1\n{text}\n").into(),
        after: format!("{text}\n{text}2\n"),
    };
    proposal.files = vec![file];
    proposal.base = Some(text.to_owned());
    verdict.passed.iter_mut().chain(&mut verdict.not_checked).for_each(evil);
    verdict.reasons = vec![Reason { gate: "policy", ruling: Ruling::Hold, text: text.to_owned() }];
    evidence.items.iter_mut().for_each(|item| evil(&mut item.text));
    for log in &mut evidence.logs {
        log.lines = vec![text.to_owned(), format!("fatal {text}")];
        log.key.container = text.to_owned();
        log.key.pod.name = text.to_owned();
        proposal.incident.findings[0].pods = vec![log.key.pod.clone()];
    }
    pull_request(&proposal, &verdict, &evidence, draft, &Context { cluster: text, ..context() })
}

fn hostile_issues(text: &str) -> Vec<Issue> {
    let (mut incident, mut evidence, mut diagnosis, _) = vendor();
    let object = ObjectRef::new(text, text, Some(text), text);
    for finding in &mut incident.findings {
        finding.workload = object.clone();
        finding.container = Some(text.to_owned());
        text.clone_into(&mut finding.symptom);
        finding.pods = vec![object.clone()];
    }
    evidence.items.iter_mut().for_each(|item| text.clone_into(&mut item.text));
    text.clone_into(&mut diagnosis.cause);
    let (proposal, verdict, _) = web();
    let place = SourceLocation { file: text.to_owned(), ..proposal.locations[0].clone() };
    let quote = crate::case::Quote { item: 0, text: text.to_owned() };
    let reasons = [
        Declined::Undiagnosed { looked_at: vec![text.to_owned()], needed: text.to_owned() },
        Declined::NeedsPerson { why: text.to_owned(), next: vec![text.to_owned()] },
        Declined::NotInGit { object: object.clone(), detail: text.to_owned() },
        Declined::Ambiguous { what: text.to_owned(), places: vec![place.clone()] },
        Declined::Blocked { location: Some(Box::new(place)), why: text.to_owned() },
        Declined::Denied(vec![Reason { gate: "policy", ruling: Ruling::Deny, text: text.to_owned() }]),
        Declined::InjectionSuspected { quote },
    ];
    let shared = [
        Shared::Registry { host: text.to_owned(), answer: crate::case::RegistryAnswer::Silence },
        Shared::Node(text.to_owned()),
        Shared::Missing(object),
        Shared::Webhook(text.to_owned()),
    ];
    let mut issues = Vec::new();
    for (declined, shared) in reasons.iter().zip(shared.into_iter().cycle()) {
        incident.shared = Some(shared);
        issues.push(issue(&incident, &evidence, Some(&diagnosis), Some((&proposal, &verdict)), declined, &context()));
        incident.shared = None;
        issues.push(issue(&incident, &evidence, None, None, declined, &context()));
    }
    issues
}

fn harmless(title: &str, body: &str, text: &str) {
    let found = strangers(body);
    assert!(found.is_empty(), "{text:?} in a page does {found:?}:\n{body}");
    assert_eq!(body.matches("<!-- kubecure").count(), 3, "{body}");
    assert!(body.chars().count() <= 65_000, "{} characters", body.chars().count());
    assert!(title.chars().count() <= 255 && !title.contains('\n'), "{title}");
    assert!(!title.contains("@alice") && !title.contains("#1") && !title.contains("GH-"), "{title}");
}

#[test]
fn a_page_of_hostile_texts_only_shows_them() {
    for text in HOSTILE {
        for draft in [true, false] {
            let request = hostile_pull_request(text, draft);
            harmless(&request.title, &request.body, text);
            let fixes: Vec<&str> =
                request.commit_message.lines().filter(|line| line.starts_with("KubeCure-Fix:")).collect();
            assert_eq!(fixes, [format!("KubeCure-Fix: {}", request.fingerprint)]);
        }
        for issue in hostile_issues(text) {
            harmless(&issue.title, &issue.body, text);
        }
    }
}

#[test]
fn a_page_of_endless_texts_fits_and_ends_as_it_should() {
    for text in ["word ".repeat(50_000), "`".repeat(100_000), "ä@x\n".repeat(30_000)] {
        let request = hostile_pull_request(&text, true);
        harmless(&request.title, &request.body, "endless");
        assert!(request.body.ends_with("<!-- kubecure:end -->\n"));
        assert!(
            request.body.contains("**Not checked**") && request.body.contains("Wrong? Close it"),
            "{}",
            request.body
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_page_of_any_text_only_shows_it(text in "[ -~\\n`@#*_<>\\[\\]()!|~$/:-]{0,50}") {
        let request = hostile_pull_request(&text, true);
        harmless("", &request.body, &text);
        for issue in hostile_issues(&text) {
            harmless("", &issue.body, &text);
        }
    }
}

#[test]
fn a_draft_begins_with_the_doubts() {
    let (mut proposal, mut verdict, evidence) = web();
    proposal.diagnosis.origin = Origin::Model;
    proposal.diagnosis.confidence = 62;
    verdict.reasons =
        vec![Reason { gate: "quota", ruling: Ruling::Hold, text: "the namespace has 100Mi of quota left".to_owned() }];
    let body = pull_request(&proposal, &verdict, &evidence, true, &context()).body;
    let want = format!(
        "<!-- kubecure:begin -->\n**Draft, because**\n\n- the namespace has 100Mi of quota left\n- a language model said so, no rule did\n\
         - the confidence is 62 of 100, below the 80 that `{POLICY}` asks for\n"
    );
    assert!(body.starts_with(&want), "{body}");
    assert!(body.contains("| Said by | a language model;"), "{body}");
}

#[test]
fn a_change_that_was_held_back_is_shown_in_the_issue() {
    let (proposal, verdict, evidence) = web();
    let reasons =
        vec![Reason { gate: "policy", ruling: Ruling::Deny, text: "memory of shop may not be changed".to_owned() }];
    let held = Some((&proposal, &verdict));
    let issue =
        issue(&proposal.incident, &evidence, Some(&proposal.diagnosis), held, &Declined::Denied(reasons), &context());
    assert_eq!(issue.title, "Needs a person: shop/web: keeps running out of memory");
    for part in [
        "**No pull request** (`denied`): 1 gate said no to the change.\n\n- `policy`: memory of shop may not be changed\n",
        "**A change that a person could make**\n\nThis raises the memory limit and request of container `web`",
        "+              memory: \"128Mi\"\n",
        "kubectl logs -n shop -c web web-55fc44f7c6-qh8td --previous",
        "**How sure** 88 of 100 (`.kubecure/policy.yaml` asks for 80)",
    ] {
        assert!(issue.body.contains(part), "{part}\n---\n{}", issue.body);
    }
}

#[test]
fn what_an_attacker_may_have_worded_is_not_offered_as_a_change() {
    let (proposal, verdict, evidence) = web();
    let (_, _, declined) = mailer();
    let issue = issue(&proposal.incident, &evidence, None, Some((&proposal, &verdict)), &declined, &context());
    assert!(!issue.body.contains("128Mi"), "{}", issue.body);
}

#[test]
fn a_policy_words_title_trailers_labels_and_sections() {
    let (proposal, verdict, evidence) = web();
    let labels = ["team-web".to_owned(), "kubecure".to_owned()];
    let trailers = BTreeMap::from([("Change-Class".to_owned(), "standard".to_owned())]);
    let sections =
        [Section { title: "Ticket".to_owned(), text: "OPS-1 for {workload} in `{file}`, {unknown}".to_owned() }];
    let ctx = Context {
        subject: Some("[OPS-1] {name} ({failure}): {help}"),
        labels: &labels,
        trailers: &trailers,
        sections: &sections,
        ..context()
    };
    let request = pull_request(&proposal, &verdict, &evidence, false, &ctx);
    assert_eq!(request.title, "[OPS-1] web (oom-killed): raise memory limit and request to 128Mi");
    assert_eq!(request.labels, ["kubecure", "kubecure/oom-killed", "team-web"]);
    assert!(
        request.commit_message.ends_with("resources.requests.memory\nChange-Class: standard\n"),
        "{}",
        request.commit_message
    );
    assert!(
        request.body.contains("### Ticket\n\nOPS-1 for shop/web in `apps/web/deployment.yaml`, {unknown}\n"),
        "{}",
        request.body
    );
}

#[test]
fn the_fingerprint_is_of_the_line_as_it_is_and_not_of_what_it_becomes() {
    let (proposal, verdict, evidence) = web();
    let of = |proposal: &Proposal| pull_request(proposal, &verdict, &evidence, false, &context()).fingerprint;
    let first = of(&proposal);
    let mut better = proposal.clone();
    better.diagnosis.confidence = 99;
    if let Cure::Repair { changes, .. } = &mut better.diagnosis.cure {
        changes[0].operation = Operation::Set { from: json!("64Mi"), to: json!("256Mi") };
        changes.reverse();
    }
    better.locations.reverse();
    assert_eq!(of(&better), first);
    let mut edited = proposal;
    edited.locations[0].value = Some(json!("96Mi"));
    assert_ne!(of(&edited), first);
}
