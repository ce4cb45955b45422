//! A proposal in, the body of its pull request out: one function for each part, in the order of the page.

use std::fmt::Write;

use serde_json::json;

use super::markdown::{cell, code, cut, fenced, hidden, name, one_line, prose};
use super::text::{count, sentence, value};
use super::{BEGIN, Context, END, diff, logs, text};
use crate::case::{
    Cure, Diagnosis, Evidence, Finding, Fingerprint, Ground, Incident, ObjectRef, Operation, Origin, Proposal, Ruling,
    Timestamp, Verdict,
};

/// Forges take bodies of 65,536 characters; what people write below ours needs room, too.
const MAX_BODY: usize = 65_000;
const MAX_DIFF: usize = 16_000;
/// So many entries of a list are shown.
const MAX_LIST: usize = 20;

/// The whole body.
pub(super) fn pull_request(
    proposal: &Proposal,
    verdict: &Verdict,
    evidence: &Evidence,
    draft: bool,
    fingerprint: &Fingerprint,
    ctx: &Context<'_>,
) -> String {
    let (incident, diagnosis) = (&proposal.incident, &proposal.diagnosis);
    let parts = [
        if draft { doubts(diagnosis, verdict, ctx) } else { String::new() },
        format!("{} {}\n{}\n", symptom(incident, ctx.now), sentences(&diagnosis.cause), sentence(proposal)),
        facts(proposal, evidence),
        change(proposal),
        quotes(diagnosis, evidence, ctx.now),
        sure(diagnosis, Some(ctx)),
        also(proposal),
        checked(verdict),
        not_checked(&verdict.not_checked, &diagnosis.unchecked),
        notes(&diagnosis.notes),
        not_done(),
        details(proposal, evidence),
        sections(proposal, ctx),
        controls(incident),
    ];
    finished(&parts, &machine(proposal, fingerprint, ctx))
}

/// Parts as one page between our markers.
///
/// Each part has a limit of its own; should all of them together still be too long, the longest give way.
pub(super) fn finished(parts: &[String], machine: &str) -> String {
    let mut parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty()).collect();
    let mut left_out = "";
    let length = |parts: &[&str]| {
        parts.iter().map(|part| part.chars().count() + 2).sum::<usize>() + machine.chars().count() + 500
    };
    while length(&parts) > MAX_BODY {
        // Never the first: it is the answer.
        let longest = (1..parts.len()).max_by_key(|&i| parts[i].len());
        let Some(longest) = longest else { break };
        parts.remove(longest);
        left_out = "\n\nA part of this page was left out: it would not fit.";
    }
    format!("{BEGIN}\n{}{left_out}\n\n{machine}{END}\n", parts.join("\n\n"))
}

/// What a person should doubt before anything else.
fn doubts(diagnosis: &Diagnosis, verdict: &Verdict, ctx: &Context<'_>) -> String {
    let mut all: Vec<String> = Vec::new();
    if let Cure::Repair { hold: Some(why), .. } = &diagnosis.cure {
        all.push(prose(why));
    }
    all.extend(
        verdict.reasons.iter().filter(|reason| reason.ruling != Ruling::Allow).map(|reason| prose(&reason.text)),
    );
    if diagnosis.origin == Origin::Model {
        all.push("a language model said so, no rule did".to_owned());
    }
    if diagnosis.confidence < ctx.minimum_confidence {
        all.push(format!(
            "the confidence is {} of 100, below the {} that {} asks for",
            diagnosis.confidence,
            ctx.minimum_confidence,
            code(ctx.policy_file)
        ));
    }
    if all.is_empty() {
        all.push(format!("{} wants a person's look first", code(ctx.policy_file)));
    }
    format!("**Draft, because**\n\n{}", bullets(all.into_iter()))
}

/// What fails, how, and since when: one bold sentence.
pub(super) fn symptom(incident: &Incident, now: Timestamp) -> String {
    let finding = incident.first();
    let subject = match &finding.container {
        Some(container) => format!("Container {} of {}", code(container), object(&finding.workload)),
        None => object(&finding.workload),
    };
    let says = prose(finding.symptom.trim_end_matches('.'));
    let says = if says.is_empty() { "fails".to_owned() } else { says };
    let since = finding.since.map(|at| format!(", since {}", clock(at, now))).unwrap_or_default();
    format!("**{subject} {says}**{since}.")
}

