//! A repository in, what is applied of its kustomizations out: which are roots, what they render, what they read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::build;
use super::files::Files;
use super::layer::{self, Layer, Refusal};
use super::resource::Resource;
use super::tree::Tree;
use crate::case::{Declared, ObjectRef, Sources};
use crate::locate::manifest;
use crate::yaml;

/// The kustomizations of a repository.
#[expect(clippy::struct_field_names, reason = "the roots are what it is about")]
pub(in crate::locate) struct Roots {
    pub roots: Vec<Root>,
    /// Every file that a kustomization takes: none of them is applied as it stands.
    taken: BTreeSet<String>,
    /// What applies folders that have no kustomization.
    appliers: Vec<Applier>,
}

/// A kustomization that is applied: no other takes it, or an object of Flux or Argo CD names its folder.
pub(in crate::locate) struct Root {
    pub folder: String,
    /// The file of the kustomization.
    pub path: String,
    /// What it renders, by name; or why it is not rendered.
    pub renders: Result<Vec<Declared>, Refusal>,
    /// Every file that it reads, as far as is known.
    pub reads: BTreeSet<String>,
    /// What applies it, if the repository says so.
    pub appliers: Vec<Applier>,
}

impl Roots {
    /// Those of a repository; found out once.
    pub fn of(sources: &Sources) -> Arc<Self> {
        sources.memo.get(|| Self::find(sources))
    }

    fn find(sources: &Sources) -> Self {
        let files = Files::of(sources);
        let mut taken = BTreeSet::new();
        let mut below = BTreeSet::new();
        let mut components = BTreeSet::new();
        let mut said: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for folder in build::folders(sources) {
            let Ok(Some(layer)) = Layer::of(&folder, &files, None) else {
                // Nobody knows what it takes: it may be anything that lies in its folder.
                let inside = layer::join(&folder, "");
                let all: BTreeSet<String> =
                    sources.files.keys().filter(|path| path.starts_with(&inside)).cloned().collect();
                taken.extend(all.iter().cloned());
                said.insert(folder, all);
                continue;
            };
            if layer.is_component() {
                components.insert(folder.clone());
            }
            below.extend(build::taken(&layer).into_iter().filter(|path| !files.has(path)));
            let own = entries(&layer);
            taken.extend(own.iter().filter(|path| files.has(path)).cloned());
            taken.insert(layer.path.clone());
            said.insert(folder, own);
        }
        let mut appliers = appliers(sources);
        let is_applied = |folder: &String| appliers.iter().any(|applier| applier.folder == *folder);
        let is_root = |folder: &String| !components.contains(folder) && (!below.contains(folder) || is_applied(folder));
        let folders: Vec<String> = build::folders(sources).into_iter().filter(is_root).collect();
        let mut roots = Vec::new();
        for folder in folders {
            let (own, others) = appliers.into_iter().partition(|applier| applier.folder == folder);
            appliers = others;
            roots.push(Root { appliers: own, ..Root::render(folder, &files, &said) });
        }
        Self { roots, taken, appliers }
    }

    /// Whether a file is read by a kustomization, and not applied as it stands.
    pub fn takes(&self, file: &str) -> bool {
        self.taken.contains(file) || self.roots.iter().any(|root| root.reads.contains(file))
    }

    /// What applies a file that no kustomization takes, if the repository says so.
    pub fn applying<'r>(&'r self, file: &'r str) -> impl Iterator<Item = &'r Applier> {
        self.appliers.iter().filter(|applier| applier.takes(file))
    }

    /// Whether a file is one of those that a rendering was made from.
    pub fn renders(&self, file: &str) -> bool {
        self.roots.iter().any(|root| root.renders.is_ok() && root.reads.contains(file))
    }

    /// All that is rendered, each with its root.
    pub fn rendered(&self) -> impl Iterator<Item = (&Root, &Declared)> {
        self.roots.iter().flat_map(|root| root.renders.iter().flatten().map(move |declared| (root, declared)))
    }

    /// The roots that read a file.
    pub fn reading<'r>(&'r self, file: &'r str) -> impl Iterator<Item = &'r Root> {
        self.roots.iter().filter(move |root| root.reads.contains(file))
    }
}

impl Root {
    /// Whether an object that it puts into a namespace, or into none, is one of a live namespace.
    pub fn lives_in(&self, declared: Option<&str>, live: Option<&str>, home: Option<&str>) -> bool {
        let moves = |applier: &Applier| {
            live.is_some() && applier.space.as_deref() == live && (declared.is_none() || applier.moves_all)
        };
        manifest::lives_in(declared, live, home) || self.appliers.iter().any(moves)
    }

