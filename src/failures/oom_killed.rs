#![doc = include_str!("oom_killed.md")]

use serde_json::Value;

use crate::case::{Cure, Diagnosis, Evidence, FailureId, Finding, Ground, ObjectRef, Snapshot};
use crate::detect::{Claims, Container, Instance, Look, container_of, count, earliest, of_pods, pod_ref};
use crate::diagnose::confidence::{AGREES, REPEATED, STATUS_NAMES_IT, doubt, ground};
use crate::diagnose::raise::{Limit, Not};
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{history, next, person, rule, went_back};
use crate::failures::Failure;
use crate::quantity::Quantity;
use crate::review::policy::Policy;

/// The kernel killed a container that used more memory than its limit.
pub struct OomKilled;

const ID: FailureId = FailureId("oom-killed");

impl Failure for OomKilled {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("oom_killed.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        look.containers().iter().filter_map(|container| finding(container, look)).collect()
    }

    fn diagnose(&self, evidence: &Evidence, policy: &Policy) -> Option<Diagnosis> {
        let finding = evidence.incident.first();
        let template = Template::of(&evidence.snapshot, &finding.workload)?;
        let container = template.container(finding.container.as_deref()?)?;
        let given = given(evidence);
        let Some(limit) = container.get("resources.limits.memory") else {
            return Some(given.map_or_else(|| without_limit(evidence), |given| by_default(evidence, given)));
        };
        if let Some(given) = given.filter(|given| Quantity::of(given) != Quantity::of(limit.value)) {
            return Some(given_otherwise(evidence, given, &limit));
        }
        let memory = |path: &crate::yaml::FieldPath| {
            template.path(path).starts_with(&container.path) && path.to_string().ends_with("s.memory")
        };
        let cause = |was: &str| {
            format!("the memory limit {} is too low for what `{}` uses; {was}", limit.shown(), container.name())
        };
        // A limit that the last rollout raised is not put back: it is still too low.
        let back =
            || went_back(evidence, &finding.workload, memory, cause, because(evidence), said_by_status(evidence));
        had_more(evidence, &container, &limit)
            .then(back)
            .flatten()
            .or_else(|| heap_above_limit(evidence, &container, &limit))
            .or_else(|| raise(evidence, &container, &limit, policy))
    }
}

/// Whether the last healthy revision let the container have more, or whatever it took.
fn had_more(evidence: &Evidence, container: &Part<'_>, limit: &Part<'_>) -> bool {
    let workload = &evidence.incident.first().workload;
    let Some(healthy) = history::last_healthy(&evidence.snapshot, workload) else { return false };
    history::was(&healthy, workload, &limit.path).map_or_else(
        || history::was(&healthy, workload, &container.path).is_some(),
        |was| Quantity::of(was) > Quantity::of(limit.value),
    )
}

fn is_oom(instance: &Instance<'_>) -> bool {
    instance.last_end().is_some_and(|end| end.reason.as_deref() == Some("OOMKilled"))
}

/// Killed twice or more, and not long ago. A Job's pod is killed once and not started again.
fn finding(container: &Container<'_>, snapshot: &Snapshot) -> Option<Finding> {
    let of_job = matches!(container.workload.kind.as_str(), "Job" | "CronJob");
    let killed: Vec<&Instance<'_>> = container
        .instances
        .iter()
        .filter(|i| is_oom(i) && (i.ends() >= 2 || of_job) && i.is_recent(snapshot.taken))
        .collect();
    let worst = killed.iter().map(|i| i.ends()).max()?;
    let times = usize::try_from(worst).unwrap_or(usize::MAX);
    let exit = killed[0].last_end().map_or(137, |end| end.exit_code);
    Some(Finding {
        failure: ID,
        workload: container.workload.clone(),
        container: Some(container.name.to_owned()),
        symptom: match (times, of_pods(killed.len(), container.instances.len())) {
            (1, pods) => format!("ran out of memory: killed once{pods}, exit code {exit}"),
            (_, pods) => {
                format!("keeps running out of memory: killed {}{pods}, exit code {exit}", count(times, "time"))
            }
        },
        since: earliest(killed.iter().map(|i| i.pod.status.start_time)),
        pods: killed.iter().map(|i| pod_ref(i.pod)).collect(),
        shared: None,
    })
}

fn because(evidence: &Evidence) -> Vec<Option<crate::case::Quote>> {
    vec![evidence.quote("terminated reason=OOMKilled")]
}

