//! A strategic merge patch and an object in, the patched object out, as kustomize merges them.
//!
//! Its ways are kept even where Kubernetes has others: what it prepends, what it drops, and that a list item with
//! `$patch: replace` stays what it was.

use std::collections::BTreeSet;

use super::kinds::{Field, Shape};
use super::tree::{Data, From, Scalar, Tree};

/// What a `$patch` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

/// The patched object; `None` when the patch deletes it.
pub(super) fn merge(object: &Tree, patch: &Tree, shape: Shape) -> Result<Option<Tree>, String> {
    let mut walk = Walk::default();
    let merged = walk.both(Some(object), Some(patch), Field { shape, keys: None })?;
    let mut tree = merged.tree;
    for (shared, scalar, from) in &walk.written {
        if let Some(tree) = &mut tree {
            tree.spread(*shared, scalar, from);
        }
    }
    Ok(tree)
}

/// A walk through both, in the order of keys.
#[derive(Default)]
struct Walk {
    /// Scalars that stand in several places and were written: all of them are.
    written: Vec<(u32, Scalar, From)>,
}

/// A merged value.
struct Merged {
    tree: Option<Tree>,
    /// Whether the tree is the patch's own value and not the object's with changes.
    is_patch: bool,
    /// A null of the object that stays.
    keep_null: bool,
}

impl Merged {
    fn gone() -> Self {
        Self { tree: None, is_patch: false, keep_null: false }
    }
    fn dest(tree: Tree) -> Self {
        Self { tree: Some(tree), is_patch: false, keep_null: false }
    }
    fn patch(tree: Option<Tree>) -> Self {
        Self { tree, is_patch: true, keep_null: false }
    }
}

impl Walk {
    fn both(&mut self, dest: Option<&Tree>, patch: Option<&Tree>, field: Field) -> Result<Merged, String> {
        let first = [dest, patch].into_iter().flatten().find(|tree| !tree.is_null());
        match first.map(|tree| &tree.data) {
            None | Some(Data::Map(_)) => self.maps(dest, patch, field.shape),
            Some(Data::List(_)) => self.lists(dest, patch, field),
            Some(Data::Scalar(_)) => self.scalars(dest, patch),
        }
    }

    fn scalars(&mut self, dest: Option<&Tree>, patch: Option<&Tree>) -> Result<Merged, String> {
        let (Some(old), Some(new)) = (dest, patch) else {
            return Ok(match (dest, patch) {
                (_, Some(new)) => Merged::patch(Some(new.clone())),
                (dest, None) => dest.cloned().map_or_else(Merged::gone, Merged::dest),
            });
        };
        same_kind(old, new)?;
        let mut tree = new.clone().after(old);
        if let (Data::Scalar(was), Data::Scalar(scalar), false) = (&old.data, &mut tree.data, new.is_null()) {
            *scalar = scalar.clone().instead_of(was);
            tree.shared = old.shared;
            if old.shared > 0 {
                self.written.push((old.shared, scalar.clone(), tree.from.clone()));
            }
        }
        Ok(Merged::patch(Some(tree)))
    }

    fn maps(&mut self, dest: Option<&Tree>, patch: Option<&Tree>, shape: Shape) -> Result<Merged, String> {
        let field = Field { shape, keys: None };
        let Some(old) = dest.filter(|dest| !dest.is_null()) else {
            let Some(patch) = patch else {
                // A null that is written out stays, one that is only left empty goes.
                let null = dest.filter(|dest| !dest.text().is_empty()).cloned();
                return Ok(Merged { keep_null: null.is_some(), tree: null, is_patch: false });
            };
            return self.settle(patch, field).map(Merged::patch);
        };
        if let Some(patch) = patch {
            if patch.is_null() {
                return Ok(Merged::gone());
            }
            same_kind(old, patch)?;
            match directive(patch)? {
                Directive::Delete => return Ok(Merged::gone()),
                Directive::Replace => return self.settle(patch, field).map(Merged::patch),
                Directive::Merge => {}
            }
        }
        let mut merged = old.clone();
        let said = patch.map_or(&[][..], Tree::entries).iter().filter(|(key, _)| key != "$patch");
        let keys: BTreeSet<&String> = old.entries().iter().chain(said).map(|(key, _)| key).collect();
        for key in keys {
            let value = self.both(old.get(key), patch.and_then(|patch| patch.get(key)), shape.field(key))?;
            put(&mut merged, key, value);
        }
        Ok(Merged::dest(merged))
    }

