//! Patches: objects that are merged into others, and lists of operations of RFC 6902.

use std::sync::Arc;

use super::build::Builder;
use super::json6902::{self, Operation};
use super::kinds::Shape;
use super::layer::{self, Layer, Refusal};
use super::merge;
use super::resource::{Resource, Selector, tidy};
use super::tree::{Data, Doc, From, Route, Scalar, Tree};

/// What a patch is.
pub(super) enum Patch {
    Merge(Vec<Resource>),
    Operations(Vec<Operation>),
}

/// What a merge may change besides.
#[derive(Clone, Copy, Default)]
struct Allowed {
    name: bool,
    kind: bool,
}

/// `patches`: each with a path or a text, and perhaps a target.
pub(super) fn patches(builder: &mut Builder<'_>, layer: &Layer, all: &mut Vec<Resource>) -> Result<(), Refusal> {
    for entry in layer.list("patches")? {
        let option = |key: &str| entry.at(&["options", key]).is_some_and(|tree| tree.text() == "true");
        let allowed = Allowed { name: option("allowNameChange"), kind: option("allowKindChange") };
        match (said(builder, layer, entry)?, entry.some("target")) {
            (Patch::Merge(merges), None) => {
                merges.iter().try_for_each(|one| by_name(builder, all, one, allowed, &entry.from))?;
            }
            (Patch::Merge(merges), Some(target)) => match merges.as_slice() {
                [] => {}
                [one] => by_target(all, one, target, allowed)?,
                _ => return Err(entry.from.broken("several patches in one entry cannot have a target")),
            },
            (Patch::Operations(_), None) => {
                return Err(entry.from.broken("operations of RFC 6902 need a target"));
            }
            (Patch::Operations(operations), Some(target)) => {
                let selector = selector(target)?;
                for resource in all.iter_mut().filter(|resource| selector.selects(resource)) {
                    resource.remember();
                    operate(resource, &operations)?;
                }
            }
        }
    }
    no_two(all, &layer.says.from)
}

/// What an entry patches with: the file at its path, or its text.
fn said(builder: &mut Builder<'_>, layer: &Layer, entry: &Tree) -> Result<Patch, Refusal> {
    match (layer::text(entry, "path")?, layer::text(entry, "patch")?) {
        (Some(path), None) => file(builder, layer, path),
        (None, Some(text)) => read(inline_docs(layer, text)?, &text.from),
        _ => Err(entry.from.broken("a patch has either a `path` or a `patch`")),
    }
}

/// `patchesStrategicMerge`: paths, or texts.
pub(super) fn strategic(builder: &mut Builder<'_>, layer: &Layer, all: &mut Vec<Resource>) -> Result<(), Refusal> {
    for entry in layer.list("patchesStrategicMerge")? {
        let is_text = entry.text().contains('\n') || entry.text().contains(": ");
        let patch = if is_text { read(inline_docs(layer, entry)?, &entry.from)? } else { file(builder, layer, entry)? };
        let Patch::Merge(patches) = patch else {
            return Err(entry.from.broken("a strategic merge patch is an object, not a list of operations"));
        };
        patches.iter().try_for_each(|patch| by_name(builder, all, patch, Allowed::default(), &entry.from))?;
    }
    no_two(all, &layer.says.from)
}

/// `patchesJson6902`: operations, after everything else.
pub(super) fn operations(builder: &mut Builder<'_>, layer: &Layer, all: &mut [Resource]) -> Result<(), Refusal> {
    for entry in layer.list("patchesJson6902")? {
        let Patch::Operations(operations) = said(builder, layer, entry)? else {
            return Err(entry.from.broken("a list of operations was expected"));
        };
        let target = entry.some("target").filter(|target| target.some("name").is_some());
        let target = target.ok_or_else(|| entry.from.broken("the target has no name"))?;
        let selector = selector(target)?;
        for resource in all.iter_mut().filter(|resource| selector.selects(resource)) {
            operate(resource, &operations)?;
        }
    }
    Ok(())
}

fn selector(target: &Tree) -> Result<Selector, Refusal> {
    Selector::read(target).map_err(|why| target.from.unsupported(why))
}

/// A patch of a file.
fn file(builder: &mut Builder<'_>, layer: &Layer, path: &Tree) -> Result<Patch, Refusal> {
    let route = layer.route(&path.from, format!("patches with {}", path.text()));
    let documents = builder.documents(layer, path, &route)?;
    read(documents, &path.from)
}

/// A text of a kustomization, as documents of their own.
pub(super) fn inline_docs(layer: &Layer, text: &Tree) -> Result<Vec<Tree>, Refusal> {
    let route = layer.route(&text.from, "patches inline");
    documents_of(text.text(), &text.from, &route)
}

/// The documents of a text that stands in a scalar.
fn documents_of(text: &str, scalar: &From, route: &Arc<Route>) -> Result<Vec<Tree>, Refusal> {
    let whole: Arc<str> = text.into();
    let documents = crate::yaml::documents(text)
        .map_err(|error| scalar.broken(format!("the text in it cannot be read: {}", error.reason)))?;
    let mut trees = Vec::new();
    for document in &documents {
        if document.duplicate_key.is_some() {
            return Err(scalar.broken("a key stands twice in it"));
        }
        let doc = Arc::new(Doc {
            file: scalar.doc.file.clone(),
            index: document.index,
            offset: document.span.start,
            text: whole.clone(),
            inside: Some(scalar.clone()),
            route: Some(route.clone()),
        });
        trees.extend(Tree::read(&doc, document));
    }
    Ok(trees)
}

