#![doc = include_str!("unschedulable.md")]

use jiff::SignedDuration;

use crate::case::{
    Change, Condition, Cure, Diagnosis, Evidence, FailureId, Finding, Ground, Item, ItemSource, Pod, Quote, Snapshot,
};
use crate::detect::{Claims, Look, count, earliest, pod_events, pod_ref};
use crate::diagnose::changes::{add, remove, set};
use crate::diagnose::confidence::{AGREES, ONE_CANDIDATE, STATUS_NAMES_IT, doubt, ground};
use crate::diagnose::near::{Near, listed, nearest};
use crate::diagnose::nodes::{Demand, asked, demands, is_of, largest, request, values_of};
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{history, next, person, rule, went_back};
use crate::failures::{Failure, pvc_pending};
use crate::quantity::Quantity;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// No node takes the pod.
pub struct Unschedulable;

const ID: FailureId = FailureId("unschedulable");

/// How long a pod may wait for a node.
const GRACE: SignedDuration = SignedDuration::from_secs(30);
/// How long when an autoscaler says that it is adding one.
const SCALE_UP: SignedDuration = SignedDuration::from_mins(15);

impl Failure for Unschedulable {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("unschedulable.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        let of = |(workload, pods): &(&crate::case::ObjectRef, Vec<&Pod>)| {
            let mut waiting: Vec<&Pod> = pods.iter().copied().filter(|pod| waits_too_long(pod, look)).collect();
            waiting.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp));
            let first = unscheduled(waiting.first()?)?;
            Some(Finding {
                failure: ID,
                workload: (*workload).clone(),
                container: None,
                symptom: format!("gets no node for {}: {}", count(waiting.len(), "pod"), short(message(first))),
                since: earliest(waiting.iter().map(|pod| unscheduled(pod)?.last_transition_time)),
                pods: waiting.iter().map(|pod| pod_ref(pod)).collect(),
                shared: None,
            })
        };
        look.pods().iter().filter_map(of).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let finding = evidence.incident.first();
        let pod = evidence.snapshot.pods_of(&finding.workload).find(|p| finding.pods.first() == Some(&pod_ref(p)))?;
        let said = message(unscheduled(pod)?).to_owned();
        let template = Template::of(&evidence.snapshot, &finding.workload);
        let answer = template.and_then(|template| {
            let facts = Facts { evidence, template, said: said.clone() };
            claim_missing(&facts).or_else(|| label_missing(&facts)).or_else(|| too_large(&facts))
        });
        Some(answer.unwrap_or_else(|| told(evidence, &said)))
    }
}

/// What the rules of this failure look at.
struct Facts<'e> {
    evidence: &'e Evidence,
    template: Template,
    /// The scheduler's words.
    said: String,
}

impl Facts<'_> {
    /// The scheduler's words as a quote, and what else is there to quote.
    fn because(&self, words: &[&str]) -> Vec<Option<Quote>> {
        let mut quotes = vec![self.evidence.quote(short(&self.said))];
        quotes.extend(words.iter().map(|words| {
            let in_spec = |item: &Item| matches!(item.source, ItemSource::Spec(_)) && item.text.contains(words);
            let item = self.evidence.items.iter().position(in_spec)?;
            Some(Quote { item, text: (*words).to_owned() })
        }));
        quotes
    }

    /// What the scheduler establishes; other reasons beside the one that a rule explains stand against it.
    fn grounds(&self, names: &str) -> Vec<Ground> {
        let mut grounds = vec![ground(STATUS_NAMES_IT, format!("the scheduler names {names}"))];
        if self.said.contains("untolerated taint") {
            grounds.push(doubt(20, "some nodes refuse the pod for a taint, too"));
        }
        grounds
    }
}

