#![doc = include_str!("crash_loop.md")]

use crate::case::{Diagnosis, Evidence, FailureId, Finding, Ground, Quote, Snapshot};
use crate::detect::{
    Claims, Container, Instance, Look, Role, container_of, count, earliest, of_pods, pod_events, pod_ref,
};
use crate::diagnose::confidence::{LOG_NAMES_IT, REPEATED, STATUS_NAMES_IT, ground};
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{environment, logs, next, person, rollout, went_back};
use crate::failures::Failure;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// A container starts and ends, again and again.
pub struct CrashLoop;

const ID: FailureId = FailureId("crash-loop");

/// Ends before it counts: a program may stumble once or twice while others start.
const ENDS: i64 = 3;

impl Failure for CrashLoop {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("crash_loop.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        look.containers().iter().filter_map(|container| finding(container, look)).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let finding = evidence.incident.first();
        let template = Template::of(&evidence.snapshot, &finding.workload)?;
        let container = template.container(finding.container.as_deref()?)?;
        let crash = Crash::of(evidence)?;
        let back = || crash.went_back(evidence, &template, &container);
        back()
            .filter(|diagnosis| !diagnosis.changes().is_empty())
            .or_else(|| environment::diagnose(evidence, &template, &container, &crash.grounds()))
            .or_else(back)
            .or_else(|| crash.person(evidence, &container))
    }
}

/// The fields of a container that a program can stumble over.
pub(super) const BLAMED: [&str; 8] =
    ["command", "args", "workingDir", "env", "envFrom", "volumeMounts", "image", "lifecycle"];

/// What an exit code means, where it means more than that the program failed.
pub(super) fn meaning(exit_code: i64) -> Option<&'static str> {
    Some(match exit_code {
        0 => "as if its work were done",
        126 => "a program may not be executed",
        127 => "a program was not found",
        134 => "aborted",
        137 => "killed from outside",
        139 => "segmentation fault",
        143 => "ended by SIGTERM",
        _ => return None,
    })
}

/// `exit code 1`, `exit code 139 (segmentation fault)`
pub(super) fn exit(code: i64) -> String {
    meaning(code).map_or_else(|| format!("exit code {code}"), |means| format!("exit code {code} ({means})"))
}

/// Whether this container of this pod crashes by itself: again and again, not long ago, not killed for memory or by a
/// probe, and having started at all.
fn crashes(container: &Container<'_>, instance: &Instance<'_>, snapshot: &Snapshot) -> bool {
    let Some(end) = instance.last_end() else { return false };
    let reason = end.reason.as_deref().unwrap_or("");
    if matches!(reason, "OOMKilled" | "StartError" | "ContainerCannotRun" | "ContainerStatusUnknown") {
        return false;
    }
    // An init container ends, and is run again when its pod starts anew.
    if container.role == Role::Init && end.exit_code == 0 {
        return false;
    }
    let failed_for_good = instance.pod.status.phase.as_deref() == Some("Failed");
    let counts = match container.workload.kind.as_str() {
        "Pod" if failed_for_good => end.exit_code != 0,
        // The Job counts its pods itself.
        "Job" | "CronJob" if failed_for_good => false,
        _ => instance.ends() >= ENDS,
    };
    counts && instance.is_recent(snapshot.taken) && !killed_by_probe(instance, snapshot)
}

/// A probe's kill ends with the signal's code, or with 0 when the program shuts down in good order.
fn killed_by_probe(instance: &Instance<'_>, snapshot: &Snapshot) -> bool {
    let by_signal = instance.last_end().is_some_and(|end| matches!(end.exit_code, 0 | 137 | 143));
    let name = &instance.status.name;
    by_signal
        && pod_events(snapshot, instance.pod, "Killing").any(|event| {
            let of_probe =
                event.message.contains("failed liveness probe") || event.message.contains("failed startup probe");
            let of_this = event.container.as_deref().is_none_or(|c| c == name) && event.message.contains(name.as_str());
            of_probe && of_this
        })
}

fn finding(container: &Container<'_>, snapshot: &Snapshot) -> Option<Finding> {
    let crashing: Vec<&Instance<'_>> = container.instances.iter().filter(|i| crashes(container, i, snapshot)).collect();
    let worst = crashing.iter().max_by_key(|i| i.ends())?;
    let code = worst.last_end().map_or(0, |end| end.exit_code);
    let times = count(usize::try_from(worst.ends()).unwrap_or(usize::MAX), "time");
    let does = if code == 0 { "keeps ending" } else { "keeps crashing" };
    Some(Finding {
        failure: ID,
        workload: container.workload.clone(),
        container: Some(container.name.to_owned()),
        symptom: format!("{does}: ended {times}{}, {}", of_pods(crashing.len(), container.instances.len()), exit(code)),
        since: earliest(crashing.iter().map(|i| i.pod.status.start_time)),
        pods: crashing.iter().map(|i| pod_ref(i.pod)).collect(),
        shared: None,
    })
}