/// What the status establishes: it was memory, and how often.
fn said_by_status(evidence: &Evidence) -> Vec<Ground> {
    let finding = evidence.incident.first();
    let container = container_of(&evidence.snapshot, finding);
    let killed: Vec<&Instance<'_>> = container.iter().flat_map(|c| &c.instances).filter(|i| is_oom(i)).collect();
    let times = killed.iter().map(|i| i.ends()).max().unwrap_or(0);
    let mut grounds = vec![ground(STATUS_NAMES_IT, "the status says OOMKilled")];
    match times {
        0..=2 => {}
        3..=4 => grounds.push(ground(REPEATED, format!("it was killed {times} times"))),
        _ => grounds.push(ground(REPEATED + 10, format!("it was killed {times} times"))),
    }
    let runs = killed.iter().filter_map(|i| {
        let end = i.last_end()?;
        Some(end.finished_at?.duration_since(end.started_at?).as_secs())
    });
    match runs.max() {
        Some(seconds @ 0..=60) => {
            let within = count(usize::try_from(seconds.max(1)).unwrap_or(60), "second");
            grounds.push(ground(AGREES, format!("it is killed within {within} of its start")));
        }
        Some(seconds @ 3600..) => {
            grounds.push(doubt(
                30,
                format!("it runs for {} min before it is killed: a leak is as likely as a tight limit", seconds / 60),
            ));
        }
        _ => {}
    }
    grounds
}

fn without_limit(evidence: &Evidence) -> Diagnosis {
    let finding = evidence.incident.first();
    let cause = format!(
        "`{}` has no memory limit of its own, so the node or the pod as a whole ran out of memory",
        finding.container.as_deref().unwrap_or("")
    );
    let why = "there is no limit to raise: the bound is the node's memory, or the default of a LimitRange".to_owned();
    let next = vec![
        "kubectl top nodes".to_owned(),
        next::list("limitrange -o yaml", finding.workload.namespace.as_deref()),
        next::describe(&finding.workload),
    ];
    person(cause, because(evidence), said_by_status(evidence), why, next)
}

/// The limit with which the killed container ran: defaults of the namespace and webhooks change what the template says.
fn given(evidence: &Evidence) -> Option<&Value> {
    let container = container_of(&evidence.snapshot, evidence.incident.first())?;
    let killed = container.instances.into_iter().find(is_oom)?;
    killed.spec?.resources.limits.memory.as_ref()
}

/// A value of a manifest as a person writes it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The limit is a default of the namespace, or a webhook's: no line of the workload sets it.
fn by_default(evidence: &Evidence, given: &Value) -> Diagnosis {
    let finding = evidence.incident.first();
    let (name, given) = (finding.container.as_deref().unwrap_or(""), plain(given));
    let namespace = finding.workload.namespace.as_deref();
    let here = evidence.snapshot.limit_ranges.iter().filter(|r| r.metadata.namespace.as_deref() == namespace);
    let from = match here.map(|r| r.metadata.name.as_str()).collect::<Vec<_>>().as_slice() {
        [] => "something on its way into the cluster".to_owned(),
        ranges => format!("LimitRange {}", ranges.join(" or ")),
    };
    let cause =
        format!("`{name}` sets no memory limit and gets {given} from {from}, which is too low for what it uses");
    let why = "how much it needs is not in the evidence, and no line of its manifest says how much it gets".to_owned();
    let next = vec![
        next::list("limitrange -o yaml", namespace),
        format!("set resources.limits.memory of `{name}` in {} above {given}", finding.workload),
    ];
    person(cause, because(evidence), said_by_status(evidence), why, next)
}

/// Something between Git and the node gave it another limit, and would do so with any other in Git.
fn given_otherwise(evidence: &Evidence, given: &Value, limit: &Part<'_>) -> Diagnosis {
    let finding = evidence.incident.first();
    let (name, given) = (finding.container.as_deref().unwrap_or(""), plain(given));
    let cause = format!("`{name}` runs with a memory limit of {given}, and its template says {}", limit.shown());
    let why =
        "a VerticalPodAutoscaler, a webhook or a person sets it in the pod: another value in Git may change nothing"
            .to_owned();
    let next = vec![
        next::list("verticalpodautoscalers", finding.workload.namespace.as_deref()),
        finding.pods.first().map_or_else(|| next::describe(&finding.workload), next::yaml),
    ];
    person(cause, because(evidence), said_by_status(evidence), why, next)
}

