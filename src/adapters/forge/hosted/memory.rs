//! The body of a page in, what we wrote into it for ourselves out.
//!
//! The hidden line is the memory; a person may write around our part, and may take the line away.

use serde_json::Value;

use crate::adapters::forge::between;
use crate::adapters::git::Marks;
use crate::submit::markdown::hidden;

const HIDDEN: &str = "<!-- kubecure ";
/// The key that says that we closed it ourselves, and why.
const ANSWERED: &str = "answered";

/// What the hidden line of a page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub fingerprint: String,
    pub failure: String,
    pub workloads: Vec<String>,
    /// Whether we closed it ourselves.
    pub is_answered: bool,
}

impl Memory {
    pub fn of(marks: &Marks) -> Self {
        let Marks { fingerprint, failure, workloads, .. } = marks.clone();
        Self { fingerprint, failure, workloads, is_answered: false }
    }
}

/// The hidden line of a body, if it is one of ours.
pub(super) fn read(body: &str) -> Option<Memory> {
    let (_, value) = line_of(body)?;
    let text = |key: &str| value[key].as_str().map(ToOwned::to_owned);
    let fingerprint = text("fp").filter(|fp| fp.len() == 16 && fp.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let workloads = value["workloads"].as_array()?.iter().filter_map(|name| name.as_str().map(ToOwned::to_owned));
    Some(Memory {
        fingerprint,
        failure: text("failure")?,
        workloads: workloads.collect(),
        is_answered: value.get(ANSWERED).is_some(),
    })
}

/// The body with a note that we closed it ourselves.
pub(super) fn answered(body: &str, why: &str) -> String {
    let Some((line, mut value)) = line_of(body) else { return body.to_owned() };
    value[ANSWERED] = why.into();
    body.replacen(line, hidden(&value).trim_end(), 1)
}

/// The old body with our part replaced by the new one's; `None` where that changes nothing, or a person took the markers
/// away.
pub(super) fn renewed(old: &str, new: &str) -> Option<String> {
    let old = old.replace("\r\n", "\n");
    let (old_part, new_part) = (between(&old)?, between(new)?);
    let next = format!("{}{}{}", &old[..old_part.start], &new[new_part], &old[old_part.end..]);
    (next.trim_end() != old.trim_end()).then_some(next)
}

/// The last hidden line of our part, and what it holds.
fn line_of(body: &str) -> Option<(&str, Value)> {
    let part = between(body).map_or(body, |range| &body[range]);
    part.lines().rev().find_map(|line| {
        let line = line.trim();
        let json = line.strip_prefix(HIDDEN)?.strip_suffix("-->")?;
        let value: Value = serde_json::from_str(json.trim()).ok()?;
        (value["v"] == 1).then_some((line, value))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::submit::{BEGIN, END};

    fn body(text: &str) -> String {
        let line =
            hidden(&json!({"v": 1, "fp": "0123456789abcdef", "failure": "oom-killed", "workloads": ["Pod a/b -->"]}));
        format!("{BEGIN}\n{text}\n{line}{END}\n")
    }

    #[test]
    fn what_was_written_is_read_again_whatever_people_write_around_it() {
        let text = format!("please look\r\n{}\r\nthanks", body("says").replace('\n', "\r\n"));
        let memory = read(&text).unwrap();
        assert_eq!((memory.fingerprint.as_str(), memory.is_answered), ("0123456789abcdef", false));
        assert_eq!(memory.workloads, ["Pod a/b -->"]);
        assert!(read(&answered(&text, "see #3 --> <b>")).unwrap().is_answered);
        for other in ["", "text", "<!-- kubecure {\"v\":1,\"fp\":\"x\"} -->", "<!-- kubecure {\"v\":2} -->"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn only_our_part_is_renewed_and_only_when_it_is_another() {
        let old = format!("before\n{}after", body("one"));
        assert_eq!(renewed(&old, &body("two")).unwrap(), format!("before\n{}after", body("two")));
        assert_eq!(renewed(&old, &body("one")), None);
        assert_eq!(renewed(&old.replace('\n', "\r\n"), &body("one")), None);
        assert_eq!(renewed("a person took it all", &body("two")), None);
    }
}
