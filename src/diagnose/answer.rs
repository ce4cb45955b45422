//! A model's answer in, a diagnosis out, or every reason why it is none. The model is a witness: it names no path, no
//! manifest and no confidence that counts for more than a cap.

use serde::Deserialize;

use crate::case::{
    Answer, Cure, Declined, Diagnosis, Evidence, Ground, ItemSource, Operation, Origin, Quote, Reason, Reply, Ruling,
};
use crate::diagnose::confidence::{self, doubt, ground};
use crate::diagnose::injection::reads_like_an_instruction;
use crate::diagnose::template::Template;
use crate::diagnose::vocabulary::Vocabulary;
use crate::diagnose::{back_in_words, changes, next};
use crate::quantity::Quantity;
use crate::review::policy::Policy;

/// Longer is no answer to this question.
const LONGEST_ANSWER: usize = 32 * 1024;
const LONGEST_QUOTE: usize = 200;
const LONGEST_CAUSE: usize = 400;
const MOST_QUOTES: usize = 8;
/// A quote of fewer characters stands anywhere.
const SHORTEST_QUOTE: usize = 4;
/// Below that an answer says that it does not know.
const LEAST: u8 = 30;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    observations: Vec<Observation>,
    category: String,
    root_cause: String,
    fix: Fix,
    confidence: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Observation {
    evidence_id: String,
    quote: String,
}

/// The closed vocabulary. What stands in a variant is checked against [`Vocabulary`], never used as it is.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Fix {
    Revert {
        change: String,
    },
    SetMemoryLimit {
        container: String,
        value: String,
    },
    SetProbePath {
        container: String,
        probe: String,
        path: String,
    },
    /// With a step in the model's own words, which nobody reads: what a person runs is not for a model to write.
    #[serde(rename = "no_safe_fix")]
    Nothing {
        #[serde(rename = "next_step")]
        _next_step: String,
    },
}

/// What a reply comes to, where no rule answered. Without a model, or an answer that holds, it is what it was.
pub fn heard(
    evidence: &Evidence,
    policy: &Policy,
    reply: &Reply,
    undiagnosed: Declined,
) -> Result<Diagnosis, Declined> {
    let Declined::Undiagnosed { looked_at, needed } = undiagnosed else { return Err(undiagnosed) };
    let unanswered = |code, why: String| {
        let (looked_at, needed) = (looked_at.clone(), needed.clone());
        Declined::Unanswered { code, why, looked_at, needed }
    };
    match reply {
        Reply::NoModel => Err(Declined::Undiagnosed { looked_at, needed }),
        Reply::Unanswered(no) => Err(unanswered(no.code, no.why.clone())),
        Reply::Answer(answer) => from_answer(evidence, policy, answer).map_err(|declined| match declined {
            Declined::Denied(reasons) => {
                let gates: Vec<&str> = reasons.iter().map(|r| r.text.as_str()).collect();
                unanswered("answer-refused", format!("the model's answer was refused: {}", gates.join("; ")))
            }
            other => other,
        }),
    }
}

/// Everything that the answer claims is checked, and every objection is told.
pub fn from_answer(evidence: &Evidence, policy: &Policy, answer: &Answer) -> Result<Diagnosis, Declined> {
    let said = parse(&answer.text).map_err(|why| Declined::Denied(vec![reason("answer", why)]))?;
    let mut against = Vec::new();
    let because = quotes(evidence, &said.observations, &mut against);
    category(evidence, &said, &mut against);
    words(&said.root_cause, &mut against);
    let own = u8::try_from(said.confidence).ok().filter(|sure| *sure <= 100);
    if own.is_none() {
        against.push(reason("range", format!("confidence {} is not between 0 and 100", said.confidence)));
    }
    let cure = cure(evidence, policy, &said.fix, &mut against);
    let (Some(cure), Some(own), true) = (cure, own, against.is_empty()) else {
        return Err(Declined::Denied(against));
    };
    let grounds = grounds(evidence, &because, &cure);
    let computed = confidence::confidence(&grounds);
    let sure = computed.min(own);
    if sure < LEAST {
        return Err(Declined::Denied(vec![reason("confidence", format!("only {sure} of 100 is established"))]));
    }
    let notes = vec![format!("the model is {own} of 100 sure of itself, which can only lower the confidence")];
    let (cause, unchecked) = (said.root_cause, Vec::new());
    Ok(Diagnosis { cause, because, origin: Origin::Model, grounds, confidence: sure, cure, notes, unchecked })
}

fn reason(gate: &'static str, text: impl Into<String>) -> Reason {
    Reason { gate, ruling: Ruling::Deny, text: text.into() }
}

/// What was said, without its own words: those could be anything.
fn parse(text: &str) -> Result<Said, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.len() > LONGEST_ANSWER {
        return Err(format!("it has {} bytes, and at most {LONGEST_ANSWER} are read", text.len()));
    }
    serde_json::from_str(text.trim()).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => format!("it does not fit the schema at {line}:{column}"),
            serde_json::error::Category::Eof => format!("it ends early, at {line}:{column}"),
            _ => format!("it is not JSON at {line}:{column}"),
        }
    })
}

