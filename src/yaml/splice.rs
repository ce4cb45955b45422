//! A place in block style and what should become of it in, the bytes to replace out.
//!
//! Nothing here decides whether that is right; the oracle does. What has no rule has no splice.

use granit_parser::{ScalarStyle, StructureStyle};
use serde_json::Value;

use super::lines;
use super::oracle::Splice;
use super::place::Way;
use super::scalar;
use super::tape::{Item, Kind, Tape};
use super::write::{self, Manner};

/// The bytes to replace, or why there is no rule for it.
pub(super) type Splices = Result<Vec<Splice>, &'static str>;

const NOT_ALONE: &str = "other text stands in the line where the edit would go";
const BEFORE: &str = "what stands before the place in its line is not known to be safe to continue from";

/// What the splices are made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sheet<'t> {
    pub text: &'t str,
    pub tape: &'t Tape<'t>,
    pub manner: Manner,
}

pub(super) fn is_flow(item: &Item<'_>) -> bool {
    matches!(item.kind, Kind::Map(StructureStyle::Flow) | Kind::List(StructureStyle::Flow))
}

fn is_block_collection(item: &Item<'_>) -> bool {
    matches!(item.kind, Kind::Map(StructureStyle::Block) | Kind::List(StructureStyle::Block))
}

fn is_block_scalar(item: &Item<'_>) -> bool {
    matches!(item.kind, Kind::Scalar(ScalarStyle::Literal | ScalarStyle::Folded))
}

impl<'t> Sheet<'t> {
    /// How the document is written around a place.
    pub(super) fn new(text: &'t str, tape: &'t Tape<'t>, at: usize) -> Self {
        let (mut step, mut list_step) = (None, None);
        let mut parents = tape.items.iter().zip(&tape.items[1.min(tape.items.len())..]);
        // The first map and the first list below a key show how the file is indented.
        while let Some((key, value)) = parents.next().filter(|_| step.is_none() || list_step.is_none()) {
            let is_below = is_block_collection(value) && matches!(key.kind, Kind::Scalar(_));
            let columns = || Some((lines::column(text, key.outer)?, lines::column(text, value.span.start)?));
            let Some((outer, inner)) = is_below.then(columns).flatten() else { continue };
            let deeper = inner.checked_sub(outer);
            match value.kind {
                Kind::Map(_) if step.is_none() => step = deeper.filter(|step| (1..=8).contains(step)),
                Kind::List(_) if list_step.is_none() => list_step = deeper.filter(|step| *step <= 8),
                _ => {}
            }
        }
        let step = step.unwrap_or(2);
        let list_step = list_step.unwrap_or(2);
        Self { text, tape, manner: Manner { newline: lines::newline(text, at), step, list_step, literal: true } }
    }

    fn item(&self, at: usize) -> &'t Item<'t> {
        &self.tape.items[at]
    }

    /// A new entry after the last one of a block map.
    pub(super) fn add_entry(&self, map: usize, key: &str, value: &Value, past_blanks: bool) -> Splices {
        let column = lines::column(self.text, self.item(map + 1).outer).ok_or(BEFORE)?;
        let after = self.manner.after_key(value, column);
        let line = format!("{}{}{}:{after}", self.manner.newline, " ".repeat(column), write::key(key, false));
        Ok(vec![self.after(self.tape.children(map).last().unwrap_or(map), past_blanks, line)?])
    }

    /// A new item before the one with that number, or after the last one of a block list.
    pub(super) fn add_item(&self, list: usize, index: usize, value: &Value, past_blanks: bool) -> Splices {
        let children: Vec<usize> = self.tape.children(list).collect();
        let first = self.dash(children[0])?;
        let column = lines::column(self.text, first).ok_or(BEFORE)?;
        let gap = self.gap(&children);
        let item = format!("-{}", self.manner.after_dash(value, column, gap));
        let indent = " ".repeat(column);
        if index == 0 {
            return Ok(vec![(first..first, format!("{item}{}{indent}", self.manner.newline))]);
        }
        // After its predecessor, so that comments above the next item stay with that.
        let line = format!("{}{indent}{item}", self.manner.newline);
        Ok(vec![self.after(children[index - 1], past_blanks, line)?])
    }

