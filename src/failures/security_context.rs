#![doc = include_str!("security_context.md")]

use std::collections::BTreeSet;

use serde_json::Value;

use crate::case::{Change, Cure, Diagnosis, Evidence, FailureId, Finding, Ground, ObjectRef, Operation, Quote};
use crate::detect::{Claims, Container, Instance, Look, containers, earliest, of_pods, pod_ref};
use crate::diagnose::confidence::{RAN_BEFORE, RUNS_NOW, STATUS_NAMES_IT, ground};
use crate::diagnose::history::{self, Difference, Revert};
use crate::diagnose::image::Image;
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{person, rule, went_back};
use crate::failures::Failure;
use crate::review::policy::Policy;
use crate::yaml::{FieldPath, Step};

/// The kubelet refused to start a container as the user that its image runs as.
pub struct SecurityContext;

const ID: FailureId = FailureId("security-context");

impl Failure for SecurityContext {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("security_context.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        look.containers().iter().filter_map(finding).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let finding = evidence.incident.first();
        let template = Template::of(&evidence.snapshot, &finding.workload)?;
        let container = template.container(finding.container.as_deref()?)?;
        back(evidence, &template, &container)
            .or_else(|| user_of_a_sibling(evidence, &template, &container))
            .or_else(|| Some(nobody_knows_the_user(evidence, &template, &container)))
    }
}

/// What the kubelet says when it may not start a container as the user of the image.
const REFUSALS: [(&str, &str); 3] = [
    ("container has runAsNonRoot and image will run as root", "its image runs as root"),
    ("cannot verify user is non-root", "its image names its user by name, not by number"),
    ("breaks non-root policy", "`runAsUser` is root"),
];

/// Whether the status speaks of the user and not of configuration: both wait with `CreateContainerConfigError`.
pub(super) fn refusal(message: &str) -> Option<(&'static str, &'static str)> {
    REFUSALS.into_iter().find(|(words, _)| message.contains(words))
}

fn is_refused(instance: &Instance<'_>) -> bool {
    instance.waiting_reason() == "CreateContainerConfigError" && refusal(instance.waiting_message()).is_some()
}

fn finding(container: &Container<'_>) -> Option<Finding> {
    let refused: Vec<&Instance<'_>> = container.instances.iter().filter(|i| is_refused(i)).collect();
    let (_, why) = refusal(refused.first()?.waiting_message())?;
    Some(Finding {
        failure: ID,
        workload: container.workload.clone(),
        container: Some(container.name.to_owned()),
        symptom: format!(
            "is not started{}: it must not run as root, and {why}",
            of_pods(refused.len(), container.instances.len())
        ),
        since: earliest(refused.iter().map(|i| i.pod.status.start_time)),
        pods: refused.iter().map(|i| pod_ref(i.pod)).collect(),
        shared: None,
    })
}

/// The words of the status, and what they say.
fn said(evidence: &Evidence) -> (&'static str, &'static str) {
    let stands = |words: &&(&str, &str)| evidence.items.iter().any(|item| item.text.contains(words.0));
    REFUSALS.iter().find(stands).copied().unwrap_or(REFUSALS[0])
}

fn because(evidence: &Evidence) -> Vec<Option<Quote>> {
    vec![evidence.quote(said(evidence).0)]
}

fn grounds() -> Vec<Ground> {
    vec![ground(STATUS_NAMES_IT, "the kubelet refuses to start it as that user")]
}

/// Back to what was there before the last rollout, if that loosens nothing.
fn back(evidence: &Evidence, template: &Template, container: &Part<'_>) -> Option<Diagnosis> {
    let blamed = |path: &FieldPath| is_blamed(template, container, path);
    let cause = |was: &str| format!("{}; {was}", cause(evidence, container));
    match history::revert(evidence, &template.workload, blamed) {
        Revert::Established { differences, .. } if differences.iter().all(loosens_nothing) => {
            went_back(evidence, &template.workload, blamed, cause, because(evidence), grounds())
        }
        _ => None,
    }
}

/// The user is a matter of the security context, the pod's or the container's, or of the image.
fn is_blamed(template: &Template, container: &Part<'_>, path: &FieldPath) -> bool {
    let of_pod = FieldPath::keys(&["spec", "securityContext"]);
    path.starts_with(&of_pod) || template.is_in(path, container, &["securityContext", "image"])
}

