//! A workload's pod template, with the path of every part in the coordinates of the live object.

use serde_json::Value;

use crate::case::{Change, ObjectRef, Operation, Snapshot};
use crate::yaml::FieldPath;

/// The pod template of a workload as it is now.
#[derive(Clone, Debug)]
pub struct Template {
    pub workload: ObjectRef,
    /// `spec.template`, `spec.jobTemplate.spec.template`, or the root for a bare Pod.
    pub root: FieldPath,
    pub value: Value,
}

/// A part of a template and where it stands.
#[derive(Clone, Debug)]
pub struct Part<'t> {
    pub path: FieldPath,
    pub value: &'t Value,
}

impl Template {
    /// Of a workload of the snapshot; `None` for kinds that KubeCure does not know.
    pub fn of(snapshot: &Snapshot, workload: &ObjectRef) -> Option<Self> {
        let root = workload.template_path()?;
        let value = if workload.kind == "Pod" {
            snapshot.pods_of(workload).next()?.template.value()
        } else {
            snapshot.workload(workload)?.pod_template()
        };
        value.is_object().then(|| Self { workload: workload.clone(), root, value })
    }

    /// `spec` of the template.
    pub fn spec(&self) -> Option<Part<'_>> {
        Some(Part { path: self.root.clone().key("spec"), value: self.value.get("spec")? })
    }

    /// Labels that its pods get.
    pub fn labels(&self) -> std::collections::BTreeMap<String, String> {
        crate::case::string_map(self.value.pointer("/metadata/labels").unwrap_or(&Value::Null))
    }

    /// A container by its name, init containers included.
    pub fn container(&self, name: &str) -> Option<Part<'_>> {
        self.containers().into_iter().find(|c| c.name() == name)
    }

    /// All containers, init containers first.
    pub fn containers(&self) -> Vec<Part<'_>> {
        let Some(spec) = self.spec() else { return Vec::new() };
        ["initContainers", "containers"].iter().flat_map(|list| spec.items(list)).collect()
    }

    /// The path of a field of this template, given its path inside of the template.
    pub fn path(&self, inner: &FieldPath) -> FieldPath {
        self.root.clone().join(inner)
    }

    /// Whether a path inside of the template lies at or under one of these fields of a container.
    pub fn is_in(&self, inner: &FieldPath, container: &Part<'_>, fields: &[&str]) -> bool {
        let path = self.path(inner);
        fields.iter().any(|field| path.starts_with(&container.path.clone().key(field)))
    }
}

impl<'t> Part<'t> {
    /// A field below, by a path of keys: `resources.limits.memory`.
    pub fn get(&self, keys: &str) -> Option<Part<'t>> {
        let keys: Vec<&str> = keys.split('.').collect();
        let inner = FieldPath::keys(&keys);
        let value = inner.get(self.value)?;
        (!value.is_null()).then(|| Part { path: self.path.clone().join(&inner), value })
    }

    /// A field below whose key may hold dots: a label, a resource name.
    pub fn key(&self, key: &str) -> Option<Part<'t>> {
        let value = self.value.get(key)?;
        Some(Part { path: self.path.clone().key(key), value })
    }

    /// The items of a list below: by name where they have one of their own, else by number. (`env` may hold a name
    /// twice, `volumeMounts` often does.)
    pub fn items(&self, key: &str) -> Vec<Part<'t>> {
        let Some(list) = self.value.get(key).and_then(Value::as_array) else { return Vec::new() };
        let path = self.path.clone().key(key);
        let name_of = |value: &'t Value| value.get("name").and_then(Value::as_str);
        let is_own = |name: &str| list.iter().filter(|other| name_of(other) == Some(name)).count() == 1;
        let item = |(i, value): (usize, &'t Value)| {
            let path = match name_of(value).filter(|name| is_own(name)) {
                Some(name) => path.clone().named(name),
                None => path.clone().index(i),
            };
            Part { path, value }
        };
        list.iter().enumerate().map(item).collect()
    }

    /// `name` of this part, or the empty text.
    pub fn name(&self) -> &'t str {
        self.value.get("name").and_then(Value::as_str).unwrap_or("")
    }

    pub fn text(&self) -> Option<&'t str> {
        self.value.as_str()
    }

    /// The value as a person writes it: text without its quotes.
    pub fn shown(&self) -> String {
        self.text().map_or_else(|| self.value.to_string(), ToOwned::to_owned)
    }

    /// The change that gives this field another value.
    pub fn set(&self, workload: &ObjectRef, to: impl Into<Value>) -> Change {
        let operation = Operation::Set { from: self.value.clone(), to: to.into() };
        Change { object: workload.clone(), path: self.path.clone(), operation }
    }
}
