//! Places in, the lines with carets out: one snippet for each file.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Snippet};

use super::pen::Pen;
use crate::case::{Case, SourceLocation, Sources};
use crate::report::plain;

/// A place and what is said under its caret.
pub struct Mark<'a> {
    pub location: &'a SourceLocation,
    pub label: Label,
    /// Underlined with `^`; others belong to it and have `-`.
    pub primary: bool,
}

/// What is said under a caret.
pub enum Label {
    /// What the evidence says. Part of it may do.
    Evidence(String),
    /// A word about the place itself.
    About(String),
}

/// The rendered lines, and the width of their gutter in digits.
pub struct Places {
    pub text: String,
    pub digits: usize,
    /// Whether what the evidence says stands under a caret, whole.
    pub label_shown: bool,
}

/// Renders the places: those of one file in one snippet, in the order in which the files are first named.
///
/// `digits` is the least width of the gutter, so that a diff below it lines up.
pub fn render(case: &Case, sources: Option<&Sources>, marks: &[Mark], pen: &Pen, digits: usize) -> Option<Places> {
    let mut files: Vec<&str> = Vec::new();
    for mark in marks {
        if !files.contains(&mark.location.file.as_str()) {
            files.push(&mark.location.file);
        }
    }
    let mut group = Group::with_level(Level::ERROR);
    let (mut last, mut any_text, mut label_shown) = (1, false, false);
    for file in &files {
        let marks: Vec<&Mark> = marks.iter().filter(|mark| mark.location.file == *file).collect();
        last = last.max(marks.iter().map(|mark| mark.location.line).max().unwrap_or(1));
        match text_of(file, case, sources) {
            Some(text) => {
                any_text = true;
                let (element, whole) = snippet(file, text, &marks, pen);
                label_shown |= whole;
                group = group.element(element);
            }
            None => group = group.elements(marks.iter().map(|mark| origin(mark.location))),
        }
    }
    if files.is_empty() {
        return None;
    }
    let own = if any_text { last.to_string().len() } else { 0 };
    let digits = digits.max(own).max(1);
    let indent = " ".repeat(digits - own);
    let rendered = pen.renderer.render(&[group]);
    let text = rendered.lines().flat_map(|line| [&indent, line, "\n"]).collect();
    Some(Places { text, digits, label_shown })
}

/// One place with its line, under a note's arrow, and the width of its gutter in digits.
pub fn one(location: &SourceLocation, text: Option<&str>, label: &str, pen: &Pen) -> (String, usize) {
    let group = Group::with_level(Level::NOTE);
    let mark = Mark { location, label: Label::About(label.to_owned()), primary: true };
    let (group, digits) = match text {
        Some(text) => (group.element(snippet(&location.file, text, &[&mark], pen).0), location.line.to_string().len()),
        None => (group.element(origin(location)), 1),
    };
    let rendered = pen.renderer.render(&[group]);
    (rendered.lines().flat_map(|line| [line, "\n"]).collect(), digits)
}

/// The file as the proposal found it, or as it stands in the sources.
fn text_of<'a>(file: &str, case: &'a Case, sources: Option<&'a Sources>) -> Option<&'a str> {
    let edited = case.proposal.iter().flat_map(|proposal| &proposal.files).find(|edited| edited.path == file);
    edited.map(|edited| &*edited.before).or_else(|| Some(&*sources?.files.get(file)?.text))
}

fn origin(location: &SourceLocation) -> Element<'static> {
    let path = plain::inline(&location.file).into_owned();
    Element::Origin(Origin::path(path).line(location.line).char_column(location.column))
}

/// The snippet, and whether the evidence stands in it, whole.
fn snippet(file: &str, text: &str, marks: &[&Mark], pen: &Pen) -> (Element<'static>, bool) {
    // Only the part that is shown: a file may be large, and the renderer splits all it is given.
    let first = marks.iter().map(|mark| mark.location.line.max(1)).min().unwrap_or(1);
    let last = marks.iter().map(|mark| mark.location.line).fold(first, usize::max);
    let start = line_start(text, first);
    let mut snippet = Snippet::source(plain::block(&text[start..line_start(text, last + 1)]).into_owned())
        .line_start(first)
        .path(plain::inline(file).into_owned());
    let mut seen: Vec<Range<usize>> = Vec::new();
    let mut whole = false;
    for mark in marks {
        let span = on_one_line(text, mark.location);
        if seen.contains(&span) {
            continue;
        }
        let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        // The shown text may be longer than the file's: offsets count in what is shown.
        let shown = |at: usize| plain::block(&text[start..at]).len();
        let indent = plain::width(&plain::inline(&text[line_start(text, mark.location.line)..span.end]));
        let room = pen.width.saturating_sub(indent + 9).max(30);
        let label = match &mark.label {
            Label::About(text) => plain::cut(&plain::inline(text), room).into_owned(),
            Label::Evidence(text) => {
                let text = plain::inline(text);
                whole |= !text.is_empty() && plain::width(&text) <= room;
                that_fits(&text, room)
            }
        };
        let label = (!label.is_empty()).then_some(label);
        snippet = snippet.annotation(kind.span(shown(span.start)..shown(span.end)).label(label));
        seen.push(span);
    }
    (snippet.into(), whole)
}

/// Of "failed to pull: cannot resolve: not found", as many of the last words as there is room for: they say most.
/// Else without what stands in parentheses at its end.
fn that_fits(text: &str, room: usize) -> String {
    if plain::width(text) <= room {
        return text.to_owned();
    }
    let without = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")).map(|(text, _)| text);
    let tails = text.match_indices(": ").map(|(at, colon)| balanced(&text[at + colon.len()..]));
    let fits = |part: &&str| plain::width(part) <= room && !part.trim().is_empty();
    let fitting = tails.chain(without.filter(|text| !text.contains('('))).find(fits);
    fitting.map_or_else(|| plain::cut(text, room).into_owned(), ToOwned::to_owned)
}

/// Without the parenthesis at its end that was opened before it begins.
fn balanced(tail: &str) -> &str {
    let closed = tail.matches(')').count() > tail.matches('(').count();
    if closed { tail.strip_suffix(')').unwrap_or(tail) } else { tail }
}

/// Where a line begins; the end of the text if it has fewer.
fn line_start(text: &str, line: usize) -> usize {
    let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(breaks).nth(line.saturating_sub(1)).unwrap_or(text.len())
}

/// The bytes to underline: of a value of several lines, only the first.
///
/// A span that does not fit its line and column is not believed; the renderer must not be led outside of the text.
fn on_one_line(text: &str, location: &SourceLocation) -> Range<usize> {
    let start_of_line = line_start(text, location.line);
    let line = text[start_of_line..].split(['\n', '\r']).next().unwrap_or_default();
    let end_of_line = start_of_line + line.len();
    let in_line = |at: usize| (start_of_line..=end_of_line).contains(&at) && text.is_char_boundary(at);
    let start = if in_line(location.span.start) {
        location.span.start
    } else {
        start_of_line + line.char_indices().nth(location.column.saturating_sub(1)).map_or(line.len(), |(at, _)| at)
    };
    let end = if in_line(location.span.end) { location.span.end.max(start) } else { end_of_line };
    start..end.min(start + text[start..end].trim_end().len()).max(start)
}
