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
    Regex::new(r"(?i)\b(error|err|exception|traceback|failed|failure|cannot|could not|couldn't|unable|denied|refused|not found|no such|missing|invalid|required|unexpected|bad|already exists)\b")
        .expect("a constant pattern")
});

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

    #[test]
    fn repeats_are_told_once() {
        let lines: Vec<String> =
            (0..100).map(|i| format!("error {i}: connection refused")).chain(["end".into()]).collect();
        assert!(decisive(&lines, 10).len() <= 3);
    }
}
