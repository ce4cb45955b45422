#![doc = include_str!("service_no_endpoints.md")]

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::Value;

use crate::case::{
    Cure, Diagnosis, EndpointSlice, Evidence, FailureId, Finding, Ground, ObjectRef, Pod, Service, ServicePort,
    Snapshot, Workload,
};
use crate::detect::{Claims, Look, pod_ref};
use crate::diagnose::changes::{add, remove, set};
use crate::diagnose::confidence::{AGREES, ONE_CANDIDATE, STATUS_NAMES_IT, doubt, ground};
use crate::diagnose::near::{Near, listed, nearest};
use crate::diagnose::services::{selected_pods, selecting, selects, serving_workloads, template_labels};
use crate::diagnose::{history, next, person, rule, went_back};
use crate::failures::Failure;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// A Service sends its traffic nowhere: no pod is behind it, or the port that it names is none of theirs.
pub struct ServiceNoEndpoints;

const ID: FailureId = FailureId("service-no-endpoints");

/// A Service this young may be waiting for the rest of its folder to be applied.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

impl Failure for ServiceNoEndpoints {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("service_no_endpoints.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        if !look.kinds.contains("EndpointSlice") {
            return Vec::new(); // nothing is known about endpoints; that is not the same as none
        }
        look.services.iter().filter_map(|service| finding(service, look)).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let id = &evidence.incident.first().workload;
        let service = evidence.snapshot.service(id.namespace.as_deref(), &id.name)?;
        match unknown_port(service, &evidence.snapshot) {
            Some((index, port, name)) => named_port(evidence, service, index, port, name),
            None => Some(selector(evidence, service)),
        }
    }
}

fn service_ref(service: &Service) -> ObjectRef {
    ObjectRef::new("v1", "Service", service.metadata.namespace.as_deref(), &service.metadata.name)
}

fn finding(service: &Service, snapshot: &Snapshot) -> Option<Finding> {
    let meta = &service.metadata;
    let old_enough = meta.creation_timestamp.is_none_or(|at| snapshot.taken.duration_since(at) >= GRACE);
    let leader = meta.annotations.contains_key("control-plane.alpha.kubernetes.io/leader");
    let external = service.spec.r#type.as_deref() == Some("ExternalName");
    if service.spec.selector.is_empty() || external || leader || !old_enough || meta.deletion_timestamp.is_some() {
        return None;
    }
    let symptom = if let Some((_, port, name)) = unknown_port(service, snapshot) {
        format!("has nothing behind port {}: no selected pod has a port named `{name}`", port.port)
    } else if selects_nothing(service, snapshot) {
        format!("has no endpoint: no pod has {}", labels(&service.spec.selector))
    } else {
        return None;
    };
    Some(Finding {
        failure: ID,
        workload: service_ref(service),
        container: None,
        symptom,
        since: meta.creation_timestamp,
        pods: selected_pods(snapshot, service).into_iter().map(pod_ref).collect(),
        shared: None,
    })
}

/// `the label app=web`, `the labels app=web,tier=front`
fn labels(selector: &BTreeMap<String, String>) -> String {
    format!("the label{} {}", if selector.len() == 1 { "" } else { "s" }, words(selector))
}

fn has_ready(slice: &EndpointSlice) -> bool {
    slice.endpoints.iter().any(|e| e.conditions.ready != Some(false))
}

/// Nothing is behind it and nothing is meant to be: pods that exist and are not ready, and workloads that could not
/// make any, have findings of their own, and one that is scaled to zero is asleep.
fn selects_nothing(service: &Service, snapshot: &Snapshot) -> bool {
    if snapshot.slices_of(service).any(has_ready) || !selected_pods(snapshot, service).is_empty() {
        return false;
    }
    // A ReplicaSet of an older revision keeps labels that its Deployment no longer has.
    let is_own = |w: &&Workload| {
        !matches!(snapshot.root_owner(&w.id()).kind.as_str(), "Deployment" | "CronJob")
            || matches!(w.kind.as_str(), "Deployment" | "CronJob")
    };
    let meant = snapshot.workloads_in(service.metadata.namespace.as_deref()).filter(is_own);
    !meant.into_iter().any(|w| selects(&service.spec.selector, &template_labels(w)))
}

