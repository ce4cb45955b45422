//! A line in, the values that are secret by the name before them out.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::names::{Name, classify};
use super::{Carry, PLACEHOLDER};

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant expression, which the tests have built")
}

/// `name=`, `"name": `, `name => `: a name with its quotes, and what divides it from its value.
static ASSIGNMENT: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"([0-9A-Za-z_.-]+)\]?(\\*[\x22'])?([ \t]*)(=>|:=|=|:|%3[Dd])([ \t]*)"));
/// `--password value`
static FLAG: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(?:^|[\s\x22'\[,(])--([0-9A-Za-z][0-9A-Za-z_.-]*)[\x22']?[ \t,]+[\x22']?"));
/// `<password>value</password>`
static ELEMENT: LazyLock<Regex> = LazyLock::new(|| compiled(r"<(?:[\w-]+:)?([\w.-]+)(?:\s[^<>]*)?>([^<]+)<"));
/// `{"name": "DB_PASSWORD", "value": "x"}`
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?i)\b(?:name|key)\\*[\x22']?\s*[:=]\s*\\*[\x22']?([0-9A-Za-z_.-]+)\\*[\x22']?[\s,]+\\*[\x22']?value\\*[\x22']?\s*[:=]\s*",
    )
});
static SCHEME: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(?i)^(?:bearer|basic|token|apikey|negotiate|ntlm)(?:\s+|%20)"));
static NAME_LINE: LazyLock<Regex> = LazyLock::new(|| compiled(r"^[\s-]*name:\s*[\x22']?([0-9A-Za-z_.-]+)[\x22']?\s*$"));
static VALUE_LINE: LazyLock<Regex> = LazyLock::new(|| compiled(r"^\s*value:\s*"));
static BLOCK_LINE: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"^(\s*(?:- )*)[\x22']?([0-9A-Za-z_.-]+)[\x22']?:\s*[|>][0-9+-]*\s*$"));
static NEXT_NAME: LazyLock<Regex> = LazyLock::new(|| compiled(r"^[&;,]\s*(?:[A-Za-z_][0-9A-Za-z_.-]*(?:=|:)|$)"));

/// Words that follow the name of a secret in a sentence about it.
const PROSE: &[&str] = &[
    "a",
    "an",
    "and",
    "are",
    "argument",
    "at",
    "authentication",
    "auth",
    "bad",
    "but",
    "by",
    "can",
    "cannot",
    "check",
    "context",
    "could",
    "created",
    "denied",
    "deleted",
    "does",
    "doesn't",
    "empty",
    "error",
    "expected",
    "expired",
    "failed",
    "failure",
    "flag",
    "for",
    "forbidden",
    "found",
    "from",
    "has",
    "header",
    "headers",
    "have",
    "if",
    "in",
    "incorrect",
    "invalid",
    "is",
    "it",
    "length",
    "malformed",
    "mismatch",
    "missing",
    "must",
    "needs",
    "no",
    "not",
    "of",
    "ok",
    "on",
    "option",
    "or",
    "parameter",
    "please",
    "provided",
    "refresh",
    "rejected",
    "required",
    "retrying",
    "should",
    "signature",
    "that",
    "the",
    "this",
    "timeout",
    "to",
    "too",
    "unable",
    "unauthorized",
    "unexpected",
    "unknown",
    "unset",
    "updated",
    "using",
    "valid",
    "validation",
    "value",
    "was",
    "while",
    "will",
    "with",
    "wrong",
    "couldn't",
    "can't",
    "isn't",
];
/// Values that say that there is none, or that it was taken out already.
const NONE: &[&str] = &[
    "null",
    "nil",
    "none",
    "true",
    "false",
    "undefined",
    "redacted",
    "<redacted>",
    "(redacted)",
    "hidden",
    "<hidden>",
    "masked",
    "<nil>",
    "<none>",
    "<unset>",
    "yes",
    "opaque",
    "bearer",
    "basic",
    "<set",
    "<unknown>",
];

/// The values of a line that their names tell to be secret.
pub(super) fn spans(line: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    assignments(line, &mut spans);
    for found in FLAG.captures_iter(line) {
        let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { continue };
        // `--password=x` is an assignment.
        let before_quote = whole.as_str().trim_end_matches(['"', '\'']).len();
        let at = whole.start() + before_quote;
        if classify(name.as_str()) == Name::Secret && !line[at..].starts_with('-') {
            spans.extend(secret_value(line, at, true));
        }
    }
    for found in ELEMENT.captures_iter(line) {
        let (Some(name), Some(value)) = (found.get(1), found.get(2)) else { continue };
        if classify(name.as_str()) == Name::Secret && !is_harmless(value.as_str().trim()) {
            spans.push(value.range());
        }
    }
    for found in PAIR.captures_iter(line) {
        let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { continue };
        if classify(name.as_str()) == Name::Secret {
            spans.extend(secret_value(line, whole.end(), true));
        }
    }
    spans
}

