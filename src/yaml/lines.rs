//! Places in a text: lines, columns, and what stands between a place and the end of its line.

/// Start of the line that a place lies in; in the first line that is after a byte-order mark.
pub(super) fn start(text: &str, at: usize) -> usize {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    text[..at].rfind('\n').map_or(mark.min(at), |at| at + 1)
}

/// End of the line that a place lies in, before its line break.
pub(super) fn end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |found| at + found);
    if end > at && text[..end].ends_with('\r') { end - 1 } else { end }
}

/// Start of the line after, or the end of the text.
pub(super) fn next(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |found| at + found + 1)
}

/// What stands before a place in its line.
pub(super) fn before(text: &str, at: usize) -> &str {
    &text[start(text, at)..at]
}

/// Whether only blanks stand before a place in its line.
pub(super) fn is_first(text: &str, at: usize) -> bool {
    before(text, at).bytes().all(|byte| byte == b' ' || byte == b'\t')
}

/// Whether nothing but blanks and a comment follows in the line.
pub(super) fn is_last(text: &str, at: usize) -> bool {
    let rest = &text[at..end(text, at)];
    let trimmed = rest.trim_start_matches([' ', '\t']);
    trimmed.is_empty() || (trimmed.starts_with('#') && trimmed.len() < rest.len())
}

/// The column of a block node: only blanks, dashes and question marks may stand before it in its line.
pub(super) fn column(text: &str, at: usize) -> Option<usize> {
    let before = before(text, at);
    before.bytes().all(|byte| matches!(byte, b' ' | b'-' | b'?')).then_some(before.len())
}

/// The line break of the nearest line that has one.
pub(super) fn newline(text: &str, at: usize) -> &'static str {
    let found = text[..at].rfind('\n').or_else(|| text[at..].find('\n').map(|found| at + found));
    if found.is_some_and(|found| text[..found].ends_with('\r')) { "\r\n" } else { "\n" }
}
