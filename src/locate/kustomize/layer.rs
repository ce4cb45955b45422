//! A kustomization file, read: what it says, each word with its place.

use std::fmt;
use std::sync::Arc;

use super::files::Files;
use super::tree::{Doc, From, Route, Tree};
use crate::yaml;

/// Names of a kustomization file.
pub const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Why a kustomization is not rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub file: String,
    /// From 1.
    pub line: usize,
    /// A sentence without a period.
    pub why: String,
}

/// Whether kustomize itself would render it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// It may: what the kustomization asks for is not followed here.
    Unsupported,
    /// It would not, either.
    Broken,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.why)
    }
}

impl From {
    /// The file and the line of the place; of an inline patch, as far as can be told.
    pub fn line(&self) -> (String, usize) {
        let place = self.outer();
        let (line, _) = yaml::line_column(&place.0.text, place.1);
        (place.0.file.to_string(), line)
    }

    pub(super) fn broken(&self, why: impl Into<String>) -> Refusal {
        self.refusal(RefusalKind::Broken, why)
    }

    pub(super) fn unsupported(&self, why: impl Into<String>) -> Refusal {
        self.refusal(RefusalKind::Unsupported, why)
    }

    fn refusal(&self, kind: RefusalKind, why: impl Into<String>) -> Refusal {
        let (file, line) = self.line();
        Refusal { kind, file, line, why: why.into() }
    }
}

/// A kustomization file.
pub(super) struct Layer {
    pub path: String,
    /// The folder that it is the kustomization of: empty at the root of the repository.
    pub folder: String,
    pub says: Tree,
    pub route: Option<Arc<Route>>,
}

/// What a kustomization may say. What means nothing is an error to kustomize, too.
const KEYS: [&str; 36] = [
    "apiVersion",
    "kind",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
    "inventory",
    "commonMetadata",
];

/// What is not followed, and why.
const NOT_FOLLOWED: [(&str, &str); 5] = [
    ("openapi", "a schema of its own, which decides how lists are merged, is not read"),
    ("crds", "definitions that teach name references are not read"),
    ("generators", "plugins are not run"),
    ("validators", "plugins are not run"),
    ("buildMetadata", "annotations on how it was built are not made"),
];

impl Layer {
    /// The kustomization of a folder. `None` when the folder has none.
    pub fn of(folder: &str, files: &Files<'_>, route: Option<Arc<Route>>) -> Result<Option<Self>, Refusal> {
        let mut paths: Vec<String> = NAMES.iter().map(|name| join(folder, name)).collect();
        paths.retain(|path| files.has(path));
        let Some(path) = paths.first() else { return Ok(None) };
        let broken = |line, why: String| Refusal { kind: RefusalKind::Broken, file: path.clone(), line, why };
        if paths.len() > 1 {
            return Err(broken(1, format!("{} is there, too: only one of them may be", paths[1])));
        }
        let Some(text) = files.get(path) else { return Ok(None) };
        let documents =
            yaml::documents(text).map_err(|error| broken(error.line, format!("cannot be read: {}", error.reason)))?;
        let [document] = documents.as_slice() else {
            return Err(broken(1, format!("it has {} documents, and one was expected", documents.len())));
        };
        if let Some(at) = document.duplicate_key {
            return Err(broken(yaml::line_column(text, at).0, "a key stands twice".to_owned()));
        }
        let doc = Doc {
            file: path.as_str().into(),
            index: 0,
            offset: document.span.start,
            text: text.clone(),
            inside: None,
            route: route.clone(),
        };
        let says = Tree::read(&Arc::new(doc), document).filter(|tree| !tree.entries().is_empty());
        let says = says.ok_or_else(|| broken(1, "it says nothing".to_owned()))?;
        Ok(Some(Self { path: path.clone(), folder: folder.to_owned(), says, route }))
    }

