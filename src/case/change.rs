//! A change, made to a value: what edited bytes are compared with.

use serde_json::{Map, Value};

use super::{Change, Operation, SourceLocation};
use crate::yaml::{FieldPath, Step};

impl SourceLocation {
    /// What is done at this place so that the change comes true.
    pub fn operation<'a>(&'a self, change: &'a Change) -> &'a Operation {
        self.writes.as_ref().unwrap_or(&change.operation)
    }
}

impl Operation {
    /// Makes the change in a value; `None` where it does not fit.
    pub fn apply(&self, root: &mut Value, path: &FieldPath) -> Option<()> {
        let (parent, last) = path.split_last()?;
        let holder = reach(root, parent.steps(), !matches!(self, Self::Remove { .. }), last)?;
        match (self, last) {
            (Self::Set { to: value, .. } | Self::Add { value }, Step::Key(key)) => {
                holder.as_object_mut()?.insert(key.clone(), value.clone());
            }
            (Self::Remove { .. }, Step::Key(key)) => {
                holder.as_object_mut()?.shift_remove(key)?;
            }
            (Self::Add { value }, _) => holder.as_array_mut()?.push(value.clone()),
            (Self::Set { to, .. }, item) => *pick(holder, item)? = to.clone(),
            (Self::Remove { .. }, item) => {
                let at = position(holder, item)?;
                holder.as_array_mut()?.remove(at);
            }
        }
        Some(())
    }

    /// Whether a value is as the change wants it.
    pub fn holds(&self, root: &Value, path: &FieldPath) -> bool {
        let now = path.get(root).filter(|now| !now.is_null());
        match self {
            Self::Set { to: value, .. } | Self::Add { value } => now == Some(value),
            Self::Remove { .. } => now.is_none(),
        }
    }
}

/// Walks to a value; missing maps are made on the way when the change adds something.
fn reach<'v>(root: &'v mut Value, steps: &[Step], make: bool, last: &Step) -> Option<&'v mut Value> {
    let mut at = root;
    for step in steps {
        at = match step {
            Step::Key(key) => {
                if make && at.is_null() {
                    *at = Value::Object(Map::new());
                }
                let map = at.as_object_mut()?;
                if make { map.entry(key.clone()).or_insert(Value::Null) } else { map.get_mut(key)? }
            }
            item => {
                // An item that is named is made with its name, where others of its kind would stand.
                if let (true, Step::Named { key, value }) = (make, item)
                    && position(at, item).is_none()
                {
                    if at.is_null() {
                        *at = Value::Array(Vec::new());
                    }
                    let named = Map::from_iter([(key.clone(), Value::from(value.as_str()))]);
                    at.as_array_mut()?.push(Value::Object(named));
                }
                pick(at, item)?
            }
        };
    }
    if make && at.is_null() {
        *at = if matches!(last, Step::Key(_)) { Value::Object(Map::new()) } else { Value::Array(Vec::new()) };
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
