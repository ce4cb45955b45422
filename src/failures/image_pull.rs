#![doc = include_str!("image_pull.md")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::case::{Cure, Diagnosis, Evidence, FailureId, Finding, Ground, Quote, RegistryAnswer, Shared, Snapshot};
use crate::detect::{Claims, Container, Instance, Look, age, containers, earliest, of_pods, pod_events, pod_ref};
use crate::diagnose::confidence::{ONE_CANDIDATE, STATUS_NAMES_IT, ground};
use crate::diagnose::history::{self, Revert};
use crate::diagnose::image::Image;
use crate::diagnose::template::{Part, Template};
use crate::diagnose::{next, person, rollout, rule, went_back};
use crate::failures::Failure;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// The image of a container cannot be pulled.
pub struct ImagePull;

const ID: FailureId = FailureId("image-pull");

/// A registry that is away for a moment is no failure.
const GRACE_SECONDS: i64 = 120;

impl Failure for ImagePull {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("image_pull.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        look.containers().iter().filter_map(|container| finding(container, look)).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let finding = evidence.incident.first();
        let template = Template::of(&evidence.snapshot, &finding.workload)?;
        let container = template.container(finding.container.as_deref()?)?;
        let pull = Pull::of(evidence, &container)?;
        match pull.fault {
            Fault::NotFound => pull.former_tag(&template).or_else(|| Some(pull.no_such_image())),
            Fault::InvalidName => {
                pull.lower_case(&template).or_else(|| pull.former_tag(&template)).or_else(|| Some(pull.no_name()))
            }
            Fault::NeverPull => Some(pull.never_pulled()),
            Fault::Unauthorized => Some(pull.unauthorized()),
            Fault::Unreachable => Some(pull.registry_is_away()),
            Fault::TooMany => Some(pull.too_many()),
            Fault::NoSpace => Some(pull.no_space()),
            Fault::Platform => Some(pull.wrong_platform()),
            Fault::Unknown => None,
        }
    }
}

/// Why an image is not pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    NotFound,
    InvalidName,
    NeverPull,
    Unauthorized,
    Unreachable,
    TooMany,
    NoSpace,
    Platform,
    Unknown,
}

/// What each text means; the first that fits. Whatever passes by itself comes first.
static TEXTS: LazyLock<[(Fault, Regex); 7]> = LazyLock::new(|| {
    let text = |pattern: &str| Regex::new(&format!("(?i){pattern}")).expect("the patterns are constants and compile");
    [
        (Fault::TooMany, text(r"\b429\b|too many requests|toomanyrequests|quota exceeded|rate limit")),
        (
            Fault::Unreachable,
            text(
                r"\b50[0-9] \w+|status(?: code)?:? 50[0-9]|internal server error|bad gateway|service unavailable|gateway time-?out|i/o timeout|tls handshake timeout|connection (?:reset|refused)|unexpected eof|: eof\b|context deadline exceeded|no such host|server misbehaving|no route to host|network is unreachable|x509:|certificate",
            ),
        ),
        (Fault::NoSpace, text("no space left on device")),
        (Fault::Platform, text("no match for platform|no matching manifest for")),
        (Fault::InvalidName, text("invalid reference format|couldn't parse image")),
        (
            Fault::Unauthorized,
            text(
                r"\b40[13]\b|unauthorized|denied|forbidden|authentication required|authorization failed|no basic auth",
            ),
        ),
        (Fault::NotFound, text("not found|manifest unknown|name unknown|no such image|does not exist")),
    ]
});

/// Reads a text of the kubelet. The image's own name is taken out first: a repository may be called `not-found`.
fn fault(reason: &str, message: &str, image: &str) -> Fault {
    match reason {
        "InvalidImageName" => return Fault::InvalidName,
        "ErrImageNeverPull" => return Fault::NeverPull,
        "RegistryUnavailable" => return Fault::Unreachable,
        _ => {}
    }
    let unquoted: String = message.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let parsed = Image::parse(image);
    let expanded = format!("{}/{}", parsed.host, parsed.repository);
    let said = unquoted.replace(image, " ").replace(&expanded, " ");
    TEXTS.iter().find(|(_, text)| text.is_match(&said)).map_or(Fault::Unknown, |(fault, _)| *fault)
}

const REASONS: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];

