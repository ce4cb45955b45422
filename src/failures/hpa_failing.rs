#![doc = include_str!("hpa_failing.md")]

use std::sync::LazyLock;

use jiff::SignedDuration;
use regex::Regex;

use crate::case::{
    Autoscaler, Condition, Cure, Diagnosis, Evidence, FailureId, Finding, Ground, ItemSource, ObjectRef, Quote,
    Snapshot, Workload,
};
use crate::detect::{Claims, Look};
use crate::diagnose::changes::{add, plain, set};
use crate::diagnose::confidence::{AGREES, ONE_CANDIDATE, STATUS_NAMES_IT, doubt, ground};
use crate::diagnose::near::{Near, listed, nearest};
use crate::diagnose::template::Template;
use crate::diagnose::{history, next, person, rule, went_back};
use crate::failures::Failure;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// An autoscaler cannot read or scale its target.
pub struct HpaFailing;

const ID: FailureId = FailureId("hpa-failing");

/// Metrics of new pods come in late.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

static MISSING_REQUEST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"missing request for (?<resource>\S+)(?: in container (?<container>\S+) of Pod \S+)?")
        .expect("a constant pattern")
});

impl Failure for HpaFailing {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("hpa_failing.md")
    }

    fn detect(&self, look: &Look<'_>, claims: &Claims) -> Vec<Finding> {
        look.autoscalers.iter().filter_map(|scaler| finding(scaler, look, claims)).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let id = &evidence.incident.first().workload;
        let scaler = evidence.snapshot.autoscalers.iter().find(|a| scaler_ref(a) == *id)?;
        let condition = failing(scaler)?;
        let message = condition.message.as_deref().unwrap_or("");
        if condition.r#type == "AbleToScale" && message.contains("not found") {
            return Some(target_missing(evidence, scaler));
        }
        let missing = MISSING_REQUEST.captures(message);
        missing
            .and_then(|found| request_missing(evidence, scaler, &found["resource"], found.name("container")?.as_str()))
            .or_else(|| Some(told(evidence, scaler, condition)))
    }
}

fn scaler_ref(scaler: &Autoscaler) -> ObjectRef {
    let meta = &scaler.metadata;
    ObjectRef::new("autoscaling/v2", "HorizontalPodAutoscaler", meta.namespace.as_deref(), &meta.name)
}

/// The object that is to be scaled.
fn target(scaler: &Autoscaler) -> ObjectRef {
    let to = &scaler.spec.scale_target_ref;
    ObjectRef::new(&to.api_version, &to.kind, scaler.metadata.namespace.as_deref(), &to.name)
}

/// `ScalingLimited` says that a bound was reached, `ScalingDisabled` that the target sleeps: neither is a failure.
fn failing(scaler: &Autoscaler) -> Option<&Condition> {
    let bad = |c: &&Condition| {
        c.status == "False"
            && match c.r#type.as_str() {
                "AbleToScale" => true,
                "ScalingActive" => c.reason.as_deref() != Some("ScalingDisabled"),
                _ => false,
            }
    };
    scaler.status.conditions.iter().find(bad)
}

fn finding(scaler: &Autoscaler, snapshot: &Snapshot, claims: &Claims) -> Option<Finding> {
    let condition = failing(scaler)?;
    let since = condition.last_transition_time;
    let lasts = since.is_none_or(|since| snapshot.taken.duration_since(since) >= GRACE);
    // Pods that fail have no metrics: the autoscaler only repeats it.
    if !lasts || scaler.metadata.deletion_timestamp.is_some() || claims.workload(&target(scaler)) {
        return None;
    }
    Some(Finding {
        failure: ID,
        workload: scaler_ref(scaler),
        container: None,
        symptom: format!("does not scale {} {}: {}", target(scaler).kind, target(scaler).name, in_words(condition)),
        since,
        pods: Vec::new(),
        shared: None,
    })
}

/// The condition in a few words: of a chain of errors, the last says most.
fn in_words(condition: &Condition) -> String {
    let message = condition.message.as_deref().unwrap_or("");
    if let Some(found) = MISSING_REQUEST.captures(message) {
        let container =
            found.name("container").map_or(String::new(), |name| format!("container `{}` has ", name.as_str()));
        return format!("{container}no request for {}", &found["resource"]);
    }
    if condition.r#type == "AbleToScale" && message.contains("not found") {
        return "it does not exist".to_owned();
    }
    let last = message.rsplit(": ").next().filter(|last| !last.is_empty());
    last.or(condition.reason.as_deref()).unwrap_or("no reason is given").to_owned()
}

/// The end of the condition's chain of errors, word for word.
fn said(evidence: &Evidence, scaler: &Autoscaler) -> Vec<Option<Quote>> {
    let message = failing(scaler).and_then(|condition| condition.message.as_deref()).unwrap_or("");
    let last = message.rsplit(": ").next().filter(|last| !last.is_empty());
    let status = ItemSource::Status(scaler_ref(scaler));
    let whole = || evidence.quote_item(|item| item.source == status && item.text.starts_with("condition "));
    vec![last.and_then(|last| evidence.quote(last)).or_else(whole)]
}

