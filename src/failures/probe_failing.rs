#![doc = include_str!("probe_failing.md")]

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::case::{
    Change, Cure, Diagnosis, Evidence, FailureId, Finding, Ground, ItemSource, LogKey, Operation, ProbeTiming, Quote,
    Snapshot,
};
use crate::detect::{Claims, Container, container_of, containers, count, earliest, of_pods, pod_ref};
use crate::diagnose::changes::{add, set};
use crate::diagnose::confidence::{AGREES, LOG_NAMES_IT, ONE_CANDIDATE, STATUS_NAMES_IT, doubt, ground};
use crate::diagnose::near::{Near, listed, nearest};
use crate::diagnose::probes::{self, FailingProbe, Probe, failing, longest_run, measured_start};
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{logs, next, person, rule, services, went_back};
use crate::failures::Failure;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// A probe keeps a container from traffic, or kills it, although the process runs.
pub struct ProbeFailing;

const ID: FailureId = FailureId("probe-failing");

/// How many times the measured start a probe must allow.
const ROOM: i64 = 2;

static STATUS_CODE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"statuscode: (?<code>\d{3})").expect("a constant pattern"));
/// A line in which a server says where it listens.
static LISTENS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(listen\w*|serving|bound|binding|started|running)\b.*?(:(?<a>\d{3,5})\b|\bport\W{1,3}(?<b>\d{2,5})\b)",
    )
    .expect("a constant pattern")
});

impl Failure for ProbeFailing {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("probe_failing.md")
    }

    fn detect(&self, snapshot: &Snapshot, claims: &Claims) -> Vec<Finding> {
        let all = containers(snapshot);
        let free = all.iter().filter(|c| !claims.container(&c.workload, c.name));
        free.filter_map(|container| Some(finding(container, &failing(container, snapshot)?))).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let finding = evidence.incident.first();
        let instances = container_of(&evidence.snapshot, finding)?;
        let failing = failing(&instances, &evidence.snapshot)?;
        let template = Template::of(&evidence.snapshot, &finding.workload)?;
        let container = template.container(instances.name)?;
        let probe = container.get(failing.probe.field())?;
        let facts = Facts { evidence, instances: &instances, failing, template: &template, container, probe };
        let back = back(&facts);
        if let Some(back) = back.as_ref().filter(|back| !back.changes().is_empty()) {
            return Some(back.clone());
        }
        let rules = [unknown_port_name, wrong_port, wrong_path, wrong_scheme, too_early, too_slow];
        let cured = rules.iter().find_map(|rule| rule(&facts));
        Some(cured.or(back).unwrap_or_else(|| told(&facts)))
    }
}

fn finding(container: &Container<'_>, failing: &FailingProbe<'_>) -> Finding {
    let (probe, said) = (failing.probe.word(), without_head(failing.said));
    let pods = of_pods(failing.instances.len(), container.instances.len());
    let symptom = if failing.kills {
        let ends = failing.instances.iter().map(crate::detect::Instance::ends).max().unwrap_or(0);
        let times = count(usize::try_from(ends).unwrap_or(0), "time");
        format!("is killed by its {probe} probe, {times}{pods}: {said}")
    } else {
        format!("never gets ready{pods}: its {probe} probe fails, {said}")
    };
    Finding {
        failure: ID,
        workload: container.workload.clone(),
        container: Some(container.name.to_owned()),
        symptom,
        since: earliest(failing.instances.iter().map(|i| i.pod.status.start_time)),
        pods: failing.instances.iter().map(|i| pod_ref(i.pod)).collect(),
        shared: None,
    }
}

/// What comes after `Readiness probe failed: `.
fn without_head(said: &str) -> &str {
    said.split_once(": ").map_or(said, |(_, rest)| rest)
}

/// What the rules of this failure look at.
struct Facts<'e> {
    evidence: &'e Evidence,
    instances: &'e Container<'e>,
    failing: FailingProbe<'e>,
    template: &'e Template,
    /// The container as the template has it.
    container: Part<'e>,
    /// Its failing probe.
    probe: Part<'e>,
}