/// A crash, with what the rules need of it.
struct Crash {
    container: String,
    reason: String,
    exit_code: i64,
    ends: i64,
    /// The first error of the last lines of the run that ended.
    complaint: Option<String>,
}

impl Crash {
    fn of(evidence: &Evidence) -> Option<Self> {
        let finding = evidence.incident.first();
        let all = container_of(&evidence.snapshot, finding)?;
        let worst = all.instances.iter().filter(|i| i.last_end().is_some()).max_by_key(|i| i.ends())?;
        let end = worst.last_end()?;
        let run = logs::of(evidence, all.name).into_iter().find_map(|log| logs::complaint(&log.lines));
        // What the program wrote to its termination file stands in the status.
        let told =
            run.or_else(|| end.message.as_deref().and_then(|message| message.lines().rfind(|l| logs::weight(l) > 1)));
        Some(Self {
            container: all.name.to_owned(),
            reason: end.reason.as_deref().unwrap_or_default().to_owned(),
            exit_code: end.exit_code,
            ends: worst.ends(),
            complaint: told.map(ToOwned::to_owned),
        })
    }

    fn because(&self, evidence: &Evidence) -> Vec<Option<Quote>> {
        let complaint = self.complaint.as_deref().and_then(|line| evidence.quote_log(line));
        let ended = || evidence.quote(&format!("reason={} exitCode={}", self.reason, self.exit_code));
        vec![complaint.or_else(ended)]
    }

    fn grounds(&self) -> Vec<Ground> {
        let said = format!("it ended {}", count(usize::try_from(self.ends).unwrap_or(usize::MAX), "time"));
        vec![ground(if self.ends >= ENDS { REPEATED } else { REPEATED / 2 }, said)]
    }

    /// Back to what ran in the last healthy revision.
    fn went_back(&self, evidence: &Evidence, template: &Template, container: &Part<'_>) -> Option<Diagnosis> {
        let volumes = FieldPath::keys(&["spec", "volumes"]);
        let blamed = |path: &FieldPath| path.starts_with(&volumes) || template.is_in(path, container, &BLAMED);
        let says = self.complaint.as_deref().map(logs::message);
        let says = says.map_or_else(|| exit(self.exit_code), |said| format!("its log says: {said}"));
        let cause = |was: &str| format!("`{}` crashes since the last rollout, and {says}; {was}", self.container);
        let back = went_back(evidence, &template.workload, blamed, cause, self.because(evidence), self.grounds())?;
        Some(rollout::unless_another_is_away(back, self.complaint.as_deref()))
    }

    /// The cause is plain, and not a field of a manifest.
    fn person(&self, evidence: &Evidence, container: &Part<'_>) -> Option<Diagnosis> {
        let says = self.complaint.as_deref().map(logs::message);
        let (cause, why) = self.plain(says.as_deref())?;
        let workload = &evidence.incident.first().workload;
        let next = next::log_of(evidence.incident.first(), " --previous")
            .into_iter()
            .chain([next::describe(workload)])
            .collect();
        let mut grounds = self.grounds();
        match says {
            Some(_) => grounds.push(ground(LOG_NAMES_IT, "its log ends with an error")),
            None => grounds.push(ground(STATUS_NAMES_IT, format!("the status says {}", exit(self.exit_code)))),
        }
        let mut diagnosis = person(cause, self.because(evidence), grounds, why.to_owned(), next);
        if container.get("securityContext.readOnlyRootFilesystem").is_some_and(|r| r.value == true) {
            diagnosis.notes.push("its root file system is read-only (readOnlyRootFilesystem: true)".to_owned());
        }
        Some(diagnosis)
    }

