//! Files before and after an edit in, whether exactly the intended fields of the intended objects differ out.

use serde_json::Value;

use super::files::Renderings;
use super::resource::Resource;
use super::roots::{Root, Roots};
use crate::case::{Change, Feed, ObjectRef};
use crate::yaml::FieldPath;

/// Which objects a change is for, as a repository may call them.
pub(super) type IsIt<'f> = &'f dyn Fn(&Root, &ObjectRef, &Change) -> bool;

/// What was shown of an edit.
pub(super) struct Proof {
    /// The kustomizations that were rendered for it.
    pub rendered: Vec<String>,
    /// What it changes of other objects.
    pub also: Vec<Feed>,
}

/// Fields of other objects that are named; who changes more changes too much.
const MOST: usize = 500;

/// Shows that an edit of a file does what one of some changes asks, and nothing of the object that none of them asks.
pub(super) fn prove(
    before: &Renderings<'_>,
    after: &Renderings<'_>,
    edited: &str,
    roots: &Roots,
    change: &Change,
    all: &[Change],
    is_it: IsIt<'_>,
) -> Result<Proof, String> {
    let mut done = false;
    let mut proof = Proof { rendered: Vec::new(), also: Vec::new() };
    for root in roots.reading(edited) {
        done |= in_root(before, after, root, change, all, is_it, &mut proof.also)?;
        proof.rendered.push(root.path.clone());
    }
    if done { Ok(proof) } else { Err(format!("an edit of {edited} would not change `{}`", change.path)) }
}

/// The same in one root; `true` when the change is there afterwards.
fn in_root(
    before: &Renderings<'_>,
    after: &Renderings<'_>,
    root: &Root,
    change: &Change,
    all: &[Change],
    is_it: IsIt<'_>,
    also: &mut Vec<Feed>,
) -> Result<bool, String> {
    let path = &root.path;
    let (old, new) = (before.get(&root.folder), after.get(&root.folder));
    let old = (*old).as_ref().map_err(|refusal| format!("{path} reads it, too, and is not rendered: {refusal}"))?;
    let new = (*new).as_ref().map_err(|refusal| format!("{path} would no longer be rendered: {refusal}"))?;
    if old.resources.len() != new.resources.len() {
        return Err(format!("{path} would render another number of objects"));
    }
    let mut done = false;
    for (old, new) in old.resources.iter().zip(&new.resources) {
        let (id, renamed) = (name(old), name(new));
        if id != renamed {
            return Err(format!("{path} would call {id} {renamed}"));
        }
        let (mut was, mut is) = (old.tree.value(), new.tree.value());
        let is_meant = all.iter().any(|one| is_it(root, &id, one));
        for one in all.iter().filter(|one| is_it(root, &id, one)) {
            done |= one == change && one.operation.holds(&is, &one.path);
            for value in [&mut was, &mut is] {
                if !one.operation.holds(value, &one.path) {
                    // What cannot be changed differs below, if it differs.
                    let _ = one.operation.apply(value, &one.path);
                }
            }
        }
        let mut fields = Vec::new();
        differences(FieldPath::root(), &was, &is, &mut fields);
        if let Some(place) = fields.first().filter(|_| is_meant || also.len() + fields.len() > MOST) {
            return Err(format!("{path} would also give {id} another `{place}`"));
        }
        let object = root.lives(&id);
        also.extend(fields.into_iter().map(|field| Feed { root: path.clone(), object: object.clone(), field }));
    }
    Ok(done)
}

fn name(resource: &Resource) -> ObjectRef {
    ObjectRef::new(resource.api_version(), resource.kind(), Some(resource.namespace()), resource.name())
}

/// The places at which two values differ; items that have a name are called by it.
fn differences(path: FieldPath, a: &Value, b: &Value, all: &mut Vec<FieldPath>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                differences(path.clone().key(key), value, b.get(key).unwrap_or(&Value::Null), all);
            }
            for (key, value) in b.iter().filter(|(key, value)| !a.contains_key(*key) && !value.is_null()) {
                differences(path.clone().key(key), &Value::Null, value, all);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                let name = a.get("name").and_then(Value::as_str);
                let below = name.map_or_else(|| path.clone().index(at), |name| path.clone().named(name));
                differences(below, a, b, all);
            }
        }
        (a, b) if a == b => {}
        _ => all.push(path),
    }
}
