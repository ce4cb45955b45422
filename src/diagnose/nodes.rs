//! A pod template and the nodes in, what it asks of a node and what they have out.

use serde_json::Value;

use crate::case::{Node, Snapshot};
use crate::diagnose::template::{Part, Template};
use crate::quantity::Quantity;
use crate::yaml::{FieldPath, Step};

/// A label that a node must have: an entry of `nodeSelector`, or a value of a required node affinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    pub key: String,
    /// The values of which one must be there, each with its field.
    pub values: Vec<(String, FieldPath)>,
    /// Whether the key is the key of a map (`nodeSelector`), so that it is part of the path.
    pub in_map: bool,
}

impl Demand {
    pub fn met_by(&self, node: &Node) -> bool {
        node.metadata.labels.get(&self.key).is_some_and(|has| self.values.iter().any(|(value, _)| value == has))
    }

    /// `disktype=nvme`, `zone=a or b`
    pub fn words(&self) -> String {
        let values: Vec<&str> = self.values.iter().map(|(value, _)| value.as_str()).collect();
        format!("{}={}", self.key, values.join(" or "))
    }
}

/// Every label that the template demands. Of an affinity with several terms any one would do: those are left out.
pub fn demands(template: &Template) -> Vec<Demand> {
    let Some(spec) = template.spec() else { return Vec::new() };
    let mut all = Vec::new();
    if let Some(selector) = spec.get("nodeSelector") {
        for key in selector.value.as_object().into_iter().flat_map(serde_json::Map::keys) {
            let Some(field) = selector.key(key) else { continue };
            let values = field.text().map(|text| (text.to_owned(), field.path.clone())).into_iter().collect();
            all.push(Demand { key: key.clone(), values, in_map: true });
        }
    }
    let required = spec.get("affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
    if let Some([term]) = required.map(|r| r.items("nodeSelectorTerms")).as_deref() {
        all.extend(term.items("matchExpressions").iter().filter_map(demand));
    }
    all
}

fn demand(expression: &Part<'_>) -> Option<Demand> {
    let key = expression.get("key")?.text()?.to_owned();
    let is_in = expression.get("operator").is_some_and(|o| o.text() == Some("In"));
    let values = expression.items("values");
    let values = values.iter().filter_map(|v| Some((v.text()?.to_owned(), v.path.clone()))).collect();
    is_in.then_some(Demand { key, values, in_map: false })
}

/// The values that nodes have for a label, each once.
pub fn values_of<'s>(snapshot: &'s Snapshot, key: &str) -> Vec<&'s str> {
    let mut values: Vec<&str> =
        snapshot.nodes.iter().filter_map(|n| n.metadata.labels.get(key)).map(String::as_str).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// How much of a resource the largest node can give.
pub fn largest(snapshot: &Snapshot, resource: &str) -> Option<Quantity> {
    snapshot.nodes.iter().filter_map(|n| Quantity::of(n.status.allocatable.get(resource)?)).max()
}

/// What a container asks for: its request, or its limit where it has none.
pub fn asked<'t>(container: &Part<'t>, resource: &str) -> Option<Part<'t>> {
    let of = |which: &str| container.get(which).and_then(|map| map.key(resource));
    of("resources.requests").or_else(|| of("resources.limits"))
}

/// Whether a field is a container's request or limit of this resource, or a map that holds it.
pub fn is_of(path: &FieldPath, resource: &str) -> bool {
    let Some((_, last)) = path.split_last() else { return false };
    let is = |key: &str| *last == Step::Key(key.to_owned());
    path.to_string().contains(".resources") && (is(resource) || ["resources", "requests", "limits"].into_iter().any(is))
}

/// What a pod asks for: the sum of its containers and sidecars, at least the largest init container, plus overhead.
pub fn request(template: &Template, resource: &str) -> Quantity {
    let Some(spec) = template.spec() else { return Quantity::zero() };
    let of = |c: &Part<'_>| asked(c, resource).and_then(|a| Quantity::of(a.value)).unwrap_or(Quantity::zero());
    let is_sidecar = |c: &Part<'_>| c.value.get("restartPolicy") == Some(&Value::from("Always"));
    let (sidecars, init): (Vec<_>, Vec<_>) = spec.items("initContainers").into_iter().partition(is_sidecar);
    let sum = spec.items("containers").iter().chain(&sidecars).map(of).fold(Quantity::zero(), Quantity::plus);
    let most = init.iter().map(of).max().unwrap_or(Quantity::zero());
    let overhead = spec.get("overhead").and_then(|o| Quantity::of(o.key(resource)?.value)).unwrap_or(Quantity::zero());
    sum.max(most).plus(overhead)
}
