//! An incident, a snapshot and raw logs in, evidence out: numbered, bounded, and without secrets.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::case::{
    ContainerState, ContainerStatus, Event, Evidence, Finding, Incident, Item, ItemSource, Log, LogKey, ObjectRef, Pod,
    Snapshot,
};
use crate::detect::pod_ref;
use crate::diagnose::objects;
use crate::diagnose::template::Template;
use crate::redact::Redactor;

/// Limits of what is looked at for one incident.
const MOST_FINDINGS: usize = 8;
const MOST_PODS: usize = 3;
const MOST_EVENTS: usize = 12;
const MOST_LOG_ITEMS: usize = 60;
const MOST_LOG_LINES: usize = 5000;
const LONGEST_TEXT: usize = 4096;

/// A log as the outside gave it.
#[derive(Debug)]
pub struct RawLog {
    pub key: LogKey,
    pub text: String,
    pub left_out: u64,
}

/// The logs that bear on an incident, in order of weight.
pub fn wanted_logs(incident: &Incident) -> Vec<LogKey> {
    let mut keys = Vec::new();
    for finding in incident.findings.iter().take(MOST_FINDINGS) {
        let Some(container) = &finding.container else { continue };
        for pod in finding.pods.iter().take(MOST_PODS) {
            for previous in [true, false] {
                keys.push(LogKey { pod: pod.clone(), container: container.clone(), previous });
            }
        }
    }
    keys
}

/// Everything that bears on the incident.
pub fn assemble(incident: &Incident, snapshot: Arc<Snapshot>, logs: Vec<RawLog>) -> Evidence {
    let mut redactor = Redactor::new();
    let mut clean = Cleaner { redactor: &mut redactor, count: 0 };
    let logs: Vec<Log> = logs.into_iter().map(|log| clean.log(log)).collect();
    let mut items = Vec::new();
    for finding in incident.findings.iter().take(MOST_FINDINGS) {
        status_items(finding, &snapshot, &mut clean, &mut items);
    }
    for finding in incident.findings.iter().take(MOST_FINDINGS) {
        event_items(finding, &snapshot, &mut clean, &mut items);
        spec_item(finding, &snapshot, &mut clean, &mut items);
    }
    log_items(&logs, &mut items);
    let redactions = clean.count;
    Evidence { incident: incident.clone(), snapshot, items, logs, declared: Vec::new(), blamed: None, redactions }
}

/// Takes secrets out of every text on its way into the evidence.
struct Cleaner<'r> {
    redactor: &'r mut Redactor,
    count: usize,
}

impl Cleaner<'_> {
    fn text(&mut self, text: &str) -> String {
        let mut end = text.len().min(LONGEST_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let redacted = self.redactor.redact(&text[..end]);
        self.count += redacted.count;
        redacted.text.into_owned()
    }

    fn log(&mut self, raw: RawLog) -> Log {
        let all: Vec<&str> = raw.text.lines().collect();
        let skip = all.len().saturating_sub(MOST_LOG_LINES);
        let lines = all[skip..].iter().map(|line| without_timestamp(line)).filter(|line| !is_kubelets_own(line));
        let lines = lines.map(|line| self.text(line)).collect();
        Log { key: raw.key, lines, left_out: raw.left_out }
    }
}

/// The kubelet puts a time stamp with nanoseconds before each line when asked (`kubectl logs --timestamps`).
fn without_timestamp(line: &str) -> &str {
    match line.split_once(' ') {
        Some((first, rest)) if first.len() > 20 && first.ends_with('Z') && first.parse::<jiff::Timestamp>().is_ok() => {
            rest
        }
        _ => line,
    }
}

/// What the kubelet writes in place of a log that is gone.
fn is_kubelets_own(line: &str) -> bool {
    line.starts_with("unable to retrieve container logs for ")
}

