//! One case in, its block out: title, places, help and diff, notes.

use std::fmt::Write;

use super::View;
use super::pen::Pen;
use super::place::{self, Label, Mark};
use crate::case::{
    Case, Change, Cure, Declined, Diagnosis, EntryKind, Evidence, ItemSource, ObjectRef, Operation, Origin, Quote,
    Receipt, Request, Ruling, Shared, SourceLocation,
};
use crate::report::diff::{self, Line};
use crate::report::{plain, tally};
use crate::yaml::Step;

/// Quotes shown; more than these no one reads.
const QUOTES_SHOWN: usize = 4;
/// Lines of one file's diff shown. An edit is small; what is not is read in the pull request.
const DIFF_LINES_SHOWN: usize = 40;
/// Columns of one quote. A log line can be a whole stack trace.
const QUOTE_COLUMNS: usize = 240;

/// The block of one case.
pub fn of(case: &Case, view: &View, pen: &Pen) -> String {
    let why = tally::why(case);
    let marks = marks(case, why.as_deref());
    let changed = changed(case);
    let last = changed.iter().flat_map(|(_, lines)| lines).map(Line::number).max().unwrap_or(1);
    let places = place::render(case, view.sources, &marks, pen, last.to_string().len());
    // What stands under the caret need not stand in the title, too.
    let symptom = Symptom::of(case);
    let shown = places.as_ref().is_some_and(|places| places.label_shown) && symptom.label.is_some();

    let shared = shared_title(case);
    let whole = shared.clone().unwrap_or_else(|| title(case, symptom.whole));
    let too_long = plain::width(&whole) + case.incident.failure.0.len() + "error[]: ".len() > pen.width;
    let title = if shared.is_none() && (shown || too_long) { title(case, symptom.main) } else { whole };

    let mut out = pen.error(case.incident.failure.0, &title);
    let digits = places.as_ref().map_or(last.to_string().len(), |places| places.digits);
    if let Some(places) = &places {
        out += &places.text;
    }
    out += &pen.bar(digits);
    if !changed.is_empty() {
        out += &pen.help(&help(case, pen.width));
        out += &diff_lines(case, &changed, digits, pen);
        out += &pen.bar(digits);
    }
    let repeated = places.is_some_and(|places| places.label_shown) && symptom.label.is_none();
    if let Some(rest) = symptom.label.filter(|_| too_long && !shown && shared.is_none()) {
        out += &pen.note(digits, "symptom", &[rest.to_owned()]);
    }
    for (name, texts) in notes(case, why.as_deref(), repeated) {
        out += &pen.note(digits, name, &texts);
    }
    out
}

/// "keeps running out of memory: killed 6 times" or "... (killed 6 times)": the end goes under the caret, where there is one.
struct Symptom<'a> {
    whole: &'a str,
    main: &'a str,
    label: Option<&'a str>,
}

impl<'a> Symptom<'a> {
    fn of(case: &'a Case) -> Self {
        let whole = case.incident.first().symptom.as_str();
        // A colon inside of parentheses belongs to what they hold; of nested parentheses, the last is an inner one.
        let split_at = |(at, _): (usize, &str)| {
            let (main, rest) = whole.split_at(at);
            (opened(main) == 0).then_some((main, &rest[": ".len()..]))
        };
        let at_colon = whole.match_indices(": ").find_map(split_at);
        let in_parentheses = || whole.strip_suffix(')')?.rsplit_once(" (").filter(|(main, _)| opened(main) == 0);
        let split = at_colon.or_else(in_parentheses);
        Self { whole, main: split.map_or(whole, |(main, _)| main), label: split.map(|(_, label)| label) }
    }

