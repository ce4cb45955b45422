//! A log that misses a variable or a host in, the environment variable that was evidently meant out.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::case::{Change, Cure, Diagnosis, Evidence, Ground, Operation};
use crate::diagnose::confidence::{AGREES, LOG_NAMES_IT, ONE_CANDIDATE, RAN_BEFORE, ground};
use crate::diagnose::near::{Near, nearest};
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{history, logs, rollout, rule};

/// How programs say that a variable is not there. Empty is another complaint: then it is set.
static MISSING: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    const NAME: &str = "([A-Z][A-Z0-9_]{2,})";
    const ABSENT: &str = r"(?i:not set|not defined|not provided|not present|not found in (?:the )?environment|missing|unset|undefined|required|unbound variable|parameter (?:null or )?not set|must be (?:set|provided|defined))";
    let patterns = [
        format!(r#"\b{NAME}\b["'`:]{{0,2}}\s*(?i:(?:is|was|environment|env|variable|var)\s+){{0,3}}{ABSENT}\b"#),
        format!(
            r#"(?i:missing|required|undefined|unset|requires|expected|cannot find|could not find)\b[\s:]{{1,2}}(?i:the |required |following )*(?i:environment variables?|env(?:ironment)? vars?|env|variables?|settings?)?[\s:"'`]{{0,3}}\b{NAME}\b"#
        ),
        format!(
            r#"(?i:environment variable|env var(?:iable)?)\s*[:"'`]{{0,2}}\s*{NAME}\b["'`]?\s*(?i:(?:is|was)\s+)?{ABSENT}"#
        ),
        format!(r#"\bKeyError: ["']{NAME}["']"#),
        format!(r"\bprocess\.env\.{NAME}\b"),
    ];
    patterns.iter().map(|p| Regex::new(p).expect("the patterns are constants and compile")).collect()
});

/// How resolvers say that a name does not exist.
static UNRESOLVED: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    const HOST: &str = "([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)";
    let patterns = [
        format!(r"\blookup {HOST}(?: on \S+)?: (?:no such host|server misbehaving)"),
        format!(r"\bgetaddrinfo (?:ENOTFOUND|EAI_AGAIN) {HOST}"),
        format!(r#"(?i:could not translate host ?name) "{HOST}""#),
        format!(
            r#"(?i:could not resolve|couldn't resolve|cannot resolve|failed to resolve)(?: host(?:name)?)?:? ["']?{HOST}"#
        ),
        format!(r"\bUnknownHostException: {HOST}"),
        format!(r"(?i:unknown (?:mysql server )?host) '{HOST}'"),
        format!(r"\bbad address '{HOST}(?::\d+)?'"),
        format!(r#"["']?{HOST}["']?: (?:Name or service not known|Temporary failure in name resolution)"#),
    ];
    patterns.iter().map(|p| Regex::new(p).expect("the patterns are constants and compile")).collect()
});

/// A program that says so goes on without what it misses.
static GOES_ON: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)\b(default\w*|fall(?:ing|s)? ?back|fallback|optional\w*|ignor\w+|skipp\w+|disabl\w+|will be off|are off|is off|turned off|continu\w+|proceed\w*|instead|deprecated)\b|\blevel=(?:warn\w*|info|debug|notice)\b|"(?:level|severity|lvl)":\s*"(?:warn\w*|info|debug|notice)"|^\W*(?:\S+ ){0,3}\W?(?:WARN\w*|INFO|DEBUG|NOTICE)\b"#,
    )
    .expect("a constant pattern")
});

/// A run's last words, in lines.
const LAST_WORDS: usize = 5;

/// What the log misses, if an environment variable of the container explains it.
///
/// `grounds` is what the failure itself establishes; what the log adds comes on top.
pub fn diagnose(
    evidence: &Evidence,
    template: &Template,
    container: &Part<'_>,
    grounds: &[Ground],
) -> Option<Diagnosis> {
    missing_variable(evidence, template, container, grounds)
        .or_else(|| unknown_host(evidence, template, container, grounds))
}

/// The words of the last run.
fn last_run<'e>(evidence: &'e Evidence, container: &str) -> &'e [String] {
    logs::of(evidence, container).first().map_or(&[], |log| log.lines.as_slice())
}

/// The only thing that these patterns find in a log, the first that fits a line, and the line; two are no answer.
fn only_one<'l>(lines: &'l [String], patterns: &[Regex]) -> Option<(&'l str, &'l str)> {
    let mut found: Option<(&str, &str)> = None;
    for line in lines {
        let Some(hit) = patterns.iter().find_map(|p| Some(p.captures(line)?.get(1)?.as_str())) else { continue };
        match found {
            Some((known, _)) if known != hit => return None,
            Some(_) => {}
            None => found = Some((hit, line)),
        }
    }
    found
}

