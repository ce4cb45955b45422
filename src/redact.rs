//! Text in, text without secrets out.
//!
//! Two ways lead to a secret: its own shape (a GitHub token, a JWT, a private key), or the name before it
//! (`password=`, `Authorization:`). What neither shows is not found, so this is the last fence and not the only one:
//! Secrets are never read. In doubt a value is masked; but names, images, uids and messages of the kubelet are evidence,
//! and stay.

mod names;
mod object;
mod shapes;
mod values;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use sha2::{Digest, Sha256};

pub use object::object;

/// Masks secrets, the same value always by the same placeholder: one can still see that two lines speak of one thing.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Hashes, so that the secrets themselves are not kept.
    seen: HashMap<[u8; 32], usize>,
}

/// A text without its secrets, and how many there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted<'t> {
    /// The same text when nothing had to be masked.
    pub text: Cow<'t, str>,
    pub count: usize,
}

/// A longer line is not looked at but cut: nothing that a person reads is so long.
const MAX_LINE: usize = 64 * 1024;
/// Different secrets that are told apart; more than that is no log but a list of them.
const MAX_SEEN: usize = 10_000;
/// How often a line is looked at: masking one secret can bring another to light.
const MAX_PASSES: usize = 4;
/// What every placeholder begins with.
const PLACEHOLDER: &str = "[redacted";

/// What earlier lines say about the next ones.
#[derive(Default)]
enum Carry {
    #[default]
    Nothing,
    /// Inside of a private key.
    Key,
    /// `name: DB_PASSWORD` was read; a `value:` may follow.
    Name,
    /// `password: |` was read at that indentation: what stands deeper is the value.
    Block(usize),
}

impl Carry {
    fn key(is_open: bool) -> Self {
        if is_open { Self::Key } else { Self::Nothing }
    }
}

impl Redactor {
    /// One that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Masks every secret of a text. Takes time in proportion to its length.
    pub fn redact<'t>(&mut self, text: &'t str) -> Redacted<'t> {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut carry = Carry::default();
        let mut count = 0;
        // Everything up to here is as it was, and not yet copied.
        let mut out: Option<String> = None;
        let mut offset = 0;
        let headless = headless_keys(&lines);
        for (i, line) in lines.iter().enumerate() {
            let body = line.trim_end_matches(['\n', '\r']);
            let masked = if headless.contains(&i) {
                carry = Carry::key(shapes::opens_key(body) == Some(true));
                Some((self.whole(body), 1))
            } else {
                self.line(body, &mut carry)
            };
            if let Some((masked, found)) = masked {
                count += found;
                let out = out.get_or_insert_with(|| text[..offset].to_owned());
                out.push_str(&masked);
                out.push_str(&line[body.len()..]);
            } else if let Some(out) = &mut out {
                out.push_str(line);
            }
            offset += line.len();
        }
        Redacted { text: out.map_or(Cow::Borrowed(text), Cow::Owned), count }
    }

    /// A line without its secrets, and how many; `None` when it has none.
    fn line(&mut self, line: &str, carry: &mut Carry) -> Option<(String, usize)> {
        let before = std::mem::take(carry);
        if line.len() > MAX_LINE {
            return Some((format!("{PLACEHOLDER}: a line of {} bytes]", line.len()), 1));
        }
        if matches!(before, Carry::Key) {
            *carry = Carry::key(shapes::opens_key(line) != Some(false));
            return Some((self.whole(line), 1));
        }
        // Before anything else masks the mark by which the rest of the key is known.
        if let Some(begin) = shapes::begins_key(line)
            && shapes::opens_key(line) == Some(true)
        {
            *carry = Carry::Key;
            let headed = format!("{}{}", &line[..begin], self.placeholder(&line[begin..]));
            return Some(self.spans(&headed).map_or((headed, 1), |(text, count)| (text, count + 1)));
        }
        if let Carry::Block(indent) = before {
            let is_blank = line.trim().is_empty();
            if is_blank || line.len() - line.trim_start().len() > indent {
                *carry = Carry::Block(indent);
                let is_done = is_blank || line.trim_start().starts_with(PLACEHOLDER);
                return if is_done { None } else { Some((self.whole(line), 1)) };
            }
        }
        if matches!(before, Carry::Name)
            && let Some(span) = values::value_line(line)
        {
            return Some((self.mask(line, &[span]), 1));
        }
        if !shapes::may_hold_a_secret(line) {
            return None;
        }
        let masked = self.spans(line);
        *carry = values::carry(masked.as_ref().map_or(line, |(text, _)| text));
        masked
    }

    /// What shows on the line itself, until nothing shows any more.
    fn spans(&mut self, line: &str) -> Option<(String, usize)> {
        let mut masked: Option<(String, usize)> = None;
        for _ in 0..MAX_PASSES {
            let now = masked.as_ref().map_or(line, |(text, _)| text);
            let mut spans = shapes::spans(now);
            spans.extend(values::spans(now));
            let spans = merged(spans);
            if spans.is_empty() {
                break;
            }
            let before = masked.as_ref().map_or(0, |(_, count)| *count);
            masked = Some((self.mask(now, &spans), before + spans.len()));
        }
        masked
    }

    /// A line of which nothing is left but its indentation.
    fn whole(&mut self, line: &str) -> String {
        let indent = &line[..line.len() - line.trim_start().len()];
        format!("{indent}{}", self.placeholder(line.trim()))
    }

    fn mask(&mut self, line: &str, spans: &[Range<usize>]) -> String {
        let mut out = String::with_capacity(line.len());
        let mut at = 0;
        for span in spans {
            out.push_str(&line[at..span.start]);
            out.push_str(&self.placeholder(&line[span.clone()]));
            at = span.end;
        }
        out.push_str(&line[at..]);
        out
    }

    fn placeholder(&mut self, secret: &str) -> String {
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let next = self.seen.len() + 1;
        match self.seen.get(&hash) {
            Some(ordinal) => format!("{PLACEHOLDER}-{ordinal}]"),
            None if next > MAX_SEEN => format!("{PLACEHOLDER}]"),
            None => {
                self.seen.insert(hash, next);
                format!("{PLACEHOLDER}-{next}]")
            }
        }
    }
}

/// Lines of private keys whose beginning is cut off, as the tail of a log may be.
fn headless_keys(lines: &[&str]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut is_open = false;
    for (i, line) in lines.iter().enumerate() {
        if line.len() > MAX_LINE {
            is_open = false;
            continue;
        }
        if !is_open && shapes::first_marker(line) == Some(shapes::Marker::End) {
            let body = lines[..i].iter().rev().take_while(|line| shapes::is_base64_line(line)).count();
            found.extend(i - body..=i);
        }
        is_open = shapes::opens_key(line).unwrap_or(is_open);
    }
    found
}

/// Sorted, without overlaps, and without what is masked already.
fn merged(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.retain(|span| !span.is_empty());
    spans.sort_by_key(|span| (span.start, span.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
