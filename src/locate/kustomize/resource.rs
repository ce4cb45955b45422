//! An object on its way through the layers: what it is called now, what it was called before, and what selects it.

use regex::Regex;

use super::kinds;
use super::tree::{Data, Scalar, Tree};
use crate::case::LabelSelector;

/// What identifies an object to kustomize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub name: String,
    /// As it is written; what it means is [`Id::space`].
    pub namespace: String,
}

/// The namespace of objects that belong to none.
const NO_NAMESPACE: &str = "_non_namespaceable_";

impl Id {
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub fn is_of_cluster(&self) -> bool {
        kinds::is_of_cluster(&self.api_version(), &self.kind)
    }

    /// The namespace that counts: `default` where none is written.
    pub fn space(&self) -> &str {
        if self.is_of_cluster() {
            NO_NAMESPACE
        } else if self.namespace.is_empty() {
            "default"
        } else {
            &self.namespace
        }
    }

    /// Whether two mean the same object.
    pub fn is(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.name == other.name
            && self.group == other.group
            && self.version == other.version
            && self.space() == other.space()
    }

    /// Whether it is of a kind; what the kind leaves empty may be anything.
    pub fn is_kind(&self, group: &str, version: &str, kind: &str) -> bool {
        let fits = |wanted: &str, own: &str| wanted.is_empty() || wanted == own;
        fits(group, &self.group) && fits(version, &self.version) && fits(kind, &self.kind)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let space = if self.namespace.is_empty() { String::new() } else { format!("{}/", self.namespace) };
        write!(f, "{} {space}{}", self.kind, self.name)
    }
}

/// What a generated object does to one that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behavior {
    Create,
    Replace,
    Merge,
}

/// An object that is being made.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub tree: Tree,
    /// What it was called before each change of its name, namespace or kind.
    pub previous: Vec<Id>,
    pub prefixes: Vec<String>,
    pub suffixes: Vec<String>,
    /// Whether its name gets the hash of what it says.
    pub is_hashed: bool,
    pub behavior: Behavior,
    /// Whether a generator made it.
    pub is_generated: bool,
    /// The last number that was given to a scalar in several places: see [`Tree::shared`].
    pub last_shared: u32,
    /// Variables whose value this object says.
    pub vars: Vec<String>,
}

impl Resource {
    pub fn new(tree: Tree) -> Self {
        Self {
            tree,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            is_hashed: false,
            behavior: Behavior::Create,
            is_generated: false,
            last_shared: 0,
            vars: Vec::new(),
        }
    }

    fn said(&self, keys: &[&str]) -> &str {
        self.tree.at(keys).filter(|tree| !tree.is_null()).map_or("", Tree::text)
    }

    pub fn kind(&self) -> &str {
        self.said(&["kind"])
    }

    pub fn api_version(&self) -> &str {
        self.said(&["apiVersion"])
    }

    pub fn name(&self) -> &str {
        self.said(&["metadata", "name"])
    }

    pub fn namespace(&self) -> &str {
        self.said(&["metadata", "namespace"])
    }

    /// What it is called now.
    pub fn id(&self) -> Id {
        let (group, version) = self.api_version().split_once('/').unwrap_or(("", self.api_version()));
        Id {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: self.kind().to_owned(),
            name: self.name().to_owned(),
            namespace: self.namespace().to_owned(),
        }
    }

    /// What it was called at first.
    pub fn first_id(&self) -> Id {
        self.previous.first().cloned().unwrap_or_else(|| self.id())
    }

    /// Everything that it is or was called.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        self.previous.iter().cloned().chain([self.id()])
    }

    /// Notes what it is called, before that changes.
    pub fn remember(&mut self) {
        let id = self.id();
        let namespace = id.space().to_owned();
        self.previous.push(Id { namespace, ..id });
    }

    /// Whether kustomize has notes of its own in the annotations, which then exist.
    pub fn has_notes(&self) -> bool {
        !self.previous.is_empty() || self.is_generated || !self.prefixes.is_empty() || !self.suffixes.is_empty()
    }

    /// A value in the metadata, set as kustomize sets names: how it is read stays.
    pub fn set_meta(&mut self, key: &str, text: &str, from: super::tree::From) {
        let Some(meta) = self.tree.get_mut("metadata") else { return };
        match meta.get_mut(key) {
            Some(tree) => tree.rewrite(text.to_owned(), from),
            None => meta.put(key, Tree::scalar(Scalar::plain(text), from)),
        }
    }
}

