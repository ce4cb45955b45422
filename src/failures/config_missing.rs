#![doc = include_str!("config_missing.md")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::case::{
    Change, Config, Cure, Diagnosis, Evidence, FailureId, Finding, Ground, List, ObjectRef, Quote, Shared, Snapshot,
};
use crate::detect::{Claims, Container, Instance, Look, age, containers, earliest, of_pods, pod_events, pod_ref};
use crate::diagnose::confidence::{AGREES, ONE_CANDIDATE, STATUS_NAMES_IT, ground};
use crate::diagnose::near::{Near, listed, nearest};
use crate::diagnose::references::{Reference, references};
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{next, person, rule, went_back};
use crate::failures::{Failure, security_context};
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// A container waits for a ConfigMap or Secret, or a key in one, that does not exist.
pub struct ConfigMissing;

const ID: FailureId = FailureId("config-missing");

/// Objects of one rollout arrive one after another; what comes within this time was never missing.
const GRACE_SECONDS: i64 = 60;

/// The ConfigMap that every namespace has.
const OF_THE_CLUSTER: &str = "kube-root-ca.crt";

impl Failure for ConfigMissing {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("config_missing.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        all(look, look.containers()).into_iter().map(|(finding, _)| finding).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let first = evidence.incident.first();
        let waiting = all(&evidence.snapshot, &containers(&evidence.snapshot));
        let of = |finding: &Finding| waiting.iter().find(|(f, _)| same(f, finding)).map(|(_, missing)| missing);
        let missing = of(first)?;
        let applied = !is_declared(evidence, missing);
        applied
            .then(|| back(evidence, first, missing).or_else(|| near(evidence, missing)))
            .flatten()
            .or_else(|| Some(nothing_near(evidence, first, missing)))
    }
}

fn same(a: &Finding, b: &Finding) -> bool {
    a.workload == b.workload && a.container == b.container
}

/// What is missing, as the kubelet says it.
#[derive(Clone, Debug, PartialEq)]
struct Missing {
    /// `ConfigMap` or `Secret`.
    kind: &'static str,
    object: ObjectRef,
    /// Missing in an object that exists; `None` when the object is missing.
    key: Option<String>,
    /// The words of the status or event.
    words: String,
}