/// The target does not exist: another name, or another kind, was meant.
fn target_missing(evidence: &Evidence, scaler: &Autoscaler) -> Diagnosis {
    let (id, target, snapshot) = (scaler_ref(scaler), target(scaler), &*evidence.snapshot);
    let here: Vec<&Workload> = snapshot.workloads_in(id.namespace.as_deref()).collect();
    let cause = format!(
        "`scaleTargetRef` names {} {}, and namespace {} has none of that name",
        target.kind,
        target.name,
        id.ns()
    );
    let mut quotes = said(evidence, scaler);
    quotes.push(evidence.quote(&format!("kind={} name={}", target.kind, target.name)));
    let mut grounds = vec![ground(STATUS_NAMES_IT, "the status names the target that is not found")];
    let scalable = |w: &&&Workload| matches!(w.kind.as_str(), "Deployment" | "StatefulSet") || w.kind == target.kind;
    let same_name: Vec<&&Workload> = here.iter().filter(scalable).filter(|w| w.metadata.name == target.name).collect();
    let path = FieldPath::keys(&["spec", "scaleTargetRef"]);
    let names = || here.iter().filter(|w| w.kind == target.kind).map(|w| w.metadata.name.as_str());
    let (change, chosen) = match (same_name.as_slice(), nearest(&target.name, names())) {
        ([other], _) => {
            grounds.push(ground(ONE_CANDIDATE, format!("a {} has exactly that name", other.kind)));
            (set(&id, path.key("kind"), target.kind.as_str(), other.kind.as_str()), other.id())
        }
        ([], Near::One(near)) => {
            grounds.push(ground(ONE_CANDIDATE, format!("`{near}` is the only {} with nearly that name", target.kind)));
            let chosen = ObjectRef { name: near.clone(), ..target.clone() };
            (set(&id, path.key("name"), target.name.as_str(), near.as_str()), chosen)
        }
        _ => {
            let why = format!("which {} was meant cannot be told: there are {}", target.kind, listed(names()));
            let commands = vec![next::list(&target.kind, id.namespace.as_deref()), next::describe(&id)];
            return person(cause, quotes, grounds, why, commands);
        }
    };
    grounds.extend(agreement(snapshot, scaler, &chosen));
    let cure =
        Cure::Repair { changes: vec![change], help: format!("scale {} `{}`", chosen.kind, chosen.name), hold: None };
    rule(cause, quotes, grounds, cure)
}

fn agreement(snapshot: &Snapshot, scaler: &Autoscaler, chosen: &ObjectRef) -> Vec<Ground> {
    let mut grounds = Vec::new();
    if scaler.metadata.name == chosen.name {
        grounds.push(ground(AGREES, "autoscaler and workload then have one name"));
    }
    let others = snapshot.autoscalers.iter().filter(|a| a.metadata.name != scaler.metadata.name);
    if let Some(other) = others.into_iter().find(|a| target(a) == *chosen) {
        let name = &other.metadata.name;
        grounds.push(doubt(60, format!("autoscaler {name} scales it already, and two would fight")));
    }
    grounds
}

/// Utilisation is a share of the request, and a container has none. Every container counts, sidecars too.
fn request_missing(evidence: &Evidence, scaler: &Autoscaler, resource: &str, container: &str) -> Option<Diagnosis> {
    let target = target(scaler);
    let template = Template::of(&evidence.snapshot, &target)?;
    let part = template.container(container)?;
    if part.get("resources.requests").and_then(|r| r.key(resource)).is_some() {
        return None; // the template has it: what is said is about older pods
    }
    let cause =
        format!("use of {resource} is measured as a share of the request, and `{container}` of {target} has none");
    let grounds = || vec![ground(STATUS_NAMES_IT, "the status names the container and the resource")];
    let blamed =
        |path: &FieldPath| template.path(path).starts_with(&part.path) && path.to_string().contains(".resources");
    let was = |was: &str| format!("{cause}; {was}");
    if let Some(back) = went_back(evidence, &target, blamed, was, said(evidence, scaler), grounds())
        && !back.changes().is_empty()
    {
        return Some(back);
    }
    let inner = part.path.strip_prefix(&template.root)?;
    let field = inner.key("resources").key("requests").key(resource);
    let healthy = history::last_healthy(&evidence.snapshot, &target);
    let old = healthy.as_ref().and_then(|h| Some((h, field.get(&h.template)?)));
    let Some((healthy, old)) = old else {
        let why = "how much to request is a decision: no earlier revision had one".to_owned();
        let ns = target.ns();
        let commands = vec![format!("kubectl top pod -n {ns} --containers"), next::yaml(&target)];
        return Some(person(cause, said(evidence, scaler), grounds(), why, commands));
    };
    let mut all = grounds();
    all.push(healthy.ground.clone());
    let help = format!("request {} of {resource} again, as in {}", plain(old), healthy.name);
    let changes = vec![add(&target, template.path(&field), old.clone())];
    Some(rule(cause, said(evidence, scaler), all, Cure::Repair { changes, help, hold: None }))
}