fn status_items(finding: &Finding, snapshot: &Snapshot, clean: &mut Cleaner<'_>, items: &mut Vec<Item>) {
    for id in finding.pods.iter().take(MOST_PODS) {
        let Some(pod) = find_pod(snapshot, id) else { continue };
        if let Some(container) = &finding.container
            && let Some(status) = container_status(pod, container)
        {
            let source = ItemSource::ContainerStatus { pod: id.clone(), container: container.clone() };
            items.push(Item { source, text: clean.text(&status_text(status)), at: None });
        }
        if let Some(text) = pod_text(pod) {
            items.push(Item { source: ItemSource::Status(id.clone()), text: clean.text(&text), at: None });
        }
    }
    for item in objects::items(finding, snapshot) {
        items.push(Item { text: clean.text(&item.text), ..item });
    }
    let conditions = conditions_of(snapshot, &finding.workload);
    for (text, at) in conditions {
        items.push(Item { source: ItemSource::Status(finding.workload.clone()), text: clean.text(&text), at });
    }
    // How a run of a CronJob ended stands in its Job.
    let runs = snapshot.children_of(&finding.workload).filter(|run| run.kind == "Job");
    let Some(newest) = runs.max_by_key(|run| (run.condition("Failed").is_some(), run.metadata.creation_timestamp))
    else {
        return;
    };
    for (text, at) in conditions_of(snapshot, &newest.id()) {
        items.push(Item { source: ItemSource::Status(newest.id()), text: clean.text(&text), at });
    }
}

fn find_pod<'s>(snapshot: &'s Snapshot, id: &ObjectRef) -> Option<&'s Pod> {
    snapshot.pod(id.namespace.as_deref(), &id.name)
}

fn container_status<'s>(pod: &'s Pod, name: &str) -> Option<&'s ContainerStatus> {
    pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses).find(|c| c.name == name)
}

/// A container's status as one line: the API's own field names, so that a reader finds them again.
fn status_text(status: &ContainerStatus) -> String {
    let mut parts = vec![format!("ready={} restartCount={}", status.ready, status.restart_count)];
    parts.extend(state_text("state", &status.state));
    parts.extend(state_text("lastState", &status.last_state));
    parts.join("; ")
}

fn state_text(name: &str, state: &ContainerState) -> Option<String> {
    if let Some(waiting) = &state.waiting {
        let (reason, message) = (waiting.reason.as_deref(), waiting.message.as_deref());
        let (reason, message) = (reason.unwrap_or_default(), message.unwrap_or_default());
        return Some(format!("{name}.waiting reason={reason} message={message}"));
    }
    if let Some(end) = &state.terminated {
        let mut line = format!(
            "{name}.terminated reason={} exitCode={}",
            end.reason.as_deref().unwrap_or_default(),
            end.exit_code
        );
        if let Some(message) = &end.message {
            line = format!("{line} message={}", message.trim());
        }
        return Some(line);
    }
    state.running.as_ref().map(|_| format!("{name}.running"))
}