fn cause(evidence: &Evidence, container: &Part<'_>) -> String {
    let image = container.get("image").map(|image| image.shown()).unwrap_or_default();
    match REFUSALS.iter().position(|refusal| *refusal == said(evidence)) {
        Some(1) => format!("`runAsNonRoot` is set, and the user of image {image} is a name, which cannot be verified"),
        Some(2) => "`runAsNonRoot` is set, and `runAsUser` says 0".to_owned(),
        _ => format!("`runAsNonRoot` is set, and image {image} runs as root unless it is told a user"),
    }
}

/// Whether going back keeps or tightens what a container may do.
fn loosens_nothing(difference: &Difference) -> bool {
    let Some((_, last)) = difference.path.split_last() else { return false };
    match last {
        Step::Key(key) if key == "securityContext" => {
            let fields = |value: &Option<Value>| value.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
            let (old, new) = (fields(&difference.old), fields(&difference.new));
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            keys.into_iter().all(|key| old.get(key) == new.get(key) || keeps(key, old.get(key), new.get(key)))
        }
        Step::Key(key) => keeps(key, difference.old.as_ref(), difference.new.as_ref()),
        _ => false,
    }
}

fn keeps(field: &str, old: Option<&Value>, new: Option<&Value>) -> bool {
    let user = |value: Option<&Value>| value.and_then(Value::as_i64);
    match field {
        "image" => true,
        "runAsNonRoot" => old == Some(&Value::Bool(true)),
        // Without a user the image's own counts, and `runAsNonRoot` still watches over it.
        "runAsUser" => user(old).map_or(user(new) == Some(0), |id| id > 0),
        _ => false,
    }
}

/// The user that a container of the same image runs as elsewhere, or ran as before: one, and not root.
fn user_of_a_sibling(evidence: &Evidence, template: &Template, container: &Part<'_>) -> Option<Diagnosis> {
    let image = Image::parse(container.get("image")?.text()?);
    let users = users_of(evidence, template, container, &image);
    let distinct: BTreeSet<i64> = users.iter().map(|(user, _)| *user).collect();
    if distinct.len() != 1 {
        return None;
    }
    let (user, known) = users.into_iter().max_by_key(|(_, known)| known.weight)?;
    let path = container.path.clone().key("securityContext").key("runAsUser");
    let change = match container.get("securityContext.runAsUser") {
        Some(part) if part.value == &Value::from(user) => return None,
        Some(part) => part.set(&template.workload, user),
        None => {
            Change { object: template.workload.clone(), path, operation: Operation::Add { value: Value::from(user) } }
        }
    };
    let mut grounds = grounds();
    grounds.push(known);
    let help = format!("run it as user {user}");
    Some(rule(
        cause(evidence, container),
        because(evidence),
        grounds,
        Cure::Repair { changes: vec![change], help, hold: None },
    ))
}

/// Every user other than root that this image is known to run as, and how it is known.
fn users_of(evidence: &Evidence, template: &Template, container: &Part<'_>, image: &Image) -> Vec<(i64, Ground)> {
    let snapshot = &evidence.snapshot;
    let mut users = Vec::new();
    if let Some(healthy) = history::last_healthy(snapshot, &template.workload) {
        for user in users_in(&healthy.template, image) {
            users.push((user, ground(RAN_BEFORE, format!("{} ran this image as user {user}", healthy.name))));
        }
    }
    for other in containers(snapshot) {
        let is_itself = other.workload == template.workload && other.name == container.name();
        if is_itself || !other.instances.iter().any(|i| i.status.ready) {
            continue;
        }
        let Some(sibling) = Template::of(snapshot, &other.workload) else { continue };
        let Some(spec) = sibling.container(other.name) else { continue };
        if let Some(user) = user(&sibling.value, spec.value, image) {
            let name = whose(&other.workload, other.name);
            users.push((user, ground(RUNS_NOW, format!("{name} runs this image as user {user}"))));
        }
    }
    users
}

fn whose(workload: &ObjectRef, container: &str) -> String {
    format!("container {container} of {workload}")
}

fn users_in(template: &Value, image: &Image) -> Vec<i64> {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array);
    containers.into_iter().flatten().filter_map(|container| user(template, container, image)).collect()
}

