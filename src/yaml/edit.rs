//! A text and edits in, a text out that differs in these fields and in no other byte; or a refusal.
//!
//! Each edit goes the same way: the document is read, the bytes to replace are found, and the oracle reads the new
//! text. What it does not accept is not made. There may be two ways to write a change; the first that is accepted is taken.

use std::borrow::Cow;

use serde_json::Value;

use super::oracle::{self, Effect};
use super::place::{self, Way};
use super::refused::{Reason, Refused};
use super::splice::{Sheet, Splices, is_flow};
use super::tape::{Kind, Tape};
use super::{FieldPath, Step, guard};

/// One change of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// From the root of the document.
    pub path: FieldPath,
    pub action: Action,
}

/// What becomes of the field.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It exists and gets this value. In a map or list for another, only what differs is changed.
    Set(Value),
    /// It does not exist; parents that are missing, null or empty are made.
    Add(Value),
    /// It is a list, and gets one item more.
    Append(Value),
    /// It is the place of an item of a list, and the item goes there.
    Insert(Value),
    /// It goes. A list or map that becomes empty stays as `[]` or `{}`.
    Remove,
}

/// Makes the edits, in order, in one document of the text.
pub fn edit(text: &str, document: usize, edits: &[Edit]) -> Result<String, Refused> {
    let mut now = Cow::Borrowed(text);
    for edit in edits {
        if let Some(next) = one(&now, document, edit)? {
            now = Cow::Owned(next);
        }
    }
    Ok(now.into_owned())
}

/// One edit; `None` when there is nothing to change.
fn one(text: &str, document: usize, edit: &Edit) -> Result<Option<String>, Refused> {
    let tape = guard::touched(text, document)?;
    let way = Way::find(text, &tape, &edit.path)?;
    let change = Change { text, tape: &tape, path: &edit.path, way };
    match &edit.action {
        Action::Set(value) => change.set(document, value),
        Action::Add(value) => change.add(value).map(Some),
        Action::Append(value) => change.append(value).map(Some),
        Action::Insert(value) => change.insert(value).map(Some),
        Action::Remove => change.remove().map(Some),
    }
}

struct Change<'t> {
    text: &'t str,
    tape: &'t Tape<'t>,
    path: &'t FieldPath,
    way: Way,
}

