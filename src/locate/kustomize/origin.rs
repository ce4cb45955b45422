//! What is applied in, where each of its values comes from out: for reading alone, nothing is edited.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use super::build::{self, Built};
use super::files::{Files, Renderings};
use super::layer::{Refusal, RefusalKind, join};
use super::place::{Site, location};
use super::resource::Resource;
use super::roots::{Applier, Root, Roots};
use super::tree::{Data, Doc, From, How, ImageParts, Tree};
use crate::case::{Change, Link, ObjectRef, Operation, SourceLocation, Sources};
use crate::locate::manifest;
use crate::yaml::{self, FieldPath};

/// The bytes that a value was written with: the file, and the span in it; of a text in a text, both spans.
type Key = (Arc<str>, Vec<Range<usize>>);

/// The values that some bytes feed: which object of the root, and which field of it.
type Index = HashMap<Key, Vec<(usize, FieldPath)>>;

/// Everything that is applied of a repository, rendered when it is asked for.
pub(in crate::locate) struct Applied<'s> {
    files: Files<'s>,
    roots: Arc<Roots>,
    renderings: Renderings<'s>,
    plain: RefCell<BTreeMap<String, Rc<Result<Built, Refusal>>>>,
    indexes: RefCell<BTreeMap<String, Rc<Index>>>,
}

/// An object as it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::locate) struct Seen {
    /// The file of the kustomization that renders it, or the manifest that is applied as it stands.
    pub root: String,
    /// As it is written or rendered.
    pub id: ObjectRef,
    /// Where it lives, if anything says so.
    pub namespace: Option<String>,
}

/// A value of an object, and the place that wrote it last.
pub(in crate::locate) struct Origin {
    pub value: Value,
    pub location: Option<SourceLocation>,
    pub blockers: Vec<String>,
    keys: Vec<Key>,
}

impl<'s> Applied<'s> {
    pub fn of(sources: &'s Sources) -> Self {
        let files = Files::of(sources);
        Self {
            renderings: Renderings::of(files.clone()),
            files,
            roots: Roots::of(sources),
            plain: RefCell::default(),
            indexes: RefCell::default(),
        }
    }

    /// All objects, in the order of their roots; then those of manifests that no kustomization takes.
    pub fn objects(&self) -> Vec<Seen> {
        let rendered = self.roots.rendered().map(|(root, declared)| Seen {
            root: root.path.clone(),
            namespace: space(&root.appliers, declared.id.namespace.as_deref()),
            id: declared.id.clone(),
        });
        let mut all: Vec<Seen> = rendered.collect();
        for (path, file) in manifest::applied(self.files.sources, &|file| !self.roots.takes(file)) {
            let appliers: Vec<&Applier> = self.roots.applying(path).collect();
            all.extend(file.objects.iter().map(|declared| Seen {
                root: path.to_owned(),
                namespace: space(appliers.iter().copied(), declared.id.namespace.as_deref()),
                id: declared.id.clone(),
            }));
        }
        all
    }

    /// Kustomizations that are not rendered, with the reason.
    pub fn refused(&self) -> impl Iterator<Item = (&str, &Refusal)> {
        self.roots.roots.iter().filter_map(|root| Some((root.path.as_str(), root.renders.as_ref().err()?)))
    }

    fn root(&self, path: &str) -> Option<&Root> {
        self.roots.roots.iter().find(|root| root.path == path)
    }

    /// What a root renders, or a manifest says.
    fn built(&self, root: &str) -> Rc<Result<Built, Refusal>> {
        if let Some(root) = self.root(root) {
            return self.renderings.get(&root.folder);
        }
        let done = self.plain.borrow().get(root).cloned();
        done.unwrap_or_else(|| {
            let read = Rc::new(read(&self.files, root));
            self.plain.borrow_mut().insert(root.to_owned(), read.clone());
            read
        })
    }

    fn appliers<'a>(&'a self, root: &'a str) -> Vec<&'a Applier> {
        match self.root(root) {
            Some(root) => root.appliers.iter().collect(),
            None => self.roots.applying(root).collect(),
        }
    }

