//! Text in, the nodes of one document out, flat and in order: what all of `yaml` stands on.
//!
//! A tree costs an allocation for each node; a tape is one list, in which a container knows the index after its last
//! descendant. The spans of the parser are put right here, so that nobody else knows its ways: a block scalar starts at
//! its `|`, a missing value stands after its colon, a block collection ends with its last child.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use granit_parser::{ErrorKind, Event, ParseResult, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle};

use super::line_column;

/// Text that is not YAML as Kubernetes reads it, and where it ceases to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct Unreadable {
    pub line: usize,
    pub column: usize,
    /// A sentence without a period.
    pub reason: String,
}

/// How many nodes the aliases of a document may stand for, all taken together.
const MOST_EXPANDED: u64 = 200_000;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar(ScalarStyle),
    /// Keys and values follow in turn.
    Map(StructureStyle),
    List(StructureStyle),
    Alias,
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Item<'t> {
    pub kind: Kind,
    /// Its bytes, without anchor and tag.
    pub span: Range<usize>,
    /// Where its anchor or tag starts, if it has one; else where it starts.
    pub outer: usize,
    /// Index of the item after its last descendant.
    pub next: usize,
    /// Scalars: the text they stand for, empty for a missing value. Aliases: the name.
    pub value: Cow<'t, str>,
    /// Index into [`Tape::anchors`] plus one: of the own anchor or, for an alias, of the one it follows; 0 is none.
    pub anchor: usize,
    pub tagged: bool,
}

/// A name for a node.
#[derive(Clone, Debug)]
pub(super) struct Anchor<'t> {
    pub name: Cow<'t, str>,
    pub item: usize,
    pub users: usize,
    /// How many nodes an alias to it stands for; `None` while the node is still being read.
    size: Option<u64>,
}

/// The nodes of one document.
#[derive(Clone, Debug)]
pub(super) struct Tape<'t> {
    pub items: Vec<Item<'t>>,
    pub anchors: Vec<Anchor<'t>>,
    /// Tags as written, by item.
    pub tags: Vec<(usize, Cow<'t, str>)>,
    /// The document's share of the text: all of the text belongs to some document.
    pub span: Range<usize>,
    /// Where the first key stands that its map has already.
    pub duplicate: Option<usize>,
    /// How many nodes the document has when its aliases are followed.
    expanded: u64,
}

impl Tape<'_> {
    /// A document of comments only, or of nothing.
    pub(super) fn is_empty(&self) -> bool {
        match self.items.as_slice() {
            [] => true,
            [item] => {
                item.span.is_empty() && item.kind == Kind::Scalar(ScalarStyle::Plain) && item.outer == item.span.start
            }
            _ => false,
        }
    }

    /// The children of a container, by index: keys and values in turn for a map.
    pub(super) fn children(&self, container: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.items[container].next;
        let first = container + 1;
        std::iter::successors((first < end).then_some(first), move |&at| {
            let next = self.items[at].next;
            (next < end).then_some(next)
        })
    }

    pub(super) fn tag(&self, item: usize) -> Option<&str> {
        self.tags.iter().find(|(at, _)| *at == item).map(|(_, tag)| &**tag)
    }
}

/// Documents of a text, one after the other.
pub(super) struct Tapes<'t> {
    text: &'t str,
    /// Where the parser's text begins in `text`.
    offset: usize,
    parser: Parser<'t, StrInput<'t>>,
    /// Where the next document's share begins.
    pub start: usize,
}

impl<'t> Tapes<'t> {
    /// Reads on from a byte at which a document starts.
    pub(super) fn new(text: &'t str, offset: usize) -> Result<Self, Unreadable> {
        let rest = text.get(offset..).ok_or_else(|| Unreadable {
            line: 1,
            column: 1,
            reason: format!("no document starts at byte {offset}"),
        })?;
        Ok(Self { text, offset, parser: Parser::new_from_str_with_options(rest, options()), start: offset })
    }

