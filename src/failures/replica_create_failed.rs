#![doc = include_str!("replica_create_failed.md")]

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Value, json};

use crate::case::{Change, Cure, Diagnosis, Evidence, FailureId, Finding, Ground, ObjectRef, Quote, Shared};
use crate::detect::{Claims, FailedCreate, Look, count, failed_creates};
use crate::diagnose::changes::{add, plain, set};
use crate::diagnose::confidence::{AGREES, ONE_CANDIDATE, STATUS_NAMES_IT, doubt, ground};
use crate::diagnose::near::{Near, listed, nearest};
use crate::diagnose::template::Template;
use crate::diagnose::{next, nodes, person, rule, went_back};
use crate::failures::Failure;
use crate::quantity::Quantity;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// The API server refuses to make the pods of a workload.
pub struct ReplicaCreateFailed;

const ID: FailureId = FailureId("replica-create-failed");

static BOUND: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?<side>maximum|minimum) (?<resource>\S+) usage per (?<per>Container|Pod) is (?<bound>\w[\w.]*\w|\w), but (?<which>limit|request) is (?<value>\w[\w.]*\w|\w)")
        .expect("a constant pattern")
});
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"serviceaccount "(?<account>[^"]+)" not found|no PriorityClass with name (?<priority>\S+) was found|RuntimeClass "(?<runtime>[^"]+)" not found"#)
        .expect("a constant pattern")
});
static WEBHOOK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"failed calling webhook "(?<name>[^"]+)""#).expect("a constant pattern"));
static SERVICE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"https://(?<name>[a-z0-9-]+)\.(?<namespace>[a-z0-9-]+)\.svc\b").expect("a constant pattern")
});
static STANDARD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"violates PodSecurity "(?<standard>[^"]+)": "#).expect("a constant pattern"));
static CONTAINERS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"containers? (?<names>"[^"]+"(?:, "[^"]+")*) must"#).expect("a constant pattern"));

impl Failure for ReplicaCreateFailed {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("replica_create_failed.md")
    }

    fn detect(&self, look: &Look<'_>, claims: &Claims) -> Vec<Finding> {
        let unclaimed =
            |failed: &&FailedCreate| !claims.about(&failed.workload).any(|f| f.failure.0 == "quota-exceeded");
        look.failed_creates().iter().filter(unclaimed).map(finding).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let finding = evidence.incident.first();
        let failed = failed_creates(&evidence.snapshot).into_iter().find(|f| f.workload == finding.workload)?;
        let answer = Template::of(&evidence.snapshot, &finding.workload).and_then(|template| {
            let facts = Facts { evidence, template, said: failed.message.clone() };
            reference(&facts).or_else(|| bounds(&facts)).or_else(|| pod_security(&facts))
        });
        Some(answer.unwrap_or_else(|| told(evidence, &failed)))
    }
}

fn finding(failed: &FailedCreate) -> Finding {
    let webhook = WEBHOOK.captures(&failed.message).map(|found| Shared::Webhook(found["name"].to_owned()));
    Finding {
        failure: ID,
        workload: failed.workload.clone(),
        container: None,
        symptom: format!("gets no pods: {}", short(&failed.message)),
        since: failed.since,
        pods: Vec::new(),
        shared: webhook,
    }
}

/// The refusal in a few words, where it is a known one.
fn short(message: &str) -> String {
    if let Some((kind, wanted)) = missing(message) {
        return format!("{kind} `{wanted}` does not exist");
    }
    if let Some(found) = WEBHOOK.captures(message) {
        return format!("admission webhook {} fails to answer", &found["name"]);
    }
    let Some(found) = STANDARD.captures(message) else { return message.to_owned() };
    let demands = found.get(0).map_or(0, |all| clauses(&message[all.end()..]).len());
    format!("they violate Pod Security `{}` in {}", &found["standard"], count(demands, "point"))
}

/// The kind and the name of what a refusal says does not exist.
fn missing(message: &str) -> Option<(&'static str, &str)> {
    let found = REFERENCE.captures(message)?;
    let kinds = [("account", "ServiceAccount"), ("priority", "PriorityClass"), ("runtime", "RuntimeClass")];
    kinds.into_iter().find_map(|(group, kind)| Some((kind, found.name(group)?.as_str())))
}

/// What the rules of this failure look at.
struct Facts<'e> {
    evidence: &'e Evidence,
    template: Template,
    /// The API server's words.
    said: String,
}

impl Facts<'_> {
    fn workload(&self) -> &ObjectRef {
        &self.template.workload
    }

    fn because(&self) -> Vec<Option<Quote>> {
        vec![self.evidence.quote(&self.said)]
    }

    /// Back to the last healthy revision, if it says so by itself.
    fn back(&self, blamed: impl Fn(&FieldPath) -> bool, cause: &str, grounds: &[Ground]) -> Option<Diagnosis> {
        let was = |was: &str| format!("{cause}; {was}");
        let back = went_back(self.evidence, self.workload(), blamed, was, self.because(), grounds.to_vec());
        back.filter(|back| !back.changes().is_empty())
    }
}

