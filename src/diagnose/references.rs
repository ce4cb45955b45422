//! Where a pod template refers to ConfigMaps and Secrets.

use crate::diagnose::template::{Part, Template};

/// One reference to a ConfigMap or Secret.
#[derive(Clone, Debug)]
pub struct Reference<'t> {
    /// `ConfigMap` or `Secret`.
    pub kind: &'static str,
    /// The container whose environment it is.
    pub container: Option<&'t str>,
    /// Or the volume that it fills.
    pub volume: Option<&'t str>,
    /// The field that names the object.
    pub name: Part<'t>,
    /// The fields that name keys; none when all keys are taken.
    pub keys: Vec<Part<'t>>,
    /// The pod starts without it.
    pub optional: bool,
}

impl Reference<'_> {
    pub fn is_to(&self, kind: &str, name: &str) -> bool {
        self.kind == kind && self.name.text() == Some(name)
    }
}

/// Every reference of a template: `env`, `envFrom`, volumes, projected volumes.
pub fn references(template: &Template) -> Vec<Reference<'_>> {
    let mut all = Vec::new();
    for container in template.containers() {
        let name = container.name();
        for env in container.items("env") {
            for (field, kind) in [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")] {
                let Some(from) = env.get("valueFrom").and_then(|v| v.get(field)) else { continue };
                all.extend(reference(kind, &from, "name", from.get("key").into_iter().collect(), Some(name), None));
            }
        }
        for source in container.items("envFrom") {
            for (field, kind) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
                let Some(from) = source.get(field) else { continue };
                all.extend(reference(kind, &from, "name", Vec::new(), Some(name), None));
            }
        }
    }
    for volume in template.spec().iter().flat_map(|spec| spec.items("volumes")) {
        let name = volume.name();
        for (field, kind, key) in [("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")] {
            let Some(from) = volume.get(field) else { continue };
            all.extend(reference(kind, &from, key, keys_of(&from), None, Some(name)));
        }
        for source in volume.get("projected").iter().flat_map(|p| p.items("sources")) {
            for (field, kind) in [("configMap", "ConfigMap"), ("secret", "Secret")] {
                let Some(from) = source.get(field) else { continue };
                all.extend(reference(kind, &from, "name", keys_of(&from), None, Some(name)));
            }
        }
    }
    all
}

fn reference<'t>(
    kind: &'static str,
    from: &Part<'t>,
    field: &str,
    keys: Vec<Part<'t>>,
    container: Option<&'t str>,
    volume: Option<&'t str>,
) -> Option<Reference<'t>> {
    let optional = from.get("optional").is_some_and(|o| o.value == true);
    Some(Reference { kind, container, volume, name: from.get(field)?, keys, optional })
}

/// `items[*].key` of a volume.
fn keys_of<'t>(from: &Part<'t>) -> Vec<Part<'t>> {
    from.items("items").iter().filter_map(|item| item.get("key")).collect()
}
