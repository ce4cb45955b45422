//! A change in, its words out: the title, the commit message, the sentence.

use serde_json::Value;

use super::markdown::{code, cut, one_line, plain, prose};
use super::{CASE_TRAILER, Context, FIX_TRAILER, SOURCE_TRAILER, diff};
use crate::case::{Change, Cure, Declined, Fingerprint, Incident, Operation, Origin, Proposal};
use crate::yaml::{FieldPath, Step};

/// A title or subject is at most this long where it can be.
const SUBJECT: usize = 72;
/// An issue's title is no commit subject and has a little more room.
const ISSUE_TITLE: usize = 100;
/// Workloads that a commit names; a cause that hits more is told by its first.
const CASES: usize = 200;
/// Forges take no longer title.
const MAX_TITLE: usize = 255;

/// A field in words: `memory limit`, and the container that it is of.
#[derive(Debug, PartialEq)]
struct Field {
    words: String,
    container: Option<String>,
}

fn field(path: &FieldPath) -> Field {
    let steps = path.steps();
    let found = steps.windows(2).enumerate().find_map(|(at, pair)| match pair {
        [Step::Key(key), Step::Named { value, .. }] if key == "containers" || key == "initContainers" => {
            Some((at, value))
        }
        _ => None,
    });
    let Some((at, container)) = found else {
        let keys: Vec<String> =
            steps.iter().map(step).filter(|key| !matches!(key.as_str(), "spec" | "template")).collect();
        return Field { words: keys.join(" "), container: None };
    };
    let rest: Vec<String> = steps[at + 2..].iter().map(step).collect();
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let words = match rest.as_slice() {
        ["resources", "limits", what] => format!("{what} limit"),
        ["resources", "requests", what] => format!("{what} request"),
        ["env", name, "name"] => format!("name of variable {name}"),
        ["env", name, "value"] => format!("variable {name}"),
        ["env", name, "valueFrom", .., "key"] => format!("key of variable {name}"),
        ["env", name, "valueFrom", .., "name"] => format!("source of variable {name}"),
        [probe @ ("readinessProbe" | "livenessProbe" | "startupProbe"), .., what] => {
            format!("{} {}", spaced(probe), spaced(what))
        }
        [] => "whole".to_owned(),
        other => other.join(" "),
    };
    Field { words, container: Some(container.clone()) }
}

fn step(step: &Step) -> String {
    match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => index.to_string(),
        Step::Named { value, .. } => value.clone(),
    }
}

/// `readinessProbe` as `readiness probe`
fn spaced(camel: &str) -> String {
    camel.chars().flat_map(|c| c.is_uppercase().then_some(' ').into_iter().chain(c.to_lowercase())).collect()
}

/// A value as a person would say it.
pub fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The words around one change: `memory limit`, `from 64Mi to 128Mi`.
struct Words {
    verb: &'static str,
    field: Field,
    values: String,
}

fn words(change: &Change, cure: &Cure) -> Words {
    let mut field = field(&change.path);
    let verb = verb(change, cure);
    let values = match &change.operation {
        Operation::Set { from, to } => {
            let (mut from, mut to) = (value(from), value(to));
            // Two images that differ in the tag only: the rest is in the diff.
            if field.words == "image"
                && let (Some((before, from_tag)), Some((after, to_tag))) = (from.rsplit_once(':'), to.rsplit_once(':'))
                && before == after
                && !from_tag.contains('/')
            {
                (from, to) = (from_tag.to_owned(), to_tag.to_owned());
                field.words.push_str(" tag");
            }
            format!("from {from} to {to}")
        }
        Operation::Add { value: new } => {
            format!("{}{}", if new.is_object() || new.is_array() { "as " } else { "" }, value(new))
        }
        Operation::Remove { from } => format!("(was {})", value(from)),
    };
    Words { verb, field, values }
}

fn verb(change: &Change, cure: &Cure) -> &'static str {
    match (&change.operation, cure) {
        (Operation::Add { .. }, _) => "add",
        (Operation::Remove { .. }, _) => "remove",
        (Operation::Set { .. }, Cure::Revert { .. }) => "restore",
        // The rule knows which way it goes.
        (Operation::Set { .. }, Cure::Repair { help, .. }) if help.starts_with("raise") => "raise",
        (Operation::Set { .. }, Cure::Repair { help, .. }) if help.starts_with("lower") => "lower",
        (Operation::Set { .. }, _) => "change",
    }
}

/// What a diagnosis changes, in few words, the longest wording that leaves room.
fn change_words(proposal: &Proposal, room: usize) -> String {
    let cure = &proposal.diagnosis.cure;
    let all: Vec<Words> = proposal.diagnosis.changes().iter().map(|change| words(change, cure)).collect();
    let Some(first) = all.first() else { return "change nothing".to_owned() };
    let alike = are_alike(&all);
    let fields = if alike { joined_fields(&all) } else { first.field.words.clone() };
    let more = if alike { String::new() } else { format!(", and {} more", all.len() - 1) };
    let of = first.field.container.as_ref().map(|name| format!(" of container {name}")).unwrap_or_default();
    // The new value says most; what it was stands in the diff.
    let to = first.values.find(" to ").map_or(first.values.as_str(), |at| &first.values[at + 1..]);
    let candidates = [
        format!("{} {fields}{of} {}{more}", first.verb, first.values),
        format!("{} {fields} {}{more}", first.verb, first.values),
        format!("{} {fields}{of} {to}{more}", first.verb),
        format!("{} {fields} {to}{more}", first.verb),
        format!("{} {fields}{of}{more}", first.verb),
        format!("{} {fields}{more}", first.verb),
    ];
    let fits = |text: &&String| text.chars().count() <= room;
    candidates.iter().find(fits).unwrap_or(&candidates[5]).trim().to_owned()
}

