//! A folder with a kustomization in, the objects that it renders out.
//!
//! The order is kustomize's: resources, generators, components, then what the layer does to all of them; hashes and
//! references to names last, once, for the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fields::Config;
use super::files::Files;
use super::layer::{self, Layer, Refusal, RefusalKind, is_remote, within};
use super::resource::Resource;
use super::transform::{self, End};
use super::tree::{Data, Doc, From, How, Route, Tree};
use super::vars::{self, Var};
use super::{generate, images, names, patch, replace};
use crate::case::Sources;
use crate::yaml;

/// Layers in layers.
const MAX_DEPTH: usize = 48;
/// Kustomizations that one rendering reads, each as often as it is taken.
const MAX_LAYERS: usize = 2_000;
/// Values of all objects of a layer together.
const MAX_NODES: usize = 500_000;
/// The same, of all layers: what one rendering costs.
const MAX_WORK: usize = 5_000_000;

/// Something that a rendering lacks: what stands on a server, or what a program would make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// A sentence without a period.
    pub what: String,
}

/// What a rendering has come to.
pub(super) struct Built {
    pub resources: Vec<Resource>,
    pub opaque: Vec<Opaque>,
    /// Every file that was read.
    pub reads: BTreeSet<String>,
}

/// What a generator came to.
pub(super) enum Made {
    Known(Resource),
    Unknown,
}

/// A rendering on its way.
pub(super) struct Builder<'s> {
    files: &'s Files<'s>,
    reads: BTreeSet<String>,
    opaque: Vec<Opaque>,
    layers: usize,
    vars: Vec<Var>,
    work: usize,
    /// What a layer starts with.
    config: Arc<Config>,
    /// Documents of a file that is read again and again are parsed once.
    parsed: BTreeMap<String, Arc<Vec<yaml::Document>>>,
}

/// Renders the kustomization of a folder.
pub(super) fn build(files: &Files<'_>, folder: &str) -> Result<Built, Refusal> {
    let mut builder = Builder {
        files,
        reads: BTreeSet::new(),
        opaque: Vec::new(),
        layers: 0,
        vars: Vec::new(),
        work: 0,
        config: Config::built_in(),
        parsed: BTreeMap::new(),
    };
    let layer = Layer::of(folder, files, None)?.ok_or_else(|| Refusal {
        kind: RefusalKind::Broken,
        file: folder.to_owned(),
        line: 1,
        why: "there is no kustomization in this folder".to_owned(),
    })?;
    let start = (Vec::new(), builder.config.clone());
    let (mut resources, config) = builder.layer(&layer, &[], start)?;
    for resource in resources.iter_mut().filter(|resource| resource.is_hashed) {
        let hash = generate::hash(&resource.tree);
        resource.remember();
        let name = format!("{}-{hash}", resource.name());
        let place = resource.tree.at(&["metadata", "name"]).unwrap_or(&resource.tree);
        let from = place.from.clone().made("the hash of what it says was added to it");
        resource.set_meta("name", &name, from);
    }
    names::fix(&mut resources, &config)?;
    vars::resolve(&mut resources, &builder.vars, &config.var_reference, builder.is_partial())?;
    resources.retain(|resource| !is_local(resource));
    for resource in &mut resources {
        super::resource::tidy(&mut resource.tree, "annotations");
    }
    Ok(Built { resources, opaque: builder.opaque, reads: builder.reads })
}

/// Objects that say that they are for programs only.
fn is_local(resource: &Resource) -> bool {
    let note = resource.tree.at(&["metadata", "annotations", "config.kubernetes.io/local-config"]);
    note.is_some_and(|note| note.text() != "false")
}

/// The objects of a document: a List stands for its items.
pub(super) fn objects_of(tree: Tree, all: &mut Vec<Resource>) -> Result<(), Refusal> {
    let kind = tree.some("kind").map_or("", Tree::text).to_owned();
    if kind.is_empty() {
        return Err(tree.from.broken("it has no `kind`"));
    }
    if kind.ends_with("List")
        && let Some(items) = tree.get("items")
    {
        let items = items.items().to_vec();
        return items.into_iter().filter(|item| !item.is_null()).try_for_each(|item| objects_of(item, all));
    }
    if tree.at(&["metadata", "name"]).is_none_or(|name| name.is_null() || name.text().is_empty()) {
        return Err(tree.from.broken(format!("the {kind} has no `metadata.name`")));
    }
    all.push(Resource::new(tree));
    Ok(())
}

