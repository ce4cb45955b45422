#![doc = include_str!("evicted.md")]

use std::sync::LazyLock;

use jiff::SignedDuration;
use regex::Regex;

use crate::case::{
    Cure, Diagnosis, Evidence, FailureId, Finding, Ground, ObjectRef, Pod, Quote, Shared, Snapshot, Timestamp,
};
use crate::detect::{Claims, Look, count, pod_ref};
use crate::diagnose::confidence::{AGREES, REPEATED, STATUS_NAMES_IT, doubt, ground};
use crate::diagnose::raise::{Limit, Not};
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{history, next, person, rule, went_back};
use crate::failures::Failure;
use crate::quantity::Quantity;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// The kubelet throws the pods of a workload out: they use more disk than they may, or the node is short of something.
pub struct Evicted;

const ID: FailureId = FailureId("evicted");

/// Evictions that lie further back are over.
const RECENT: SignedDuration = SignedDuration::from_mins(15);

impl Failure for Evicted {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("evicted.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        let mut findings: Vec<Finding> = look
            .pods_by_workload()
            .filter(|(workload, _)| workload.kind != "Node")
            .filter_map(|(workload, pods)| finding(workload, &pods, look))
            .collect();
        findings.sort_by(|a, b| a.workload.cmp(&b.workload));
        findings
    }

    fn diagnose(&self, evidence: &Evidence, policy: &Policy) -> Option<Diagnosis> {
        let case = Case::of(evidence)?;
        match &case.why {
            Why::Storage(_) | Why::EmptyDir(_) => {
                let template = Template::of(&evidence.snapshot, &case.finding.workload)?;
                let limit = case.limit(&template);
                limit.map_or_else(|| Some(case.no_single_limit()), |limit| case.too_low(&template, &limit, policy))
            }
            Why::NodeShort(resource) => Some(case.node_is_short(resource)),
            Why::Other => None,
        }
    }
}

/// Why a pod was thrown out, as the kubelet says it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// Its own limit of ephemeral storage; of one container, where the message says which.
    Storage(Option<String>),
    /// The limit of an emptyDir volume.
    EmptyDir(String),
    /// The node is short of a resource, or says so by a condition.
    NodeShort(String),
    Other,
}

static CONTAINER_LIMIT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"Container (\S+) exceeded its local ephemeral storage limit").expect("a constant pattern")
});
static EMPTY_DIR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"Usage of EmptyDir volume "([^"]+)" exceeds the limit"#).expect("a constant pattern")
});
static NODE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"The node (?:was low on resource: ([\w.-]+?)\.|had condition: \[(\w+)\])").expect("a constant pattern")
});

impl Why {
    fn of(message: &str) -> Self {
        if let Some(found) = CONTAINER_LIMIT.captures(message) {
            Self::Storage(Some(found[1].to_owned()))
        } else if message.contains("ephemeral local storage usage exceeds the total limit of containers") {
            Self::Storage(None)
        } else if let Some(found) = EMPTY_DIR.captures(message) {
            Self::EmptyDir(found[1].to_owned())
        } else if let Some(found) = NODE.captures(message) {
            let resource = found.get(1).or(found.get(2)).map_or("", |m| m.as_str());
            Self::NodeShort(resource.to_owned())
        } else {
            Self::Other
        }
    }

    /// "writes more to its local disk than it may: 33 pods evicted in 8 minutes"
    fn symptom(&self, often: &str, node: Option<&str>) -> String {
        let node = node.map_or_else(|| "the nodes are".to_owned(), |node| format!("node {node} is"));
        match self {
            Self::Storage(_) => format!("writes more to its local disk than it may: {often}"),
            Self::EmptyDir(volume) => format!("outgrows the limit of volume `{volume}`: {often}"),
            Self::NodeShort(resource) => format!("loses its pods: {node} short of {} ({often})", thing(resource)),
            Self::Other => format!("loses its pods: {often}"),
        }
    }
}

fn message(pod: &Pod) -> &str {
    pod.status.message.as_deref().unwrap_or("").trim()
}

