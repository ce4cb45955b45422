#![doc = include_str!("run_error.md")]

use std::sync::LazyLock;

use regex::Regex;

use crate::case::{Cure, Diagnosis, Evidence, FailureId, Finding, Ground, Quote, Snapshot};
use crate::detect::{Claims, Container, Instance, Look, age, container_of, earliest, of_pods, pod_ref};
use crate::diagnose::confidence::{ONE_CANDIDATE, REPEATED, STATUS_NAMES_IT, ground};
use crate::diagnose::near::{Near, nearest};
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{next, person, rule, went_back};
use crate::failures::Failure;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// The runtime could not start the process of a container.
pub struct RunError;

const ID: FailureId = FailureId("run-error");

/// How long a container may wait with such an error before it counts; one that passes by itself gets longer.
const GRACE_SECONDS: i64 = 30;
const GRACE_OF_TRANSIENT_SECONDS: i64 = 300;

impl Failure for RunError {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("run_error.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        look.containers().iter().filter_map(|container| finding(container, look)).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let finding = evidence.incident.first();
        let template = Template::of(&evidence.snapshot, &finding.workload)?;
        let container = template.container(finding.container.as_deref()?)?;
        let start = Start::of(evidence, &container)?;
        start
            .went_back(&template)
            .filter(|diagnosis| !diagnosis.changes().is_empty())
            .or_else(|| start.sub_path(&template))
            .or_else(|| start.went_back(&template))
            .or_else(|| start.person())
    }
}

/// Reasons with which a container waits or ended that never started.
const REASONS: [&str; 7] = [
    "RunContainerError",
    "CreateContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
    "StartError",
    "ContainerCannotRun",
];

/// Reason and text of a start that failed: how it waits now, or how it ended (behind a back-off, too).
fn failed_start<'s>(instance: &Instance<'s>) -> Option<(&'s str, &'s str)> {
    let (reason, message) = (instance.waiting_reason(), instance.waiting_message());
    let of_sub_path = reason == "CreateContainerConfigError" && message.contains("failed to prepare subPath");
    if of_sub_path || REASONS.contains(&reason) {
        return Some((reason, message));
    }
    if instance.status.state.running.is_some() {
        return None;
    }
    let end = instance.last_end()?;
    let reason = end.reason.as_deref().unwrap_or("");
    REASONS.contains(&reason).then(|| (reason, end.message.as_deref().unwrap_or("")))
}

/// Whether it failed twice, or waits for long enough. A Job's pod may have but one start.
fn counts(container: &Container<'_>, instance: &Instance<'_>, snapshot: &Snapshot) -> bool {
    let Some((_, message)) = failed_start(instance) else { return false };
    let grace = if is_transient(message) { GRACE_OF_TRANSIENT_SECONDS } else { GRACE_SECONDS };
    let for_long = age(instance.pod, snapshot).as_secs() >= grace;
    let once_is_enough = matches!(container.workload.kind.as_str(), "Job" | "CronJob" | "Pod");
    let waits = instance.status.state.waiting.is_some();
    for_long && (waits || once_is_enough || instance.ends() >= 2)
}

/// The runtime was slow, or still busy with the container before.
fn is_transient(message: &str) -> bool {
    message.contains("context deadline exceeded") || message.contains("is reserved for")
}

fn finding(container: &Container<'_>, snapshot: &Snapshot) -> Option<Finding> {
    let failed: Vec<&Instance<'_>> = container.instances.iter().filter(|i| counts(container, i, snapshot)).collect();
    let (_, message) = failed_start(failed.first()?)?;
    Some(Finding {
        failure: ID,
        workload: container.workload.clone(),
        container: Some(container.name.to_owned()),
        symptom: format!(
            "cannot be started{}: {}",
            of_pods(failed.len(), container.instances.len()),
            Trouble::of(message).in_words()
        ),
        since: earliest(failed.iter().map(|i| i.pod.status.start_time)),
        pods: failed.iter().map(|i| pod_ref(i.pod)).collect(),
        shared: None,
    })
}

/// What the runtime says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// No such program in the image.
    NoProgram(String),
    NotExecutable(String),
    /// Built for another architecture.
    Format,
    NoWorkingDirectory,
    /// A file is mounted over a folder, or the other way round.
    Mount,
    Hook,
    /// The limit is too small even for the start.
    Memory,
    Other,
}