/// Gates 1 and 2: word for word, in the item that is named.
fn quotes(evidence: &Evidence, said: &[Observation], against: &mut Vec<Reason>) -> Vec<Quote> {
    if said.is_empty() || said.len() > MOST_QUOTES {
        against.push(reason("quote", format!("{} quotes, and 1 to {MOST_QUOTES} were asked for", said.len())));
    }
    let mut all = Vec::new();
    for one in said.iter().take(MOST_QUOTES) {
        let number = one.evidence_id.strip_prefix('E').filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
        let index = number.and_then(|n| n.parse::<usize>().ok()).and_then(|n| n.checked_sub(1));
        let Some((item, found)) = index.and_then(|i| Some((i, evidence.items.get(i)?))) else {
            against.push(reason("quote", "a quote names evidence that does not exist"));
            continue;
        };
        let length = one.quote.chars().count();
        if !(SHORTEST_QUOTE..=LONGEST_QUOTE).contains(&length) || one.quote.trim().is_empty() {
            against.push(reason(
                "quote",
                format!("a quote has {length} characters, and {SHORTEST_QUOTE} to {LONGEST_QUOTE} were asked for"),
            ));
        } else if !found.text.contains(&one.quote) {
            against.push(reason("quote", format!("a quote does not stand in E{}", item + 1)));
        } else {
            all.push(Quote { item, text: one.quote.clone() });
        }
    }
    all
}

/// Gate 3: what fails is what the API says that fails. "unknown" is honest, and cures nothing.
fn category(evidence: &Evidence, said: &Said, against: &mut Vec<Reason>) {
    let failure = evidence.incident.failure.0;
    let is_unknown = said.category == "unknown" && matches!(said.fix, Fix::Nothing { .. });
    if said.category != failure && !is_unknown {
        against.push(reason("category", format!("the category is not what the cluster reports, which is {failure}")));
    }
}

/// A cause is a sentence for a person: no markup, no address, nothing invisible, no order.
fn words(cause: &str, against: &mut Vec<Reason>) {
    let length = cause.chars().count();
    if cause.trim().is_empty() || length > LONGEST_CAUSE {
        against.push(reason(
            "cause",
            format!("the cause has {length} characters, and 1 to {LONGEST_CAUSE} were asked for"),
        ));
    }
    let invisible = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    if cause.chars().any(invisible) {
        against.push(reason("cause", "the cause has characters that nobody sees"));
    }
    let marks = ["<", "](", "```", "://", "javascript:", "<!--"];
    if marks.iter().any(|mark| cause.contains(mark))
        || cause.contains('@')
        || cause.trim_start().starts_with(['#', '/', '>'])
    {
        against.push(reason("cause", "the cause has markup, an address or a mention"));
    }
    if reads_like_an_instruction(cause) {
        against.push(reason("injection", "the cause reads like an instruction to a machine"));
    }
}

/// Gates 4 and 5: one of the changes that were offered, with a value that the evidence bears.
fn cure(evidence: &Evidence, policy: &Policy, fix: &Fix, against: &mut Vec<Reason>) -> Option<Cure> {
    let offered = Vocabulary::of(evidence);
    let made = match fix {
        Fix::Revert { change } => revert(&offered, change),
        Fix::SetMemoryLimit { container, value } => memory(evidence, policy, &offered, container, value),
        Fix::SetProbePath { container, probe, path } => probe_path(evidence, &offered, (container, probe, path)),
        Fix::Nothing { .. } => {
            let why = "the model proposes no change: a person should look".to_owned();
            let workload = &evidence.incident.first().workload;
            Ok(Cure::Person(Declined::NeedsPerson { why, next: vec![next::rollout_history(workload)] }))
        }
    };
    made.map_err(|objection| against.push(objection)).ok()
}

fn revert(offered: &Vocabulary, id: &str) -> Result<Cure, Reason> {
    let (Some(back), Some(healthy)) = (offered.back.iter().find(|b| b.id == id), &offered.healthy) else {
        return Err(reason("change", "it would put back what did not change since a healthy revision"));
    };
    let help = back_in_words(std::slice::from_ref(&back.difference), &healthy.name);
    Ok(Cure::Revert { changes: vec![back.change.clone()], help, revision: healthy.name.clone() })
}

