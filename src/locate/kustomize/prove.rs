//! Files before and after an edit in, whether exactly the intended fields of the intended objects differ out.

use serde_json::Value;

use super::files::Renderings;
use super::resource::Resource;
use super::roots::{Root, Roots};
use crate::case::{Change, ObjectRef};

/// Which objects a change is for, as a repository may call them.
pub(super) type IsIt<'f> = &'f dyn Fn(&Root, &ObjectRef, &Change) -> bool;

/// Shows that an edit of a file does what one of some changes asks, and nothing that none of them asks. Gives the
/// kustomizations that were rendered for it.
pub(super) fn prove(
    before: &Renderings<'_>,
    after: &Renderings<'_>,
    edited: &str,
    roots: &Roots,
    change: &Change,
    all: &[Change],
    is_it: IsIt<'_>,
) -> Result<Vec<String>, String> {
    let mut done = false;
    let mut rendered = Vec::new();
    for root in roots.reading(edited) {
        done |= in_root(before, after, root, change, all, is_it)?;
        rendered.push(root.path.clone());
    }
    if done { Ok(rendered) } else { Err(format!("an edit of {edited} would not change `{}`", change.path)) }
}

/// The same in one root; `true` when the change is there afterwards.
fn in_root(
    before: &Renderings<'_>,
    after: &Renderings<'_>,
    root: &Root,
    change: &Change,
    all: &[Change],
    is_it: IsIt<'_>,
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
        for one in all.iter().filter(|one| is_it(root, &id, one)) {
            done |= one == change && one.operation.holds(&is, &one.path);
            for value in [&mut was, &mut is] {
                if !one.operation.holds(value, &one.path) {
                    // What cannot be changed differs below, if it differs.
                    let _ = one.operation.apply(value, &one.path);
                }
            }
        }
        if let Some(place) = difference("", &was, &is) {
            return Err(format!("{path} would also give {id} another `{place}`"));
        }
    }
    Ok(done)
}

fn name(resource: &Resource) -> ObjectRef {
    ObjectRef::new(resource.api_version(), resource.kind(), Some(resource.namespace()), resource.name())
}

/// The first place at which two values differ.
fn difference(path: &str, a: &Value, b: &Value) -> Option<String> {
    let under = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let own =
                a.iter().find_map(|(key, value)| difference(&under(key), value, b.get(key).unwrap_or(&Value::Null)));
            own.or_else(|| {
                b.iter().find(|(key, value)| !a.contains_key(*key) && !value.is_null()).map(|(key, _)| under(key))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(at, (a, b))| difference(&format!("{path}[{at}]"), a, b))
        }
        (a, b) if a == b => None,
        _ => Some(path.to_owned()),
    }
}
