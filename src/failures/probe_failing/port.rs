//! A probe that asks a port where nothing listens.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::{Facts, Met};
use crate::case::{Cure, Diagnosis, Ground, ProbeTiming};
use crate::diagnose::changes::set;
use crate::diagnose::confidence::{AGREES, LOG_NAMES_IT, ONE_CANDIDATE, doubt, ground};
use crate::diagnose::near::{Near, listed, nearest};
use crate::diagnose::probes::{self, Probe};
use crate::diagnose::template::Part;
use crate::diagnose::{logs, next, person, rule, services};

/// A line in which a server says where it listens.
static LISTENS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(listen\w*|serving|bound|binding|started|running)\b.*?(:(?<a>\d{3,5})\b|\bport\W{1,3}(?<b>\d{2,5})\b)",
    )
    .expect("a constant pattern")
});
/// `httpGet`, `tcpSocket` or `grpc` of a probe, if it goes over the network.
pub(super) fn handler<'t>(probe: &Part<'t>) -> Option<(&'static str, Part<'t>)> {
    ["httpGet", "tcpSocket", "grpc"].into_iter().find_map(|kind| Some((kind, probe.get(kind)?)))
}

/// The TCP ports that a container declares: name and number.
fn declared<'t>(container: &Part<'t>) -> Vec<(&'t str, i64)> {
    let ports = container.items("ports");
    let tcp = ports.iter().filter(|p| p.value.get("protocol").is_none_or(|p| p == "TCP"));
    tcp.filter_map(|p| Some((p.name(), p.value.get("containerPort")?.as_i64()?))).collect()
}

/// The number that a port stands for.
pub(super) fn resolve(container: &Part<'_>, port: &Value) -> Option<i64> {
    match port {
        Value::String(name) => declared(container)
            .iter()
            .find(|(declared, _)| declared == name)
            .map(|(_, number)| *number)
            .or_else(|| name.parse().ok()),
        number => number.as_i64(),
    }
}

/// The probe asks for a port by a name that the container does not declare.
pub(super) fn unknown_name(facts: &Facts<'_>) -> Option<Diagnosis> {
    let (port, None) = facts.port()? else { return None };
    let name = port.text()?;
    let declared = declared(&facts.container);
    let names = || declared.iter().map(|(name, _)| *name).filter(|name| !name.is_empty());
    let cause = format!("{} asks port `{name}`, and `{}` declares no port of that name", facts.subject(), facts.name());
    let mut grounds = facts.grounds("the kubelet cannot make a number of the port");
    let Near::One(near) = nearest(name, names()) else {
        let why = format!("which port was meant cannot be told: `{}` declares {}", facts.name(), listed(names()));
        return Some(person(cause, facts.because(), grounds, why, vec![next::yaml(&facts.template.workload)]));
    };
    grounds.push(ground(ONE_CANDIDATE, format!("`{near}` is the only declared port with nearly that name")));
    let change = set(&facts.template.workload, port.path.clone(), name, near.as_str());
    Some(facts.repair(cause, grounds, change, format!("probe the port `{near}`")))
}

/// Refused at a port that nobody declares, while exactly one other is.
pub(super) fn wrong(facts: &Facts<'_>) -> Option<Diagnosis> {
    let (port, Some(number)) = facts.port()? else { return None };
    let others: Vec<Part<'_>> = facts.template.containers();
    let anybody = others.iter().any(|c| declared(c).iter().any(|(_, declared)| *declared == number));
    let listens = listens(facts);
    let says_so = listens.iter().any(|(port, _)| *port == number);
    let elsewhere = handler(&facts.probe)?.1.get("host").is_some(); // it probes another machine
    if !matches!(facts.met(), Met::Refused(_)) || anybody || says_so || elsewhere {
        return None;
    }
    let mut numbers: Vec<i64> = declared(&facts.container).into_iter().map(|(_, number)| number).collect();
    numbers.dedup();
    let mut hold = None;
    let right = match numbers.as_slice() {
        [one] => *one,
        [] => {
            hold = Some("the container declares no port, and only its log says where it listens".to_owned());
            let mut said: Vec<i64> = listens.iter().map(|(port, _)| *port).collect();
            said.dedup();
            let [one] = said.as_slice() else { return None };
            *one
        }
        _ => return None,
    };
    let known = if listens.iter().any(|(port, _)| *port == right) { "listens on" } else { "declares" };
    let cause = format!("{} asks port {number}, and `{}` {known} {right}", facts.subject(), facts.name());
    let mut grounds = facts.grounds("no container declares the port at which the kubelet is refused");
    if hold.is_none() {
        grounds.push(ground(ONE_CANDIDATE, format!("`{}` declares one port, {right}", facts.name())));
    }
    let mut quotes = facts.because();
    if let Some((_, line)) = listens.iter().find(|(port, _)| *port == right) {
        grounds.push(ground(LOG_NAMES_IT, format!("its log says that it listens on {right}")));
        quotes.push(facts.log_quote(line));
    } else if let Some((other, _)) = listens.first() {
        grounds.push(doubt(40, format!("its log says that it listens on {other}")));
    }
    if let Some(other) = passing(facts).into_iter().find(|(_, part)| port_of(facts, part) == Some(right)) {
        grounds.push(ground(AGREES + 10, format!("its {} probe passes on {right}", other.0.word())));
    }
    if let Some(probe) = failing_at(facts, right) {
        grounds.push(doubt(60, format!("its {} probe fails on {right}, too", probe.word())));
    }
    if declared(&facts.container).iter().any(|(name, _)| name.contains("metric") || name.contains("prom")) {
        grounds.push(doubt(40, format!("port {right} is declared for metrics")));
    }
    if let Some(beside) = silent_beside(facts) {
        grounds.push(doubt(40, format!("`{beside}` beside it declares no port, and may be meant to serve {number}")));
    }
    grounds.extend(service_agrees(facts, number, right));
    let change = set(&facts.template.workload, port.path.clone(), port.value.clone(), right);
    let cure = Cure::Repair { changes: vec![change], help: format!("probe port {right}"), hold };
    Some(rule(cause, quotes, grounds, cure))
}