static OBJECT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\b(configmap|secret) "([^"]+)" not found"#).expect("a constant pattern"));
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"couldn't find key (\S+) in (ConfigMap|Secret) [^/\s]+/(\S+)").expect("a constant pattern")
});
static VOLUME_KEY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"references non-existent (config|secret) key: (\S+)").expect("a constant pattern"));
static VOLUME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"failed for volume "([^"]+)""#).expect("a constant pattern"));

/// Every container that waits for configuration, and for which.
fn all(snapshot: &Snapshot, containers: &[Container<'_>]) -> Vec<(Finding, Missing)> {
    // A template is text until it is asked for, and most containers wait for nothing.
    let may_wait = |container: &&Container<'_>| container.instances.iter().any(|i| i.status.state.waiting.is_some());
    let found = containers.iter().filter(may_wait).filter_map(|container| {
        let template = Template::of(snapshot, &container.workload)?;
        let waiting: Vec<(&Instance<'_>, Missing)> =
            container.instances.iter().filter_map(|i| Some((i, missing(snapshot, &template, container, i)?))).collect();
        let (_, what) = waiting.first()?;
        let pods: Vec<&Instance<'_>> = waiting.iter().map(|(instance, _)| *instance).collect();
        Some((finding(snapshot, container, &pods, what), what.clone()))
    });
    found.collect()
}

fn finding(snapshot: &Snapshot, container: &Container<'_>, pods: &[&Instance<'_>], what: &Missing) -> Finding {
    let names = names(snapshot, what.kind, &container.workload);
    let alone = what.key.is_none() && nearest(&what.object.name, names.iter().copied()) == Near::None;
    Finding {
        failure: ID,
        workload: container.workload.clone(),
        container: Some(container.name.to_owned()),
        symptom: format!("is not started{}: {what}", of_pods(pods.len(), container.instances.len())),
        since: earliest(pods.iter().map(|i| i.pod.status.start_time)),
        pods: pods.iter().map(|i| pod_ref(i.pod)).collect(),
        shared: alone.then(|| Shared::Missing(what.object.clone())),
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{} has no key `{key}`", self.object),
            None => write!(f, "{} does not exist", self.object),
        }
    }
}

/// What one container of one pod waits for, if it still does not exist.
fn missing(
    snapshot: &Snapshot,
    template: &Template,
    container: &Container<'_>,
    instance: &Instance<'_>,
) -> Option<Missing> {
    if age(instance.pod, snapshot).as_secs() < GRACE_SECONDS {
        return None;
    }
    let found = match instance.waiting_reason() {
        "CreateContainerConfigError" => read(instance.waiting_message(), container, None),
        // A volume that cannot be filled is no error in the container's status: only an event tells.
        "ContainerCreating" | "PodInitializing" => of_volume(snapshot, template, container, instance),
        _ => None,
    }?;
    (!exists(snapshot, &found)).then_some(found)
}

/// Reads a text of the kubelet. Text of the same reason that speaks of a user or a path is another failure.
fn read(text: &str, container: &Container<'_>, reference: Option<&Reference<'_>>) -> Option<Missing> {
    if security_context::refusal(text).is_some() {
        return None;
    }
    let of = |name: &str, kind: &'static str, key: Option<&str>, words: &str| Missing {
        kind,
        object: ObjectRef::new("v1", kind, container.workload.namespace.as_deref(), name),
        key: key.map(ToOwned::to_owned),
        words: words.to_owned(),
    };
    if let Some(found) = OBJECT.captures(text) {
        let kind = if &found[1] == "secret" { "Secret" } else { "ConfigMap" };
        return Some(of(&found[2], kind, None, &found[0]));
    }
    if let Some(found) = KEY.captures(text) {
        let kind = if &found[2] == "Secret" { "Secret" } else { "ConfigMap" };
        return Some(of(&found[3], kind, Some(&found[1]), &found[0]));
    }
    let found = VOLUME_KEY.captures(text)?;
    let reference = reference?;
    Some(of(reference.name.text()?, reference.kind, Some(&found[2]), &found[0]))
}

/// What the newest event says of a volume. The finding is that of the first container that mounts it.
fn of_volume(
    snapshot: &Snapshot,
    template: &Template,
    container: &Container<'_>,
    instance: &Instance<'_>,
) -> Option<Missing> {
    let telling = pod_events(snapshot, instance.pod, "FailedMount").filter(|e| VOLUME.is_match(&e.message));
    let event = telling.max_by_key(|event| event.last)?;
    let volume = VOLUME.captures(&event.message)?[1].to_owned();
    let mounts = |c: &Part<'_>| c.items("volumeMounts").iter().any(|m| m.name() == volume);
    let all = template.containers();
    if all.iter().find(|c| mounts(c)).is_none_or(|first| first.name() != container.name) {
        return None;
    }
    let key = VOLUME_KEY.captures(&event.message).map(|found| found[2].to_owned());
    let references = references(template);
    let has_key = |r: &&Reference<'_>| r.keys.iter().any(|k| k.text() == key.as_deref());
    let reference = references.iter().filter(|r| r.volume == Some(volume.as_str())).find(has_key);
    read(&event.message, container, reference)
}

fn configs<'s>(snapshot: &'s Snapshot, kind: &str) -> &'s List<Config> {
    if kind == "Secret" { &snapshot.secrets } else { &snapshot.config_maps }
}

fn config<'s>(snapshot: &'s Snapshot, object: &ObjectRef) -> Option<&'s Config> {
    let is = |c: &&Config| c.metadata.name == object.name && c.metadata.namespace == object.namespace;
    configs(snapshot, &object.kind).iter().find(is)
}

/// Whether what was missing has come since: the kubelet tries again within a minute or two.
fn exists(snapshot: &Snapshot, missing: &Missing) -> bool {
    config(snapshot, &missing.object)
        .is_some_and(|config| missing.key.as_ref().is_none_or(|key| config.keys.contains(key)))
}

/// Names of the objects of that kind beside the workload.
fn names<'s>(snapshot: &'s Snapshot, kind: &str, workload: &ObjectRef) -> Vec<&'s str> {
    let here = configs(snapshot, kind).iter().filter(|c| c.metadata.namespace == workload.namespace);
    here.map(|c| c.metadata.name.as_str()).filter(|name| *name != OF_THE_CLUSTER).collect()
}