/// When a pod was thrown out.
fn when(pod: &Pod) -> Option<Timestamp> {
    let ends = pod.status.container_statuses.iter().filter_map(|c| c.state.terminated.as_ref()?.finished_at);
    let conditions = pod.status.conditions.iter().filter(|c| c.r#type == "DisruptionTarget");
    let told = conditions.filter_map(|c| c.last_transition_time).chain(ends).max();
    told.or(pod.status.start_time).or(pod.metadata.creation_timestamp)
}

/// Evictions by the kubelet: preemption and drains end pods for other reasons. Newest first.
fn evictions<'p>(pods: &[&'p Pod]) -> Vec<&'p Pod> {
    let by_kubelet = |pod: &&Pod| {
        let mut targets = pod.status.conditions.iter().filter(|c| c.r#type == "DisruptionTarget");
        let others = ["PreemptionByScheduler", "DeletionByTaintManager", "EvictionByEvictionAPI"];
        pod.status.reason.as_deref() == Some("Evicted")
            && !targets.any(|c| others.contains(&c.reason.as_deref().unwrap_or("")))
    };
    let mut evicted: Vec<&Pod> = pods.iter().copied().filter(by_kubelet).collect();
    evicted.sort_by_key(|pod| std::cmp::Reverse(when(pod)));
    evicted
}

/// Thrown out again and again, and not long ago. One eviction is what a controller is there for; a pod without one, or
/// of a Job, does not come back.
fn finding(workload: &ObjectRef, pods: &[&Pod], snapshot: &Snapshot) -> Option<Finding> {
    if snapshot.workload(workload).is_some_and(|w| w.spec.replicas == Some(0) || w.spec.suspend == Some(true)) {
        return None;
    }
    let evicted = evictions(pods);
    let newest = *evicted.first()?;
    let why = Why::of(message(newest));
    let same: Vec<&Pod> = evicted.into_iter().filter(|pod| Why::of(message(pod)) == why).collect();
    let once_is_enough = matches!(workload.kind.as_str(), "Pod" | "Job" | "CronJob");
    if snapshot.taken.duration_since(when(newest)?) > RECENT || (same.len() < 2 && !once_is_enough) {
        return None;
    }
    let container = match &why {
        Why::Storage(Some(container)) => Some(container.clone()),
        Why::Storage(None) => {
            let template = Template::of(snapshot, workload);
            template.as_ref().and_then(only_limited).map(|c| c.name().to_owned())
        }
        _ => None,
    };
    let since = same.iter().filter_map(|pod| when(pod)).min();
    let node = node_of(&same);
    Some(Finding {
        failure: ID,
        workload: workload.clone(),
        container,
        symptom: why.symptom(&how_often(same.len(), since, when(newest)), node.as_deref()),
        since,
        pods: same.iter().map(|pod| pod_ref(pod)).collect(),
        shared: node.filter(|_| matches!(why, Why::NodeShort(_))).map(Shared::Node),
    })
}

/// `memory`, `disk pressure` of a condition's `DiskPressure`.
fn thing(resource: &str) -> String {
    match resource.strip_suffix("Pressure") {
        Some("PID") => "process ids".to_owned(),
        Some(of) => of.to_lowercase(),
        None => resource.to_owned(),
    }
}

/// `33 pods evicted in 8 minutes`
fn how_often(pods: usize, first: Option<Timestamp>, last: Option<Timestamp>) -> String {
    let minutes = first.zip(last).map_or(0, |(first, last)| last.duration_since(first).as_mins().max(1));
    let pods = count(pods, "pod");
    if pods == "1 pod" {
        return "1 pod evicted".to_owned();
    }
    format!("{pods} evicted in {}", count(usize::try_from(minutes).unwrap_or(0), "minute"))
}

/// The node, if it is the same for all.
fn node_of(pods: &[&Pod]) -> Option<String> {
    let node = pods.first()?.spec.node_name.as_ref()?;
    pods.iter().all(|pod| pod.spec.node_name.as_ref() == Some(node)).then(|| node.to_string())
}