    /// The next document, if there is one.
    pub(super) fn next_tape(&mut self) -> Result<Option<Tape<'t>>, Unreadable> {
        loop {
            match self.event()? {
                Some((Event::DocumentStart(explicit, _), span)) => {
                    // A document that starts without `---` has the span of its first token.
                    let after = if explicit { self.range(&span).end } else { self.start };
                    return self.body(after).map(Some);
                }
                Some((Event::StreamEnd, _)) | None => return Ok(None),
                Some(_) => {}
            }
        }
    }

    fn body(&mut self, after: usize) -> Result<Tape<'t>, Unreadable> {
        let mut builder = Builder::new(self.text, self.start, after);
        while let Some((event, span)) = self.event()? {
            let range = self.range(&span);
            if event == Event::DocumentEnd {
                self.pass(&range);
                break;
            }
            builder.take(event, &range, span.tag_start().and_then(|m| m.byte_offset()).map(|at| at + self.offset))?;
        }
        let mut tape = builder.tape;
        tape.span.end = self.start.max(tape.span.start);
        Ok(tape)
    }

    /// Goes on to the next document, when one has ended.
    pub(super) fn pass(&mut self, end: &Range<usize>) {
        self.start = self.next_start(end);
    }

    /// After `...` a document has the text from the next line on, because directives may stand there; else it starts at `---`.
    fn next_start(&mut self, end: &Range<usize>) -> usize {
        if !end.is_empty() {
            let rest = &self.text[end.end..];
            let Some(line) = rest.find(['\n', '\r']) else { return self.text.len() };
            return end.end + line + if rest[line..].starts_with("\r\n") { 2 } else { 1 };
        }
        match self.parser.peek() {
            Some(Ok((Event::DocumentStart(..), span))) => span.start.byte_offset().unwrap_or(0) + self.offset,
            Some(Err(_)) => end.end,
            _ => self.text.len(),
        }
    }

    pub(super) fn event(&mut self) -> Result<Option<(Event<'t>, Span)>, Unreadable> {
        let next: Option<ParseResult<'t>> = self.parser.next_event();
        next.transpose().map_err(|error| self.unreadable(&error))
    }

    pub(super) fn range(&self, span: &Span) -> Range<usize> {
        let range = span.byte_range().unwrap_or(0..0);
        range.start + self.offset..range.end.max(range.start) + self.offset
    }

    fn unreadable(&self, error: &ScanError) -> Unreadable {
        unreadable(self.text, self.offset, error)
    }
}

/// The parser's error in our coordinates and words.
pub(super) fn unreadable(text: &str, offset: usize, error: &ScanError) -> Unreadable {
    let at = error.marker().byte_offset().unwrap_or(0) + offset;
    let (line, column) = line_column(text, at);
    let reason = match error.kind() {
        ErrorKind::UnknownAnchor => "an alias follows an anchor that is not defined before it".to_owned(),
        _ => error.info(),
    };
    Unreadable { line, column, reason }
}

/// Comments are not emitted: more than 96 between a key and its value would be an error.
pub(super) fn options() -> granit_parser::Options {
    granit_parser::options! {
        emit_comments: false,
        emit_anchor_events: true,
        block_scalar_eof_without_line_feed: true,
    }
}

/// A container whose children are being read.
struct Open {
    item: usize,
    children: usize,
    /// Where the last child ended.
    end: usize,
    /// Nodes below it, aliases followed.
    size: u64,
    /// Its keys, once there are too many to look through.
    keys: HashSet<u64>,
}

