//! A kustomization in, the objects that it renders out; and of every value of every object, the place that wrote it last.
//!
//! Native: nothing is started and nothing is read but the files in memory. It renders as kustomize 5.8 does, which a test
//! shows by comparing both; what it does not follow it names, and never guesses.

mod build;
mod entry;
mod fields;
mod files;
mod generate;
mod images;
mod inline;
mod json6902;
mod kinds;
mod layer;
mod merge;
mod names;
mod origin;
mod patch;
mod place;
mod prove;
mod replace;
mod resource;
mod roots;
#[cfg(test)]
mod tests;
mod transform;
mod tree;
mod vars;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

pub use self::build::Opaque;
pub(super) use self::entry::{GROUP, corrected, entry};
use self::files::{Files, Renderings};
pub(super) use self::layer::within;
pub use self::layer::{Refusal, RefusalKind};
pub(super) use self::origin::{Applied, Seen};
pub(super) use self::place::edit;
pub(super) use self::roots::{Root, Roots};
use super::manifest;
use crate::case::{Change, Declined, ObjectRef, Operation, SourceLocation, Sources};
use crate::yaml;

/// What a kustomization renders.
pub struct Rendering {
    pub objects: Vec<Rendered>,
    /// What is missing in it, each with its reason. Empty when it is whole.
    pub opaque: Vec<Opaque>,
    /// Every file that it was made from.
    pub reads: BTreeSet<String>,
}

/// An object of a rendering.
pub struct Rendered {
    pub id: ObjectRef,
    tree: tree::Tree,
}

impl Rendered {
    /// As kustomize gives it out.
    pub fn value(&self) -> Value {
        self.tree.value()
    }
}

/// Renders the kustomization of a folder.
pub fn render(sources: &Sources, folder: &str) -> Result<Rendering, Refusal> {
    let built = build::build(&Files::of(sources), folder)?;
    let object = |resource: resource::Resource| {
        let namespace = Some(resource.namespace());
        let id = ObjectRef::new(resource.api_version(), resource.kind(), namespace, resource.name());
        Rendered { id, tree: resource.tree }
    };
    let objects = built.resources.into_iter().map(object).collect();
    Ok(Rendering { objects, opaque: built.opaque, reads: built.reads })
}

/// Every folder with a kustomization, components too.
pub fn folders(sources: &Sources) -> Vec<String> {
    build::folders(sources)
}

/// The folders whose kustomizations are applied: those that no other takes, and those that Flux or Argo CD are told of.
pub fn roots(sources: &Sources) -> Vec<String> {
    Roots::of(sources).roots.iter().map(|root| root.folder.clone()).collect()
}

/// Files that generators take, by what the kustomizations among some files say: they are no manifests, and are to be
/// read besides.
pub fn attachments(files: &BTreeMap<String, Arc<str>>) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    for (path, text) in files {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !layer::NAMES.contains(&name) || !text.contains("Generator") {
            continue;
        }
        let Ok(document) = yaml::document(text, 0, 0) else { continue };
        let says = document.value();
        let lists = ["configMapGenerator", "secretGenerator"].map(|key| says.get(key).and_then(Value::as_array));
        for generator in lists.into_iter().flatten().flatten() {
            let sources = ["files", "envs"].map(|key| generator.get(key).and_then(Value::as_array));
            let several = sources.into_iter().flatten().flatten();
            let said = several.chain(generator.get("env")).filter_map(Value::as_str);
            let taken = said.map(|said| said.split_once('=').map_or(said, |(_, path)| path));
            wanted.extend(taken.filter_map(|path| layer::within(folder, path)));
        }
    }
    wanted.retain(|path| !files.contains_key(path));
    wanted
}

/// A search for the places of some changes, each found on what the ones before it have edited.
pub(super) struct Search<'s> {
    changes: &'s [Change],
    home: Option<&'s str>,
    roots: Arc<Roots>,
    files: Files<'s>,
    /// What roots render before anything is edited.
    before: Rc<Renderings<'s>>,
    /// What they render as it is edited so far.
    now: Rc<Renderings<'s>>,
}

