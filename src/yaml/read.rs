//! Text in, documents out: every node with its bytes, every value as Kubernetes reads it.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{ScalarStyle as ParsedStyle, StructureStyle};
use serde_json::{Map, Value};

use super::scalar;
use super::tape::{Kind, Tape, Tapes, Unreadable};
use super::{FieldPath, Step};

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// From 0; empty documents are counted.
    pub index: usize,
    /// Its share of the text: from its `---` (or the start of the file) to the next document.
    pub span: Range<usize>,
    /// `None` when there are only comments in it, or nothing.
    pub root: Option<Node>,
    /// The byte at which a key stands that its map has already: Kubernetes refuses such a document.
    pub duplicate_key: Option<usize>,
    /// Whether it has aliases, and a value needs the whole document.
    has_aliases: bool,
}

/// A value in a document, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its exact bytes: with the quotes, from the `|` of a block scalar to the end of its last line, without anchor and tag.
    pub span: Range<usize>,
    pub data: Data,
    /// Name of its anchor, without `&`.
    pub anchor: Option<String>,
    /// Its tag as written: `!!str`.
    pub tag: Option<String>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A missing value is a plain scalar without text.
    Scalar {
        value: String,
        style: ScalarStyle,
    },
    Map(Vec<Entry>, Layout),
    List(Vec<Node>, Layout),
    /// The name, without `*`.
    Alias(String),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: Node,
    pub value: Node,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarStyle {
    Plain,
    Single,
    Double,
    Literal,
    Folded,
}

/// How a map or list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// By indentation.
    Block,
    /// With brackets.
    Flow,
}

/// All documents of a file, the empty ones too.
pub fn documents(text: &str) -> Result<Vec<Document>, Unreadable> {
    let mut tapes = Tapes::new(text, 0)?;
    let mut documents = Vec::new();
    while let Some(tape) = tapes.next_tape()? {
        documents.push(Document::from_tape(&tape, documents.len()));
    }
    Ok(documents)
}

/// Only the document that starts at `offset`, which is what a file's outline or an earlier reading says; it is not checked
/// that the document has that number.
pub fn document(text: &str, offset: usize, index: usize) -> Result<Document, Unreadable> {
    let tape = Tapes::new(text, offset)?.next_tape()?.ok_or_else(|| {
        let (line, column) = super::line_column(text, offset);
        Unreadable { line, column, reason: "no document starts here".to_owned() }
    })?;
    Ok(Document::from_tape(&tape, index))
}

impl Document {
    fn from_tape(tape: &Tape<'_>, index: usize) -> Self {
        let root = (!tape.is_empty()).then(|| node(tape, 0));
        let has_aliases = tape.anchors.iter().any(|anchor| anchor.users > 0);
        Self { index, span: tape.span.clone(), root, duplicate_key: tape.duplicate, has_aliases }
    }

    /// The node at a path. No alias is followed: what lies behind one is written elsewhere.
    pub fn find(&self, path: &FieldPath) -> Option<&Node> {
        self.root.as_ref()?.find(path)
    }

    /// The document as Kubernetes reads it: YAML 1.1 words and numbers, aliases and `<<` resolved.
    pub fn value(&self) -> Value {
        self.root.as_ref().map_or(Value::Null, |root| Reading::default().value(root))
    }

    /// The value at a path, as Kubernetes reads it; here aliases and `<<` are followed.
    pub fn value_at(&self, path: &FieldPath) -> Option<Value> {
        if self.has_aliases {
            return path.get(&self.value()).cloned();
        }
        Some(Reading::default().value(self.find(path)?))
    }
}

impl Node {
    /// The node at a path from here.
    pub fn find(&self, path: &FieldPath) -> Option<&Node> {
        path.steps().iter().try_fold(self, Node::child)
    }

    /// The child that a step leads to.
    pub fn child(&self, step: &Step) -> Option<&Node> {
        match (step, &self.data) {
            (Step::Key(key), Data::Map(..)) => self.get(key),
            (Step::Index(index), Data::List(items, _)) => items.get(*index),
            (Step::Named { key, value }, Data::List(items, _)) => {
                items.iter().find(|item| item.get(key).and_then(Node::as_str) == Some(value))
            }
            _ => None,
        }
    }

    /// The value of a key, if this is a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Data::Map(entries, _) = &self.data else { return None };
        entries.iter().find(|entry| entry.key.as_str() == Some(key)).map(|entry| &entry.value)
    }

    /// The text of a scalar, whatever type it is read as.
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The value as Kubernetes reads it, if nothing in it is an alias; an alias reads as null.
    pub fn value(&self) -> Value {
        Reading::default().value(self)
    }
}