    /// A value that only the patch has: directives and nulls go.
    fn settle(&mut self, patch: &Tree, field: Field) -> Result<Option<Tree>, String> {
        match &patch.data {
            Data::Scalar(_) => Ok(Some(patch.clone())),
            Data::List(_) => {
                let Some(keys) = field.keys else { return Ok(Some(patch.clone())) };
                let mut own = patch.clone();
                match list_directive(&mut own)? {
                    Directive::Delete => Ok(None),
                    _ => self.elements(own, News::Same, keys, field.shape).map(Some),
                }
            }
            Data::Map(entries) => {
                if directive(patch)? == Directive::Delete {
                    return Ok(None);
                }
                let mut settled = patch.clone();
                settled.remove("$patch");
                for (key, value) in entries.iter().filter(|(key, _)| key != "$patch") {
                    let value = if value.is_null() { None } else { self.settle(value, field.shape.field(key))? };
                    put(&mut settled, key, Merged::patch(value));
                }
                Ok(Some(settled))
            }
        }
    }

    fn lists(&mut self, dest: Option<&Tree>, patch: Option<&Tree>, field: Field) -> Result<Merged, String> {
        if let (Some(dest), Some(patch)) = (dest, patch) {
            same_kind(dest, patch)?;
        }
        let Some(keys) = field.keys else {
            return Ok(match (dest, patch) {
                (Some(dest), None) => Merged::dest(dest.clone()),
                (_, patch) => Merged::patch(patch.cloned()),
            });
        };
        let old = dest.filter(|dest| !dest.is_null());
        let mut patch = match (old, patch) {
            (Some(old), None) => return self.elements(old.clone(), News::None, keys, field.shape).map(Merged::dest),
            (_, Some(patch)) if !patch.is_null() => patch.clone(),
            _ => return Ok(Merged::gone()),
        };
        // A directive in a list that the object does not have is only another item.
        let Some(old) = old else {
            return self.elements(patch, News::Same, keys, field.shape).map(|tree| Merged::patch(Some(tree)));
        };
        match list_directive(&mut patch)? {
            Directive::Delete => Ok(Merged::gone()),
            Directive::Replace => {
                self.elements(patch, News::Same, keys, field.shape).map(|tree| Merged::patch(Some(tree)))
            }
            Directive::Merge => {
                self.elements(old.clone(), News::Of(patch.items()), keys, field.shape).map(Merged::dest)
            }
        }
    }

    /// Merges the items of two lists that have the same keys. Those of the patch come first.
    fn elements(&mut self, mut dest: Tree, news: News<'_>, keys: &[&str], shape: Shape) -> Result<Tree, String> {
        let Data::List(olds) = &mut dest.data else { return Ok(dest) };
        let primitive = keys.is_empty();
        let mut all = match news {
            News::Of(news) => values(&[news, &*olds], keys),
            _ => values(&[&*olds], keys),
        };
        if keys.len() > 1 {
            merge_values(&mut all);
        }
        let mut fresh = if let News::Of(news) = news { news.to_vec() } else { Vec::new() };
        let mut added: Vec<Tree> = Vec::new();
        let mut last: Vec<&str> = Vec::new();
        let keys: &[&str] = if primitive { &[""] } else { keys };
        for index in 0..all.len() {
            let (keys, values) = valid(&all, &all[index], keys);
            last.clone_from(&keys);
            let (own, known) = valid(std::slice::from_ref(&values), &values, &keys);
            let find = |items: &[Tree]| items.iter().position(|item| has(item, &own, &known));
            let at = find(olds);
            let field = Field { shape, keys: None };
            let places = (at, find(&fresh));
            let merged = self.item(news, olds, &mut fresh, places, field)?;
            let Some(mut tree) = merged.tree.filter(|tree| !tree.is_null() && !tree.is_empty_map()) else {
                set_element(olds, &keys, &values, None);
                continue;
            };
            complete(&mut tree, &keys, &values);
            // What is merged is the object's own item, changed where it stands; what is replaced leaves it alone.
            if let (Some(at), false) = (at, merged.is_patch && !primitive) {
                olds[at] = tree.clone();
            }
            set_element(&mut added, &keys, &values, Some(&tree));
        }
        if !all.is_empty() {
            append(&mut added, olds, &last);
            *olds = added;
        }
        Ok(dest)
    }