fn assignments(line: &str, spans: &mut Vec<Range<usize>>) {
    let mut from = 0;
    while let Some(found) = ASSIGNMENT.captures_at(line, from) {
        let (Some(whole), Some(name), Some(sign)) = (found.get(0), found.get(1), found.get(4)) else { return };
        from = whole.end();
        let is_spaced_colon = sign.as_str() == ":" && found.get(3).is_some_and(|space| !space.is_empty());
        let value = match classify(name.as_str()) {
            Name::Ordinary => None,
            // The user of a URL, which is read elsewhere.
            _ if line[..name.start()].ends_with("://") => None,
            // `registry/api-key:1.35`: an image.
            _ if whole.as_str().ends_with(':') && is_image(&line[..name.start()], &line[from..]) => None,
            // `volume "secret-vol" : secret "x" not found`: a sentence of the kubelet.
            _ if is_spaced_colon && !line[from..].trim_start_matches('\\').starts_with(['"', '\'']) => None,
            Name::Secret => secret_value(line, from, sign.as_str() == ":").filter(|value| {
                // Controllers name an object `secret="namespace/name"`.
                !(name.as_str().eq_ignore_ascii_case("secret") && is_object(&line[value.clone()]))
            }),
            Name::Perhaps => random_value(line, from),
            Name::Authorization => authorization(line, from),
            Name::Cookie => cookie(line, from),
        };
        if let Some(value) = value {
            from = value.end.max(from);
            spans.push(value);
        }
    }
}

/// The value that begins there, without its quotes; `None` when it is none or no secret.
fn secret_value(line: &str, at: usize, is_prose_possible: bool) -> Option<Range<usize>> {
    let (value, is_quoted) = value(line, at)?;
    let text = &line[value.clone()];
    if is_harmless(text) || (!is_quoted && is_prose_possible && is_prose(text)) {
        return None;
    }
    Some(value)
}

/// The value that begins there, if it looks random.
///
/// A glance first: a value that is none must not be read to its end again and again.
fn random_value(line: &str, at: usize) -> Option<Range<usize>> {
    let glance = &line[..boundary(line, at + GLANCE)];
    let value = secret_value(glance, at, true)?;
    if looks_random(&glance[value]) { secret_value(line, at, true) } else { None }
}

/// How far a value is read to see what it is.
const GLANCE: usize = 512;

/// The nearest place at or before that at which a character begins.
fn boundary(line: &str, at: usize) -> usize {
    (0..=at.min(line.len())).rev().find(|i| line.is_char_boundary(*i)).unwrap_or(0)
}

/// A value from there on: quoted, in brackets, or to the next blank.
fn value(line: &str, at: usize) -> Option<(Range<usize>, bool)> {
    let rest = &line[at..];
    let escapes = rest.len() - rest.trim_start_matches('\\').len();
    let inner = &rest[escapes..];
    if let Some(quote) = inner.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let start = at + escapes + 1;
        return Some((start..start + closing(&inner[1..], quote, escapes), true));
    }
    if rest.starts_with('{') || rest.starts_with("[{") || rest.starts_with(PLACEHOLDER) || rest.is_empty() {
        return None;
    }
    if rest.starts_with('[') {
        let end = rest.find(']').unwrap_or(rest.len());
        return Some((at + 1..at + end.max(1), false));
    }
    let is_end = |(i, c): (usize, char)| match c {
        '"' | '\'' | '<' => true,
        '&' | ';' | ',' => NEXT_NAME.is_match(&rest[i..]),
        _ => c.is_whitespace(),
    };
    let end = rest.char_indices().find(|at| is_end(*at)).map_or(rest.len(), |(end, _)| end);
    // A quote that is escaped is not part of the value, and neither is what escapes it.
    let bare = if rest[end..].starts_with(['"', '\'']) { rest[..end].trim_end_matches('\\') } else { &rest[..end] };
    let bare = without_closers(bare);
    Some((at..at + bare.len(), false))
}

/// Without what closes something that was opened before the value.
fn without_closers(mut text: &str) -> &str {
    let has_opener = ['(', '[', '{'].map(|opener| text.contains(opener));
    while let Some(last) = text.chars().next_back() {
        let is_closer = match last {
            ',' | ';' => true,
            ')' => !has_opener[0],
            ']' => !has_opener[1],
            '}' => !has_opener[2],
            _ => false,
        };
        if !is_closer {
            break;
        }
        text = &text[..text.len() - 1];
    }
    text
}

/// Where the quoted text ends: at the quote with as many backslashes before it as the first had.
fn closing(text: &str, quote: char, escapes: usize) -> usize {
    let mut backslashes = 0;
    for (i, c) in text.char_indices() {
        if c == quote && (backslashes == escapes || (escapes == 0 && backslashes % 2 == 0)) {
            return i - backslashes.min(escapes);
        }
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
    }
    text.len()
}

