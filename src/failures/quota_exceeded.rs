#![doc = include_str!("quota_exceeded.md")]

use serde_json::Value;

use crate::case::{Change, Cure, Diagnosis, Evidence, FailureId, Finding, Ground, ObjectRef, Quote, Shared, Snapshot};
use crate::detect::{Claims, FailedCreate, Look, count, failed_creates};
use crate::diagnose::changes::add;
use crate::diagnose::confidence::{AGREES, REPEATED, STATUS_NAMES_IT, ground};
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{history, next, nodes, person, rule, went_back};
use crate::failures::Failure;
use crate::quantity::Quantity;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// A quota of the namespace keeps pods from being made.
pub struct QuotaExceeded;

const ID: FailureId = FailureId("quota-exceeded");

impl Failure for QuotaExceeded {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("quota_exceeded.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        look.failed_creates().iter().filter_map(|failed| finding(failed, look)).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let finding = evidence.incident.first();
        let failed = failed_creates(&evidence.snapshot).into_iter().find(|f| f.workload == finding.workload)?;
        match Refusal::parse(&failed.message)? {
            Refusal::Unset { quota, fields } => Some(unset(evidence, &failed, quota, &fields)),
            Refusal::Exceeded { quota, asked } => Some(exceeded(evidence, &failed, quota, &asked)),
        }
    }
}

/// What the quota's admission says.
enum Refusal<'m> {
    /// `exceeded quota: NAME, requested: pods=1, used: pods=1, limited: pods=1`
    Exceeded { quota: &'m str, asked: Vec<Asked<'m>> },
    /// `failed quota: NAME: must specify limits.memory for: app; requests.memory for: app`
    Unset { quota: &'m str, fields: Vec<&'m str> },
}

/// One resource of a refusal.
struct Asked<'m> {
    resource: &'m str,
    requested: &'m str,
    used: &'m str,
    limited: &'m str,
}

impl<'m> Refusal<'m> {
    fn parse(message: &'m str) -> Option<Self> {
        if let Some((_, rest)) = message.split_once("exceeded quota: ") {
            let (quota, rest) = rest.split_once(", requested: ")?;
            let (requested, rest) = rest.split_once(", used: ")?;
            let (used, limited) = rest.split_once(", limited: ")?;
            let of = |list: &'m str, resource: &str| {
                list.split(',').find_map(|pair| pair.trim().split_once('=').filter(|(r, _)| *r == resource))
            };
            let asked = requested.split(',').filter_map(|pair| {
                let (resource, requested) = pair.trim().split_once('=')?;
                Some(Asked { resource, requested, used: of(used, resource)?.1, limited: of(limited, resource)?.1 })
            });
            return Some(Self::Exceeded { quota, asked: asked.collect() });
        }
        let (quota, rest) = message.split_once("failed quota: ")?.1.split_once(": must specify ")?;
        // One field for each container in newer versions, a plain list in older ones.
        let fields = rest.split([',', ';']).map(|part| part.split(" for: ").next().unwrap_or(part).trim());
        let fields = fields.filter(|f| f.starts_with("limits.") || f.starts_with("requests.")).collect();
        Some(Self::Unset { quota, fields })
    }

    fn quota(&self) -> &'m str {
        match self {
            Self::Exceeded { quota, .. } | Self::Unset { quota, .. } => quota,
        }
    }
}

fn finding(failed: &FailedCreate, snapshot: &Snapshot) -> Option<Finding> {
    let refusal = Refusal::parse(&failed.message)?;
    let namespace = failed.workload.ns().to_owned();
    let quota = refusal.quota();
    let has = made(snapshot, &failed.workload);
    let symptom = match &refusal {
        Refusal::Exceeded { asked, .. } => {
            let wants = snapshot.workload(&failed.workload).and_then(|w| w.spec.replicas);
            let of = match (has, wants) {
                (0, Some(1)) => "does not get its pod".to_owned(),
                (0, Some(wants)) => format!("gets none of its {wants} pods"),
                (has, Some(wants)) if has < wants => format!("gets no more than {has} of {wants} pods"),
                _ => "gets no new pods".to_owned(),
            };
            format!("{of}: quota `{quota}` {}", no_room(asked))
        }
        Refusal::Unset { fields, .. } => {
            format!("gets no pods: quota `{quota}` counts {}, which is not set", fields.join(" and "))
        }
    };
    Some(Finding {
        failure: ID,
        workload: failed.workload.clone(),
        container: None,
        symptom,
        since: failed.since,
        pods: Vec::new(),
        shared: Some(Shared::Quota { namespace, name: quota.to_owned() }),
    })
}

