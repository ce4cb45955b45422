//! A field and a value in, the change out.

use serde_json::Value;

use crate::case::{Change, ObjectRef, Operation};
use crate::yaml::FieldPath;

/// The field gets another value.
pub fn set(object: &ObjectRef, path: FieldPath, from: impl Into<Value>, to: impl Into<Value>) -> Change {
    Change { object: object.clone(), path, operation: Operation::Set { from: from.into(), to: to.into() } }
}

/// The field comes into being.
pub fn add(object: &ObjectRef, path: FieldPath, value: impl Into<Value>) -> Change {
    Change { object: object.clone(), path, operation: Operation::Add { value: value.into() } }
}

/// The field goes away.
pub fn remove(object: &ObjectRef, path: FieldPath, from: impl Into<Value>) -> Change {
    Change { object: object.clone(), path, operation: Operation::Remove { from: from.into() } }
}

/// A value as a reader would write it: text without quotes.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
