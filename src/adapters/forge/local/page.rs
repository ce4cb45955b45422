//! A pull request or issue as a file: YAML front matter, then the body as Markdown.
//!
//! People edit these files. What is brought up to date is a line of the front matter or the text between our markers;
//! every other byte stays as it is.

use std::fmt::Write;

use serde::Deserialize;

use crate::adapters::forge::between;
use crate::case::{EntryKind, Timestamp};

const FENCE: &str = "---\n";

/// What stands before the body.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Front {
    pub number: u64,
    pub title: String,
    pub state: State,
    #[serde(default)]
    pub draft: bool,
    #[serde(default)]
    pub branch: Option<String>,
    #[serde(default)]
    pub base: Option<String>,
    #[serde(default)]
    pub head: Option<String>,
    #[serde(default)]
    pub labels: Vec<String>,
    #[serde(default)]
    pub reviewers: Vec<String>,
    pub fingerprint: String,
    pub failure: String,
    pub workloads: Vec<String>,
    #[serde(default)]
    pub opened: Option<Timestamp>,
    /// The pull request that an issue was closed for, by us.
    #[serde(default)]
    pub answered: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Open,
    Closed,
    Merged,
}

/// A file, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Page {
    pub kind: EntryKind,
    pub front: Front,
    /// The whole file.
    pub text: String,
}

impl Page {
    /// Reads a file; what is wrong with it, if something is.
    pub fn parse(kind: EntryKind, number: u64, text: String) -> Result<Self, String> {
        let (front, _) = split(&text).ok_or("front matter between two lines --- was expected at the top")?;
        // The fence is a line, too: places are told as an editor counts them.
        let front: Front =
            serde_saphyr::from_str(&format!("\n{front}")).map_err(|error| one_line(&error.to_string()))?;
        if front.number != number {
            return Err(format!("its number is {}, but {number} is its name", front.number));
        }
        if kind == EntryKind::PullRequest && front.branch.is_none() {
            return Err("a pull request has a line branch".to_owned());
        }
        Ok(Self { kind, front, text })
    }

    /// Whether it is closed and no person closed it.
    pub fn is_answered(&self) -> bool {
        self.front.state == State::Closed && self.front.answered.is_some()
    }

    /// The file of an issue that is closed, because a pull request does what it asks for.
    pub fn answered_by(&self, link: &str) -> String {
        set_line(&set_line(&self.text, "state", "closed"), "answered", link)
    }

    /// A new file.
    pub fn render(front: &Front, body: &str) -> String {
        let mut text = String::from(FENCE);
        let mut line = |key: &str, value: String| {
            let _ = writeln!(text, "{key}: {value}");
        };
        line("number", front.number.to_string());
        line("title", quoted(&front.title));
        line("state", "open # open, closed or merged; edit this word to close it".to_owned());
        if let Some(branch) = &front.branch {
            line("draft", front.draft.to_string());
            line("branch", quoted(branch));
            line("base", quoted(front.base.as_deref().unwrap_or_default()));
            line("head", quoted(front.head.as_deref().unwrap_or_default()));
            line("reviewers", list(&front.reviewers));
        }
        line("labels", list(&front.labels));
        line("fingerprint", quoted(&front.fingerprint));
        line("failure", quoted(&front.failure));
        line("workloads", list(&front.workloads));
        if let Some(opened) = front.opened {
            line("opened", quoted(&opened.to_string()));
        }
        text.push_str(FENCE);
        text.push('\n');
        text.push_str(body);
        text
    }

    /// The file with what stands between our markers replaced; as it is, when a person took the markers away.
    pub fn with_body(&self, body: &str) -> String {
        let Some((front, old)) = split(&self.text) else { return self.text.clone() };
        let at = self.text.len() - old.len();
        debug_assert!(at > front.len());
        match (between(old), between(body)) {
            (Some(old_part), Some(new_part)) => {
                let (head, tail) = (&self.text[..at + old_part.start], &old[old_part.end..]);
                format!("{head}{}{tail}", &body[new_part])
            }
            _ => self.text.clone(),
        }
    }
}

