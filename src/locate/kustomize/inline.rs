//! Text that stands in a scalar of another document, and where its bytes stand in the file.

use super::tree::From;
use crate::yaml;

/// Where a byte of a scalar's text stands in the file. Of a block of lines it is known; of other scalars only the start.
pub(super) fn outer_offset(scalar: &From, inner: &str, offset: usize) -> usize {
    let text = &scalar.doc.text;
    let start = scalar.span.start;
    let written = &text[start..scalar.span.end];
    if !written.starts_with(['|', '>']) {
        return start;
    }
    let (line, column) = yaml::line_column(inner, offset.min(inner.len()));
    // The first line of the block is the one after its mark.
    let mut lines = written.split_inclusive('\n');
    let mut at = start + lines.next().map_or(0, str::len);
    let body: Vec<&str> = lines.collect();
    let indent = body
        .iter()
        .find(|line| !line.trim().is_empty())
        .map_or(0, |line| line.len() - line.trim_start_matches(' ').len());
    for (number, body) in body.iter().enumerate() {
        if number + 1 == line {
            let ahead: usize =
                body.get(indent..).map_or(0, |rest| rest.chars().take(column - 1).map(char::len_utf8).sum());
            return at + indent.min(body.len()) + ahead;
        }
        at += body.len();
    }
    start
}