/// What the documents of a patch are.
fn read(documents: Vec<Tree>, at: &From) -> Result<Patch, Refusal> {
    if let Some(list) = documents.first().filter(|first| matches!(first.data, Data::List(_))) {
        let operations = json6902::read(list).map_err(|why| list.from.broken(why))?;
        return Ok(Patch::Operations(operations));
    }
    let mut patches = Vec::new();
    for tree in documents.into_iter().filter(|tree| !tree.is_null() && !tree.is_empty_map()) {
        if !matches!(tree.data, Data::Map(_)) {
            return Err(at.broken("it is neither an object nor a list of operations"));
        }
        super::build::objects_of(tree, &mut patches)?;
    }
    Ok(Patch::Merge(patches))
}

/// Merges a patch into the object that it names.
fn by_name(
    builder: &Builder<'_>,
    all: &mut Vec<Resource>,
    patch: &Resource,
    allowed: Allowed,
    at: &From,
) -> Result<(), Refusal> {
    let id = patch.id();
    let found: Vec<usize> = (0..all.len()).filter(|&index| all[index].ids().any(|own| own.is(&id))).collect();
    match found.as_slice() {
        [index] => {
            let index = *index;
            if !merge_into(&mut all[index], patch, allowed)? {
                all.remove(index);
            }
            Ok(())
        }
        // It may be one of those that could not be read.
        [] if builder.is_partial() => Ok(()),
        [] => Err(at.broken(format!("no object is called {id}, which it patches"))),
        _ => Err(at.broken(format!("several objects are called {id}, which it patches"))),
    }
}

/// Merges a patch into everything that its target selects.
fn by_target(all: &mut Vec<Resource>, patch: &Resource, target: &Tree, allowed: Allowed) -> Result<(), Refusal> {
    let selector = selector(target)?;
    let mut kept = Vec::new();
    for mut resource in std::mem::take(all) {
        let stays = if selector.selects(&resource) {
            let mut patch = patch.clone();
            // What kustomize copies before it merges becomes text on the way: a null does, too.
            tidy(&mut patch.tree, "labels");
            tidy(&mut patch.tree, "annotations");
            let version = resource.api_version().to_owned();
            if let Some(own) = patch.tree.get_mut("apiVersion") {
                own.data = Data::Scalar(Scalar::plain(version));
            }
            merge_into(&mut resource, &patch, allowed)?
        } else {
            true
        };
        if stays {
            kept.push(resource);
        }
    }
    *all = kept;
    Ok(())
}

/// Merges a patch into an object; `false` when nothing is left of it. What it is called stays as it was.
fn merge_into(resource: &mut Resource, patch: &Resource, allowed: Allowed) -> Result<bool, Refusal> {
    let keys: [&[&str]; 4] = [&["apiVersion"], &["kind"], &["metadata", "name"], &["metadata", "namespace"]];
    let before = keys.map(|keys| resource.tree.at(keys).cloned());
    if allowed.name || allowed.kind {
        resource.remember();
    }
    let shape = Shape::of(resource.api_version(), resource.kind());
    let merged = merge::merge(&resource.tree, &patch.tree, shape).map_err(|why| patch.tree.from.broken(why))?;
    let Some(tree) = merged else { return Ok(false) };
    resource.tree = tree;
    let [version, kind, name, namespace] = before;
    if let (Some(version), Some(own)) = (version, resource.tree.get_mut("apiVersion"))
        && own.text() == version.text()
    {
        *own = version;
    }
    if let (Some(kind), false) = (kind, allowed.kind) {
        resource.tree.remove("kind");
        resource.tree.put("kind", kind);
    }
    let Some(meta) = resource.tree.get_mut("metadata") else { return Ok(true) };
    if let (Some(name), false) = (name, allowed.name) {
        meta.remove("name");
        meta.put("name", name);
    }
    meta.remove("namespace");
    if let Some(namespace) = namespace.filter(|namespace| !namespace.text().is_empty()) {
        meta.put("namespace", namespace);
    }
    Ok(true)
}

fn operate(resource: &mut Resource, operations: &[Operation]) -> Result<(), Refusal> {
    if resource.has_notes()
        && let Some(meta) = resource.tree.get_mut("metadata")
        && meta.some("annotations").is_none()
    {
        let from = meta.from.clone();
        meta.put("annotations", Tree::map(from));
    }
    json6902::apply(&mut resource.tree, operations)?;
    resource.tree.restyle();
    Ok(())
}

/// No two objects may end with one name.
pub(super) fn no_two(all: &[Resource], at: &From) -> Result<(), Refusal> {
    let mut seen = std::collections::BTreeSet::new();
    for resource in all {
        let id = resource.id();
        let key = (id.group.clone(), id.version.clone(), id.kind.clone(), id.name.clone(), id.space().to_owned());
        if !seen.insert(key) {
            return Err(at.broken(format!("two objects are called {id}")));
        }
    }
    Ok(())
}