/// Everything else lies outside of the repository: metrics that nobody serves, rights, external sources.
fn told(evidence: &Evidence, scaler: &Autoscaler, condition: &Condition) -> Diagnosis {
    let reason = condition.reason.as_deref().unwrap_or("");
    let message = condition.message.as_deref().unwrap_or("");
    let no_api = message.contains("no metrics returned") || message.contains("could not find the requested resource");
    let no_api = no_api || message.contains("the server is currently unable to handle the request");
    let cause = if no_api {
        format!("the metrics API has nothing about the pods of {}", target(scaler))
    } else {
        format!("the autoscaler reports {reason}")
    };
    let why = if no_api {
        "metrics come from metrics-server or an adapter, not from a line of the repository"
    } else {
        "no field of the autoscaler is named as the cause"
    };
    let mut commands = vec![next::describe(&scaler_ref(scaler))];
    if no_api {
        commands.push("kubectl get apiservice v1beta1.metrics.k8s.io".to_owned());
        commands.push(format!("kubectl top pod -n {}", scaler_ref(scaler).ns()));
    }
    let grounds = vec![ground(STATUS_NAMES_IT, format!("its condition {} is {}", condition.r#type, condition.status))];
    person(cause, said(evidence, scaler), grounds, why.to_owned(), commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BEFORE, NOW, changes, deployment, found, object, replica_set, taken, work};
    use serde_json::{Value, json};

    fn scaler(target: &str, condition: &Value) -> Value {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": target});
        let rest = json!({"spec": {"scaleTargetRef": target, "maxReplicas": 3}, "status": {"conditions": [condition]}});
        object("autoscaling/v2", "HorizontalPodAutoscaler", "storefront", &rest)
    }

    fn not_found(target: &str) -> Value {
        scaler(
            target,
            &json!({"type": "AbleToScale", "status": "False", "reason": "FailedGetScale",
            "message": format!("unable to get the target's current scale: deployments.apps \"{target}\" not found"), "lastTransitionTime": BEFORE}),
        )
    }

    fn app() -> Value {
        json!({"containers": [{"name": "app"}]})
    }

    #[test]
    fn the_one_workload_of_nearly_that_name_is_the_target() {
        let all = json!([taken(), not_found("storefrnt"), deployment("storefront", &app(), &json!({}))]);
        let (_, diagnosis) = work(ID.0, &all, &[]);
        assert_eq!(changes(&diagnosis), [r#"spec.scaleTargetRef.name: "storefrnt" -> "storefront""#]);
        assert!(diagnosis.unwrap().confidence >= 80);
    }

    #[test]
    fn a_target_of_another_kind_gets_its_kind() {
        let set = object(
            "apps/v1",
            "StatefulSet",
            "database",
            &json!({"spec": {"replicas": 1, "template": {"spec": app()}}}),
        );
        let (_, diagnosis) = work(ID.0, &json!([taken(), not_found("database"), set]), &[]);
        assert_eq!(changes(&diagnosis), [r#"spec.scaleTargetRef.kind: "Deployment" -> "StatefulSet""#]);
    }

    #[test]
    fn two_near_names_or_a_second_autoscaler_leave_it_to_a_person() {
        let near = |name: &str| deployment(name, &app(), &json!({}));
        let two = json!([taken(), not_found("storefront"), near("storefronts"), near("storefrontt")]);
        assert!(changes(&work(ID.0, &two, &[]).1).is_empty());
        let mut other = not_found("storefront-web");
        other["metadata"]["name"] = "a-web".into();
        other["status"] = json!({});
        let fight = json!([taken(), not_found("storefrnt-web"), other, near("storefront-web")]);
        assert!(work(ID.0, &fight, &[]).1.unwrap().confidence < 80);
    }

    #[test]
    fn bounds_sleep_and_the_first_minute_are_no_failures() {
        for (kind, status, reason, since) in [
            ("ScalingLimited", "True", "TooManyReplicas", BEFORE),
            ("ScalingActive", "False", "ScalingDisabled", BEFORE),
            ("AbleToScale", "False", "FailedGetScale", NOW),
        ] {
            let condition = json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": since});
            assert_eq!(found(&json!([taken(), scaler("web", &condition)])), []);
        }
    }

    #[test]
    fn a_request_that_the_last_rollout_took_away_comes_back() {
        let message = "failed to get cpu utilization: missing request for cpu in container app of Pod web-2-x";
        let condition = json!({"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": message, "lastTransitionTime": BEFORE});
        let before = json!({"containers": [{"name": "app", "resources": {"requests": {"cpu": "100m"}}}]});
        let mut all = vec![
            taken(),
            scaler("web", &condition),
            deployment("web", &app(), &json!({})),
            replica_set("web", 2, 1, &app(), &json!({})),
        ];
        let (_, without) = work(ID.0, &Value::from(all.clone()), &[]);
        assert!(changes(&without).is_empty());
        all.push(replica_set("web", 1, 1, &before, &json!({})));
        let (_, with) = work(ID.0, &Value::from(all), &[]);
        let shown = changes(&with);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].starts_with("spec.template.spec.containers[name=app].resources") && shown[0].contains("100m"));
    }
}
