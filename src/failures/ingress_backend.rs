#![doc = include_str!("ingress_backend.md")]

use jiff::SignedDuration;

use crate::case::{
    Change, Cure, Diagnosis, Evidence, FailureId, Finding, Ground, Ingress, IngressBackend as Backend, IngressService,
    ObjectRef, Quote, Service, Snapshot,
};
use crate::detect::{Claims, Look, count};
use crate::diagnose::changes::set;
use crate::diagnose::confidence::{AGREES, ONE_CANDIDATE, STATUS_NAMES_IT, doubt, ground};
use crate::diagnose::near::{Near, listed, nearest};
use crate::diagnose::objects::backends;
use crate::diagnose::{next, person, rule};
use crate::failures::Failure;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// An Ingress sends traffic to a Service or port that does not exist, or belongs to no class.
pub struct IngressBackend;

const ID: FailureId = FailureId("ingress-backend");

/// An Ingress this young may be waiting for the rest of its folder to be applied.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

impl Failure for IngressBackend {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("ingress_backend.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        look.ingresses.iter().filter_map(|ingress| finding(ingress, look)).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let id = &evidence.incident.first().workload;
        let ingress = evidence.snapshot.ingresses.iter().find(|i| ingress_ref(i) == *id)?;
        let problems = problems(ingress, &evidence.snapshot);
        let answers: Vec<Answer> = problems.iter().map(|p| answer(p, id, evidence)).collect();
        merged(evidence, id, &problems, answers)
    }
}

fn ingress_ref(ingress: &Ingress) -> ObjectRef {
    let meta = &ingress.metadata;
    ObjectRef::new("networking.k8s.io/v1", "Ingress", meta.namespace.as_deref(), &meta.name)
}

fn finding(ingress: &Ingress, snapshot: &Snapshot) -> Option<Finding> {
    let meta = &ingress.metadata;
    let old_enough = meta.creation_timestamp.is_none_or(|at| snapshot.taken.duration_since(at) >= GRACE);
    let problems = problems(ingress, snapshot);
    let first = problems.first().filter(|_| old_enough && meta.deletion_timestamp.is_none())?;
    let more = match problems.len() {
        1 => String::new(),
        n => format!(", and {}", count(n - 1, "other problem")),
    };
    Some(Finding {
        failure: ID,
        workload: ingress_ref(ingress),
        container: None,
        symptom: format!("{}{more}", first.symptom()),
        since: meta.creation_timestamp,
        pods: Vec::new(),
        shared: None,
    })
}

/// One thing that an Ingress names and that is not there.
enum Problem<'s> {
    Service { at: Place<'s>, backend: &'s IngressService },
    Port { at: Place<'s>, backend: &'s IngressService, service: &'s Service },
    Class { class: Option<&'s str> },
}

impl Problem<'_> {
    fn symptom(&self) -> String {
        match self {
            Self::Service { at, backend } => {
                format!("sends requests for {at} nowhere: Service {} does not exist", backend.name)
            }
            Self::Port { at, backend, .. } => {
                format!("sends requests for {at} nowhere: Service {} has no port {}", backend.name, port(backend))
            }
            Self::Class { class: Some(class) } => format!("is served by nobody: IngressClass {class} does not exist"),
            Self::Class { class: None } => {
                "is served by nobody: it names no IngressClass, and none is the default".to_owned()
            }
        }
    }
}

/// Where a backend stands: its field, and whose traffic it gets.
struct Place<'s> {
    path: FieldPath,
    /// Host and path of its rule; `None` for the default backend.
    rule: Option<(&'s str, &'s str)>,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rule {
            Some((host, path)) => write!(f, "{host}{path}"),
            None => f.write_str("any other host"),
        }
    }
}

/// All backends, with their places. The default one comes first.
fn places(ingress: &Ingress) -> impl Iterator<Item = (Place<'_>, &Backend)> {
    let default = ingress.spec.default_backend.iter().map(|_| None);
    let rules = ingress.spec.rules.iter().flat_map(|rule| {
        let host = rule.host.as_deref().unwrap_or("*");
        let paths = rule.http.iter().flat_map(|http| &http.paths);
        paths.map(move |path| Some((host, path.path.as_deref().unwrap_or("/"))))
    });
    let at = |((path, backend), rule): ((FieldPath, _), _)| (Place { path: path.key("service"), rule }, backend);
    backends(ingress).into_iter().zip(default.chain(rules)).map(at)
}

/// The port as the Ingress writes it: its name or its number.
fn port(backend: &IngressService) -> String {
    backend.port.name.clone().or(backend.port.number.map(|n| n.to_string())).unwrap_or_default()
}