/// A name in the pod's specification that stands for nothing: ServiceAccount, PriorityClass, RuntimeClass.
fn reference(facts: &Facts<'_>) -> Option<Diagnosis> {
    let (kind, wanted) = missing(&facts.said)?;
    let workload = facts.workload();
    let (field, scope) = match kind {
        "ServiceAccount" => ("serviceAccountName", workload.namespace.as_deref()),
        "PriorityClass" => ("priorityClassName", None),
        _ => ("runtimeClassName", None),
    };
    let snapshot = &*facts.evidence.snapshot;
    let place = scope.map_or("the cluster".to_owned(), |namespace| format!("namespace {namespace}"));
    let cause = format!("`{field}` is `{wanted}`, and {place} has no {kind} of that name");
    let mut grounds = vec![ground(STATUS_NAMES_IT, format!("the API server names the {kind}"))];
    let inner = FieldPath::keys(&["spec", field]);
    if let Some(back) = facts.back(|path| *path == inner, &cause, &grounds) {
        return Some(back);
    }
    let names = snapshot.names_of(kind, scope);
    let known = snapshot.kinds.contains(kind);
    let Near::One(near) = nearest(wanted, names.iter().copied()) else {
        let which =
            if known { format!("{place} has {}", listed(names)) } else { "those that exist were not read".to_owned() };
        let why = format!("either it must be made, or another one was meant: {which}");
        let commands = vec![next::list(kind, scope), next::yaml(workload)];
        return Some(person(cause, facts.because(), grounds, why, commands));
    };
    grounds.push(ground(ONE_CANDIDATE, format!("`{near}` is the only {kind} with nearly that name")));
    if workload.name == near {
        grounds.push(ground(AGREES, "the workload has that name, too"));
    }
    let changes = vec![set(workload, facts.template.path(&inner), wanted, near.as_str())];
    let cure = Cure::Repair { changes, help: format!("name {kind} `{near}`"), hold: None };
    Some(rule(cause, facts.because(), grounds, cure))
}

/// A LimitRange: the admission names the bound and the value that breaks it.
fn bounds(facts: &Facts<'_>) -> Option<Diagnosis> {
    let broken: Vec<Captures<'_>> = BOUND.captures_iter(&facts.said).collect();
    let first = broken.first()?;
    let cause = broken.iter().map(|b| in_words(b)).collect::<Vec<_>>().join("; ");
    let mut grounds = vec![ground(STATUS_NAMES_IT, "the API server names the bound and the value")];
    let blamed = |path: &FieldPath| broken.iter().any(|b| nodes::is_of(path, &b["resource"]));
    if let Some(back) = facts.back(blamed, &cause, &grounds) {
        return Some(back);
    }
    let fixes: Result<Vec<(Vec<Change>, String)>, String> = broken.iter().map(|b| bound(facts, b)).collect();
    let fixes = match fixes {
        Ok(fixes) => fixes,
        Err(why) => {
            let limits = format!("kubectl get limitrange -n {} -o yaml", facts.workload().ns());
            return Some(person(cause, facts.because(), grounds, why, vec![limits, next::yaml(facts.workload())]));
        }
    };
    let (changes, said): (Vec<Vec<Change>>, Vec<String>) = fixes.into_iter().unzip();
    let changes = changes.into_iter().flatten().collect();
    grounds.push(ground(ONE_CANDIDATE, said.join("; ")));
    grounds.extend(range_agrees(facts, first));
    let lowered = &first["side"] == "maximum";
    if lowered {
        grounds.push(doubt(5, "it may need more"));
    }
    let word = if lowered { "lower" } else { "raise" };
    let help = broken.iter().map(|b| format!("the {} {} to {}", &b["resource"], &b["which"], &b["bound"]));
    let help = format!("{word} {}", help.collect::<Vec<_>>().join(" and "));
    let mut diagnosis = rule(cause, facts.because(), grounds, Cure::Repair { changes, help, hold: None });
    if lowered {
        diagnosis.unchecked.push(format!("whether {} of {} is enough", &first["bound"], &first["resource"]));
    }
    Some(diagnosis)
}