/// The pods that a workload has, by its controllers' own count or by what was seen.
fn made(snapshot: &Snapshot, workload: &ObjectRef) -> i64 {
    let own = snapshot.workload(workload).and_then(|w| w.status.replicas).unwrap_or(0);
    let children: i64 = snapshot.children_of(workload).filter_map(|set| set.status.replicas).sum();
    let seen = i64::try_from(snapshot.pods_of(workload).count()).unwrap_or(i64::MAX);
    own.max(children).max(seen)
}

/// `has no room for another pod`, `is short of requests.memory`
fn no_room(asked: &[Asked<'_>]) -> String {
    let resources: Vec<&str> = asked.iter().map(|a| a.resource).filter(|r| !is_pods(r)).collect();
    if resources.is_empty() {
        return "has no room for another pod".to_owned();
    }
    format!("is short of {}", resources.join(" and "))
}

fn is_pods(resource: &str) -> bool {
    matches!(resource, "pods" | "count/pods")
}

/// What is asked for and what is left, in numbers.
fn arithmetic(asked: &[Asked<'_>], quota: &str, namespace: &str) -> String {
    if let [Asked { resource, used, limited, .. }] = asked
        && is_pods(resource)
    {
        return format!("quota `{quota}` allows {limited} pods in namespace {namespace}, and {used} are there");
    }
    let part = |a: &Asked<'_>| {
        let of = if is_pods(a.resource) { String::new() } else { format!(" of {}", a.resource) };
        let [requested, used, limited] = [a.requested, a.used, a.limited].map(|text| amount(a.resource, text));
        format!("{requested}{of} ({used} of {limited} in use)")
    };
    let parts: Vec<String> = asked.iter().map(part).collect();
    format!("a pod asks for {}, and quota `{quota}` of namespace {namespace} has no room for that", parts.join(" and "))
}

/// A quantity as a person would write it.
fn amount(resource: &str, text: &str) -> String {
    let is_bytes = resource.ends_with("memory") || resource.ends_with("storage");
    match Quantity::parse(text) {
        Some(quantity) if is_bytes => quantity.rounded(),
        _ => text.to_owned(),
    }
}

fn plural(n: i64, noun: &str) -> String {
    count(usize::try_from(n).unwrap_or(0), noun)
}

fn because(evidence: &Evidence, failed: &FailedCreate) -> Vec<Option<Quote>> {
    vec![evidence.quote(&failed.message)]
}

fn grounds(failed: &FailedCreate) -> Vec<Ground> {
    let mut grounds = vec![ground(STATUS_NAMES_IT, "the API server names the quota and its numbers")];
    if failed.times >= 3 {
        grounds.push(ground(REPEATED, format!("it refused {} times", failed.times)));
    }
    grounds
}

fn exceeded(evidence: &Evidence, failed: &FailedCreate, quota: &str, asked: &[Asked<'_>]) -> Diagnosis {
    let snapshot = &*evidence.snapshot;
    let namespace = failed.workload.ns();
    let cause = arithmetic(asked, quota, namespace);
    // Of several workloads that share the quota none is known to be the one that grew too large.
    if evidence.incident.workloads().len() == 1 {
        let resource =
            |a: &Asked<'_>| a.resource.trim_start_matches("requests.").trim_start_matches("limits.").to_owned();
        let counted: Vec<String> = asked.iter().map(resource).filter(|r| !is_pods(r)).collect();
        let blamed = |path: &FieldPath| counted.iter().any(|resource| nodes::is_of(path, resource));
        let was = |was: &str| format!("{cause}; {was}");
        let back = went_back(evidence, &failed.workload, blamed, was, because(evidence, failed), grounds(failed));
        if let Some(back) = back.filter(|back| !back.changes().is_empty() && history::asks_no_more(back.changes())) {
            return noted(back, snapshot, &failed.workload, asked);
        }
    }
    let only_pods = asked.iter().all(|a| is_pods(a.resource));
    let smaller = if only_pods { "" } else { " smaller requests," };
    let why = format!("fewer replicas,{smaller} a larger quota or less of something else would do: that is a decision");
    let commands =
        vec![format!("kubectl describe resourcequota {quota} -n {namespace}"), next::describe(&failed.workload)];
    let diagnosis = person(cause, because(evidence, failed), grounds(failed), why, commands);
    noted(diagnosis, snapshot, &failed.workload, asked)
}

/// The arithmetic: what is wanted, what would fit, and who uses how much.
fn noted(mut diagnosis: Diagnosis, snapshot: &Snapshot, workload: &ObjectRef, asked: &[Asked<'_>]) -> Diagnosis {
    let wants = snapshot.workload(workload).and_then(|w| w.spec.replicas);
    let has = made(snapshot, workload);
    let room = asked.iter().filter_map(more_pods).min();
    if let (Some(wants), Some(room)) = (wants, room) {
        let more = if room == 0 { "none more would fit".to_owned() } else { format!("{room} more would fit") };
        diagnosis.notes.push(format!("{} wanted, {has} there, {more}", plural(wants, "replica")));
    }
    for asked in asked {
        let mut users: Vec<(Quantity, String)> = snapshot
            .pods_by_workload()
            .filter(|(id, _)| id.namespace == workload.namespace)
            .filter_map(|(id, pods)| Some((uses(snapshot, id, pods.len(), asked.resource)?, id.to_string())))
            .filter(|(quantity, _)| !quantity.is_zero())
            .collect();
        users.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let told =
            |(quantity, who): &(Quantity, String)| format!("{who} {}", amount(asked.resource, &quantity.to_string()));
        let users: Vec<String> = users.iter().take(8).map(told).collect();
        if !users.is_empty() {
            diagnosis.notes.push(format!("{} in use: {}", asked.resource, users.join(", ")));
        }
    }
    diagnosis
}

/// How many more pods fit by this resource.
fn more_pods(asked: &Asked<'_>) -> Option<i64> {
    let (each, used) = (Quantity::parse(asked.requested)?, Quantity::parse(asked.used)?);
    let limited = Quantity::parse(asked.limited)?;
    if each.is_zero() || used >= limited {
        return (!each.is_zero()).then_some(0);
    }
    let mut fits = 0;
    let mut sum = used.plus(each);
    while sum <= limited && fits < 10_000 {
        fits += 1;
        sum = sum.plus(each);
    }
    Some(fits)
}

/// What a workload's pods take of a resource, by its template.
fn uses(snapshot: &Snapshot, workload: &ObjectRef, pods: usize, resource: &str) -> Option<Quantity> {
    let pods = u32::try_from(pods).ok()?;
    if is_pods(resource) {
        return Quantity::parse(&pods.to_string());
    }
    let template = Template::of(snapshot, workload)?;
    let each = if let Some(name) = resource.strip_prefix("limits.") {
        let of = |c: &Part<'_>| c.get("resources.limits").and_then(|l| Quantity::of(l.key(name)?.value));
        template.containers().iter().filter_map(of).fold(Quantity::zero(), Quantity::plus)
    } else {
        nodes::request(&template, resource.trim_start_matches("requests."))
    };
    Some(each.times(f64::from(pods)))
}

/// The quota counts what the pod leaves open: the fields must be set.
fn unset(evidence: &Evidence, failed: &FailedCreate, quota: &str, fields: &[&str]) -> Diagnosis {
    let cause = format!("quota `{quota}` counts {}, so every container must set it", fields.join(" and "));
    let blamed = |path: &FieldPath| path.to_string().contains(".resources");
    let was = |was: &str| format!("{cause}; {was}");
    let back = went_back(evidence, &failed.workload, blamed, was, because(evidence, failed), grounds(failed));
    if let Some(back) = back.filter(|back| !back.changes().is_empty()) {
        return back;
    }
    if let Some((changes, from)) = as_sibling(evidence, &failed.workload, fields) {
        let mut all = grounds(failed);
        all.push(ground(AGREES, format!("`{from}` of the same pod sets it")));
        let help = format!("set {}, as `{from}` has it", fields.join(" and "));
        let hold = Some(format!("how much is needed is not known: the value is that of `{from}`"));
        return rule(cause, because(evidence, failed), all, Cure::Repair { changes, help, hold });
    }
    let why = "how much is a decision: no earlier revision says, and no container beside it".to_owned();
    let commands = vec![
        format!("kubectl describe resourcequota {quota} -n {}", failed.workload.ns()),
        next::yaml(&failed.workload),
    ];
    person(cause, because(evidence, failed), grounds(failed), why, commands)
}

/// The fields as the one container that sets them all has them, for each that lacks one.
fn as_sibling(evidence: &Evidence, workload: &ObjectRef, fields: &[&str]) -> Option<(Vec<Change>, String)> {
    let template = Template::of(&evidence.snapshot, workload)?;
    let containers = template.containers();
    let field = |c: &Part<'_>, field: &str| -> Option<Value> {
        let (which, resource) = field.split_once('.')?;
        Some(c.get("resources")?.get(which)?.key(resource)?.value.clone())
    };
    let complete: Vec<&Part<'_>> = containers.iter().filter(|c| fields.iter().all(|f| field(c, f).is_some())).collect();
    let [model] = complete.as_slice() else { return None };
    let mut changes = Vec::new();
    for container in &containers {
        for name in fields.iter().filter(|name| field(container, name).is_none()) {
            let (which, resource) = name.split_once('.')?;
            let path = container.path.clone().key("resources").key(which).key(resource);
            changes.push(add(workload, path, field(model, name)?));
        }
    }
    (!changes.is_empty()).then(|| (changes, model.name().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{changes, deployment, event, found, object, replica_set, taken, work};
    use serde_json::json;

    const PODS: &str = "Error creating: pods \"web-2-x\" is forbidden: exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=3";
    const MEMORY: &str = "Error creating: pods \"web-2-x\" is forbidden: exceeded quota: few, requested: requests.memory=2Gi, used: requests.memory=1Gi, limited: requests.memory=2Gi";
    const UNSET: &str =
        "Error creating: pods \"web-2-x\" is forbidden: failed quota: few: must specify limits.memory for: app";

    fn cluster(spec: &Value, message: &str, more: &[Value]) -> Value {
        let mut all = vec![
            taken(),
            deployment("web", spec, &json!({"spec": {"replicas": 5}})),
            replica_set("web", 2, 3, spec, &json!({"spec": {"replicas": 5}})),
            event(("ReplicaSet", "web-2"), "", "FailedCreate", message, 4),
        ];
        all.extend_from_slice(more);
        Value::from(all)
    }

    fn asks(memory: &str) -> Value {
        json!({"containers": [{"name": "app", "resources": {"requests": {"memory": memory}}}]})
    }

    #[test]
    fn the_numbers_are_in_the_answer_and_a_person_decides() {
        let (incident, diagnosis) = work(ID.0, &cluster(&asks("1Gi"), PODS, &[]), &[]);
        assert_eq!(incident.shared, Some(Shared::Quota { namespace: "shop".into(), name: "few".into() }));
        let diagnosis = diagnosis.unwrap();
        assert!(diagnosis.changes().is_empty());
        assert!(diagnosis.cause.contains("allows 3 pods"), "{}", diagnosis.cause);
        assert!(diagnosis.notes[0].contains("5 replicas wanted"), "{:?}", diagnosis.notes);
    }

    #[test]
    fn requests_that_rose_with_the_last_rollout_go_back() {
        let before = replica_set("web", 1, 3, &asks("256Mi"), &json!({"spec": {"replicas": 3}}));
        let (_, diagnosis) = work(ID.0, &cluster(&asks("2Gi"), MEMORY, std::slice::from_ref(&before)), &[]);
        let path = "spec.template.spec.containers[name=app].resources.requests.memory";
        assert_eq!(changes(&diagnosis), [format!("{path}: \"2Gi\" -> \"256Mi\"")]);
    }

    #[test]
    fn of_two_workloads_under_one_quota_neither_is_blamed() {
        let before = replica_set("web", 1, 3, &asks("256Mi"), &json!({"spec": {"replicas": 3}}));
        let other = deployment("api", &asks("2Gi"), &json!({}));
        let set = replica_set("api", 2, 0, &asks("2Gi"), &json!({}));
        let told = event(("ReplicaSet", "api-2"), "", "FailedCreate", MEMORY, 4);
        let (incident, diagnosis) = work(ID.0, &cluster(&asks("2Gi"), MEMORY, &[before, other, set, told]), &[]);
        assert_eq!(incident.findings.len(), 2);
        assert!(changes(&diagnosis).is_empty());
    }

    #[test]
    fn a_field_that_must_be_set_is_taken_from_the_container_beside_it_and_held() {
        let spec =
            json!({"containers": [{"name": "app"}, {"name": "proxy", "resources": {"limits": {"memory": "64Mi"}}}]});
        let (_, diagnosis) = work(ID.0, &cluster(&spec, UNSET, &[]), &[]);
        assert_eq!(
            changes(&diagnosis),
            [r#"spec.template.spec.containers[name=app].resources.limits.memory += "64Mi""#]
        );
        assert!(matches!(diagnosis.unwrap().cure, Cure::Repair { hold: Some(_), .. }));
        assert!(changes(&work(ID.0, &cluster(&asks("1Gi"), UNSET, &[]), &[]).1).is_empty());
    }

    #[test]
    fn a_workload_that_has_its_pods_again_is_healthy() {
        let mut all = cluster(&asks("1Gi"), PODS, &[]);
        all[2]["status"]["replicas"] = 5.into();
        assert_eq!(found(&all), []);
        let set = json!({"spec": {"replicas": 2, "template": {"spec": {}}}, "status": {"replicas": 2}});
        let told = event(
            ("StatefulSet", "db"),
            "",
            "FailedCreate",
            "create Pod db-1 in StatefulSet db failed error: pods \"db-1\" is forbidden: exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=3",
            4,
        );
        let mut all = json!([taken(), object("apps/v1", "StatefulSet", "db", &set), told]);
        assert_eq!(found(&all), []);
        all[1]["status"]["replicas"] = 1.into();
        assert_eq!(found(&all).len(), 1);
    }
}