/// What exists or is declared in the repository, with its keys.
fn known(evidence: &Evidence, missing: &Missing) -> BTreeMap<String, BTreeSet<String>> {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let here = configs(&evidence.snapshot, missing.kind).iter();
    for config in here.filter(|c| c.metadata.namespace == missing.object.namespace) {
        known.entry(config.metadata.name.clone()).or_default().extend(config.keys.iter().cloned());
    }
    for declared in evidence.declared.iter().filter(|d| declares(&d.id, missing)) {
        known.entry(declared.id.name.clone()).or_default().extend(declared.keys.iter().cloned());
    }
    known.remove(OF_THE_CLUSTER);
    known
}

/// Whether a manifest makes an object of the kind that is missing, in the same namespace as far as it says.
fn declares(id: &ObjectRef, missing: &Missing) -> bool {
    let kind = match missing.kind {
        "Secret" => matches!(id.kind.as_str(), "Secret" | "SealedSecret" | "ExternalSecret"),
        _ => id.kind == "ConfigMap",
    };
    kind && (id.namespace.is_none() || id.namespace == missing.object.namespace)
}

fn because(evidence: &Evidence, missing: &Missing) -> Vec<Option<Quote>> {
    vec![evidence.quote(&missing.words)]
}

fn grounds(missing: &Missing) -> Vec<Ground> {
    let what = if missing.key.is_some() { "key" } else { missing.kind };
    vec![ground(STATUS_NAMES_IT, format!("the kubelet names the {what} that it waits for"))]
}

/// Every place of a workload that refers to what is missing, and must have it.
fn sites<'t>(template: &'t Template, missing: &Missing) -> Vec<Reference<'t>> {
    let mut sites = references(template);
    sites.retain(|r| r.is_to(missing.kind, &missing.object.name) && !r.optional);
    if let Some(key) = &missing.key {
        for site in &mut sites {
            site.keys.retain(|k| k.text() == Some(key));
        }
        sites.retain(|site| !site.keys.is_empty());
    }
    sites
}

/// Back to the name or key of the last healthy revision, if that exists.
fn back(evidence: &Evidence, finding: &Finding, missing: &Missing) -> Option<Diagnosis> {
    let template = Template::of(&evidence.snapshot, &finding.workload)?;
    let sites = sites(&template, missing);
    let fields: Vec<&FieldPath> =
        sites.iter().flat_map(|s| s.keys.iter().map(|k| &k.path).chain([&s.name.path])).collect();
    let blamed = |path: &FieldPath| fields.contains(&&template.path(path));
    let cause = |was: &str| format!("{missing}; {was}");
    let because = because(evidence, missing);
    let diagnosis = went_back(evidence, &finding.workload, blamed, cause, because, grounds(missing))?;
    let known = known(evidence, missing);
    let exists = |to: &str| match &missing.key {
        Some(_) => known.get(&missing.object.name).is_some_and(|keys| keys.contains(to)) || known.contains_key(to),
        None => known.contains_key(to),
    };
    let restored = |change: &Change| match &change.operation {
        crate::case::Operation::Set { to, .. } => to.as_str().is_some_and(exists),
        _ => false,
    };
    let changes = diagnosis.changes();
    (!changes.is_empty() && changes.iter().all(restored)).then_some(diagnosis)
}

/// The reference says almost the name of what exists.
fn near(evidence: &Evidence, missing: &Missing) -> Option<Diagnosis> {
    let (to, grounds) = match &missing.key {
        Some(key) => near_key(evidence, missing, key)?,
        None => near_name(evidence, missing)?,
    };
    let changes = changes(evidence, missing, &to);
    if changes.is_empty() {
        return None;
    }
    let field = if missing.key.is_some() { "key" } else { "name" };
    let cause = match &missing.key {
        Some(key) => format!("the reference asks {} for the key `{key}`, and the key is called `{to}`", missing.object),
        None => format!("the reference asks for {}, and the {} is called {to}", missing.object, missing.kind),
    };
    let cure = Cure::Repair { changes, help: format!("correct the {field} to {to}"), hold: None };
    Some(rule(cause, because(evidence, missing), grounds, cure))
}

fn near_key(evidence: &Evidence, missing: &Missing, key: &str) -> Option<(String, Vec<Ground>)> {
    let known = known(evidence, missing);
    let keys = known.get(&missing.object.name)?;
    let Near::One(to) = nearest(key, keys.iter().map(String::as_str)) else { return None };
    let mut grounds = grounds(missing);
    grounds.push(ground(ONE_CANDIDATE, format!("`{to}` is the only key with nearly that name")));
    Some((to, grounds))
}