/// The front matter without its fences, and the body.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(FENCE).or_else(|| text.strip_prefix("---\r\n"))?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some((&rest[..at], &rest[at + line.len()..]));
        }
        at += line.len();
    }
    None
}

/// The file with one line of its front matter replaced.
pub(super) fn set_line(text: &str, key: &str, value: &str) -> String {
    set_raw(text, key, &quoted(value))
}

/// The same, for a list.
pub(super) fn set_list(text: &str, key: &str, values: &[String]) -> String {
    set_raw(text, key, &list(values))
}

fn set_raw(text: &str, key: &str, value: &str) -> String {
    let Some((front, _)) = split(text) else { return text.to_owned() };
    let start = text.find('\n').map_or(0, |at| at + 1);
    let mut at = start;
    for line in front.split_inclusive('\n') {
        if line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')) {
            return format!("{}{key}: {value}\n{}", &text[..at], &text[at + line.len()..]);
        }
        at += line.len();
    }
    // A person took the line away: it comes back at the end.
    format!("{}{key}: {value}\n{}", &text[..at], &text[at..])
}

/// JSON strings are YAML strings, and never span lines.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    format!("[{}]", values.join(", "))
}

fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::{BEGIN, END};

    fn front() -> Front {
        Front {
            number: 3,
            title: "shop/web: \"x\" # y\n---\n".to_owned(),
            state: State::Open,
            draft: true,
            branch: Some("kubecure/a/b/c".to_owned()),
            base: Some("main".to_owned()),
            head: Some("1234567".to_owned()),
            labels: vec!["kubecure".to_owned(), "yes".to_owned()],
            reviewers: vec!["@team".to_owned()],
            fingerprint: "12e4567890123456".to_owned(),
            failure: "oom-killed".to_owned(),
            workloads: vec!["Deployment shop/web".to_owned()],
            opened: Some("2026-11-23T23:48:00Z".parse().unwrap()),
            answered: None,
        }
    }

    #[test]
    fn a_page_reads_back_as_it_is_written() {
        let text = Page::render(&front(), "body\n---\nmore\n");
        assert_eq!(Page::parse(EntryKind::PullRequest, 3, text).unwrap().front, front());
    }

    #[test]
    fn only_our_part_of_a_page_is_replaced() {
        let text =
            Page::render(&front(), &format!("{BEGIN}\nold\n{END}\n")).replace("state: open #", "state: open # mine:");
        let text = format!("{text}A note of a person.\n");
        let page = Page::parse(EntryKind::PullRequest, 3, text.clone()).unwrap();
        let next = set_line(&page.with_body(&format!("{BEGIN}\nnew\n{END}\n")), "head", "89abcdef");
        assert_eq!(next, text.replace("old", "new").replace("\"1234567\"", "\"89abcdef\""));
        let bare = Page { text: text.replace(END, ""), ..page };
        assert_eq!(bare.with_body(&format!("{BEGIN}\nnew\n{END}\n")), bare.text);
    }

    #[test]
    fn what_is_wrong_with_a_page_is_said_in_one_line() {
        for (text, what) in [
            ("no front matter", "between two lines ---"),
            ("---\nnumber: 3\n", "between two lines ---"),
            ("---\nnumber: 3\n---\n", "missing field"),
            ("---\nnumber: [\n---\n", "line"),
        ] {
            let why = Page::parse(EntryKind::Issue, 3, text.to_owned()).unwrap_err();
            assert!(why.contains(what) && !why.contains('\n'), "{text:?}: {why}");
        }
        let renamed = Page::render(&front(), "");
        assert_eq!(Page::parse(EntryKind::Issue, 4, renamed).unwrap_err(), "its number is 3, but 4 is its name");
    }
}
