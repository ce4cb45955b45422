//! Evidence in, the changes that a model may propose out: a closed list, each worked out here and not by the model.

use serde_json::{Value, json};

use crate::case::{Change, Evidence};
use crate::diagnose::changes::plain;
use crate::diagnose::history::{self, Difference, Healthy, Revert};
use crate::diagnose::template::Template;

/// A field that changed since the last healthy revision, and the change that puts it back.
#[derive(Debug)]
pub struct Back {
    /// `D1`
    pub id: String,
    pub difference: Difference,
    pub change: Change,
}

/// What may be proposed for one incident.
#[derive(Debug, Default)]
pub struct Vocabulary {
    pub back: Vec<Back>,
    pub healthy: Option<Healthy>,
    /// The container that fails, and whether its memory limit may be raised.
    pub memory_of: Option<String>,
    /// The container whose probes may get another path, and which probes it has.
    pub probes_of: Option<(String, Vec<&'static str>)>,
}

/// At most so many fields that changed are told; more is no rollout that one field explains.
const MOST_BACK: usize = 12;

impl Vocabulary {
    pub fn of(evidence: &Evidence) -> Self {
        let finding = evidence.incident.first();
        let mut all = Self::default();
        if let Revert::Established { changes, differences, healthy } =
            history::revert(evidence, &finding.workload, |_| true)
        {
            let pairs = differences.into_iter().zip(changes).take(MOST_BACK).enumerate();
            all.back =
                pairs.map(|(i, (difference, change))| Back { id: format!("D{}", i + 1), difference, change }).collect();
            all.healthy = Some(healthy);
        }
        let (Some(name), Some(template)) = (&finding.container, Template::of(&evidence.snapshot, &finding.workload))
        else {
            return all;
        };
        let Some(container) = template.container(name) else { return all };
        match finding.failure.0 {
            "oom-killed" if container.get("resources.limits.memory").is_some() => all.memory_of = Some(name.clone()),
            "probe-failing" => {
                let has = |probe: &&str| container.get(&format!("{probe}Probe.httpGet.path")).is_some();
                let probes: Vec<&'static str> = ["liveness", "readiness", "startup"].into_iter().filter(has).collect();
                all.probes_of = (!probes.is_empty()).then(|| (name.clone(), probes));
            }
            _ => {}
        }
        all
    }

    /// The alternatives of `fix` in the schema. `no_safe_fix` is always one.
    pub fn schema(&self) -> Value {
        let mut all = Vec::new();
        if !self.back.is_empty() {
            let ids: Vec<&str> = self.back.iter().map(|b| b.id.as_str()).collect();
            all.push(shape("revert", &[("change", json!({"type": "string", "enum": ids}))]));
        }
        if let Some(container) = &self.memory_of {
            let value = json!({"type": "string", "description": "Kubernetes quantity such as 256Mi, larger than now"});
            all.push(shape("set_memory_limit", &[("container", one_of(&[container])), ("value", value)]));
        }
        if let Some((container, probes)) = &self.probes_of {
            let path = json!({"type": "string", "description": "URL path that stands in the evidence"});
            let fields = [("container", one_of(&[container])), ("probe", one_of(probes)), ("path", path)];
            all.push(shape("set_probe_path", &fields));
        }
        all.push(shape("no_safe_fix", &[("next_step", json!({"type": "string"}))]));
        json!({"anyOf": all})
    }

    /// What changed since it last worked, one line for each.
    pub fn told(&self) -> Vec<String> {
        let value = |v: &Option<Value>| v.as_ref().map_or("nothing".to_owned(), plain);
        let one = |b: &Back| {
            let now = match &b.change.operation {
                crate::case::Operation::Set { from, .. } | crate::case::Operation::Remove { from } => plain(from),
                crate::case::Operation::Add { .. } => "nothing".to_owned(),
            };
            format!("{} {}: was {}, is {now}", b.id, b.difference.path, value(&b.difference.old))
        };
        self.back.iter().map(one).collect()
    }
}

fn one_of<T: AsRef<str>>(all: &[T]) -> Value {
    let all: Vec<&str> = all.iter().map(AsRef::as_ref).collect();
    json!({"type": "string", "enum": all})
}

/// An object of which every field is required, as strict readers of schemas want it.
fn shape(kind: &str, fields: &[(&str, Value)]) -> Value {
    let mut properties = json!({"kind": {"type": "string", "enum": [kind]}});
    let mut required = vec!["kind"];
    for (name, schema) in fields {
        properties[*name] = schema.clone();
        required.push(name);
    }
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
}
