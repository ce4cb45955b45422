//! Values that know where they were written last.
//!
//! A tree is what kustomize works on: the text of every scalar and whether it is read as YAML reads words, so that
//! what comes out is what kustomize gives. Each node also knows the document and the bytes that it came from.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::yaml::{self, FieldPath, Node, ScalarStyle, Step};

/// A document that takes part in a rendering.
#[derive(Debug)]
pub(super) struct Doc {
    pub file: Arc<str>,
    /// Number of the document in its file, or in the text that it stands in.
    pub index: usize,
    /// Byte at which it starts.
    pub offset: usize,
    /// The text that spans count in: of the file, or of the scalar.
    pub text: Arc<str>,
    /// The scalar of another document that this one is the text of: a patch that is written inline.
    pub inside: Option<From>,
    /// Which kustomization lists it, and which lists that one.
    pub route: Option<Arc<Route>>,
}

/// A place of a kustomization that takes a file, a folder or a text.
#[derive(Debug)]
pub(super) struct Route {
    /// Which kustomization takes the kustomization that says so.
    pub up: Option<Arc<Route>>,
    pub file: Arc<str>,
    /// Line of the entry, from 1.
    pub line: usize,
    /// "takes ../base", "patches with memory.yaml".
    pub what: String,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) struct From {
    pub doc: Arc<Doc>,
    pub span: Range<usize>,
    pub how: How,
}

/// What the text at a place has to do with the value.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// It is the value.
    Written,
    /// It is the value, and others read it through an alias or a merge key.
    Shared,
    /// `key=value`: what follows the first `=`.
    Literal,
    /// A file's whole text, or a line of it.
    File,
    /// An image of which parts come from several places.
    Image(Arc<ImageParts>),
    /// The value is made from what stands there: why it cannot be written back.
    Made(&'static str),
}

/// Where the parts of an image come from.
#[derive(Debug)]
pub(super) struct ImageParts {
    pub name: From,
    pub tag: Option<From>,
    pub digest: Option<From>,
}

/// An earlier value of a field, which another replaced.
#[derive(Debug)]
pub(super) struct Was {
    pub from: From,
    pub text: String,
    pub before: Option<Arc<Was>>,
}

/// A value with its origin.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub data: Data,
    pub from: From,
    pub was: Option<Arc<Was>>,
    /// Of a scalar that a layer made in several fields of an object at once: which ones, by number; 0 for all others.
    /// To kustomize they are one: who writes one of them later writes all.
    pub shared: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Data {
    Scalar(Scalar),
    Map(Vec<(String, Tree)>),
    List(Vec<Tree>),
}

/// A scalar as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scalar {
    pub text: String,
    pub style: Style,
}

/// How a scalar is read. Kustomize keeps quotes: a number that takes the place of a quoted text becomes a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Its type is read from its text.
    Plain,
    /// A string, without quotes of its own.
    Text,
    /// A string in quotes or in a block.
    Quoted,
}

impl Scalar {
    pub fn string(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::Text }
    }

    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::Plain }
    }

    /// This one, in the place of another: what was in quotes stays in quotes.
    pub fn instead_of(mut self, old: &Self) -> Self {
        self.style = match (old.style, self.style) {
            (Style::Quoted, _) => Style::Quoted,
            (_, Style::Plain) => Style::Plain,
            _ => Style::Text,
        };
        self
    }

    /// How it is written after its object has been made JSON and back.
    fn restyled(&self) -> Self {
        let style = match self.value() {
            Value::String(text) if text.contains('\n') || !yaml::plain_scalar(&text).is_string() => Style::Quoted,
            Value::String(_) => Style::Text,
            _ => Style::Plain,
        };
        Self { text: self.text.clone(), style }
    }

    fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// As kustomize prints it. It reads YAML 1.2 words: `yes` is a string to it, where Kubernetes sees a bool.
    pub fn value(&self) -> Value {
        const STRINGS: [&str; 16] =
            ["y", "Y", "n", "N", "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"];
        if self.style != Style::Plain || STRINGS.contains(&self.text.as_str()) {
            return Value::from(self.text.as_str());
        }
        timestamp(&self.text).map_or_else(|| yaml::plain_scalar(&self.text), Value::from)
    }
}

/// A date or a time as kustomize prints it: with zeros filled in, and midnight in UTC where there is no time.
fn timestamp(text: &str) -> Option<String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits != 4 || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let split = text.find(['T', 't', ' ']);
    let (date, time) = split.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
    let mut parts = date.split('-').map(str::parse::<u32>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    let Some(time) = time else { return Some(format!("{date}T00:00:00Z")) };
    let is_spaced = text.as_bytes().get(split?) == Some(&b' ');
    let zone = time.find(['Z', '+', '-']);
    let (clock, zone) = match zone {
        Some(at) if !is_spaced => (&time[..at], &time[at..]),
        None if is_spaced => (time, "Z"),
        _ => return None,
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':').map(str::parse::<u32>);
    let (hour, minute, second) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{date}T{hour:02}:{minute:02}:{second:02}{dot}{fraction}{zone}"))
}