impl<'e> Facts<'e> {
    fn name(&self) -> &'e str {
        self.instances.name
    }

    /// The readiness probe of `app`.
    fn subject(&self) -> String {
        format!("the {} probe of `{}`", self.failing.probe.word(), self.name())
    }

    /// `httpGet`, `tcpSocket`, `grpc` and its part, if the probe goes over the network.
    fn handler(&self) -> Option<(&'static str, Part<'e>)> {
        handler(&self.probe)
    }

    /// The field with the probe's port, and the number that it stands for.
    fn port(&self) -> Option<(Part<'e>, Option<i64>)> {
        let port = self.handler()?.1.get("port")?;
        let number = resolve(&self.container, port.value);
        Some((port, number))
    }

    fn timing(&self) -> ProbeTiming {
        serde_json::from_value(self.probe.value.clone()).unwrap_or_default()
    }

    fn because(&self) -> Vec<Option<Quote>> {
        let mut quotes = vec![self.evidence.quote(self.failing.said)];
        if self.failing.kills {
            quotes.push(self.evidence.quote(&self.failing.probe.kill(self.name())));
        }
        quotes
    }

    /// What the kubelet establishes.
    fn grounds(&self, what: String) -> Vec<Ground> {
        let mut grounds = vec![ground(STATUS_NAMES_IT, what)];
        if self.failing.times >= 10 {
            grounds.push(ground(AGREES, format!("the probe failed {} times", self.failing.times)));
        }
        grounds
    }

    fn repair(&self, cause: String, grounds: Vec<Ground>, change: Change, help: String) -> Diagnosis {
        let cure = Cure::Repair { changes: vec![change], help, hold: None };
        rule(cause, self.because(), grounds, cure)
    }

    /// A line of the log as a quote; its words may stand in the command, too.
    fn log_line(&self, line: &str) -> Option<Quote> {
        self.evidence.quote_item(|item| matches!(item.source, ItemSource::LogLine(_)) && item.text == line)
    }

    /// Ports on which the log says that the process listens, with the line.
    fn listens(&self) -> Vec<(i64, &'e str)> {
        let lines = logs::of(self.evidence, self.name()).into_iter().flat_map(|log| &log.lines);
        let port = |line: &'e String| {
            let found = LISTENS.captures(line)?;
            let port = found.name("a").or_else(|| found.name("b"))?.as_str().parse().ok()?;
            Some((port, line.as_str()))
        };
        lines.filter_map(port).collect()
    }
}

fn handler<'t>(probe: &Part<'t>) -> Option<(&'static str, Part<'t>)> {
    ["httpGet", "tcpSocket", "grpc"].into_iter().find_map(|kind| Some((kind, probe.get(kind)?)))
}

/// The TCP ports that a container declares: name and number.
fn declared<'t>(container: &Part<'t>) -> Vec<(&'t str, i64)> {
    let ports = container.items("ports");
    let tcp = ports.iter().filter(|p| p.value.get("protocol").is_none_or(|p| p == "TCP"));
    tcp.filter_map(|p| Some((p.name(), p.value.get("containerPort")?.as_i64()?))).collect()
}

fn resolve(container: &Part<'_>, port: &Value) -> Option<i64> {
    match port {
        Value::String(name) => declared(container)
            .iter()
            .find(|(declared, _)| declared == name)
            .map(|(_, number)| *number)
            .or_else(|| name.parse().ok()),
        number => number.as_i64(),
    }
}

/// The probe as it was in the last healthy revision. A probe that is new is no line to take away.
fn back(facts: &Facts<'_>) -> Option<Diagnosis> {
    let field = facts.probe.path.clone();
    let blamed = |path: &FieldPath| facts.template.path(path).starts_with(&field);
    let cause = |was: &str| format!("{} fails: {}; {was}", facts.subject(), without_head(facts.failing.said));
    let grounds = facts.grounds(format!("the kubelet says: {}", facts.failing.said));
    let workload = &facts.template.workload;
    let back = went_back(facts.evidence, workload, blamed, cause, facts.because(), grounds)?;
    let takes_away = |c: &Change| matches!(c.operation, Operation::Remove { .. }) && c.path == field;
    (!back.changes().iter().any(takes_away)).then_some(back)
}

