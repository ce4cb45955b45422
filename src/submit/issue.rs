//! An incident without a pull request in, the body of its issue out: why, what is known, and what a person does next.

use std::fmt::Write;

use serde_json::json;

use super::body::{
    bounded, bullets, change, clock, finished, impact, limited, log, names, not_checked, notes, object, quotes,
    sentences, sure, symptom, titled,
};
use super::markdown::{cell, code, fenced, hidden, prose};
use super::{Context, logs, text};
use crate::case::{
    Declined, Diagnosis, Evidence, Finding, Fingerprint, Incident, ObjectRef, Proposal, Shared, Timestamp, Verdict,
};

/// So many workloads of a group are listed.
const MAX_ROWS: usize = 50;

/// All that is known.
pub(super) struct Case<'a> {
    pub incident: &'a Incident,
    pub evidence: &'a Evidence,
    pub diagnosis: Option<&'a Diagnosis>,
    /// A change that was held back.
    pub proposal: Option<(&'a Proposal, &'a Verdict)>,
    pub declined: &'a Declined,
}

/// The whole body.
pub(super) fn body(case: &Case<'_>, fingerprint: &Fingerprint, ctx: &Context<'_>) -> String {
    let diagnosis = case.diagnosis;
    let parts = [
        answer(case, ctx.now),
        objections(case.declined),
        suspect(case),
        group(case.incident, ctx.now),
        log(case.incident, case.evidence, suspected(case.declined)),
        next_steps(case),
        looked_at(case.declined),
        needed(case),
        possible_change(case),
        diagnosis.map(|diagnosis| quotes(diagnosis, case.evidence, ctx.now)).unwrap_or_default(),
        diagnosis.map(|diagnosis| sure(diagnosis, case.proposal.map(|_| ctx))).unwrap_or_default(),
        diagnosis.map(|diagnosis| unchecked(diagnosis, case.proposal)).unwrap_or_default(),
        diagnosis.map(|diagnosis| notes(&diagnosis.notes)).unwrap_or_default(),
        "**Not done** The cluster was not touched. No file was changed.".to_owned(),
        "Known, or not worth it? Close it: it will not come back for the same workloads and reason.".to_owned(),
    ];
    finished(&parts, &machine(case, fingerprint, ctx))
}

/// What fails, why, and why there is no pull request.
fn answer(case: &Case<'_>, now: Timestamp) -> String {
    let workloads = case.incident.workloads();
    let first = match &case.incident.shared {
        Some(shared) if workloads.len() > 1 => {
            let since = case.incident.findings.iter().filter_map(|finding| finding.since).min();
            let since = since.map(|at| format!(", since {}", clock(at, now))).unwrap_or_default();
            format!("**{} workloads fail for one cause: {}**{since}.", workloads.len(), prose(&shared.to_string()))
        }
        _ => symptom(case.incident, now),
    };
    let said = case.diagnosis.map(|diagnosis| format!(" {}", sentences(&diagnosis.cause))).unwrap_or_default();
    let impact = impact(case.incident, case.evidence).map(|impact| format!(" {impact}.")).unwrap_or_default();
    format!("{first}{said}{impact}\n**No pull request** ({}): {}", code(case.declined.code()), why(case.declined))
}

/// Why there is no pull request, as one sentence.
fn why(declined: &Declined) -> String {
    match declined {
        Declined::Undiagnosed { .. } => "the evidence does not establish a cause.".to_owned(),
        Declined::InjectionSuspected { .. } => {
            "a line of the evidence reads like an instruction to a machine, so KubeCure proposes nothing here."
                .to_owned()
        }
        Declined::Denied(reasons) => format!("{} said no to the change.", text::count(reasons.len(), "gate")),
        Declined::Blocked { location: Some(place), why } => {
            format!(
                "the line is {}, and it cannot be edited. {}",
                code(&format!("{}:{}", place.file, place.line)),
                sentences(why)
            )
        }
        Declined::Ambiguous { what, places } => {
            let shown = limited(places.iter().map(|place| code(&format!("{}:{}", place.file, place.line))));
            format!(
                "{} is set in {}, and nothing says which counts: {}.",
                prose(what),
                text::count(places.len(), "place"),
                shown.join(", ")
            )
        }
        other => {
            let said = other.to_string();
            prose(&format!("{}.", said.trim_end_matches('.')))
        }
    }
}

/// Each gate that said no.
fn objections(declined: &Declined) -> String {
    let Declined::Denied(reasons) = declined else { return String::new() };
    bullets(reasons.iter().map(|reason| format!("{}: {}", code(reason.gate), prose(&reason.text))))
}

/// The words that read like an instruction.
fn suspected(declined: &Declined) -> Option<&str> {
    match declined {
        Declined::InjectionSuspected { quote } => Some(&quote.text),
        _ => None,
    }
}

/// The line that reads like an instruction, as text.
fn suspect(case: &Case<'_>) -> String {
    let Declined::InjectionSuspected { quote } = case.declined else { return String::new() };
    let source = case.evidence.items.get(quote.item).map(|item| prose(&item.source.to_string())).unwrap_or_default();
    format!("**The line**, from the {source}; quoted, not followed:\n\n{}", fenced("text", &quote.text, 500))
}