/// The text that carries the cause: the status, or in older versions the event of the first attempts.
fn text<'s>(snapshot: &'s Snapshot, instance: &Instance<'s>) -> &'s str {
    let message = instance.waiting_message();
    let only_says_that_it_waits = message.starts_with("Back-off pulling image") && !message.contains("ErrImagePull: ");
    if !only_says_that_it_waits {
        return message;
    }
    let failed = pod_events(snapshot, instance.pod, "Failed").filter(|e| {
        e.message.starts_with("Failed to pull image")
            && e.container.as_deref().is_none_or(|c| c == instance.status.name)
    });
    failed.max_by_key(|event| event.last).map_or(message, |event| event.message.as_str())
}

fn image_of<'s>(instance: &Instance<'s>) -> &'s str {
    instance.spec.and_then(|spec| spec.image.as_deref()).unwrap_or("")
}

/// Why this container of this pod has no image, once the time for what passes by itself is over.
fn fault_of(snapshot: &Snapshot, instance: &Instance<'_>) -> Option<Fault> {
    let reason = instance.waiting_reason();
    if !REASONS.contains(&reason) {
        return None;
    }
    let fault = fault(reason, text(snapshot, instance), image_of(instance));
    let may_pass = matches!(fault, Fault::Unreachable | Fault::TooMany | Fault::Unknown);
    (!may_pass || age(instance.pod, snapshot).as_secs() >= GRACE_SECONDS).then_some(fault)
}