/// Whether several fields of one container get the same value: then they are one phrase.
fn are_alike(all: &[Words]) -> bool {
    let same =
        |a: &Words, b: &Words| (&a.values, a.verb, &a.field.container) == (&b.values, b.verb, &b.field.container);
    all.windows(2).all(|pair| same(&pair[0], &pair[1]))
}

/// `memory limit and request`: what two fields share is said once.
fn joined_fields(all: &[Words]) -> String {
    let mut out = String::new();
    let mut last = "";
    for words in all {
        let (first, rest) = words.field.words.split_once(' ').unwrap_or((&words.field.words, ""));
        if !out.is_empty() {
            out.push_str(" and ");
        }
        out.push_str(if first == last && !rest.is_empty() { rest } else { &words.field.words });
        last = first;
    }
    out
}

/// The title of a pull request, which is the subject of its commit: workload and change.
pub fn title(proposal: &Proposal, ctx: &Context<'_>) -> String {
    let template = ctx.subject.unwrap_or("{workload}: {help}");
    let without = filled(template, proposal, "");
    let room = SUBJECT.saturating_sub(without.chars().count());
    cut(&one_line(&filled(template, proposal, &change_words(proposal, room))), MAX_TITLE)
}

/// A policy's line with its placeholders filled in. The policy's own words stay as they are.
fn filled(template: &str, proposal: &Proposal, help: &str) -> String {
    filled_with(template, proposal, help, |value| plain(value, MAX_TITLE))
}

/// A policy's text with its placeholders filled in, each as `show` writes it.
pub fn filled_with(template: &str, proposal: &Proposal, help: &str, show: impl Fn(&str) -> String) -> String {
    let finding = proposal.incident.first();
    let file = proposal.files.first().map(|file| file.path.as_str()).unwrap_or_default();
    let mut out = String::new();
    let mut rest = template;
    // One pass: what is filled in is not read again, whatever braces it has.
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let word = rest.find('}').map(|end| &rest[1..end]);
        let value = match word {
            Some("help") => help.to_owned(),
            Some("failure") => proposal.incident.failure.to_string(),
            Some("kind") => finding.workload.kind.clone(),
            Some("namespace") => finding.workload.ns().to_owned(),
            Some("name") => finding.workload.name.clone(),
            Some("workload") => who(&proposal.incident),
            Some("container") => finding.container.clone().unwrap_or_default(),
            Some("file") => file.to_owned(),
            _ => {
                out.push('{');
                rest = &rest[1..];
                continue;
            }
        };
        out.push_str(&show(&value));
        rest = &rest[word.map_or(1, |word| word.len() + 2)..];
    }
    out + rest
}

/// `shop/web`, `shop/ads and shop/fraud`, `shop/ads and 9 more`
pub fn who(incident: &Incident) -> String {
    let all: Vec<String> = incident.workloads().iter().map(|workload| workload.path()).collect();
    match all.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    }
}

/// Every workload, safe for Markdown, and no more than fit in a sentence.
pub fn limited_names(incident: &Incident) -> String {
    match incident.workloads().as_slice() {
        [one] => super::body::object(one),
        all => count(all.len(), "workload"),
    }
}

/// The title of an issue.
pub fn issue_title(incident: &Incident, declined: &Declined) -> String {
    let symptom = &incident.first().symptom;
    // What stands in parentheses is a count, and is in the body.
    let short = symptom.split(" (").next().unwrap_or(symptom);
    let (what, shorter) = match (declined, &incident.shared) {
        (Declined::InjectionSuspected { .. }, _) => ("a log line reads like an instruction".to_owned(), None),
        (_, Some(shared)) => (format!("{short} ({shared})"), Some(shared.to_string())),
        _ => (short.to_owned(), None),
    };
    let title = |what: &str| plain(&format!("Needs a person: {}: {what}", who(incident)), MAX_TITLE);
    let full = title(&what);
    match shorter {
        Some(shorter) if full.chars().count() > ISSUE_TITLE => title(&shorter),
        _ => full,
    }
}

