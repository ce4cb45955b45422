#![doc = include_str!("probe_failing.md")]

mod answer;
mod met;
mod port;
mod start;

use serde_json::Value;

use crate::case::{
    Change, Cure, Diagnosis, Evidence, FailureId, Finding, Ground, ItemSource, LogKey, Operation, ProbeTiming, Quote,
};
use crate::detect::{Claims, Container, Look, container_of, count, earliest, of_pods, pod_ref};
use crate::diagnose::confidence::{AGREES, STATUS_NAMES_IT, doubt, ground};
use crate::diagnose::probes::{FailingProbe, failing};
use crate::diagnose::rollout::fell_back;
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{next, person, rule, went_back};
use crate::failures::Failure;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;
use met::Met;

/// A probe keeps a container from traffic, or kills it, although the process runs.
pub struct ProbeFailing;

const ID: FailureId = FailureId("probe-failing");

impl Failure for ProbeFailing {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("probe_failing.md")
    }

    fn detect(&self, look: &Look<'_>, claims: &Claims) -> Vec<Finding> {
        let free = look.containers().iter().filter(|c| !claims.container(&c.workload, c.name));
        free.filter_map(|container| Some(finding(container, &failing(container, look)?))).collect()
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
        let rules = [
            port::unknown_name,
            port::wrong,
            answer::wrong_path,
            answer::wrong_scheme,
            start::too_early,
            answer::too_late,
        ];
        let cured = rules.iter().find_map(|rule| rule(&facts));
        Some(cured.or(back).unwrap_or_else(|| told(&facts)))
    }
}