/// The probe asks for a port by a name that the container does not declare.
fn unknown_port_name(facts: &Facts<'_>) -> Option<Diagnosis> {
    let (port, None) = facts.port()? else { return None };
    let name = port.text()?;
    let declared = declared(&facts.container);
    let names = || declared.iter().map(|(name, _)| *name).filter(|name| !name.is_empty());
    let cause = format!("{} asks for port `{name}`, and the container declares no port of that name", facts.subject());
    let mut grounds = facts.grounds(format!("no port of `{}` is called {name}", facts.name()));
    let Near::One(near) = nearest(name, names()) else {
        let why = format!("no single declared port has nearly that name; there are {}", listed(names()));
        return Some(person(cause, facts.because(), grounds, why, vec![next::yaml(&facts.template.workload)]));
    };
    grounds.push(ground(ONE_CANDIDATE, format!("{near} is the only declared port with nearly that name")));
    let change = set(&facts.template.workload, port.path.clone(), name, near.as_str());
    Some(facts.repair(cause, grounds, change, format!("probe the port `{near}`")))
}

/// Refused at a port that nobody declares, while exactly one other is.
fn wrong_port(facts: &Facts<'_>) -> Option<Diagnosis> {
    let (port, Some(number)) = facts.port()? else { return None };
    let others: Vec<Part<'_>> = facts.template.containers();
    let anybody = others.iter().any(|c| declared(c).iter().any(|(_, declared)| *declared == number));
    let listens = facts.listens();
    let says_so = listens.iter().any(|(port, _)| *port == number);
    let elsewhere = facts.handler()?.1.get("host").is_some(); // it probes another machine
    if !facts.failing.said.contains("connection refused") || anybody || says_so || elsewhere {
        return None;
    }
    let mut numbers: Vec<i64> = declared(&facts.container).into_iter().map(|(_, number)| number).collect();
    numbers.dedup();
    let mut hold = None;
    let right = match numbers.as_slice() {
        [one] => *one,
        [] => {
            hold = Some("the container declares no port; only its log says where it listens".to_owned());
            let mut said: Vec<i64> = listens.iter().map(|(port, _)| *port).collect();
            said.dedup();
            let [one] = said.as_slice() else { return None };
            *one
        }
        _ => return None,
    };
    let known = if listens.iter().any(|(port, _)| *port == right) { "listens on" } else { "declares" };
    let cause = format!("{} asks at port {number}, and `{}` {known} {right}", facts.subject(), facts.name());
    let mut grounds = facts.grounds(format!("the kubelet is refused at port {number}, which no container declares"));
    if hold.is_none() {
        grounds.push(ground(ONE_CANDIDATE, format!("`{}` declares one port, {right}", facts.name())));
    }
    let mut quotes = facts.because();
    if let Some((_, line)) = listens.iter().find(|(port, _)| *port == right) {
        grounds.push(ground(LOG_NAMES_IT, format!("its log says that it listens on {right}")));
        quotes.push(facts.log_line(line));
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
    grounds.extend(service_agrees(facts, number, right));
    let change = set(&facts.template.workload, port.path.clone(), port.value.clone(), right);
    let cure = Cure::Repair { changes: vec![change], help: format!("probe port {right}"), hold };
    Some(rule(cause, quotes, grounds, cure))
}

fn port_of(facts: &Facts<'_>, probe: &Part<'_>) -> Option<i64> {
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
fn passing<'e>(facts: &Facts<'e>) -> Vec<(Probe, Part<'e>)> {
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

/// 404, while another probe of the container passes on the same port with another path.
fn wrong_path(facts: &Facts<'_>) -> Option<Diagnosis> {
    let code = STATUS_CODE.captures(facts.failing.said)?;
    let path = facts.probe.get("httpGet.path").filter(|_| &code["code"] == "404")?;
    let number = facts.port()?.1?;
    let here = |part: &Part<'_>| port_of(facts, part) == Some(number);
    let others = passing(facts).into_iter().filter(|(_, part)| here(part));
    let mut paths: Vec<(Probe, &str)> =
        others.filter_map(|(probe, part)| Some((probe, part.get("httpGet.path")?.value.as_str()?))).collect();
    paths.retain(|(_, other)| Some(*other) != path.text());
    paths.dedup_by(|a, b| a.1 == b.1);
    let [(probe, right)] = paths.as_slice() else { return None };
    let asked = path.text()?;
    let cause = format!("{} asks for {asked}, and the application serves no such path", facts.subject());
    let mut grounds = facts.grounds(format!("the application answers {asked} with 404"));
    grounds.push(ground(ONE_CANDIDATE, format!("its {} probe passes on the same port with {right}", probe.word())));
    let change = set(&facts.template.workload, path.path.clone(), asked, *right);
    Some(facts.repair(cause, grounds, change, format!("probe {right}")))
}

/// The probe speaks HTTPS, and the server HTTP.
fn wrong_scheme(facts: &Facts<'_>) -> Option<Diagnosis> {
    let scheme = facts.probe.get("httpGet.scheme").filter(|s| s.text() == Some("HTTPS"))?;
    if !facts.failing.said.contains("server gave HTTP response to HTTPS client") {
        return None;
    }
    let cause = format!("{} speaks HTTPS, and the server answers in plain HTTP", facts.subject());
    let mut grounds = facts.grounds("the kubelet got an answer in HTTP".to_owned());
    grounds.push(ground(ONE_CANDIDATE, "there are two schemes, and it is not this one"));
    let change = set(&facts.template.workload, scheme.path.clone(), "HTTPS", "HTTP");
    Some(facts.repair(cause, grounds, change, "probe with scheme HTTP".to_owned()))
}

/// Killed while it starts: the probe gives up before the process can answer.
fn too_early(facts: &Facts<'_>) -> Option<Diagnosis> {
    let (number, timing) = (facts.port().and_then(|(_, number)| number), facts.timing());
    let patience = timing.initial_delay_seconds + timing.failure_threshold * timing.period_seconds;
    let longest = longest_run(&facts.failing)?;
    let ran_on = longest > patience + timing.timeout_seconds + 60;
    let listens = facts.listens();
    let says_so = listens.iter().any(|(port, _)| Some(*port) == number);
    // With a startup probe, the liveness probe begins after the start.
    let after_start = facts.failing.probe == Probe::Liveness && facts.container.get("startupProbe").is_some();
    if after_start || !facts.failing.kills || !facts.failing.said.contains("connection refused") || ran_on || says_so {
        return None;
    }
    let cause = format!(
        "{} gives up {patience} s after the start, before `{}` listens{}",
        facts.subject(),
        facts.name(),
        number.map(|n| format!(" on {n}")).unwrap_or_default()
    );
    let mut grounds = facts.grounds(format!("the kubelet kills it for its {} probe", facts.failing.probe.word()));
    let measured = measured_start(&facts.evidence.snapshot, facts.instances).filter(|(took, _)| *took >= patience);
    let Some((took, said)) = measured else {
        let why = format!(
            "no run lived long enough to measure its start; it needs more than {longest} s (a startup probe that allows twice the real time would do)"
        );
        let key = LogKey {
            pod: pod_ref(facts.failing.instances[0].pod),
            container: facts.name().to_owned(),
            previous: false,
        };
        let commands = vec![
            next::logs(&key, " --timestamps -f"),
            format!("kubectl get pod {} -n {} -o yaml", key.pod.name, key.pod.ns()),
        ];
        return Some(person(cause, facts.because(), grounds, why, commands));
    };
    grounds.push(ground(ONE_CANDIDATE, said));
    let (key, seconds, to) = if facts.failing.probe == Probe::Startup {
        let period = timing.period_seconds.max(1);
        let times = (ROOM * took + period - 1) / period;
        ("failureThreshold", times * period, times)
    } else {
        ("initialDelaySeconds", ROOM * took, ROOM * took)
    };
    let (workload, path) = (&facts.template.workload, facts.probe.path.clone().key(key));
    let change = match facts.probe.get(key) {
        Some(now) => set(workload, path, now.value.clone(), to),
        None => add(workload, path, to),
    };
    Some(facts.repair(cause, grounds, change, format!("allow {seconds} s for the start")))
}

/// No answer in time: how long an answer takes was not measured, so a longer timeout is shown and held.
fn too_slow(facts: &Facts<'_>) -> Option<Diagnosis> {
    let said = facts.failing.said;
    let slow =
        ["context deadline exceeded", "Client.Timeout", "timed out", "i/o timeout"].iter().any(|t| said.contains(t));
    if !slow {
        return None;
    }
    let timeout = facts.timing().timeout_seconds;
    let cause = format!("{} gets no answer within {timeout} s", facts.subject());
    let grounds = facts.grounds(format!("the kubelet waited {timeout} s in vain"));
    let path = facts.probe.path.clone().key("timeoutSeconds");
    let workload = &facts.template.workload;
    let change = match facts.probe.get("timeoutSeconds") {
        Some(now) => set(workload, path, now.value.clone(), timeout * 2),
        None => add(workload, path, timeout * 2),
    };
    let hold = "how long an answer takes was not measured: the application may be too slow, or hang";
    let help = format!("wait {} s for an answer", timeout * 2);
    let cure = Cure::Repair { changes: vec![change], help, hold: Some(hold.to_owned()) };
    Some(rule(cause, facts.because(), grounds, cure))
}

/// The application speaks, or does not: what it says, and where to look.
fn told(facts: &Facts<'_>) -> Diagnosis {
    let said = without_head(facts.failing.said);
    let pod = pod_ref(facts.failing.instances[0].pod);
    let key = LogKey { pod: pod.clone(), container: facts.name().to_owned(), previous: facts.failing.kills };
    let mut commands = vec![next::logs(&key, if facts.failing.kills { " --previous" } else { "" })];
    let mut quotes = facts.because();
    let number = facts.port().and_then(|(_, number)| number);
    let listens = facts.listens();
    let claim = listens.iter().find(|(port, _)| Some(*port) == number).filter(|_| said.contains("connection refused"));
    let mut cause = format!("{} fails: {said}", facts.subject());
    let why = if let Some(command) = facts.probe.get("exec.command") {
        let words: Vec<&str> = command.value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        commands.push(format!("kubectl exec {} -c {} -n {} -- {}", pod.name, facts.name(), pod.ns(), words.join(" ")));
        "the probe's own command says no, and the application decides what it finds".to_owned()
    } else if let Some((port, line)) = claim {
        quotes.push(facts.log_line(line));
        cause = format!("the log of `{}` says that it serves on {port}, and nothing listens there", facts.name());
        "no port and no time that could be set would let the probe pass: the program does not do what it says"
            .to_owned()
    } else if let Some(code) = STATUS_CODE.captures(said) {
        match &code["code"] {
            "404" => "no path is known that the application serves on that port".to_owned(),
            "401" | "403" => {
                "the application refuses the probe: whether it is to answer without credentials is a decision"
                    .to_owned()
            }
            code => format!(
                "the application answers with {code}: it says that it is not well, or cannot reach what it needs"
            ),
        }
    } else if said.contains("NOT_SERVING") {
        "the application says that it does not serve: it is not well, or cannot reach what it needs".to_owned()
    } else {
        "no field of the probe is established as the cause".to_owned()
    };
    if let (Some(number), Some(path)) = (number, facts.probe.get("httpGet.path")) {
        commands.push(format!("kubectl port-forward pod/{} {number} -n {}", pod.name, pod.ns()));
        commands.push(format!("curl -i http://127.0.0.1:{number}{}", path.text().unwrap_or("/")));
    }
    let grounds = facts.grounds(format!("the kubelet says: {}", facts.failing.said));
    person(cause, quotes, grounds, why, commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BEFORE, NOW, changes, deployment, event, found, object, pod, replica_set, taken, work};
    use serde_json::json;

    fn spec(ports: &Value, probes: &Value) -> Value {
        let mut app = json!({"name": "app", "ports": ports});
        app.as_object_mut().unwrap().extend(probes.as_object().unwrap().clone());
        json!({"containers": [app]})
    }

    fn running(ready: bool) -> Value {
        json!({"phase": "Running", "startTime": BEFORE, "containerStatuses":
            [{"name": "app", "ready": ready, "started": true, "state": {"running": {"startedAt": BEFORE}}}]})
    }

    fn killed(code: i64) -> Value {
        let end = json!({"exitCode": code, "reason": "Error", "startedAt": "2026-11-23T11:59:50Z", "finishedAt": NOW});
        json!({"phase": "Running", "startTime": BEFORE, "containerStatuses":
            [{"name": "app", "ready": false, "restartCount": 6, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": end}}]})
    }

    fn cluster(spec: &Value, status: &Value, said: &str, more: &[Value]) -> Value {
        let mut all = vec![
            taken(),
            deployment("web", spec, &json!({})),
            replica_set("web", 2, 0, spec, &json!({})),
            pod("web-2", spec, status),
            event(("Pod", "web-2-x"), "app", "Unhealthy", said, 30),
        ];
        all.extend_from_slice(more);
        Value::from(all)
    }

    fn http(port: &Value, path: &str) -> Value {
        json!({"httpGet": {"path": path, "port": port, "scheme": "HTTP"}, "periodSeconds": 5, "timeoutSeconds": 1, "failureThreshold": 3})
    }

    fn one_port() -> Value {
        json!([{"name": "http", "containerPort": 8080}])
    }

    const REFUSED: &str = "Readiness probe failed: Get \"http://10.0.0.1:8081/ready\": dial tcp 10.0.0.1:8081: connect: connection refused";
    const LIVENESS: &str =
        "Liveness probe failed: Get \"http://10.0.0.1:8080/\": dial tcp 10.0.0.1:8080: connect: connection refused";

    #[test]
    fn refused_at_an_undeclared_port_the_only_declared_one_is_probed() {
        let spec = spec(&one_port(), &json!({"readinessProbe": http(&8081.into(), "/ready")}));
        let log = ("web-2-x", "app", false, "level=info msg=\"listening\" port=8080");
        let (incident, diagnosis) = work(ID.0, &cluster(&spec, &running(false), REFUSED, &[]), &[log]);
        assert!(incident.first().symptom.starts_with("never gets ready"));
        assert_eq!(
            changes(&diagnosis),
            ["spec.template.spec.containers[name=app].readinessProbe.httpGet.port: 8081 -> 8080"]
        );
        assert!(diagnosis.unwrap().confidence >= 80);
    }

    #[test]
    fn of_two_declared_ports_neither_is_chosen_and_a_log_that_contradicts_is_a_doubt() {
        let probes = json!({"readinessProbe": http(&8081.into(), "/ready")});
        let two = spec(&json!([{"name": "a", "containerPort": 80}, {"name": "b", "containerPort": 81}]), &probes);
        assert!(changes(&work(ID.0, &cluster(&two, &running(false), REFUSED, &[]), &[]).1).is_empty());
        let log = ("web-2-x", "app", false, "listening on :9090");
        let (_, other) = work(ID.0, &cluster(&spec(&one_port(), &probes), &running(false), REFUSED, &[]), &[log]);
        assert!(other.unwrap().confidence < 80);
    }

    #[test]
    fn a_port_name_one_letter_off_is_corrected() {
        let spec = spec(
            &json!([{"name": "admin", "containerPort": 81}]),
            &json!({"readinessProbe": http(&"admni".into(), "/")}),
        );
        let said =
            "Readiness probe errored and resulted in unknown state: strconv.Atoi: parsing \"admni\": invalid syntax";
        let (_, diagnosis) = work(ID.0, &cluster(&spec, &running(false), said, &[]), &[]);
        assert_eq!(
            changes(&diagnosis),
            [r#"spec.template.spec.containers[name=app].readinessProbe.httpGet.port: "admni" -> "admin""#]
        );
    }

    #[test]
    fn a_path_that_is_not_there_becomes_the_one_that_another_probe_passes_with() {
        let said = "Readiness probe failed: HTTP probe failed with statuscode: 404";
        let probes =
            json!({"readinessProbe": http(&8080.into(), "/raedy"), "livenessProbe": http(&"http".into(), "/healthz")});
        let (_, diagnosis) = work(ID.0, &cluster(&spec(&one_port(), &probes), &running(false), said, &[]), &[]);
        assert_eq!(
            changes(&diagnosis),
            [r#"spec.template.spec.containers[name=app].readinessProbe.httpGet.path: "/raedy" -> "/healthz""#]
        );
        let alone = json!({"readinessProbe": http(&8080.into(), "/raedy")});
        assert!(
            changes(&work(ID.0, &cluster(&spec(&one_port(), &alone), &running(false), said, &[]), &[]).1).is_empty()
        );
    }

    #[test]
    fn the_scheme_is_the_servers_and_a_refusal_of_the_application_is_a_persons() {
        let mut probe = http(&8080.into(), "/");
        probe["httpGet"]["scheme"] = "HTTPS".into();
        let spec = spec(&one_port(), &json!({"readinessProbe": probe}));
        let said =
            "Readiness probe failed: Get \"https://10.0.0.1:8080/\": http: server gave HTTP response to HTTPS client";
        let (_, diagnosis) = work(ID.0, &cluster(&spec, &running(false), said, &[]), &[]);
        assert_eq!(
            changes(&diagnosis),
            [r#"spec.template.spec.containers[name=app].readinessProbe.httpGet.scheme: "HTTPS" -> "HTTP""#]
        );
        let said = "Readiness probe failed: HTTP probe failed with statuscode: 503";
        assert!(changes(&work(ID.0, &cluster(&spec, &running(false), said, &[]), &[]).1).is_empty());
    }

    #[test]
    fn a_probe_that_the_last_rollout_changed_goes_back_and_a_new_one_stays() {
        let now = spec(&one_port(), &json!({"readinessProbe": http(&8080.into(), "/v2/ready")}));
        let before = spec(&one_port(), &json!({"readinessProbe": http(&8080.into(), "/ready")}));
        let said = "Readiness probe failed: HTTP probe failed with statuscode: 503";
        let healthy = replica_set("web", 1, 1, &before, &json!({}));
        let (_, diagnosis) = work(ID.0, &cluster(&now, &running(false), said, &[healthy]), &[]);
        assert_eq!(
            changes(&diagnosis),
            [r#"spec.template.spec.containers[name=app].readinessProbe.httpGet.path: "/v2/ready" -> "/ready""#]
        );
        let without = replica_set("web", 1, 1, &spec(&one_port(), &json!({})), &json!({}));
        assert!(changes(&work(ID.0, &cluster(&now, &running(false), said, &[without]), &[]).1).is_empty());
    }

    fn kills() -> Value {
        event(("Pod", "web-2-x"), "app", "Killing", "Container app failed liveness probe, will be restarted", 6)
    }

    #[test]
    fn a_start_that_was_never_measured_is_not_guessed() {
        let spec = spec(&one_port(), &json!({"livenessProbe": http(&8080.into(), "/")}));
        let all = cluster(&spec, &killed(137), LIVENESS, &[kills()]);
        let (incident, diagnosis) = work(ID.0, &all, &[]);
        assert!(incident.first().symptom.starts_with("is killed by its liveness probe, 6 times"));
        let Ok(Diagnosis { cure: Cure::Person(declined), .. }) = diagnosis else { panic!("{diagnosis:?}") };
        assert!(declined.to_string().contains("no run lived long enough"), "{declined}");
    }

    #[test]
    fn a_start_that_another_pod_measured_is_given_twice_that() {
        let probes = json!({"livenessProbe": http(&8080.into(), "/"), "readinessProbe": http(&8080.into(), "/")});
        let spec = spec(&one_port(), &probes);
        let mut other = pod("web-2", &spec, &running(true));
        other["metadata"]["name"] = "web-2-y".into();
        other["status"]["conditions"] =
            json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-23T11:00:40Z"}]);
        let (_, diagnosis) = work(ID.0, &cluster(&spec, &killed(137), LIVENESS, &[kills(), other]), &[]);
        let shown = changes(&diagnosis);
        assert_eq!(shown, ["spec.template.spec.containers[name=app].livenessProbe.initialDelaySeconds += 80"]);
        assert!(diagnosis.unwrap().confidence >= 80);
    }

    #[test]
    fn a_crash_a_single_warning_and_a_ready_container_are_not_this_failure() {
        let spec = spec(
            &one_port(),
            &json!({"livenessProbe": http(&8080.into(), "/"), "readinessProbe": http(&8081.into(), "/")}),
        );
        let is_found = |all: &Value| found(all).iter().any(|f| f.failure == ID);
        assert!(!is_found(&cluster(&spec, &killed(1), LIVENESS, &[])));
        assert!(!is_found(&cluster(&spec, &running(true), REFUSED, &[])));
        let mut once = cluster(&spec, &running(false), REFUSED, &[]);
        once[4]["count"] = 1.into();
        assert!(!is_found(&once));
        let mut young = cluster(&spec, &running(false), REFUSED, &[]);
        young[3]["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = "2026-11-23T11:59:50Z".into();
        assert!(!is_found(&young));
    }

    #[test]
    fn a_late_answer_shows_a_longer_timeout_and_holds_it() {
        let said = "Readiness probe failed: Get \"http://10.0.0.1:8080/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
        let spec = spec(&one_port(), &json!({"readinessProbe": http(&8080.into(), "/")}));
        let service =
            object("v1", "Service", "web", &json!({"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}));
        let (_, diagnosis) = work(ID.0, &cluster(&spec, &running(false), said, &[service]), &[]);
        assert!(matches!(diagnosis.unwrap().cure, Cure::Repair { hold: Some(_), .. }));
    }
}