struct Builder<'t> {
    text: &'t str,
    tape: Tape<'t>,
    open: Vec<Open>,
    /// Where the last token ended.
    last: usize,
    /// The parser numbers anchors through all documents; this is the document's first.
    first_anchor: usize,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str, start: usize, after: usize) -> Self {
        let tape = Tape {
            items: Vec::new(),
            anchors: Vec::new(),
            tags: Vec::new(),
            span: start..start,
            duplicate: None,
            expanded: 0,
        };
        Self { text, tape, open: Vec::new(), last: after, first_anchor: 0 }
    }

    fn take(&mut self, event: Event<'t>, range: &Range<usize>, tag: Option<usize>) -> Result<(), Unreadable> {
        match event {
            Event::Scalar(value, style, _, tagged) => {
                let value = if range.is_empty() && style == ScalarStyle::Plain { Cow::Borrowed("") } else { value };
                let span = self.scalar_span(style, range);
                self.push(Kind::Scalar(style), span, value, tag, tagged.map(|t| t.original()));
                self.last = range.end.max(self.last);
                self.close(self.tape.items.len() - 1);
            }
            Event::Alias(id) => {
                let name = self.text.get(range.start + 1..range.end).unwrap_or_default();
                self.push(Kind::Alias, range.clone(), Cow::Borrowed(name), None, None);
                self.last = range.end;
                self.follow(id, range.start)?;
                self.close(self.tape.items.len() - 1);
            }
            Event::Anchor(id, name) => {
                if self.tape.anchors.is_empty() {
                    self.first_anchor = id;
                }
                let item = self.tape.items.len() - 1;
                // Anchors of a scalar come when it is closed already.
                let size = matches!(self.tape.items[item].kind, Kind::Scalar(_)).then_some(1);
                self.tape.anchors.push(Anchor { name, item, users: 0, size });
                self.tape.items[item].anchor = self.tape.anchors.len();
                let outer = &mut self.tape.items[item].outer;
                *outer = range.start.min(*outer);
            }
            Event::MappingStart(style, _, tagged) => {
                self.start(Kind::Map(style), range, tag, tagged.map(|t| t.original()));
            }
            Event::SequenceStart(style, _, tagged) => {
                self.start(Kind::List(style), range, tag, tagged.map(|t| t.original()));
            }
            Event::MappingEnd | Event::SequenceEnd => self.end(range),
            _ => {}
        }
        if self.tape.expanded > MOST_EXPANDED
            && !self.tape.anchors.is_empty()
            && self.tape.expanded > 4 * self.tape.items.len() as u64
        {
            let (line, column) = line_column(self.text, range.start);
            return Err(Unreadable {
                line,
                column,
                reason: format!("the aliases stand for more than {MOST_EXPANDED} values"),
            });
        }
        Ok(())
    }

    fn push(
        &mut self,
        kind: Kind,
        span: Range<usize>,
        value: Cow<'t, str>,
        tag_at: Option<usize>,
        tag: Option<String>,
    ) {
        let at = self.tape.items.len();
        let outer = tag_at.unwrap_or(span.start).min(span.start);
        if let Some(tag) = tag {
            self.tape.tags.push((at, Cow::Owned(tag)));
        }
        let tagged = tag_at.is_some();
        self.tape.items.push(Item { kind, span, outer, next: at + 1, value, anchor: 0, tagged });
        self.tape.expanded += 1;
    }

    fn start(&mut self, kind: Kind, range: &Range<usize>, tag_at: Option<usize>, tag: Option<String>) {
        self.push(kind, range.clone(), Cow::Borrowed(""), tag_at, tag);
        if !range.is_empty() && matches!(kind, Kind::Map(StructureStyle::Flow) | Kind::List(StructureStyle::Flow)) {
            self.last = range.end;
        }
        self.open.push(Open { item: self.tape.items.len() - 1, children: 0, end: 0, size: 1, keys: HashSet::new() });
    }

    fn end(&mut self, range: &Range<usize>) {
        let Some(done) = self.open.pop() else { return };
        let next = self.tape.items.len();
        let first = self.tape.items.get(done.item + 1).map(|child| child.outer);
        let item = &mut self.tape.items[done.item];
        item.next = next;
        if range.is_empty() {
            // The parser ends a block collection where the next token starts, and may start it after its first dash.
            let start = match item.kind {
                Kind::List(_) => dash_before(self.text, first.unwrap_or(item.span.start)),
                _ => first.unwrap_or(item.span.start),
            };
            item.outer = item.outer.min(start);
            if !item.tagged && item.anchor == 0 {
                item.outer = start;
            }
            item.span = start..done.end.max(start);
        } else {
            item.span.end = range.end;
            self.last = range.end;
        }
        if item.anchor > 0 {
            self.tape.anchors[item.anchor - 1].size = Some(done.size);
        }
        if let Some(parent) = self.open.last_mut() {
            parent.size = parent.size.saturating_add(done.size - 1);
        }
        self.close(done.item);
    }

    /// A node is complete: it counts for its parent, and as a key it must be new there.
    fn close(&mut self, item: usize) {
        let end = self.tape.items[item].span.end;
        let Some(parent) = self.open.last_mut() else { return };
        parent.children += 1;
        parent.end = end;
        parent.size = parent.size.saturating_add(1);
        let is_key = parent.children % 2 == 1 && matches!(self.tape.items[parent.item].kind, Kind::Map(_));
        let is_scalar = matches!(self.tape.items[item].kind, Kind::Scalar(_));
        if is_key && is_scalar && self.tape.duplicate.is_none() && self.is_repeated(item) {
            self.tape.duplicate = Some(self.tape.items[item].span.start);
        }
    }

    /// Whether the map that is open has that key already: by looking through a few, by hash when there are many.
    fn is_repeated(&mut self, key: usize) -> bool {
        const FEW: usize = 16;
        let Some(open) = self.open.last_mut() else { return false };
        let count = open.children.div_ceil(2);
        let container = open.item;
        if count <= FEW {
            let same = |at: usize| {
                self.tape.items[at].value == self.tape.items[key].value
                    && matches!(self.tape.items[at].kind, Kind::Scalar(_))
            };
            let mut at = container + 1;
            while at < key {
                if same(at) {
                    return true;
                }
                at = self.tape.items[at].next; // the value
                at = self.tape.items.get(at).map_or(key, |v| v.next);
            }
            return false;
        }
        if open.keys.is_empty() {
            let mut at = container + 1;
            while at < key {
                open.keys.insert(hash(&self.tape.items[at].value));
                at = self.tape.items[at].next;
                at = self.tape.items.get(at).map_or(key, |v| v.next);
            }
        }
        !open.keys.insert(hash(&self.tape.items[key].value))
    }

    /// An alias counts with all that it stands for; one inside of what it stands for would never end.
    fn follow(&mut self, id: usize, at: usize) -> Result<(), Unreadable> {
        let item = self.tape.items.len() - 1;
        let index = id.wrapping_sub(self.first_anchor);
        let Some(anchor) = self.tape.anchors.get_mut(index) else { return Ok(()) };
        anchor.users += 1;
        self.tape.items[item].anchor = index + 1;
        let Some(size) = anchor.size else {
            let (line, column) = line_column(self.text, at);
            return Err(Unreadable { line, column, reason: "an alias stands inside of what it stands for".to_owned() });
        };
        self.tape.expanded = self.tape.expanded.saturating_add(size);
        if let Some(parent) = self.open.last_mut() {
            parent.size = parent.size.saturating_add(size);
        }
        Ok(())
    }

    fn scalar_span(&self, style: ScalarStyle, range: &Range<usize>) -> Range<usize> {
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded => block_span(self.text, self.last, range),
            ScalarStyle::Plain if range.is_empty() && self.is_value() => after_colon(self.text, range.start, self.last),
            _ => range.clone(),
        }
    }

    /// Whether the node that comes now is the value of a map entry.
    fn is_value(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| open.children % 2 == 1 && matches!(self.tape.items[open.item].kind, Kind::Map(_)))
    }
}