/// A runtime that is told to use more than it gets is the cause, not the limit.
fn heap_above_limit(evidence: &Evidence, container: &Part<'_>, limit: &Part<'_>) -> Option<Diagnosis> {
    let bound = Quantity::of(limit.value)?;
    let words =
        container.value.get("env").into_iter().chain(container.value.get("args")).chain(container.value.get("command"));
    let words: String = words.map(Value::to_string).collect::<Vec<_>>().join(" ");
    if let Some(share) = heap_share(&words) {
        return Some(heap_of_all(evidence, container, limit, share));
    }
    let (flag, heap) = heap_flag(&words).or_else(|| go_limit(container))?;
    if heap < bound {
        return None;
    }
    let cause = format!("`{flag}` lets the heap grow to {heap}, and the memory limit is {}", limit.shown());
    let why =
        "the heap can be made smaller or the limit larger, and which is a decision about the application".to_owned();
    let next = vec![
        format!("lower `{flag}` below {}, with room for what is not heap", limit.shown()),
        format!("or raise resources.limits.memory of `{}` above {heap}", container.name()),
    ];
    Some(person(cause, because(evidence), said_by_status(evidence), why, next))
}

/// `-XX:MaxRAMPercentage=95`, when it leaves too little for what is not heap: however high the limit is.
fn heap_share(words: &str) -> Option<u32> {
    const MOST: u32 = 85;
    let (_, share) = words.split_once("-XX:MaxRAMPercentage=")?;
    let digits: String = share.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|share| *share > MOST)
}

fn heap_of_all(evidence: &Evidence, container: &Part<'_>, limit: &Part<'_>, share: u32) -> Diagnosis {
    let flag = format!("-XX:MaxRAMPercentage={share}");
    let cause = format!("`{flag}` gives the heap nearly all of the memory limit {}, whatever that is", limit.shown());
    let why = "a higher limit makes the heap larger, too; the share is a decision about the application".to_owned();
    let next = vec![format!("lower the share of `{}` to 75 or less, with room for what is not heap", container.name())];
    person(cause, because(evidence), said_by_status(evidence), why, next)
}

/// `GOMEMLIMIT=512MiB` of Go: up to there it does not try hard to free memory.
fn go_limit(container: &Part<'_>) -> Option<(String, Quantity)> {
    let env = container.items("env");
    let value = env.iter().find(|e| e.name() == "GOMEMLIMIT")?.get("value")?;
    let limit = value.text()?;
    Some((format!("GOMEMLIMIT={limit}"), Quantity::parse(limit.trim_end_matches('B'))?))
}

/// `-Xmx512m` of a JVM, `--max-old-space-size=512` (in `MiB`) of Node.
fn heap_flag(words: &str) -> Option<(String, Quantity)> {
    let number = |at: usize| -> (String, String) {
        let digits: String = words[at..].chars().take_while(char::is_ascii_digit).collect();
        let unit: String = words[at + digits.len()..].chars().take(1).collect();
        (digits, unit)
    };
    if let Some(at) = words.find("-Xmx") {
        let (digits, unit) = number(at + 4);
        let unit = match unit.as_str() {
            "k" | "K" => "Ki",
            "m" | "M" => "Mi",
            "g" | "G" => "Gi",
            _ => "",
        };
        return Some((
            format!("-Xmx{digits}{}", unit.trim_end_matches('i').to_lowercase()),
            Quantity::parse(&format!("{digits}{unit}"))?,
        ));
    }
    let at = words.find("--max-old-space-size=")?;
    let (digits, _) = number(at + "--max-old-space-size=".len());
    Some((format!("--max-old-space-size={digits}"), Quantity::parse(&format!("{digits}Mi"))?))
}

/// Past the maximum a leak is likelier than a tight limit.
fn at_maximum(workload: &ObjectRef) -> Vec<String> {
    vec![
        format!(
            "kubectl top pods{} --containers   # does it grow without end?",
            next::flag(workload.namespace.as_deref())
        ),
        next::policy(workload),
    ]
}