/// The container with a limit of ephemeral storage, if it is the only one.
fn only_limited(template: &Template) -> Option<Part<'_>> {
    let limited = |c: &Part<'_>| c.get("resources.limits.ephemeral-storage").is_some();
    let mut containers = template.containers().into_iter().filter(limited);
    containers.next().filter(|_| containers.next().is_none())
}

/// An eviction, with what the rules need of it.
struct Case<'e> {
    evidence: &'e Evidence,
    finding: &'e Finding,
    why: Why,
    /// The kubelet's words.
    words: String,
    times: usize,
    often: String,
}

impl<'e> Case<'e> {
    fn of(evidence: &'e Evidence) -> Option<Self> {
        let finding = evidence.incident.first();
        let pods: Vec<&Pod> = evidence.snapshot.pods_of(&finding.workload).collect();
        let evicted = evictions(&pods);
        let words = message(evicted.first()?).to_owned();
        let why = Why::of(&words);
        let same: Vec<&&Pod> = evicted.iter().filter(|pod| Why::of(message(pod)) == why).collect();
        let often =
            how_often(same.len(), same.last().and_then(|pod| when(pod)), same.first().and_then(|pod| when(pod)));
        Some(Self { evidence, finding, why, words, times: same.len(), often })
    }

    fn because(&self) -> Vec<Option<Quote>> {
        vec![self.evidence.quote(&self.words)]
    }

    fn grounds(&self) -> Vec<Ground> {
        let mut grounds = vec![ground(STATUS_NAMES_IT, "the kubelet names what was exceeded")];
        match self.times {
            0..=2 => {}
            3..=4 => grounds.push(ground(REPEATED, self.often.clone())),
            _ => grounds.push(ground(REPEATED + 10, self.often.clone())),
        }
        grounds
    }

