//! A page in, what was proposed on it out: the one hidden line is all that verification remembers.

use serde_json::{Value, json};

use crate::case::{Change, FailureId, ObjectRef, Operation};

/// A line longer than this says nothing of the changes; it could not be read by people, either.
const MOST: usize = 8_000;

/// What a pull request of ours said of itself when it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub cluster: String,
    pub failure: FailureId,
    /// Never empty.
    pub changes: Vec<Change>,
    /// Never empty.
    pub workloads: Vec<ObjectRef>,
    /// Pods that were ready then.
    pub ready: Option<i64>,
}

impl Record {
    /// Reads the hidden line of a page. `None` where there is none, or one that does not say enough.
    pub fn read(page: &str) -> Option<Self> {
        let lines = page.lines().filter_map(|line| line.strip_prefix("<!-- kubecure ")?.strip_suffix(" -->"));
        let said: Value = lines.filter_map(|json| serde_json::from_str(json).ok()).next_back()?;
        let list = |key: &str| said[key].as_array().cloned().unwrap_or_default();
        let changes: Vec<Change> = list("changes").iter().map(change).collect::<Option<_>>()?;
        let workloads: Vec<ObjectRef> = list("of").iter().map(object).collect::<Option<_>>()?;
        if changes.is_empty() || workloads.is_empty() {
            return None;
        }
        let failure = crate::failures::by_id(said["failure"].as_str()?)?.id();
        let cluster = said["cluster"].as_str()?.to_owned();
        Some(Self { cluster, failure, changes, workloads, ready: said["ready"].as_i64() })
    }
}

/// Changes for the hidden line; nothing when they are too many.
pub fn changes(all: &[Change]) -> Value {
    let list: Vec<Value> = all
        .iter()
        .map(|change| {
            let (op, from, to) = match &change.operation {
                Operation::Set { from, to } => ("set", Some(from), Some(to)),
                Operation::Add { value } => ("add", None, Some(value)),
                Operation::Remove { from } => ("remove", Some(from), None),
            };
            let (object, path) = (parts(&change.object), change.path.to_string());
            json!({"object": object, "path": path, "op": op, "from": from, "to": to})
        })
        .collect();
    short(list)
}

/// Workloads for the hidden line; nothing when they are too many.
pub fn workloads(all: &[&ObjectRef]) -> Value {
    short(all.iter().map(|id| parts(id)).collect())
}

fn short(list: Vec<Value>) -> Value {
    let list = Value::Array(list);
    if list.to_string().len() > MOST { Value::Null } else { list }
}

fn parts(id: &ObjectRef) -> Value {
    json!([id.group, id.kind, id.namespace, id.name])
}

fn object(parts: &Value) -> Option<ObjectRef> {
    let text = |at: usize| parts[at].as_str().map(ToOwned::to_owned);
    Some(ObjectRef { group: text(0)?, kind: text(1)?, namespace: text(2), name: text(3)? })
}

fn change(said: &Value) -> Option<Change> {
    let (from, to) = (said["from"].clone(), said["to"].clone());
    let operation = match said["op"].as_str()? {
        "set" => Operation::Set { from, to },
        "add" => Operation::Add { value: to },
        "remove" => Operation::Remove { from },
        _ => return None,
    };
    Some(Change { object: object(&said["object"])?, path: said["path"].as_str()?.parse().ok()?, operation })
}