    /// Whether all that it says means something, and is followed.
    pub fn check(&self) -> Result<(), Refusal> {
        if let Some((key, value)) = self.says.entries().iter().find(|(key, _)| !KEYS.contains(&key.as_str())) {
            return Err(value.from.broken(format!("`{key}` means nothing in a kustomization")));
        }
        let kind = self.says.some("kind").map_or("Kustomization", Tree::text);
        let version = self.says.some("apiVersion").map(Tree::text);
        let wanted = match kind {
            "Kustomization" => "kustomize.config.k8s.io/v1beta1",
            "Component" => "kustomize.config.k8s.io/v1alpha1",
            _ => return Err(self.says.from.broken("its kind is neither Kustomization nor Component")),
        };
        if version.is_some_and(|version| version != wanted) {
            return Err(self.says.from.broken(format!("the apiVersion of a {kind} is {wanted}")));
        }
        for (key, why) in NOT_FOLLOWED {
            if let Some(value) =
                self.says.some(key).filter(|value| !value.items().is_empty() || !value.entries().is_empty())
            {
                return Err(value.from.unsupported(format!("`{key}` is not followed: {why}")));
            }
        }
        Ok(())
    }

    pub fn is_component(&self) -> bool {
        self.says.some("kind").is_some_and(|kind| kind.text() == "Component")
    }

    /// The items of a list.
    pub fn list(&self, key: &str) -> Result<&[Tree], Refusal> {
        list(&self.says, key)
    }

    /// A string.
    pub fn text(&self, key: &str) -> Result<Option<&Tree>, Refusal> {
        text(&self.says, key)
    }

    /// The layer of a place in this one, with what it does there.
    pub fn route(&self, at: &From, what: impl Into<String>) -> Arc<Route> {
        let line = at.line().1;
        Arc::new(Route { up: self.route.clone(), file: self.path.as_str().into(), line, what: what.into() })
    }
}

/// The items of a list, none where there is nothing.
pub(super) fn list<'t>(says: &'t Tree, key: &str) -> Result<&'t [Tree], Refusal> {
    match says.some(key) {
        Some(tree) if !matches!(tree.data, super::tree::Data::List(_)) => {
            Err(tree.from.broken(format!("`{key}` must be a list")))
        }
        Some(tree) => Ok(tree.items()),
        None => Ok(&[]),
    }
}

/// A string, unless it is empty; what YAML reads as something else is an error to kustomize, too.
pub(super) fn text<'t>(says: &'t Tree, key: &str) -> Result<Option<&'t Tree>, Refusal> {
    match says.some(key) {
        Some(tree) if typed(tree).is_none() => Err(tree.from.broken(format!("`{key}` must be a string; quote it"))),
        other => Ok(other.filter(|tree| !tree.text().is_empty())),
    }
}

/// The text of a scalar that Kubernetes reads as a string: `yes` is none.
pub(super) fn typed(tree: &Tree) -> Option<&str> {
    match &tree.data {
        super::tree::Data::Scalar(scalar)
            if scalar.style != super::tree::Style::Plain || yaml::plain_scalar(&scalar.text).is_string() =>
        {
            Some(&scalar.text)
        }
        _ => None,
    }
}

/// A map of strings.
pub(super) fn pairs<'t>(says: &'t Tree, key: &str) -> Result<Vec<(&'t str, &'t Tree)>, Refusal> {
    let entries = says.some(key).map_or(&[][..], Tree::entries);
    let pair = |(name, tree): &'t (String, Tree)| match typed(tree) {
        None if !tree.is_null() => Err(tree.from.broken(format!("`{key}.{name}` must be a string; quote it"))),
        _ => Ok((name.as_str(), tree)),
    };
    let mut all: Vec<(&str, &Tree)> = entries.iter().map(pair).collect::<Result<_, _>>()?;
    all.sort_by_key(|(name, _)| *name);
    Ok(all)
}

/// A file in a folder.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A path as a kustomization writes it, from the root of the repository; `None` when it leads out of it.
pub(in crate::locate) fn within(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Whether an entry means something on a server.
pub(super) fn is_remote(path: &str) -> bool {
    path.contains("://")
        || path.contains("?ref=")
        || path.starts_with("git@")
        || path.starts_with("git::")
        || ["github.com/", "github.com:", "gitlab.com/", "bitbucket.org/"].iter().any(|host| path.starts_with(host))
}

impl From {
    /// The document and byte in the file itself: of an inline patch, in the text that it stands in.
    pub(super) fn outer(&self) -> (&Doc, usize) {
        match &self.doc.inside {
            None => (&self.doc, self.span.start),
            Some(scalar) => {
                let inner = super::inline::outer_offset(scalar, &self.doc.text, self.span.start);
                (scalar.outer().0, inner)
            }
        }
    }
}