fn in_words(broken: &Captures<'_>) -> String {
    let side = if &broken["side"] == "maximum" { "at most" } else { "at least" };
    format!(
        "a LimitRange allows {side} {} of {} per {}, and the {} is {}",
        &broken["bound"],
        &broken["resource"],
        broken["per"].to_lowercase(),
        &broken["which"],
        &broken["value"]
    )
}

/// Every container with that value breaks the bound, and gets it, if its other side leaves room. The API server says
/// the same of several containers once.
fn bound(facts: &Facts<'_>, broken: &Captures<'_>) -> Result<(Vec<Change>, String), String> {
    let (resource, which, value) = (&broken["resource"], &broken["which"], &broken["value"]);
    if &broken["per"] == "Pod" {
        return Err("the bound is for the whole pod: which container is to change is a decision".to_owned());
    }
    let (Some(bound), Some(is)) = (Quantity::parse(&broken["bound"]), Quantity::parse(value)) else {
        return Err(format!("{value} or {} is no quantity", &broken["bound"]));
    };
    let (own, other) = if which == "limit" { ("limits", "requests") } else { ("requests", "limits") };
    let containers = facts.template.containers();
    let (mut changes, mut names) = (Vec::new(), Vec::new());
    for container in &containers {
        let field = |side: &str| container.get("resources")?.get(side)?.key(resource);
        let Some(part) = field(own).filter(|part| Quantity::of(part.value) == Some(is)) else { continue };
        let room = field(other).and_then(|part| Quantity::of(part.value));
        if room.is_some_and(|room| if which == "limit" { room > bound } else { room < bound }) {
            let name = container.name();
            return Err(format!("`{name}` has {other}.{resource} beyond {bound}, too, and one change is not enough"));
        }
        let to = bound.like(&plain(part.value));
        changes.push(set(facts.workload(), part.path.clone(), part.value.clone(), to));
        names.push(container.name());
    }
    match names.as_slice() {
        [] => Err(format!("no container of the workload has {own}.{resource} {value}: a default or a webhook sets it")),
        [only] => Ok((changes, format!("only `{only}` has {own}.{resource} {value}"))),
        all => Ok((changes, format!("{} have {own}.{resource} {value}", listed(all.iter().copied())))),
    }
}

fn range_agrees(facts: &Facts<'_>, broken: &Captures<'_>) -> Option<Ground> {
    let bound = Quantity::parse(&broken["bound"])?;
    let ranges = facts.evidence.snapshot.limit_ranges.iter();
    let here = ranges.filter(|r| r.metadata.namespace == facts.workload().namespace);
    let says = |item: &&crate::case::LimitRangeItem| {
        let map = if &broken["side"] == "maximum" { &item.max } else { &item.min };
        item.r#type == broken["per"] && map.get(&broken["resource"]).and_then(Quantity::of) == Some(bound)
    };
    let found = here.into_iter().find(|r| r.spec.limits.iter().any(|item| says(&item)))?;
    Some(ground(AGREES, format!("LimitRange {} says the same", found.metadata.name)))
}

/// Pod Security names each field to set; all of them tighten.
fn pod_security(facts: &Facts<'_>) -> Option<Diagnosis> {
    let found = STANDARD.captures(&facts.said)?;
    let head = found.get(0)?;
    let demands = clauses(&facts.said[head.end()..]);
    let open: Vec<&str> = demands.iter().map(|demand| demand.split(" (").next().unwrap_or(demand)).collect();
    let cause = format!(
        "namespace {} enforces Pod Security `{}`, which objects to {}",
        facts.workload().ns(),
        &found["standard"],
        open.join(", ")
    );
    let quotes = || vec![facts.evidence.quote(head.as_str().trim_end_matches([':', ' ']))];
    let grounds = vec![
        ground(STATUS_NAMES_IT, "the API server names each field and its value"),
        ground(AGREES, "each of them only tightens"),
    ];
    let mut changes = Vec::new();
    for demand in &demands {
        let Some(more) = tighten(facts, demand) else {
            let why = format!("not every demand is one field to add: {demand}");
            let commands =
                vec![next::yaml(facts.workload()), format!("kubectl get namespace {} -o yaml", facts.workload().ns())];
            return Some(person(cause, quotes(), grounds, why, commands));
        };
        changes.extend(more);
    }
    let hold = "whether the image can run that way (not as root, without capabilities) is not to be seen here";
    let cure = Cure::Repair {
        changes,
        help: format!("set the {} that `{}` demands", count(demands.len(), "field"), &found["standard"]),
        hold: Some(hold.to_owned()),
    };
    Some(rule(cause, quotes(), grounds, cure))
}