fn hash(text: &str) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
}

/// Where the dash stands that a first item follows.
fn dash_before(text: &str, item: usize) -> usize {
    text[..item].rfind('-').filter(|&dash| text[dash + 1..item].chars().all(char::is_whitespace)).unwrap_or(item)
}

/// The place of a value that is not there: after the colon of its key, if that has one.
fn after_colon(text: &str, at: usize, key_end: usize) -> Range<usize> {
    if at != key_end {
        return at..at; // it has an anchor or a tag, and stands after them
    }
    let rest = &text[at..];
    let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    let at = if rest[spaces..].starts_with(':') { at + spaces + 1 } else { at };
    at..at
}

/// A block scalar from its `|` or `>` to the end of its last line that is not blank, without the line break.
fn block_span(text: &str, last: usize, content: &Range<usize>) -> Range<usize> {
    let header = block_header(text, last, content.end).unwrap_or(content.start);
    let first_break = text[header..].find(['\n', '\r']).map_or(text.len(), |at| header + at);
    let end = content.end.max(header);
    let body = text.get(first_break..end).unwrap_or_default();
    let kept = body.trim_end_matches([' ', '\t', '\n', '\r']).len();
    let mut end = first_break + kept;
    if kept > 0 {
        // Blanks at the end of a line of content are content.
        end += text[end..content.end].find(['\n', '\r']).unwrap_or(content.end - end);
    }
    header..end
}

/// The first `|` or `>` after the last token that is not part of a comment, an anchor or a tag.
fn block_header(text: &str, from: usize, to: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = from;
    while at < to {
        match bytes[at] {
            b'|' | b'>' => return Some(at),
            b'#' => at += text[at..to].find(['\n', '\r'])?,
            b'&' | b'!' => at += text[at..to].find(char::is_whitespace)?,
            _ => at += 1,
        }
    }
    None
}