    /// An object, where it lives.
    pub fn lives(&self, id: &ObjectRef) -> ObjectRef {
        let given = self.appliers.iter().find_map(|applier| applier.gives(id.namespace.as_deref()));
        ObjectRef { namespace: given.map(ToOwned::to_owned).or_else(|| id.namespace.clone()), ..id.clone() }
    }

    fn render(folder: String, files: &Files<'_>, said: &BTreeMap<String, BTreeSet<String>>) -> Self {
        let path = layer::NAMES.iter().map(|name| layer::join(&folder, name)).find(|path| files.has(path));
        let path = path.unwrap_or_default();
        match build::build(files, &folder) {
            Ok(built) => {
                let declared = built.resources.iter().flat_map(|resource| declared(resource, files.sources));
                Self { renders: Ok(declared.collect()), reads: built.reads, folder, path, appliers: Vec::new() }
            }
            Err(refusal) => {
                let mut reads = BTreeSet::from([path.clone()]);
                closure(&folder, said, &mut reads);
                Self { renders: Err(refusal), reads, folder, path, appliers: Vec::new() }
            }
        }
    }
}

/// A rendered object as one that is declared; and the Secret that it stands for, if it does.
fn declared(resource: &Resource, sources: &Sources) -> Vec<Declared> {
    let namespace = Some(resource.namespace());
    let id = ObjectRef::new(resource.api_version(), resource.kind(), namespace, resource.name());
    let fields = ["data", "stringData", "binaryData"].into_iter().filter_map(|field| resource.tree.get(field));
    let keys = fields.flat_map(|map| map.entries().iter().map(|(key, _)| key.clone())).collect();
    let doc = &resource.tree.from.doc;
    let root = yaml::FieldPath::root();
    let beside = sources.files.get(&*doc.file).map_or(&[][..], |file| &file.objects);
    let first = resource.first_id();
    let own =
        beside.iter().find(|own| own.document == doc.index && own.id.kind == id.kind && own.id.name == first.name);
    let is_made = |made: &&Declared| own.is_some_and(|own| made.root == own.root && made.id.kind != own.id.kind);
    let made = beside
        .iter()
        .filter(|made| made.document == doc.index)
        .filter(is_made)
        .map(|made| Declared { id: ObjectRef { namespace: id.namespace.clone(), ..made.id.clone() }, ..made.clone() });
    let mut all: Vec<Declared> = made.collect();
    all.push(Declared { id, document: doc.index, root, offset: doc.offset, keys });
    all
}

/// All that a folder's kustomization names, and those that it takes.
fn closure(folder: &str, said: &BTreeMap<String, BTreeSet<String>>, reads: &mut BTreeSet<String>) {
    for path in said.get(folder).into_iter().flatten() {
        if reads.insert(path.clone()) {
            closure(path, said, reads);
        }
    }
}

/// Paths that a kustomization names, from the root of the repository: files and folders.
fn entries(layer: &Layer) -> BTreeSet<String> {
    let items = |key: &str| layer.says.get(key).map_or(&[][..], Tree::items);
    let mut paths: BTreeSet<String> = build::taken(layer).into_iter().collect();
    let mut add = |text: &str| paths.extend(layer::within(&layer.folder, text).filter(|_| !text.contains('\n')));
    for key in ["patchesStrategicMerge", "configurations", "transformers", "generators", "validators", "crds"] {
        for tree in items(key) {
            add(tree.text());
        }
    }
    for key in ["patches", "patchesJson6902", "replacements"] {
        items(key).iter().filter_map(|tree| tree.some("path")).for_each(|tree| add(tree.text()));
    }
    for generator in ["configMapGenerator", "secretGenerator"].into_iter().flat_map(items) {
        let lists = ["files", "envs"].into_iter().filter_map(|key| generator.get(key)).flat_map(Tree::items);
        for tree in lists.chain(generator.some("env")) {
            add(tree.text().split_once('=').map_or(tree.text(), |(_, path)| path));
        }
    }
    paths
}

/// An object of Flux or Argo CD that applies a folder of this repository.
#[derive(Clone, Debug, Default)]
pub(in crate::locate) struct Applier {
    /// What it is, and where it stands.
    pub id: ObjectRef,
    pub file: String,
    pub line: usize,
    pub folder: String,
    /// The namespace that objects get which say none.
    pub space: Option<String>,
    /// Whether all others get it, too.
    pub moves_all: bool,
    /// Whether it takes what lies in folders of the folder.
    pub is_deep: bool,
    /// Why what is merged is not applied, each a sentence: it is suspended, or stays at a tag.
    pub stops: Vec<String>,
    /// Kinds and JSON pointers that it leaves alone.
    pub ignores: Vec<(String, String)>,
    /// What it changes by itself, as a reader finds it: "Kustomization flux-system/apps has `patches`".
    pub changes: Option<String>,
}

