//! A small cluster as text in, what the catalogue says of it out: for the tests of the failures.

use std::sync::Arc;

use crate::case::{Declared, Diagnosis, LogKey, ObjectRef, Operation, Snapshot};
use crate::detect::detect;
use crate::diagnose::assemble::{RawLog, assemble, wanted_logs};
use crate::failures;
use crate::review::policy::Policies;
use crate::yaml::FieldPath;

/// When the snapshots of the tests are taken. Pods of [`web`] are five minutes old then.
const TAKEN: &str = "
apiVersion: healing.kubecure.io/v1alpha1
kind: Snapshot
taken: 2026-01-01T00:05:00Z
---
";

pub(super) struct Trial {
    snapshot: Arc<Snapshot>,
    logs: Vec<(LogKey, String)>,
    declared: Vec<Declared>,
}

impl Trial {
    pub(super) fn of(objects: &[String]) -> Self {
        let text = format!("{TAKEN}{}", objects.join("\n---\n"));
        let snapshot = Arc::new(crate::adapters::snapshot::from_yaml(&text));
        Self { snapshot, logs: Vec::new(), declared: Vec::new() }
    }

    /// The log of the run that ended.
    pub(super) fn log(mut self, pod: &str, container: &str, text: &str) -> Self {
        let pod = ObjectRef::new("v1", "Pod", Some("shop"), pod);
        self.logs.push((LogKey { pod, container: container.to_owned(), previous: true }, text.to_owned()));
        self
    }

    /// An object that the repository declares, with its keys.
    pub(super) fn declares(mut self, kind: &str, name: &str, keys: &[&str]) -> Self {
        self.declared.push(Declared {
            id: ObjectRef::new("v1", kind, Some("shop"), name),
            document: 0,
            root: FieldPath::root(),
            offset: 0,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        });
        self
    }

    /// Every finding: `oom-killed Deployment shop/web [app]`.
    pub(super) fn findings(&self) -> Vec<String> {
        let incidents = detect(&self.snapshot);
        let findings = incidents.iter().flat_map(|incident| &incident.findings);
        findings.map(|f| format!("{} {} [{}]", f.failure, f.workload, f.container.as_deref().unwrap_or("-"))).collect()
    }

    pub(super) fn incidents(&self) -> usize {
        detect(&self.snapshot).len()
    }

    /// The diagnosis of the first incident of this failure; `None` is "no rule knows".
    pub(super) fn diagnose(&self, failure: &str) -> Option<Diagnosis> {
        let incident = detect(&self.snapshot).into_iter().find(|i| i.failure.0 == failure);
        let incident = incident.unwrap_or_else(|| panic!("{failure} was not found, but {:?}", self.findings()));
        let wanted = wanted_logs(&incident);
        let logs = self.logs.iter().filter(|(key, _)| wanted.contains(key));
        let logs = logs.map(|(key, text)| RawLog { key: key.clone(), text: text.clone(), left_out: 0 }).collect();
        let mut evidence = assemble(&incident, self.snapshot.clone(), logs);
        evidence.declared.clone_from(&self.declared);
        let policies = Policies::built_in();
        let decision = policies.decide(&incident.first().workload, &std::collections::BTreeMap::new());
        let diagnosis = failures::by_id(failure)?.diagnose(&evidence, decision.policy)?;
        for quote in &diagnosis.because {
            assert!(evidence.items[quote.item].text.contains(&quote.text), "{quote:?} is not in the evidence");
        }
        Some(diagnosis)
    }

    /// The changes of the diagnosis, if they may become a pull request; empty when a person must act.
    pub(super) fn cure(&self, failure: &str) -> Vec<String> {
        let Some(diagnosis) = self.diagnose(failure) else { return Vec::new() };
        let changes: Vec<String> = diagnosis.changes().iter().map(shown).collect();
        assert!(changes.is_empty() || diagnosis.confidence >= 80, "{diagnosis:#?}");
        assert!(changes.is_empty() || !diagnosis.because.is_empty(), "nothing is quoted: {diagnosis:#?}");
        changes
    }
}

/// `spec.replicas: 1 -> 2`
fn shown(change: &crate::case::Change) -> String {
    match &change.operation {
        Operation::Set { from, to } => format!("{}: {from} -> {to}", change.path),
        Operation::Add { value } => format!("{}: + {value}", change.path),
        Operation::Remove { from } => format!("{}: - {from}", change.path),
    }
}