/// `Deployment shop/web`; a name that is none in one piece.
pub(super) fn object(object: &ObjectRef) -> String {
    format!("{} {}", prose(&object.kind), name(&object.path()))
}

/// A time of day, with the date when it is not today.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> String {
    let today = at.strftime("%F").to_string() == now.strftime("%F").to_string();
    at.strftime(if today { "%H:%M UTC" } else { "%F %H:%M UTC" }).to_string()
}

/// Text as a whole sentence, with its capital and its period.
pub(super) fn sentences(text: &str) -> String {
    let text = one_line(text);
    if text.is_empty() {
        return text;
    }
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{end}", prose(&text::capital(&text)))
}

/// Where, impact, who says so, risk, undo.
fn facts(proposal: &Proposal, evidence: &Evidence) -> String {
    let mut rows = vec![("Where", places(proposal))];
    rows.extend(impact(&proposal.incident, evidence).map(|impact| ("Impact", impact)));
    rows.push(("Said by", said_by(&proposal.diagnosis, &proposal.incident)));
    rows.push(("Risk", risk(proposal)));
    rows.push(("Undo", undo(proposal)));
    let mut table = String::from("| | |\n|-|-|\n");
    for (name, text) in rows {
        let _ = writeln!(table, "| {name} | {} |", cell(&text));
    }
    table
}

/// Every file with its lines: `a.yaml:21` and `:23`.
fn places(proposal: &Proposal) -> String {
    let mut places: Vec<(&str, usize)> =
        proposal.locations.iter().map(|place| (place.file.as_str(), place.line)).collect();
    places.sort_unstable();
    places.dedup();
    let mut last = "";
    let shown = places.into_iter().map(|(file, line)| {
        let known = std::mem::replace(&mut last, file) == file;
        if known { code(&format!(":{line}")) } else { code(&format!("{file}:{line}")) }
    });
    limited(shown).join(", ")
}