/// Everything that is missing, as far as the snapshot can tell: a kind that was not read is not absent.
fn problems<'s>(ingress: &'s Ingress, snapshot: &'s Snapshot) -> Vec<Problem<'s>> {
    let mut problems = Vec::new();
    if snapshot.kinds.contains("Service") {
        for (at, backend) in places(ingress) {
            let Some(backend) = &backend.service else { continue };
            match snapshot.service(ingress.metadata.namespace.as_deref(), &backend.name) {
                None => problems.push(Problem::Service { at, backend }),
                Some(service) if !has_port(service, backend) => {
                    problems.push(Problem::Port { at, backend, service });
                }
                Some(_) => {}
            }
        }
    }
    problems.extend(missing_class(ingress, snapshot));
    problems
}

fn has_port(service: &Service, backend: &IngressService) -> bool {
    let asked = &backend.port;
    service.spec.ports.iter().any(|p| match (&asked.name, asked.number) {
        (Some(name), _) => p.name.as_ref() == Some(name),
        (None, Some(number)) => p.port == number,
        (None, None) => true,
    })
}

fn missing_class<'s>(ingress: &'s Ingress, snapshot: &Snapshot) -> Option<Problem<'s>> {
    if !snapshot.kinds.contains("IngressClass") {
        return None;
    }
    if let Some(class) = ingress.spec.ingress_class_name.as_deref() {
        let known = snapshot.names_of("IngressClass", None).contains(&class);
        return (!known).then_some(Problem::Class { class: Some(class) });
    }
    let default = snapshot
        .named
        .iter()
        .any(|n| n.id.kind == "IngressClass" && n.metadata.annotations.get(DEFAULT_CLASS).is_some_and(|v| v == "true"));
    let annotated = ingress.metadata.annotations.contains_key(CLASS_ANNOTATION);
    // Some controllers serve Ingresses without a class, and give them an address.
    let served = !ingress.status.load_balancer.ingress.is_empty();
    (!default && !annotated && !served).then_some(Problem::Class { class: None })
}

/// What becomes of one problem: a change that cures it, or why there is none.
struct Answer {
    cause: String,
    quote: Option<Quote>,
    grounds: Vec<Ground>,
    cure: Result<(Change, String), String>,
    /// Why a person should decide about the change.
    hold: Option<String>,
}

fn answer(problem: &Problem<'_>, id: &ObjectRef, evidence: &Evidence) -> Answer {
    match problem {
        Problem::Service { at, backend } => no_service(at, backend, id, evidence),
        Problem::Port { at, backend, service } => no_port(at, backend, service, id, evidence),
        Problem::Class { class } => no_class(*class, id, evidence),
    }
}

fn no_service(at: &Place<'_>, backend: &IngressService, id: &ObjectRef, evidence: &Evidence) -> Answer {
    let services: Vec<&Service> =
        evidence.snapshot.services.iter().filter(|s| s.metadata.namespace == id.namespace).collect();
    let names = || services.iter().map(|s| s.metadata.name.as_str());
    let cause =
        format!("the backend for {at} is Service {}, and namespace {} has {}", backend.name, id.ns(), listed(names()));
    let quote = evidence.quote(&format!("name={} port={}", backend.name, port(backend)));
    let mut grounds =
        vec![ground(STATUS_NAMES_IT, "the Services of the namespace were read, and it is not among them")];
    let cure = match nearest(&backend.name, names()) {
        Near::One(near) => {
            grounds.push(ground(ONE_CANDIDATE, format!("`{near}` is the only Service with nearly that name")));
            let fits = services.iter().any(|s| s.metadata.name == near && has_port(s, backend));
            grounds.push(if fits {
                ground(AGREES, format!("it has the port {}", port(backend)))
            } else {
                doubt(40, format!("it has no port {}", port(backend)))
            });
            let change = set(id, at.path.clone().key("name"), backend.name.as_str(), near.as_str());
            Ok((change, format!("send requests for {at} to Service `{near}`")))
        }
        Near::Several(near) => {
            let near = listed(near.iter().map(String::as_str));
            Err(format!("several Services have nearly that name, and nothing says which is meant: {near}"))
        }
        Near::None => Err("either it must be made, or another one was meant: no name is near".to_owned()),
    };
    Answer { cause, quote, grounds, cure, hold: None }
}