/// Makes strings of all values of a map in the metadata, and drops the map when it is empty, as kustomize does whenever it
/// touches it.
pub(super) fn tidy(object: &mut Tree, field: &str) {
    let Some(meta) = object.get_mut("metadata") else { return };
    let Some(map) = meta.get_mut(field) else { return };
    match &mut map.data {
        Data::Map(entries) if !entries.is_empty() => {
            for (_, tree) in entries {
                let text = tree.text().to_owned();
                tree.data = Data::Scalar(Scalar::string(text));
            }
        }
        _ => {
            meta.remove(field);
        }
    }
}

/// What selects objects: every part that is given must fit.
#[derive(Clone, Debug)]
pub(super) struct Selector {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    labels: LabelSelector,
    annotations: LabelSelector,
}

impl Selector {
    /// Reads a selector; an error names the part that cannot be read.
    pub fn read(says: &Tree) -> Result<Self, String> {
        let pattern = |key: &str| -> Result<Option<Regex>, String> {
            let Some(text) = says.some(key).map(Tree::text).filter(|text| !text.is_empty()) else { return Ok(None) };
            let anchored = format!("^(?:{text})$");
            Regex::new(&anchored).map(Some).map_err(|_| format!("`{key}: {text}` is no regular expression"))
        };
        let requirements =
            |key: &str| says.some(key).map_or(Ok(LabelSelector::default()), |tree| LabelSelector::read(tree.text()));
        Ok(Self {
            group: pattern("group")?,
            version: pattern("version")?,
            kind: pattern("kind")?,
            name: pattern("name")?,
            namespace: pattern("namespace")?,
            labels: requirements("labelSelector")?,
            annotations: requirements("annotationSelector")?,
        })
    }

    fn fits(pattern: Option<&Regex>, text: &str) -> bool {
        pattern.is_none_or(|pattern| pattern.is_match(text))
    }

    fn is_kind(&self, id: &Id) -> bool {
        Self::fits(self.group.as_ref(), &id.group)
            && Self::fits(self.version.as_ref(), &id.version)
            && Self::fits(self.kind.as_ref(), &id.kind)
    }

    /// Whether an object fits as the target of a patch: by what it is called, or was called at first.
    pub fn selects(&self, resource: &Resource) -> bool {
        let (now, first) = (resource.id(), resource.first_id());
        let either = |fits: &dyn Fn(&Id) -> bool| fits(&first) || fits(&now);
        either(&|id| Self::fits(self.namespace.as_ref(), id.space()))
            && either(&|id| Self::fits(self.name.as_ref(), &id.name))
            && self.is_kind(&now)
            && self.selects_labels(resource)
    }

    /// Whether an object fits as the target of a replacement: one of its names, whole.
    pub fn selects_id(&self, id: &Id) -> bool {
        self.is_kind(id)
            && Self::fits(self.name.as_ref(), &id.name)
            && Self::fits(self.namespace.as_ref(), &id.namespace)
    }

    /// Whether the labels and annotations fit.
    pub fn selects_labels(&self, resource: &Resource) -> bool {
        let meta = |field| resource.tree.at(&["metadata", field]);
        let (labels, annotations) = (meta("labels"), meta("annotations"));
        self.labels.selects(|key| labels?.get(key).map(Tree::text))
            && self.annotations.selects(|key| annotations?.get(key).map(Tree::text))
    }

    /// Whether it says anything of what an object is called.
    pub fn has_id(&self) -> bool {
        [&self.group, &self.version, &self.kind, &self.name, &self.namespace].into_iter().any(Option::is_some)
    }

    /// Whether it says anything of labels or annotations.
    pub fn has_labels(&self) -> bool {
        !self.labels.is_empty() || !self.annotations.is_empty()
    }
}
