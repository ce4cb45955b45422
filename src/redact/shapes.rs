//! A line in, the secrets that show by their own shape out.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::PLACEHOLDER;
use super::values::looks_random;

/// The expressions are constants, and the tests run every one of them.
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant expression, which the tests have built")
}

/// Without one of these words a line has no secret that could be found: most lines are done with here.
static HINT: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?i)pass|pwd|pw[\x22']?\s*[:=]|secret|token|key|auth|bearer|basic|cookie|cred|session|sid|sig|code|nonce|csrf|xsrf|jwt|otp|psk|pat|dsn|@|eyJ|A[KSBC][IC]A|AIza|ya29|GOCSPX|1//0|gh[pousr]_|github_|gl[a-z]+-|xox|xapp|slack|npm_|pypi|[sr]k_|sk-|whsec|hf_|8Q~|SG\.|do[opr]_v1|hv[sbr]\.|dckr_|:AA",
    )
});

/// Tokens that their makers gave a shape, so that they can be found.
const TOKENS: &[&str] = &[
    // AWS, Google, Azure
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    r"\bAIza[0-9A-Za-z_-]{35}",
    r"\bya29\.[0-9A-Za-z_-]{20,}",
    r"\bGOCSPX-[0-9A-Za-z_-]{20,}",
    r"\b1//0[0-9A-Za-z_-]{30,}",
    r"[0-9A-Za-z_~.-]{3}8Q~[0-9A-Za-z_~.-]{31,34}",
    // GitHub, GitLab, Slack
    r"\bgh[pousr]_[0-9A-Za-z]{30,}",
    r"\bgithub_pat_[0-9A-Za-z_]{22,}",
    r"\bgl(?:pat|ptt|dt|rt|cbt|oas|ft|soat|imt|agent|ffct)-[0-9A-Za-z_.-]{20,}",
    r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}",
    r"\bxapp-[0-9]-[0-9A-Za-z-]{10,}",
    r"hooks\.slack\.com/services/[0-9A-Za-z/]{20,}",
    // registries
    r"\bnpm_[0-9A-Za-z]{36}",
    r"\bpypi-[0-9A-Za-z_-]{50,}",
    r"\bdckr_(?:pat|oat)_[0-9A-Za-z_-]{20,}",
    // others
    r"\b[sr]k_(?:live|test)_[0-9A-Za-z]{16,}",
    r"\bwhsec_[0-9A-Za-z+/=]{16,}",
    r"\bhf_[0-9A-Za-z]{30,}",
    r"\bSG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}",
    r"\bdo[opr]_v1_[0-9a-f]{64}",
    r"\bhv[sbr]\.[0-9A-Za-z_-]{20,}",
    r"\bAGE-SECRET-KEY-1[0-9A-Za-z]{50,}",
    r"\b[0-9]{8,10}:AA[0-9A-Za-z_-]{33}",
    // JSON Web Tokens, two parts at least
    r"\beyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{4,}(?:\.[0-9A-Za-z_-]*)*",
];
static TOKEN: LazyLock<Regex> = LazyLock::new(|| compiled(&TOKENS.join("|")));

/// `OpenAI`, Anthropic. Also the beginning of many an ordinary name, so the rest must look random.
static SK: LazyLock<Regex> = LazyLock::new(|| compiled(r"\bsk-[0-9A-Za-z_-]{20,}"));

/// A scheme without its header.
static SCHEME: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(?i)\b(?:bearer|basic)(?:\s+|%20)([0-9A-Za-z._~+/-]{8,}=*)"));