/// Deployment shop/web, revision 2, with one pod `web-2-a` of five minutes: a pod's specification and its status, both
/// as they stand in the API.
pub(super) fn web(spec: &str, status: &str) -> String {
    workload("web", spec, status)
}

/// Like [`web`], with another name.
pub(super) fn workload(name: &str, spec: &str, status: &str) -> String {
    let labels = format!("{{app: {name}}}");
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop, annotations: {{deployment.kubernetes.io/revision: '2'}}}}
spec: {{replicas: 1, selector: {{matchLabels: {labels}}}, template: {{metadata: {{labels: {labels}}}, spec: {spec}}}}}
---
{}
---
{}",
        replica_set(name, 2, 0, spec),
        pod(&format!("{name}-2"), "a", spec, status)
    )
}

/// Revision 1 of Deployment shop/web, which still runs with one ready pod.
pub(super) fn before(spec: &str) -> String {
    replica_set("web", 1, 1, spec)
}

fn replica_set(deployment: &str, revision: u8, ready: u8, spec: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: {deployment}-{revision}
  namespace: shop
  creationTimestamp: 2026-01-01T00:00:00Z
  annotations: {{deployment.kubernetes.io/revision: '{revision}'}}
  ownerReferences: [{{apiVersion: apps/v1, kind: Deployment, name: {deployment}, controller: true}}]
spec: {{template: {{metadata: {{labels: {{app: {deployment}, pod-template-hash: '{revision}'}}}}, spec: {spec}}}}}
status: {{readyReplicas: {ready}}}"
    )
}

/// A pod `OWNER-ID` of a ReplicaSet.
pub(super) fn pod(owner: &str, id: &str, spec: &str, status: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata:
  name: {owner}-{id}
  namespace: shop
  creationTimestamp: 2026-01-01T00:00:00Z
  ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {owner}, controller: true}}]
spec: {spec}
status: {status}"
    )
}

/// A warning about pod `web-2-a`, or a notice.
pub(super) fn event(reason: &str, container: &str, message: &str) -> String {
    event_about("web-2-a", reason, container, message)
}

pub(super) fn event_about(pod: &str, reason: &str, container: &str, message: &str) -> String {
    let message = serde_json::Value::from(message);
    format!(
        "
apiVersion: v1
kind: Event
metadata: {{name: {pod}.{reason}, namespace: shop}}
involvedObject: {{apiVersion: v1, kind: Pod, namespace: shop, name: {pod}, fieldPath: 'spec.containers{{{container}}}'}}
type: Warning
reason: {reason}
message: {message}
count: 5
lastTimestamp: 2026-01-01T00:04:50Z"
    )
}

/// Any other object of namespace shop.
pub(super) fn object(api_version: &str, kind: &str, name: &str, rest: &str) -> String {
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\n{rest}")
}

/// The status of a pod that waits: for an image, for configuration.
pub(super) fn waiting(container: &str, reason: &str, message: &str) -> String {
    let message = serde_json::Value::from(message);
    format!(
        "{{phase: Pending, startTime: 2026-01-01T00:00:00Z, containerStatuses: [{{name: {container}, ready: false, \
         restartCount: 0, state: {{waiting: {{reason: {reason}, message: {message}}}}}, lastState: {{}}}}]}}"
    )
}

/// The status of a pod whose container ended `times` times, the last time a minute ago.
pub(super) fn crashing(container: &str, times: u8, end: &str) -> String {
    format!(
        "{{phase: Running, startTime: 2026-01-01T00:00:00Z, containerStatuses: [{{name: {container}, ready: false, \
         restartCount: {times}, state: {{waiting: {{reason: CrashLoopBackOff, message: back-off}}}}, lastState: \
         {{terminated: {{startedAt: 2026-01-01T00:03:59Z, finishedAt: 2026-01-01T00:04:00Z, {end}}}}}}}]}}"
    )
}

/// The status of a pod that runs and is ready.
pub(super) fn running(container: &str) -> String {
    format!(
        "{{phase: Running, startTime: 2026-01-01T00:00:00Z, containerStatuses: [{{name: {container}, ready: true, \
         restartCount: 0, state: {{running: {{startedAt: 2026-01-01T00:00:01Z}}}}, lastState: {{}}}}]}}"
    )
}