    /// Every field of an object that says something, in order.
    pub fn fields(&self, seen: &Seen) -> Vec<FieldPath> {
        let built = self.built(&seen.root);
        let mut all = Vec::new();
        if let Some(resource) = built.as_ref().as_ref().ok().and_then(|built| find(built, &seen.id)) {
            walk(&resource.tree, &FieldPath::root(), &mut |tree, path| {
                let is_type = path.steps().len() == 1 && ["apiVersion", "kind"].iter().any(|key| path.matches(key));
                if is_leaf(tree) && !tree.is_null() && !is_type {
                    all.push(path.clone());
                }
                true
            });
        }
        all
    }

    /// Of each field of an object, why it cannot be written where it comes from; `None` where it can.
    pub fn reasons(&self, seen: &Seen) -> Vec<Option<String>> {
        let built = self.built(&seen.root);
        let mut all = Vec::new();
        if let Some(resource) = built.as_ref().as_ref().ok().and_then(|built| find(built, &seen.id)) {
            walk(&resource.tree, &FieldPath::root(), &mut |tree, _| {
                if is_leaf(tree) && !tree.is_null() {
                    all.push(unwritable(tree).or_else(|| self.encrypted(&tree.from)));
                }
                true
            });
        }
        all
    }

    /// Where the value of a field comes from: `None` where the object does not say it, an error where it is not known.
    pub fn origin(&self, seen: &Seen, path: &FieldPath) -> Result<Option<Origin>, String> {
        let built = self.built(&seen.root);
        let built = built.as_ref().as_ref().map_err(ToString::to_string)?;
        let Some(resource) = find(built, &seen.id) else { return Ok(None) };
        let Some(tree) = resource.tree.find(path).filter(|tree| !tree.is_null()) else { return Ok(None) };
        let value = tree.value();
        let from = deciding(tree);
        let mut blockers: Vec<String> = unwritable(tree).into_iter().collect();
        blockers.extend(self.encrypted(&tree.from));
        blockers.extend(self.blocked(seen, resource, path));
        let change = Change {
            object: seen.id.clone(),
            path: path.clone(),
            operation: Operation::Remove { from: value.clone() },
        };
        let site = Site { files: &self.files, roots: &self.roots, resource, all: &built.resources, change: &change };
        let location = location(&from, value.clone(), &self.files).map(|mut place| {
            place.chain = self.appliers(&seen.root).into_iter().map(Applier::link).collect();
            place.chain.extend(site.chain(&place, None));
            place
        });
        let keys = if matches!(tree.from.how, How::Image(_)) { vec![key(&from)] } else { keys(tree) };
        Ok(Some(Origin { value, location, blockers, keys }))
    }

    /// Why an edit in Git would not reach the object.
    fn blocked(&self, seen: &Seen, resource: &Resource, path: &FieldPath) -> Vec<String> {
        let note = |key: &str| resource.tree.at(&["metadata", "annotations", key]).map_or("", Tree::text).to_owned();
        let mut all = Vec::new();
        for (key, stops) in [
            ("kustomize.toolkit.fluxcd.io/reconcile", &["disabled"][..]),
            ("kustomize.toolkit.fluxcd.io/ssa", &["Ignore", "IfNotPresent"]),
        ] {
            let said = note(key);
            if stops.contains(&said.as_str()) {
                all.push(format!("its annotation `{key}: {said}` keeps Flux from applying what Git says"));
            }
        }
        for applier in self.appliers(&seen.root) {
            all.extend(applier.stops.iter().cloned());
            all.extend(applier.ignored(&seen.id, path));
            all.extend(applier.changes.iter().map(|changes| format!("{changes}, and these are not followed")));
        }
        if path.matches("spec.replicas") {
            all.extend(self.scaler(seen));
        }
        all
    }

    /// What scales an object, if the repository says so.
    fn scaler(&self, seen: &Seen) -> Option<String> {
        let is_scaler = |other: &&Seen| other.id.kind == "HorizontalPodAutoscaler" && other.namespace == seen.namespace;
        self.objects().iter().filter(is_scaler).find_map(|other| {
            let built = self.built(&other.root);
            let scaler = find(built.as_ref().as_ref().ok()?, &other.id)?;
            let target = |key: &str| scaler.tree.at(&["spec", "scaleTargetRef", key]).map_or("", Tree::text);
            let is_it = target("kind") == seen.id.kind && target("name") == seen.id.name;
            is_it.then(|| format!("{} ({}) sets the replicas of it as it runs", other.id, other.root))
        })
    }

