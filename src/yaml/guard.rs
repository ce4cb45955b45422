//! A text in, the document to edit out; refused where it is a template, in conflict, encrypted or ambiguous.

use granit_parser::ScalarStyle;

use super::place;
use super::refused::{Reason, Refused};
use super::tape::{Kind, Tape, Tapes};

/// The document with that number, if it may be edited.
pub(super) fn touched(text: &str, document: usize) -> Result<Tape<'_>, Refused> {
    conflict(text)?;
    old_breaks(text)?;
    template(text)?;
    let tape = find(text, document)?;
    if tape.is_empty() {
        return Err(Refused::new(text, tape.span.start, Reason::EmptyDocument));
    }
    if let Some(at) = tape.duplicate {
        return Err(Refused::new(text, at, Reason::DuplicateKey));
    }
    if let Some((key, _)) = place::entry(&tape, 0, "sops") {
        return Err(Refused::new(text, tape.items[key].span.start, Reason::Encrypted));
    }
    Ok(tape)
}

/// `<<<<<<< ` or `>>>>>>> ` at the start of a line.
fn conflict(text: &str) -> Result<(), Refused> {
    for marker in ["<<<<<<< ", ">>>>>>> "] {
        let found = text.match_indices(marker).find(|(at, _)| *at == 0 || text[..*at].ends_with('\n'));
        if let Some((at, _)) = found {
            return Err(Refused::new(text, at, Reason::Conflict));
        }
    }
    Ok(())
}

/// A carriage return alone ends a line for YAML, and for few else.
fn old_breaks(text: &str) -> Result<(), Refused> {
    let mut found = text.match_indices('\r').filter(|(at, _)| !text[at + 1..].starts_with('\n'));
    match found.next() {
        Some((at, _)) => {
            Err(Refused::new(text, at, Reason::Unsupported("a line ends with a carriage return and no line feed")))
        }
        None => Ok(()),
    }
}

/// `{{` anywhere but in block scalars and comments: whatever comes out of such a file is not what stands in it.
pub(super) fn template(text: &str) -> Result<(), Refused> {
    let Some(first) = text.find("{{") else { return Ok(()) };
    let refused = |at: usize| Refused::new(text, at, Reason::Template);
    let mut tapes = Tapes::new(text, 0)?;
    // A file that cannot be read and holds `{{` is a template, whatever the parser calls it.
    while let Some(tape) = tapes.next_tape().map_err(|_| refused(first))? {
        for item in tape.items.iter().filter(|item| matches!(item.kind, Kind::Scalar(_))) {
            let is_block = matches!(item.kind, Kind::Scalar(ScalarStyle::Literal | ScalarStyle::Folded));
            if !is_block && text[item.span.clone()].contains("{{") {
                return Err(refused(item.span.start));
            }
        }
        // Between scalars `{{` is two brackets, or stands in a comment.
        for item in tape.items.iter().filter(|item| matches!(item.kind, Kind::Map(_))) {
            if text[item.span.start..].starts_with("{{") {
                return Err(refused(item.span.start));
            }
        }
    }
    Ok(())
}

fn find(text: &str, document: usize) -> Result<Tape<'_>, Refused> {
    if let Some((start, end)) = share(text, document)
        && let Some(tape) = Tapes::new(text, start)?.next_tape()?
        && tape.span.end == end
    {
        return Ok(tape);
    }
    let mut tapes = Tapes::new(text, 0)?;
    let mut has = 0;
    while let Some(tape) = tapes.next_tape()? {
        if has == document {
            return Ok(tape);
        }
        has += 1;
    }
    Err(Refused::new(text, text.len(), Reason::NoDocument { asked: document, has }))
}

/// Where a document should start and end, from the lines that are `---`: in any text that is YAML these divide documents.
/// With `...` in the file, it takes the parser.
fn share(text: &str, document: usize) -> Option<(usize, usize)> {
    if text.starts_with("...") || text.contains("\n...") {
        return None;
    }
    let is_marker = |at: &usize| text[at + 3..].chars().next().is_none_or(char::is_whitespace);
    let after_mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let at_start = text[after_mark..].starts_with("---").then_some(after_mark);
    let mut markers = at_start.into_iter().chain(text.match_indices("\n---").map(|(at, _)| at + 1)).filter(is_marker);
    let first = markers.next();
    let head = &text[after_mark..first.unwrap_or(text.len())];
    // What stands before the first `---` is a document if it is more than comments and directives.
    let has_head = head.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with(['#', '%']));
    let mut starts = std::iter::once(0).chain(if has_head { first } else { None }).chain(markers);
    let start = starts.nth(document)?;
    Some((start, starts.next().unwrap_or(text.len())))
}
