//! Text from anywhere in, Markdown that cannot do anything out.
//!
//! What comes from a cluster, a log, a repository or a model may be written by an attacker, and a forge acts on text: it
//! notifies whom `@` names, closes what `fixes #1` names, loads images, follows slash commands. The rule here is one: a
//! word of plain letters, digits and quiet punctuation stays a word; every other word becomes a code span, in which
//! forges resolve nothing. Nothing invisible is added, so what is copied from a page is what was there.

use std::fmt::Write;

use serde_json::Value;

/// A value in a code span is cut here.
const MAX_CODE: usize = 400;
/// Prose is cut here, each piece.
const MAX_PROSE: usize = 1_200;

/// Text as words of a paragraph, on one line. Pairs of backticks in it stay code spans.
pub fn prose(text: &str) -> String {
    let line = cut(&one_line(text), MAX_PROSE);
    let parts: Vec<&str> = line.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return words(&line, true);
    }
    let mut out = String::new();
    for (i, part) in parts.iter().enumerate() {
        if i % 2 == 0 {
            let spaced = words(part, out.is_empty());
            let (before, after) = (part.starts_with(' ') && !out.is_empty(), part.ends_with(' ') && !spaced.is_empty());
            let _ = write!(out, "{}{spaced}{}", if before { " " } else { "" }, if after { " " } else { "" });
        } else {
            if out.ends_with('`') {
                out.push(' ');
            }
            out.push_str(&code(part));
        }
    }
    out
}

fn words(text: &str, first_of_line: bool) -> String {
    let mut out = String::new();
    for (i, token) in text.split(' ').filter(|token| !token.is_empty()).enumerate() {
        if i > 0 {
            out.push(' ');
        }
        word(token, first_of_line && i == 0, &mut out);
    }
    out
}

/// One word; its quotes and punctuation stay outside when it becomes code.
fn word(token: &str, first: bool, out: &mut String) {
    if is_quiet(token) && !(first && starts_a_block(token)) {
        out.push_str(token);
        return;
    }
    let core = token.trim_start_matches(['(', '"', '\'']);
    let before = &token[..token.len() - core.len()];
    let inner = core.trim_end_matches([')', '"', '\'', '.', ',', ';', '?']);
    let after = &core[inner.len()..];
    if inner.is_empty() {
        out.push_str(&code(token));
    } else {
        let _ = write!(out, "{before}{}{after}", code(inner));
    }
}

/// Whether a word means nothing to Markdown and to no forge, wherever it stands in a line.
fn is_quiet(token: &str) -> bool {
    let quiet = |c: char| c.is_alphanumeric() || ",.;:'\"()/-=+%!?…·×–—’“”_>".contains(c);
    let chars: Vec<char> = token.chars().collect();
    chars.iter().copied().all(quiet)
        && !token.contains("://")
        && !loose_underscore(&chars)
        && !is_reference(token)
        && !is_emoji_code(token)
        && !token.split(|c: char| !c.is_ascii_alphanumeric()).any(looks_like_commit)
}

/// `_x_` is emphasis; `a_b` is not.
fn loose_underscore(chars: &[char]) -> bool {
    let letter = |at: Option<&char>| at.is_some_and(|c| c.is_alphanumeric());
    let before = |i: usize| i.checked_sub(1).and_then(|i| chars.get(i));
    chars.iter().enumerate().any(|(i, c)| *c == '_' && !(letter(before(i)) && letter(chars.get(i + 1))))
}

/// `GH-1`, `!12`, `%3` and `www.` link without any bracket.
fn is_reference(token: &str) -> bool {
    let lower = token.to_ascii_lowercase();
    let marks =
        |mark: char| lower.split(mark).skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
    lower.contains("www.")
        || lower.contains("gh-")
        || marks('!')
        || lower.trim_start_matches(['(', '"', '\'']).starts_with('%')
}

/// `:tada:`
fn is_emoji_code(token: &str) -> bool {
    let parts: Vec<&str> = token.split(':').collect();
    let name = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-'))
    };
    parts.len() > 2 && parts[1..parts.len() - 1].iter().any(|part| name(part))
}

/// Seven hexadecimal digits or more, one of them a figure.
fn looks_like_commit(word: &str) -> bool {
    word.len() >= 7 && word.chars().all(|c| c.is_ascii_hexdigit()) && word.contains(|c: char| c.is_ascii_digit())
}

/// Whether a word at the start of a line begins a list, a quotation, a rule, a heading or a slash command.
fn starts_a_block(token: &str) -> bool {
    let after_digits = token.trim_start_matches(|c: char| c.is_ascii_digit());
    token.starts_with(['-', '+', '=', '>', '/', ':'])
        || (after_digits.len() < token.len() && after_digits.starts_with(['.', ')']))
}

/// A name as it is when it is one quiet word, and otherwise as a code span, in one piece.
pub fn name(text: &str) -> String {
    if !text.is_empty() && is_quiet(text) && !starts_a_block(text) { text.to_owned() } else { code(text) }
}

