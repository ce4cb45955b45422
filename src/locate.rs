//! A field in, the line of Git that sets it out: one place or none.

mod helm;
pub mod kustomize;
mod manifest;
mod sync;
pub mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::case::{Change, Declared, Declined, Gap, ObjectRef, SourceFile, SourceLocation, Sources};
use crate::yaml;

/// The files of a repository in, its objects by place out.
pub fn index(name: &str, commit: Option<String>, files: BTreeMap<String, Arc<str>>, skipped: Vec<Gap>) -> Sources {
    let files =
        files.into_iter().map(|(path, text)| (read(&path, text), path)).map(|(file, path)| (path, file)).collect();
    Sources { name: name.to_owned(), commit, files, skipped, ..Sources::default() }
}

fn read(path: &str, text: Arc<str>) -> SourceFile {
    if !is_yaml(path) {
        return SourceFile { text, objects: Vec::new(), broken: None };
    }
    match yaml::outline(&text) {
        Ok(outlines) => SourceFile { objects: outlines.into_iter().flat_map(declared).collect(), text, broken: None },
        Err(error) => SourceFile { text, objects: Vec::new(), broken: Some(error.to_string()) },
    }
}

/// Whether a file is read as YAML. What else is there is what generators take, and no manifest.
fn is_yaml(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    name == "Kustomization" || ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// An ExternalSecret also stands for the Secret that it makes: its name and keys are what a workload refers to.
fn declared(outline: yaml::Outline) -> Vec<Declared> {
    let id = ObjectRef::new(&outline.api_version, &outline.kind, outline.namespace.as_deref(), &outline.name);
    let own =
        Declared { id, document: outline.document, root: outline.root, offset: outline.offset, keys: outline.keys };
    let makes_secret = match own.id.kind.as_str() {
        "ExternalSecret" => outline.generated_name.as_deref().or(Some(own.id.name.as_str())),
        "SealedSecret" => Some(own.id.name.as_str()),
        _ => None,
    };
    let made = makes_secret
        .map(|name| Declared { id: ObjectRef::new("v1", "Secret", own.id.namespace.as_deref(), name), ..own.clone() });
    [Some(own), made].into_iter().flatten().collect()
}

/// The place of every change, in the same order.
///
/// `home` is the namespace that policy speaks of when it names exactly one: where an object that says no namespace
/// lives. Elsewhere such an object is one of `default`.
///
/// What a kustomization renders is asked first: of a rendered value it is known which file wrote it. Then plain
/// manifests, without the files that kustomizations take: those are not applied as they stand.
pub fn locate_all(changes: &[Change], sources: &Sources, home: Option<&str>) -> Result<Vec<SourceLocation>, Declined> {
    let mut search = kustomize::Search::new(changes, sources, home);
    changes.iter().map(|change| locate(change, &mut search, sources, home)).collect()
}

fn locate(
    change: &Change,
    search: &mut kustomize::Search<'_>,
    sources: &Sources,
    home: Option<&str>,
) -> Result<SourceLocation, Declined> {
    if sync::is_of_kustomization(change) {
        return sync::locate_entry(change, sources);
    }
    let roots = search.roots();
    let plain = manifest::locate(change, sources, home, &|file| !roots.takes(file));
    match (search.locate(change), plain) {
        (None, Err(Declined::NotInGit { object, detail })) => {
            let otherwise = search.why_not(&object).unwrap_or(Declined::NotInGit { object, detail });
            helm::locate(change, sources, home).map_or(Err(otherwise), |found| found.and_then(a_persons))
        }
        (None, plain) => plain,
        (Some(rendered), Err(Declined::NotInGit { .. })) => rendered,
        (Some(rendered), plain) => {
            let place = |found: Result<SourceLocation, Declined>| match found {
                Ok(place) => vec![place],
                Err(Declined::Ambiguous { places, .. }) => places,
                Err(Declined::Blocked { location, .. }) => location.map(|place| *place).into_iter().collect(),
                Err(_) => Vec::new(),
            };
            let places = [rendered, plain].into_iter().flat_map(place).collect();
            Err(Declined::Ambiguous { what: format!("`{}` of {}", change.path, change.object), places })
        }
    }
}

pub use sync::blamed;

/// A line of values is named, and not edited: what was rendered here was not yet compared with Helm itself.
fn a_persons(place: SourceLocation) -> Result<SourceLocation, Declined> {
    let why = "a chart renders it from this line, as far as rendering the chart here tells; \
               an edit of values is proposed once that is compared with Helm itself";
    Err(Declined::Blocked { location: Some(Box::new(place)), why: why.to_owned() })
}

/// The edit of a document that makes a change true, at its place.
pub fn edit_at(change: &Change, location: &SourceLocation) -> yaml::Edit {
    kustomize::edit(location.operation(change), &location.path, location.value.is_some())
}

/// Kinds that belong to no namespace, and that a diagnosis may need all the same.
const OF_THE_CLUSTER: [&str; 4] = ["StorageClass", "PriorityClass", "RuntimeClass", "IngressClass"];

/// What the repository declares in a namespace: names and keys that a diagnosis may need. Of files that kustomizations
/// take, what those render.
pub fn declared_in(sources: &Sources, namespaces: &[&str], home: Option<&str>) -> Vec<Declared> {
    let of_cluster = |declared: &Declared| OF_THE_CLUSTER.contains(&declared.id.kind.as_str());
    let is_here = |declared: &Declared| {
        let own = declared.id.namespace.as_deref();
        of_cluster(declared) || namespaces.iter().any(|ns| manifest::lives_in(own, Some(ns), home))
    };
    let roots = kustomize::Roots::of(sources);
    let plain = sources.files.iter().filter(|(path, _)| !roots.renders(path)).flat_map(|(_, file)| &file.objects);
    let mut all: Vec<Declared> = plain.filter(|declared| is_here(declared)).cloned().collect();
    let of_root = |root: &kustomize::Root, declared: &Declared| {
        let own = declared.id.namespace.as_deref();
        of_cluster(declared) || namespaces.iter().any(|ns| root.lives_in(own, Some(ns), home))
    };
    all.extend(
        roots.rendered().filter(|(root, declared)| of_root(root, declared)).map(|(_, declared)| declared.clone()),
    );
    all
}