/// What the pod as a whole says, if it says anything.
fn pod_text(pod: &Pod) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(reason) = &pod.status.reason {
        parts.push(format!("reason={reason} message={}", pod.status.message.as_deref().unwrap_or("")));
    }
    for c in pod.status.conditions.iter().filter(|c| c.status == "False" && c.r#type == "PodScheduled") {
        parts.push(format!(
            "PodScheduled=False reason={} message={}",
            c.reason.as_deref().unwrap_or(""),
            c.message.as_deref().unwrap_or("")
        ));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Conditions of a workload that say that something is wrong.
fn conditions_of(snapshot: &Snapshot, id: &ObjectRef) -> Vec<(String, Option<jiff::Timestamp>)> {
    if let Some(syncer) = snapshot.syncers.iter().find(|syncer| syncer.id == *id) {
        return syncer.errors().into_iter().map(|error| (error.text, error.since)).collect();
    }
    let conditions = match (id.kind.as_str(), snapshot.workload(id)) {
        (_, Some(workload)) => workload.status.conditions.as_slice(),
        ("HorizontalPodAutoscaler", _) => snapshot
            .autoscalers
            .iter()
            .find(|a| a.metadata.name == id.name && a.metadata.namespace == id.namespace)
            .map_or(&[][..], |a| a.status.conditions.as_slice()),
        _ => &[],
    };
    let bad = |t: &str, status: &str| match t {
        "ReplicaFailure" | "Failed" | "FailureTarget" => status == "True",
        _ => status == "False",
    };
    let wrong = conditions.iter().filter(|c| bad(&c.r#type, &c.status));
    let text = |c: &crate::case::Condition| {
        let (reason, message) = (c.reason.as_deref().unwrap_or(""), c.message.as_deref().unwrap_or(""));
        format!("condition {}={} reason={reason} message={message}", c.r#type, c.status)
    };
    wrong.map(|c| (text(c), c.last_transition_time)).collect()
}

/// Events about the workload, what it controls and the pods that fail; repeated ones are told once, with their count.
fn event_items(finding: &Finding, snapshot: &Snapshot, clean: &mut Cleaner<'_>, items: &mut Vec<Item>) {
    let mut about: Vec<ObjectRef> = finding.pods.iter().take(MOST_PODS).cloned().collect();
    about.push(finding.workload.clone());
    about.extend(snapshot.children_of(&finding.workload).map(crate::case::Workload::id));
    about.extend(objects::also_about(finding, snapshot));
    let mut folded: BTreeMap<(ObjectRef, &str, String), (i64, &Event)> = BTreeMap::new();
    for id in &about {
        for event in snapshot.events_about(id).filter(|e| bears(e)) {
            let key = (id.clone(), event.reason.as_str(), without_names(&event.message));
            let entry = folded.entry(key).or_insert((0, event));
            entry.0 += event.count;
            if event.last > entry.1.last {
                entry.1 = event;
            }
        }
    }
    let mut events: Vec<(i64, &Event)> = folded.into_values().collect();
    events.sort_by_key(|(_, event)| std::cmp::Reverse((event.r#type == "Warning", event.last)));
    let told: HashSet<String> = items.iter().map(|item| item.text.clone()).collect();
    for (count, event) in events.into_iter().take(MOST_EVENTS) {
        let text = clean.text(&format!("{} (×{count}): {}", event.reason, event.message.trim()));
        if !told.contains(&text) {
            let source = ItemSource::Event { about: event.about.clone(), reason: event.reason.to_string() };
            items.push(Item { source, text, at: event.last });
        }
    }
}

/// Warnings, and the notices that say why something ended or waits.
fn bears(event: &Event) -> bool {
    event.r#type == "Warning"
        || matches!(
            event.reason.as_str(),
            "BackOff"
                | "Killing"
                | "TriggeredScaleUp"
                | "NotTriggerScaleUp"
                | "ExternalProvisioning"
                | "WaitForFirstConsumer"
                | "FailedBinding"
        )
}

/// A message without pod names and ports that change from one event to the next.
fn without_names(message: &str) -> String {
    let quoted =
        message.split('"').enumerate().map(|(i, part)| if i % 2 == 1 && part.contains('-') { "" } else { part });
    crate::diagnose::logs::shape(&quoted.collect::<Vec<_>>().join("\""))
}

/// The container as the template has it. Values of environment variables stay out unless they are references.
fn spec_item(finding: &Finding, snapshot: &Snapshot, clean: &mut Cleaner<'_>, items: &mut Vec<Item>) {
    let (Some(container), Some(template)) = (&finding.container, Template::of(snapshot, &finding.workload)) else {
        return;
    };
    let Some(part) = template.container(container) else { return };
    let mut value = part.value.clone();
    if let Some(map) = value.as_object_mut() {
        for noise in ["terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy"] {
            if map.get(noise).is_some_and(|v| v == "/dev/termination-log" || v == "File" || v == "IfNotPresent") {
                map.shift_remove(noise);
            }
        }
    }
    for env in value.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(literal) = env.get_mut("value") {
            *literal = Value::from("...");
        }
    }
    let source = ItemSource::Spec(finding.workload.clone());
    items.push(Item { source, text: clean.text(&value.to_string()), at: None });
}

/// The last lines of each log and the telling ones, each once.
fn log_items(logs: &[Log], items: &mut Vec<Item>) {
    let mut told: HashSet<&str> = HashSet::new();
    for log in logs {
        let lines = crate::diagnose::logs::decisive(&log.lines, 20);
        let tail = log.lines.iter().rev().take(20).rev().map(String::as_str);
        for line in lines.into_iter().chain(tail) {
            if items.len() < MOST_LOG_ITEMS + 40 && !line.trim().is_empty() && told.insert(line) {
                items.push(Item { source: ItemSource::LogLine(log.key.clone()), text: line.to_owned(), at: None });
            }
        }
    }
}

/// The newest pods of a list as references.
pub fn newest_pods<'p>(pods: impl IntoIterator<Item = &'p Pod>) -> Vec<ObjectRef> {
    let mut pods: Vec<&Pod> = pods.into_iter().collect();
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp));
    pods.into_iter().map(pod_ref).collect()
}