static EXEC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"exec: "((?:[^"\\]|\\.)*)""#).expect("a constant pattern"));

impl Trouble {
    fn of(message: &str) -> Self {
        let program = || EXEC.captures(message).map_or_else(String::new, |found| found[1].to_owned());
        let says = |words: &str| message.contains(words);
        if says("exec format error") {
            Self::Format
        } else if says("OOM-killed") || says("container init was OOM") {
            Self::Memory
        } else if says("chdir to cwd") || says("OCI runtime create failed: cwd") {
            Self::NoWorkingDirectory
        } else if says("subPath") || says("a directory onto a file") || says("not a directory") {
            Self::Mount
        } else if says("executable file not found") || (says("exec: ") && says("no such file or directory")) {
            Self::NoProgram(program())
        } else if says("exec: ") && says("permission denied") {
            Self::NotExecutable(program())
        } else if says("Hook") || says("hook") {
            Self::Hook
        } else {
            Self::Other
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::NoProgram(program) => format!("its image has no program `{program}`"),
            Self::NotExecutable(program) => format!("`{program}` may not be executed"),
            Self::Format => "its program is built for another architecture".to_owned(),
            Self::NoWorkingDirectory => "its working directory does not exist".to_owned(),
            Self::Mount => "a volume cannot be mounted into it".to_owned(),
            Self::Hook => "a lifecycle hook fails".to_owned(),
            Self::Memory => "its memory limit is too small even for the start".to_owned(),
            Self::Other => "the runtime refuses it".to_owned(),
        }
    }
}

/// One start that fails, with what the rules need of it.
struct Start<'e, 't> {
    evidence: &'e Evidence,
    finding: &'e Finding,
    container: Part<'t>,
    trouble: Trouble,
    /// The words that carry the cause, as they stand in the evidence.
    words: String,
    tries: i64,
}

impl<'e, 't> Start<'e, 't> {
    fn of(evidence: &'e Evidence, container: &Part<'t>) -> Option<Self> {
        let finding = evidence.incident.first();
        let all = container_of(&evidence.snapshot, finding)?;
        let instance = all.instances.iter().find(|i| counts(&all, i, &evidence.snapshot))?;
        let (_, message) = failed_start(instance)?;
        Some(Self {
            evidence,
            finding,
            container: container.clone(),
            trouble: Trouble::of(message),
            words: decisive(message).to_owned(),
            tries: instance.ends(),
        })
    }

    fn because(&self) -> Vec<Option<Quote>> {
        vec![self.evidence.quote(&self.words)]
    }

    fn grounds(&self) -> Vec<Ground> {
        let mut grounds = vec![ground(STATUS_NAMES_IT, "the runtime says why it does not start")];
        if self.tries > 2 {
            grounds.push(ground(REPEATED, format!("it was tried {} times", self.tries)));
        }
        grounds
    }

    fn cause(&self) -> String {
        let image = self.container.get("image").map(|image| image.shown()).unwrap_or_default();
        match &self.trouble {
            Trouble::NoProgram(program) => format!("image {image} has no program `{program}`"),
            Trouble::NotExecutable(program) => format!("`{program}` lacks the right to be executed"),
            Trouble::Format => format!("image {image} is built for another architecture than the node's"),
            Trouble::NoWorkingDirectory => format!("image {image} has no such directory"),
            Trouble::Mount => "a file and a directory stand against each other".to_owned(),
            Trouble::Hook => "a lifecycle hook fails".to_owned(),
            Trouble::Memory => "the memory limit is too small even for the start".to_owned(),
            Trouble::Other => "the runtime refuses to start it".to_owned(),
        }
    }

    /// Back to what started in the last healthy revision.
    fn went_back(&self, template: &Template) -> Option<Diagnosis> {
        let volumes = FieldPath::keys(&["spec", "volumes"]);
        let fields: &[&str] = match self.trouble {
            Trouble::Memory => &["resources", "image"],
            Trouble::Hook => &["lifecycle", "image"],
            Trouble::Mount => &["volumeMounts", "image"],
            _ => &["command", "args", "workingDir", "image"],
        };
        let blamed = |path: &FieldPath| {
            let of_volume = self.trouble == Trouble::Mount && path.starts_with(&volumes);
            of_volume || template.is_in(path, &self.container, fields)
        };
        let cause = |was: &str| format!("{}; {was}", self.cause());
        went_back(self.evidence, &self.finding.workload, blamed, cause, self.because(), self.grounds())
    }

    /// A `subPath` that is almost a key of the ConfigMap that it mounts.
    fn sub_path(&self, template: &Template) -> Option<Diagnosis> {
        if self.trouble != Trouble::Mount {
            return None;
        }
        let spec = template.spec()?;
        let mut wrong = Vec::new();
        for mount in self.container.items("volumeMounts") {
            let Some(sub_path) = mount.get("subPath") else { continue };
            let volumes = spec.items("volumes");
            let Some(map) = volumes.iter().find(|v| v.name() == mount.name()).and_then(|v| v.get("configMap")) else {
                continue;
            };
            let files = self.files(&map);
            if let (Some(asked), Some((map, files))) = (sub_path.text(), files)
                && !files.iter().any(|file| file == asked)
            {
                wrong.push((sub_path.clone(), map, nearest(asked, files.iter().map(String::as_str))));
            }
        }
        let [(part, map, Near::One(file))] = wrong.as_slice() else { return None };
        let cause = format!("`subPath` asks ConfigMap {map} for `{}`, and the file is called `{file}`", part.shown());
        let mut grounds = self.grounds();
        grounds
            .push(ground(ONE_CANDIDATE, format!("`{file}` is the only file of ConfigMap {map} with nearly that name")));
        let changes = vec![part.set(&template.workload, file.as_str())];
        let cure = Cure::Repair { changes, help: format!("mount the file {file}"), hold: None };
        Some(rule(cause, self.because(), grounds, cure))
    }

    /// The files that a ConfigMap puts into a volume: its keys, or the paths that are given to them.
    fn files(&self, map: &Part<'_>) -> Option<(String, Vec<String>)> {
        let name = map.get("name")?.shown();
        let items = map.items("items");
        if !items.is_empty() {
            return Some((name, items.iter().filter_map(|item| Some(item.get("path")?.shown())).collect()));
        }
        let namespace = &self.finding.workload.namespace;
        let is = |c: &&crate::case::Config| c.metadata.name == name && c.metadata.namespace == *namespace;
        let config = self.evidence.snapshot.config_maps.iter().find(is)?;
        Some((name, config.keys.clone()))
    }

    /// The cause is plain, and nothing says what would be right.
    fn person(&self) -> Option<Diagnosis> {
        let image = self.container.get("image").map(|image| image.shown()).unwrap_or_default();
        let (why, next) = match &self.trouble {
            Trouble::NoProgram(_) => (
                "which program was meant is not in the evidence, and no healthy revision tells",
                format!("skopeo inspect --config docker://{image}   # Entrypoint and Cmd"),
            ),
            Trouble::NotExecutable(program) => (
                "the right is set where the file comes from: the image, or the volume that holds it",
                format!(
                    "make `{program}` executable where the image is built (chmod +x), or the volume's defaultMode 0755"
                ),
            ),
            Trouble::Format => (
                "the image can be built for that architecture, or the pod placed on another node",
                "kubectl get nodes -L kubernetes.io/arch".to_owned(),
            ),
            Trouble::NoWorkingDirectory => (
                "which directory was meant is not in the evidence, and no healthy revision tells",
                format!("skopeo inspect --config docker://{image}   # WorkingDir"),
            ),
            Trouble::Mount => (
                "which of the two was meant is not in the evidence",
                format!("look at the volumeMounts of `{}`: subPath and mountPath", self.container.name()),
            ),
            Trouble::Hook => (
                "the hook fails by its own logic",
                format!("run by hand what lifecycle of `{}` names", self.container.name()),
            ),
            Trouble::Memory => (
                "how much the start needs is not in the evidence",
                format!("raise resources.limits.memory of `{}`", self.container.name()),
            ),
            Trouble::Other => return None,
        };
        let next = vec![next, next::describe(&self.finding.workload)];
        Some(person(self.cause(), self.because(), self.grounds(), why.to_owned(), next))
    }
}

/// The end of a text of the runtime, without the layers that passed it on.
fn decisive(message: &str) -> &str {
    let layers = ["unable to start container process: ", "OCI runtime create failed: ", "failed to create shim task: "];
    let at = layers.iter().find_map(|layer| message.find(layer).map(|at| at + layer.len()));
    message[at.unwrap_or(0)..].trim().trim_end_matches(": unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failures::trial::{Trial, before, crashing, object, waiting, web};

    const NO_SHH: &str = "exitCode: 128, reason: StartError, message: 'failed to create shim task: OCI runtime create failed: \
                          runc create failed: unable to start container process: exec: \"shh\": executable file not found in $PATH: unknown'";

    fn spec(extra: &str) -> String {
        format!("{{containers: [{{name: app, image: 'shop/web:v1', {extra}}}]}}")
    }

    #[test]
    fn the_command_that_started_comes_back() {
        let trial = Trial::of(&[
            web(&spec("command: [shh, '-c', run]"), &crashing("app", 6, NO_SHH)),
            before(&spec("command: [sh, '-c', run]")),
        ]);
        assert_eq!(trial.findings(), ["run-error Deployment shop/web [app]"]);
        assert_eq!(trial.cure("run-error"), ["spec.template.spec.containers[name=app].command[0]: \"shh\" -> \"sh\""]);
    }

    #[test]
    fn when_something_else_changed_with_it_a_person_decides() {
        let trial = Trial::of(&[
            web(&spec("command: [shh], env: [{name: A, value: b}]"), &crashing("app", 6, NO_SHH)),
            before(&spec("command: [sh]")),
        ]);
        assert!(trial.cure("run-error").is_empty());
    }

    #[test]
    fn without_history_the_message_is_quoted() {
        let trial = Trial::of(&[web(&spec("command: [shh]"), &crashing("app", 6, NO_SHH))]);
        let diagnosis = trial.diagnose("run-error").unwrap();
        assert!(diagnosis.changes().is_empty());
        assert_eq!(diagnosis.cause, "image shop/web:v1 has no program `shh`");
        assert_eq!(diagnosis.because[0].text, "exec: \"shh\": executable file not found in $PATH");
    }

    #[test]
    fn one_start_that_failed_is_no_failure() {
        let once = crashing("app", 1, NO_SHH)
            .replace("{waiting: {reason: CrashLoopBackOff, message: back-off}}", "{running: {}}");
        assert!(Trial::of(&[web(&spec("command: [shh]"), &once)]).findings().is_empty());
        let young = waiting("app", "CreateContainerError", "context deadline exceeded")
            .replace("startTime: 2026-01-01T00:00:00Z", "startTime: 2026-01-01T00:03:00Z");
        assert!(Trial::of(&[web(&spec("command: [sh]"), &young)]).findings().is_empty(), "it may pass by itself");
    }

    #[test]
    fn a_sub_path_that_is_almost_a_key_is_corrected() {
        let spec = "{containers: [{name: app, image: 'shop/web:v1', volumeMounts: [{name: cfg, mountPath: /etc/web.yaml, subPath: web.yml}]}], \
                    volumes: [{name: cfg, configMap: {name: web}}]}";
        let status = waiting(
            "app",
            "CreateContainerError",
            "error mounting ... not a directory: Are you trying to mount a directory onto a file",
        );
        let map = object("v1", "ConfigMap", "web", "data: {web.yaml: x, other: y}");
        assert_eq!(
            Trial::of(&[web(spec, &status), map]).cure("run-error"),
            ["spec.template.spec.containers[name=app].volumeMounts[name=cfg].subPath: \"web.yml\" -> \"web.yaml\""]
        );
        let map = object("v1", "ConfigMap", "web", "data: {web.yaml: x, web-yaml: y}");
        assert!(Trial::of(&[web(spec, &status), map]).cure("run-error").is_empty(), "two are no answer");
    }

    #[test]
    fn texts_of_the_runtime_are_told_apart() {
        let cases = [
            ("exec /app: exec format error", Trouble::Format),
            ("exec: \"/app\": permission denied: unknown", Trouble::NotExecutable("/app".into())),
            ("exec: \"/bin/x\": stat /bin/x: no such file or directory: unknown", Trouble::NoProgram("/bin/x".into())),
            (
                "chdir to cwd (\"/srv\") set in config.json failed: no such file or directory",
                Trouble::NoWorkingDirectory,
            ),
            ("failed to prepare subPath for volumeMount \"cfg\" of container \"app\"", Trouble::Mount),
            ("container init was OOM-killed (memory limit too low?)", Trouble::Memory),
            ("something new", Trouble::Other),
        ];
        for (text, trouble) in cases {
            assert_eq!(Trouble::of(text), trouble, "{text}");
        }
    }
}