/// Raises the limit by one step, and the request with it when they were equal.
fn raise(evidence: &Evidence, container: &Part<'_>, limit: &Part<'_>, policy: &Policy) -> Option<Diagnosis> {
    let workload = &evidence.incident.first().workload;
    let request = container.get("resources.requests.memory");
    let cause = format!("the memory limit {} is too low for what `{}` uses", limit.shown(), container.name());
    let limit = Limit { failure: ID, workload, resource: "memory", limit, request: request.as_ref() };
    let raised = match limit.raise(evidence, policy) {
        Ok(raised) => raised,
        Err(Not::NoQuantity) => return None,
        Err(Not::AtMaximum) => {
            let why = format!("policy does not let KubeCure raise the limit above {}", limit.limit.shown());
            return Some(person(cause, because(evidence), said_by_status(evidence), why, at_maximum(workload)));
        }
    };
    let mut grounds = said_by_status(evidence);
    let hold = raised.room.map(|said| grounds.push(ground(AGREES, said))).err();
    grounds.push(doubt(5, "no usage metrics"));
    let cure = Cure::Repair { changes: raised.changes, help: raised.help, hold };
    let mut diagnosis = rule(cause, because(evidence), grounds, cure);
    diagnosis.unchecked.push("the real peak of memory use".to_owned());
    Some(diagnosis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BEFORE, changes, deployment, object, pod, replica_set, taken, work};
    use serde_json::json;

    fn app(limit: &str, more: &Value) -> Value {
        let mut app = json!({"name": "app", "image": "a:1", "resources": {"limits": {"memory": limit}}});
        app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"containers": [app]})
    }

    /// The template of now, the pod as it runs, and what the last healthy revision had.
    fn killed(now: &Value, runs: &Value, before: Option<&Value>, more: &[Value]) -> Value {
        let end = json!({"exitCode": 137, "reason": "OOMKilled", "startedAt": "2026-11-23T11:57:50Z", "finishedAt": "2026-11-23T11:58:00Z"});
        let status = json!({"phase": "Running", "startTime": BEFORE, "containerStatuses": [{"name": "app", "restartCount": 6,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": end}}]});
        let mut all = vec![taken(), deployment("web", now, &json!({})), replica_set("web", 2, 0, now, &json!({}))];
        all.extend(before.map(|before| replica_set("web", 1, 0, before, &json!({}))));
        all.push(pod("web-2", runs, &status));
        all.extend_from_slice(more);
        Value::from(all)
    }

    fn limit(all: &Value) -> Vec<String> {
        changes(&work(ID.0, all, &[]).1)
    }

    fn cause(all: &Value) -> String {
        work(ID.0, all, &[]).1.unwrap().cause
    }

    #[test]
    fn a_limit_that_the_last_rollout_raised_is_raised_further_and_one_that_it_cut_comes_back() {
        let path = "spec.template.spec.containers[name=app].resources.limits.memory";
        let (low, high) = (app("64Mi", &json!({})), app("128Mi", &json!({})));
        assert_eq!(limit(&killed(&high, &high, Some(&low), &[])), [format!("{path}: \"128Mi\" -> \"256Mi\"")]);
        assert_eq!(
            limit(&killed(&low, &low, Some(&app("500Mi", &json!({}))), &[])),
            [format!("{path}: \"64Mi\" -> \"500Mi\"")]
        );
    }

    #[test]
    fn a_limit_that_is_not_the_templates_is_no_line_of_it() {
        let all = killed(&app("512Mi", &json!({})), &app("128Mi", &json!({})), None, &[]);
        assert!(limit(&all).is_empty());
        assert!(cause(&all).contains("runs with a memory limit of 128Mi"));
        let without = json!({"containers": [{"name": "app", "image": "a:1"}]});
        let range = object("v1", "LimitRange", "defaults", &json!({"spec": {"limits": [{"type": "Container"}]}}));
        let all = killed(&without, &app("128Mi", &json!({})), None, &[range]);
        assert!(cause(&all).contains("gets 128Mi from LimitRange defaults"));
    }

    #[test]
    fn a_runtime_that_takes_what_it_gets_is_not_given_more() {
        for more in [
            json!({"args": ["-XX:MaxRAMPercentage=95"]}),
            json!({"env": [{"name": "GOMEMLIMIT", "value": "800MiB"}]}),
            json!({"env": [{"name": "JAVA_OPTS", "value": "-Xmx1g"}]}),
        ] {
            let spec = app("512Mi", &more);
            assert!(limit(&killed(&spec, &spec, None, &[])).is_empty(), "{more}");
        }
        let spec = app("512Mi", &json!({"args": ["-XX:MaxRAMPercentage=75"]}));
        assert_eq!(limit(&killed(&spec, &spec, None, &[])).len(), 1);
    }
}