fn memory(
    evidence: &Evidence,
    policy: &Policy,
    offered: &Vocabulary,
    container: &str,
    value: &str,
) -> Result<Cure, Reason> {
    if offered.memory_of.as_deref() != Some(container) {
        return Err(reason("change", "a memory limit is not what this failure may change, or not of this container"));
    }
    let workload = &evidence.incident.first().workload;
    let template = Template::of(&evidence.snapshot, workload);
    let part = template.as_ref().and_then(|t| t.container(container)?.get("resources.limits.memory"));
    let Some(part) = part else { return Err(reason("change", "there is no memory limit")) };
    let plain = value.len() <= 16 && value.starts_with(|c: char| c.is_ascii_digit());
    let (Some(old), Some(new)) = (Quantity::of(part.value), Quantity::parse(value).filter(|_| plain)) else {
        return Err(reason("value", "the new limit is no quantity"));
    };
    if new <= old {
        return Err(reason("value", "the new limit is not above the one that is there"));
    }
    if new > old.times(2.0) {
        return Err(reason("value", "the new limit is more than twice the one that is there"));
    }
    let Some(allowance) = policy.allowance(evidence.incident.failure, &part.path) else {
        return Err(reason("policy", "policy does not allow it"));
    };
    if allowance.max.as_deref().and_then(Quantity::parse).is_some_and(|most| new > most) {
        return Err(reason("policy", "the new limit is above the maximum of the policy"));
    }
    let help = format!("raise the limit to {value}");
    Ok(Cure::Repair { changes: vec![part.set(workload, value)], help, hold: None })
}

fn probe_path(evidence: &Evidence, offered: &Vocabulary, said: (&str, &str, &str)) -> Result<Cure, Reason> {
    let (container, probe, path) = said;
    let has = |(name, probes): &(String, Vec<&'static str>)| name == container && probes.contains(&probe);
    if !offered.probes_of.as_ref().is_some_and(has) {
        return Err(reason("change", "this probe is not what this failure may change, or not of this container"));
    }
    let workload = &evidence.incident.first().workload;
    let template = Template::of(&evidence.snapshot, workload);
    let part = template.as_ref().and_then(|t| t.container(container)?.get(&format!("{probe}Probe.httpGet.path")));
    let Some(part) = part else { return Err(reason("change", "the probe has no path")) };
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"/-_.".contains(&b);
    if !path.starts_with('/')
        || path.len() > 128
        || path.contains("..")
        || path.contains("//")
        || !path.bytes().all(fits)
    {
        return Err(reason("value", "the new path is no path of a URL"));
    }
    if part.text() == Some(path) {
        return Err(reason("value", "the probe has that path already"));
    }
    let edge = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || "/-_.".contains(c)));
    let stands = |text: &str| {
        text.match_indices(path)
            .any(|(at, _)| edge(text[..at].chars().next_back()) && edge(text[at + path.len()..].chars().next()))
    };
    let in_log = |item: &crate::case::Item| matches!(item.source, ItemSource::LogLine(_)) && stands(&item.text);
    if path == "/" || !evidence.items.iter().any(in_log) {
        return Err(reason("value", "the new path does not stand in a log of the workload"));
    }
    let change = changes::set(workload, part.path.clone(), part.value.clone(), path);
    let hold = Some("the path is one that a model read in a log".to_owned());
    Ok(Cure::Repair { changes: vec![change], help: format!("ask the {probe} probe at {path}"), hold })
}

/// What is established, whoever says it. A model's word alone weighs nothing.
fn grounds(evidence: &Evidence, because: &[Quote], cure: &Cure) -> Vec<Ground> {
    let quoted = |is: fn(&ItemSource) -> bool| because.iter().any(|q| is(&evidence.items[q.item].source));
    let mut all = Vec::new();
    if quoted(|s| matches!(s, ItemSource::ContainerStatus { .. } | ItemSource::Status(_) | ItemSource::Event { .. })) {
        all.push(ground(confidence::AGREES, "the status of the cluster is quoted"));
    }
    if quoted(|s| matches!(s, ItemSource::LogLine(_))) {
        all.push(ground(confidence::AGREES, "a log of the failing run is quoted"));
    }
    match cure {
        Cure::Revert { revision, changes, .. } => {
            all.push(ground(confidence::RAN_BEFORE, format!("{revision} had this value, and was healthy")));
            let differences = Vocabulary::of(evidence).back.len();
            if differences == changes.len() {
                all.push(ground(confidence::ONLY_DIFFERENCE, format!("nothing else changed since {revision}")));
            } else {
                all.push(doubt(20, format!("{differences} fields changed since {revision}")));
            }
            if changes.iter().any(|c| names_value(evidence, because, &c.operation)) {
                all.push(ground(confidence::LOG_NAMES_IT, "what is quoted names the value that is put back"));
            }
        }
        Cure::Repair { .. } => all.push(ground(confidence::AGREES, "the change is one that this failure may have")),
        Cure::Person(_) => {}
    }
    if evidence.logs.iter().all(|log| log.lines.is_empty()) {
        all.push(doubt(20, "there is no log"));
    }
    all
}

/// Whether a quote has the value that is taken away.
fn names_value(evidence: &Evidence, because: &[Quote], operation: &Operation) -> bool {
    let (Operation::Set { from, .. } | Operation::Remove { from }) = operation else { return false };
    let from = changes::plain(from);
    let is_log = |q: &&Quote| !matches!(evidence.items[q.item].source, ItemSource::Spec(_));
    from.len() >= 4 && because.iter().filter(is_log).any(|q| q.text.contains(&from))
}

#[cfg(test)]
mod tests;