fn no_port(at: &Place<'_>, backend: &IngressService, service: &Service, id: &ObjectRef, evidence: &Evidence) -> Answer {
    let asked = port(backend);
    let ports = &service.spec.ports;
    let there: Vec<String> =
        ports.iter().map(|p| p.name.as_ref().map_or(p.port.to_string(), |n| format!("{n} ({})", p.port))).collect();
    let there = listed(there.iter().map(String::as_str));
    let cause = format!("the backend for {at} is port {asked} of Service {}, which has {there}", backend.name);
    let quote = evidence.quote(&format!("name={} port={asked}", backend.name));
    let mut grounds = vec![ground(STATUS_NAMES_IT, "the Service was read, and the port is not among its own")];
    let path = at.path.clone().key("port");
    let mut hold = None;
    let cure = if let Some(name) = &backend.port.name {
        match (nearest(name, ports.iter().filter_map(|p| p.name.as_deref())), ports.as_slice()) {
            (Near::One(near), _) => Ok((path.key("name"), near.into())),
            (Near::None, [only]) if only.name.is_some() => {
                hold = Some(format!("Service {} may be meant to call its port `{name}` instead", backend.name));
                Ok((path.key("name"), serde_json::Value::from(only.name.clone())))
            }
            _ => Err("which port was meant cannot be told: no name is near".to_owned()),
        }
    } else {
        match ports.as_slice() {
            [only] => Ok((path.key("number"), only.port.into())),
            _ => Err("which port was meant cannot be told: the Service has several".to_owned()),
        }
    };
    let cure = cure.map(|(path, to)| {
        grounds.push(ground(
            ONE_CANDIDATE,
            format!(
                "{} is the only port that fits",
                to.as_str().map_or_else(|| to.to_string(), |name| format!("`{name}`"))
            ),
        ));
        let from = backend.port.name.clone().map_or_else(|| backend.port.number.into(), serde_json::Value::from);
        (
            set(id, path, from, to.clone()),
            format!(
                "send requests to {at} to port {}",
                to.as_str().map_or_else(|| to.to_string(), |name| format!("`{name}`"))
            ),
        )
    });
    Answer { cause, quote, grounds, cure, hold }
}

fn no_class(class: Option<&str>, id: &ObjectRef, evidence: &Evidence) -> Answer {
    let names = evidence.snapshot.names_of("IngressClass", None);
    let there = listed(names.iter().copied());
    let quote = evidence.quote(&format!("ingressClassName={}", class.unwrap_or("null")));
    let Some(class) = class else {
        return Answer {
            cause: "without a class no controller feels responsible for the Ingress".to_owned(),
            quote,
            grounds: vec![ground(STATUS_NAMES_IT, "no IngressClass is marked as the default")],
            cure: Err(format!("which controller is to serve it is a decision: there are {there}")),
            hold: None,
        };
    };
    let mut grounds = vec![ground(STATUS_NAMES_IT, "the classes of the cluster were read, and it is not among them")];
    let cure = match nearest(class, names.iter().copied()) {
        Near::One(near) => {
            grounds.push(ground(ONE_CANDIDATE, format!("`{near}` is the only IngressClass with nearly that name")));
            let path = FieldPath::keys(&["spec", "ingressClassName"]);
            Ok((set(id, path, class, near.as_str()), format!("use IngressClass `{near}`")))
        }
        _ => Err(format!("which class was meant cannot be told: there are {there}")),
    };
    Answer {
        cause: format!("`ingressClassName` is `{class}`, and the cluster has {there}"),
        quote,
        grounds,
        cure,
        hold: None,
    }
}