    /// Merges one item, by its places in both lists.
    fn item(
        &mut self,
        news: News<'_>,
        olds: &mut [Tree],
        fresh: &mut [Tree],
        (old, new): (Option<usize>, Option<usize>),
        field: Field,
    ) -> Result<Merged, String> {
        if let News::Same = news {
            let Some(at) = old else { return Ok(Merged::gone()) };
            let settled = self.settle(&olds[at], field)?;
            olds[at].remove("$patch");
            return Ok(Merged { is_patch: false, ..Merged::patch(settled) });
        }
        let merged = self.both(old.map(|at| &olds[at]), new.map(|at| &fresh[at]), field)?;
        // A directive counts once: who comes to the item again finds it without.
        if let Some(at) = new {
            fresh[at].remove("$patch");
        }
        Ok(merged)
    }
}

/// The items of a patch beside those of a list.
#[derive(Clone, Copy)]
enum News<'p> {
    /// The patch says nothing of the list.
    None,
    /// The list is the patch's own.
    Same,
    Of(&'p [Tree]),
}

/// Writes the keys of an item that it does not say itself.
fn complete(tree: &mut Tree, keys: &[&str], values: &[String]) {
    for (key, value) in keys.iter().zip(values).filter(|(key, value)| !key.is_empty() && !value.is_empty()) {
        if tree.get(key).is_none() {
            let from = tree.from.clone();
            tree.put(key, Tree::scalar(Scalar::plain(value.as_str()), from));
        }
    }
}

fn same_kind(dest: &Tree, patch: &Tree) -> Result<(), String> {
    let name = |tree: &Tree| match tree.data {
        _ if tree.is_null() => None,
        Data::Scalar(_) => Some("a scalar"),
        Data::Map(_) => Some("a map"),
        Data::List(_) => Some("a list"),
    };
    match (name(dest), name(patch)) {
        (Some(a), Some(b)) if a != b => Err(format!("the patch has {b} where the object has {a}")),
        _ => Ok(()),
    }
}

/// Sets a field to what was merged, or clears it.
fn put(map: &mut Tree, key: &str, merged: Merged) {
    match merged.tree {
        Some(tree) if merged.keep_null || !tree.is_null() => {
            let Data::Map(entries) = &mut map.data else { return };
            match entries.iter_mut().find(|(name, _)| name == key) {
                Some((_, old)) => *old = tree,
                None => entries.push((key.to_owned(), tree)),
            }
        }
        _ => {
            map.remove(key);
        }
    }
}

/// The directive of a map.
fn directive(patch: &Tree) -> Result<Directive, String> {
    patch.get("$patch").map_or(Ok(Directive::Merge), |tree| word(tree.text()))
}

fn word(text: &str) -> Result<Directive, String> {
    match text {
        "delete" => Ok(Directive::Delete),
        "replace" => Ok(Directive::Replace),
        "merge" => Ok(Directive::Merge),
        other => Err(format!("`$patch: {other}` is neither delete, replace nor merge")),
    }
}

/// The directive of a list: an item that says only that. It is taken out.
fn list_directive(patch: &mut Tree) -> Result<Directive, String> {
    let Data::List(items) = &mut patch.data else { return Ok(Directive::Merge) };
    let Some(item) = items.iter().find(|item| item.get("$patch").is_some()).filter(|item| item.entries().len() == 1)
    else {
        return Ok(Directive::Merge);
    };
    let text = item.get("$patch").map(|tree| tree.text().to_owned()).unwrap_or_default();
    let said = word(&text)?;
    set_element(items, &["$patch"], &[text], None);
    Ok(said)
}

