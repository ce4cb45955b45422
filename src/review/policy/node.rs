//! YAML or JSON text in, values with their places out.
//!
//! Small on purpose: files of `.kubecure/` are written by people, and every value must be able to say where it stands.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, options};
use serde_json::{Map, Number, Value};

/// Where something stands: line and column from 1, and how many characters it takes on that line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub data: Data,
}

#[derive(Clone, Debug)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// Every entry as it was written; keys can be there twice.
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub text: String,
    pub place: Place,
}

/// What makes a text unreadable.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub place: Place,
    pub message: String,
}

const MAX_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 40;
/// Aliases multiply; no policy has this many values.
const MAX_NODES: usize = 50_000;

/// The documents of a file; empty ones are left out.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Unreadable> {
    if text.len() > MAX_BYTES {
        return Err(unreadable(Place { line: 1, column: 1, width: 1 }, "the file is larger than 1 MiB"));
    }
    let options: Options = options! { emit_comments: false };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder { parser, text, anchors: HashMap::new(), nodes: 0 };
    let mut documents = Vec::new();
    while let Some((event, place)) = builder.next()? {
        match event {
            Event::DocumentStart(..) => builder.anchors.clear(),
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            event => documents.push(builder.node(event, place, 0)?),
        }
    }
    documents.retain(|node| !matches!(node.data, Data::Null));
    Ok(documents)
}

fn unreadable(place: Place, message: &str) -> Unreadable {
    Unreadable { place, message: message.to_owned() }
}

struct Builder<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    text: &'t str,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Place)>, Unreadable> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                // The first line of a value is enough to point at it.
                let width = match &event {
                    Event::Scalar(..) => span.byte_range().and_then(|range| self.text.get(range)),
                    _ => None,
                };
                let width =
                    width.and_then(|text| text.lines().next()).map_or(1, |line| line.trim_end().chars().count());
                let place = Place { line: span.start.line().max(1), column: span.start.col() + 1, width: width.max(1) };
                Ok(Some((event, place)))
            }
            Some(Err(error)) => {
                let mark = error.marker();
                let place = Place { line: mark.line().max(1), column: mark.col() + 1, width: 1 };
                Err(Unreadable { place, message: format!("not readable as YAML: {}", error.kind()) })
            }
        }
    }

    fn node(&mut self, event: Event<'t>, place: Place, depth: usize) -> Result<Node, Unreadable> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(unreadable(place, "the file is nested too deeply, or its aliases make it too large"));
        }
        if event.tag().is_some_and(|tag| tag.core_suffix() != Some("str")) {
            return Err(unreadable(place, "tags are not read here"));
        }
        let (data, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.is_some()), anchor),
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(unreadable(place, "the alias stands inside of what it refers to"));
                };
                self.nodes += node.size();
                (node.data.clone(), 0)
            }
            _ => return Err(unreadable(place, "a value was expected")),
        };
        let node = Node { place, data };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Data, Unreadable> {
        let mut items = Vec::new();
        while let Some((event, place)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            items.push(self.node(event, place, depth + 1)?);
        }
        Ok(Data::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Data, Unreadable> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some((event, place)) = self.next()? {
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => Key { text: text.into_owned(), place },
                _ => return Err(unreadable(place, "a key must be a word")),
            };
            let Some((event, place)) = self.next()? else { break };
            let mut node = self.node(event, place, depth + 1)?;
            if matches!(node.data, Data::Null) {
                // Nothing has no place of its own.
                node.place = key.place;
            }
            entries.push((key, node));
        }
        Ok(Data::Map(entries))
    }
}

/// What a scalar is: JSON's words and numbers when it is bare, text otherwise.
fn scalar(text: &str, style: ScalarStyle, tagged: bool) -> Data {
    if tagged || style != ScalarStyle::Plain {
        return Data::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        _ => serde_json::from_str(text).map_or_else(|_| Data::Text(text.to_owned()), Data::Number),
    }
}

impl Node {
    /// The value of a key of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    /// The entries of a map; none of anything else.
    pub(super) fn entries(&self) -> &[(Key, Self)] {
        if let Data::Map(entries) = &self.data { entries } else { &[] }
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Self] {
        if let Data::List(items) = &self.data { items } else { &[] }
    }

    /// The text of a text.
    pub(super) fn text(&self) -> Option<&str> {
        if let Data::Text(text) = &self.data { Some(text) } else { None }
    }

    /// Text, number or truth value, as it would be written.
    pub(super) fn shown(&self) -> Option<String> {
        match &self.data {
            Data::Text(text) => Some(text.clone()),
            Data::Number(number) => Some(number.to_string()),
            Data::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }

    /// The value without places.
    pub(super) fn value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(truth) => Value::Bool(*truth),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => items.iter().map(Self::value).collect(),
            Data::Map(entries) => {
                entries.iter().map(|(key, node)| (key.text.clone(), node.value())).collect::<Map<_, _>>().into()
            }
        }
    }

    fn size(&self) -> usize {
        1 + self.items().iter().chain(self.entries().iter().map(|(_, node)| node)).map(Self::size).sum::<usize>()
    }
}
