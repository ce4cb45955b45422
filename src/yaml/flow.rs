//! A place between brackets and what should become of it in, the bytes to replace out.

use std::ops::Range;

use granit_parser::ScalarStyle;
use serde_json::Value;

use super::lines;
use super::place::Way;
use super::splice::{Sheet, Splices, is_flow, like};
use super::tape::{Item, Kind};
use super::write::Flow;

const COMMENT: &str = "a comment stands between the brackets";

impl Sheet<'_> {
    /// Another value between brackets, or another flow collection.
    pub(super) fn replace_flow(&self, way: &Way, value: &Value) -> Splices {
        let item = &self.tape.items[way.last()];
        let flow = self.flow(&way.items);
        if item.span.is_empty() && !self.text[..item.span.start].trim_end().ends_with(':') {
            return Err("a key between brackets has no colon");
        }
        let is_quoted = matches!(item.kind, Kind::Scalar(ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted));
        let new = match value {
            Value::String(_) if is_quoted || flow == Flow::Yaml => like(item, value, true),
            _ => flow.value(value),
        };
        Ok(vec![self.replace_inline(item, &new)])
    }

    /// A new entry or item before the one with that number, or after the last.
    pub(super) fn add_flow(&self, way: &Way, index: usize, key: Option<&str>, value: &Value) -> Splices {
        let container = &self.tape.items[way.last()];
        let units = self.units(way.last())?;
        let flow = self.flow(&way.items);
        let new = key.map(|key| flow.key(key)).unwrap_or_default() + &flow.value(value);
        let newline = self.manner.newline;
        let Some(last) = units.last() else {
            let inside = container.span.start + 1..container.span.end - 1;
            return if self.is_blank(&inside) { Ok(vec![(inside, new)]) } else { Err(COMMENT) };
        };
        if let Some(unit) = units.get(index) {
            let at = unit.start;
            let between = match self.own_line(unit) {
                Some(indent) => format!("{new},{newline}{indent}"),
                None => format!("{new}{}", flow.comma()),
            };
            return Ok(vec![(at..at, between)]);
        }
        let comma = self.trailing_comma(last.end, container.span.end);
        let end = comma.map_or(last.end, |comma| comma + 1);
        let after = if comma.is_some() { "," } else { "" };
        let before = if comma.is_some() { "" } else { "," };
        let Some(indent) = self.own_line(last) else {
            let before = if comma.is_some() { " " } else { flow.comma() };
            return Ok(vec![(end..end, format!("{before}{new}{after}"))]);
        };
        let line = format!("{newline}{indent}{new}{after}");
        if !lines::is_last(self.text, end) {
            return Ok(vec![(end..end, format!("{before}{line}"))]);
        }
        let line_end = lines::end(self.text, end);
        Ok(vec![(end..end, before.to_owned()), (line_end..line_end, line)])
    }

    /// An entry or item between brackets goes.
    pub(super) fn remove_flow(&self, way: &Way) -> Splices {
        let parent = way.parent().ok_or("the root of a document is removed")?;
        let container = &self.tape.items[parent];
        let units = self.units(parent)?;
        let start = way.last_key().unwrap_or(way.last());
        let at =
            units.iter().position(|unit| unit.start == self.tape.items[start].outer).ok_or("an entry has no place")?;
        let unit = &units[at];
        if units.len() == 1 {
            let inside = container.span.start + 1..container.span.end - 1;
            let is_plain = self.has_no_comment(inside.start..unit.start) && self.has_no_comment(unit.end..inside.end);
            return if is_plain { Ok(vec![(inside, String::new())]) } else { Err(COMMENT) };
        }
        let (gone, between) = match units.get(at + 1) {
            Some(next) => (unit.start..next.start, unit.end..next.start),
            None => (units[at - 1].end..unit.end, units[at - 1].end..unit.start),
        };
        if self.has_no_comment(between) { Ok(vec![(gone, String::new())]) } else { Err(COMMENT) }
    }

    /// The bytes of each entry or item.
    fn units(&self, container: usize) -> Result<Vec<Range<usize>>, &'static str> {
        let item = &self.tape.items[container];
        if !is_flow(item) || !self.text[item.span.clone()].starts_with(['{', '[']) {
            return Err("a map stands in a list without brackets of its own");
        }
        let children: Vec<usize> = self.tape.children(container).collect();
        let item = |at: usize| &self.tape.items[at];
        Ok(match self.tape.items[container].kind {
            Kind::Map(_) => children
                .chunks_exact(2)
                .map(|pair| item(pair[0]).outer..item(pair[1]).span.end.max(item(pair[0]).span.end))
                .collect(),
            _ => children.iter().map(|&child| item(child).outer..item(child).span.end).collect(),
        })
    }

    /// How the flow collections around a place are written: as the nearest that has a key.
    fn flow(&self, way: &[usize]) -> Flow {
        let style = |&container: &usize| {
            let item = &self.tape.items[container];
            let key: &Item<'_> = self.tape.items.get(container + 1).filter(|_| item.next > container + 1)?;
            match item.kind {
                Kind::Map(_) if !is_flow(item) => Some(Flow::Yaml),
                Kind::Map(_) if key.kind != Kind::Scalar(ScalarStyle::DoubleQuoted) => Some(Flow::Yaml),
                Kind::Map(_) => {
                    let value = self.tape.items.get(container + 2)?;
                    let is_compact = self.text.get(key.span.end..value.span.start) == Some(":");
                    Some(if is_compact { Flow::Compact } else { Flow::Json })
                }
                Kind::List(_) if key.kind == Kind::Scalar(ScalarStyle::DoubleQuoted) => Some(Flow::Json),
                _ => None,
            }
        };
        // A document that is an empty map may be JSON, and JSON is YAML.
        way.iter().rev().find_map(style).unwrap_or(Flow::Json)
    }

    /// The indentation, if a unit starts its line.
    fn own_line(&self, unit: &Range<usize>) -> Option<&str> {
        lines::is_first(self.text, unit.start).then(|| lines::before(self.text, unit.start))
    }

    /// A comma after the last entry.
    fn trailing_comma(&self, from: usize, to: usize) -> Option<usize> {
        let mut at = from;
        while at < to {
            let rest = &self.text[at..to];
            at += rest.len() - rest.trim_start().len();
            match self.text.as_bytes().get(at)? {
                b',' => return Some(at),
                b'#' => at = lines::end(self.text, at),
                _ => return None,
            }
        }
        None
    }

    fn is_blank(&self, range: &Range<usize>) -> bool {
        self.text[range.clone()].trim().is_empty()
    }

    fn has_no_comment(&self, range: Range<usize>) -> bool {
        !self.text[range].contains('#')
    }
}