/// Whether a line is what ended the run, not a word on the way: it does not say that the program goes on without, and
/// no other complaint follows it.
fn is_fatal(line: &str, name: &str, lines: &[String]) -> bool {
    if GOES_ON.is_match(line) {
        return false;
    }
    match logs::complaint(lines) {
        Some(complaint) => complaint == line || complaint.contains(name),
        // No line tells of an error by its words: then it must be among the last.
        None => lines.iter().rev().filter(|l| !l.trim().is_empty()).take(LAST_WORDS).any(|l| l == line),
    }
}

fn missing_variable(
    evidence: &Evidence,
    template: &Template,
    container: &Part<'_>,
    grounds: &[Ground],
) -> Option<Diagnosis> {
    let lines = last_run(evidence, container.name());
    let (wanted, line) = only_one(lines, &MISSING).filter(|(wanted, line)| is_fatal(line, wanted, lines))?;
    let env = container.items("env");
    if env.iter().any(|e| e.name() == wanted) {
        return None;
    }
    let mut grounds = grounds.to_vec();
    grounds.push(ground(LOG_NAMES_IT, format!("its log misses {wanted}")));
    let quotes = vec![evidence.quote_log(line)];
    match nearest(wanted, env.iter().map(Part::name)) {
        Near::One(set) => {
            let item = env.iter().find(|e| e.name() == set)?;
            if is_used(&set, item, container, lines) {
                return None;
            }
            grounds.push(ground(ONE_CANDIDATE, format!("{set} is the only variable with nearly that name")));
            let cause = format!("the program of `{}` needs {wanted}, and the manifest sets {set}", container.name());
            let changes = vec![item.get("name")?.set(&template.workload, wanted)];
            let help = format!("name the variable {wanted}");
            let mut diagnosis = rule(cause, quotes, grounds, Cure::Repair { changes, help, hold: None });
            diagnosis.unchecked.push(format!("whether the program reads {set}, too"));
            Some(diagnosis)
        }
        Near::Several(_) => None,
        Near::None => {
            let healthy = history::last_healthy(&evidence.snapshot, &template.workload)?;
            if rollout::worked(evidence, &template.workload).is_some() {
                return None;
            }
            let old = healthy_container(template, container, &healthy.template)?;
            let value = old.get("env")?.as_array()?.iter().find(|e| e["name"] == wanted)?.clone();
            grounds.push(healthy.ground);
            grounds.push(ground(RAN_BEFORE, format!("{} set {wanted}, and now it is gone", healthy.name)));
            let cause = format!(
                "the program of `{}` needs {wanted}, which {} set and the current one does not",
                container.name(),
                healthy.name
            );
            let path = container.path.clone().key("env").named(wanted);
            let change = Change { object: template.workload.clone(), path, operation: Operation::Add { value } };
            let help = format!("set {wanted} again, as in {}", healthy.name);
            Some(rule(cause, quotes, grounds, Cure::Repair { changes: vec![change], help, hold: None }))
        }
    }
}

/// The same container in another template of the workload.
fn healthy_container(template: &Template, container: &Part<'_>, healthy: &Value) -> Option<Value> {
    container.path.strip_prefix(&template.root)?.get(healthy).cloned()
}

/// Whether anything but its own definition speaks of a variable: the log, another variable, the command.
fn is_used(name: &str, item: &Part<'_>, container: &Part<'_>, lines: &[String]) -> bool {
    let Ok(word) = Regex::new(&format!(r"\b{}\b", regex::escape(name))) else { return true };
    let mut rest = container.value.clone();
    if let Some(env) = rest.get_mut("env").and_then(Value::as_array_mut) {
        env.retain(|e| e != item.value);
    }
    word.is_match(&rest.to_string()) || lines.iter().any(|line| word.is_match(line))
}