/// A container that stays, in the same pod and so at the same address, and declares no port: it may serve any. Injected
/// ones are only in the pod.
fn silent_beside<'e>(facts: &Facts<'e>) -> Option<&'e str> {
    let pod = facts.failing.instances.first()?.pod;
    let stays = pod.spec.init_containers.iter().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let mut others = stays.chain(&pod.spec.containers).filter(|c| c.name != facts.name());
    others.find(|c| c.ports.is_empty()).map(|c| c.name.as_str())
}

/// Ports on which the log says that the process listens, with the line.
pub(super) fn listens<'e>(facts: &Facts<'e>) -> Vec<(i64, &'e str)> {
    let lines = logs::of(facts.evidence, facts.name()).into_iter().flat_map(|log| &log.lines);
    let port = |line: &'e String| {
        let found = LISTENS.captures(line)?;
        let port = found.name("a").or_else(|| found.name("b"))?.as_str().parse().ok()?;
        Some((port, line.as_str()))
    };
    lines.filter_map(port).collect()
}

/// The port that the probe asks, when the log says that it is served and the kubelet is refused there all the same.
pub(super) fn serves_in_words_only<'e>(facts: &Facts<'e>) -> Option<(i64, &'e str)> {
    let number = facts.number().filter(|_| matches!(facts.met(), Met::Refused(_)))?;
    listens(facts).into_iter().find(|(port, _)| *port == number)
}

/// The number of a probe's port.
pub(super) fn port_of(facts: &Facts<'_>, probe: &Part<'_>) -> Option<i64> {
    resolve(&facts.container, handler(probe)?.1.get("port")?.value)
}

/// Another probe of the container that fails on this port: then nothing listens there either.
fn failing_at(facts: &Facts<'_>, port: i64) -> Option<Probe> {
    let snapshot = &facts.evidence.snapshot;
    let fails = |probe: &Probe| facts.failing.instances.iter().any(|i| !probes::told(*probe, i, snapshot).is_empty());
    let others = probes::ALL.into_iter().filter(|probe| *probe != facts.failing.probe).filter(fails);
    others.into_iter().find(|probe| facts.container.get(probe.field()).and_then(|p| port_of(facts, &p)) == Some(port))
}

/// The container's other probes that pass: nothing is said against them, and it has run long enough for them.
pub(super) fn passing<'e>(facts: &Facts<'e>) -> Vec<(Probe, Part<'e>)> {
    let snapshot = &facts.evidence.snapshot;
    let passes = |probe: &Probe, part: &Part<'_>| {
        let timing: ProbeTiming = serde_json::from_value(part.value.clone()).unwrap_or_default();
        facts.failing.instances.iter().all(|i| {
            let started = i.status.state.running.as_ref().and_then(|r| r.started_at);
            let ran = started.map_or(0, |at| snapshot.taken.duration_since(at).as_secs());
            ran >= timing.budget() && probes::told(*probe, i, snapshot).is_empty()
        })
    };
    let others = probes::ALL.into_iter().filter(|probe| *probe != facts.failing.probe);
    let parts = others.filter_map(|probe| Some((probe, facts.container.get(probe.field())?)));
    parts.filter(|(probe, part)| passes(probe, part)).collect()
}

/// What the Services in front of the pods say about two ports.
fn service_agrees(facts: &Facts<'_>, asked: i64, right: i64) -> Option<Ground> {
    let namespace = facts.template.workload.namespace.as_deref();
    let found = services::selecting(&facts.evidence.snapshot, namespace, &facts.template.labels());
    let targets = found.iter().flat_map(|s| s.spec.ports.iter().map(move |p| (s, p)));
    let targets: Vec<(&str, i64)> = targets
        .filter_map(|(service, port)| {
            let own = Value::from(port.port);
            let number = resolve(&facts.container, port.target_port.as_ref().unwrap_or(&own))?;
            Some((service.metadata.name.as_str(), number))
        })
        .collect();
    if let Some((service, _)) = targets.iter().find(|(_, to)| *to == asked) {
        return Some(doubt(40, format!("Service {service} sends traffic to {asked}, too")));
    }
    let (service, _) = targets.iter().find(|(_, to)| *to == right)?;
    Some(ground(AGREES, format!("Service {service} sends traffic to {right}")))
}