/// A port of the Service that names a target port which no selected pod declares, while pods are ready.
fn unknown_port<'s>(service: &'s Service, snapshot: &Snapshot) -> Option<(usize, &'s ServicePort, &'s str)> {
    let served = |port: &ServicePort| {
        let name = port.name.as_deref().unwrap_or("");
        let listed = |s: &&EndpointSlice| s.ports.iter().flatten().any(|p| p["name"].as_str().unwrap_or("") == name);
        snapshot.slices_of(service).filter(|s| has_ready(s)).any(|s| listed(&s))
    };
    if !snapshot.slices_of(service).any(has_ready) {
        return None;
    }
    let named = service.spec.ports.iter().enumerate().filter_map(|(i, port)| {
        let name = port.target_port.as_ref()?.as_str()?;
        (name.parse::<u16>().is_err()).then_some((i, port, name))
    });
    let mut unserved = named.filter(|(_, port, _)| !served(port)).peekable();
    unserved.peek()?;
    let pods = selected_pods(snapshot, service);
    let declared: Vec<&str> = declared_ports(&pods).into_iter().filter_map(|(name, _)| name).collect();
    unserved.find(|(_, _, name)| !declared.contains(name) && !pods.is_empty())
}

/// Names and numbers of the ports that pods declare, each once.
fn declared_ports<'p>(pods: &[&'p Pod]) -> Vec<(Option<&'p str>, i64)> {
    let containers = pods.iter().flat_map(|p| p.spec.init_containers.iter().chain(&p.spec.containers));
    let mut ports: Vec<_> = containers
        .flat_map(|c| &c.ports)
        .filter(|p| p.protocol.as_deref() != Some("UDP"))
        .map(|p| (p.name.as_deref(), p.container_port))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// How a workload's labels miss a selector.
enum Miss {
    /// The value of one label is nearly the one that is asked for.
    Value { key: String, asked: String, has: String },
    /// The label goes by a name that is nearly the one that is asked for.
    Key { asked: String, has: String, value: String },
    /// One label is asked for that the workload does not have.
    Extra { key: String, value: String },
}

impl Miss {
    /// The label that is asked for.
    fn key(&self) -> &str {
        match self {
            Self::Value { key, .. } | Self::Extra { key, .. } => key,
            Self::Key { asked, .. } => asked,
        }
    }

    /// What the workload has instead.
    fn has(&self) -> String {
        match self {
            Self::Value { key, has, .. } => format!("{key}={has}"),
            Self::Key { has, value, .. } => format!("{has}={value}"),
            Self::Extra { key, .. } => format!("no {key}"),
        }
    }
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

fn miss(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> Option<Miss> {
    let mut missed = selector.iter().filter(|(key, value)| labels.get(*key) != Some(value));
    let (key, asked) = missed.next()?;
    if missed.next().is_some() {
        return None;
    }
    if let Some(has) = labels.get(key) {
        let near = matches!(nearest(asked, [has.as_str()]), Near::One(_));
        return near.then(|| Miss::Value { key: key.clone(), asked: asked.clone(), has: has.clone() });
    }
    let same_value = labels.iter().filter(|(_, value)| *value == asked).map(|(key, _)| key.as_str());
    match nearest(key, same_value) {
        Near::One(has) => Some(Miss::Key { asked: key.clone(), has, value: asked.clone() }),
        _ if selector.len() > 1 => Some(Miss::Extra { key: key.clone(), value: asked.clone() }),
        _ => None,
    }
}

fn selector(evidence: &Evidence, service: &Service) -> Diagnosis {
    let (snapshot, id) = (&*evidence.snapshot, service_ref(service));
    let asked = &service.spec.selector;
    let fits: Vec<(&Workload, Miss)> = serving_workloads(snapshot, id.namespace.as_deref())
        .filter_map(|w| Some((w, miss(asked, &template_labels(w))?)))
        .collect();
    let (workload, miss) = match fits.as_slice() {
        [(workload, miss)] => (*workload, miss),
        [] => return nothing_fits(evidence, service),
        several => return several_fit(evidence, service, several),
    };
    if let Some(healthy) = history::last_healthy(snapshot, &workload.id())
        && selects(
            asked,
            &crate::case::string_map(healthy.template.pointer("/metadata/labels").unwrap_or(&Value::Null)),
        )
    {
        return labels_changed(evidence, service, workload, &healthy.name);
    }
    let path = FieldPath::keys(&["spec", "selector"]);
    let target = workload.id();
    let (cause, changes, help) = match miss {
        Miss::Value { key, asked, has } => (
            format!("the selector asks for {key}={asked}, and the pods of {target} have {key}={has}"),
            vec![set(&id, path.key(key), asked.as_str(), has.as_str())],
            format!("select {key}={has}"),
        ),
        Miss::Key { asked, has, value } => (
            format!("the selector asks for the label {asked}, and the pods of {target} have {has}={value}"),
            vec![remove(&id, path.clone().key(asked), value.as_str()), add(&id, path.key(has), value.as_str())],
            format!("select {has}={value}"),
        ),
        Miss::Extra { key, value } => (
            format!("the selector asks for {key}={value}, too, and the pods of {target} have no label {key}"),
            vec![remove(&id, path.key(key), value.as_str())],
            format!("do not ask for {key}"),
        ),
    };
    let hold = matches!(miss, Miss::Extra { .. }).then(|| {
        "without that label the Service selects more; the label may be missing on the pods instead".to_owned()
    });
    let grounds = selector_grounds(evidence, service, workload);
    let missed: BTreeMap<String, String> = asked.iter().filter(|(key, _)| *key == miss.key()).map(owned).collect();
    rule(cause, because(evidence, &missed), grounds, Cure::Repair { changes, help, hold })
}

fn selector_grounds(evidence: &Evidence, service: &Service, workload: &Workload) -> Vec<Ground> {
    let name = &service.metadata.name;
    let mut grounds = vec![
        ground(STATUS_NAMES_IT, "no endpoint, and nothing in the namespace has what is asked for"),
        ground(ONE_CANDIDATE, format!("only {} has nearly those labels", workload.id())),
    ];
    if *name == workload.metadata.name {
        grounds.push(ground(AGREES, "Service and workload have one name"));
    } else if service.spec.selector.values().any(|value| value == name) {
        grounds.push(doubt(40, "the selector agrees with the Service's name: its workload may be missing"));
    }
    let to_come = |d: &&crate::case::Declared| {
        let makes_pods = matches!(d.id.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet");
        makes_pods
            && service.spec.selector.values().any(|value| *value == d.id.name)
            && d.id.name != workload.metadata.name
    };
    if let Some(to_come) = evidence.declared.iter().find(to_come) {
        grounds.push(doubt(60, format!("the repository declares {}, which may have these labels", to_come.id)));
    }
    let others = selecting(&evidence.snapshot, service.metadata.namespace.as_deref(), &template_labels(workload));
    match others.first() {
        None => grounds.push(ground(AGREES, "no other Service selects it")),
        Some(other) => grounds.push(doubt(40, format!("Service {} selects it already", other.metadata.name))),
    }
    grounds
}

fn because(evidence: &Evidence, selector: &BTreeMap<String, String>) -> Vec<Option<crate::case::Quote>> {
    let mut quotes = vec![evidence.quote("endpoints=null")];
    quotes.extend(selector.iter().map(|(key, value)| evidence.quote(&format!("\"{key}\":\"{value}\""))));
    quotes
}

fn nothing_fits(evidence: &Evidence, service: &Service) -> Diagnosis {
    let id = service_ref(service);
    let cause =
        format!("no pod template in namespace {} has {}, and none is near", id.ns(), labels(&service.spec.selector));
    let names: Vec<String> = serving_workloads(&evidence.snapshot, id.namespace.as_deref())
        .map(|w| format!("{} {} ({})", w.kind, w.metadata.name, words(&template_labels(w))))
        .collect();
    let why = format!(
        "the workload is missing, or the Service is left over; the namespace has {}",
        listed(names.iter().map(String::as_str))
    );
    let grounds = vec![ground(STATUS_NAMES_IT, "no endpoint, and no pod template with these labels")];
    let commands = vec![format!("kubectl get pods -n {} --show-labels", id.ns()), next::describe(&id)];
    person(cause, because(evidence, &service.spec.selector), grounds, why, commands)
}

fn several_fit(evidence: &Evidence, service: &Service, fits: &[(&Workload, Miss)]) -> Diagnosis {
    let near: Vec<String> =
        fits.iter().map(|(w, miss)| format!("{} {} has {}", w.kind, w.metadata.name, miss.has())).collect();
    let asked = words(&service.spec.selector);
    let cause = format!("the selector asks for {asked}, and several come near: {}", near.join(", "));
    let why = "nothing says which of them is meant".to_owned();
    let grounds = vec![ground(STATUS_NAMES_IT, "no endpoint, and no pod template with these labels")];
    person(
        cause,
        because(evidence, &service.spec.selector),
        grounds,
        why,
        vec![
            format!("kubectl get pods -n {} --show-labels", service_ref(service).ns()),
            next::yaml(&service_ref(service)),
        ],
    )
}

/// The last change was to the labels, not to the selector: those are to be put back, not the Service.
fn labels_changed(evidence: &Evidence, service: &Service, workload: &Workload, revision: &str) -> Diagnosis {
    let target = workload.id();
    let asked = words(&service.spec.selector);
    let labels = |path: &FieldPath| path.starts_with(&FieldPath::keys(&["metadata", "labels"]));
    let grounds = || vec![ground(STATUS_NAMES_IT, "no endpoint, and nothing in the namespace has what is asked for")];
    let cause = |was: &str| format!("the labels of {target} changed away from the selector {asked}; {was}");
    let quotes = || because(evidence, &service.spec.selector);
    went_back(evidence, &target, labels, cause, quotes(), grounds()).unwrap_or_else(|| {
        let why = format!("the labels of {target} fitted in {revision}; they changed, not the Service");
        person(cause(""), quotes(), grounds(), why, vec![next::rollout_history(&target)])
    })
}

/// `targetPort: web` while the pods call it `http`.
fn named_port(
    evidence: &Evidence,
    service: &Service,
    index: usize,
    port: &ServicePort,
    name: &str,
) -> Option<Diagnosis> {
    let id = service_ref(service);
    let pods = selected_pods(&evidence.snapshot, service);
    let declared = declared_ports(&pods);
    let owner = evidence.snapshot.workload_of(pods.first()?);
    let quotes = || vec![evidence.quote(&format!("\"targetPort\":\"{name}\"")), evidence.quote("ports=null")];
    let cause = format!(
        "port {} goes to the pods' port `{name}`, and those of {owner} declare {}",
        port.port,
        listed(declared.iter().filter_map(|(name, _)| *name))
    );
    let said = || vec![ground(STATUS_NAMES_IT, "pods are ready, and no endpoint has this port")];
    let renamed = |path: &FieldPath| path.to_string().contains(".ports");
    let was = |was: &str| format!("{cause}; {was}");
    if let Some(back) = went_back(evidence, &owner, renamed, was, quotes(), said())
        && !back.changes().is_empty()
    {
        return Some(back);
    }
    let list = FieldPath::keys(&["spec", "ports"]);
    let item = port.name.as_deref().map_or_else(|| list.clone().index(index), |name| list.clone().named(name));
    let path = item.key("targetPort");
    let names = || declared.iter().filter_map(|(name, _)| *name);
    let (to, hold): (Value, Option<String>) = match nearest(name, names()) {
        Near::One(near) => (near.into(), None),
        Near::None if declared.len() == 1 => {
            let to = declared[0].0.map_or_else(|| declared[0].1.into(), Value::from);
            (to, Some(format!("{owner} may be meant to call its port `{name}` instead")))
        }
        _ => {
            let why = format!("which port was meant cannot be told: none has a name near `{name}`");
            return Some(person(cause, quotes(), said(), why, vec![next::yaml(&owner), next::describe(&id)]));
        }
    };
    let mut grounds = said();
    grounds.push(ground(ONE_CANDIDATE, format!("{} is the only declared port that fits", shown(&to))));
    if declared.len() == 1 {
        grounds.push(ground(AGREES, "the pods declare no other port"));
    }
    let help = format!("send traffic to port {}", shown(&to));
    let changes = vec![set(&id, path, name, to)];
    Some(rule(cause, quotes(), grounds, Cure::Repair { changes, help, hold }))
}

/// A port by its name or its number.
fn shown(port: &Value) -> String {
    port.as_str().map_or_else(|| port.to_string(), |name| format!("`{name}`"))
}

/// `app=web,tier=front`
fn words(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{changes, deployment, found, object, pod, taken, work};
    use serde_json::json;

    fn service(name: &str, app: &str, target: &str) -> Value {
        let ports = json!([{"port": 80, "targetPort": target}]);
        object("v1", "Service", name, &json!({"spec": {"selector": {"app": app}, "ports": ports}}))
    }

    fn slice(service: &str, endpoints: &Value) -> Value {
        let labels = json!({"metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints, "ports": null});
        object("discovery.k8s.io/v1", "EndpointSlice", &format!("{service}-x"), &labels)
    }

    fn app() -> Value {
        json!({"containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 8080}]}]})
    }

    fn ready() -> Value {
        json!({"phase": "Running", "containerStatuses": [{"name": "app", "ready": true}]})
    }

    fn cluster(name: &str, selector: &str, workloads: &[&str]) -> Value {
        let mut all = vec![taken(), service(name, selector, "8080"), slice(name, &Value::Null)];
        all.extend(workloads.iter().map(|w| deployment(w, &app(), &json!({}))));
        Value::from(all)
    }

    #[test]
    fn a_selector_one_letter_off_gets_the_label_of_the_one_workload_that_fits() {
        let (incident, diagnosis) = work(ID.0, &cluster("backend", "app-backnd", &["app-backend", "web"]), &[]);
        assert_eq!(incident.first().workload.to_string(), "Service shop/backend");
        assert_eq!(changes(&diagnosis), [r#"spec.selector.app: "app-backnd" -> "app-backend""#]);
        assert!(diagnosis.unwrap().confidence >= 80);
    }

    #[test]
    fn of_two_workloads_that_fit_none_is_chosen() {
        let (_, diagnosis) = work(ID.0, &cluster("backend", "app-backend", &["app-backends", "app-backendd"]), &[]);
        assert!(changes(&diagnosis).is_empty());
    }

    #[test]
    fn a_selector_that_agrees_with_its_service_is_not_sure_enough() {
        let (_, diagnosis) = work(ID.0, &cluster("payments", "payments", &["payment"]), &[]);
        assert!(diagnosis.unwrap().confidence < 80);
    }

    #[test]
    fn pods_that_exist_and_workloads_that_sleep_are_not_this_failure() {
        let mut pending = cluster("web", "web", &["web"]);
        assert_eq!(found(&pending), []);
        pending[1]["metadata"]["creationTimestamp"] = crate::testing::NOW.into();
        pending[1]["spec"]["selector"]["app"] = "young".into();
        assert_eq!(found(&pending), []);
    }

    #[test]
    fn a_label_too_many_is_taken_away_and_held() {
        let mut all = cluster("web", "web", &["web"]);
        all[1]["spec"]["selector"]["track"] = "stable".into();
        let (_, diagnosis) = work(ID.0, &all, &[]);
        assert_eq!(changes(&diagnosis), ["spec.selector.track removed"]);
        assert!(matches!(diagnosis.unwrap().cure, Cure::Repair { hold: Some(_), .. }));
    }

    #[test]
    fn labels_that_changed_in_the_last_rollout_go_back_and_the_service_stays() {
        let mut all = cluster("web", "frontend", &["web"]);
        let labels = |tier: &str| json!({"spec": {"template": {"metadata": {"labels": {"tier": tier}}}}});
        let old = json!({"spec": {"template": {"metadata": {"labels": {"app": "web", "tier": "frontend"}}}}});
        all[1]["spec"]["selector"] = json!({"tier": "frontend"});
        all[3] = deployment("web", &app(), &labels("front-end"));
        let list = all.as_array_mut().unwrap();
        list.push(crate::testing::replica_set("web", 2, 0, &app(), &labels("front-end")));
        list.push(crate::testing::replica_set("web", 1, 1, &app(), &old));
        let (_, diagnosis) = work(ID.0, &all, &[]);
        assert_eq!(changes(&diagnosis), [r#"spec.template.metadata.labels.tier: "front-end" -> "frontend""#]);
    }

    #[test]
    fn without_slices_nothing_is_known() {
        let blind = json!([taken(), service("web", "wbe-app", "8080"), deployment("web-app", &app(), &json!({}))]);
        assert_eq!(found(&blind), []);
    }

    fn named(target: &str) -> Value {
        let endpoints = json!([{"conditions": {"ready": true}}]);
        json!([
            taken(),
            service("web", "web", target),
            slice("web", &endpoints),
            deployment("web", &app(), &json!({})),
            crate::testing::replica_set("web", 2, 1, &app(), &json!({})),
            pod("web-2", &app(), &ready())
        ])
    }

    #[test]
    fn a_port_name_one_letter_off_is_set_and_another_name_is_held() {
        let (_, near) = work(ID.0, &named("htttp"), &[]);
        assert_eq!(changes(&near), [r#"spec.ports[0].targetPort: "htttp" -> "http""#]);
        assert!(matches!(near.unwrap().cure, Cure::Repair { hold: None, .. }));
        let (_, other) = work(ID.0, &named("web"), &[]);
        assert!(matches!(other.unwrap().cure, Cure::Repair { hold: Some(_), .. }));
        assert_eq!(found(&named("http")), []);
    }
}