/// How much of the workloads is down, as far as the cluster told.
pub(super) fn impact(incident: &Incident, evidence: &Evidence) -> Option<String> {
    let snapshot = &evidence.snapshot;
    let mut parts = Vec::new();
    let (mut ready, mut wanted) = (0, 0);
    for workload in incident.workloads().into_iter().filter_map(|id| snapshot.workload(id)) {
        let status = &workload.status;
        match workload.kind.as_str() {
            "Deployment" | "StatefulSet" | "ReplicaSet" => {
                ready += status.ready_replicas.unwrap_or(0);
                wanted += workload.spec.replicas.unwrap_or(1);
            }
            "DaemonSet" => {
                ready += status.number_ready.unwrap_or(0);
                wanted += status.desired_number_scheduled.unwrap_or(0);
            }
            _ => {}
        }
    }
    if wanted > 0 {
        parts.push(format!("{ready} of {wanted} replicas ready"));
    }
    let restarts: i64 = incident.findings.iter().map(|finding| restarts(finding, evidence)).sum();
    if restarts > 0 {
        parts.push(format!("{restarts} restarts"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn restarts(finding: &Finding, evidence: &Evidence) -> i64 {
    let shows_it = |pod: &&crate::case::Pod| {
        finding.pods.iter().any(|id| id.name == pod.metadata.name && id.namespace == pod.metadata.namespace)
    };
    let counts = evidence.snapshot.pods.iter().filter(shows_it).flat_map(|pod| &pod.status.container_statuses);
    counts
        .filter(|status| finding.container.as_ref().is_none_or(|name| *name == status.name))
        .map(|status| status.restart_count)
        .sum()
}

fn said_by(diagnosis: &Diagnosis, incident: &Incident) -> String {
    match diagnosis.origin {
        Origin::Rule => format!("the rule {}; no model was asked", code(incident.failure.0)),
        Origin::Model => "a language model; its quotes stand word for word in the evidence below".to_owned(),
    }
}

/// How far the change reaches, in numbers.
fn risk(proposal: &Proposal) -> String {
    let changes = proposal.diagnosis.changes();
    let mut objects: Vec<String> = changes.iter().map(|change| object(&change.object)).collect();
    objects.sort();
    objects.dedup();
    let (fields, lines) = (count(changes.len(), "field"), count(diff::changed_lines(&proposal.files), "line"));
    let files = count(proposal.files.len(), "file");
    format!("{fields} of {}; {lines} in {files}", limited(objects.into_iter()).join(" and "))
}

fn undo(proposal: &Proposal) -> String {
    let mut old: Vec<String> = Vec::new();
    for change in proposal.diagnosis.changes() {
        let was = match &change.operation {
            Operation::Set { from, .. } | Operation::Remove { from } => code(&value(from)),
            Operation::Add { .. } => "absent".to_owned(),
        };
        if !old.contains(&was) {
            old.push(was);
        }
    }
    format!("revert the commit; before it was {}", limited(old.into_iter()).join(" and "))
}

/// The diff.
pub(super) fn change(proposal: &Proposal) -> String {
    fenced("diff", &diff::unified(&proposal.files), MAX_DIFF)
}

/// What the diagnosis rests on, word for word, with its source.
///
/// Here and elsewhere no colon of ours stands right after a word of others: `:tada` would become a picture.
pub(super) fn quotes(diagnosis: &Diagnosis, evidence: &Evidence, now: Timestamp) -> String {
    let shown = diagnosis.because.iter().map(|quote| {
        let item = evidence.items.get(quote.item);
        let source = item.map(|item| prose(&item.source.to_string())).unwrap_or_default();
        let at = item.and_then(|item| item.at).map(|at| format!(", {}", clock(at, now))).unwrap_or_default();
        format!("E{} {} ({source}{at})", quote.item + 1, code(&quote.text))
    });
    titled("Evidence", bullets(shown))
}

/// The confidence, and what it is made of. With what the policy asks for, where that decides something.
pub(super) fn sure(diagnosis: &Diagnosis, asked: Option<&Context<'_>>) -> String {
    let asks = asked
        .map(|ctx| format!(" ({} asks for {})", code(ctx.policy_file), ctx.minimum_confidence))
        .unwrap_or_default();
    let grounds =
        limited(diagnosis.grounds.iter().map(|ground| format!("{} ({})", prose(&ground.text), weight(ground))));
    let because = if grounds.is_empty() { String::new() } else { format!(": {}", grounds.join(" · ")) };
    format!("**How sure** {} of 100{asks}{because}", diagnosis.confidence)
}

fn weight(ground: &Ground) -> String {
    let words = match ground.weight {
        60.. => "strong",
        30..=59 => "fair",
        1..=29 => "weak",
        0 => "counts for nothing",
        _ => "speaks against it",
    };
    format!("{words}, {:+}", ground.weight)
}

/// What ran and held.
fn checked(verdict: &Verdict) -> String {
    if verdict.passed.is_empty() {
        return "**Checked** nothing.".to_owned();
    }
    format!("**Checked** {}", limited(verdict.passed.iter().map(|text| prose(text))).join(" · "))
}

/// Every other object that the edit changes, with its fields; empty when there is none.
fn also(proposal: &Proposal) -> String {
    let mut lines: Vec<String> = Vec::new();
    for feed in proposal.locations.iter().flat_map(|place| &place.also) {
        let line = format!(
            "{}: {} (rendered by {})",
            code(&feed.object.to_string()),
            code(&feed.field.to_string()),
            code(&feed.root)
        );
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    titled("The line feeds others: these change as well", bullets(lines.into_iter()))
}

/// What did not run. There is always something: whether it helps shows only afterwards.
pub(super) fn not_checked(not_run: &[String], unknown: &[String]) -> String {
    let mut all: Vec<String> = Vec::new();
    for text in not_run.iter().chain(unknown).map(|text| prose(text)) {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    let mut all = limited(all.into_iter());
    all.push("whether it cures the failure: that shows after the merge".to_owned());
    format!("**Not checked** {}", all.join(" · "))
}

pub(super) fn notes(notes: &[String]) -> String {
    titled("Good to know", bullets(notes.iter().map(|note| prose(note))))
}

fn not_done() -> String {
    "**Not done** The cluster was not touched. KubeCure does not merge.".to_owned()
}

/// What only some readers want: the way to the line, and the log.
fn details(proposal: &Proposal, evidence: &Evidence) -> String {
    let mut inside = String::new();
    let mut links: Vec<String> = Vec::new();
    for link in proposal.locations.iter().flat_map(|place| &place.chain) {
        let line = format!("{} {}", code(&format!("{}:{}", link.file, link.line)), prose(&link.what));
        if !links.contains(&line) {
            links.push(line);
        }
    }
    inside += &titled("From the live object to the line", bullets(links.into_iter()));
    inside += &log(&proposal.incident, evidence, None);
    folded("How the line was found, and the log", &inside)
}

/// The lines of the log that tell most, with their source. A line that the page shows already is only named.
pub(super) fn log(incident: &Incident, evidence: &Evidence, shown_above: Option<&str>) -> String {
    let Some(log) = logs::telling(evidence, incident.first()) else { return String::new() };
    let above = |line: &str| shown_above.is_some_and(|words| !words.is_empty() && line.contains(words));
    let short = |line| if above(line) { "… the line that is shown above" } else { line };
    let lines: Vec<&str> = logs::decisive(log).into_iter().map(short).collect();
    let hidden = match evidence.redactions {
        0 => String::new(),
        n => format!("; {} hidden in all evidence", count(n, "value")),
    };
    let all = log.lines.len();
    let which = if lines.len() == all { count(all, "line") } else { format!("{} of {all} lines", lines.len()) };
    let run = if log.key.previous { "The log of the run before" } else { "The log" };
    let (container, pod) = (code(&log.key.container), code(&log.key.pod.path()));
    let lines = fenced("text", &lines.join("\n"), 7_000);
    format!("**{run}** of container {container} in pod {pod} ({which}{hidden}):\n\n{lines}\n")
}

/// The policy's own sections.
fn sections(proposal: &Proposal, ctx: &Context<'_>) -> String {
    let help = text::title(proposal, &Context { subject: Some("{help}"), ..*ctx });
    let mut out = String::new();
    for section in ctx.sections {
        let filled = text::filled_with(&section.text, proposal, &help, prose);
        let _ = write!(out, "### {}\n\n{}\n\n", section.title.trim(), filled.trim());
    }
    out
}

/// How to say no, and what happens next.
fn controls(incident: &Incident) -> String {
    let who = text::limited_names(incident);
    format!(
        "Wrong? Close it: it will not come back as long as the line has this value. Rather another value? Push it to this \
         branch: KubeCure then leaves it alone.\nMerged and applied, and {who} still fails? Then KubeCure opens an Issue, not \
         a second pull request."
    )
}

/// What a machine reads back: one hidden line.
fn machine(proposal: &Proposal, fingerprint: &Fingerprint, ctx: &Context<'_>) -> String {
    let finding = proposal.incident.first();
    hidden(&json!({
        "v": 1,
        "fp": fingerprint.0,
        "failure": proposal.incident.failure.0,
        "cluster": bounded(ctx.cluster),
        "workloads": names(&proposal.incident),
        "container": finding.container.as_deref().map(bounded),
        "base": proposal.base.as_deref().map(bounded),
    }))
}

/// A name for a machine, bounded.
pub(super) fn bounded(text: &str) -> String {
    cut(&one_line(text), 330)
}

/// Workloads for a machine, as many as fit in a line.
pub(super) fn names(incident: &Incident) -> Vec<String> {
    let mut room = 6_000_usize;
    let names = incident.workloads().into_iter().map(|workload| bounded(&workload.to_string()));
    let fits = |name: &String| {
        room = room.saturating_sub(name.len());
        room > 0
    };
    names.take_while(fits).collect()
}

/// A list of lines; nothing when there are none.
pub(super) fn bullets(lines: impl Iterator<Item = String>) -> String {
    limited(lines).iter().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "- {line}");
        out
    })
}

/// At most so many, with a last one that says how many more.
pub(super) fn limited(lines: impl Iterator<Item = String>) -> Vec<String> {
    // An empty point would make a heading of the line before it.
    let mut all: Vec<String> = lines.filter(|line| !line.trim().is_empty()).collect();
    if all.len() > MAX_LIST {
        let more = all.len() - MAX_LIST;
        all.truncate(MAX_LIST);
        all.push(format!("… and {more} more"));
    }
    all
}

/// A part with its title; nothing when it says nothing.
pub(super) fn titled(title: &str, text: String) -> String {
    if text.is_empty() { text } else { format!("**{title}**\n\n{text}\n") }
}

/// What is folded away.
pub(super) fn folded(summary: &str, inside: &str) -> String {
    if inside.trim().is_empty() {
        return String::new();
    }
    format!("<details><summary>{summary}</summary>\n\n{}\n\n</details>", inside.trim_end())
}

#[cfg(test)]
mod tests;