/// The tree of a tape from an item on. Its depth is bounded by the parser.
fn node(tape: &Tape<'_>, at: usize) -> Node {
    let item = &tape.items[at];
    let data = match item.kind {
        Kind::Scalar(style) => Data::Scalar { value: item.value.to_string(), style: style.into() },
        Kind::Alias => Data::Alias(item.value.to_string()),
        Kind::List(style) => Data::List(tape.children(at).map(|child| node(tape, child)).collect(), style.into()),
        Kind::Map(style) => {
            let mut entries = Vec::new();
            let mut children = tape.children(at);
            while let (Some(key), Some(value)) = (children.next(), children.next()) {
                entries.push(Entry { key: node(tape, key), value: node(tape, value) });
            }
            Data::Map(entries, style.into())
        }
    };
    let anchor = (item.kind != Kind::Alias && item.anchor > 0).then(|| tape.anchors[item.anchor - 1].name.to_string());
    Node { span: item.span.clone(), data, anchor, tag: tape.tag(at).map(str::to_owned) }
}

impl From<ParsedStyle> for ScalarStyle {
    fn from(style: ParsedStyle) -> Self {
        match style {
            ParsedStyle::Plain => Self::Plain,
            ParsedStyle::SingleQuoted => Self::Single,
            ParsedStyle::DoubleQuoted => Self::Double,
            ParsedStyle::Literal => Self::Literal,
            ParsedStyle::Folded => Self::Folded,
        }
    }
}

impl From<StructureStyle> for Layout {
    fn from(style: StructureStyle) -> Self {
        match style {
            StructureStyle::Block => Self::Block,
            StructureStyle::Flow => Self::Flow,
        }
    }
}

/// A walk through a document in its order, in which an alias means the last anchor of that name before it.
///
/// How much aliases expand to is bounded when the document is read.
#[derive(Default)]
struct Reading<'n> {
    anchors: HashMap<&'n str, Value>,
}

impl<'n> Reading<'n> {
    fn value(&mut self, node: &'n Node) -> Value {
        let value = match &node.data {
            Data::Scalar { value, style } => scalar::read(value, *style, node.tag.as_deref()),
            Data::Alias(name) => self.anchors.get(name.as_str()).cloned().unwrap_or_default(),
            Data::List(items, _) => items.iter().map(|item| self.value(item)).collect(),
            Data::Map(entries, _) => Value::Object(self.map(entries)),
        };
        if let Some(name) = &node.anchor {
            self.anchors.insert(name, value.clone());
        }
        value
    }

    fn map(&mut self, entries: &'n [Entry]) -> Map<String, Value> {
        let mut map = Map::new();
        let mut merged = Vec::new();
        for entry in entries {
            if entry.is_merge() {
                match self.value(&entry.value) {
                    Value::Array(all) => merged.extend(all),
                    one => merged.push(one),
                }
                continue;
            }
            // A key stays as it is written, although kubectl makes `true` of a plain `y`: kustomize does not, and paths
            // must mean the same in the text and in the value.
            let read = self.value(&entry.key);
            let key = entry.key.as_str().or(read.as_str()).map_or_else(|| read.to_string(), str::to_owned);
            map.insert(key, self.value(&entry.value));
        }
        // What the map says itself counts, then what is merged first.
        for from in merged {
            let Value::Object(from) = from else { continue };
            for (key, value) in from {
                map.entry(key).or_insert(value);
            }
        }
        map
    }
}