    fn encrypted(&self, from: &From) -> Option<String> {
        let (file, _) = from.line();
        let text = self.files.get(&file)?;
        let is_sops = text.lines().any(|line| line == "sops:" || line.starts_with("sops: "));
        is_sops.then(|| format!("{file} is encrypted with SOPS"))
    }

    /// Every field of every object that the same bytes feed, the one itself included: root, object and field.
    pub fn feeds(&self, origin: &Origin) -> Vec<(Seen, FieldPath)> {
        let mut all: Vec<(Seen, FieldPath)> = Vec::new();
        let files: BTreeSet<&str> = origin.keys.iter().map(|(file, _)| &**file).collect();
        let reading = self.roots.roots.iter().filter(|root| files.iter().any(|file| root.reads.contains(*file)));
        let mut roots: Vec<&str> = reading.map(|root| root.path.as_str()).collect();
        roots.extend(files.iter().filter(|file| !self.roots.takes(file)));
        for root in roots {
            let built = self.built(root);
            let Ok(built) = built.as_ref() else { continue };
            let index = self.index(root, built);
            for (at, path) in origin.keys.iter().filter_map(|key| index.get(key)).flatten() {
                let fed = (self.seen(root, &built.resources[*at]), path.clone());
                if !all.contains(&fed) {
                    all.push(fed);
                }
            }
        }
        all
    }

    fn seen(&self, root: &str, resource: &Resource) -> Seen {
        let id = id(resource);
        let namespace = space(self.appliers(root), id.namespace.as_deref());
        Seen { root: root.to_owned(), id, namespace }
    }

    fn index(&self, root: &str, built: &Built) -> Rc<Index> {
        let done = self.indexes.borrow().get(root).cloned();
        done.unwrap_or_else(|| {
            let mut index = Index::new();
            for (at, resource) in built.resources.iter().enumerate() {
                walk(&resource.tree, &FieldPath::root(), &mut |tree, path| {
                    for key in keys(tree) {
                        // A map that a layer made to hold a value has the place of that value, which says more.
                        let fed = index.entry(key).or_default();
                        fed.retain(|(other, above)| *other != at || !path.starts_with(above));
                        fed.push((at, path.clone()));
                    }
                    true
                });
            }
            let index = Rc::new(index);
            self.indexes.borrow_mut().insert(root.to_owned(), index.clone());
            index
        })
    }
}

/// Where an object lives that says `own`.
fn space<'a>(appliers: impl IntoIterator<Item = &'a Applier>, own: Option<&str>) -> Option<String> {
    let mut appliers = appliers.into_iter();
    let given = appliers.find_map(|applier| applier.gives(own)).map(ToOwned::to_owned);
    given.or_else(|| own.map(ToOwned::to_owned))
}

/// The objects of a manifest, with the place of each value. What is no object is passed over.
fn read(files: &Files<'_>, path: &str) -> Result<Built, Refusal> {
    let broken = |line, why| Refusal { kind: RefusalKind::Broken, file: path.to_owned(), line, why };
    let text = files.get(path).ok_or_else(|| broken(1, "it is not there".to_owned()))?;
    let documents = yaml::documents(text).map_err(|error| broken(error.line, error.reason))?;
    let mut resources = Vec::new();
    for document in &documents {
        let doc = Doc {
            file: path.into(),
            index: document.index,
            offset: document.span.start,
            text: text.clone(),
            inside: None,
            route: None,
        };
        if let Some(tree) = Tree::read(&Arc::new(doc), document) {
            let _ = build::objects_of(tree, &mut resources);
        }
    }
    Ok(Built { resources, opaque: Vec::new(), reads: BTreeSet::from([path.to_owned()]) })
}

fn id(resource: &Resource) -> ObjectRef {
    ObjectRef::new(resource.api_version(), resource.kind(), Some(resource.namespace()), resource.name())
}

fn find<'b>(built: &'b Built, wanted: &ObjectRef) -> Option<&'b Resource> {
    built.resources.iter().find(|resource| id(resource) == *wanted)
}