/// The changes as the second sentence of a pull request, in Markdown.
pub fn sentence(proposal: &Proposal) -> String {
    let changes = proposal.diagnosis.changes();
    let all: Vec<Words> = changes.iter().map(|change| words(change, &proposal.diagnosis.cure)).collect();
    let mut parts: Vec<String> =
        all.iter().zip(changes).map(|(words, change)| phrase(&words.field.words, words, change)).collect();
    if let ([first, ..], true) = (all.as_slice(), are_alike(&all)) {
        parts = vec![phrase(&joined_fields(&all), first, &changes[0])];
    }
    let parts = match parts.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        all => all.concat(),
    };
    let back = match &proposal.diagnosis.cure {
        Cure::Revert { revision, .. } => format!(", as it was in {}", prose(&revision_words(revision))),
        _ => String::new(),
    };
    let lines = diff::changed_lines(&proposal.files);
    let rest =
        if lines > changes.len() { format!("{lines} lines change.") } else { "Nothing else changes.".to_owned() };
    format!("This {parts}{back}. {rest}")
}

/// A bare number is said to be a revision.
fn revision_words(revision: &str) -> String {
    if revision.chars().all(|c| c.is_ascii_digit()) { format!("revision {revision}") } else { revision.to_owned() }
}

/// `raises the memory limit of container web from 64Mi to 128Mi`
fn phrase(fields: &str, words: &Words, change: &Change) -> String {
    let of = words.field.container.as_ref().map(|name| format!(" of container {}", code(name))).unwrap_or_default();
    let what = format!("the {}{of}", prose(fields));
    match &change.operation {
        Operation::Set { from, to } => {
            format!("{}s {what} from {} to {}", words.verb, code(&value(from)), code(&value(to)))
        }
        Operation::Add { value: new } => format!("adds {what}, {}", code(&value(new))),
        Operation::Remove { from } => format!("removes {what}, which is {}", code(&value(from))),
    }
}

/// `1 line`, `2 lines`
pub fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Subject, why, trailers.
pub fn commit_message(title: &str, proposal: &Proposal, fingerprint: &Fingerprint, ctx: &Context<'_>) -> String {
    let incident = &proposal.incident;
    let finding = incident.first();
    let container = finding.container.as_ref().map(|name| format!("Container {name} of ")).unwrap_or_default();
    let said_by = match proposal.diagnosis.origin {
        Origin::Rule => format!("the rule {}", incident.failure),
        Origin::Model => "a language model".to_owned(),
    };
    let cause = capital(proposal.diagnosis.cause.trim_end_matches('.'));
    let why = [
        format!("{container}{} {}. {cause}.", finding.workload, finding.symptom.trim_end_matches('.')),
        format!("Said by {said_by}, with a confidence of {} of 100.", proposal.diagnosis.confidence),
    ];
    let paragraphs: Vec<String> = why.iter().map(|text| wrapped(&plain(&text.replace('`', ""), 1_000))).collect();
    let mut trailers = vec![format!("{FIX_TRAILER}: {fingerprint}")];
    let workloads = incident.workloads().into_iter().take(CASES);
    trailers.extend(workloads.map(|workload| {
        let parts = [incident.failure.0, &workload.kind, &workload.path()].map(trailer_value);
        format!("{CASE_TRAILER}: {}", parts.join("/"))
    }));
    let sources = proposal
        .locations
        .iter()
        .map(|place| format!("{SOURCE_TRAILER}: {}", trailer_value(&format!("{}#{}", place.file, place.path))));
    trailers.extend(sources);
    trailers.extend(ctx.trailers.iter().map(|(key, value)| format!("{}: {}", trailer_value(key), plain(value, 200))));
    format!("{title}\n\n{}\n\n{}\n", paragraphs.join("\n\n"), trailers.join("\n"))
}

/// Text with a capital at its start.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| format!("{}{}", first.to_uppercase(), chars.as_str()))
}

/// A value of a trailer is one word: neither a line break nor `[skip ci]` gets into it.
fn trailer_value(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c }).collect();
    cut(&text.replace(' ', "%20"), 500)
}

/// Text in lines of at most 72 characters, as far as its words allow.
fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= SUBJECT => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_as_people_name_it() {
        for (path, words, container) in [
            ("spec.template.spec.containers[name=web].resources.limits.memory", "memory limit", Some("web")),
            ("spec.template.spec.containers[name=web].image", "image", Some("web")),
            ("spec.template.spec.containers[name=o].env[name=QUEUE_URI].name", "name of variable QUEUE_URI", Some("o")),
            (
                "spec.template.spec.containers[name=p].env[name=DB].valueFrom.configMapKeyRef.key",
                "key of variable DB",
                Some("p"),
            ),
            ("spec.template.spec.containers[name=c].readinessProbe.httpGet.port", "readiness probe port", Some("c")),
            ("spec.selector.app", "selector app", None),
        ] {
            let want = Field { words: words.to_owned(), container: container.map(ToOwned::to_owned) };
            assert_eq!(field(&path.parse().unwrap()), want);
        }
    }

    #[test]
    fn a_long_text_is_wrapped_at_72() {
        let text = wrapped(&"word ".repeat(40));
        assert!(text.lines().all(|line| line.chars().count() <= 72), "{text}");
        assert_eq!(text.split_whitespace().count(), 40);
    }

    #[test]
    fn a_trailer_is_one_line_and_one_word() {
        assert_eq!(trailer_value("a b\nKubeCure-Fix: 1"), "a%20b%20KubeCure-Fix:%201");
    }
}