/// The demands of a text like `a != false (container "x" must set ...), b (...)`: split at commas outside of brackets.
fn clauses(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut all) = (0_i32, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                all.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    all.push(text[start..].trim());
    all
}

/// The field that a demand names, for every container that it names; `None` for what is not one literal field.
fn tighten(facts: &Facts<'_>, demand: &str) -> Option<Vec<Change>> {
    let (keys, value): (&[&str], Value) = if demand.contains("securityContext.allowPrivilegeEscalation=false") {
        (&["allowPrivilegeEscalation"], false.into())
    } else if demand.contains("securityContext.capabilities.drop=[\"ALL\"]") {
        (&["capabilities", "drop"], json!(["ALL"]))
    } else if demand.contains("securityContext.runAsNonRoot=true") {
        (&["runAsNonRoot"], true.into())
    } else if demand.contains("securityContext.seccompProfile.type") {
        (&["seccompProfile", "type"], "RuntimeDefault".into())
    } else {
        return None;
    };
    let names = CONTAINERS.captures(demand)?;
    let names = names["names"].split(", ").map(|name| name.trim_matches('"'));
    let change = |name: &str| {
        let container = facts.template.container(name)?;
        let path = container.path.clone().key("securityContext").join(&FieldPath::keys(keys));
        let now = container.get(&format!("securityContext.{}", keys.join(".")));
        Some(match now {
            Some(now) => set(facts.workload(), path, now.value.clone(), value.clone()),
            None => add(facts.workload(), path, value.clone()),
        })
    };
    names.map(change).collect()
}