impl Applier {
    /// What an object says that it applies.
    fn read(id: &ObjectRef, object: &Value) -> Vec<Self> {
        let spec = &object["spec"];
        let is_said = |value: &Value| match value {
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty(),
            Value::String(text) => !text.is_empty(),
            _ => false,
        };
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        let said = |of: &Value, keys: &[&str]| {
            let key = keys.iter().find(|key| is_said(&of[**key]))?;
            Some(format!("{id} has `{key}` of its own"))
        };
        let flux =
            ["patches", "patchesStrategicMerge", "patchesJson6902", "images", "components", "namePrefix", "nameSuffix"];
        if id.kind == "Kustomization" {
            let folder = spec["path"].as_str().and_then(|path| layer::within("", path));
            let space = text(&spec["targetNamespace"]);
            let changes = said(spec, &flux).or_else(|| said(spec, &["postBuild"]));
            let suspended = spec["suspend"] == true;
            let stops = suspended.then(|| format!("{id} is suspended")).into_iter().collect();
            let one = |folder| Self {
                folder,
                moves_all: space.is_some(),
                is_deep: true,
                space,
                changes,
                stops,
                ..Self::default()
            };
            return folder.map(one).into_iter().collect();
        }
        let sources = spec["sources"].as_array().map_or(std::slice::from_ref(&spec["source"]), Vec::as_slice);
        let argo = ["patches", "images", "components", "namePrefix", "nameSuffix", "replicas", "commonLabels"];
        let applied = sources.iter().filter_map(|source| {
            let own = &source["kustomize"];
            let space = text(&own["namespace"]);
            Some(Self {
                folder: layer::within("", source["path"].as_str()?)?,
                moves_all: space.is_some(),
                is_deep: source["directory"]["recurse"] == true,
                space: space.or_else(|| text(&spec["destination"]["namespace"])),
                changes: said(own, &argo),
                stops: pinned(id, &source["targetRevision"]).into_iter().collect(),
                ignores: ignored(spec),
                ..Self::default()
            })
        });
        applied.collect()
    }
}

/// A revision that a merge to a branch does not move: a commit, or a version.
fn pinned(id: &ObjectRef, revision: &Value) -> Option<String> {
    let revision = revision.as_str()?;
    let is_commit = revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit());
    let version = revision.trim_start_matches(['v', '^', '~', '>', '=', ' ']);
    let is_version = version.split('.').count() == 3 && version.starts_with(|c: char| c.is_ascii_digit());
    (is_commit || is_version).then(|| format!("{id} stays at {revision}, whatever is merged"))
}

/// `ignoreDifferences`, as kinds and pointers.
fn ignored(spec: &Value) -> Vec<(String, String)> {
    let rules = spec["ignoreDifferences"].as_array().map_or(&[][..], Vec::as_slice);
    let pairs = rules.iter().flat_map(|rule| {
        let kind = rule["kind"].as_str().unwrap_or_default();
        let pointers = rule["jsonPointers"].as_array().map_or(&[][..], Vec::as_slice);
        pointers.iter().filter_map(Value::as_str).map(move |pointer| (kind.to_owned(), pointer.to_owned()))
    });
    pairs.collect()
}

/// What objects of Flux and Argo CD apply of this repository.
fn appliers(sources: &Sources) -> Vec<Applier> {
    let mut all = Vec::new();
    for (path, file) in &sources.files {
        for declared in &file.objects {
            let is_flux = declared.id.kind == "Kustomization" && declared.id.group == "kustomize.toolkit.fluxcd.io";
            let is_argo = declared.id.kind == "Application" && declared.id.group == "argoproj.io";
            if !is_flux && !is_argo {
                continue;
            }
            let Ok(document) = yaml::document(&file.text, declared.offset, declared.document) else { continue };
            let Some(object) = document.value_at(&declared.root) else { continue };
            let start = document.find(&declared.root).map_or(declared.offset, |node| node.span.start);
            let (line, _) = yaml::line_column(&file.text, start);
            let read = Applier::read(&declared.id, &object).into_iter();
            all.extend(read.map(|one| Applier { id: declared.id.clone(), file: path.clone(), line, ..one }));
        }
    }
    all
}