fn finding(container: &Container<'_>, failing: &FailingProbe<'_>) -> Finding {
    let (probe, met) = (failing.probe.word(), Met::of(failing.said).short());
    let pods = of_pods(failing.instances.len(), container.instances.len());
    let symptom = if failing.kills {
        let ends = failing.instances.iter().map(crate::detect::Instance::ends).max().unwrap_or(0);
        let times = count(usize::try_from(ends).unwrap_or(0), "time");
        format!("is killed by its {probe} probe, {times}{pods}: {met}")
    } else {
        let ever = if failing.instances.iter().any(|i| fell_back(i)) { "no longer" } else { "never" };
        format!("{ever} passes its {probe} probe{pods}: {met}")
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

    /// What the probe met with.
    fn met(&self) -> Met<'e> {
        Met::of(self.failing.said)
    }

    /// The field with the probe's port, and the number that it stands for.
    fn port(&self) -> Option<(Part<'e>, Option<i64>)> {
        let port = port::handler(&self.probe)?.1.get("port")?;
        let number = port::resolve(&self.container, port.value);
        Some((port, number))
    }

    /// The number of the port that the probe asks.
    fn number(&self) -> Option<i64> {
        self.port().and_then(|(_, number)| number)
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
    fn grounds(&self, what: impl Into<String>) -> Vec<Ground> {
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

    /// A line of the container's log, as a quote: the same words may stand in its command.
    fn log_quote(&self, line: &str) -> Option<Quote> {
        let is_line = |item: &crate::case::Item| matches!(item.source, ItemSource::LogLine(_)) && item.text == line;
        self.evidence.quote_item(is_line).or_else(|| self.evidence.quote(line))
    }

    /// The log of the newest pod that shows the failure.
    fn log(&self, previous: bool) -> LogKey {
        LogKey { pod: pod_ref(self.failing.instances[0].pod), container: self.name().to_owned(), previous }
    }
}

/// The probe as it was in the last healthy revision. A probe that is new is no line to take away.
fn back(facts: &Facts<'_>) -> Option<Diagnosis> {
    let field = facts.probe.path.clone();
    let blamed = |path: &FieldPath| facts.template.path(path).starts_with(&field);
    let cause = |was: &str| format!("{} {}; {was}", facts.subject(), facts.met());
    let mut grounds = facts.grounds("the kubelet says which probe fails, and how");
    if matches!(facts.met(), Met::Status(401 | 403 | 500..) | Met::NotServing) {
        grounds.push(doubt(
            40,
            "the application says that it is not well: a probe that asks elsewhere may only not see it",
        ));
    }
    let workload = &facts.template.workload;
    let back = went_back(facts.evidence, workload, blamed, cause, facts.because(), grounds)?;
    let takes_away = |c: &Change| matches!(c.operation, Operation::Remove { .. }) && c.path == field;
    (!back.changes().iter().any(|c| takes_away(c) || less_patient(c))).then_some(back)
}

/// Whether a change lets a probe that fails fail sooner: what the last rollout gave it was still too little.
fn less_patient(change: &Change) -> bool {
    let path = change.path.to_string();
    let is_of_time = ["timeoutSeconds", "failureThreshold", "periodSeconds", "initialDelaySeconds"];
    let of_time = is_of_time.iter().any(|field| path.ends_with(field));
    of_time
        && match &change.operation {
            Operation::Set { from, to } => to.as_i64() < from.as_i64(),
            // Without it the default counts, which is no more than what anyone writes.
            Operation::Remove { .. } => true,
            Operation::Add { .. } => false,
        }
}

/// The application speaks, or does not: what it says, and where to look.
fn told(facts: &Facts<'_>) -> Diagnosis {
    let mut quotes = facts.because();
    let subject = facts.subject();
    let command = facts.probe.get("exec.command");
    let (cause, why) = if let Some(command) = &command {
        (
            format!("{subject} runs `{}`, which fails", words(command)),
            "what the probe's command finds is the application's own affair, and no field is named".to_owned(),
        )
    } else if let Some((port, line)) = port::serves_in_words_only(facts) {
        quotes.push(facts.log_quote(line));
        (
            format!("the log of `{}` says that it serves on {port}, and nothing listens there", facts.name()),
            "no port and no time would let the probe pass: the program does not do what it says".to_owned(),
        )
    } else {
        (format!("{subject}{} {}", asked(facts), facts.met()), answer::no_field(facts.met()))
    };
    let grounds = facts.grounds("the kubelet says which probe fails, and how");
    person(cause, quotes, grounds, why, commands(facts, command.as_ref()))
}

/// ` (GET /ready on port 8080)`
fn asked(facts: &Facts<'_>) -> String {
    match (facts.probe.get("httpGet.path").and_then(|path| path.text().map(ToOwned::to_owned)), facts.number()) {
        (Some(path), Some(port)) => format!(" (GET {path} on port {port})"),
        (None, Some(port)) => format!(" (port {port})"),
        _ => String::new(),
    }
}

/// The words of a command, as a person would type them.
fn words(command: &Part<'_>) -> String {
    let words: Vec<&str> = command.value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    words.join(" ")
}

/// The log, and the same question asked by hand.
fn commands(facts: &Facts<'_>, command: Option<&Part<'_>>) -> Vec<String> {
    let (kills, pod) = (facts.failing.kills, pod_ref(facts.failing.instances[0].pod));
    let mut commands = vec![next::logs(&facts.log(kills), if kills { " --previous" } else { "" })];
    if let Some(command) = command {
        let (name, namespace) = (&pod.name, next::flag(pod.namespace.as_deref()));
        commands.push(format!("kubectl exec {name} -c {}{namespace} -- {}", facts.name(), words(command)));
    }
    if let (Some(number), Some(path), false) = (facts.number(), facts.probe.get("httpGet.path"), kills) {
        commands.push(format!(
            "kubectl port-forward pod/{} {number}{}",
            pod.name,
            next::flag(pod.namespace.as_deref())
        ));
        commands.push(format!("curl -i http://127.0.0.1:{number}{}", path.text().unwrap_or("/")));
    }
    if kills && command.is_none() {
        commands.push(next::describe(&pod));
    }
    commands
}

#[cfg(test)]
mod tests;