fn unknown_host(
    evidence: &Evidence,
    template: &Template,
    container: &Part<'_>,
    grounds: &[Ground],
) -> Option<Diagnosis> {
    let lines = last_run(evidence, container.name());
    let (host, line) = only_one(lines, &UNRESOLVED).filter(|(host, line)| is_fatal(line, host, lines))?;
    let labels: Vec<&str> = host.split('.').collect();
    let namespace = match labels.as_slice() {
        [_] => template.workload.ns(),
        [_, namespace] | [_, namespace, "svc", ..] => namespace,
        _ => return None,
    };
    let here = evidence.snapshot.services.iter().filter(|s| s.metadata.namespace.as_deref() == Some(namespace));
    let services: Vec<&str> = here.map(|s| s.metadata.name.as_str()).collect();
    let to_come = evidence.declared.iter().any(|d| d.id.kind == "Service" && d.id.name == labels[0]);
    if to_come || services.contains(&labels[0]) {
        return None;
    }
    let Near::One(service) = nearest(labels[0], services) else { return None };
    let meant = host.replacen(labels[0], &service, 1);
    let word = Regex::new(&format!(r"(^|[^A-Za-z0-9._-]){}($|[^A-Za-z0-9.-])", regex::escape(host))).ok()?;
    let env = container.items("env");
    let values: Vec<Part<'_>> = env.iter().filter_map(|e| e.get("value")).collect();
    let wrong: Vec<&Part<'_>> = values.iter().filter(|v| word.is_match(v.text().unwrap_or(""))).collect();
    if wrong.is_empty() {
        return None;
    }
    let changes = wrong.iter().map(|v| {
        let to =
            word.replace_all(v.text().unwrap_or(""), |c: &regex::Captures<'_>| format!("{}{meant}{}", &c[1], &c[2]));
        v.set(&template.workload, to.into_owned())
    });
    let mut grounds = grounds.to_vec();
    grounds.push(ground(LOG_NAMES_IT, format!("its log says that {host} does not exist")));
    grounds.push(ground(ONE_CANDIDATE, format!("{service} is the only Service of {namespace} with nearly that name")));
    grounds.push(ground(AGREES, "a variable of the container names that host"));
    let cause = format!("`{}` looks for the host {host}, and the Service is called {service}", container.name());
    let cure = Cure::Repair { changes: changes.collect(), help: format!("call the host {meant}"), hold: None };
    Some(rule(cause, vec![evidence.quote_log(line)], grounds, cure))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(line: &str) -> Option<String> {
        let lines = [line.to_owned()];
        only_one(&lines, &MISSING).map(|(name, _)| name.to_owned())
    }

    #[test]
    fn programs_say_in_many_ways_that_a_variable_is_missing() {
        for line in [
            "level=fatal msg=\"required environment variable QUEUE_URL is not set\"",
            "fatal: environment variable QUEUE_URL is not set",
            "Error: QUEUE_URL must be set",
            "missing required env QUEUE_URL",
            "Missing environment variable: QUEUE_URL",
            "KeyError: 'QUEUE_URL'",
            "TypeError: cannot read properties of undefined (reading 'split') at process.env.QUEUE_URL",
            "/entrypoint.sh: line 3: QUEUE_URL: unbound variable",
            "sh: QUEUE_URL: parameter not set",
            "panic: \"QUEUE_URL\" is required",
        ] {
            assert_eq!(missing(line).as_deref(), Some("QUEUE_URL"), "{line}");
        }
    }

    #[test]
    fn a_variable_that_is_only_spoken_of_is_not_missing() {
        for line in
            ["using QUEUE_URL from the environment", "HTTP 404 not found", "connected to QUEUE_URL", "ERROR: timeout"]
        {
            assert_eq!(missing(line), None, "{line}");
        }
    }

    #[test]
    fn two_missing_variables_are_no_answer() {
        let lines = ["A_URL is not set".to_owned(), "B_URL is not set".to_owned()];
        assert_eq!(only_one(&lines, &MISSING), None);
    }

    #[test]
    fn resolvers_say_in_many_ways_that_a_host_does_not_exist() {
        for line in [
            "dial tcp: lookup queu.shop.svc on 10.96.0.10:53: no such host",
            "Error: getaddrinfo ENOTFOUND queu.shop.svc",
            "could not translate host name \"queu.shop.svc\" to address: Name or service not known",
            "curl: (6) Could not resolve host: queu.shop.svc",
            "java.net.UnknownHostException: queu.shop.svc: Name or service not known",
            "wget: bad address 'queu.shop.svc:8080'",
        ] {
            let lines = [line.to_owned()];
            assert_eq!(only_one(&lines, &UNRESOLVED).map(|(host, _)| host), Some("queu.shop.svc"), "{line}");
        }
    }

    #[test]
    fn what_a_program_does_without_or_says_before_another_error_is_not_why_it_ended() {
        let fatal = |all: &[&str]| {
            let lines: Vec<String> = all.iter().map(|line| (*line).to_owned()).collect();
            only_one(&lines, &MISSING).is_some_and(|(name, line)| is_fatal(line, name, &lines))
        };
        assert!(fatal(&["starting", "QUEUE_URL must be set"]));
        assert!(fatal(&["level=fatal msg=\"QUEUE_URL is not set\"", "bye"]));
        assert!(fatal(&["ERROR QUEUE_URL is not set", "ERROR giving up"]));
        assert!(!fatal(&["LOG_LEVEL is not set, using default info"]));
        assert!(!fatal(&["2026-01-01T00:00:00Z WARN TRACE_URL is not set"]));
        assert!(!fatal(&["{\"level\":\"warn\",\"msg\":\"TRACE_URL is not set\"}"]));
        assert!(!fatal(&["QUEUE_URL is not set", "connecting", "level=fatal msg=\"dial tcp: connection refused\""]));
    }
}