    /// Where the symptom has none, the first quote is what the evidence says.
    fn under_caret(&self, case: &'a Case) -> &'a str {
        let quote = case.diagnosis.as_ref().and_then(|diagnosis| diagnosis.because.first());
        self.label.or(quote.map(|quote| quote.text.as_str())).unwrap_or_default()
    }
}

/// Parentheses that are open at the end of a text.
fn opened(text: &str) -> usize {
    text.matches('(').count().saturating_sub(text.matches(')').count())
}

/// "container `web` of Deployment shop/web keeps running out of memory"
fn title(case: &Case, symptom: &str) -> String {
    let first = case.incident.first();
    let mut subject = match &first.container {
        Some(container) => format!("container `{container}` of {}", first.workload),
        None => first.workload.to_string(),
    };
    match case.incident.workloads().len() - 1 {
        0 => {}
        1 => subject += " (and 1 more workload)",
        more => {
            let _ = write!(subject, " (and {more} more workloads)");
        }
    }
    plain::cut(&plain::inline(&format!("{subject} {symptom}")), 240).into_owned()
}

/// "registry vendor.example does not answer: 2 workloads cannot pull their images": several workloads with one cause
/// are told by the cause.
fn shared_title(case: &Case) -> Option<String> {
    let shared = case.incident.shared.as_ref()?;
    let workloads = case.incident.workloads().len();
    if workloads < 2 {
        return None;
    }
    let name = shared.to_string();
    // What the first finding says of it, without counts of its own pods.
    let said = Symptom::of(case).label.filter(|label| label.starts_with(&name));
    let said = said.map(|label| label.split_once(" (").map_or(label, |(said, _)| said).to_owned());
    let (what, they) = match shared {
        Shared::Registry { .. } => (said.unwrap_or(name), "cannot pull their images"),
        Shared::Node(_) => (said.unwrap_or_else(|| format!("{name} is not ready")), "fail on it"),
        Shared::Quota { .. } => (said.unwrap_or_else(|| format!("{name} is used up")), "get no more pods"),
        Shared::Missing(object) => (format!("{object} does not exist"), "wait for it"),
        Shared::Webhook(_) => (said.unwrap_or_else(|| format!("{name} does not answer")), "get no pods"),
    };
    Some(plain::cut(&plain::inline(&format!("{what}: {workloads} workloads {they}")), 240).into_owned())
}

/// The places to show: those of the cure, or those between which nothing decides.
fn marks<'a>(case: &'a Case, why: Option<&'a Declined>) -> Vec<Mark<'a>> {
    match why {
        Some(Declined::Ambiguous { places, .. }) => places
            .iter()
            .enumerate()
            .map(|(i, location)| {
                let label = if i == 0 { "it could be this one" } else { "or this one" };
                Mark { location, label: Label::About(label.to_owned()), primary: true }
            })
            .collect(),
        Some(Declined::Blocked { location: Some(location), .. }) => {
            vec![Mark { location, label: Label::About("cannot be edited".to_owned()), primary: true }]
        }
        _ => {
            let proposed = case.proposal.as_ref().map(|proposal| proposal.locations.as_slice());
            let locations = proposed.unwrap_or(&case.locations);
            locations.iter().enumerate().map(|(i, location)| mark(case, i, location)).collect()
        }
    }
}

/// The change that the symptom points to: the first, but a request is changed because its limit is.
fn main_change(changes: &[Change]) -> usize {
    let follows = |change: &Change| change.path.steps().contains(&Step::Key("requests".to_owned()));
    changes.iter().position(|change| !follows(change)).unwrap_or(0)
}

/// The main change has the evidence under its caret; the others come with it.
fn mark<'a>(case: &'a Case, index: usize, location: &'a SourceLocation) -> Mark<'a> {
    let changes = case.diagnosis.as_ref().map_or(&[][..], Diagnosis::changes);
    let change = changes.get(index);
    let primary = index == main_change(changes);
    let added = match change.map(|change| &change.operation) {
        Some(Operation::Add { .. }) => location.path.steps().last().and_then(|step| match step {
            Step::Key(key) => Some(format!("`{key}` goes after this")),
            _ => None,
        }),
        _ => None,
    };
    let label = match added {
        Some(added) => Label::About(added),
        None if primary => Label::Evidence(Symptom::of(case).under_caret(case).to_owned()),
        None => Label::About("changes with it".to_owned()),
    };
    Mark { location, label, primary }
}

/// The lines that differ, file by file.
fn changed(case: &Case) -> Vec<(&str, Vec<Line<'_>>)> {
    let files = case.proposal.iter().flat_map(|proposal| &proposal.files);
    files.map(|file| (file.path.as_str(), diff::changed_lines(&file.before, &file.after))).collect()
}

fn diff_lines(case: &Case, changed: &[(&str, Vec<Line>)], digits: usize, pen: &Pen) -> String {
    let shown_above = case.proposal.iter().flat_map(|proposal| &proposal.locations).next();
    let mut out = String::new();
    for (i, (path, lines)) in changed.iter().enumerate() {
        if i > 0 {
            out += &pen.bar(digits);
        }
        // The file is named where it is not plain from the place above.
        if changed.len() > 1 || shown_above.is_none_or(|location| location.file != *path) {
            out += &pen.file(digits, path);
        }
        out += &pen.bar(digits);
        out.extend(lines.iter().take(DIFF_LINES_SHOWN).map(|line| pen.diff_line(digits, line)));
        if let more @ 1.. = lines.len().saturating_sub(DIFF_LINES_SHOWN) {
            out += &pen.note(digits, "note", &[format!("and {more} lines more")]);
        }
    }
    out
}

/// "raise the limit to 128Mi   (rule, 92 sure; allowed by .kubecure/policy.yaml)"
fn help(case: &Case, width: usize) -> String {
    let Some(diagnosis) = &case.diagnosis else { return "change these lines".to_owned() };
    let mut about = vec![format!("{}, {} sure", origin(diagnosis.origin), diagnosis.confidence)];
    let help = match &diagnosis.cure {
        Cure::Repair { help, .. } => help.as_str(),
        Cure::Revert { help, revision, .. } => {
            if !help.contains(revision.as_str()) {
                about.push(format!("as in revision {revision}"));
            }
            help
        }
        Cure::Person(_) => "change these lines",
    };
    let by = case.policy.as_deref();
    match case.verdict.as_ref().map(|verdict| verdict.ruling) {
        Some(Ruling::Allow) => about.push(by.map_or_else(|| "allowed".to_owned(), |by| format!("allowed by {by}"))),
        Some(Ruling::Hold) => about.push("held".to_owned()),
        Some(Ruling::Deny) => about.push("denied".to_owned()),
        None => {}
    }
    let (help, about) = (plain::inline(help), about.join("; "));
    let (help, about) = (plain::cut(&help, 200), plain::inline(&about));
    let fits = plain::width(&help) + plain::width(&about) + "help:    ()".len() <= width;
    format!("{help}{}({about})", if fits { "   " } else { "\n" })
}

/// Who says so, in the word that the help line has.
pub fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Rule => "rule",
        Origin::Model => "model",
    }
}