    /// The one limit that was exceeded, and the request beside it.
    fn limit<'t>(&self, template: &'t Template) -> Option<(Part<'t>, Option<Part<'t>>)> {
        if let Why::EmptyDir(volume) = &self.why {
            let volumes = template.spec()?.items("volumes");
            let volume = volumes.iter().find(|v| v.name() == volume)?.get("emptyDir")?;
            let in_memory = volume.get("medium").is_some_and(|m| m.text() == Some("Memory"));
            return volume.get("sizeLimit").filter(|_| !in_memory).map(|limit| (limit, None));
        }
        let container = match &self.why {
            Why::Storage(Some(name)) => template.container(name),
            _ => only_limited(template),
        }?;
        let limit = container.get("resources.limits.ephemeral-storage")?;
        Some((limit, container.get("resources.requests.ephemeral-storage")))
    }

    /// Back to the limit before the last rollout, or one step up.
    fn too_low(&self, template: &Template, limit: &(Part<'_>, Option<Part<'_>>), policy: &Policy) -> Option<Diagnosis> {
        let (limit, request) = limit;
        let workload = &self.finding.workload;
        let cause = match &self.why {
            Why::EmptyDir(volume) => {
                format!("the limit {} of volume `{volume}` is too low for what is written", limit.shown())
            }
            _ => format!("the limit {} of local disk is too low for what is written", limit.shown()),
        };
        let fields = [Some(&limit.path), request.as_ref().map(|r| &r.path)];
        let blamed = |path: &FieldPath| fields.contains(&Some(&template.path(path)));
        let was = |was: &str| format!("{cause}; {was}");
        // A limit that the last rollout raised is not put back: it is still too low.
        let had_less = history::last_healthy(&self.evidence.snapshot, workload)
            .and_then(|healthy| history::was(&healthy, workload, &limit.path).and_then(Quantity::of))
            .is_some_and(|was| Some(was) <= Quantity::of(limit.value));
        let back = || went_back(self.evidence, workload, blamed, was, self.because(), self.grounds());
        (!had_less).then(back).flatten().or_else(|| self.raise(limit, request.as_ref(), &cause, policy))
    }

    fn raise(&self, limit: &Part<'_>, request: Option<&Part<'_>>, cause: &str, policy: &Policy) -> Option<Diagnosis> {
        let workload = &self.finding.workload;
        let cause = cause.to_owned();
        let step = Limit { failure: ID, workload, resource: "ephemeral-storage", limit, request };
        let raised = match step.raise(self.evidence, policy) {
            Ok(raised) => raised,
            Err(Not::NoQuantity) => return None,
            Err(Not::AtMaximum) => {
                let why = format!("policy does not let KubeCure raise the limit above {}", limit.shown());
                return Some(person(cause, self.because(), self.grounds(), why, vec![next::policy(workload)]));
            }
        };
        let mut grounds = self.grounds();
        let hold = raised.room.map(|said| grounds.push(ground(AGREES, said))).err();
        grounds.push(doubt(5, "how far it goes beyond is not known"));
        let cure = Cure::Repair { changes: raised.changes, help: raised.help, hold };
        let mut diagnosis = rule(cause, self.because(), grounds, cure);
        diagnosis.unchecked.push("how much is written to the local disk".to_owned());
        Some(diagnosis)
    }

    /// Several containers share the limit, or it is none of the template's.
    fn no_single_limit(&self) -> Diagnosis {
        let workload = &self.finding.workload;
        let (cause, why) = match &self.why {
            Why::EmptyDir(volume) => (
                format!("volume `{volume}` grows beyond what it may hold"),
                format!("the template sets no limit on disk for `{volume}` that could be raised"),
            ),
            _ => (
                "the containers of a pod together write more to its local disk than they may".to_owned(),
                "not exactly one container has a limit of ephemeral storage, and nothing says which one writes"
                    .to_owned(),
            ),
        };
        let (kind, space) = (workload.kind.to_lowercase(), next::flag(workload.namespace.as_deref()));
        let used = format!("kubectl exec {kind}/{}{space} -- du -xsh /tmp /var   # while a pod runs", workload.name);
        person(cause, self.because(), self.grounds(), why, vec![used, next::describe(workload)])
    }

    fn node_is_short(&self, resource: &str) -> Diagnosis {
        let resource = thing(resource);
        let workloads = count(self.evidence.incident.workloads().len(), "workload");
        let node = match &self.evidence.incident.shared {
            Some(Shared::Node(node)) => format!("node {node}"),
            _ => "a node".to_owned(),
        };
        let cause =
            format!("what runs on {node} takes more {resource} than it has; pods of {workloads} had to make room");
        let why =
            "which of them takes too much is not in the evidence, so no line of the repository is blamed".to_owned();
        let next = match &self.evidence.incident.shared {
            Some(Shared::Node(node)) => vec![
                format!("kubectl describe node {node}   # Conditions, Allocated resources"),
                format!("kubectl get pods -A --field-selector spec.nodeName={node} -o wide"),
            ],
            _ => vec!["kubectl describe nodes".to_owned()],
        };
        person(cause, self.because(), self.grounds(), why, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failures::trial::{Trial, before, pod, running, web};

    const EXCEEDED: &str = "Pod ephemeral local storage usage exceeds the total limit of containers 16Mi. ";

    fn spec(limit: &str) -> String {
        format!(
            "{{nodeName: n1, containers: [{{name: app, image: 'shop/web:v1', resources: {{limits: {{ephemeral-storage: {limit}}}}}}}]}}"
        )
    }

    /// Pods that were thrown out at 00:0M:30.
    fn evicted(spec: &str, message: &str, minutes: &[u8]) -> Vec<String> {
        let status = |minute: &u8| {
            format!(
                "{{phase: Failed, reason: Evicted, message: '{message}', containerStatuses: [{{name: app, ready: false, \
                 restartCount: 0, state: {{terminated: {{exitCode: 137, finishedAt: 2026-01-01T00:0{minute}:30Z}}}}}}]}}"
            )
        };
        minutes.iter().map(|m| pod("web-2", &format!("e{m}"), spec, &status(m))).collect()
    }

    fn trial(spec: &str, message: &str, minutes: &[u8], more: &[String]) -> Trial {
        let mut objects = vec![web(spec, &running("app"))];
        objects.extend(evicted(spec, message, minutes));
        objects.extend_from_slice(more);
        Trial::of(&objects)
    }

    #[test]
    fn the_limit_is_raised_twofold() {
        let trial = trial(&spec("16Mi"), EXCEEDED, &[0, 1, 2, 3, 4], &[]);
        assert_eq!(trial.findings(), ["evicted Deployment shop/web [app]"]);
        assert_eq!(
            trial.cure("evicted"),
            ["spec.template.spec.containers[name=app].resources.limits.ephemeral-storage: \"16Mi\" -> \"32Mi\""]
        );
    }

    #[test]
    fn a_limit_that_the_last_rollout_cut_comes_back() {
        let trial = trial(&spec("16Mi"), EXCEEDED, &[0, 1, 2], &[before(&spec("1Gi"))]);
        assert_eq!(
            trial.cure("evicted"),
            ["spec.template.spec.containers[name=app].resources.limits.ephemeral-storage: \"16Mi\" -> \"1Gi\""]
        );
    }

    #[test]
    fn a_limit_that_the_last_rollout_raised_is_raised_further() {
        let trial = trial(&spec("16Mi"), EXCEEDED, &[0, 1, 2, 3, 4], &[before(&spec("8Mi"))]);
        assert_eq!(
            trial.cure("evicted"),
            ["spec.template.spec.containers[name=app].resources.limits.ephemeral-storage: \"16Mi\" -> \"32Mi\""]
        );
    }

    #[test]
    fn one_eviction_and_an_old_one_are_no_failure() {
        assert!(trial(&spec("16Mi"), EXCEEDED, &[4], &[]).findings().is_empty());
        let mut old = evicted(&spec("16Mi"), EXCEEDED, &[0, 1, 2]);
        for pod in &mut old {
            *pod = pod.replace("2026-01-01", "2025-12-31");
        }
        assert!(trial(&spec("16Mi"), EXCEEDED, &[], &old).findings().is_empty());
    }

    #[test]
    fn two_containers_with_a_limit_are_no_answer() {
        let limits = "resources: {limits: {ephemeral-storage: 8Mi}}";
        let spec = format!("{{containers: [{{name: app, {limits}}}, {{name: side, {limits}}}]}}");
        let trial = trial(&spec, EXCEEDED, &[0, 1, 2], &[]);
        assert!(trial.cure("evicted").is_empty());
        assert_eq!(trial.findings(), ["evicted Deployment shop/web [-]"]);
    }

    #[test]
    fn an_empty_dir_is_raised_likewise() {
        let spec = "{containers: [{name: app}], volumes: [{name: tmp, emptyDir: {sizeLimit: 1Gi}}]}";
        let message = "Usage of EmptyDir volume \"tmp\" exceeds the limit \"1Gi\". ";
        assert_eq!(
            trial(spec, message, &[0, 1, 2, 3, 4], &[]).cure("evicted"),
            ["spec.template.spec.volumes[name=tmp].emptyDir.sizeLimit: \"1Gi\" -> \"2Gi\""]
        );
    }

    #[test]
    fn a_node_that_is_short_is_not_the_workloads_matter() {
        let message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. ";
        let trial = trial(&spec("16Mi"), message, &[3, 4], &[]);
        let diagnosis = trial.diagnose("evicted").unwrap();
        assert!(diagnosis.changes().is_empty());
        assert!(diagnosis.cause.starts_with("what runs on node n1 takes more memory"), "{}", diagnosis.cause);
    }

    #[test]
    fn texts_of_the_kubelet_are_told_apart() {
        let cases = [
            ("Container app exceeded its local ephemeral storage limit \"1Gi\". ", Why::Storage(Some("app".into()))),
            ("Pod was rejected: The node had condition: [DiskPressure]. ", Why::NodeShort("DiskPressure".into())),
            ("The node was low on resource: ephemeral-storage. Threshold", Why::NodeShort("ephemeral-storage".into())),
            ("something new", Why::Other),
        ];
        for (text, why) in cases {
            assert_eq!(Why::of(text), why, "{text}");
        }
    }
}