fn is_leaf(tree: &Tree) -> bool {
    match &tree.data {
        Data::Scalar(_) => true,
        Data::Map(entries) => entries.is_empty(),
        Data::List(items) => items.is_empty(),
    }
}

/// Goes through all values; items that have a name of their own are called by it. `see` says whether to go deeper.
fn walk(tree: &Tree, path: &FieldPath, see: &mut dyn FnMut(&Tree, &FieldPath) -> bool) {
    if !see(tree, path) {
        return;
    }
    for (key, value) in tree.entries() {
        walk(value, &path.clone().key(key), see);
    }
    let items = tree.items();
    let name = |item: &Tree| item.get("name").map(|name| name.text().to_owned()).filter(|name| !name.is_empty());
    let names: Vec<Option<String>> = items.iter().map(name).collect();
    for (at, item) in items.iter().enumerate() {
        let own = names[at].as_ref().filter(|own| names.iter().flatten().filter(|other| other == own).count() == 1);
        let below = own.map_or_else(|| path.clone().index(at), |name| path.clone().named(name));
        walk(item, &below, see);
    }
}

/// Of an image the part that decides what runs: its digest, else its tag; of all else what wrote it.
fn deciding(tree: &Tree) -> From {
    let How::Image(parts) = &tree.from.how else { return tree.from.clone() };
    parts.digest.as_ref().or(parts.tag.as_ref()).unwrap_or(&parts.name).clone()
}

/// Why a value cannot be written back at its place.
fn unwritable(tree: &Tree) -> Option<String> {
    let shared = "it gets its value through an alias or a merge key, so the line is shared";
    match &tree.from.how {
        How::Image(parts) => digest(parts),
        How::Shared => Some(shared.to_owned()),
        How::File => Some(format!("it stands in {}, which is no YAML", tree.from.doc.file)),
        How::Made(why) if is_leaf(tree) => Some((*why).to_owned()),
        How::Written | How::Literal | How::Made(_) => None,
    }
}

fn digest(parts: &ImageParts) -> Option<String> {
    let tag = parts.digest.as_ref().and(parts.tag.as_ref());
    tag.map(|_| "it has a digest, which decides what runs whatever the tag says".to_owned())
}

fn keys(tree: &Tree) -> Vec<Key> {
    match &tree.from.how {
        // Of an image what decides which one runs; who changes the name changes more than a value.
        How::Image(parts) => match (&parts.tag, &parts.digest) {
            (None, None) => vec![key(&parts.name)],
            (tag, digest) => tag.iter().chain(digest).map(key).collect(),
        },
        _ => vec![key(&tree.from)],
    }
}

fn key(from: &From) -> Key {
    let mut spans = vec![from.span.clone()];
    let mut doc = &from.doc;
    while let Some(scalar) = &doc.inside {
        spans.push(scalar.span.clone());
        doc = &scalar.doc;
    }
    (doc.file.clone(), spans)
}

impl Applier {
    /// "Kustomization flux-system/apps applies apps/prod", as a step of a chain.
    fn link(&self) -> Link {
        let folder = if self.folder.is_empty() { "the whole repository" } else { &self.folder };
        Link { file: self.file.clone(), line: self.line, what: format!("{} applies {folder}", self.id) }
    }

    /// The namespace that it gives to an object that says `own`; `None` where it leaves that alone.
    pub(super) fn gives(&self, own: Option<&str>) -> Option<&str> {
        self.space.as_deref().filter(|_| own.is_none() || self.moves_all)
    }

    /// Whether it applies a file that stands in a folder without a kustomization.
    pub(super) fn takes(&self, file: &str) -> bool {
        let inside = join(&self.folder, "");
        file.strip_prefix(&inside).is_some_and(|rest| self.is_deep || !rest.contains('/'))
    }

    /// What it says that it leaves alone.
    fn ignored(&self, object: &ObjectRef, path: &FieldPath) -> Option<String> {
        let pointer = format!("/{}", path.to_string().replace('.', "/"));
        let is_it = |(kind, ignored): &&(String, String)| {
            *kind == object.kind && (pointer == *ignored || pointer.starts_with(&format!("{ignored}/")))
        };
        let (_, pointer) = self.ignores.iter().find(is_it)?;
        Some(format!("{} ignores differences at {pointer}", self.id))
    }
}