/// Text as a code span, on one line.
pub fn code(text: &str) -> String {
    let line = cut(&one_line(text), MAX_CODE);
    let line = defused(&line);
    if line.trim().is_empty() {
        return "`\"\"`".to_owned();
    }
    let ticks = "`".repeat(longest_run(&line, '`') + 1);
    // A space inside is taken away by the reader of Markdown when both ends have one.
    let pad = if line.starts_with(['`', ' ']) || line.ends_with(['`', ' ']) { " " } else { "" };
    format!("{ticks}{pad}{line}{pad}{ticks}")
}

/// Markdown as a cell of a table.
pub fn cell(markdown: &str) -> String {
    markdown.replace('|', "\\|").replace('\n', " ")
}

/// Text as a block of code. Lines that do not fit are left out with a line that says so.
pub fn fenced(language: &str, text: &str, max_chars: usize) -> String {
    let mut shown = String::new();
    let lines: Vec<&str> = text.lines().collect();
    let mut left = max_chars;
    for (i, line) in lines.iter().enumerate() {
        let line = cut(&defused(&visible(line)), 500);
        // A slash command counts at the start of a line, and some bots read raw text.
        let line = if line.starts_with('/') { format!(" {line}") } else { line };
        let length = line.chars().count() + 1;
        if length > left {
            let _ = writeln!(shown, "… cut: {} more lines", lines.len() - i);
            break;
        }
        left -= length;
        let _ = writeln!(shown, "{line}");
    }
    let fence = "`".repeat(longest_run(&shown, '`').max(2) + 1);
    format!("{fence}{language}\n{shown}{fence}\n")
}

/// Text for a title or a commit message, where no Markdown is read but mentions, references and commands are.
pub fn plain(text: &str, max_chars: usize) -> String {
    let line = one_line(text).replace("://", ": //").replace(['[', ']'], "'").replace("-by:", "-by");
    let line = replace_ignoring_case(&line, "kubecure-", "kubecure ");
    let line = replace_ignoring_case(&line, "skip-checks", "skip checks");
    let line = replace_ignoring_case(&line, "gh-", "gh ");
    let chars: Vec<char> = line.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        out.push(*c);
        let before = i.checked_sub(1).and_then(|i| chars.get(i));
        let next = chars.get(i + 1).is_some_and(char::is_ascii_alphanumeric);
        let mention = *c == '@' && !before.is_some_and(char::is_ascii_alphanumeric);
        if next && (*c == '#' || mention) {
            out.push(' ');
        }
    }
    cut(&out, max_chars)
}

/// JSON as one hidden line, whose strings can end no comment.
pub fn hidden(value: &Value) -> String {
    let json = value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace("--", "-\\u002d");
    format!("<!-- kubecure {json} -->\n")
}

/// Text of at most so many characters, with a mark where it was cut.
pub fn cut(text: &str, max_chars: usize) -> String {
    const MARK: &str = " … cut";
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let keep = max_chars.saturating_sub(MARK.chars().count());
    let kept: String = text.chars().take(keep).collect();
    format!("{}{MARK}", kept.trim_end())
}

/// Text on one line, without what cannot be seen: terminal escapes, control, bidirectional and zero-width characters.
pub fn one_line(text: &str) -> String {
    let seen: String = without_escapes(text)
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !is_unseen(*c))
        .collect();
    let words: Vec<&str> = seen.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// A line as it is, with what cannot be seen made visible: a reviewer of a diff should know that it is there.
fn visible(line: &str) -> String {
    let mut out = String::new();
    for c in without_escapes(line).chars() {
        match c {
            '\t' => out.push('\t'),
            '\r' => {}
            c if is_unseen(c) || matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}') => {
                let _ = write!(out, "<U+{:04X}>", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Text without ANSI escape sequences, whole.
fn without_escapes(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => skip_until(&mut chars, |c| ('@'..='~').contains(&c)),
            '\u{9b}' => skip_until(&mut chars, |c| ('@'..='~').contains(&c)),
            '\u{1b}' if chars.next_if(|c| matches!(c, ']' | 'P' | '_' | '^' | 'X')).is_some() => {
                skip_until(&mut chars, |c| matches!(c, '\u{7}' | '\u{9c}' | '\\'));
            }
            '\u{1b}' => {
                chars.next_if(|c| ('@'..='~').contains(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Drops the rest of a sequence, but never more than a line.
fn skip_until(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, ends: impl Fn(char) -> bool) {
    while let Some(c) = chars.next_if(|c| *c != '\n') {
        if ends(c) {
            return;
        }
    }
}

fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{115f}' | '\u{1160}' | '\u{3164}')
}

/// Our own markers, wherever they stand, are text and not ours.
fn defused(text: &str) -> String {
    replace_ignoring_case(&text.replace("<!--", "<!- -").replace("-->", "- ->"), "kubecure:", "kubecure :")
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|c| c != of).map(str::len).max().unwrap_or(0)
}

fn replace_ignoring_case(text: &str, what: &str, with: &str) -> String {
    // ASCII lower case keeps every byte where it is.
    let lower = text.to_ascii_lowercase();
    let mut out = String::new();
    let mut at = 0;
    while let Some(found) = lower[at..].find(what) {
        let start = at + found;
        // The case of the letters stays; only the last character differs.
        let same = what.len().min(with.len()) - 1;
        let _ = write!(out, "{}{}", &text[at..start + same], &with[same..]);
        at = start + what.len();
    }
    out + &text[at..]
}

#[cfg(test)]
pub(super) mod tests;