/// Only an object that has what is asked of it: another one may have nearly that name and another content.
fn near_name(evidence: &Evidence, missing: &Missing) -> Option<(String, Vec<Ground>)> {
    let known = known(evidence, missing);
    let Near::One(to) = nearest(&missing.object.name, known.keys().map(String::as_str)) else { return None };
    let mut grounds = grounds(missing);
    let only = format!("{to} is the only {} of the namespace with nearly that name", missing.kind);
    grounds.push(ground(ONE_CANDIDATE, only));
    let wanted = wanted_keys(evidence, missing);
    if wanted.is_empty() && missing.kind == "Secret" || !wanted.iter().all(|key| known[&to].contains(key)) {
        return None;
    }
    if !wanted.is_empty() {
        grounds.push(ground(AGREES, format!("it has what is asked of it: {}", wanted.join(", "))));
    }
    Some((to, grounds))
}

/// The keys that the workloads of the incident want from the missing object.
fn wanted_keys(evidence: &Evidence, missing: &Missing) -> Vec<String> {
    let mut wanted = BTreeSet::new();
    for workload in evidence.incident.workloads() {
        let Some(template) = Template::of(&evidence.snapshot, workload) else { continue };
        for site in sites(&template, missing) {
            wanted.extend(site.keys.iter().map(Part::shown));
        }
    }
    wanted.into_iter().collect()
}

/// The change of every reference, in every workload of the incident.
fn changes(evidence: &Evidence, missing: &Missing, to: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    for workload in evidence.incident.workloads() {
        let Some(template) = Template::of(&evidence.snapshot, workload) else { continue };
        for site in sites(&template, missing) {
            match &missing.key {
                Some(_) => changes.extend(site.keys.iter().map(|key| key.set(workload, to))),
                None => changes.push(site.name.set(workload, to)),
            }
        }
    }
    changes
}

/// Whether the repository declares just what is missing: then no reference is wrong, and it only has to be applied.
fn is_declared(evidence: &Evidence, missing: &Missing) -> bool {
    evidence.declared.iter().any(|d| {
        declares(&d.id, missing)
            && d.id.name == missing.object.name
            && missing.key.as_ref().is_none_or(|key| d.keys.contains(key))
    })
}

/// What exists instead, and whether the repository declares what is missing.
fn nothing_near(evidence: &Evidence, finding: &Finding, missing: &Missing) -> Diagnosis {
    let known = known(evidence, missing);
    let declared = is_declared(evidence, missing);
    let why = if declared {
        "the repository declares it, and it has not reached the cluster".to_owned()
    } else {
        why(missing, &known)
    };
    let next = steps(finding, missing, declared);
    let cause = asks(evidence, finding, missing);
    let mut diagnosis = person(cause, because(evidence, missing), grounds(missing), why, next);
    if let Some(base) = without_hash(&missing.object.name).filter(|_| missing.key.is_none()) {
        let of_base = |name: &&String| without_hash(name) == Some(base);
        let others: Vec<&str> = known.keys().filter(of_base).map(String::as_str).collect();
        diagnosis.notes.push(match others.as_slice() {
            [] => format!("the name looks generated by kustomize from `{base}`"),
            _ => format!("the name looks generated by kustomize from `{base}`; there is {}", others.join(", ")),
        });
    }
    diagnosis
}

/// Which field asks for what is missing, or how many workloads do.
fn asks(evidence: &Evidence, finding: &Finding, missing: &Missing) -> String {
    let (object, workloads) = (&missing.object, evidence.incident.workloads().len());
    if workloads > 1 {
        return format!("{object} does not exist, and {workloads} workloads name it");
    }
    let template = Template::of(&evidence.snapshot, &finding.workload);
    let sites = template.as_ref().map(|template| sites(template, missing)).unwrap_or_default();
    let part = sites.first().map(|site| site.keys.first().filter(|_| missing.key.is_some()).unwrap_or(&site.name));
    let path = part.zip(template.as_ref()).and_then(|(part, t)| part.path.strip_prefix(&t.root));
    match path {
        Some(path) if missing.key.is_some() => format!("`{path}` names a key that {object} does not have"),
        Some(path) => format!("`{path}` names a {} that does not exist", missing.kind),
        None => missing.to_string(),
    }
}

