//! The types in, their JSON Schema out.
//!
//! The schema is what editors complete from, and what [`super::check`] checks files against: one description of the
//! keys, in the types. `x-check` names what JSON Schema cannot say.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::{API_VERSION, Policy};
use crate::settings::Settings;

/// A file of `.kubecure/`, for its schema alone.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Document<T> {
    #[schemars(extend("const" = API_VERSION))]
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: T,
}

/// What Kubernetes objects have: the name, and notes for people and tools.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Metadata {
    /// What it is called. Two policies of a repository have two names.
    #[schemars(length(min = 1))]
    name: String,
    /// Read by nobody here.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Read by nobody here.
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// For types whose keys can all be left out: they have them from the built-in default.
pub(crate) fn inherited(schema: &mut Schema) {
    schema.remove("required");
}

/// A quantity as Kubernetes writes it: text, or a bare number.
pub(super) fn quantity(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": ["string", "number"], "x-check": "quantity"})
}

pub(super) fn namespaces(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": "array", "items": {"type": "string", "x-check": "namespace"}})
}

pub(super) fn kinds(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": "array", "items": {"type": "string", "x-check": "kind"}})
}

/// A time for each failure.
pub(super) fn settle(_: &mut SchemaGenerator) -> Schema {
    let time = json!({"type": "string", "x-check": "settle"});
    let times: serde_json::Map<String, Value> =
        super::settle::keys().map(|key| (key.to_owned(), time.clone())).collect();
    schemars::json_schema!({"type": "object", "properties": times, "additionalProperties": false})
}

static POLICY: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = of::<Policy>("HealingPolicy");
    if let Some(spec) = schema.pointer_mut("/properties/spec") {
        set_defaults(spec, &super::decide::default_spec());
    }
    schema
});
static SETTINGS: LazyLock<Value> = LazyLock::new(|| of::<Settings>("Settings"));

/// The JSON Schema of `kind: HealingPolicy`, with the defaults.
pub fn policy_schema() -> &'static Value {
    &POLICY
}

/// The JSON Schema of `kind: Settings`.
pub fn settings_schema() -> &'static Value {
    &SETTINGS
}

fn of<T: JsonSchema>(kind: &str) -> Value {
    // Nothing here is recursive, and without references the schema can be walked beside a file.
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Document<T>>().to_value();
    drop_null_defaults(&mut schema);
    schema["title"] = kind.into();
    schema["description"] = format!("A file of `.kubecure/` of `kind: {kind}`.").into();
    schema["properties"]["kind"] = json!({"const": kind});
    schema["properties"]["apiVersion"] = json!({"const": API_VERSION});
    schema
}

/// Writes down at each key what it is when it is left out.
fn set_defaults(schema: &mut Value, default: &Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (key, property) in properties {
            if let Some(default) = default.get(key) {
                set_defaults(property, default);
            }
        }
    } else {
        schema["default"] = default.clone();
    }
}

/// An optional key has no default that could be written down; `null` would be refused.
fn drop_null_defaults(schema: &mut Value) {
    match schema {
        Value::Object(keys) => {
            if keys.get("default").is_some_and(Value::is_null) {
                keys.remove("default");
            }
            keys.values_mut().for_each(drop_null_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_null_defaults),
        _ => {}
    }
}