/// All workloads of a group.
fn group(incident: &Incident, now: Timestamp) -> String {
    if incident.findings.len() < 2 {
        return String::new();
    }
    let mut out = String::from("| Workload | Container | What it shows | Since |\n|-|-|-|-|\n");
    for finding in incident.findings.iter().take(MAX_ROWS) {
        let container = finding.container.as_deref().map(code).unwrap_or_default();
        let since = finding.since.map(|at| clock(at, now)).unwrap_or_default();
        let row = [object(&finding.workload), container, prose(&finding.symptom), since];
        let _ = writeln!(out, "| {} |", row.map(|text| cell(&text)).join(" | "));
    }
    if let Some(more) = incident.findings.len().checked_sub(MAX_ROWS).filter(|more| *more > 0) {
        let _ = writeln!(out, "\n… and {more} more.");
    }
    out
}

/// What a person does next, the likeliest first, each with the command that shows it.
fn next_steps(case: &Case<'_>) -> String {
    let mut steps: Vec<String> = Vec::new();
    if let Declined::NeedsPerson { next, .. } = case.declined {
        steps.extend(next.iter().filter_map(|step| rules_step(step)));
    }
    let said_by_rule = !steps.is_empty();
    if matches!(case.declined, Declined::InjectionSuspected { .. }) {
        steps.push(
            "Find who can write that text: a user, a queue, another service. Treat it as an attack until it is not."
                .to_owned(),
        );
    }
    // A rule knows what to look at; only without one the usual commands are told.
    if !said_by_rule {
        steps.extend(case.incident.shared.as_ref().and_then(shared_step));
        steps.extend(look(case.incident.first(), case.evidence));
    }
    steps.dedup();
    let numbered = limited(steps.into_iter()).iter().enumerate().fold(String::new(), |mut out, (i, step)| {
        let _ = writeln!(out, "{}. {step}", i + 1);
        out
    });
    titled("What to do next", numbered)
}

