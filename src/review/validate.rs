//! The edited files, read again: exactly the intended fields of the intended objects differ.

use serde_json::Value;

use super::{Matter, Objection, deny};
use crate::case::{Change, EditedFile, Operation, SourceLocation};
use crate::yaml::{self, FieldPath, Step};

/// Gate 7: before, with the changes made to its values, is after. Nothing else is.
pub(super) fn rendered(matter: &Matter<'_>) -> Vec<Objection> {
    let proposal = matter.proposal;
    let changes = proposal.diagnosis.changes();
    if changes.len() != proposal.locations.len() {
        return vec![deny("a change has no place in the repository")];
    }
    let pairs: Vec<(&Change, &SourceLocation)> = changes.iter().zip(&proposal.locations).collect();
    proposal.files.iter().filter_map(|file| differs(file, &pairs).err().map(deny)).collect()
}

/// What the outside found.
pub(super) fn checked(matter: &Matter<'_>) -> Vec<Objection> {
    matter.checks.failed.iter().map(|what| deny(what.clone())).collect()
}

fn differs(file: &EditedFile, pairs: &[(&Change, &SourceLocation)]) -> Result<(), String> {
    let read = |text: &str| yaml::documents(text).map_err(|error| format!("{} cannot be read: {error}", file.path));
    let (before, after) = (read(&file.before)?, read(&file.after)?);
    if before.len() != after.len() {
        return Err(format!("{} would have {} documents instead of {}", file.path, after.len(), before.len()));
    }
    for (old, new) in before.iter().zip(&after) {
        let mut expected = old.value();
        for (change, location) in pairs.iter().filter(|(_, l)| l.file == file.path && l.document == old.index) {
            apply(&mut expected, &location.path, &change.operation)
                .ok_or_else(|| format!("`{}` is not there to be changed", location.path))?;
        }
        if expected != new.value() {
            return Err(format!("{} would differ in more than the intended fields", file.path));
        }
    }
    Ok(())
}

/// Makes a change to a value: the model that the edited bytes must agree with.
fn apply(root: &mut Value, path: &FieldPath, operation: &Operation) -> Option<()> {
    let (parent, last) = path.split_last()?;
    let holder = reach(root, parent.steps(), !matches!(operation, Operation::Remove { .. }), last)?;
    match (operation, last) {
        (Operation::Set { to: value, .. } | Operation::Add { value }, Step::Key(key)) => {
            holder.as_object_mut()?.insert(key.clone(), value.clone());
        }
        (Operation::Remove { .. }, Step::Key(key)) => {
            holder.as_object_mut()?.shift_remove(key)?;
        }
        (Operation::Add { value }, _) => holder.as_array_mut()?.push(value.clone()),
        (Operation::Set { to, .. }, item) => *pick(holder, item)? = to.clone(),
        (Operation::Remove { .. }, item) => {
            let at = position(holder, item)?;
            holder.as_array_mut()?.remove(at);
        }
    }
    Some(())
}

/// Walks to a value; missing maps are made on the way when the change adds something.
fn reach<'v>(root: &'v mut Value, steps: &[Step], make: bool, last: &Step) -> Option<&'v mut Value> {
    let mut at = root;
    for step in steps {
        at = match step {
            Step::Key(key) => {
                if make && at.is_null() {
                    *at = Value::Object(serde_json::Map::new());
                }
                let map = at.as_object_mut()?;
                if make { map.entry(key.clone()).or_insert(Value::Null) } else { map.get_mut(key)? }
            }
            item => pick(at, item)?,
        };
    }
    if make && at.is_null() {
        *at =
            if matches!(last, Step::Key(_)) { Value::Object(serde_json::Map::new()) } else { Value::Array(Vec::new()) };
    }
    Some(at)
}

fn pick<'v>(list: &'v mut Value, item: &Step) -> Option<&'v mut Value> {
    let at = position(list, item)?;
    list.as_array_mut()?.get_mut(at)
}

fn position(list: &Value, item: &Step) -> Option<usize> {
    let list = list.as_array()?;
    match item {
        Step::Index(index) => (*index < list.len()).then_some(*index),
        Step::Named { key, value } => list.iter().position(|v| v.get(key).and_then(Value::as_str) == Some(value)),
        Step::Key(_) => None,
    }
}
