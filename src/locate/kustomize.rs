//! A kustomization in, the objects that it renders out; and of every value of every object, the place that wrote it last.
//!
//! Native: nothing is started and nothing is read but the files in memory. It renders as kustomize 5.8 does, which a test
//! shows by comparing both; what it does not follow it names, and never guesses.

mod build;
mod fields;
mod generate;
mod images;
mod inline;
mod json6902;
mod kinds;
mod layer;
mod merge;
mod names;
mod patch;
mod replace;
mod resource;
mod transform;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

pub use self::build::Opaque;
pub use self::layer::{Refusal, RefusalKind};
use crate::case::{ObjectRef, Sources};
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
    let built = build::build(sources, folder)?;
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