/// The objects so far, and what layers write to.
type Ground = (Vec<Resource>, Arc<Config>);

impl Builder<'_> {
    /// Whether something is missing that could not be read.
    pub fn is_partial(&self) -> bool {
        !self.opaque.is_empty()
    }

    fn lacks(&mut self, at: &From, what: String) {
        let (file, line) = at.line();
        self.opaque.push(Opaque { file, line, what });
    }

    /// A layer on what is there already: nothing, or the objects of the layer whose component it is.
    fn layer(&mut self, layer: &Layer, above: &[String], ground: Ground) -> Result<Ground, Refusal> {
        self.layers += 1;
        if self.layers > MAX_LAYERS || above.len() > MAX_DEPTH {
            return Err(layer.says.from.unsupported("there are more layers than are followed"));
        }
        layer.check()?;
        self.reads.insert(layer.path.clone());
        let mut above = above.to_vec();
        above.push(layer.folder.clone());
        let (mut all, mut config) = ground;
        for key in ["resources", "bases"] {
            for entry in layer.list(key)? {
                self.take(layer, entry, &above, &mut all, &mut config)?;
            }
        }
        self.configure(layer, &mut config)?;
        for key in ["helmCharts", "helmChartInflationGenerator"] {
            for chart in layer.list(key)? {
                let name = chart.some("name").or(chart.some("chartName")).map_or("", Tree::text);
                self.lacks(&chart.from, format!("the chart {name} is not inflated"));
            }
        }
        generate::run(self, layer, &mut all)?;
        for entry in layer.list("components")? {
            (all, config) = self.component(layer, entry, &above, (all, config))?;
        }
        self.transform(layer, &mut all, &config)?;
        vars::take(layer, &mut all, &mut self.vars)?;
        let nodes: usize = all.iter().map(|resource| resource.tree.size()).sum();
        self.work += nodes;
        if nodes > MAX_NODES || self.work > MAX_WORK {
            return Err(layer.says.from.unsupported("it renders more than is followed"));
        }
        Ok((all, config))
    }

    /// An entry of `resources`: a file, or a folder with a kustomization.
    fn take(
        &mut self,
        layer: &Layer,
        entry: &Tree,
        above: &[String],
        all: &mut Vec<Resource>,
        config: &mut Arc<Config>,
    ) -> Result<(), Refusal> {
        let said = entry.text();
        if is_remote(said) {
            self.lacks(&entry.from, format!("{said} stands on another server"));
            return Ok(());
        }
        let path = inside(layer, entry.text(), entry)?;
        if self.files.has(&path) {
            let route = layer.route(&entry.from, format!("takes {said}"));
            for tree in self.documents_at(&path, &entry.from, &route)? {
                if tree.is_null() || tree.is_empty_map() {
                    continue;
                }
                objects_of(tree, all)?;
            }
            return patch::no_two(all, &entry.from);
        }
        let base = self.folder(layer, entry, &path, above)?;
        if base.is_component() {
            return Err(entry.from.broken(format!("{said} is a component, and is listed as a resource")));
        }
        let (more, used) = self.layer(&base, above, (Vec::new(), self.config.clone()))?;
        all.extend(more);
        merge_config(config, &used, &entry.from)?;
        patch::no_two(all, &entry.from)
    }

    /// A component works on what the layer has so far.
    fn component(&mut self, layer: &Layer, entry: &Tree, above: &[String], ground: Ground) -> Result<Ground, Refusal> {
        if is_remote(entry.text()) {
            let why = format!("the component {} stands on another server", entry.text());
            return Err(entry.from.unsupported(why));
        }
        let path = inside(layer, entry.text(), entry)?;
        let component = self.folder(layer, entry, &path, above)?;
        if !component.is_component() {
            return Err(entry.from.broken(format!("{} is no component", entry.text())));
        }
        self.layer(&component, above, ground)
    }

    /// The kustomization of a folder that an entry means.
    fn folder(&self, layer: &Layer, entry: &Tree, path: &str, above: &[String]) -> Result<Layer, Refusal> {
        let contains =
            |visited: &String| path.is_empty() || visited == path || visited.starts_with(&format!("{path}/"));
        if let Some(visited) = above.iter().find(|visited| contains(visited)) {
            let visited = if visited.is_empty() { "the root" } else { visited };
            return Err(entry.from.broken(format!("a circle: {} contains {visited}", entry.text())));
        }
        let route = layer.route(&entry.from, format!("takes {}", entry.text()));
        Layer::of(path, self.files, Some(route))?.ok_or_else(|| self.missing(entry, path))
    }

    /// Why a file or a folder is not there.
    fn missing(&self, entry: &Tree, path: &str) -> Refusal {
        let skipped = self.files.skipped(path);
        match skipped {
            Some(why) => entry.from.unsupported(format!("{path} was not read: {why}")),
            None => entry.from.broken(format!("there is no {path}")),
        }
    }

    /// The documents of a file that a place of a layer names.
    pub fn documents(&mut self, layer: &Layer, entry: &Tree, route: &Arc<Route>) -> Result<Vec<Tree>, Refusal> {
        if is_remote(entry.text()) {
            return Err(entry.from.unsupported(format!("{} stands on another server", entry.text())));
        }
        let path = inside(layer, entry.text(), entry)?;
        self.documents_at(&path, &entry.from, route)
    }

    fn documents_at(&mut self, path: &str, at: &From, route: &Arc<Route>) -> Result<Vec<Tree>, Refusal> {
        let Some(file) = self.files.get(path) else {
            let entry = Tree::map(at.clone());
            return Err(self.missing(&entry, path));
        };
        self.reads.insert(path.to_owned());
        let broken = |line: usize, why: String| Refusal { kind: RefusalKind::Broken, file: path.to_owned(), line, why };
        let documents = if let Some(documents) = self.parsed.get(path) {
            documents.clone()
        } else {
            let documents = yaml::documents(file)
                .map_err(|error| broken(error.line, format!("cannot be read: {}", error.reason)))?;
            let documents = Arc::new(documents);
            self.parsed.insert(path.to_owned(), documents.clone());
            documents
        };
        let name: Arc<str> = path.into();
        let mut trees = Vec::new();
        for document in documents.iter() {
            if let Some(at) = document.duplicate_key {
                return Err(broken(yaml::line_column(file, at).0, "a key stands twice".to_owned()));
            }
            if let Some(at) = Tree::odd_key(document) {
                return Err(broken(yaml::line_column(file, at).0, "a key is no string; quote it".to_owned()));
            }
            let doc = Doc {
                file: name.clone(),
                index: document.index,
                offset: document.span.start,
                text: file.clone(),
                inside: None,
                route: Some(route.clone()),
            };
            trees.extend(Tree::read(&Arc::new(doc), document));
        }
        Ok(trees)
    }

    /// The text of any file, for a generator; `None` where it was not read, which is noted.
    pub fn text(&mut self, layer: &Layer, path: &str, entry: &Tree) -> Result<Option<(Arc<str>, From)>, Refusal> {
        if is_remote(path) {
            self.lacks(&entry.from, format!("{path} stands on another server"));
            return Ok(None);
        }
        let path = inside(layer, path, entry)?;
        let Some(file) = self.files.get(&path) else {
            let missing = self.missing(entry, &path);
            if missing.kind == RefusalKind::Broken {
                return Err(missing);
            }
            self.lacks(&entry.from, missing.why);
            return Ok(None);
        };
        self.reads.insert(path.clone());
        let route = layer.route(&entry.from, format!("makes it from {}", entry.text()));
        let doc = Doc { file: path.into(), index: 0, offset: 0, text: file.clone(), inside: None, route: Some(route) };
        let from = From { doc: Arc::new(doc), span: 0..file.len(), how: How::File };
        Ok(Some((file.clone(), from)))
    }

    /// `configurations`: more fields that layers write to.
    fn configure(&mut self, layer: &Layer, config: &mut Arc<Config>) -> Result<(), Refusal> {
        for entry in layer.list("configurations")? {
            let route = layer.route(&entry.from, format!("is configured by {}", entry.text()));
            for tree in self.documents(layer, entry, &route)? {
                merge_config(config, &Arc::new(Config::read(&tree)), &entry.from)?;
            }
        }
        Ok(())
    }

    /// What the layer does to all its objects.
    fn transform(&mut self, layer: &Layer, all: &mut Vec<Resource>, config: &Config) -> Result<(), Refusal> {
        patch::strategic(self, layer, all)?;
        patch::patches(self, layer, all)?;
        if let Some(name) = layer.text("namespace")? {
            transform::namespace(all, name, &config.namespace)?;
        }
        if let Some(prefix) = layer.text("namePrefix")? {
            transform::affix(all, prefix, End::Prefix, &config.name_prefix)?;
        }
        if let Some(suffix) = layer.text("nameSuffix")? {
            transform::affix(all, suffix, End::Suffix, &config.name_suffix)?;
        }
        transform::labels(all, layer, config)?;
        transform::annotations(all, layer, config)?;
        patch::operations(self, layer, all)?;
        transform::replicas(all, layer, config, self.is_partial())?;
        images::images(all, layer, config)?;
        replace::replacements(self, layer, all)?;
        self.transformers(layer, all)
    }

    /// `transformers`: of those that kustomize has built in, the ones for labels and annotations.
    fn transformers(&mut self, layer: &Layer, all: &mut [Resource]) -> Result<(), Refusal> {
        for entry in layer.list("transformers")? {
            let trees = if entry.text().contains('\n') {
                patch::inline_docs(layer, entry)?
            } else {
                let path = inside(layer, entry.text(), entry)?;
                if !self.files.has(&path) {
                    return Err(entry.from.unsupported("a folder of transformers is not followed"));
                }
                let route = layer.route(&entry.from, format!("is transformed by {}", entry.text()));
                self.documents(layer, entry, &route)?
            };
            for tree in trees.iter().filter(|tree| matches!(tree.data, Data::Map(_))) {
                let kind = tree.some("kind").map_or("", Tree::text);
                let field = match (tree.some("apiVersion").map_or("", Tree::text), kind) {
                    ("builtin", "LabelTransformer") => "labels",
                    ("builtin", "AnnotationsTransformer") => "annotations",
                    _ => return Err(tree.from.unsupported(format!("the transformer {kind} is not run"))),
                };
                let specs: Vec<_> = layer::list(tree, "fieldSpecs")?.iter().map(super::fields::Spec::read).collect();
                transform::set_pairs(all, &layer::pairs(tree, field)?, &specs)?;
            }
        }
        Ok(())
    }
}

