//! A log in, the lines that decide out.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::case::{Evidence, Log};

static TELLING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(fatal|panic|critical|emerg(ency)?)\b|segmentation fault|level=(fatal|panic|critical)")
        .expect("a constant pattern")
});
static ERROR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(error|err|exception|traceback|failed|failure|cannot|can't|could not|couldn't|unable|denied|refused|not found|no such|missing|invalid|required|unexpected|bad|already exists|does not exist)\b|\b\w+(Error|Exception)\b")
        .expect("a constant pattern")
});

static LOGFMT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\b(?:msg|message)="((?:[^"\\]|\\.)*)""#).expect("a constant pattern"));

/// How much a line tells: 3 fatal, 2 error, 1 the last words before the end, 0 nothing.
pub fn weight(line: &str) -> u8 {
    if TELLING.is_match(line) {
        3
    } else if ERROR.is_match(line) {
        2
    } else {
        0
    }
}

/// The most telling lines of a log, in their order, at most `most`: fatal lines first, then errors, then the last.
pub fn decisive(lines: &[String], most: usize) -> Vec<&str> {
    let mut seen = HashSet::new();
    let mut ranked: Vec<(u8, usize)> = Vec::new();
    for (i, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let last_words = u8::from(i + 2 >= lines.len());
        if seen.insert(shape(line)) || last_words == 1 {
            ranked.push((weight(line).max(last_words), i));
        }
    }
    // Of equals the later: it is nearer to the end of the run.
    ranked.sort_by_key(|(weight, i)| std::cmp::Reverse((*weight, *i)));
    ranked.retain(|(weight, _)| *weight > 0);
    ranked.truncate(most);
    let mut chosen: Vec<usize> = ranked.into_iter().map(|(_, i)| i).collect();
    chosen.sort_unstable();
    chosen.into_iter().map(|i| lines[i].as_str()).collect()
}

/// A line without what changes from one occurrence to the next: numbers, times, ids.
pub fn shape(line: &str) -> String {
    let mut shape = String::with_capacity(line.len());
    for c in line.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if !(c == '0' && shape.ends_with('0')) {
            shape.push(c);
        }
    }
    shape
}

/// What the program complained of at its end: the first of the last lines that tell of an error, passing over stack
/// frames. Of "column x does not exist" and then "report failed" it is the first that says why.
pub fn complaint(lines: &[String]) -> Option<&str> {
    const NEAR_THE_END: usize = 40;
    let mut first: Option<&str> = None;
    let last_words = lines.iter().rev().filter(|line| !line.trim().is_empty() && !is_frame(line)).take(NEAR_THE_END);
    for (i, line) in last_words.enumerate() {
        match (weight(line), first) {
            (2.., _) => first = Some(line),
            // Before the block of errors comes what went well.
            (_, Some(_)) => break,
            // After it, a word of goodbye or two.
            (_, None) if i >= 3 => return None,
            (_, None) => {}
        }
    }
    first
}

/// A line of a stack trace: it says where, not what.
fn is_frame(line: &str) -> bool {
    line.starts_with([' ', '\t'])
        || line.starts_with("Traceback (most recent call last)")
        || line.starts_with("goroutine ")
        || line.starts_with("main.")
}

/// What a line says, without time, level and names of fields: `msg="..."` of logfmt, `msg` or `message` of JSON.
pub fn message(line: &str) -> String {
    if let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(line) {
        let text = ["msg", "message", "error", "err"].iter().find_map(|key| fields.get(*key)?.as_str());
        return text.unwrap_or(line).to_owned();
    }
    match LOGFMT.captures(line) {
        Some(found) => found[1].replace("\\\"", "\""),
        None => line.trim().to_owned(),
    }
}

/// The logs of a container, the run that ended before the one that runs.
pub fn of<'e>(evidence: &'e Evidence, container: &str) -> Vec<&'e Log> {
    let mut logs: Vec<&Log> =
        evidence.logs.iter().filter(|log| log.key.container == container && !log.lines.is_empty()).collect();
    logs.sort_by_key(|log| !log.key.previous);
    logs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fatal_line_beats_the_noise() {
        let lines: Vec<String> =
            ["level=info starting", "level=info port=1", "level=fatal msg=\"QUEUE_URL is not set\"", "bye"]
                .map(Into::into)
                .into();
        assert_eq!(decisive(&lines, 2), ["level=fatal msg=\"QUEUE_URL is not set\"", "bye"]);
    }

    fn lines(all: &[&str]) -> Vec<String> {
        all.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn the_complaint_is_the_first_error_of_the_last_ones() {
        let said = |all: &[&str]| complaint(&lines(all)).map(message);
        let report = [
            "level=error msg=\"cache is cold\"",
            "level=info msg=\"daily report\"",
            "level=error msg=\"column total_gross does not exist in table orders\"",
            "level=fatal msg=\"report failed\"",
        ];
        assert_eq!(said(&report).as_deref(), Some("column total_gross does not exist in table orders"));
        let python = [
            "starting",
            "Traceback (most recent call last):",
            "  File \"app.py\", line 3, in <module>",
            "    raise KeyError(x)",
            "KeyError: 'tenant'",
        ];
        assert_eq!(said(&python).as_deref(), Some("KeyError: 'tenant'"));
        assert_eq!(said(&["starting", "loading plugin libfast.so"]), None);
    }

    #[test]
    fn a_message_is_read_out_of_json_and_logfmt() {
        assert_eq!(message(r#"{"level":"fatal","msg":"no disk"}"#), "no disk");
        assert_eq!(message(r#"t=1 level=fatal msg="cannot open \"x\"""#), "cannot open \"x\"");
        assert_eq!(message("  boom "), "boom");
    }

    #[test]
    fn repeats_are_told_once() {
        let lines: Vec<String> =
            (0..100).map(|i| format!("error {i}: connection refused")).chain(["end".into()]).collect();
        assert!(decisive(&lines, 10).len() <= 3);
    }
}
