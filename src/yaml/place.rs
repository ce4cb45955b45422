//! A path in, the nodes on the way to it out; refused where the way leads through what is shared with other places.

use serde_json::{Map, Value};

use super::refused::{Reason, Refused};
use super::tape::{Kind, Tape};
use super::{FieldPath, Step};

/// The way to a field, as far as it exists.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Items of the tape, the root first; one more for each step that leads somewhere.
    pub items: Vec<usize>,
    /// For each of them the item of its key, if it is the value of a map.
    pub keys: Vec<Option<usize>>,
}

impl Way {
    /// Goes as far as the path leads. Nothing on the way, the end included, may be an alias, an anchor with users or
    /// tagged.
    pub(super) fn find(text: &str, tape: &Tape<'_>, path: &FieldPath) -> Result<Self, Refused> {
        let mut way = Self { items: vec![0], keys: vec![None] };
        let mut so_far = FieldPath::root();
        check(text, tape, 0, &so_far)?;
        for step in path.steps() {
            let Some((key, value)) = child(tape, way.last(), step) else {
                if merges(tape, way.last()) && matches!(step, Step::Key(_)) {
                    let at = tape.items[way.last()].span.start;
                    return Err(Refused::new(text, at, Reason::Merged(so_far.step(step.clone()))));
                }
                break;
            };
            way.items.push(value);
            way.keys.push(key);
            so_far = so_far.step(step.clone());
            check(text, tape, value, &so_far)?;
        }
        Ok(way)
    }

    pub(super) fn last(&self) -> usize {
        self.items.last().copied().unwrap_or_default()
    }

    /// The container of the last item.
    pub(super) fn parent(&self) -> Option<usize> {
        self.items.len().checked_sub(2).map(|at| self.items[at])
    }

    pub(super) fn last_key(&self) -> Option<usize> {
        self.keys.last().copied().flatten()
    }

    /// How many steps of the path it covers.
    pub(super) fn steps(&self) -> usize {
        self.items.len() - 1
    }

    /// The way to the container of the last item.
    pub(super) fn up(&self) -> Self {
        let keep = self.items.len().saturating_sub(1).max(1);
        Self { items: self.items[..keep].to_vec(), keys: self.keys[..keep].to_vec() }
    }
}

fn check(text: &str, tape: &Tape<'_>, at: usize, path: &FieldPath) -> Result<(), Refused> {
    let item = &tape.items[at];
    let reason = if item.kind == Kind::Alias {
        Reason::Alias { path: path.clone(), name: item.value.to_string() }
    } else if item.anchor > 0 && tape.anchors[item.anchor - 1].users > 0 {
        Reason::Anchored { path: path.clone(), name: tape.anchors[item.anchor - 1].name.to_string() }
    } else if item.tagged {
        Reason::Tagged { path: path.clone(), tag: tape.tag(at).unwrap_or("!").to_owned() }
    } else {
        return Ok(());
    };
    Err(Refused::new(text, item.outer, reason))
}

/// Key (of a map) and value that a step leads to.
fn child(tape: &Tape<'_>, container: usize, step: &Step) -> Option<(Option<usize>, usize)> {
    match (step, tape.items[container].kind) {
        (Step::Key(key), Kind::Map(_)) => entry(tape, container, key).map(|(key, value)| (Some(key), value)),
        (Step::Index(index), Kind::List(_)) => tape.children(container).nth(*index).map(|item| (None, item)),
        (Step::Named { key, value }, Kind::List(_)) => tape
            .children(container)
            .find(|&item| {
                let named = entry(tape, item, key).map(|(_, value)| &tape.items[value]);
                named.is_some_and(|named| matches!(named.kind, Kind::Scalar(_)) && named.value == *value)
            })
            .map(|item| (None, item)),
        _ => None,
    }
}

/// The entry of a map.
pub(super) fn entry(tape: &Tape<'_>, map: usize, key: &str) -> Option<(usize, usize)> {
    if !matches!(tape.items[map].kind, Kind::Map(_)) {
        return None;
    }
    let found = tape
        .children(map)
        .step_by(2)
        .find(|&at| matches!(tape.items[at].kind, Kind::Scalar(_)) && tape.items[at].value == key)?;
    Some((found, tape.items[found].next))
}

/// Whether a map has values from elsewhere.
fn merges(tape: &Tape<'_>, map: usize) -> bool {
    entry(tape, map, "<<").is_some()
}

/// The value of an item as Kubernetes reads it, if no alias and no `<<` is in it.
pub(super) fn value(tape: &Tape<'_>, at: usize) -> Option<Value> {
    let item = &tape.items[at];
    match item.kind {
        Kind::Scalar(style) => Some(super::scalar::read(&item.value, style.into(), tape.tag(at))),
        Kind::Alias => None,
        Kind::List(_) => tape.children(at).map(|child| value(tape, child)).collect(),
        Kind::Map(_) if merges(tape, at) => None,
        Kind::Map(_) => {
            let mut map = Map::new();
            let mut children = tape.children(at);
            while let (Some(key), Some(child)) = (children.next(), children.next()) {
                if !matches!(tape.items[key].kind, Kind::Scalar(_)) {
                    return None;
                }
                map.insert(tape.items[key].value.to_string(), value(tape, child)?);
            }
            Some(Value::Object(map))
        }
    }
}

/// A value wrapped in the steps that do not exist yet.
pub(super) fn nested(steps: &[Step], value: &Value) -> Option<Value> {
    let Some((first, rest)) = steps.split_first() else { return Some(value.clone()) };
    let inner = nested(rest, value)?;
    match first {
        Step::Key(key) => Some(Value::Object(Map::from_iter([(key.clone(), inner)]))),
        Step::Index(0) => Some(Value::Array(vec![inner])),
        Step::Index(_) => None,
        Step::Named { key, value } => Some(Value::Array(vec![named(key, value, inner)?])),
    }
}

/// A list item with its name, which comes first.
pub(super) fn named(key: &str, name: &str, item: Value) -> Option<Value> {
    let Value::Object(item) = item else { return None };
    if item.get(key).is_some_and(|has| has != name) {
        return None;
    }
    let mut map = Map::from_iter([(key.to_owned(), Value::from(name))]);
    map.extend(item);
    Some(Value::Object(map))
}