impl<'s> Search<'s> {
    pub fn new(changes: &'s [Change], sources: &'s Sources, home: Option<&'s str>) -> Self {
        let before = Rc::new(Renderings::of(Files::of(sources)));
        let (files, now) = (Files::of(sources), before.clone());
        Self { changes, home, roots: Roots::of(sources), files, before, now }
    }

    pub fn roots(&self) -> Arc<Roots> {
        self.roots.clone()
    }

    /// Whether an object that a root renders is the one that a change is for.
    fn is_it(root: &Root, id: &ObjectRef, change: &Change, home: Option<&str>) -> bool {
        let live = &change.object;
        id.kind == live.kind
            && id.group == live.group
            && id.name == live.name
            && root.lives_in(id.namespace.as_deref(), live.namespace.as_deref(), home)
    }

    /// The place of a change of an object that a kustomization renders; `None` when none does.
    pub fn locate(&mut self, change: &Change) -> Option<Result<SourceLocation, Declined>> {
        let renders = |root: &&Root| {
            root.renders.iter().flatten().any(|declared| Self::is_it(root, &declared.id, change, self.home))
        };
        let roots = self.roots.clone();
        let found: Vec<&Root> = roots.roots.iter().filter(renders).collect();
        match found.as_slice() {
            [] => None,
            [root] => Some(self.in_root(root, change)),
            several => Some(self.in_roots(several, change)),
        }
    }

    /// Several roots render the object: the place must be the same in all of them.
    fn in_roots(&mut self, roots: &[&Root], change: &Change) -> Result<SourceLocation, Declined> {
        let before = (self.files.clone(), self.now.clone());
        let mut places: Vec<SourceLocation> = Vec::new();
        for root in roots {
            (self.files, self.now) = before.clone();
            places.push(self.in_root(root, change)?);
        }
        let same =
            |a: &SourceLocation, b: &SourceLocation| a.file == b.file && a.path == b.path && a.writes == b.writes;
        if places.iter().all(|place| same(place, &places[0])) {
            return Ok(places.remove(0));
        }
        (self.files, self.now) = before;
        Err(Declined::Ambiguous { what: format!("`{}` of {}", change.path, change.object), places })
    }

    fn in_root(&mut self, root: &Root, change: &Change) -> Result<SourceLocation, Declined> {
        let built = self.now.get(&root.folder);
        let built = (*built).as_ref().map_err(|refusal| blocked(None, refusal.to_string()))?;
        let resource = built.resources.iter().find(|resource| {
            let namespace = Some(resource.namespace());
            let id = ObjectRef::new(resource.api_version(), resource.kind(), namespace, resource.name());
            Self::is_it(root, &id, change, self.home)
        });
        let resource = resource.ok_or_else(|| Declined::NotInGit {
            object: change.object.clone(),
            detail: format!("{} no longer renders it", root.path),
        })?;
        let site = place::Site { files: &self.files, roots: &self.roots, resource, all: &built.resources, change };
        let candidates = site.candidates();
        let now = resource.tree.find(&change.path).filter(|tree| !tree.is_null()).map(tree::Tree::value);
        if let Some(why) = objection(root, change, now.as_ref(), self.changes) {
            return Err(blocked(candidates.into_iter().next().and_then(Result::ok), why));
        }
        let mut why_not: Option<Declined> = None;
        let mut wide: Option<Tried<'s>> = None;
        for candidate in candidates {
            match candidate.map_err(|why| blocked(None, why)).and_then(|place| self.tried(change, place)) {
                // It changes other objects, too: one that changes none is better, and stands in a narrower layer.
                Ok(tried) if !tried.0.also.is_empty() => {
                    why_not = why_not.or_else(|| Some(blocked(Some(tried.0.clone()), also(&tried.0))));
                    wide = wide.or(Some(tried));
                }
                Ok((mut place, after, then)) => {
                    place.chain = site.chain(&place, why_not.as_ref());
                    (self.files, self.now) = (after, then);
                    return Ok(place);
                }
                Err(why) => why_not = why_not.or(Some(why)),
            }
        }
        if let Some((mut place, after, then)) = wide {
            place.chain = site.chain(&place, None);
            (self.files, self.now) = (after, then);
            return Ok(place);
        }
        Err(why_not.unwrap_or_else(|| blocked(None, format!("nothing says where `{}` could be set", change.path))))
    }