impl Change<'_> {
    fn set(&self, document: usize, value: &Value) -> Result<Option<String>, Refused> {
        self.must_exist()?;
        let item = self.way.last();
        let old = place::value(self.tape, item);
        if old.as_ref() == Some(value) {
            return Ok(None);
        }
        if let Some(edits) = old.and_then(|old| parts(self.path, &old, value)) {
            let done = edit(self.text, document, &edits)?;
            let tape = guard::touched(&done, document)?;
            let is_done = Way::find(&done, &tape, self.path).ok().and_then(|way| place::value(&tape, way.last()));
            return if is_done.as_ref() == Some(value) { Ok(Some(done)) } else { Err(self.unproven()) };
        }
        self.replace(&self.way, value).map(Some)
    }

    fn add(&self, value: &Value) -> Result<String, Refused> {
        let steps = self.path.steps();
        let Some((first, rest)) = steps.get(self.way.steps()..).and_then(<[Step]>::split_first) else {
            return Err(self.refuse(self.way.last(), Reason::Exists(self.path.clone())));
        };
        let at = self.way.last();
        let item = &self.tape.items[at];
        let whole = || place::nested(&steps[self.way.steps()..], value);
        let out_of_range = || {
            let has = self.tape.children(at).count();
            self.refuse(at, Reason::OutOfRange { path: self.reached(1), has })
        };
        match (item.kind, first) {
            (Kind::Map(_), Step::Key(key)) => {
                let inner = place::nested(rest, value).ok_or_else(out_of_range)?;
                self.add_entry(key, &inner)
            }
            (Kind::List(_), Step::Named { key, value: name }) => {
                let inner = place::nested(rest, value).and_then(|inner| place::named(key, name, inner));
                let inner = inner.ok_or_else(|| {
                    self.refuse(at, Reason::Unsupported("an item that is found by a key must be a map with that key"))
                })?;
                self.add_item(&self.way, self.tape.children(at).count(), &inner)
            }
            (Kind::List(_), Step::Index(index)) if *index == self.tape.children(at).count() => {
                let inner = place::nested(rest, value).ok_or_else(out_of_range)?;
                self.add_item(&self.way, *index, &inner)
            }
            (Kind::List(_), Step::Index(_)) => Err(out_of_range()),
            (Kind::Scalar(_), _) if self.is_null(at) => self.replace(&self.way, &whole().ok_or_else(out_of_range)?),
            _ => Err(self.refuse(at, Reason::NotAContainer(self.reached(0)))),
        }
    }

    fn append(&self, value: &Value) -> Result<String, Refused> {
        self.must_exist()?;
        let at = self.way.last();
        match self.tape.items[at].kind {
            Kind::List(_) => self.add_item(&self.way, self.tape.children(at).count(), value),
            _ if self.is_null(at) => self.replace(&self.way, &Value::Array(vec![value.clone()])),
            _ => Err(self.refuse(at, Reason::NotAList(self.path.clone()))),
        }
    }

    fn insert(&self, value: &Value) -> Result<String, Refused> {
        let Some((_, Step::Index(index))) = self.path.split_last() else {
            return Err(self.refuse(self.way.last(), Reason::NotAnIndex(self.path.clone())));
        };
        let depth = self.path.steps().len() - 1;
        if self.way.steps() < depth {
            return Err(self.refuse(self.way.last(), Reason::NotFound(self.reached(1))));
        }
        let way = if self.way.steps() > depth { self.way.up() } else { self.way.clone() };
        let list = way.last();
        let has = self.tape.children(list).count();
        match self.tape.items[list].kind {
            Kind::List(_) if *index <= has => self.add_item(&way, *index, value),
            Kind::Scalar(_) if self.is_null(list) && *index == 0 => {
                self.replace(&way, &Value::Array(vec![value.clone()]))
            }
            Kind::List(_) => Err(self.refuse(list, Reason::OutOfRange { path: self.path.clone(), has })),
            _ => Err(self.refuse(list, Reason::NotAList(self.reached(0)))),
        }
    }

    fn remove(&self) -> Result<String, Refused> {
        self.must_exist()?;
        let Some(parent) = self.way.parent() else {
            return Err(self.refuse(0, Reason::Unsupported("the root of a document cannot be removed")));
        };
        let start = self.way.last_key().unwrap_or(self.way.last());
        let gone = start..self.tape.items[self.way.last()].next;
        self.frees_no_anchor(&gone)?;
        let container = &self.tape.items[parent];
        let up = self.way.up();
        let is_only = gone.len() == container.next - parent - 1;
        if is_only && !is_flow(container) {
            let (new, value) = match container.kind {
                Kind::Map(_) => (" {}", Value::Object(serde_json::Map::new())),
                _ => (" []", Value::Array(Vec::new())),
            };
            let within = up.items[..up.items.len() - 1].to_vec();
            let effect = Effect { gone: parent..container.next, key: None, value: Some(value), within };
            return self.make(&effect, |sheet, _| sheet.collapse(&up, new));
        }
        let effect = Effect { gone, key: None, value: None, within: up.items };
        if is_flow(container) {
            return self.make(&effect, |sheet, _| sheet.remove_flow(&self.way));
        }
        self.make(&effect, |sheet, again| sheet.remove(&self.way, again))
    }

    fn add_entry(&self, key: &str, value: &Value) -> Result<String, Refused> {
        let map = self.way.last();
        let item = &self.tape.items[map];
        if item.next == map + 1 && !self.is_between_brackets(&self.way) {
            let map = Value::Object(serde_json::Map::from_iter([(key.to_owned(), value.clone())]));
            return self.replace(&self.way, &map);
        }
        let effect = Effect {
            gone: item.next..item.next,
            key: Some(key.to_owned()),
            value: Some(value.clone()),
            within: self.way.items.clone(),
        };
        if is_flow(item) {
            let count = self.tape.children(map).count() / 2;
            return self.make(&effect, |sheet, _| sheet.add_flow(&self.way, count, Some(key), value));
        }
        self.make(&effect, |sheet, again| sheet.add_entry(map, key, value, again))
    }

    fn add_item(&self, way: &Way, index: usize, value: &Value) -> Result<String, Refused> {
        let list = way.last();
        let item = &self.tape.items[list];
        if item.next == list + 1 && !self.is_between_brackets(way) {
            return self.replace(way, &Value::Array(vec![value.clone()]));
        }
        let at = self.tape.children(list).nth(index).unwrap_or(item.next);
        let effect = Effect { gone: at..at, key: None, value: Some(value.clone()), within: way.items.clone() };
        if is_flow(item) {
            return self.make(&effect, |sheet, _| sheet.add_flow(way, index, None, value));
        }
        self.make(&effect, |sheet, again| sheet.add_item(list, index, value, again))
    }

    /// Whether the container at the end of a way stands in a flow collection or is the root.
    fn is_between_brackets(&self, way: &Way) -> bool {
        way.parent().is_none_or(|parent| is_flow(&self.tape.items[parent]))
    }

    /// Another value at the end of a way.
    fn replace(&self, way: &Way, value: &Value) -> Result<String, Refused> {
        let at = way.last();
        let item = &self.tape.items[at];
        self.frees_no_anchor(&(at + 1..item.next))?;
        let Some(parent) = way.parent() else {
            return Err(
                self.refuse(at, Reason::Unsupported("the root of a document cannot become another kind of value"))
            );
        };
        let in_flow = is_flow(&self.tape.items[parent]);
        let within = way.items[..way.items.len() - 1].to_vec();
        let effect = Effect { gone: at..item.next, key: None, value: Some(value.clone()), within };
        self.make(&effect, |sheet, _| {
            if sheet.ends_without_break(at) {
                return Err("");
            }
            if in_flow { sheet.replace_flow(way, value) } else { sheet.replace(way, value) }
        })
    }

    /// The first text that the oracle accepts: with long text as blocks, quoted, and each past blank lines.
    fn make(&self, effect: &Effect, splices: impl Fn(&Sheet<'_>, bool) -> Splices) -> Result<String, Refused> {
        let place =
            self.tape.items.get(effect.gone.start.min(self.tape.items.len() - 1)).map_or(0, |item| item.span.start);
        let mut sheet = Sheet::new(self.text, self.tape, place);
        let mut reason = None;
        for (literal, again) in [(true, false), (true, true), (false, false), (false, true)] {
            sheet.manner.literal = literal;
            let splices = match splices(&sheet, again) {
                Ok(splices) => splices,
                Err("") => return Err(self.refuse(self.way.last(), Reason::EndOfFile)),
                Err(why) => {
                    reason = Some(Reason::Unsupported(why));
                    continue;
                }
            };
            let Some(new) = oracle::apply(self.text, &splices) else { continue };
            if oracle::accepts(self.text, self.tape, &splices, effect, &new) {
                return self.no_template(new, effect);
            }
        }
        Err(reason.map_or_else(|| self.unproven(), |reason| self.refuse(self.way.last(), reason)))
    }

    /// What the next edit would refuse is not written.
    fn no_template(&self, new: String, effect: &Effect) -> Result<String, Refused> {
        let holds = |text: &str| text.contains("{{");
        let has_braces = effect.key.as_deref().is_some_and(holds)
            || effect.value.as_ref().is_some_and(|value| holds(&value.to_string()));
        if has_braces && guard::template(&new).is_err() {
            return Err(self.refuse(self.way.last(), Reason::TemplateValue));
        }
        Ok(new)
    }

    /// No anchor goes away that is used.
    fn frees_no_anchor(&self, gone: &std::ops::Range<usize>) -> Result<(), Refused> {
        match self.tape.anchors.iter().find(|anchor| anchor.users > 0 && gone.contains(&anchor.item)) {
            Some(anchor) => Err(self.refuse(anchor.item, Reason::AnchorUsed(anchor.name.to_string()))),
            None => Ok(()),
        }
    }

    fn must_exist(&self) -> Result<(), Refused> {
        if self.way.steps() == self.path.steps().len() {
            return Ok(());
        }
        Err(self.refuse(self.way.last(), Reason::NotFound(self.reached(1))))
    }

    /// The path as far as it exists, and so many steps more.
    fn reached(&self, more: usize) -> FieldPath {
        let steps = self.path.steps().iter().take(self.way.steps() + more);
        steps.fold(FieldPath::root(), |path, step| path.step(step.clone()))
    }

    fn is_null(&self, at: usize) -> bool {
        matches!(self.tape.items[at].kind, Kind::Scalar(_)) && place::value(self.tape, at) == Some(Value::Null)
    }

    fn unproven(&self) -> Refused {
        self.refuse(self.way.last(), Reason::Unproven(self.path.clone()))
    }

    fn refuse(&self, item: usize, reason: Reason) -> Refused {
        Refused::new(self.text, self.tape.items[item].span.start, reason)
    }
}

/// What differs between two maps or two lists, as edits; `None` where the value as a whole is another.
fn parts(path: &FieldPath, old: &Value, new: &Value) -> Option<Vec<Edit>> {
    let mut edits = Vec::new();
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                let path = path.clone().key(key);
                match old.get(key) {
                    Some(old) if old == value => {}
                    Some(_) => edits.push(Edit { path, action: Action::Set(value.clone()) }),
                    None => edits.push(Edit { path, action: Action::Add(value.clone()) }),
                }
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                edits.push(Edit { path: path.clone().key(key), action: Action::Remove });
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (index, (old, value)) in old.iter().zip(new).enumerate() {
                if old != value {
                    edits.push(Edit { path: path.clone().index(index), action: Action::Set(value.clone()) });
                }
            }
            for value in new.iter().skip(old.len()) {
                edits.push(Edit { path: path.clone(), action: Action::Append(value.clone()) });
            }
            for index in (new.len()..old.len()).rev() {
                edits.push(Edit { path: path.clone().index(index), action: Action::Remove });
            }
        }
        _ => return None,
    }
    Some(edits)
}