impl Entry {
    /// Whether its key is the merge key: `<<` without quotes.
    pub fn is_merge(&self) -> bool {
        let is_arrow = |data: &Data| matches!(data, Data::Scalar { value, style: ScalarStyle::Plain } if value == "<<");
        self.key.tag.is_none() && is_arrow(&self.key.data)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn first(text: &str) -> Document {
        documents(text).unwrap().remove(0)
    }

    #[test]
    fn spans_are_the_exact_bytes_of_a_value() {
        let text = "\u{feff}# c\r\na: \"q\" # c\r\nb:\r\n  - x\r\n  - {k: 'v', n: }\r\nc: &t !!str 12\r\nd: |+ # c\r\n  é  \r\n  more\r\n\r\ne:\r\nf: >-\r\n";
        let document = first(text);
        for (path, bytes) in [
            ("a", "\"q\""),
            ("b", "- x\r\n  - {k: 'v', n: }"),
            ("b[1]", "{k: 'v', n: }"),
            ("b[1].k", "'v'"),
            ("b[1].n", ""),
            ("c", "12"),
            ("d", "|+ # c\r\n  é  \r\n  more"),
            ("e", ""),
            ("f", ">-"),
        ] {
            let node = document.find(&path.parse().unwrap()).unwrap();
            assert_eq!(&text[node.span.clone()], bytes, "{path}");
        }
        let e = document.find(&"e".parse().unwrap()).unwrap();
        assert!(text[..e.span.start].ends_with("e:"));
        let c = document.find(&"c".parse().unwrap()).unwrap();
        assert_eq!((c.anchor.as_deref(), c.tag.as_deref()), (Some("t"), Some("!!str")));
        let root = document.root.as_ref().unwrap();
        assert!(text[root.span.clone()].starts_with("a: ") && text[root.span.clone()].ends_with(">-"));
    }

    #[test]
    fn lists_without_indentation_and_in_lists_start_at_their_dash() {
        let text = "a:\n- b\n- - c\n  -\n  - k: v\n    l: |\n     x\n";
        let document = first(text);
        for (path, bytes) in [
            ("a", "- b\n- - c\n  -\n  - k: v\n    l: |\n     x"),
            ("a[1]", "- c\n  -\n  - k: v\n    l: |\n     x"),
            ("a[1][1]", ""),
            ("a[1][2]", "k: v\n    l: |\n     x"),
        ] {
            assert_eq!(&text[document.find(&path.parse().unwrap()).unwrap().span.clone()], bytes, "{path}");
        }
    }

    #[test]
    fn empty_documents_are_counted_and_the_text_is_divided_among_all() {
        let text = "# c\n---\n---\na: 1\n...\n%TAG !e! tag:x,2000:\n---\nb: !e!z |\n  --- \n  x\n--- # c\n...\n";
        let all = documents(text).unwrap();
        let shares: Vec<&str> = all.iter().map(|d| &text[d.span.clone()]).collect();
        assert_eq!(
            shares,
            ["# c\n---\n", "---\na: 1\n...\n", "%TAG !e! tag:x,2000:\n---\nb: !e!z |\n  --- \n  x\n", "--- # c\n...\n"]
        );
        let empty: Vec<bool> = all.iter().map(|d| d.root.is_none()).collect();
        assert_eq!(empty, [true, false, false, true]);
        for one in &all {
            let again = document(text, one.span.start, one.index).unwrap();
            assert_eq!((&again.root, &again.span), (&one.root, &one.span));
        }
    }

    #[test]
    fn aliases_and_merge_keys_are_resolved_in_values_only() {
        let text = "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nall: {<<: [{q: 1}, {q: 2, r: 3}]}\nplain: {\"<<\": 1}\nagain: *b\n";
        let document = first(text);
        assert_eq!(
            document.value(),
            json!({"base": {"x": 1, "y": 2}, "use": {"y": 3, "x": 1}, "all": {"q": 1, "r": 3}, "plain": {"<<": 1}, "again": {"x": 1, "y": 2}})
        );
        assert_eq!(document.value_at(&"use.x".parse().unwrap()), Some(json!(1)));
        assert!(document.find(&"use.x".parse().unwrap()).is_none());
        assert!(document.find(&"again.x".parse().unwrap()).is_none());
    }

    #[test]
    fn a_key_that_stands_twice_is_found_in_small_and_large_maps() {
        assert_eq!(first("a: {b: 1, c: 2, 'b': 3}\n").duplicate_key, Some(16));
        let mut text = (0..40).map(|i| format!("k{i}: v\n")).collect::<Vec<_>>().concat();
        assert_eq!(first(&text).duplicate_key, None);
        let at = text.len();
        text.push_str("k3: v\n");
        assert_eq!(first(&text).duplicate_key, Some(at));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_its_place() {
        for (text, line, column) in [
            ("a: 1\nb: *x\n", 2, 4),
            ("a:\n\tb: 1\n", 2, 2),
            ("a: {{ x }\n", 1, 4),
            ("é: \"x\n", 1, 4),
            ("a: &a [*a]\n", 1, 8),
            ("--- a\n--- {\n", 2, 5),
        ] {
            let error = documents(text).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{text:?}: {error}");
        }
    }

    #[test]
    fn bombs_are_an_error_and_not_a_burden() {
        let level = |i: usize| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", "));
        let bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned() + &(1..9).map(level).collect::<Vec<_>>().concat();
        assert!(documents(&bomb).unwrap_err().reason.contains("more than 200000"));
        assert!(documents(&"[".repeat(100_000)).is_err());
        assert!(documents(&"- ".repeat(100_000)).is_err());
        let deep = (0..3000).map(|i| format!("{}k:\n", " ".repeat(i))).collect::<Vec<_>>().concat();
        assert!(documents(&deep).is_err());
    }
}