/// The keys of every item, each once: of one list, then of the other.
fn values(lists: &[&[Tree]], keys: &[&str]) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = Vec::new();
    for item in lists.iter().copied().flatten() {
        let of = |key: &&str| item.some(key).map(|value| value.text().to_owned()).filter(|text| !text.is_empty());
        let value: Vec<String> = if keys.is_empty() {
            vec![item.text().to_owned()]
        } else {
            keys.iter().map(|key| of(key).unwrap_or_default()).collect()
        };
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

/// Keys that differ only in that one of them leaves a part out are one.
fn merge_values(all: &mut [Vec<String>]) {
    for i in 0..all.len() {
        // The row that is compared stays what it was while the others are.
        let row = all[i].clone();
        for j in 0..all.len() {
            if let Some(one) = matched(&row, &all[j]) {
                all[i].clone_from(&one);
                all[j] = one;
            }
        }
    }
}

fn matched(a: &[String], b: &[String]) -> Option<Vec<String>> {
    let mut common = false;
    let mut one = Vec::new();
    for (a, b) in a.iter().zip(b) {
        if a == b {
            common = true;
        } else if !a.is_empty() && !b.is_empty() {
            return None;
        }
        one.push(if a.is_empty() { b.clone() } else { a.clone() });
    }
    common.then_some(one)
}

/// The keys that any item has, and the values of one item for them.
fn valid<'k>(all: &[Vec<String>], values: &[String], keys: &[&'k str]) -> (Vec<&'k str>, Vec<String>) {
    let is_used = |at: usize| all.iter().any(|row| row.get(at).is_some_and(|value| !value.is_empty()));
    if (0..keys.len()).all(|at| !is_used(at)) {
        return (keys.to_vec(), values.to_vec());
    }
    let used: Vec<usize> = (0..keys.len()).filter(|&at| is_used(at)).collect();
    (used.iter().map(|&at| keys[at]).collect(), used.iter().map(|&at| values[at].clone()).collect())
}

/// Whether an item has these values, exactly.
fn has(item: &Tree, keys: &[&str], values: &[String]) -> bool {
    if keys.first().is_none_or(|key| key.is_empty()) {
        return matches!(item.data, Data::Scalar(_)) && Some(item.text()) == values.first().map(String::as_str);
    }
    keys.iter().zip(values).all(|(key, value)| item.get(key).is_some_and(|own| own.text() == value))
}

/// Puts an item in the place of all that have these keys, or at the end; without an item, takes them out.
fn set_element(items: &mut Vec<Tree>, keys: &[&str], values: &[String], element: Option<&Tree>) {
    let mut found_any = false;
    let mut kept = Vec::new();
    let by_key = keys.first().is_some_and(|key| !key.is_empty());
    for item in items.drain(..) {
        if item.is_null() || item.is_empty_map() {
            continue;
        }
        if by_key && !matches!(item.data, Data::Map(_)) {
            kept.push(item);
            continue;
        }
        if !is_meant(&item, keys, values) {
            if !values.is_empty() {
                kept.push(item);
            }
            continue;
        }
        found_any = true;
        kept.extend(element.cloned());
    }
    if !found_any {
        kept.extend(element.cloned());
    }
    *items = kept;
}

/// Whether an item has the keys with these values. One without a value may have any; values may be fewer than keys.
fn is_meant(item: &Tree, keys: &[&str], values: &[String]) -> bool {
    let mut found = false;
    for (at, key) in keys.iter().enumerate() {
        if let Some(value) = values.get(at) {
            found = if key.is_empty() {
                matches!(item.data, Data::Scalar(_)) && item.text() == value
            } else {
                item.get(key).is_some_and(|own| value.is_empty() || own.text() == value)
            };
        }
        if !found {
            return false;
        }
    }
    found
}

/// Appends the object's items to those of the patch; one that stands there already takes that place.
fn append(added: &mut Vec<Tree>, olds: &[Tree], keys: &[&str]) {
    for item in olds {
        if keys.first().is_none_or(|key| key.is_empty()) {
            set_element(added, &[""], &[item.text().to_owned()], Some(item));
            continue;
        }
        let mut values = Vec::new();
        for key in keys {
            match item.get(key) {
                Some(value) => values.push(value.text().to_owned()),
                None => added.push(item.clone()),
            }
        }
        if keys.len() > 1 {
            set_element(added, keys, &values, None);
        }
        set_element(added, keys, &values, Some(item));
    }
}
