//! A published schema and a change in, whether the changed field is one that the API server knows, and what is written
//! to it is what it takes.
//!
//! The schema is a document of `/openapi/v3`. What a schema does not say is not held against a change.

use serde_json::Value;

use crate::case::{Change, ObjectRef, Operation};
use crate::yaml::{FieldPath, Step};

/// References that are followed before a schema counts as endless.
const MOST_REFERENCES: usize = 32;
/// Values are not nested deeper than this.
const MOST_LEVELS: usize = 64;

/// Whether the document has a schema of the object's kind.
pub fn describes(document: &Value, object: &ObjectRef) -> bool {
    of_kind(document, object).is_some()
}

/// Whether the change fits: every step of its path is a known field, and the new value has the field's type and no
/// unknown fields. The error is a sentence without a period.
pub fn conforms(document: &Value, change: &Change) -> Result<(), String> {
    let Some(root) = of_kind(document, &change.object) else { return Ok(()) };
    let reader = Reader { document };
    let steps = change.path.steps();
    let mut at = root;
    for (i, step) in steps.iter().enumerate() {
        let shown = || steps[..=i].iter().cloned().fold(FieldPath::root(), FieldPath::step);
        let next = match step {
            Step::Key(key) => reader.field(at, key),
            Step::Index(_) | Step::Named { .. } => reader.items(at),
        };
        at = match next {
            Field::Known(schema) => schema,
            Field::Anything => return Ok(()),
            Field::Unknown => {
                return Err(format!("the API server knows no field `{}` of {}", shown(), change.object.kind));
            }
        };
        let is_removed = i + 1 == steps.len() && matches!(change.operation, Operation::Remove { .. });
        if let (true, Step::Key(key)) = (is_removed, step) {
            let parent = parent_of(&reader, root, &steps[..i]);
            if parent.is_some_and(|parent| reader.required(parent).contains(&key.as_str())) {
                return Err(format!("`{}` cannot be removed: the API server requires it", shown()));
            }
        }
    }
    match &change.operation {
        Operation::Set { to: value, .. } | Operation::Add { value } => {
            reader.fits(at, value, 0).map_err(|why| format!("`{}` {why}", change.path))
        }
        Operation::Remove { .. } => Ok(()),
    }
}

fn parent_of<'d>(reader: &Reader<'d>, root: &'d Value, steps: &[Step]) -> Option<&'d Value> {
    steps.iter().try_fold(root, |at, step| {
        let next = match step {
            Step::Key(key) => reader.field(at, key),
            _ => reader.items(at),
        };
        if let Field::Known(schema) = next { Some(schema) } else { None }
    })
}

/// The schema that says `x-kubernetes-group-version-kind` with this group and kind.
fn of_kind<'d>(document: &'d Value, object: &ObjectRef) -> Option<&'d Value> {
    let schemas = document.pointer("/components/schemas")?.as_object()?;
    schemas.values().find(|schema| {
        let kinds = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
        kinds.into_iter().flatten().any(|gvk| {
            let says = |key: &str| gvk.get(key).and_then(Value::as_str).unwrap_or("");
            says("kind") == object.kind && says("group") == object.group
        })
    })
}

enum Field<'d> {
    Known(&'d Value),
    /// Free-form: nothing is known, and nothing is wrong.
    Anything,
    Unknown,
}

struct Reader<'d> {
    document: &'d Value,
}