/// The path that an entry means, from the root of the repository.
fn inside(layer: &Layer, path: &str, entry: &Tree) -> Result<String, Refusal> {
    if layer::typed(entry).is_none_or(str::is_empty) {
        return Err(entry.from.broken("a path was expected"));
    }
    let leads_out = || entry.from.unsupported(format!("{path} leads out of the repository"));
    if path.starts_with('/') { Err(leads_out()) } else { within(&layer.folder, path).ok_or_else(leads_out) }
}

fn merge_config(config: &mut Arc<Config>, more: &Arc<Config>, at: &From) -> Result<(), Refusal> {
    if Arc::ptr_eq(config, more) || **config == **more {
        return Ok(());
    }
    Arc::make_mut(config).merge(more).map_err(|why| at.broken(why))
}

/// Every folder with a kustomization.
pub(super) fn folders(sources: &Sources) -> Vec<String> {
    let folder = |path: &String| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        layer::NAMES.contains(&name).then(|| folder.to_owned())
    };
    let mut all: Vec<String> = sources.files.keys().filter_map(folder).collect();
    all.dedup();
    all
}

/// The folders and files that a kustomization takes objects from, from the root of the repository.
pub(super) fn taken(layer: &Layer) -> Vec<String> {
    let lists = ["resources", "bases", "components"].into_iter();
    let entries = lists.flat_map(|key| layer.says.get(key).map_or(&[][..], Tree::items));
    entries.filter(|entry| !is_remote(entry.text())).filter_map(|entry| within(&layer.folder, entry.text())).collect()
}