    /// A place at which the change comes true and nothing else changes, with the files as they are then.
    fn tried(&self, change: &Change, mut place: SourceLocation) -> Result<Tried<'s>, Declined> {
        let is_it = |root: &Root, id: &ObjectRef, change: &Change| Self::is_it(root, id, change, self.home);
        let proof = self.edited(change, &place).and_then(|after| {
            let then = Rc::new(Renderings::of(after.clone()));
            let proof = prove::prove(&self.before, &then, &place.file, &self.roots, change, self.changes, &is_it)?;
            Ok((proof, after, then))
        });
        match proof {
            Ok((proof, after, then)) => {
                (place.rendered, place.also) = (proof.rendered, proof.also);
                Ok((place, after, then))
            }
            Err(why) => Err(blocked(Some(place), why)),
        }
    }

    /// The files with the change made at a place.
    fn edited(&self, change: &Change, place: &SourceLocation) -> Result<Files<'s>, String> {
        let text = self.files.get(&place.file).ok_or_else(|| format!("there is no {}", place.file))?;
        let edit = edit(place.operation(change), &place.path, place.value.is_some());
        let new = yaml::edit(text, place.document, &[edit]).map_err(|refused| refused.to_string())?;
        Ok(self.files.with(&place.file, &new))
    }

    /// Why an object is not found although a file has it: the kustomization that takes the file is not rendered, or what
    /// it renders is called otherwise.
    pub fn why_not(&self, object: &ObjectRef) -> Option<Declined> {
        let heads = manifest::heads(object, self.files.sources, self.home);
        heads.into_iter().find_map(|head| {
            let refused =
                self.roots.reading(&head.file).find_map(|root| root.renders.as_ref().err().map(|why| (root, why)));
            let (root, refusal) = refused?;
            let why = format!("{} takes it, and cannot be rendered: {refusal}", root.path);
            Some(Declined::Blocked { location: Some(Box::new(head)), why })
        })
    }
}

/// A place, the files once it is edited, and what they render.
type Tried<'s> = (SourceLocation, Files<'s>, Rc<Renderings<'s>>);

/// What an edit changes besides, as a sentence.
fn also(place: &SourceLocation) -> String {
    let first = place
        .also
        .first()
        .map(|feed| format!("{} would also give {} another `{}`", feed.root, feed.object, feed.field));
    first.unwrap_or_default()
}

fn blocked(location: Option<SourceLocation>, why: String) -> Declined {
    Declined::Blocked { location: location.map(Box::new), why }
}

/// What speaks against a change whatever its place: the repository says something else than the cluster runs, or what
/// applies the rendering changes it by itself.
fn objection(root: &Root, change: &Change, now: Option<&Value>, all: &[Change]) -> Option<String> {
    disagreement(change, now, all).or_else(|| {
        let changes = root.appliers.iter().find_map(|applier| applier.changes.as_ref())?;
        let is_theirs = now.is_none() && matches!(change.operation, Operation::Set { .. });
        is_theirs.then(|| format!("`{}` is not set in what {} renders, and {changes}", change.path, root.path))
    })
}

fn disagreement(change: &Change, now: Option<&Value>, all: &[Change]) -> Option<String> {
    // An earlier change of the same cure may have made it true already.
    let is_done = all.iter().any(|one| match &one.operation {
        Operation::Set { to, .. } => now == Some(to),
        _ => false,
    });
    match (&change.operation, now) {
        (Operation::Set { from, .. } | Operation::Remove { from }, Some(now))
            if !is_done && !manifest::same(from, now) =>
        {
            Some(format!(
                "the repository renders {now} and the cluster runs {from}: it is not applied yet, or was changed by hand"
            ))
        }
        (Operation::Add { .. }, Some(now)) => {
            Some(format!("the repository renders a value already, {now}, that the cluster does not show"))
        }
        _ => None,
    }
}