    /// A cause that status and log make plain, and why no change follows from it.
    fn plain(&self, says: Option<&str>) -> Option<(String, &'static str)> {
        let name = &self.container;
        let lower = says.unwrap_or("").to_lowercase();
        let plain = if lower.contains("read-only file system") {
            (
                format!("`{name}` writes where its file system is read-only{}", after(says)),
                "the program needs a volume at that path, or must write elsewhere, and which is a decision about it",
            )
        } else if lower.contains("permission denied") || lower.contains("operation not permitted") {
            (
                format!("`{name}` lacks a right that its program needs{}", after(says)),
                "the rights come from the image and its user; KubeCure never widens what a container may do",
            )
        } else {
            match (self.exit_code, says) {
                (139 | 134, _) => (
                    match self.exit_code {
                        139 => format!("the program of `{name}` ends in a segmentation fault{}", after(says)),
                        _ => format!("the program of `{name}` aborts{}", after(says)),
                    },
                    "such a crash is a fault of the program or of a library in the image, not of a manifest",
                ),
                (126 | 127, _) => (
                    format!("`{name}` calls a program that its image does not have or may not execute{}", after(says)),
                    "which program was meant is not in the evidence: the call stands in a script or in the image",
                ),
                (0, None) => (
                    format!("the program of `{name}` ends with success, and its pod starts it again"),
                    "a pod of this kind expects a program that runs on: it may go to the background, or be work for a Job",
                ),
                (137, None) => (
                    format!("`{name}` is killed from outside: neither for memory nor by a probe"),
                    "who kills it is not in the evidence",
                ),
                (_, Some(said)) => (
                    format!("`{name}` ends with an error of its own: {said}"),
                    "what the program complains of does not lead to a field of its manifest",
                ),
                (_, None) => return None,
            }
        };
        Some(plain)
    }
}