fn finding(container: &Container<'_>, snapshot: &Snapshot) -> Option<Finding> {
    let without: Vec<(&Instance<'_>, Fault)> =
        container.instances.iter().filter_map(|i| Some((i, fault_of(snapshot, i)?))).collect();
    let (instance, fault) = *without.first()?;
    let image = image_of(instance);
    let host = Image::parse(image).host;
    let why = match fault {
        Fault::NotFound => "the registry does not have it".to_owned(),
        Fault::InvalidName => "that is not a valid name".to_owned(),
        Fault::NeverPull => "it is not on the node and must not be pulled".to_owned(),
        Fault::Unauthorized => format!("registry {host} denies access"),
        Fault::Unreachable => format!("registry {host} does not answer"),
        Fault::TooMany => format!("registry {host} limits the pulls"),
        Fault::NoSpace => "the node has no space left".to_owned(),
        Fault::Platform => "it is not built for the node's architecture".to_owned(),
        Fault::Unknown => "the pull fails".to_owned(),
    };
    let answer = match fault {
        Fault::Unauthorized => Some(RegistryAnswer::AccessDenied),
        Fault::Unreachable => Some(RegistryAnswer::Silence),
        Fault::TooMany => Some(RegistryAnswer::TooManyRequests),
        _ => None,
    };
    Some(Finding {
        failure: ID,
        workload: container.workload.clone(),
        container: Some(container.name.to_owned()),
        symptom: format!("has no image `{image}`{}: {why}", of_pods(without.len(), container.instances.len())),
        since: earliest(without.iter().map(|(i, _)| i.pod.status.start_time)),
        pods: without.iter().map(|(i, _)| pod_ref(i.pod)).collect(),
        shared: answer.map(|answer| Shared::Registry { host, answer }),
    })
}

/// One pull that fails, with what the rules need of it.
struct Pull<'e, 't> {
    evidence: &'e Evidence,
    finding: &'e Finding,
    /// The field of the image in the template.
    image: Part<'t>,
    parsed: Image,
    fault: Fault,
    /// The words that carry the cause, as they stand in the evidence.
    words: String,
    node: Option<&'e str>,
}

impl<'e, 't> Pull<'e, 't> {
    fn of(evidence: &'e Evidence, container: &Part<'t>) -> Option<Self> {
        let finding = evidence.incident.first();
        let image = container.get("image")?;
        let all = crate::detect::container_of(&evidence.snapshot, finding)?;
        let failing = |i: &&Instance<'_>| REASONS.contains(&i.waiting_reason());
        let instance = all.instances.iter().find(failing)?;
        let text = text(&evidence.snapshot, instance);
        let fault = fault(instance.waiting_reason(), text, &image.shown());
        let words = decisive(text).to_owned();
        let node = instance.pod.spec.node_name.as_deref();
        Some(Self { evidence, finding, parsed: Image::parse(&image.shown()), image, fault, words, node })
    }

    fn because(&self) -> Vec<Option<Quote>> {
        vec![self.evidence.quote(&self.words)]
    }

    fn grounds(&self) -> Vec<Ground> {
        let said = match self.fault {
            Fault::NotFound => "the registry answers that it is not there",
            Fault::InvalidName => "the runtime cannot read the name",
            Fault::NeverPull => "the kubelet may not pull it",
            Fault::Unauthorized => "the registry answers that access is denied",
            Fault::TooMany => "the registry answers that there were too many requests",
            Fault::Unreachable => "the pull ends in an error of the registry or the way to it",
            _ => "the kubelet says why the pull fails",
        };
        vec![ground(STATUS_NAMES_IT, said)]
    }

    fn person(&self, cause: impl Into<String>, why: &str, steps: Vec<String>) -> Diagnosis {
        person(cause.into(), self.because(), self.grounds(), why.to_owned(), steps)
    }

    fn no_name(&self) -> Diagnosis {
        let cause = format!("`{}` is no name that an image can have", self.image.shown());
        let step = format!("correct the image of `{}` in {}", self.container(), self.finding.workload);
        self.person(cause, "which image was meant is not in the evidence", vec![step])
    }

    fn never_pulled(&self) -> Diagnosis {
        let node = self.node.map_or_else(|| "the node".to_owned(), |node| format!("node {node}"));
        let cause = format!("`imagePullPolicy` is Never, and {node} does not have the image");
        let step = format!(
            "load the image onto the nodes, or set `imagePullPolicy` of `{}` to IfNotPresent",
            self.container()
        );
        self.person(cause, "how the image was meant to come to the node is not in the evidence", vec![step])
    }

    fn no_space(&self) -> Diagnosis {
        let describe = self
            .node
            .map_or_else(|| "kubectl describe nodes".to_owned(), |node| format!("kubectl describe node {node}"));
        let cause = format!(
            "the disk of {} is full",
            self.node.map_or_else(|| "the node".to_owned(), |node| format!("node {node}"))
        );
        self.person(cause, "what fills the disk is not in the evidence", vec![describe])
    }

    fn wrong_platform(&self) -> Diagnosis {
        let cause = format!("`{}` is not built for the architecture of the node", self.image.shown());
        let steps = vec![
            "kubectl get nodes -L kubernetes.io/arch".to_owned(),
            format!("skopeo inspect --raw docker://{}   # the platforms that it is built for", self.image.shown()),
        ];
        self.person(cause, "the image can be built for that architecture, or the pod placed on another node", steps)
    }

    fn container(&self) -> &str {
        self.finding.container.as_deref().unwrap_or_default()
    }

    /// "registry.example/shop/web has no tag `v2`"
    fn not_there(&self) -> String {
        let repository = self.repository();
        match (&self.parsed.digest, &self.parsed.tag) {
            (Some(_), _) => format!("{repository} has no image with that digest"),
            (None, Some(tag)) => format!("{repository} has no tag `{tag}`"),
            (None, None) => format!("{repository} has no tag `latest`"),
        }
    }

    fn repository(&self) -> String {
        format!("{}/{}", self.parsed.host, self.parsed.repository)
    }

    /// Back to the tag that the last healthy revision ran, if it is of the same repository.
    fn former_tag(&self, template: &Template) -> Option<Diagnosis> {
        let blamed = |path: &FieldPath| {
            let path = template.path(path);
            template
                .containers()
                .iter()
                .filter_map(|c| c.get("image"))
                .any(|i| i.path == path && i.value == self.image.value)
        };
        let is_former_tag = |difference: &history::Difference| {
            let old = difference.old.as_ref().and_then(serde_json::Value::as_str).map(Image::parse);
            // `tag@digest` pulls the digest: with the same digest another tag changes nothing.
            old.is_some_and(|old| {
                old.same_repository(&self.parsed) && (old.digest.is_none() || old.digest != self.parsed.digest)
            })
        };
        let cause = |was: &str| format!("{}; {was}", self.not_there());
        let workload = &self.finding.workload;
        match history::revert(self.evidence, workload, blamed) {
            Revert::Established { differences, .. } if differences.iter().all(is_former_tag) => {
                went_back(self.evidence, workload, blamed, cause, self.because(), self.grounds())
            }
            Revert::Several { differences, healthy } => {
                let (images, others): (Vec<_>, Vec<_>) = differences.into_iter().partition(|d| blamed(&d.path));
                if !images.iter().all(is_former_tag) {
                    return None;
                }
                let mut grounds = self.grounds();
                grounds.push(healthy.ground.clone());
                let changes = images.iter().map(|d| d.back(template)).collect();
                let list =
                    |all: &[history::Difference]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                let hold =
                    format!("the same rollout changed more, which may belong to the new image: {}", list(&others));
                let help = format!("put the image back to that of {}", healthy.name);
                let cure = Cure::Repair { changes, help, hold: Some(hold) };
                Some(rule(cause(&format!("since {} {}", healthy.name, list(&images))), self.because(), grounds, cure))
            }
            _ => None,
        }
    }

    /// The same name in lower case, if that is a name: a repository never has capitals.
    fn lower_case(&self, template: &Template) -> Option<Diagnosis> {
        let now = self.image.shown();
        let name_ends = now.rfind('/').map_or(0, |at| at + 1);
        let name_ends = now[name_ends..].find([':', '@']).map_or(now.len(), |at| name_ends + at);
        let lower = format!("{}{}", now[..name_ends].to_lowercase(), &now[name_ends..]);
        if lower == now || !REFERENCE.is_match(&lower) {
            return None;
        }
        let cause = format!("`{now}` has capitals, and the name of a repository has none");
        let mut grounds = self.grounds();
        grounds.push(ground(ONE_CANDIDATE, "in lower case it is a name that an image can have"));
        let change = self.image.set(&template.workload, lower.as_str());
        let cure = Cure::Repair { changes: vec![change], help: format!("write the image as {lower}"), hold: None };
        let mut diagnosis = rule(cause, self.because(), grounds, cure);
        diagnosis.unchecked.push(format!("whether the image {lower} exists"));
        Some(diagnosis)
    }

    fn no_such_image(&self) -> Diagnosis {
        let known = self.known_tags();
        let repository = self.repository();
        let worked = rollout::worked(self.evidence, &self.finding.workload);
        let worked = worked.map(|said| format!("{said}: the image was there, and was taken away or replaced since"));
        let why = if let Some(worked) = &worked {
            worked.as_str()
        } else if self.parsed.digest.is_some() {
            "the image is named by its digest, so another tag changes nothing, and no revision ran another digest"
        } else if known.is_empty() {
            "no other tag of it is known to have been pulled here; a registry may also hide a private image this way"
        } else {
            "which tag was meant is not in the evidence: no healthy revision of this workload ran another one"
        };
        let cause = self.not_there();
        let steps = vec![
            format!("skopeo list-tags docker://{repository}"),
            format!("push the image, or correct the image of `{}` in {}", self.container(), self.finding.workload),
        ];
        let mut diagnosis = person(cause, self.because(), self.grounds(), why.to_owned(), steps);
        if !known.is_empty() {
            let known: Vec<String> = known.into_iter().collect();
            diagnosis.notes.push(format!("tags of {repository} that are known: {}", known.join(", ")));
        }
        diagnosis
    }

    /// Tags of the same repository that run somewhere, or did in a former revision.
    fn known_tags(&self) -> BTreeSet<String> {
        let snapshot = &self.evidence.snapshot;
        let running = containers(snapshot);
        let running = running.iter().flat_map(|c| &c.instances).filter(|i| i.status.ready);
        let mut images: Vec<String> = running.map(|i| image_of(i).to_owned()).collect();
        for revision in snapshot.children_of(&self.finding.workload) {
            let template = revision.pod_template();
            let all = template.pointer("/spec/containers").and_then(serde_json::Value::as_array);
            images.extend(all.into_iter().flatten().filter_map(|c| Some(c.get("image")?.as_str()?.to_owned())));
        }
        let same = images.iter().map(|image| Image::parse(image)).filter(|i| i.same_repository(&self.parsed));
        same.filter(|i| i.tag != self.parsed.tag).filter_map(|i| i.tag).collect()
    }

    fn unauthorized(&self) -> Diagnosis {
        let host = &self.parsed.host;
        let cause = format!("the pull has no credentials that {host} accepts, or {} there", self.none_there());
        let why = "a person must supply the credentials, or correct the name".to_owned();
        let steps = vec![
            format!(
                "kubectl get serviceaccount{} -o custom-columns=NAME:.metadata.name,PULLS-WITH:.imagePullSecrets",
                next::flag(self.finding.workload.namespace.as_deref())
            ),
            format!("add a Secret with credentials for {host} to imagePullSecrets of the pod or its ServiceAccount"),
        ];
        let mut because = self.because();
        because.push(self.evidence.quote("Unable to retrieve some image pull secrets"));
        person(cause, because, self.grounds(), why, steps)
    }

    fn registry_is_away(&self) -> Diagnosis {
        let host = &self.parsed.host;
        let says = |words: &[&str]| words.iter().any(|word| self.words.contains(word));
        let curl = format!("curl -sv https://{host}/v2/   # from a node");
        let (cause, step) = if says(&["lookup ", "no such host", "server misbehaving"]) {
            let name = host.split(':').next().unwrap_or(host);
            (format!("the nodes cannot look up {name}"), format!("getent hosts {name}   # from a node"))
        } else if says(&["x509:", "certificate"]) {
            (format!("the nodes do not trust the certificate of {host}"), curl)
        } else if says(&["connection refused", "connection reset"]) {
            (format!("{host} does not accept connections"), curl)
        } else if says(&["timeout", "deadline exceeded", "no route", "unreachable"]) {
            (format!("the nodes do not reach {host}"), curl)
        } else {
            (format!("{host} answers with an error of its own"), curl)
        };
        self.person(
            cause,
            "the cause is the registry or the way to it, not a line of the repository",
            vec![step, "kubectl get events -A --field-selector reason=Failed   # who else waits for it".to_owned()],
        )
    }

    fn too_many(&self) -> Diagnosis {
        let host = &self.parsed.host;
        let cause = format!("{host} lets these nodes pull only so often");
        self.person(
            cause,
            "the cause is the registry's limit, not a line of the repository",
            vec![
                format!("pull with the credentials of an account at {host}: its limit is higher"),
                format!("or pull through a mirror of {host}"),
            ],
        )
    }

    /// "no such image exists", or of several workloads "none of their images exists".
    fn none_there(&self) -> &'static str {
        if self.evidence.incident.workloads().len() > 1 { "their images do not exist" } else { "no such image exists" }
    }
}