/// What a person does: make it, or correct who asks for it.
fn steps(finding: &Finding, missing: &Missing, declared: bool) -> Vec<String> {
    let kinds = if missing.kind == "Secret" { "secrets" } else { "configmaps" };
    let list = next::list(kinds, finding.workload.namespace.as_deref());
    match &missing.key {
        _ if declared => {
            vec!["see why the sync has not applied it: `flux get all -A` or `argocd app list`".to_owned(), list]
        }
        Some(key) => vec![
            next::describe(&missing.object),
            format!("add the key {key} to {}, or correct the key in {}", missing.object, finding.workload),
        ],
        None => vec![list, format!("create {}, or correct the name in {}", missing.object, finding.workload)],
    }
}

/// What there is, and why none of it is taken.
fn why(missing: &Missing, known: &BTreeMap<String, BTreeSet<String>>) -> String {
    let (what, there): (String, Vec<&str>) = match (&missing.key, known.get(&missing.object.name)) {
        (Some(_), Some(keys)) => ("key".to_owned(), keys.iter().map(String::as_str).collect()),
        (Some(_), None) => return "the keys of the Secret are not known: KubeCure reads no Secrets".to_owned(),
        (None, _) => (missing.kind.to_owned(), known.keys().map(String::as_str).collect()),
    };
    let wanted = missing.key.as_deref().unwrap_or(&missing.object.name);
    match nearest(wanted, there.iter().copied()) {
        Near::Several(names) => format!("more than one {what} could be meant: {}", names.join(", ")),
        Near::One(name) => format!("{name} has nearly that name, but nothing says that it holds the same"),
        Near::None if there.is_empty() => {
            format!("neither the namespace nor the repository has a {what} that could be meant")
        }
        Near::None => format!("no {what} has nearly that name; known: {}", listed(there)),
    }
}

/// `app-config` of `app-config-7f9d2k4h5t`: kustomize appends ten letters and digits, without vowels.
fn without_hash(name: &str) -> Option<&str> {
    let (base, hash) = name.rsplit_once('-')?;
    let generated = hash.len() == 10 && hash.chars().all(|c| "bcdfghkmt2456789".contains(c));
    generated.then_some(base)
}

#[cfg(test)]
mod tests {
    use crate::failures::trial::{Trial, before, event, object, waiting, web, workload};

    const NO_MAP: &str = "configmap \"web-confg\" not found";
    const NO_KEY: &str = "couldn't find key database_url in ConfigMap shop/web-config";

    fn spec(name: &str, key: &str) -> String {
        format!(
            "{{containers: [{{name: app, image: 'shop/web:v1', env: [{{name: DB, valueFrom: {{configMapKeyRef: \
             {{name: {name}, key: {key}}}}}}}]}}]}}"
        )
    }

    fn secret(name: &str, key: &str) -> String {
        spec(name, key).replace("configMapKeyRef", "secretKeyRef")
    }

    fn waits(message: &str) -> String {
        waiting("app", "CreateContainerConfigError", message)
    }

    fn map(name: &str, data: &str) -> String {
        object("v1", "ConfigMap", name, &format!("data: {data}"))
    }

    #[test]
    fn a_key_spelled_otherwise_is_corrected() {
        let trial = Trial::of(&[
            web(&spec("web-config", "database_url"), &waits(NO_KEY)),
            map("web-config", "{database-url: x}"),
        ]);
        assert_eq!(trial.findings(), ["config-missing Deployment shop/web [app]"]);
        assert_eq!(
            trial.cure("config-missing"),
            [
                "spec.template.spec.containers[name=app].env[name=DB].valueFrom.configMapKeyRef.key: \"database_url\" -> \"database-url\""
            ]
        );
    }

    #[test]
    fn two_keys_are_no_answer() {
        let keys = "{database-url: x, databaseurl: y}";
        let trial = Trial::of(&[web(&spec("web-config", "database_url"), &waits(NO_KEY)), map("web-config", keys)]);
        assert!(trial.cure("config-missing").is_empty());
    }

    #[test]
    fn a_name_with_a_letter_missing_is_corrected() {
        let objects = [web(&spec("web-confg", "db"), &waits(NO_MAP)), map("web-config", "{db: x}")];
        assert_eq!(
            Trial::of(&objects).cure("config-missing"),
            [
                "spec.template.spec.containers[name=app].env[name=DB].valueFrom.configMapKeyRef.name: \"web-confg\" -> \"web-config\""
            ]
        );
        let objects = [web(&spec("web-confg", "db"), &waits(NO_MAP)), map("web-config", "{other: x}")];
        assert!(Trial::of(&objects).cure("config-missing").is_empty(), "it has not the key");
    }

