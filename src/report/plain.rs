//! Text from a cluster in, text that is safe on a terminal out.
//!
//! A pod's name, a log line or a comment in a manifest can hold escape sequences that move the cursor, change the
//! title of the window or turn the reading direction. What is printed is what is there, but visible.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Stands for what was cut off.
pub const ELLIPSIS: char = '…';

/// One line: nothing in it breaks it, moves the cursor or hides. Tabs become spaces, line breaks `␊`.
pub fn inline(text: &str) -> Cow<'_, str> {
    mapped(text.trim_end_matches(['\n', '\r']), |c| if c == '\t' { ' ' } else { visible(c) })
}

/// A text of several lines: line breaks and tabs stay, everything else is as in [`inline`].
///
/// Every character becomes exactly one: what stood at a line and a column still stands there.
pub fn block(text: &str) -> Cow<'_, str> {
    mapped(text, |c| if matches!(c, '\n' | '\r' | '\t') { c } else { visible(c) })
}

fn mapped(text: &str, map: impl Fn(char) -> char) -> Cow<'_, str> {
    if text.chars().all(|c| map(c) == c) { Cow::Borrowed(text) } else { Cow::Owned(text.chars().map(map).collect()) }
}

/// A character that a terminal would obey or hide becomes one that it shows.
fn visible(c: char) -> char {
    match c {
        // Unicode has a picture of each: escape is ␛, so "ESC[31m" reads "␛[31m".
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        // The other half of the control characters: 0x9b alone starts a sequence, as "ESC [" does.
        '\u{80}'..='\u{9f}'
        // Reading direction.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        // Line breaks that only some programs see.
        | '\u{2028}' | '\u{2029}'
        // Invisible, and so able to make two different names look alike.
        | '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        _ => c,
    }
}

/// A name as a word of a command that a reader may paste into a shell: quoted unless it is plainly harmless.
pub fn shell_word(name: &str) -> Cow<'_, str> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(harmless) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(format!("'{}'", inline(name).replace('\'', "'\\''")))
}

/// Columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// At most so many columns; what is cut off is replaced by `…`.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut kept = taken(text, columns.saturating_sub(1)).trim_end().to_owned();
    kept.push(ELLIPSIS);
    Cow::Owned(kept)
}

/// At most so many columns around the character with that number; `…` stands for what is cut off on either side.
pub fn window(text: &str, focus: usize, columns: usize) -> String {
    let before: usize = text.chars().take(focus).map(|c| c.width().unwrap_or(0)).sum();
    if width(text) <= columns || before < columns * 2 / 3 {
        return cut(text, columns).into_owned();
    }
    // A third of the room shows what comes before the focus.
    let mut drop = before - columns / 3;
    let rest = text.trim_start_matches(|c: char| {
        let dropped = drop > 0;
        drop = drop.saturating_sub(c.width().unwrap_or(0));
        dropped
    });
    format!("{ELLIPSIS}{}", cut(rest, columns - 1))
}

fn taken(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > columns
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

/// Breaks a text at spaces into lines of at most so many columns; a longer word is broken where the line ends.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for (i, mut word) in paragraph.split(' ').enumerate() {
            if i > 0 && used + 1 + width(word) > columns {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0;
            } else if i > 0 {
                line.push(' ');
                used += 1;
            }
            while width(word) > columns.max(2) {
                let part = taken(word, columns.max(2));
                lines.push(format!("{line}{part}"));
                line.clear();
                word = &word[part.len()..];
            }
            line.push_str(word);
            used += width(word);
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_becomes_visible() {
        assert_eq!(inline("a\x1b[2Jb\x07"), "a␛[2Jb␇");
        assert_eq!(inline("a\u{9b}31mb"), "a\u{fffd}31mb");
        assert_eq!(inline("safe\u{202e}dab\u{2066}"), "safe\u{fffd}dab\u{fffd}");
        assert_eq!(inline("x\r\ny\tz\r\n"), "x␍␊y z");
        assert_eq!(block("x\r\n\ty\x1b"), "x\r\n\ty␛");
        assert!(matches!(inline("größer 日本 👩\u{200d}🚀"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_block_keeps_its_columns() {
        let text = "a\u{e0041}b\u{ad}c\x1b";
        assert_eq!(block(text).chars().count(), text.chars().count());
    }

    #[test]
    fn a_name_in_a_command_is_one_word_and_runs_nothing() {
        assert_eq!(shell_word("deployment/web-1.x"), "deployment/web-1.x");
        assert_eq!(shell_word("x; rm -rf $(y)"), "'x; rm -rf $(y)'");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
        assert_eq!(shell_word("--all"), "'--all'");
    }

    #[test]
    fn a_cut_text_says_so_and_fits() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(width(&cut("日本語", 4)), 3);
    }

    #[test]
    fn a_window_shows_the_focus() {
        let line = format!("{}X{}", "a".repeat(100), "b".repeat(100));
        let shown = window(&line, 100, 30);
        assert!(shown.starts_with('…') && shown.contains('X') && shown.ends_with('…'), "{shown}");
        assert_eq!(width(&shown), 30);
        assert_eq!(window("short", 2, 30), "short");
    }

    #[test]
    fn lines_break_at_spaces_and_in_words_only_where_they_must() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("a verylongword b", 8), ["a", "verylong", "word b"]);
        assert_eq!(wrap("a\nb", 8), ["a", "b"]);
    }
}