fn unscheduled(pod: &Pod) -> Option<&Condition> {
    let bad = |c: &&Condition| c.status == "False" && c.reason.as_deref() == Some("Unschedulable");
    pod.status.conditions.iter().filter(|c| c.r#type == "PodScheduled").find(bad)
}

fn message(condition: &Condition) -> &str {
    condition.message.as_deref().unwrap_or("")
}

/// The scheduler's words without what it says of preemption and devices.
fn short(message: &str) -> &str {
    let ends = [". no new claims", ". preemption:", ". not found"];
    let end = ends.iter().filter_map(|words| message.find(words)).min();
    end.map_or(message, |end| &message[..end]).trim_end_matches('.')
}

fn waits_too_long(pod: &Pod, snapshot: &Snapshot) -> bool {
    let Some(condition) = unscheduled(pod) else { return false };
    let for_claim = message(condition).contains("unbound immediate PersistentVolumeClaims");
    let failing = || pvc_pending::failing_claims(snapshot);
    let is_waiting_for = |claim| pvc_pending::waits_for(pod, claim, snapshot);
    if for_claim && failing().into_iter().any(|(claim, _)| is_waiting_for(claim)) {
        return false; // the claim's failure explains it
    }
    let since = condition.last_transition_time.or(pod.metadata.creation_timestamp);
    let waited = since.map_or(GRACE, |since| snapshot.taken.duration_since(since));
    if pod_events(snapshot, pod, "NotTriggerScaleUp").next().is_some() {
        return true;
    }
    waited >= if pod_events(snapshot, pod, "TriggeredScaleUp").next().is_some() { SCALE_UP } else { GRACE }
}

/// `persistentvolumeclaim "data" not found`: another name was meant, or the claim is missing.
fn claim_missing(facts: &Facts<'_>) -> Option<Diagnosis> {
    let (name, _) = facts.said.split_once("persistentvolumeclaim \"")?.1.split_once("\" not found")?;
    let snapshot = &*facts.evidence.snapshot;
    let workload = &facts.template.workload;
    let spec = facts.template.spec()?;
    let volumes = spec.items("volumes");
    let field =
        volumes.iter().find_map(|v| v.get("persistentVolumeClaim.claimName").filter(|c| c.text() == Some(name)))?;
    let cause = format!("the pod uses claim `{name}`, and {} has no claim of that name", namespace(workload));
    let because = || facts.because(&[]);
    let is_volume = |path: &FieldPath| path.starts_with(&FieldPath::keys(&["spec", "volumes"]));
    let was = |was: &str| format!("{cause}; {was}");
    let grounds = facts.grounds("the claim");
    let back = went_back(facts.evidence, workload, is_volume, was, because(), grounds.clone());
    if let Some(back) = back.filter(|back| !back.changes().is_empty()) {
        return Some(back);
    }
    let here: Vec<_> = snapshot.claims.iter().filter(|c| c.metadata.namespace == workload.namespace).collect();
    let names = || here.iter().map(|c| c.metadata.name.as_str());
    let Near::One(near) = nearest(name, names()) else {
        let why = if snapshot.kinds.contains("PersistentVolumeClaim") {
            format!("the claim is missing, or another one was meant, but which cannot be told from {}", listed(names()))
        } else {
            "the claim is missing: it must be made, or another one named".to_owned()
        };
        let commands = vec![next::list("PersistentVolumeClaim", workload.namespace.as_deref()), next::yaml(workload)];
        return Some(person(cause, because(), grounds, why, commands));
    };
    let mut grounds = grounds;
    grounds.push(ground(ONE_CANDIDATE, format!("`{near}` is the only claim with nearly that name")));
    let bound = here.iter().any(|c| c.metadata.name == near && c.status.phase.as_deref() == Some("Bound"));
    grounds.push(if bound { ground(AGREES, "it is bound") } else { doubt(20, "it is not bound") });
    if let Some(other) = other_user(facts, &near) {
        grounds.push(doubt(40, format!("{other} uses it already")));
    }
    let changes = vec![set(workload, field.path.clone(), name, near.as_str())];
    Some(rule(cause, because(), grounds, Cure::Repair { changes, help: format!("use claim `{near}`"), hold: None }))
}

/// `namespace shop`
fn namespace(workload: &crate::case::ObjectRef) -> String {
    format!("namespace {}", workload.ns())
}

fn other_user(facts: &Facts<'_>, claim: &str) -> Option<crate::case::ObjectRef> {
    let snapshot = &*facts.evidence.snapshot;
    let others = snapshot.workloads.iter().map(crate::case::Workload::id);
    let others = others.filter(|id| id.namespace == facts.template.workload.namespace);
    let uses = |id: &crate::case::ObjectRef| {
        snapshot.root_owner(id) != facts.template.workload
            && Template::of(snapshot, id).is_some_and(|t| pvc_pending::claim_names(&t).iter().any(|c| c == claim))
    };
    others.into_iter().find(uses)
}

/// A label that the pod demands and no node has.
fn label_missing(facts: &Facts<'_>) -> Option<Diagnosis> {
    let words = "didn't match Pod's node affinity/selector";
    if !facts.said.contains(words) {
        return None;
    }
    let (snapshot, workload) = (&*facts.evidence.snapshot, &facts.template.workload);
    let unmet = |d: &Demand| !snapshot.nodes.iter().any(|node| d.met_by(node));
    let unmet: Vec<Demand> = demands(&facts.template).into_iter().filter(unmet).collect();
    let demanded: Vec<String> = unmet.iter().map(Demand::words).collect();
    let cause = match demanded.as_slice() {
        [] => "no node has all the labels that the pod's node selector and affinity demand together".to_owned(),
        all => format!("the pod demands a node with {}, and no node has that label", all.join(" and ")),
    };
    let field = |d: &Demand, value: &str| {
        if d.in_map { format!("\"{}\":\"{value}\"", d.key) } else { format!("\"{value}\"") }
    };
    let in_spec: Vec<String> =
        unmet.iter().flat_map(|d| d.values.iter().map(move |(value, _)| field(d, value))).collect();
    let because = || facts.because(&in_spec.iter().map(String::as_str).collect::<Vec<_>>());
    let placement = |path: &FieldPath| {
        path.starts_with(&FieldPath::keys(&["spec", "nodeSelector"]))
            || path.starts_with(&FieldPath::keys(&["spec", "affinity", "nodeAffinity"]))
    };
    let was = |was: &str| format!("{cause}; {was}");
    let back =
        went_back(facts.evidence, workload, placement, was, because(), facts.grounds("the node selector or affinity"));
    if let Some(back) = back.filter(|back| !back.changes().is_empty()) {
        return Some(back);
    }
    let cured = match unmet.as_slice() {
        [demand] if !snapshot.nodes.is_empty() => near_label(snapshot, facts, demand),
        _ => None,
    };
    let Some((changes, help, candidate)) = cured else {
        let why = match unmet.as_slice() {
            _ if snapshot.nodes.is_empty() => "the nodes were not read, so their labels are not known".to_owned(),
            [demand] => no_label(snapshot, demand),
            _ => "which of the demands is wrong cannot be told: no single node meets all of them".to_owned(),
        };
        let keys: Vec<&str> = unmet.iter().map(|demand| demand.key.as_str()).collect();
        let labels = if keys.is_empty() { "--show-labels".to_owned() } else { format!("-L {}", keys.join(",")) };
        let commands = vec![format!("kubectl get nodes {labels}"), next::yaml(workload)];
        return Some(person(cause, because(), facts.grounds("the node selector or affinity"), why, commands));
    };
    let mut grounds = facts.grounds("the node selector or affinity");
    grounds.push(candidate);
    Some(rule(cause, because(), grounds, Cure::Repair { changes, help, hold: None }))
}

/// The label that was meant: a near value of the same key, or a near key with the same value.
fn near_label(snapshot: &Snapshot, facts: &Facts<'_>, demand: &Demand) -> Option<(Vec<Change>, String, Ground)> {
    let workload = &facts.template.workload;
    let [(value, path)] = demand.values.as_slice() else { return None };
    let key = &demand.key;
    if let Near::One(near) = nearest(value, values_of(snapshot, key)) {
        let said = format!("{key}={near} is the only label of a node that is nearly the one demanded");
        let changes = vec![set(workload, path.clone(), value.as_str(), near.as_str())];
        return Some((changes, format!("demand a node with {key}={near}"), ground(ONE_CANDIDATE, said)));
    }
    let labels = snapshot.nodes.iter().flat_map(|node| node.metadata.labels.iter());
    let same_value = labels.filter(|(_, has)| *has == value).map(|(key, _)| key.as_str());
    let Near::One(near) = nearest(key, same_value) else { return None };
    let (parent, _) = path.split_last().filter(|_| demand.in_map)?;
    let changes =
        vec![remove(workload, path.clone(), value.as_str()), add(workload, parent.key(&near), value.as_str())];
    let said = format!("{near}={value} is the only label of a node that is nearly the one demanded");
    Some((changes, format!("demand a node with {near}={value}"), ground(ONE_CANDIDATE, said)))
}

fn no_label(snapshot: &Snapshot, demand: &Demand) -> String {
    let values = values_of(snapshot, &demand.key);
    if !values.is_empty() {
        return format!("the nodes have the label {} with {}, and none of these is near", demand.key, listed(values));
    }
    let own = |key: &&String| !key.contains("kubernetes.io/");
    let keys = snapshot.nodes.iter().flat_map(|n| n.metadata.labels.keys()).filter(own).map(String::as_str);
    let others = match listed(keys).as_str() {
        "none" => String::new(),
        keys => format!(" (they have {keys})"),
    };
    format!("no node has a label {}{others}: to label a node or to drop the demand is a decision", demand.key)
}

/// Requests that no node can hold, however empty.
fn too_large(facts: &Facts<'_>) -> Option<Diagnosis> {
    let after = facts.said.split_once("Insufficient ")?.1;
    let resource = after.split([',', ' ']).next()?.trim_end_matches('.');
    let (snapshot, workload) = (&*facts.evidence.snapshot, &facts.template.workload);
    let asks = request(&facts.template, resource);
    let field = |c: &Part<'_>| Some(format!("\"{resource}\":{}", asked(c, resource)?.value));
    let fields: Vec<String> = facts.template.containers().iter().filter_map(field).collect();
    let because = || facts.because(&fields.iter().map(String::as_str).collect::<Vec<_>>());
    let who = who_asks(&facts.template, resource, asks);
    let commands = vec![capacity(resource), next::yaml(workload)];
    let mut grounds = facts.grounds(resource);
    let Some(most) = largest(snapshot, resource) else {
        let cause = format!("{who}, and no node offers any");
        let why = "either the nodes were not read, or it is a device that none of them has".to_owned();
        return Some(person(cause, because(), grounds, why, commands));
    };
    if asks <= most {
        return Some(full(facts, resource, &who, most));
    }
    let cause = format!("{who}, and the largest node has {} to give", figure(resource, most));
    grounds.push(ground(AGREES, "even an empty node has too little"));
    let blamed = |path: &FieldPath| is_of(path, resource);
    let was = |was: &str| format!("{cause}; {was}");
    let back = went_back(facts.evidence, workload, blamed, was, because(), grounds.clone());
    back.filter(|back| !back.changes().is_empty() && history::asks_no_more(back.changes())).or_else(|| {
        let most = amount(resource, most);
        let why = format!("no earlier revision says how much it needs; any value up to {most} would be a guess");
        Some(person(cause, because(), grounds, why, commands))
    })
}

/// A node could hold it, but all of them are full: that is no error in Git.
fn full(facts: &Facts<'_>, resource: &str, who: &str, most: Quantity) -> Diagnosis {
    let most = figure(resource, most);
    let cause = format!("{who}; the largest node has {most} in all, and what is left of that is too little");
    let why =
        "the cluster is full: an emptier or another node would take the pod, and no line of the repository is wrong"
            .to_owned();
    let commands = vec!["kubectl describe nodes | grep -A 8 'Allocated resources'".to_owned(), capacity(resource)];
    person(cause, facts.because(&[]), facts.grounds(resource), why, commands)
}

/// ``"`app` asks for 100 CPU"``; of several containers, the sum and each.
fn who_asks(template: &Template, resource: &str, sum: Quantity) -> String {
    let containers = template.containers();
    let each: Vec<(&str, Quantity)> =
        containers.iter().filter_map(|c| Some((c.name(), Quantity::of(asked(c, resource)?.value)?))).collect();
    match each.as_slice() {
        [(name, one)] if *one == sum => format!("`{name}` asks for {}", amount(resource, sum)),
        each => {
            let each: Vec<String> =
                each.iter().map(|(name, one)| format!("`{name}` {}", figure(resource, *one))).collect();
            format!("the pod asks for {} ({})", amount(resource, sum), each.join(", "))
        }
    }
}

/// `2 CPU`, `23.4Gi of memory`, `1 nvidia.com/gpu`
fn amount(resource: &str, quantity: Quantity) -> String {
    let figure = figure(resource, quantity);
    match resource {
        "cpu" => format!("{figure} CPU"),
        "memory" => format!("{figure} of memory"),
        "ephemeral-storage" => format!("{figure} of ephemeral storage"),
        other => format!("{figure} {other}"),
    }
}

fn figure(resource: &str, quantity: Quantity) -> String {
    if matches!(resource, "memory" | "ephemeral-storage") { quantity.rounded() } else { quantity.to_string() }
}

/// What each node can give of a resource.
fn capacity(resource: &str) -> String {
    let head = match resource {
        "cpu" => "CPU",
        "memory" => "MEMORY",
        _ => "HAS",
    };
    let field = resource.replace('.', "\\\\.");
    format!("kubectl get nodes -o custom-columns=NODE:.metadata.name,{head}:.status.allocatable.{field}")
}

/// Taints, anti-affinity, zones of volumes, devices: what the scheduler says, and that it is a decision.
fn told(evidence: &Evidence, said: &str) -> Diagnosis {
    let finding = evidence.incident.first();
    let pod = finding.pods.first().unwrap_or(&finding.workload);
    let nodes = || "kubectl describe nodes".to_owned();
    let (cause, why, look) = if said.contains("untolerated taint {node.kubernetes.io/") {
        (
            "the nodes that are left are cordoned, not ready or short of something",
            "the nodes are to be mended, and no line of the repository is wrong",
            "kubectl get nodes".to_owned(),
        )
    } else if said.contains("untolerated taint") {
        (
            "the nodes have a taint that the pod does not tolerate",
            "the taint keeps pods away on purpose: a toleration is a decision",
            "kubectl get nodes -o custom-columns='NODE:.metadata.name,TAINTS:.spec.taints[*].key'".to_owned(),
        )
    } else if said.contains("anti-affinity") || said.contains("topology spread") {
        (
            "the pod may not share a node or zone with the pods that are there already",
            "more nodes, fewer replicas or a looser rule would do, and which is a decision",
            nodes(),
        )
    } else if said.contains("volume node affinity conflict") {
        (
            "the pod's volume is bound to a zone or node that has no room",
            "a volume moves only with its data, and nothing here comes near data",
            next::list("PersistentVolumeClaim", pod.namespace.as_deref()),
        )
    } else if said.contains("unbound immediate PersistentVolumeClaims") {
        (
            "a claim of the pod has no volume yet",
            "the claim does not say why",
            next::list("PersistentVolumeClaim", pod.namespace.as_deref()),
        )
    } else {
        ("no node takes the pod", "no field of the manifest is named as the cause", nodes())
    };
    let commands = vec![look, next::describe(pod)];
    let grounds = vec![ground(STATUS_NAMES_IT, "the scheduler says why each node refuses")];
    person(cause.to_owned(), vec![evidence.quote(short(said))], grounds, why.to_owned(), commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BEFORE, NOW, changes, deployment, event, found, object, pod, replica_set, taken, work};
    use serde_json::{Value, json};

    fn node(name: &str, labels: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            "status": {"allocatable": {"cpu": "2", "memory": "8Gi"}, "conditions": [{"type": "Ready", "status": "True"}]}})
    }

    fn status(message: &str, since: &str) -> Value {
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": message, "lastTransitionTime": since}]})
    }

    fn cluster(spec: &Value, message: &str, more: &[Value]) -> Value {
        let mut all = vec![
            taken(),
            deployment("web", spec, &json!({})),
            replica_set("web", 2, 0, spec, &json!({})),
            pod("web-2", spec, &status(message, BEFORE)),
        ];
        all.extend_from_slice(more);
        Value::from(all)
    }

    fn asks(cpu: &str) -> Value {
        json!({"containers": [{"name": "app", "resources": {"requests": {"cpu": cpu}}}]})
    }

    const CPU: &str = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: x";
    const LABEL: &str = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. preemption: x";

    #[test]
    fn a_request_above_every_node_goes_back_to_what_ran() {
        let before = replica_set("web", 1, 1, &asks("200m"), &json!({}));
        let (incident, diagnosis) = work(ID.0, &cluster(&asks("20"), CPU, &[before, node("a", &json!({}))]), &[]);
        assert_eq!(incident.first().symptom, "gets no node for 1 pod: 0/1 nodes are available: 1 Insufficient cpu");
        assert_eq!(
            changes(&diagnosis),
            [r#"spec.template.spec.containers[name=app].resources.requests.cpu: "20" -> "200m""#]
        );
        assert!(diagnosis.unwrap().confidence >= 80);
    }

    #[test]
    fn a_request_that_the_last_rollout_lowered_does_not_go_back_up() {
        let before = replica_set("web", 1, 1, &asks("40"), &json!({}));
        let (_, diagnosis) = work(ID.0, &cluster(&asks("20"), CPU, &[before, node("a", &json!({}))]), &[]);
        assert!(changes(&diagnosis).is_empty());
    }

    #[test]
    fn without_history_or_on_a_full_cluster_it_is_a_persons() {
        let (_, diagnosis) = work(ID.0, &cluster(&asks("20"), CPU, &[node("a", &json!({}))]), &[]);
        assert!(changes(&diagnosis).is_empty() && diagnosis.unwrap().cause.contains("the largest node has 2 to give"));
        let before = replica_set("web", 1, 1, &asks("200m"), &json!({}));
        let (_, full) = work(ID.0, &cluster(&asks("1"), CPU, &[before, node("a", &json!({}))]), &[]);
        assert!(changes(&full).is_empty() && full.unwrap().cause.contains("too little"));
    }

    #[test]
    fn the_one_near_label_of_a_node_is_demanded_instead() {
        let spec = json!({"nodeSelector": {"disktype": "nvme-fsat"}, "containers": [{"name": "app"}]});
        let (_, value) = work(ID.0, &cluster(&spec, LABEL, &[node("a", &json!({"disktype": "nvme-fast"}))]), &[]);
        assert_eq!(changes(&value), [r#"spec.template.spec.nodeSelector.disktype: "nvme-fsat" -> "nvme-fast""#]);
        let (_, key) = work(ID.0, &cluster(&spec, LABEL, &[node("a", &json!({"disk-type": "nvme-fsat"}))]), &[]);
        let path = "spec.template.spec.nodeSelector";
        assert_eq!(changes(&key), [format!("{path}.disktype removed"), format!("{path}.disk-type += \"nvme-fsat\"")]);
        let two = [node("a", &json!({"disktype": "nvme-fast"})), node("b", &json!({"disktype": "nvme-fsatt"}))];
        assert!(changes(&work(ID.0, &cluster(&spec, LABEL, &two), &[]).1).is_empty());
    }

    #[test]
    fn a_value_of_a_required_affinity_is_addressed_by_number() {
        let zone = json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["europe-nroth"]}]}]);
        let affinity =
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": zone}}});
        let spec = json!({"affinity": affinity, "containers": [{"name": "app"}]});
        let (_, diagnosis) = work(ID.0, &cluster(&spec, LABEL, &[node("a", &json!({"zone": "europe-north"}))]), &[]);
        let shown = changes(&diagnosis);
        assert!(
            shown[0]
                .ends_with(r#"nodeSelectorTerms[0].matchExpressions[0].values[0]: "europe-nroth" -> "europe-north""#),
            "{shown:?}"
        );
    }

    #[test]
    fn a_claim_of_nearly_that_name_is_used_when_it_is_free() {
        let spec = json!({"containers": [{"name": "app"}], "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "web-dta"}}]});
        let claim = object("v1", "PersistentVolumeClaim", "web-data", &json!({"status": {"phase": "Bound"}}));
        let said = "0/1 nodes are available: persistentvolumeclaim \"web-dta\" not found. not found";
        let (_, diagnosis) = work(ID.0, &cluster(&spec, said, std::slice::from_ref(&claim)), &[]);
        assert_eq!(
            changes(&diagnosis),
            [r#"spec.template.spec.volumes[name=d].persistentVolumeClaim.claimName: "web-dta" -> "web-data""#]
        );
        let taken = json!({"containers": [{"name": "app"}], "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "web-data"}}]});
        let other = deployment("other", &taken, &json!({}));
        assert!(work(ID.0, &cluster(&spec, said, &[claim, other]), &[]).1.unwrap().confidence < 80);
    }

    #[test]
    fn a_pod_that_just_came_or_for_which_a_node_is_on_its_way_is_no_failure() {
        let mut young = cluster(&asks("20"), CPU, &[]);
        young[3]["status"] = status(CPU, NOW);
        assert_eq!(found(&young), []);
        young[3]["status"] = status(CPU, "2026-11-23T11:58:00Z");
        assert_eq!(found(&young).len(), 1);
        let scaling = event(("Pod", "web-2-x"), "", "TriggeredScaleUp", "pod triggered scale-up", 1);
        young.as_array_mut().unwrap().push(scaling);
        assert_eq!(found(&young), []);
        let full = event(("Pod", "web-2-x"), "", "NotTriggerScaleUp", "max node group size reached", 1);
        young.as_array_mut().unwrap().push(full);
        assert_eq!(found(&young).len(), 1);
    }

    #[test]
    fn a_taint_is_told_word_for_word() {
        let said = "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}. preemption: x";
        let diagnosis = work(ID.0, &cluster(&asks("1"), said, &[]), &[]).1.unwrap();
        assert!(diagnosis.changes().is_empty() && diagnosis.cause.contains("have a taint"));
    }
}