/// A reference that a runtime can read: host, repository in lower case, tag, digest.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:[a-z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$",
    )
    .expect("a constant pattern")
});

/// The end of a text of the runtime, which carries the cause: after the image and what was being done with it.
fn decisive(text: &str) -> &str {
    let starts = ["dial tcp", "failed with status code", "failed to authorize", "unexpected status"];
    let at = starts.iter().filter_map(|start| text.find(start)).min();
    let at = at.or_else(|| text.rfind("failed to resolve reference")).or_else(|| text.find("invalid reference format"));
    text[at.unwrap_or(0)..].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failures::trial::{Trial, before, event, running, waiting, web, workload};

    fn spec(image: &str) -> String {
        format!("{{containers: [{{name: app, image: '{image}'}}]}}")
    }

    fn not_found(image: &str) -> String {
        let message = format!(
            "Back-off pulling image \"{image}\": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack \
             image \"{image}\": failed to resolve reference \"{image}\": {image}: not found"
        );
        waiting("app", "ImagePullBackOff", &message)
    }

    const IMAGE: &str = "spec.template.spec.containers[name=app].image";

    #[test]
    fn a_text_is_read_without_the_name_of_the_image() {
        let cases = [
            ("failed to resolve reference \"r.example/a:1\": r.example/a:1: not found", Fault::NotFound),
            (
                "pulling from host r.example failed with status code [manifests 1]: 401 Unauthorized",
                Fault::Unauthorized,
            ),
            (
                "Head \"https://r.example/v2/a/manifests/1\": dial tcp: lookup r.example on 127.0.0.1:53: read: connection refused",
                Fault::Unreachable,
            ),
            (
                "pull access denied for r.example/a, repository does not exist or may require 'docker login'",
                Fault::Unauthorized,
            ),
            (
                "429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit",
                Fault::TooMany,
            ),
            (
                "unexpected status from HEAD request to https://r.example/v2/a/manifests/1: 503 Service Unavailable",
                Fault::Unreachable,
            ),
            ("no match for platform in manifest: not found", Fault::Platform),
            ("write /var/lib/x: no space left on device", Fault::NoSpace),
            ("something new", Fault::Unknown),
        ];
        for (text, expected) in cases {
            assert_eq!(fault("ErrImagePull", text, "r.example/a:1"), expected, "{text}");
        }
        let text = "failed to pull image \"r.example/not-found:denied\": r.example/not-found:denied: i/o timeout";
        assert_eq!(fault("ErrImagePull", text, "r.example/not-found:denied"), Fault::Unreachable);
    }

    #[test]
    fn the_tag_that_ran_comes_back() {
        let trial = Trial::of(&[
            web(&spec("r.example/web:v2"), &not_found("r.example/web:v2")),
            before(&spec("r.example/web:v1")),
        ]);
        assert_eq!(trial.findings(), ["image-pull Deployment shop/web [app]"]);
        assert_eq!(trial.cure("image-pull"), [format!("{IMAGE}: \"r.example/web:v2\" -> \"r.example/web:v1\"")]);
    }

    #[test]
    fn when_more_was_changed_the_tag_is_held() {
        let now = "{containers: [{name: app, image: 'r.example/web:v2', args: [new]}]}";
        let trial = Trial::of(&[web(now, &not_found("r.example/web:v2")), before(&spec("r.example/web:v1"))]);
        let diagnosis = trial.diagnose("image-pull").unwrap();
        assert!(
            matches!(&diagnosis.cure, Cure::Repair { changes, hold: Some(why), .. } if changes.len() == 1 && why.contains("args")),
            "{diagnosis:?}"
        );
    }

    #[test]
    fn another_repository_or_the_same_digest_is_no_cure() {
        let digest = "a@sha256:0000000000000000000000000000000000000000000000000000000000000000";
        for (now, old) in [
            ("r.example/web:v2", "r.example/www:v1".to_owned()),
            (&format!("r.example/web:v2{}", &digest[1..]), format!("r.example/web:v1{}", &digest[1..])),
        ] {
            let trial = Trial::of(&[web(&spec(now), &not_found(now)), before(&spec(&old))]);
            assert!(trial.cure("image-pull").is_empty(), "{now} {old}");
        }
    }

    #[test]
    fn without_history_the_tags_that_run_elsewhere_are_named() {
        let other = workload("api", &spec("r.example/web:v1"), &running("app"));
        let trial = Trial::of(&[web(&spec("r.example/web:v2"), &not_found("r.example/web:v2")), other]);
        let diagnosis = trial.diagnose("image-pull").unwrap();
        assert!(diagnosis.changes().is_empty());
        assert!(diagnosis.notes[0].ends_with("that are known: v1"), "{:?}", diagnosis.notes);
    }

    #[test]
    fn capitals_become_small() {
        let message = "Failed to apply default image tag \"Shop/API:V1\": couldn't parse image name \"Shop/API:V1\": \
                       invalid reference format: repository name (API) must be lowercase";
        let trial = Trial::of(&[web(&spec("Shop/API:V1"), &waiting("app", "InvalidImageName", message))]);
        assert_eq!(trial.cure("image-pull"), [format!("{IMAGE}: \"Shop/API:V1\" -> \"shop/api:V1\"")]);
        let message = "couldn't parse image name \"shop/a pi:v1\": invalid reference format";
        let trial = Trial::of(&[web(&spec("shop/a pi:v1"), &waiting("app", "InvalidImageName", message))]);
        assert!(trial.cure("image-pull").is_empty());
    }

    #[test]
    fn workloads_behind_one_dead_registry_are_one_incident() {
        let away = |name: &str| {
            let image = format!("r.example/{name}:v1");
            let message = format!(
                "Back-off pulling image \"{image}\": ErrImagePull: failed to do request: Head \"https://r.example/v2/{name}\": \
                 dial tcp: lookup r.example on 127.0.0.1:53: no such host"
            );
            workload(name, &spec(&image), &waiting("app", "ImagePullBackOff", &message))
        };
        let trial = Trial::of(&[away("web"), away("api")]);
        assert_eq!((trial.findings().len(), trial.incidents()), (2, 1));
        let diagnosis = trial.diagnose("image-pull").unwrap();
        assert_eq!(diagnosis.cause, "the nodes cannot look up r.example");
        assert!(diagnosis.because[0].text.starts_with("dial tcp: lookup r.example"), "{:?}", diagnosis.because);
        let young = away("web").replace("startTime: 2026-01-01T00:00:00Z", "startTime: 2026-01-01T00:04:00Z");
        assert!(Trial::of(&[young]).findings().is_empty(), "it may pass by itself");
    }

    #[test]
    fn older_versions_tell_the_cause_only_in_an_event() {
        let status = waiting("app", "ImagePullBackOff", "Back-off pulling image \"r.example/web:v2\"");
        let told = event(
            "Failed",
            "app",
            "Failed to pull image \"r.example/web:v2\": failed to resolve reference \"r.example/web:v2\": r.example/web:v2: not found",
        );
        let trial = Trial::of(&[web(&spec("r.example/web:v2"), &status), told, before(&spec("r.example/web:v1"))]);
        assert_eq!(trial.cure("image-pull").len(), 1);
    }
}
