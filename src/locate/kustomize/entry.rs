//! A kustomization that names what is not there in, the place of the name and what was meant out.

use serde_json::Value;

use super::build;
use super::files::Files;
use super::layer::{Layer, within};
use crate::case::{Blamed, Change, Link, ObjectRef, Operation, SourceLocation, Sources};
use crate::yaml::{self, Data, FieldPath, Node};

/// The API group of kustomization files, which are no objects of a cluster.
pub(in crate::locate) const GROUP: &str = "kustomize.config.k8s.io";

/// Fields of a kustomization that name files or folders.
const NAMING: [&str; 8] = [
    "resources[*]",
    "bases[*]",
    "components[*]",
    "patches[*].path",
    "patchesStrategicMerge[*]",
    "patchesJson6902[*].path",
    "replacements[*].path",
    "configurations[*]",
];

/// Where a kustomization names a file or a folder that is not there; and what was meant, where one file is one edit away.
pub(in crate::locate) fn entry(sources: &Sources, file: &str, missing: &str) -> Option<Blamed> {
    let text = &sources.files.get(file)?.text;
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let document = yaml::document(text, 0, 0).ok()?;
    let mut found = Vec::new();
    names(document.root.as_ref()?, FieldPath::root(), &mut |path, node, said| {
        if within(folder, said).as_deref() == Some(missing) && NAMING.iter().any(|pattern| path.matches(pattern)) {
            found.push((path, node.span.clone(), said.to_owned()));
        }
    });
    // Named twice, one edit does not mend it.
    let [(path, span, said)] = found.as_slice() else { return None };
    let place = place(text, file, path, span.clone(), said);
    let (right, others) = meant(sources, file, missing);
    let what = match (&right, others.as_slice()) {
        (None, []) => format!("it names {said}, and there is no such file"),
        (None, several) => format!("it names {said}, and there is no such file, but {}", several.join(" and ")),
        (Some(right), _) => format!("it names {said}, and there is no such file, but {right}"),
    };
    let cure = right.map(|right| {
        let to = match said.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{right}"),
            None => right,
        };
        let object = ObjectRef {
            group: GROUP.to_owned(),
            kind: "Kustomization".to_owned(),
            namespace: None,
            name: file.to_owned(),
        };
        let operation = Operation::Set { from: Value::from(said.as_str()), to: Value::from(to) };
        Change { object, path: path.clone(), operation }
    });
    Some(Blamed { place, what, cure })
}

/// Goes through all texts of a kustomization.
fn names(node: &Node, path: FieldPath, see: &mut dyn FnMut(FieldPath, &Node, &str)) {
    match &node.data {
        Data::Map(entries, _) => {
            for entry in entries {
                if let Some(key) = entry.key.as_str() {
                    names(&entry.value, path.clone().key(key), see);
                }
            }
        }
        Data::List(items, _) => {
            for (at, item) in items.iter().enumerate() {
                names(item, path.clone().index(at), see);
            }
        }
        _ => {
            if let Some(text) = node.as_str() {
                see(path, node, text);
            }
        }
    }
}

/// The name of the one file beside the missing one that is one edit away; and all of them, where there are several.
fn meant(sources: &Sources, file: &str, missing: &str) -> (Option<String>, Vec<String>) {
    let (folder, name) = missing.rsplit_once('/').map_or(("", missing), |(folder, name)| (folder, name));
    let files = Files::of(sources);
    let own = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let taken = Layer::of(own, &files, None).ok().flatten().map(|layer| build::taken(&layer)).unwrap_or_default();
    let beside = sources.files.keys().filter(|path| *path != file && !taken.contains(path)).filter_map(|path| {
        let (there, other) = path.rsplit_once('/').map_or(("", path.as_str()), |(there, other)| (there, other));
        (there == folder).then_some(other)
    });
    let near: Vec<String> =
        beside.filter(|other| strsim::damerau_levenshtein(name, other) == 1).map(ToOwned::to_owned).collect();
    match near.as_slice() {
        [one] => (Some(one.clone()), Vec::new()),
        _ => (None, near),
    }
}

fn place(text: &str, file: &str, path: &FieldPath, span: std::ops::Range<usize>, said: &str) -> SourceLocation {
    let (line, column) = yaml::line_column(text, span.start);
    SourceLocation {
        file: file.to_owned(),
        document: 0,
        path: path.clone(),
        span,
        line,
        column,
        value: Some(Value::from(said)),
        chain: vec![Link { file: file.to_owned(), line, what: format!("names {said}") }],
        writes: None,
        rendered: Vec::new(),
        also: Vec::new(),
    }
}

/// The place of a name in a kustomization, shown to mend it: the kustomization is rendered with the other name, and was
/// not before.
pub(in crate::locate) fn corrected(
    sources: &Sources,
    file: &str,
    path: &FieldPath,
    to: &str,
) -> Result<SourceLocation, String> {
    let text = &sources.files.get(file).ok_or_else(|| format!("there is no {file}"))?.text;
    let document = yaml::document(text, 0, 0).map_err(|error| error.to_string())?;
    let node = document.find(path).ok_or_else(|| format!("{file} has nothing at `{path}`"))?;
    let said = node.as_str().ok_or_else(|| format!("`{path}` of {file} is no name"))?;
    let mut place = place(text, file, path, node.span.clone(), said);
    let edit = yaml::Edit { path: path.clone(), action: yaml::Action::Set(Value::from(to)) };
    let new = yaml::edit(text, 0, &[edit]).map_err(|refused| refused.to_string())?;
    let files = Files::of(sources).with(file, &new);
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    build::build(&files, folder).map_err(|refusal| format!("it would not be rendered with {to}, either: {refusal}"))?;
    place.rendered = vec![file.to_owned()];
    Ok(place)
}