    #[test]
    fn the_last_rollout_broke_the_name() {
        let objects = [
            web(&spec("settings", "db"), &waits("configmap \"settings\" not found")),
            before(&spec("web-config", "db")),
            map("web-config", "{db: x}"),
        ];
        assert_eq!(
            Trial::of(&objects).cure("config-missing"),
            [
                "spec.template.spec.containers[name=app].env[name=DB].valueFrom.configMapKeyRef.name: \"settings\" -> \"web-config\""
            ]
        );
        assert!(Trial::of(&objects[..2]).cure("config-missing").is_empty(), "the old one is gone, too");
    }

    #[test]
    fn a_volume_tells_only_by_an_event() {
        let spec = "{containers: [{name: app, image: 'shop/web:v1', volumeMounts: [{name: cfg, mountPath: /etc/web}]}], \
                    volumes: [{name: cfg, configMap: {name: web-confg}}]}";
        let status = waiting("app", "ContainerCreating", "");
        let told = event("FailedMount", "", &format!("MountVolume.SetUp failed for volume \"cfg\" : {NO_MAP}"));
        let trial = Trial::of(&[web(spec, &status), told.clone(), map("web-config", "{db: x}")]);
        assert_eq!(
            trial.cure("config-missing"),
            ["spec.template.spec.volumes[name=cfg].configMap.name: \"web-confg\" -> \"web-config\""]
        );
        let optional = spec.replace("web-confg}", "web-confg, optional: true}");
        let timeout = event(
            "FailedMount",
            "",
            "MountVolume.SetUp failed for volume \"cfg\" : failed to sync configmap cache: timed out waiting for the condition",
        );
        assert!(Trial::of(&[web(&optional, &status), timeout]).findings().is_empty(), "transient");
    }

    #[test]
    fn what_has_come_since_and_what_is_young_is_no_failure() {
        let pod = web(&spec("web-config", "database_url"), &waits(NO_KEY));
        assert!(Trial::of(&[pod.clone(), map("web-config", "{database_url: x}")]).findings().is_empty());
        let young = pod.replace("startTime: 2026-01-01T00:00:00Z", "startTime: 2026-01-01T00:04:30Z");
        assert!(Trial::of(&[young]).findings().is_empty());
    }

    #[test]
    fn another_secret_is_taken_only_with_the_very_key() {
        let status = waits("secret \"db-creds\" not found");
        let trial = Trial::of(&[web(&secret("db-creds", "password"), &status)]);
        assert!(trial.cure("config-missing").is_empty());
        let trial = trial.declares("SealedSecret", "db-cred", &["user"]);
        assert!(trial.cure("config-missing").is_empty(), "it has another key");
        let trial =
            Trial::of(&[web(&secret("db-creds", "password"), &status)]).declares("Secret", "db-cred", &["password"]);
        assert_eq!(
            trial.cure("config-missing"),
            [
                "spec.template.spec.containers[name=app].env[name=DB].valueFrom.secretKeyRef.name: \"db-creds\" -> \"db-cred\""
            ]
        );
    }

    #[test]
    fn what_the_repository_declares_is_awaited_not_renamed() {
        let trial = Trial::of(&[web(&spec("web-confg", "db"), &waits(NO_MAP)), map("web-config", "{db: x}")]);
        assert_eq!(trial.cure("config-missing").len(), 1);
        let trial = trial.declares("ConfigMap", "web-confg", &["db"]);
        assert!(trial.cure("config-missing").is_empty());
        let diagnosis = trial.diagnose("config-missing").unwrap();
        assert!(format!("{:?}", diagnosis.cure).contains("has not reached the cluster"), "{diagnosis:?}");
    }

    #[test]
    fn workloads_that_miss_the_same_object_are_one_incident() {
        let status = waits("configmap \"settings\" not found");
        let spec = spec("settings", "db");
        let trial = Trial::of(&[web(&spec, &status), workload("api", &spec, &status), map("other", "{db: x}")]);
        assert_eq!((trial.findings().len(), trial.incidents()), (2, 1));
        let diagnosis = trial.diagnose("config-missing").unwrap();
        assert!(diagnosis.cause.contains("2 workloads"), "{diagnosis:?}");
        assert!(format!("{:?}", diagnosis.cure).contains("known: `other`"), "{diagnosis:?}");
    }
}