/// The user of a container of this image, its own or the pod's; `None` for root and for other images.
fn user(template: &Value, container: &Value, image: &Image) -> Option<i64> {
    if Image::parse(container.get("image")?.as_str()?) != *image {
        return None;
    }
    let own = container.pointer("/securityContext/runAsUser");
    let user = own.or_else(|| template.pointer("/spec/securityContext/runAsUser"))?.as_i64()?;
    (user > 0).then_some(user)
}

fn nobody_knows_the_user(evidence: &Evidence, template: &Template, container: &Part<'_>) -> Diagnosis {
    let why = "which user the image can run as is not in the evidence, and KubeCure never allows root".to_owned();
    let next = next(container);
    let mut diagnosis = person(cause(evidence, container), because(evidence), grounds(), why, next);
    let blamed = |path: &FieldPath| is_blamed(template, container, path);
    if let Revert::Established { differences, healthy, .. } | Revert::Several { differences, healthy } =
        history::revert(evidence, &template.workload, blamed)
    {
        let was: Vec<String> = differences.iter().map(ToString::to_string).collect();
        diagnosis.notes.push(format!("since {} {}", healthy.name, was.join("; ")));
    }
    diagnosis
}

fn next(container: &Part<'_>) -> Vec<String> {
    let image = container.get("image").map(|image| image.shown()).unwrap_or_default();
    vec![
        format!("skopeo inspect --config docker://{image}   # config.User"),
        format!("set securityContext.runAsUser of `{}` to a user that the image can run as, not 0", container.name()),
        "or build the image with a USER that is a number".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use crate::failures::trial::{Trial, before, running, waiting, web, workload};

    const ROOT: &str =
        "container has runAsNonRoot and image will run as root (pod: \"web-2-a_shop(1)\", container: app)";

    fn spec(security: &str) -> String {
        format!("{{containers: [{{name: app, image: 'shop/web:v1', securityContext: {security}}}]}}")
    }

    fn refused() -> String {
        waiting("app", "CreateContainerConfigError", ROOT)
    }

    #[test]
    fn a_user_that_the_last_rollout_removed_comes_back() {
        let now = spec("{runAsNonRoot: true}");
        let trial = Trial::of(&[web(&now, &refused()), before(&spec("{runAsNonRoot: true, runAsUser: 1000}"))]);
        assert_eq!(trial.findings(), ["security-context Deployment shop/web [app]"]);
        assert_eq!(
            trial.cure("security-context"),
            ["spec.template.spec.containers[name=app].securityContext.runAsUser: + 1000"]
        );
    }

    #[test]
    fn nothing_is_ever_loosened() {
        for old in ["{runAsNonRoot: false}", "{}", "{runAsNonRoot: true, runAsUser: 1000, privileged: true}"] {
            let trial = Trial::of(&[web(&spec("{runAsNonRoot: true}"), &refused()), before(&spec(old))]);
            let diagnosis = trial.diagnose("security-context").unwrap();
            assert!(
                diagnosis.changes().iter().all(|c| c.path.to_string().ends_with("runAsUser")),
                "{old}: {:?}",
                diagnosis.changes()
            );
        }
    }

    #[test]
    fn a_sibling_of_the_same_image_knows_the_user() {
        let sibling = workload("worker", &spec("{runAsUser: 1000}"), &running("app"));
        let trial = Trial::of(&[web(&spec("{runAsNonRoot: true}"), &refused()), sibling.clone()]);
        assert_eq!(
            trial.cure("security-context"),
            ["spec.template.spec.containers[name=app].securityContext.runAsUser: + 1000"]
        );
        let other = workload("batch", &spec("{runAsUser: 2000}"), &running("app"));
        let trial = Trial::of(&[web(&spec("{runAsNonRoot: true}"), &refused()), sibling, other]);
        assert!(trial.cure("security-context").is_empty(), "two users are no answer");
    }

    #[test]
    fn without_history_a_person_decides() {
        let trial = Trial::of(&[web(&spec("{runAsNonRoot: true}"), &refused())]);
        assert!(trial.cure("security-context").is_empty());
        assert!(trial.diagnose("security-context").unwrap().cause.contains("runs as root unless"));
    }

    #[test]
    fn a_missing_config_map_is_another_failure() {
        let status = waiting("app", "CreateContainerConfigError", "configmap \"x\" not found");
        let trial = Trial::of(&[web(&spec("{runAsNonRoot: true}"), &status)]);
        assert!(!trial.findings().iter().any(|f| f.starts_with("security-context")));
    }
}
