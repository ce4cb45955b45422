//! A log in, the few lines that tell why it ended out.

use std::collections::BTreeSet;

use crate::case::{Evidence, Finding, Log};

/// So many lines are shown.
pub const SHOWN: usize = 12;
/// The last lines before the end are shown whatever they say.
const LAST: usize = 3;

/// The log that tells most about a finding.
pub fn telling<'e>(evidence: &'e Evidence, finding: &Finding) -> Option<&'e Log> {
    let of_it = |log: &&Log| {
        let container = finding.container.as_ref().is_none_or(|container| *container == log.key.container);
        container && (finding.pods.is_empty() || finding.pods.contains(&log.key.pod))
    };
    let worth = |log: &Log| log.lines.iter().map(|line| weight(line)).max().unwrap_or(0);
    // Of equals the first: the newest pod, and the run that is now.
    evidence.logs.iter().filter(of_it).filter(|log| has_lines(log)).rev().max_by_key(|log| worth(log))
}

/// At most [`SHOWN`] lines in their order: the ones that speak of an error, and the last ones.
pub fn decisive(log: &Log) -> Vec<&str> {
    let lines: Vec<&str> = log.lines.iter().map(String::as_str).filter(|line| !line.trim().is_empty()).collect();
    let mut chosen: BTreeSet<usize> = (lines.len().saturating_sub(LAST)..lines.len()).collect();
    let mut seen: BTreeSet<String> = chosen.iter().map(|&at| shape(lines[at])).collect();
    let mut ranked: Vec<usize> = (0..lines.len()).filter(|&at| weight(lines[at]) > 0).collect();
    // The gravest first, and of equals the later one.
    ranked.sort_by_key(|&at| std::cmp::Reverse((weight(lines[at]), at)));
    for at in ranked {
        if chosen.len() == SHOWN {
            break;
        }
        // The same line with another number says nothing new.
        if !chosen.contains(&at) && seen.insert(shape(lines[at])) {
            chosen.insert(at);
        }
    }
    chosen.into_iter().map(|at| lines[at]).collect()
}

/// A dump writes this where a log should be.
fn has_lines(log: &Log) -> bool {
    log.lines.iter().any(|line| !line.trim().is_empty() && !line.starts_with("unable to retrieve container logs"))
}

/// How much a line speaks of an error.
fn weight(line: &str) -> u8 {
    let line = line.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if any(&["fatal", "panic", "segfault", "traceback", "unhandled", "uncaught"]) {
        3
    } else if any(&["level=error", "\"error\"", "error:", "exception", "caused by", "[error]", " error ", " err="]) {
        2
    } else {
        u8::from(any(&[
            "error",
            "failed",
            "cannot",
            "denied",
            "refused",
            "not found",
            "does not exist",
            "no such",
            "not set",
        ]))
    }
}

fn shape(line: &str) -> String {
    line.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{LogKey, ObjectRef};

    fn log(lines: &[&str]) -> Log {
        let pod = ObjectRef::new("v1", "Pod", Some("shop"), "report-1");
        Log {
            key: LogKey { pod, container: "report".to_owned(), previous: false },
            lines: lines.iter().map(|l| (*l).to_owned()).collect(),
            left_out: 0,
        }
    }

    #[test]
    fn the_error_and_the_end_are_shown_in_order_and_repetitions_once() {
        let mut lines = vec!["level=info starting", "level=error column x does not exist"];
        lines.extend(["level=warn retry failed"; 40]);
        lines.extend(["level=info one", "level=info two", "level=info bye"]);
        let log = log(&lines);
        let shown = decisive(&log);
        assert_eq!(
            shown,
            [
                "level=error column x does not exist",
                "level=warn retry failed",
                "level=info one",
                "level=info two",
                "level=info bye"
            ]
        );
    }

    #[test]
    fn there_are_never_too_many() {
        let lines: Vec<String> = (0..500).map(|i| format!("error {}", "x".repeat(i))).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let log = log(&lines);
        assert_eq!(decisive(&log).len(), SHOWN);
        assert_eq!(decisive(&log).last(), lines.last());
    }

    #[test]
    fn a_placeholder_of_a_dump_is_no_log() {
        assert!(!has_lines(&log(&["unable to retrieve container logs for containerd://1"])));
        assert!(decisive(&log(&[])).is_empty());
    }
}