/// Webhooks and policies: what they say, and that it is not this workload's line, or not one literal field.
fn told(evidence: &Evidence, failed: &FailedCreate) -> Diagnosis {
    let (message, namespace) = (&failed.message, failed.workload.ns());
    let grounds = vec![ground(STATUS_NAMES_IT, "the API server says why it refuses")];
    let mut commands = vec![next::describe(&failed.workload)];
    let (cause, why) = if let Some(found) = WEBHOOK.captures(message) {
        let (name, service) = (&found["name"], SERVICE.captures(message));
        commands = match &service {
            Some(service) => vec![
                format!("kubectl get pods,endpointslices -n {}", &service["namespace"]),
                format!("kubectl describe service {} -n {}", &service["name"], &service["namespace"]),
            ],
            None => vec!["kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations".to_owned()],
        };
        let who = service.map_or("it".to_owned(), |s| format!("Service {}/{}", &s["namespace"], &s["name"]));
        (
            format!("every pod here must pass admission webhook {name}, and {who} does not answer"),
            "the webhook or the Service behind it is to be mended, and no line of this workload is wrong".to_owned(),
        )
    } else if message.contains("denied the request") {
        (
            "a policy of the cluster refuses the pod".to_owned(),
            "what the policy asks for is not named as one field and its value".to_owned(),
        )
    } else {
        commands.push(format!("kubectl get events -n {namespace} --field-selector reason=FailedCreate"));
        ("the API server refuses the pod".to_owned(), "no rule knows this refusal".to_owned())
    };
    person(cause, vec![evidence.quote(message)], grounds, why, commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{changes, deployment, event, found, object, replica_set, taken, work};

    fn cluster(spec: &Value, message: &str, more: &[Value]) -> Value {
        let message = format!("Error creating: pods \"web-2-x\" is forbidden: {message}");
        let mut all = vec![
            taken(),
            deployment("web", spec, &json!({})),
            replica_set("web", 2, 0, spec, &json!({})),
            event(("ReplicaSet", "web-2"), "", "FailedCreate", &message, 9),
        ];
        all.extend_from_slice(more);
        Value::from(all)
    }

    fn app(more: &Value) -> Value {
        let mut spec = json!({"containers": [{"name": "app"}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    }

    const ACCOUNT: &str = "error looking up service account shop/web-runer: serviceaccount \"web-runer\" not found";

    #[test]
    fn the_one_service_account_of_nearly_that_name_is_meant() {
        let spec = app(&json!({"serviceAccountName": "web-runer"}));
        let account = |name: &str| object("v1", "ServiceAccount", name, &json!({}));
        let (_, diagnosis) = work(ID.0, &cluster(&spec, ACCOUNT, &[account("default"), account("web-runner")]), &[]);
        assert_eq!(changes(&diagnosis), [r#"spec.template.spec.serviceAccountName: "web-runer" -> "web-runner""#]);
        let two = [account("web-runner"), account("web-runers")];
        assert!(changes(&work(ID.0, &cluster(&spec, ACCOUNT, &two), &[]).1).is_empty());
        let (_, none) = work(ID.0, &cluster(&spec, ACCOUNT, &[account("default")]), &[]);
        assert!(none.unwrap().changes().is_empty());
    }

    fn memory(limits: &[&str], request: &str) -> Value {
        let container = |(i, limit): (usize, &&str)| json!({"name": format!("c{i}"), "resources": {"limits": {"memory": limit}, "requests": {"memory": request}}});
        json!({"containers": limits.iter().enumerate().map(container).collect::<Vec<_>>()})
    }

    const MAXIMUM: &str = "maximum memory usage per Container is 128Mi, but limit is 256Mi";

    #[test]
    fn the_only_container_above_the_bound_gets_the_bound() {
        let (_, diagnosis) = work(ID.0, &cluster(&memory(&["64Mi", "256Mi"], "64Mi"), MAXIMUM, &[]), &[]);
        let path = "spec.template.spec.containers[name=c1].resources.limits.memory";
        assert_eq!(changes(&diagnosis), [format!("{path}: \"256Mi\" -> \"128Mi\"")]);
        assert!(diagnosis.unwrap().confidence >= 80);
    }

    #[test]
    fn both_of_two_such_containers_change_and_a_request_above_the_bound_is_a_persons() {
        let two = work(ID.0, &cluster(&memory(&["256Mi", "256Mi"], "64Mi"), MAXIMUM, &[]), &[]).1;
        assert_eq!(changes(&two).len(), 2);
        let above = work(ID.0, &cluster(&memory(&["256Mi"], "200Mi"), MAXIMUM, &[]), &[]).1;
        assert!(changes(&above).is_empty());
        let pod = "maximum memory usage per Pod is 128Mi, but limit is 320Mi";
        assert!(changes(&work(ID.0, &cluster(&memory(&["64Mi", "256Mi"], "64Mi"), pod, &[]), &[]).1).is_empty());
    }

    #[test]
    fn what_pod_security_names_is_added_and_held() {
        let said = "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"app\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"app\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"app\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"app\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
        let (_, diagnosis) = work(ID.0, &cluster(&app(&json!({})), said, &[]), &[]);
        let path = "spec.template.spec.containers[name=app].securityContext";
        assert_eq!(
            changes(&diagnosis),
            [
                format!("{path}.allowPrivilegeEscalation += false"),
                format!("{path}.capabilities.drop += [\"ALL\"]"),
                format!("{path}.runAsNonRoot += true"),
                format!("{path}.seccompProfile.type += \"RuntimeDefault\""),
            ]
        );
        assert!(matches!(diagnosis.unwrap().cure, Cure::Repair { hold: Some(_), .. }));
        let host = "violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)";
        assert!(changes(&work(ID.0, &cluster(&app(&json!({})), host, &[]), &[]).1).is_empty());
    }

    #[test]
    fn a_webhook_that_does_not_answer_is_one_cause_for_all() {
        let said = "Internal error occurred: failed calling webhook \"guard.example\": connection refused";
        let (incident, diagnosis) = work(ID.0, &cluster(&app(&json!({})), said, &[]), &[]);
        assert_eq!(incident.shared, Some(Shared::Webhook("guard.example".into())));
        assert!(diagnosis.unwrap().changes().is_empty());
    }

    #[test]
    fn one_refusal_that_was_overcome_is_no_finding() {
        let mut all = cluster(&app(&json!({})), ACCOUNT, &[]);
        all[2]["status"]["replicas"] = 1.into();
        assert_eq!(found(&all), []);
    }
}