/// One diagnosis of all problems: changes only when each of them is cured, for half a cure cannot be verified.
fn merged(evidence: &Evidence, id: &ObjectRef, problems: &[Problem<'_>], answers: Vec<Answer>) -> Option<Diagnosis> {
    let cause = answers.iter().map(|a| a.cause.clone()).collect::<Vec<_>>().join("; ");
    let (mut quotes, mut changes, mut helps) = (Vec::new(), Vec::new(), Vec::new());
    let (mut whys, mut holds) = (Vec::new(), Vec::new());
    // The weakest answer decides how sure the whole is.
    let weakest = answers.iter().min_by_key(|a| crate::diagnose::confidence::confidence(&a.grounds))?.grounds.clone();
    for answer in answers {
        quotes.push(answer.quote);
        holds.extend(answer.hold);
        match answer.cure {
            Ok((change, help)) => {
                changes.push(change);
                helps.push(help);
            }
            Err(why) => whys.push(why),
        }
    }
    if !whys.is_empty() {
        let mut commands = vec![next::list("Service", Some(id.ns())), next::describe(id)];
        if problems.iter().any(|p| matches!(p, Problem::Class { .. })) {
            commands.push(next::list("IngressClass", None));
        }
        return Some(person(cause, quotes, weakest, whys.join("; "), commands));
    }
    helps.dedup();
    let hold = (!holds.is_empty()).then(|| holds.join("; "));
    let cure = Cure::Repair { changes, help: helps.join(" and "), hold };
    let mut diagnosis = rule(cause, quotes, weakest, cure);
    if !evidence.snapshot.kinds.contains("IngressClass") {
        diagnosis.unchecked.push("the IngressClass: the classes were not read".to_owned());
    }
    Some(diagnosis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{changes, found, none_of, object, taken, work};
    use serde_json::{Value, json};

    fn ingress(service: &str, port: &Value) -> Value {
        let backend = json!({"service": {"name": service, "port": port}});
        let rules = json!([{"host": "shop.example", "http": {"paths": [{"path": "/", "backend": backend}]}}]);
        object("networking.k8s.io/v1", "Ingress", "front", &json!({"spec": {"rules": rules}}))
    }

    fn service(name: &str, ports: &Value) -> Value {
        object("v1", "Service", name, &json!({"spec": {"selector": {"app": name}, "ports": ports}}))
    }

    fn http() -> Value {
        json!([{"name": "http", "port": 80}])
    }

    #[test]
    fn the_one_service_of_nearly_that_name_is_meant() {
        let all = json!([taken(), ingress("storefrnt", &json!({"number": 80})), service("storefront", &http())]);
        let (_, diagnosis) = work(ID.0, &all, &[]);
        let path = "spec.rules[0].http.paths[0].backend.service.name";
        assert_eq!(changes(&diagnosis), [format!("{path}: \"storefrnt\" -> \"storefront\"")]);
        assert!(diagnosis.unwrap().confidence >= 80);
    }

    #[test]
    fn of_two_services_none_is_chosen() {
        let all = json!([
            taken(),
            ingress("frontend", &json!({"number": 80})),
            service("frontends", &http()),
            service("frontendd", &http())
        ]);
        assert!(changes(&work(ID.0, &all, &[]).1).is_empty());
    }

    #[test]
    fn the_only_port_of_the_service_is_meant_and_another_name_for_it_is_held() {
        let number = json!([taken(), ingress("web", &json!({"number": 8080})), service("web", &http())]);
        let (_, diagnosis) = work(ID.0, &number, &[]);
        assert_eq!(changes(&diagnosis), ["spec.rules[0].http.paths[0].backend.service.port.number: 8080 -> 80"]);
        let name = json!([taken(), ingress("web", &json!({"name": "public"})), service("web", &http())]);
        assert!(matches!(work(ID.0, &name, &[]).1.unwrap().cure, Cure::Repair { hold: Some(_), .. }));
        let two = json!([{"name": "http", "port": 80}, {"name": "admin", "port": 81}]);
        let several = json!([taken(), ingress("web", &json!({"number": 8080})), service("web", &two)]);
        assert!(changes(&work(ID.0, &several, &[]).1).is_empty());
    }

    #[test]
    fn what_fits_and_what_was_not_read_are_no_findings() {
        let fits = json!([taken(), ingress("web", &json!({"name": "http"})), service("web", &http())]);
        assert_eq!(found(&fits), []);
        let unread = json!([taken(), ingress("web", &json!({"name": "http"}))]);
        assert_eq!(found(&unread), []);
        let mut young = json!([taken(), ingress("web", &json!({"name": "http"})), none_of("v1", "Service")]);
        assert_eq!(found(&young).len(), 1);
        young[1]["metadata"]["creationTimestamp"] = crate::testing::NOW.into();
        assert_eq!(found(&young), []);
    }

    #[test]
    fn a_class_matters_only_when_the_classes_were_read() {
        let mut front = ingress("web", &json!({"name": "http"}));
        front["spec"]["ingressClassName"] = "ngnix-internal".into();
        let class = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx-internal"}});
        let mut unclassed = json!([taken(), ingress("web", &json!({"name": "http"})), service("web", &http()), class]);
        assert_eq!(found(&unclassed).len(), 1);
        unclassed[1]["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}});
        assert_eq!(found(&unclassed), []);
        let mut all = vec![taken(), front, service("web", &http())];
        assert_eq!(found(&Value::from(all.clone())), []);
        all.push(class);
        let (_, diagnosis) = work(ID.0, &Value::from(all), &[]);
        assert_eq!(changes(&diagnosis), [r#"spec.ingressClassName: "ngnix-internal" -> "nginx-internal""#]);
    }
}