impl<'d> Reader<'d> {
    /// A schema without the references around it: `$ref`, and `allOf` of one.
    fn plain(&self, schema: &'d Value) -> &'d Value {
        let mut at = schema;
        for _ in 0..MOST_REFERENCES {
            let sole = at.get("allOf").and_then(Value::as_array).filter(|all| all.len() == 1).map(|all| &all[0]);
            let reference = at.get("$ref").and_then(Value::as_str);
            at = match (reference, sole) {
                (Some(reference), _) => match reference.strip_prefix('#').and_then(|p| self.document.pointer(p)) {
                    Some(next) => next,
                    None => return &Value::Null,
                },
                (None, Some(next)) => next,
                (None, None) => return at,
            };
        }
        &Value::Null
    }

    fn field(&self, schema: &'d Value, key: &str) -> Field<'d> {
        let schema = self.plain(schema);
        if let Some(known) = schema.get("properties").and_then(|all| all.get(key)) {
            return Field::Known(known);
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => Field::Unknown,
            Some(Value::Bool(true)) => Field::Anything,
            Some(any) => Field::Known(any),
            None if is_open(schema) => Field::Anything,
            None => Field::Unknown,
        }
    }

    fn items(&self, schema: &'d Value) -> Field<'d> {
        let schema = self.plain(schema);
        match schema.get("items") {
            Some(items) => Field::Known(items),
            None if schema.get("type").is_none() => Field::Anything,
            None => Field::Unknown,
        }
    }

    fn required(&self, schema: &'d Value) -> Vec<&'d str> {
        let required = self.plain(schema).get("required").and_then(Value::as_array);
        required.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether a value is what a schema takes; the error follows the field's name in a sentence.
    fn fits(&self, schema: &'d Value, value: &Value, level: usize) -> Result<(), String> {
        let schema = self.plain(schema);
        if level > MOST_LEVELS || (value.is_null() && is_true(schema, "nullable")) {
            return Ok(());
        }
        if is_true(schema, "x-kubernetes-int-or-string") || says(schema, "format") == "int-or-string" {
            let is_either = value.is_i64() || value.is_u64() || value.is_string();
            return if is_either { Ok(()) } else { Err(format!("is {}, and takes a number or a string", kind(value))) };
        }
        for any in ["oneOf", "anyOf"] {
            let choices = schema.get(any).and_then(Value::as_array).filter(|all| !all.is_empty());
            if choices.is_some_and(|all| all.iter().all(|one| self.fits(one, value, level + 1).is_err())) {
                return Err(format!("is {}, which the API server does not take there", kind(value)));
            }
        }
        typed(schema, value)?;
        bounded(schema, value)?;
        match value {
            Value::Object(map) => {
                if let Some(missing) = self.required(schema).iter().find(|key| !map.contains_key(**key)) {
                    return Err(format!("lacks `{missing}`, which the API server requires"));
                }
                map.iter().try_for_each(|(key, inner)| match self.field(schema, key) {
                    Field::Known(next) => self.fits(next, inner, level + 1).map_err(|why| format!("→ `{key}` {why}")),
                    Field::Anything => Ok(()),
                    Field::Unknown => Err(format!("→ `{key}` is no field that the API server knows")),
                })
            }
            Value::Array(list) => match self.items(schema) {
                Field::Known(next) => list.iter().try_for_each(|item| self.fits(next, item, level + 1)),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

fn says<'v>(schema: &'v Value, key: &str) -> &'v str {
    schema.get(key).and_then(Value::as_str).unwrap_or("")
}

fn is_true(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// An object of which no field is named, or that keeps what it does not know.
fn is_open(schema: &Value) -> bool {
    is_true(schema, "x-kubernetes-preserve-unknown-fields")
        || is_true(schema, "x-kubernetes-embedded-resource")
        || (schema.get("properties").is_none() && ["", "object"].contains(&says(schema, "type")))
}

fn typed(schema: &Value, value: &Value) -> Result<(), String> {
    let fits = match says(schema, "type") {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    if fits {
        Ok(())
    } else {
        Err(format!("is {}, and the API server takes {}", kind(value), article(says(schema, "type"))))
    }
}

fn bounded(schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let all: Vec<String> = allowed.iter().take(12).map(Value::to_string).collect();
        return Err(format!("is {value}, and the API server takes {}", all.join(", ")));
    }
    let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
    let Some(number) = value.as_f64() else { return Ok(()) };
    match (limit("minimum"), limit("maximum")) {
        (Some(least), _) if number < least => Err(format!("is {value}, and at least {least} is needed")),
        (_, Some(most)) if number > most => Err(format!("is {value}, and at most {most} is allowed")),
        _ => Ok(()),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn article(name: &str) -> String {
    if name.starts_with(['a', 'e', 'i', 'o', 'u']) { format!("an {name}") } else { format!("a {name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({"components": {"schemas": {
            "io.k8s.Deployment": {"type": "object", "required": ["spec"], "x-kubernetes-group-version-kind": [{"group": "apps", "kind": "Deployment", "version": "v1"}],
                "properties": {"spec": {"allOf": [{"$ref": "#/components/schemas/Spec"}], "default": {}}}},
            "Spec": {"type": "object", "properties": {
                "replicas": {"type": "integer", "format": "int32", "minimum": 0},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "containers": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/Container"}]}}}},
            "Container": {"type": "object", "required": ["name"], "properties": {
                "name": {"type": "string"}, "image": {"type": "string"},
                "policy": {"type": "string", "enum": ["Always", "Never"]},
                "port": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
                "limits": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Quantity"}}}},
            "Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
            "Loop": {"$ref": "#/components/schemas/Loop"}
        }}})
    }

    fn set(path: &str, to: Value) -> Result<(), String> {
        change(path, Operation::Set { from: Value::Null, to })
    }

    fn change(path: &str, operation: Operation) -> Result<(), String> {
        let object = ObjectRef::new("apps/v1", "Deployment", Some("shop"), "web");
        conforms(&document(), &Change { object, path: path.parse().unwrap(), operation })
    }

    #[test]
    fn what_the_schema_takes_passes() {
        for (path, value) in [
            ("spec.replicas", json!(3)),
            ("spec.containers[name=app].image", json!("a:1")),
            ("spec.containers[name=app].port", json!("http")),
            ("spec.containers[name=app].port", json!(8080)),
            ("spec.containers[name=app].limits.memory", json!("128Mi")),
            ("spec.labels.any", json!("x")),
            ("spec.containers", json!([{"name": "app"}])),
        ] {
            assert_eq!(set(path, value.clone()), Ok(()), "{path} = {value}");
        }
    }

    #[test]
    fn what_it_does_not_take_is_named() {
        for (path, value, says) in [
            ("spec.replica", json!(3), "knows no field `spec.replica`"),
            ("spec.replicas", json!("3"), "is a string, and the API server takes an integer"),
            ("spec.replicas", json!(-1), "at least 0"),
            ("spec.containers[name=app].policy", json!("never"), "takes \"Always\", \"Never\""),
            ("spec.containers[name=app].port", json!(true), "a number or a string"),
            ("spec.containers[name=app].limits.memory", json!(["128Mi"]), "is a list"),
            ("spec.containers", json!([{"image": "x"}]), "lacks `name`"),
            ("spec.containers", json!([{"name": "x", "imgae": "x"}]), "`imgae` is no field"),
            ("spec.labels.any", json!(1), "is a number"),
        ] {
            let why = set(path, value).unwrap_err();
            assert!(why.contains(says), "{path}: {why}");
        }
    }

    #[test]
    fn a_required_field_stays() {
        let why = change("spec.containers[name=app].name", Operation::Remove { from: Value::Null }).unwrap_err();
        assert!(why.contains("requires it"), "{why}");
        assert_eq!(change("spec.replicas", Operation::Remove { from: Value::Null }), Ok(()));
    }

    #[test]
    fn a_schema_that_leads_in_circles_ends() {
        let document = document();
        let reader = Reader { document: &document };
        assert_eq!(reader.fits(&document["components"]["schemas"]["Loop"], &json!(1), 0), Ok(()));
    }
}