    /// Text after the line that a node ends in.
    fn after(&self, item: usize, past_blanks: bool, line: String) -> Result<Splice, &'static str> {
        let end = self.item(item).span.end;
        if !lines::is_last(self.text, end) {
            return Err(NOT_ALONE);
        }
        let mut at = lines::end(self.text, end);
        // Blank lines after a block scalar may belong to it.
        let is_blank = |line: &str| line.trim().is_empty();
        let blank_end = |at: usize| {
            let next = lines::next(self.text, at);
            let end = lines::end(self.text, next);
            (next < self.text.len() && is_blank(&self.text[next..end])).then_some(end)
        };
        if past_blanks {
            at = std::iter::successors(Some(at), |&at| blank_end(at)).last().unwrap_or(at);
        }
        Ok((at..at, line))
    }

    /// The dash of an item of a block list.
    fn dash(&self, item: usize) -> Result<usize, &'static str> {
        let before = self.text[..self.item(item).outer].trim_end();
        before.ends_with('-').then(|| before.len() - 1).ok_or("a comment stands between a list item and its dash")
    }

    /// How many blanks the items of a list have after their dash.
    fn gap(&self, children: &[usize]) -> usize {
        let gap = |&child: &usize| {
            let dash = self.dash(child).ok()?;
            let between = &self.text[dash + 1..self.item(child).outer];
            (!between.is_empty() && between.bytes().all(|byte| byte == b' ')).then_some(between.len())
        };
        children.iter().rev().find_map(gap).unwrap_or(1)
    }

    /// The place right after the colon or the dash that a value belongs to.
    fn lead(&self, way: &Way) -> Result<usize, &'static str> {
        let item = self.item(way.last());
        if item.anchor > 0 && item.outer < item.span.start && !item.span.is_empty() {
            return Err("a collection with an anchor is replaced");
        }
        let Some(key) = way.last_key() else { return Ok(self.dash(way.last())? + 1) };
        let end = self.item(key).span.end;
        let rest = &self.text[end..];
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        rest[blanks..].starts_with(':').then_some(end + blanks + 1).ok_or("the key has no colon in its line")
    }

    /// Another value in a block collection.
    pub(super) fn replace(&self, way: &Way, value: &Value) -> Splices {
        let item = self.item(way.last());
        let fills = match value {
            Value::Object(map) => !map.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => false,
        };
        match item.kind {
            _ if is_block_collection(item) => self.collapse(way, &self.inline(way, value)?),
            Kind::Scalar(ScalarStyle::Literal | ScalarStyle::Folded) => self.replace_block_scalar(way, value),
            _ if fills => self.fill(way, value),
            _ => Ok(vec![self.replace_inline(item, &like(item, value, false))]),
        }
    }

    /// A value for another in its line.
    pub(super) fn replace_inline(&self, item: &Item<'_>, new: &str) -> Splice {
        // A missing value stands right after its colon, dash or anchor.
        let needs_blank = item.span.is_empty() && !self.text[..item.span.start].ends_with([' ', '\t']);
        (item.span.clone(), format!("{}{new}", if needs_blank { " " } else { "" }))
    }

    /// What follows the colon or dash.
    fn inline(&self, way: &Way, value: &Value) -> Result<String, &'static str> {
        if let Some(key) = way.last_key() {
            let column = lines::column(self.text, self.item(key).outer).ok_or(BEFORE)?;
            return Ok(self.manner.after_key(value, column));
        }
        let column = lines::column(self.text, self.dash(way.last())?).ok_or(BEFORE)?;
        Ok(self.manner.after_dash(value, column, 1))
    }

    /// A collection for a scalar, a missing value or an empty collection.
    fn fill(&self, way: &Way, value: &Value) -> Splices {
        let item = self.item(way.last());
        let new = self.inline(way, value)?;
        if !lines::is_last(self.text, item.span.end) {
            return Err(NOT_ALONE);
        }
        let start = self.text[..item.span.start].trim_end_matches([' ', '\t']).len();
        if way.last_key().is_none() {
            return Ok(vec![(start..item.span.end, new)]);
        }
        // A comment in the line stays with the key.
        let end = lines::end(self.text, item.span.end);
        Ok(vec![(start..item.span.end, String::new()), (end..end, new)])
    }

    /// Text in the style of the block that it replaces, or in its place.
    fn replace_block_scalar(&self, way: &Way, value: &Value) -> Splices {
        let item = self.item(way.last());
        let source = &self.text[item.span.clone()];
        let header = &source[..source.find(['\n', '\r']).unwrap_or(source.len())];
        let indicators =
            header.len() - header[1..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '+' || c == '-').len();
        let comment = &header[indicators..];
        if let Some(block) = value.as_str().and_then(|new| self.block(way, new, &header[..indicators], comment)) {
            return Ok(vec![(item.span.clone(), block)]);
        }
        if value.is_array() || value.is_object() {
            let new = self.inline(way, value)?;
            let start = self.text[..item.span.start].trim_end_matches([' ', '\t']).len();
            if comment.contains('#') {
                return Err("a block scalar with a comment is replaced by a collection");
            }
            return Ok(vec![(start..item.span.end, new)]);
        }
        Ok(vec![(item.span.clone(), write::scalar(value, false) + comment)])
    }

    /// A block scalar with that text: the header as it is when the text ends as the old one does.
    fn block(&self, way: &Way, new: &str, indicators: &str, comment: &str) -> Option<String> {
        let item = self.item(way.last());
        let old_body = self.text[item.span.clone()].split_once('\n').map_or("", |(_, body)| body);
        let blanks = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let first = old_body.lines().find(|line| !line.trim().is_empty());
        let column = match first {
            Some(line) => blanks(line),
            None => lines::column(self.text, self.item(way.last_key()?).outer)? + self.manner.step,
        };
        let trailing = |text: &str| text.len() - text.trim_end_matches('\n').len();
        let is_indicated = indicators.contains(|c: char| c.is_ascii_digit());
        let ends_alike = trailing(new) == trailing(&item.value) && first.is_some();
        let chomp = if ends_alike { &indicators[1..] } else { write::chomping(new)? };
        let is_folded = indicators.starts_with('>');
        if is_indicated || (is_folded && new.trim_end_matches('\n').contains('\n')) {
            return None;
        }
        let body = write::block_lines(new, column, self.manner.newline)?;
        Some(format!("{}{chomp}{comment}{}{body}", &indicators[..1], self.manner.newline))
    }

    /// A block collection goes, and text comes after its colon or dash.
    pub(super) fn collapse(&self, way: &Way, new: &str) -> Splices {
        let item = self.item(way.last());
        if way.parent().is_none() {
            return Ok(vec![(item.span.start..lines::end(self.text, item.span.end), new.trim_start().to_owned())]);
        }
        let lead = self.lead(way)?;
        if !lines::is_last(self.text, item.span.end) {
            return Err(NOT_ALONE);
        }
        if lines::start(self.text, lead) == lines::start(self.text, item.span.start) {
            return Ok(vec![(lead..lines::end(self.text, item.span.end), new.to_owned())]);
        }
        if new.contains('\n') {
            // What comes has lines of its own, which stand where the old ones stood.
            let own = new.trim_start_matches(['\r', '\n']);
            if own.len() == new.len() {
                return Err("a collection below its dash is replaced by another");
            }
            let old = lines::start(self.text, item.span.start)..lines::end(self.text, item.span.end);
            return Ok(vec![(old, own.to_owned())]);
        }
        Ok(vec![(lead..lead, new.to_owned()), (self.whole_lines(item.outer, item.span.end, false), String::new())])
    }

    /// An entry or item goes that is not the only one of its block collection.
    pub(super) fn remove(&self, way: &Way, keep_break: bool) -> Splices {
        let (item, parent) = (self.item(way.last()), way.parent().ok_or("the root of a document is removed")?);
        let start = match way.last_key() {
            Some(key) => self.item(key).outer,
            None => self.dash(way.last())?,
        };
        if !lines::is_last(self.text, item.span.end) {
            return Err(NOT_ALONE);
        }
        if lines::is_first(self.text, start) {
            return Ok(vec![(self.whole_lines(start, item.span.end, keep_break), String::new())]);
        }
        // The first entry stands after a dash; the next one takes its place there.
        if start != self.item(parent).span.start || item.next >= self.item(parent).next {
            return Err(BEFORE);
        }
        let next_line = lines::next(self.text, lines::end(self.text, item.span.end));
        let rest = &self.text[next_line..];
        let next = next_line + rest.len() - rest.trim_start_matches([' ', '\t']).len();
        Ok(vec![(start..next, String::new())])
    }

    /// The lines from one place to another, with a line break: the one after them or, at the end of the text, the one before.
    fn whole_lines(&self, from: usize, to: usize, keep_break: bool) -> std::ops::Range<usize> {
        let (start, end) = (lines::start(self.text, from), lines::end(self.text, to));
        let next = lines::next(self.text, end);
        if next > end || start == 0 || keep_break {
            return start..next;
        }
        let before = &self.text[..start];
        before.strip_suffix("\r\n").or(before.strip_suffix('\n')).map_or(start, str::len)..end
    }

    /// Whether a block scalar ends the text without a line break.
    pub(super) fn ends_without_break(&self, at: usize) -> bool {
        let item = self.item(at);
        is_block_scalar(item)
            && !self.text.ends_with('\n')
            && self.text[item.span.end..].trim_matches([' ', '\t', '\r', '\n']).is_empty()
    }
}

/// A scalar or an empty collection, quoted as the old value is.
pub(super) fn like(item: &Item<'_>, value: &Value, in_flow: bool) -> String {
    match (value, item.kind) {
        (Value::String(text), Kind::Scalar(ScalarStyle::SingleQuoted)) => {
            write::single(text).unwrap_or_else(|| write::double(text))
        }
        (Value::String(text), Kind::Scalar(ScalarStyle::DoubleQuoted)) => write::double(text),
        (Value::String(text), _) if !scalar::is_safe_plain(text, in_flow) => write::double(text),
        (Value::Array(_), _) => "[]".to_owned(),
        (Value::Object(_), _) => "{}".to_owned(),
        _ => write::scalar(value, in_flow),
    }
}
