//! A plain file in, what kustomize does to it before it reaches a cluster out.
//!
//! Kustomizations are not rendered yet. Until they are, a file that one changes, or that several take, is not edited as
//! if it were plain: the line may not count, or may count for another environment.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::case::{Change, Declined, ObjectRef, SourceFile, Sources};
use crate::diagnose::near::listed;
use crate::yaml::{self, FieldPath, Step};

const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// A kustomization file: its path, its folder, what it says.
struct Layer {
    path: String,
    folder: String,
    says: Value,
}

/// Why a file is not the last word on a field of an object that it declares.
pub(super) fn objection(file: &str, change: &Change, sources: &Sources) -> Option<Declined> {
    let layers = layers(sources);
    let above = above(file, &layers);
    let block = |why: String| Some(Declined::Blocked { location: None, why });
    for layer in &above {
        if let Some(key) = layer.touches(change, sources) {
            let path = &layer.path;
            return block(format!("{path} takes {file} and has `{key}`, which may set `{}` anew", change.path));
        }
    }
    let is_taken = |layer: &Layer| above.iter().any(|other| other.takes(&layer.folder));
    let tops: Vec<&str> = above.iter().filter(|l| !is_taken(l)).map(|l| l.path.as_str()).collect();
    if tops.len() > 1 {
        return block(format!("{file} feeds more than one environment: {}", listed(tops)));
    }
    None
}

fn layers(sources: &Sources) -> Vec<Layer> {
    let read = |(path, file): (&String, &SourceFile)| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let document = NAMES.contains(&name).then(|| yaml::document(&file.text, 0, 0).ok()).flatten()?;
        let says = document.value_at(&FieldPath::root())?;
        Some(Layer { path: path.clone(), folder: folder.to_owned(), says })
    };
    sources.files.iter().filter_map(read).collect()
}

/// Every layer that takes a file, directly or through another.
fn above<'l>(file: &str, layers: &'l [Layer]) -> Vec<&'l Layer> {
    let mut taken: Vec<&str> = vec![file];
    let mut above: Vec<&Layer> = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some(target) = taken.pop() {
        for layer in layers.iter().filter(|l| l.takes(target)) {
            if seen.insert(&layer.path) {
                above.push(layer);
                taken.push(&layer.folder);
            }
        }
    }
    above
}

impl Layer {
    fn texts(&self, key: &str) -> impl Iterator<Item = &str> {
        self.says.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// Whether it lists a file, or a folder with another layer.
    fn takes(&self, target: &str) -> bool {
        let lists = ["resources", "bases", "components"].into_iter().flat_map(|key| self.texts(key));
        lists.filter_map(|path| within(&self.folder, path)).any(|path| path == target)
    }

    /// The key of what it does to the field of a change, as far as that can be told without rendering.
    fn touches(&self, change: &Change, sources: &Sources) -> Option<&'static str> {
        let has = |key: &str| self.says.get(key).is_some_and(|v| !v.is_null());
        let always = ["replacements", "transformers", "vars", "helmCharts", "components"];
        if let Some(key) = always.into_iter().find(|key| has(key)) {
            return Some(key);
        }
        let last = change.path.steps().last();
        let is = |name: &str| matches!(last, Some(Step::Key(key)) if key == name);
        if has("images") && (is("image") || is("containers") || is("initContainers")) {
            return Some("images");
        }
        if has("replicas") && is("replicas") {
            return Some("replicas");
        }
        let patches = ["patches", "patchesStrategicMerge", "patchesJson6902"];
        patches.into_iter().find(|key| {
            let all = self.says.get(key).and_then(Value::as_array).into_iter().flatten();
            all.into_iter().any(|patch| self.concerns(patch, &change.object, sources))
        })
    }

    /// Whether a patch may be for an object: unless its target or its text names another one.
    fn concerns(&self, patch: &Value, object: &ObjectRef, sources: &Sources) -> bool {
        let target = patch.get("target");
        let named = |key: &str| target.and_then(|t| t.get(key)).and_then(Value::as_str);
        let plain = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if named("kind").is_some_and(|kind| kind != object.kind)
            || named("name").filter(plain).is_some_and(|name| name != object.name)
        {
            return false;
        }
        if target.is_some() {
            return true;
        }
        let inline = || patch.get("patch").and_then(Value::as_str).map(ToOwned::to_owned);
        let file = patch.as_str().or_else(|| patch.get("path").and_then(Value::as_str));
        let text = file.and_then(|path| Some(sources.files.get(&within(&self.folder, path)?)?.text.to_string()));
        // What cannot be read may be for anything.
        text.or_else(inline).is_none_or(|text| text.contains(&object.name))
    }
}

/// A path as a kustomization writes it, from the root of the repository; `None` when it leads out of it.
fn within(folder: &str, path: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Operation;
    use std::collections::BTreeMap;

    const BASE: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {replicas: 1, template: {spec: {containers: [{name: app, image: \"a:1\"}]}}}\n";
    const TAKES: &str = "resources: [d.yaml]\n";

    fn blocked(path: &str, files: &[(&str, &str)]) -> Option<String> {
        let files: BTreeMap<String, std::sync::Arc<str>> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).into())).collect();
        let sources = crate::locate::index("test", None, files, Vec::new());
        let object = ObjectRef::new("apps/v1", "Deployment", Some("shop"), "web");
        let path = path.parse().expect("a path");
        let change = Change { object, path, operation: Operation::Add { value: Value::from(1) } };
        match objection("base/d.yaml", &change, &sources) {
            Some(Declined::Blocked { why, .. }) => Some(why),
            _ => None,
        }
    }

    const MEMORY: &str = "spec.template.spec.containers[name=app].resources.limits.memory";
    const IMAGE: &str = "spec.template.spec.containers[name=app].image";

    #[test]
    fn a_file_that_a_layer_only_lists_is_plain() {
        let overlay = "resources: [../base]\nnamespace: shop\nimages: [{name: a, newTag: \"2\"}]\n";
        let files = [("base/d.yaml", BASE), ("base/kustomization.yaml", TAKES), ("prod/kustomization.yaml", overlay)];
        assert_eq!(blocked(MEMORY, &files), None);
        assert!(blocked(IMAGE, &files).unwrap().contains("`images`"));
    }

    #[test]
    fn a_file_that_a_layer_patches_is_not_plain() {
        let overlay = "resources: [../base/]\npatches:\n  - path: p.yaml\n";
        let of = |patch| {
            let base = [("base/d.yaml", BASE), ("base/kustomization.yaml", TAKES)];
            let files = [&base[..], &[("prod/kustomization.yaml", overlay), ("prod/p.yaml", patch)]].concat();
            blocked(MEMORY, &files)
        };
        assert!(of("kind: Deployment\nmetadata: {name: web}\n").unwrap().contains("prod/kustomization.yaml"));
        assert_eq!(of("kind: Deployment\nmetadata: {name: api}\n"), None);
    }

    #[test]
    fn a_file_that_two_environments_take_is_not_edited_for_one() {
        let overlay = "resources: [../base]\n";
        let files = [
            ("base/d.yaml", BASE),
            ("base/kustomization.yaml", TAKES),
            ("dev/kustomization.yaml", "namespace: dev\nresources: [../base]\n"),
            ("prod/kustomization.yaml", overlay),
        ];
        assert!(blocked(MEMORY, &files).unwrap().contains("more than one environment"));
    }
}