/// ": what the log says", or nothing.
fn after(says: Option<&str>) -> String {
    says.map(|said| format!(": {said}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::failures::trial::{Trial, before, crashing, event, object, web};

    const ERROR: &str = "exitCode: 1, reason: Error";

    fn spec(extra: &str) -> String {
        format!("{{containers: [{{name: app, image: 'shop/web:v1', {extra}}}]}}")
    }

    fn with_env(name: &str, value: &str) -> String {
        spec(&format!("env: [{{name: {name}, value: '{value}'}}, {{name: MODE, value: fast}}]"))
    }

    #[test]
    fn what_the_last_rollout_changed_goes_back() {
        for (now, old, change) in [
            ("args: [--prot=80]", "args: [--port=80]", "args[0]: \"--prot=80\" -> \"--port=80\""),
            ("env: [{name: A, value: b}]", "env: [{name: A, value: c}]", "env[name=A].value: \"b\" -> \"c\""),
        ] {
            let trial = Trial::of(&[web(&spec(now), &crashing("app", 5, ERROR)), before(&spec(old))]);
            assert_eq!(trial.findings(), ["crash-loop Deployment shop/web [app]"]);
            assert_eq!(trial.cure("crash-loop"), [format!("spec.template.spec.containers[name=app].{change}")]);
        }
    }

    #[test]
    fn another_program_that_is_away_is_a_doubt_unless_the_change_speaks_of_it() {
        let sure = |now: &str, old: &str| {
            let trial = Trial::of(&[web(&spec(now), &crashing("app", 5, ERROR)), before(&spec(old))]);
            let refused = "fatal: dial tcp 10.0.0.5:5432: connect: connection refused";
            trial.log("web-2-a", "app", refused).diagnose("crash-loop").unwrap().confidence
        };
        assert!(sure("env: [{name: MODE, value: b}]", "env: [{name: MODE, value: a}]") < 80);
        assert!(sure("env: [{name: DB, value: '10.0.0.5:5432'}]", "env: [{name: DB, value: '10.0.0.4:5432'}]") >= 80);
    }

    #[test]
    fn a_field_that_no_program_stumbles_over_is_not_taken_for_the_cause() {
        let now = spec("args: [a], resources: {limits: {cpu: 1}}");
        let trial = Trial::of(&[web(&now, &crashing("app", 5, ERROR)), before(&spec("args: [b]"))]);
        assert!(trial.cure("crash-loop").is_empty());
    }

    #[test]
    fn a_variable_that_the_log_misses_and_that_is_set_under_nearly_its_name() {
        let trial = Trial::of(&[web(&with_env("QUEUE_URI", "amqp://q"), &crashing("app", 5, ERROR))]).log(
            "web-2-a",
            "app",
            "starting\nlevel=fatal msg=\"required environment variable QUEUE_URL is not set\"\n",
        );
        assert_eq!(
            trial.cure("crash-loop"),
            ["spec.template.spec.containers[name=app].env[name=QUEUE_URI].name: \"QUEUE_URI\" -> \"QUEUE_URL\""]
        );
    }

    #[test]
    fn a_variable_that_is_used_or_has_a_twin_is_left_alone() {
        let missing = "fatal: QUEUE_URL is not set\n";
        let twin = spec("env: [{name: QUEUE_URI, value: a}, {name: QUEUE_URLS, value: b}]");
        let trial = Trial::of(&[web(&twin, &crashing("app", 5, ERROR))]).log("web-2-a", "app", missing);
        assert!(trial.cure("crash-loop").is_empty(), "two candidates");
        let trial = Trial::of(&[web(&with_env("QUEUE_URI", "a"), &crashing("app", 5, ERROR))]).log(
            "web-2-a",
            "app",
            &format!("using QUEUE_URI\n{missing}"),
        );
        assert!(trial.cure("crash-loop").is_empty(), "the log speaks of it");
        let used = spec("args: ['--queue=$(QUEUE_URI)'], env: [{name: QUEUE_URI, value: a}]");
        let trial = Trial::of(&[web(&used, &crashing("app", 5, ERROR))]).log("web-2-a", "app", missing);
        assert!(trial.cure("crash-loop").is_empty(), "an argument uses it");
    }

    #[test]
    fn a_variable_that_the_healthy_revision_set_comes_back_whatever_else_changed() {
        let now = spec("resources: {limits: {cpu: 1}}, env: [{name: MODE, value: fast}]");
        let trial = Trial::of(&[web(&now, &crashing("app", 5, ERROR)), before(&with_env("TENANT", "eu"))]).log(
            "web-2-a",
            "app",
            "KeyError: 'TENANT'\n",
        );
        assert_eq!(
            trial.cure("crash-loop"),
            ["spec.template.spec.containers[name=app].env[name=TENANT]: + {\"name\":\"TENANT\",\"value\":\"eu\"}"]
        );
    }

    #[test]
    fn a_host_that_is_almost_a_service_is_corrected() {
        let log = "dial tcp: lookup qeue.shop.svc on 10.96.0.10:53: no such host\n";
        let objects = [
            web(&with_env("URL", "amqp://u@qeue.shop.svc:5672/x"), &crashing("app", 5, ERROR)),
            object("v1", "Service", "queue", "spec: {}"),
            object("v1", "Service", "queue2", "spec: {}"),
        ];
        assert_eq!(
            Trial::of(&objects).log("web-2-a", "app", log).cure("crash-loop"),
            [
                "spec.template.spec.containers[name=app].env[name=URL].value: \"amqp://u@qeue.shop.svc:5672/x\" -> \"amqp://u@queue.shop.svc:5672/x\""
            ]
        );
        let exists = [objects[0].clone(), object("v1", "Service", "qeue", "spec: {}"), objects[1].clone()];
        assert!(Trial::of(&exists).log("web-2-a", "app", log).cure("crash-loop").is_empty(), "the host exists");
    }

    #[test]
    fn one_or_two_ends_and_a_recovered_container_are_no_failure() {
        assert!(Trial::of(&[web(&spec(""), &crashing("app", 2, ERROR))]).findings().is_empty());
        let recovered = crashing("app", 9, ERROR)
            .replace("ready: false", "ready: true")
            .replace(
                "{waiting: {reason: CrashLoopBackOff, message: back-off}}",
                "{running: {startedAt: 2025-12-31T00:00:00Z}}",
            )
            .replace("2026-01-01T00:04", "2025-12-31T00:00");
        assert!(Trial::of(&[web(&spec(""), &recovered)]).findings().is_empty());
        let serving = recovered.replace("ready: true", "ready: false");
        assert!(
            Trial::of(&[web(&spec(""), &serving)]).findings().is_empty(),
            "it runs; that it is not ready is another failure"
        );
    }

    #[test]
    fn more_specific_failures_win() {
        let oom = crashing("app", 5, "exitCode: 137, reason: OOMKilled");
        assert_eq!(Trial::of(&[web(&spec(""), &oom)]).findings(), ["oom-killed Deployment shop/web [app]"]);
        let killed = event("Killing", "app", "Container app failed liveness probe, will be restarted");
        let trial = Trial::of(&[web(&spec(""), &crashing("app", 5, "exitCode: 137, reason: Error")), killed.clone()]);
        assert!(trial.findings().iter().all(|f| !f.starts_with("crash-loop")), "a probe killed it");
        let trial = Trial::of(&[web(&spec(""), &crashing("app", 5, ERROR)), killed]);
        assert_eq!(trial.findings(), ["crash-loop Deployment shop/web [app]"], "it crashed by itself");
    }

    #[test]
    fn a_plain_cause_goes_to_a_person_and_an_unknown_one_to_nobody() {
        let diagnose = |end: &str, log: &str| {
            Trial::of(&[web(&spec(""), &crashing("app", 5, end))]).log("web-2-a", "app", log).diagnose("crash-loop")
        };
        let cause = |end: &str, log: &str| diagnose(end, log).map(|d| d.cause).unwrap_or_default();
        assert!(cause("exitCode: 139, reason: Error", "loading plugin").contains("segmentation fault"));
        assert!(cause(ERROR, "sh: cannot create /x: Read-only file system").contains("read-only"));
        assert!(cause(ERROR, "level=fatal msg=\"no such tenant\"").ends_with("no such tenant"));
        assert!(cause("exitCode: 0, reason: Completed", "done").contains("ends with success"));
        assert!(diagnose(ERROR, "starting").is_none());
    }
}