/// A step that a rule names: a sentence, or a command to paste. A command in which a name could mean something to a
/// shell is not offered.
fn rules_step(step: &str) -> Option<String> {
    let is_command = ["kubectl ", "curl "].iter().any(|program| step.starts_with(program));
    if !is_command {
        return Some(sentences(step));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || " ._/:=,-".contains(c);
    let (command, remark) = step.split_once('#').unwrap_or((step, ""));
    let remark = if remark.is_empty() { String::new() } else { format!(" ({})", prose(remark.trim())) };
    command.chars().all(plain).then(|| format!("{}{remark}", code(command.trim())))
}

/// The command that shows the state of what is shared.
fn shared_step(shared: &Shared) -> Option<String> {
    Some(match shared {
        Shared::Registry { host, .. } => {
            let (words, command) = (
                "See from a node whether the registry answers",
                command(&["curl", "-sSI"], &[&format!("https://{host}/v2/")]),
            );
            format!("{words}: {}", command?)
        }
        Shared::Node(name) => {
            format!("See what the node reports: {}", command(&["kubectl", "describe", "node"], &[name])?)
        }
        Shared::Quota { namespace, name } => {
            format!(
                "See what uses the quota up: {}",
                command(&["kubectl", "describe", "resourcequota"], &["-n", namespace, name])?
            )
        }
        Shared::Missing(missing) => {
            format!("See that it is missing: {}", kubectl(&["get"], missing)?)
        }
        Shared::Webhook(_) => {
            "See which webhooks there are: `kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`"
                .to_owned()
        }
    })
}

/// Commands that show the failure of one finding.
fn look(finding: &Finding, evidence: &Evidence) -> Vec<String> {
    let mut steps = Vec::new();
    if let Some(log) = logs::telling(evidence, finding) {
        let mut words = vec!["-n", log.key.pod.ns(), "-c", &log.key.container, &log.key.pod.name];
        if log.key.previous {
            words.push("--previous");
        }
        steps.extend(command(&["kubectl", "logs"], &words).map(|command| format!("Read the whole log: {command}")));
    }
    let about = finding.pods.first().unwrap_or(&finding.workload);
    steps.extend(kubectl(&["describe"], about).map(|command| format!("See state and events: {command}")));
    steps
}

fn kubectl(verb: &[&str], object: &ObjectRef) -> Option<String> {
    let kind = object.kind.to_ascii_lowercase();
    let kind = if object.group.is_empty() || is_plain_kind(&kind) { kind } else { format!("{kind}.{}", object.group) };
    let words: Vec<&str> = ["kubectl"].iter().chain(verb).copied().collect();
    let mut rest = Vec::new();
    if let Some(namespace) = object.namespace.as_deref() {
        rest.extend(["-n", namespace]);
    }
    rest.extend([kind.as_str(), object.name.as_str()]);
    command(&words, &rest)
}

/// Kinds that `kubectl` knows without their group.
fn is_plain_kind(kind: &str) -> bool {
    ["deployment", "statefulset", "daemonset", "replicaset", "job", "cronjob", "ingress", "horizontalpodautoscaler"]
        .contains(&kind)
}

/// A command to copy. None is offered when a name in it could mean something to a shell.
fn command(fixed: &[&str], names: &[&str]) -> Option<String> {
    let harmless =
        |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-._/:".contains(c));
    let option = |word: &str| matches!(word, "-n" | "-c" | "--previous");
    if !names.iter().all(|word| harmless(word) && (option(word) || !word.starts_with('-'))) {
        return None;
    }
    let words: Vec<&str> = fixed.iter().chain(names).copied().collect();
    Some(code(&words.join(" ")))
}

fn looked_at(declined: &Declined) -> String {
    let (Declined::Undiagnosed { looked_at, .. } | Declined::Unanswered { looked_at, .. }) = declined else {
        return String::new();
    };
    if looked_at.is_empty() {
        return String::new();
    }
    format!("**Looked at** {}", limited(looked_at.iter().map(|what| prose(what))).join(" · "))
}

/// What KubeCure would need to open a pull request.
fn needed(case: &Case<'_>) -> String {
    let need = match case.declined {
        Declined::Undiagnosed { needed, .. } | Declined::Unanswered { needed, .. } => sentences(needed),
        Declined::NotInGit { object: missing, .. } => {
            format!("The manifest of {} in a repository that KubeCure reads.", object(missing))
        }
        Declined::Ambiguous { .. } => "One place that sets it, or one that stands above the others.".to_owned(),
        Declined::Denied(_) => "A policy that allows the change, or a person who makes it.".to_owned(),
        Declined::NeedsPerson { .. }
        | Declined::Blocked { .. }
        | Declined::InjectionSuspected { .. }
        | Declined::Excluded { .. } => String::new(),
    };
    if need.is_empty() { need } else { format!("**KubeCure would need** {need}") }
}

/// A change that was made and then held back.
fn possible_change(case: &Case<'_>) -> String {
    // What was proposed under suspicion is not shown: its words may be the attacker's.
    if matches!(case.declined, Declined::InjectionSuspected { .. }) {
        return String::new();
    }
    let Some((proposal, _)) = case.proposal else { return String::new() };
    titled("A change that a person could make", format!("{}\n\n{}", text::sentence(proposal), change(proposal)))
}

fn unchecked(diagnosis: &Diagnosis, proposal: Option<(&Proposal, &Verdict)>) -> String {
    match proposal {
        Some((_, verdict)) => not_checked(&verdict.not_checked, &diagnosis.unchecked),
        None if diagnosis.unchecked.is_empty() => String::new(),
        None => format!("**Not checked** {}", limited(diagnosis.unchecked.iter().map(|text| prose(text))).join(" · ")),
    }
}

fn machine(case: &Case<'_>, fingerprint: &Fingerprint, ctx: &Context<'_>) -> String {
    hidden(&json!({
        "v": 1,
        "fp": fingerprint.0,
        "failure": case.incident.failure.0,
        "cluster": bounded(ctx.cluster),
        "workloads": names(case.incident),
        "reason": case.declined.code(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_offered_only_when_its_names_are_names() {
        let pod = |name: &str| ObjectRef::new("v1", "Pod", Some("shop"), name);
        assert_eq!(kubectl(&["describe"], &pod("web-1")).unwrap(), "`kubectl describe -n shop pod web-1`");
        for name in ["$(id)", "a;b", "-x", "--kubeconfig", "a b", "a`b", ""] {
            assert_eq!(kubectl(&["describe"], &pod(name)), None, "{name}");
        }
        let widget = ObjectRef::new("example.com/v1", "Widget", None, "w");
        assert_eq!(kubectl(&["get"], &widget).unwrap(), "`kubectl get widget.example.com w`");
        assert_eq!(
            shared_step(&Shared::Registry {
                host: "evil.example/$(id)".to_owned(),
                answer: crate::case::RegistryAnswer::Silence
            }),
            None
        );
    }

    #[test]
    fn every_reason_has_its_words() {
        let place = || crate::case::SourceLocation {
            file: "a.yaml".to_owned(),
            document: 0,
            path: crate::yaml::FieldPath::root(),
            span: 0..0,
            line: 3,
            column: 1,
            value: None,
            chain: Vec::new(),
            writes: None,
            rendered: Vec::new(),
            also: Vec::new(),
        };
        let reason = crate::case::Reason { gate: "policy", ruling: crate::case::Ruling::Deny, text: "no".to_owned() };
        for (declined, said) in [
            (Declined::Undiagnosed { looked_at: Vec::new(), needed: String::new() }, "does not establish a cause."),
            (Declined::NeedsPerson { why: "no such table.".to_owned(), next: Vec::new() }, "no such table."),
            (Declined::Ambiguous { what: "image".to_owned(), places: vec![place(), place()] }, "set in 2 places"),
            (
                Declined::Blocked { location: Some(Box::new(place())), why: "a template".to_owned() },
                "`a.yaml:3`, and it cannot be edited. A template.",
            ),
            (Declined::Denied(vec![reason]), "1 gate said no"),
        ] {
            assert!(why(&declined).contains(said), "{}", why(&declined));
        }
    }
}