impl From {
    pub fn new(doc: &Arc<Doc>, span: Range<usize>) -> Self {
        Self { doc: doc.clone(), span, how: How::Written }
    }

    #[must_use]
    pub fn made(mut self, why: &'static str) -> Self {
        self.how = How::Made(why);
        self
    }
}

impl Tree {
    pub fn new(data: Data, from: From) -> Self {
        Self { data, from, was: None, shared: 0 }
    }

    pub fn scalar(scalar: Scalar, from: From) -> Self {
        Self::new(Data::Scalar(scalar), from)
    }

    pub fn map(from: From) -> Self {
        Self::new(Data::Map(Vec::new()), from)
    }

    /// The place of a key that is no string, if there is one: kustomize cannot print such a map.
    pub fn odd_key(document: &yaml::Document) -> Option<usize> {
        fn odd(node: &Node) -> Option<usize> {
            match &node.data {
                yaml::Data::Map(entries, _) => entries.iter().find_map(|entry| {
                    let is_odd = !entry.is_merge()
                        && matches!(&entry.key.data, yaml::Data::Scalar { value, style }
                            if !scalar(value, *style, entry.key.tag.as_deref()).value().is_string());
                    if is_odd { Some(entry.key.span.start) } else { odd(&entry.value) }
                }),
                yaml::Data::List(items, _) => items.iter().find_map(odd),
                _ => None,
            }
        }
        odd(document.root.as_ref()?)
    }

    /// A document as a tree, with aliases and merge keys resolved; `None` when there is nothing in it.
    pub fn read(doc: &Arc<Doc>, document: &yaml::Document) -> Option<Self> {
        document.root.as_ref().map(|root| Reading { doc, anchors: HashMap::new() }.tree(root))
    }

    pub fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar(scalar) if scalar.is_null())
    }

    pub fn is_empty_map(&self) -> bool {
        matches!(&self.data, Data::Map(entries) if entries.is_empty())
    }

    /// The text of a scalar, whatever its type; of anything else the empty text.
    pub fn text(&self) -> &str {
        match &self.data {
            Data::Scalar(scalar) => &scalar.text,
            _ => "",
        }
    }

    /// The text of a scalar that is read as a string.
    pub fn string(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(scalar) if scalar.value().is_string() => Some(&scalar.text),
            _ => None,
        }
    }

    pub fn entries(&self) -> &[(String, Self)] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    pub fn items(&self) -> &[Self] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// What stands under a key, unless it is null.
    pub fn some(&self, key: &str) -> Option<&Self> {
        self.get(key).filter(|value| !value.is_null())
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.data {
            Data::Map(entries) => entries.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Sets a key of a map; anything else stays as it is.
    pub fn put(&mut self, key: &str, value: Self) {
        let Data::Map(entries) = &mut self.data else { return };
        match entries.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value.after(old),
            None => entries.push((key.to_owned(), value)),
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<Self> {
        let Data::Map(entries) = &mut self.data else { return None };
        let at = entries.iter().position(|(name, _)| name == key)?;
        Some(entries.remove(at).1)
    }

    /// What a path of keys leads to.
    pub fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |at, key| at.get(key))
    }

    /// What the path of a live field leads to.
    pub fn find(&self, path: &FieldPath) -> Option<&Self> {
        path.steps().iter().try_fold(self, |at, step| match step {
            Step::Key(key) => at.get(key),
            Step::Index(index) => at.items().get(*index),
            Step::Named { key, value } => {
                at.items().iter().find(|item| item.get(key).is_some_and(|name| name.text() == value))
            }
        })
    }

    /// This value, which replaces another: what was there before stays known.
    #[must_use]
    pub fn after(mut self, old: &Self) -> Self {
        if let Data::Scalar(scalar) = &old.data
            && self.was.is_none()
            && (!Arc::ptr_eq(&self.from.doc, &old.from.doc) || self.from.span != old.from.span)
        {
            let was = Was { from: old.from.clone(), text: scalar.text.clone(), before: old.was.clone() };
            self.was = Some(Arc::new(was));
        }
        self
    }

    /// Sets a scalar.
    pub fn write(&mut self, scalar: Scalar, from: From) {
        let shared = self.shared;
        *self = Self { shared, ..Self::scalar(scalar, from).after(self) };
    }

    /// Sets a scalar to a string; what is in quotes stays in quotes.
    pub fn write_string(&mut self, text: &str, from: From) {
        let new = Scalar::string(text);
        let new = if let Data::Scalar(old) = &self.data { new.instead_of(old) } else { new };
        self.write(new, from);
    }

    /// Sets all scalars that are one.
    pub fn spread(&mut self, shared: u32, scalar: &Scalar, from: &From) {
        match &mut self.data {
            Data::Scalar(own) if self.shared == shared && own != scalar => self.write(scalar.clone(), from.clone()),
            Data::Scalar(_) => {}
            Data::List(items) => items.iter_mut().for_each(|item| item.spread(shared, scalar, from)),
            Data::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.spread(shared, scalar, from)),
        }
    }

    /// The object after it has been made JSON and back: nothing is shared, and what needs no quotes has none.
    pub fn restyle(&mut self) {
        self.shared = 0;
        match &mut self.data {
            Data::Scalar(scalar) => *scalar = scalar.restyled(),
            Data::List(items) => items.iter_mut().for_each(Self::restyle),
            Data::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.restyle()),
        }
    }

    /// Sets the text of a scalar, and leaves to it how that is read.
    pub fn rewrite(&mut self, text: String, from: From) {
        let new = Scalar::plain(text);
        let new = if let Data::Scalar(old) = &self.data { new.instead_of(old) } else { new };
        self.write(new, from);
    }

    /// As kustomize gives it out.
    pub fn value(&self) -> Value {
        match &self.data {
            Data::Scalar(scalar) => scalar.value(),
            Data::List(items) => items.iter().map(Self::value).collect(),
            Data::Map(entries) => {
                Value::Object(entries.iter().map(|(key, value)| (key.clone(), value.value())).collect::<Map<_, _>>())
            }
        }
    }

    /// Number of nodes, itself counted.
    pub fn size(&self) -> usize {
        match &self.data {
            Data::Scalar(_) => 1,
            Data::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Data::Map(entries) => 1 + entries.iter().map(|(_, value)| value.size()).sum::<usize>(),
        }
    }

    /// Says of a whole tree what its places have to do with its values.
    pub fn mark(&mut self, how: &How) {
        self.from.how = how.clone();
        match &mut self.data {
            Data::Scalar(_) => {}
            Data::List(items) => items.iter_mut().for_each(|item| item.mark(how)),
            Data::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.mark(how)),
        }
    }
}