/// After `Authorization:`: one word after a scheme that is known, everything otherwise.
fn authorization(line: &str, at: usize) -> Option<Range<usize>> {
    let (mut value, _) = value(line, at)?;
    let opened = &line[at..value.start];
    let start = value.start;
    if is_prose(&line[value.clone()]) {
        return None;
    }
    if opened.is_empty() {
        // Not quoted: the header is the rest of the line, or of the text that it is quoted in.
        let rest = &line[start..];
        value.end = start + rest.find(['"', '\'']).unwrap_or(rest.len());
    }
    let text = &line[value.clone()];
    let scheme = SCHEME.find(text).map_or(0, |scheme| scheme.end());
    let secret = &text[scheme..];
    let length = if scheme > 0 { secret.find(char::is_whitespace).unwrap_or(secret.len()) } else { secret.len() };
    let secret = secret[..length].trim_end_matches([']', ',', ';', '\\', ')', '}']);
    let is_message = scheme == 0 && secret.split_whitespace().next().is_some_and(is_prose);
    if is_harmless(secret.trim()) || is_message || (scheme > 0 && is_prose(secret)) {
        return None;
    }
    Some(start + scheme..start + scheme + secret.len())
}

/// After `Cookie:`: everything, if it has a cookie in it.
fn cookie(line: &str, at: usize) -> Option<Range<usize>> {
    if !line[at..boundary(line, at + GLANCE)].contains('=') {
        return None;
    }
    let (mut value, is_quoted) = value(line, at)?;
    if !is_quoted {
        let rest = &line[value.start..];
        value.end = value.start + rest.find(['"', '\'']).unwrap_or(rest.len());
    }
    let text = &line[value.clone()];
    (text.contains('=') && !is_harmless(text)).then_some(value)
}

/// A value that is no secret, whatever its name.
fn is_harmless(value: &str) -> bool {
    value.is_empty()
        || value.starts_with(PLACEHOLDER)
        || NONE.iter().any(|none| value.eq_ignore_ascii_case(none))
        || value.chars().all(|c| matches!(c, '*' | 'x' | 'X' | '.' | '-' | '•' | '#' | '|' | '='))
        // A reference to a variable, a template: the secret stands elsewhere.
        || (value.starts_with("${") && value.ends_with('}'))
        || (value.starts_with("$(") && value.ends_with(')'))
        || (value.starts_with("{{") && value.ends_with("}}"))
}

fn is_prose(value: &str) -> bool {
    let word = value.trim_end_matches(['.', ',', ':', ';', '!', ')', ']']);
    PROSE.iter().any(|prose| word.eq_ignore_ascii_case(prose))
}

/// `namespace/name`, as Kubernetes names are.
fn is_object(value: &str) -> bool {
    let is_label = |text: &str| {
        !text.is_empty()
            && text.len() <= 63
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    value.split_once('/').is_some_and(|(namespace, name)| is_label(namespace) && is_label(name))
}

/// Whether what stands around `name:` makes it the name of an image and its tag.
fn is_image(before: &str, after: &str) -> bool {
    let version = after.strip_prefix('v').unwrap_or(after);
    let minor = version.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let is_version = is_number(version) && minor.strip_prefix('.').is_some_and(is_number);
    is_version || (before.ends_with('/') && after.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Whether a text looks as if dice had made it: long, letters and digits, many different ones, and no words.
pub(super) fn looks_random(text: &str) -> bool {
    let is_alphabet =
        text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_' | '-' | '.' | '~' | '%'));
    if text.len() < 16 || !is_alphabet {
        return false;
    }
    let has = |class: fn(&char) -> bool| text.chars().filter(class).count();
    let (digits, upper) = (has(char::is_ascii_digit), has(char::is_ascii_uppercase));
    let lower = has(char::is_ascii_lowercase);
    // Hexadecimal is lower case only; everything else that is random mixes the two.
    let is_hex = text.len() >= 32 && text.chars().all(|c| c.is_ascii_hexdigit());
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    letters.len() >= 10 && digits > 0 && (is_hex || (upper > 0 && lower > 0))
}

/// What a line says about the next one.
pub(super) fn carry(line: &str) -> Carry {
    if let Some(found) = NAME_LINE.captures(line)
        && found.get(1).is_some_and(|name| classify(name.as_str()) == Name::Secret)
    {
        return Carry::Name;
    }
    if let Some(found) = BLOCK_LINE.captures(line)
        && found.get(2).is_some_and(|name| classify(name.as_str()) == Name::Secret)
    {
        return Carry::Block(found.get(1).map_or(0, |indent| indent.len()));
    }
    Carry::Nothing
}

/// The value of a line `value: x` after a line `name: DB_PASSWORD`.
pub(super) fn value_line(line: &str) -> Option<Range<usize>> {
    let found = VALUE_LINE.find(line)?;
    secret_value(line, found.end(), false)
}