type Note = (&'static str, Vec<String>);

/// Everything below the diff, what decides first.
fn notes(case: &Case, why: Option<&Declined>, repeated: bool) -> Vec<Note> {
    let mut notes: Vec<Note> = vec![("workloads", workloads(case))];
    if let Some(why) = why {
        notes.push(("note", vec![format!("why there is no pull request: {} ({})", reason(why), why.code())]));
    }
    notes.push(("note", held(case)));
    if let Some(diagnosis) = &case.diagnosis {
        let said = why.is_some_and(|why| reason(why).contains(diagnosis.cause.as_str()));
        notes.push(("cause", if said { Vec::new() } else { vec![diagnosis.cause.clone()] }));
    }
    notes.push(("evidence", evidence(case, why, repeated)));
    if let Some(diagnosis) = &case.diagnosis {
        notes.push(("grounds", grounds(diagnosis)));
        notes.extend(diagnosis.notes.iter().map(|note| ("note", vec![note.clone()])));
    }
    notes.push(("also changes", also(case)));
    notes.push(("found by", chain(case)));
    notes.push(("not checked", unchecked(case)));
    if let Some(Declined::Undiagnosed { looked_at, needed } | Declined::Unanswered { looked_at, needed, .. }) = why {
        let or_nothing = |text: String| if text.is_empty() { Vec::new() } else { vec![text] };
        notes.push(("looked at", or_nothing(looked_at.join(", "))));
        notes.push(("missing", or_nothing(needed.clone())));
    }
    if let Some(why) = why {
        notes.push(("next", ranked(next_steps(case, why))));
    }
    notes.extend(receipt(case));
    notes.retain(|(_, texts)| !texts.is_empty());
    notes
}

/// All workloads of an incident that has several; the title says what makes them one.
fn workloads(case: &Case) -> Vec<String> {
    let workloads = case.incident.workloads();
    if workloads.len() < 2 {
        return Vec::new();
    }
    let names: Vec<String> = workloads.iter().map(ToString::to_string).collect();
    vec![names.join(", ")]
}

/// A reason in words, without the places and quotes that stand elsewhere in the block.
fn reason(why: &Declined) -> String {
    match why {
        Declined::Undiagnosed { .. } => "the evidence does not establish a cause".to_owned(),
        Declined::Ambiguous { what, places } => {
            format!("{what} is set in {} places, and nothing says which counts", places.len())
        }
        Declined::Blocked { why, .. } => why.clone(),
        Declined::InjectionSuspected { .. } => {
            "a line of the evidence reads like an instruction to a machine".to_owned()
        }
        Declined::NeedsPerson { .. }
        | Declined::Unanswered { .. }
        | Declined::NotInGit { .. }
        | Declined::Denied(_)
        | Declined::Excluded { .. } => why.to_string(),
    }
}

fn held(case: &Case) -> Vec<String> {
    let Some(verdict) = case.verdict.as_ref().filter(|verdict| verdict.ruling == Ruling::Hold) else {
        return Vec::new();
    };
    let mut reasons: Vec<&str> = verdict
        .reasons
        .iter()
        .filter(|reason| reason.ruling == Ruling::Hold)
        .map(|reason| reason.text.as_str())
        .collect();
    if let (true, Some(Cure::Repair { hold: Some(hold), .. })) =
        (reasons.is_empty(), case.diagnosis.as_ref().map(|d| &d.cure))
    {
        reasons.push(hold);
    }
    reasons.iter().map(|reason| format!("held: {reason}")).collect()
}

/// Quotes with the number and the source of each; for a cause that is not known, the lines that say most.
///
/// `repeated` when the first stands whole under the caret.
fn evidence(case: &Case, why: Option<&Declined>, repeated: bool) -> Vec<String> {
    let Some(evidence) = &case.evidence else { return Vec::new() };
    let mut quotes: Vec<Quote> = Vec::new();
    if let Some(Declined::InjectionSuspected { quote }) = why {
        quotes.push(quote.clone());
    }
    for quote in case.diagnosis.iter().flat_map(|diagnosis| &diagnosis.because) {
        if !quotes.contains(quote) && !quote.text.is_empty() {
            quotes.push(quote.clone());
        }
    }
    if quotes.is_empty() {
        quotes = telling_lines(evidence);
    }
    let mut lines: Vec<String> = Vec::new();
    for (i, quote) in quotes.iter().take(QUOTES_SHOWN).enumerate() {
        let source = evidence.items.get(quote.item).map(|item| item.source.to_string()).unwrap_or_default();
        let text = plain::inline(&quote.text);
        let text = plain::cut(&text, QUOTE_COLUMNS);
        let mark = if text.contains('"') { '\'' } else { '"' };
        lines.push(if repeated && i == 0 {
            format!("E{} {source}: as under the caret", quote.item + 1)
        } else {
            format!("E{} {source}: {mark}{text}{mark}", quote.item + 1)
        });
    }
    if quotes.len() > QUOTES_SHOWN {
        lines.push(format!("and {} more", quotes.len() - QUOTES_SHOWN));
    }
    lines
}

/// The last log lines that complain; the last ones at all, if none does.
fn telling_lines(evidence: &Evidence) -> Vec<Quote> {
    const COMPLAINTS: [&str; 6] = ["error", "fatal", "panic", "exception", "failed", "denied"];
    let logs = || {
        let items = evidence.items.iter().enumerate().rev();
        items.filter(|(_, item)| matches!(item.source, ItemSource::LogLine(_)))
    };
    let complains = |text: &str| {
        let text = text.to_ascii_lowercase();
        COMPLAINTS.iter().any(|word| text.contains(word))
    };
    let mut lines: Vec<_> = logs().filter(|(_, item)| complains(&item.text)).take(2).collect();
    if lines.is_empty() {
        lines = logs().take(2).collect();
    }
    lines.reverse();
    lines.iter().map(|(item, of)| Quote { item: *item, text: of.text.clone() }).collect()
}

fn grounds(diagnosis: &Diagnosis) -> Vec<String> {
    let grounds: Vec<String> =
        diagnosis.grounds.iter().map(|ground| format!("{} ({:+})", ground.text, ground.weight)).collect();
    if grounds.is_empty() { Vec::new() } else { vec![grounds.join("; ")] }
}

/// What else the edit changes.
fn also(case: &Case) -> Vec<String> {
    let feeds = case.proposal.iter().flat_map(|proposal| &proposal.locations).flat_map(|place| &place.also);
    let mut all: Vec<String> = feeds.map(|feed| format!("{} `{}` ({})", feed.object, feed.field, feed.root)).collect();
    all.dedup();
    all
}

/// The way from the live object to its line, where it is not plain from the place alone.
fn chain(case: &Case) -> Vec<String> {
    let locations = case.proposal.as_ref().map_or(&case.locations, |proposal| &proposal.locations);
    let Some(location) = locations.first().filter(|location| location.chain.len() > 1) else { return Vec::new() };
    let links: Vec<String> =
        location.chain.iter().map(|link| format!("{}:{} ({})", link.file, link.line, link.what)).collect();
    vec![links.join(" -> ")]
}

fn unchecked(case: &Case) -> Vec<String> {
    let mut all: Vec<&str> =
        case.diagnosis.iter().flat_map(|diagnosis| &diagnosis.unchecked).map(String::as_str).collect();
    for more in case.verdict.iter().flat_map(|verdict| &verdict.not_checked) {
        if !all.contains(&more.as_str()) {
            all.push(more);
        }
    }
    if all.is_empty() { Vec::new() } else { vec![all.join("; ")] }
}

/// What a person can do, most promising first.
pub fn next_steps(case: &Case, why: &Declined) -> Vec<String> {
    let workload = &case.incident.first().workload;
    let target = format!("{}/{}", workload.kind.to_ascii_lowercase(), workload.name);
    let target = plain::shell_word(&target);
    let space = workload.namespace.as_ref().map(|namespace| format!(" -n {}", plain::shell_word(namespace)));
    let space = space.unwrap_or_default();
    match why {
        Declined::NeedsPerson { next, .. } => next.clone(),
        Declined::Undiagnosed { .. } | Declined::Unanswered { .. } => {
            let describe = format!("kubectl describe {}{space}", target.replacen('/', " ", 1));
            read_log(case)
                .map(|(log, previous)| format!("kubectl {log}{space}{previous}"))
                .into_iter()
                .chain([describe])
                .collect()
        }
        Declined::InjectionSuspected { quote } => {
            let item = case.evidence.as_ref().and_then(|evidence| evidence.items.get(quote.item));
            let log = match item.map(|item| &item.source) {
                Some(ItemSource::LogLine(key)) => Some(log_command(&key.pod, Some(&key.container), key.previous)),
                _ => read_log(case),
            };
            let log = log.map(|(log, previous)| format!("kubectl {log}{space}{previous}"));
            let look = log.unwrap_or_else(|| format!("kubectl describe {}{space}", target.replacen('/', " ", 1)));
            vec![format!("read it as a person: `{look}`")]
        }
        Declined::Ambiguous { .. } => vec!["keep the declaration that is applied, and remove the other".to_owned()],
        Declined::Excluded { .. } => {
            vec![format!("see which policy decides: `kubecure policy explain {target}{space}`")]
        }
        Declined::NotInGit { .. } | Declined::Blocked { .. } | Declined::Denied(_) => Vec::new(),
    }
}

/// `logs POD -c CONTAINER` and ` --previous`: the log that was read, else the one of the first pod that fails.
fn read_log(case: &Case) -> Option<(String, &'static str)> {
    let read = case.evidence.iter().flat_map(|evidence| &evidence.logs).find(|log| !log.lines.is_empty());
    let first = case.incident.first();
    Some(match read {
        Some(log) => log_command(&log.key.pod, Some(&log.key.container), log.key.previous),
        None => log_command(first.pods.first()?, first.container.as_deref(), false),
    })
}

fn log_command(pod: &ObjectRef, container: Option<&str>, previous: bool) -> (String, &'static str) {
    let container = container.map(|name| format!(" -c {}", plain::shell_word(name))).unwrap_or_default();
    let previous = if previous { " --previous" } else { "" };
    (format!("logs {}{container}", plain::shell_word(&pod.name)), previous)
}

/// Numbered, if there are several.
fn ranked(steps: Vec<String>) -> Vec<String> {
    if steps.len() < 2 {
        return steps;
    }
    steps.iter().enumerate().map(|(i, step)| format!("{}. {step}", i + 1)).collect()
}

/// What the forge did: "opened pull request #3 kubecure/shop/web/oom-killed-1a2b3c4d".
fn receipt(case: &Case) -> Option<Note> {
    let branch = match &case.request {
        Some(Request::PullRequest(request)) => format!(" {}", request.branch),
        _ => String::new(),
    };
    let named = |done: &str, kind: EntryKind, number: u64| match kind {
        EntryKind::PullRequest => format!("{done} pull request #{number}{branch}"),
        EntryKind::Issue => format!("{done} issue #{number}"),
        EntryKind::Branch => format!("{done} branch{branch}"),
    };
    let mut texts = match case.receipt.as_ref()? {
        Receipt::Opened { kind, number, link } => vec![named("opened", *kind, *number), link.clone()],
        Receipt::Updated { kind, number, link } => vec![named("updated", *kind, *number), link.clone()],
        Receipt::Exists { kind, number, link, why } => {
            vec![format!("{}: {why}", named("left as it is:", *kind, *number)), link.clone()]
        }
        Receipt::Nothing { why } => vec![format!("nothing published: {why}")],
    };
    texts.retain(|text| !text.is_empty());
    Some(("note", texts))
}