/// `scheme://user:`; what follows is read by hand.
static USERINFO: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(?i)\b[a-z][a-z0-9+.-]*:(?://|\\/\\/)([^\s/:@\x22'<>?#]*)([:@])"));

/// `user:password@tcp(host:3306)/db`, as the driver for Go has it.
static GO_DSN: LazyLock<Regex> = LazyLock::new(|| compiled(r"[\w.-]+:([^\s\x22']+)@(?:tcp6?|unix|udp)\("));

static KEY_BEGIN: LazyLock<Regex> = LazyLock::new(|| compiled(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"));
static KEY_END: LazyLock<Regex> = LazyLock::new(|| compiled(r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"));
static KEY_ON_ONE_LINE: LazyLock<Regex> = LazyLock::new(|| {
    compiled(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
});
static BASE64_LINE: LazyLock<Regex> = LazyLock::new(|| compiled(r"(?:^|\s)[0-9A-Za-z+/]{16,}={0,2}\s*$"));

/// Whether it is worth looking closer.
pub(super) fn may_hold_a_secret(line: &str) -> bool {
    HINT.is_match(line) || line.contains("-----")
}

/// The secrets of a line that show by their shape.
pub(super) fn spans(line: &str) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = KEY_ON_ONE_LINE.find_iter(line).map(|found| found.range()).collect();
    spans.extend(TOKEN.find_iter(line).map(|found| found.range()));
    spans.extend(SK.find_iter(line).filter(|found| looks_random(found.as_str())).map(|found| found.range()));
    spans.extend(SCHEME.captures_iter(line).filter_map(|found| found.get(1)).filter_map(|word| {
        let is_secret = looks_random(word.as_str()) || (word.as_str().ends_with('=') && word.len() >= 8);
        is_secret.then(|| word.range())
    }));
    spans.extend(GO_DSN.captures_iter(line).filter_map(|found| found.get(1)).map(|word| word.range()));
    userinfo(line, &mut spans);
    spans.retain(|span| !line[span.clone()].starts_with(PLACEHOLDER));
    spans
}

/// The password of a URL, and a user that is a token. User and host stay: they are what one looks for.
fn userinfo(line: &str, spans: &mut Vec<Range<usize>>) {
    let mut from = 0;
    while let Some(found) = USERINFO.captures_at(line, from) {
        let (Some(whole), Some(user), Some(mark)) = (found.get(0), found.get(1), found.get(2)) else { return };
        from = whole.end();
        if mark.as_str() == "@" {
            if user.len() >= 20 && looks_random(user.as_str()) {
                spans.push(user.range());
            }
            continue;
        }
        let rest = &line[from..];
        let rest = &rest
            [..rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>')).unwrap_or(rest.len())];
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let is_port = authority.parse::<u16>().is_ok() && rest[authority.len()..].starts_with('/');
        // A password may hold an `@`, and an unescaped `/` that should not be there.
        let end = authority.rfind('@').or_else(|| if is_port { None } else { rest.rfind('@') });
        if let Some(end) = end {
            spans.push(from..from + end);
            from += end;
        }
    }
}

/// Where a private key begins on this line.
pub(super) fn begins_key(line: &str) -> Option<usize> {
    if line.contains("-----") { KEY_BEGIN.find(line).map(|found| found.start()) } else { None }
}

/// The line above or below a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Begin,
    End,
}

/// What comes first on this line, if there is any marker on it.
pub(super) fn first_marker(line: &str) -> Option<Marker> {
    if !line.contains("-----") {
        return None;
    }
    match (KEY_BEGIN.find(line), KEY_END.find(line)) {
        (None, None) => None,
        (Some(begin), Some(end)) if end.start() < begin.start() => Some(Marker::End),
        (Some(_), _) => Some(Marker::Begin),
        (None, Some(_)) => Some(Marker::End),
    }
}

/// Whether a private key is open at the end of this line; `None` when the line does not say.
pub(super) fn opens_key(line: &str) -> Option<bool> {
    if !line.contains("-----") {
        return None;
    }
    let last = |marker: &Regex| marker.find_iter(line).last().map(|found| found.start());
    match (last(&KEY_BEGIN), last(&KEY_END)) {
        (None, None) => None,
        (begin, end) => Some(begin > end),
    }
}

/// Whether a line is, but for what a logger puts before it, base64.
pub(super) fn is_base64_line(line: &str) -> bool {
    BASE64_LINE.is_match(line)
}