/// A walk through a document in its order, in which an alias means the last anchor of that name before it.
struct Reading<'d> {
    doc: &'d Arc<Doc>,
    anchors: HashMap<&'d str, Tree>,
}

impl<'d> Reading<'d> {
    fn tree(&mut self, node: &'d Node) -> Tree {
        let from = From::new(self.doc, node.span.clone());
        let data = match &node.data {
            yaml::Data::Scalar { value, style } => Data::Scalar(scalar(value, *style, node.tag.as_deref())),
            yaml::Data::Alias(name) => {
                let mut tree = self.anchors.get(name.as_str()).cloned().unwrap_or_else(|| Tree::map(from));
                tree.mark(&How::Shared);
                return tree;
            }
            yaml::Data::List(items, _) => Data::List(items.iter().map(|item| self.tree(item)).collect()),
            yaml::Data::Map(entries, _) => Data::Map(self.map(entries)),
        };
        let tree = Tree::new(data, from);
        if let Some(name) = &node.anchor {
            self.anchors.insert(name, tree.clone());
        }
        tree
    }

    fn map(&mut self, entries: &'d [yaml::Entry]) -> Vec<(String, Tree)> {
        let mut map: Vec<(String, Tree)> = Vec::new();
        let mut merged = Vec::new();
        for entry in entries {
            if entry.is_merge() {
                let mut tree = self.tree(&entry.value);
                tree.mark(&How::Shared);
                match tree.data {
                    Data::List(all) => merged.extend(all),
                    _ => merged.push(tree),
                }
                continue;
            }
            let key = match &entry.key.data {
                yaml::Data::Alias(name) => {
                    self.anchors.get(name.as_str()).map(|tree| tree.text().to_owned()).unwrap_or_default()
                }
                _ => entry.key.as_str().unwrap_or_default().to_owned(),
            };
            map.push((key, self.tree(&entry.value)));
        }
        // What the map says itself counts, then what is merged first.
        for from in merged {
            let Data::Map(from) = from.data else { continue };
            for (key, value) in from {
                if map.iter().all(|(name, _)| *name != key) {
                    map.push((key, value));
                }
            }
        }
        map
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&str>) -> Scalar {
    let style = match (tag, style) {
        (None, ScalarStyle::Plain) | (Some("!!int" | "!!float" | "!!bool" | "!!null"), _) => Style::Plain,
        (_, ScalarStyle::Plain) => Style::Text,
        _ => Style::Quoted,
    };
    Scalar { text: text.to_owned(), style }
}
