//! What may never be touched, and what a value may never be, whatever a rule or a policy says.

use serde_json::Value;

use super::{Matter, Objection, deny, failure, hold};
use crate::case::{Change, Cure, Operation, Origin};
use crate::diagnose::history::{self, Revert};
use crate::diagnose::image::Image;
use crate::quantity::Quantity;
use crate::yaml::{FieldPath, Step};

/// More changed lines than this are not a small edit. A patch that an overlay gets for the first time says in a dozen lines
/// where its field stands.
const MOST_LINES: usize = 20;

/// Files that KubeCure never edits: its own policy, and what runs when a repository changes.
const PROTECTED_FILES: [&str; 14] = [
    ".kubecure/",
    ".git",
    ".gitea/",
    ".forgejo/",
    ".circleci/",
    ".buildkite/",
    ".azure-pipelines",
    "azure-pipelines",
    "Jenkinsfile",
    ".drone",
    ".woodpecker",
    ".tekton/",
    ".sops.yaml",
    "bitbucket-pipelines",
];

/// Kinds that decide who may do what.
const PROTECTED_KINDS: [&str; 16] = [
    "Secret",
    "SealedSecret",
    "ExternalSecret",
    "SecretStore",
    "ClusterSecretStore",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ServiceAccount",
    "NetworkPolicy",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "CustomResourceDefinition",
    "Namespace",
];

/// Gate 2: a quote is verbatim or it is nothing.
pub(super) fn quotes(matter: &Matter<'_>) -> Vec<Objection> {
    let diagnosis = &matter.proposal.diagnosis;
    if diagnosis.because.is_empty() {
        return vec![deny("no evidence is quoted")];
    }
    let stands = |quote: &&crate::case::Quote| {
        let item = matter.evidence.items.get(quote.item);
        quote.text.trim().is_empty() || !item.is_some_and(|item| item.text.contains(&quote.text))
    };
    let invented = diagnosis.because.iter().filter(stands);
    invented.map(|q| deny(format!("the quote {:?} does not stand in E{}", q.text, q.item + 1))).collect()
}

/// Gate 3: the category must be what the API says, in the API's own words.
pub(super) fn category(matter: &Matter<'_>) -> Vec<Objection> {
    let words: &[&str] = match failure(matter).0 {
        "oom-killed" => &["OOMKilled"],
        "image-pull" => &[
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "ErrImageNeverPull",
            "ImageInspectError",
            "RegistryUnavailable",
        ],
        "config-missing" => &["CreateContainerConfigError", "FailedMount", "FailedEnvPrepare"],
        "run-error" => {
            &["StartError", "RunContainerError", "CreateContainerError", "ContainerCannotRun", "StartHookError"]
        }
        "probe-failing" => &["Unhealthy", "probe"],
        "unschedulable" => &["Unschedulable"],
        "evicted" => &["Evicted"],
        "quota-exceeded" | "replica-create-failed" => &["FailedCreate"],
        "gitops-sync-failed" => &["condition ", "status=SyncFailed", "operation phase="],
        "crash-loop" => &["terminated reason=", "exitCode="],
        _ => return Vec::new(),
    };
    let said = matter.evidence.items.iter().any(|item| words.iter().any(|word| item.text.contains(word)));
    if said {
        return Vec::new();
    }
    vec![deny(format!(
        "the status of the cluster does not say {}: none of {} stands in it",
        failure(matter),
        words.join(", ")
    ))]
}

/// Gate 4: a change is one that policy allows for this failure; a revert may be of any field.
pub(super) fn allowed(matter: &Matter<'_>) -> Vec<Objection> {
    let diagnosis = &matter.proposal.diagnosis;
    let is_revert =
        matches!(diagnosis.cure, Cure::Revert { .. }) && (diagnosis.origin == Origin::Rule || goes_back(matter));
    let mut objections = Vec::new();
    for change in diagnosis.changes().iter().filter(|_| !is_revert) {
        match matter.policy.allowance(failure(matter), &change.path) {
            None => {
                objections.push(deny(format!("policy does not allow {} to change `{}`", failure(matter), change.path)));
            }
            Some(allowance) if allowance.only.is_some() => {
                objections.push(deny(format!(
                    "policy allows `{}` only as a revert to the last healthy revision",
                    change.path
                )));
            }
            Some(allowance) => {
                let (from, to) = values_of(change);
                objections.extend(to.and_then(|to| allowance.exceeded(from, to)).map(deny));
            }
        }
    }
    objections
}

/// What a model calls a revert is one when history says the same: exactly the changes that put back what the last rollout
/// of a workload that was healthy before has changed.
fn goes_back(matter: &Matter<'_>) -> bool {
    let workload = &matter.evidence.incident.first().workload;
    let Revert::Established { changes, .. } = history::revert(matter.evidence, workload, |_| true) else {
        return false;
    };
    matter.proposal.diagnosis.changes().iter().all(|change| changes.contains(change))
}

fn values_of(change: &Change) -> (Option<&Value>, Option<&Value>) {
    match &change.operation {
        Operation::Set { from, to } => (Some(from), Some(to)),
        Operation::Add { value } => (None, Some(value)),
        Operation::Remove { from } => (Some(from), None),
    }
}

/// Gate 5: images keep their repository and get a tag that ran; quantities are quantities; a change changes something.
pub(super) fn values(matter: &Matter<'_>) -> Vec<Objection> {
    let changes = matter.proposal.diagnosis.changes();
    let mut objections = Vec::new();
    if changes.is_empty() {
        objections.push(deny("nothing is changed"));
    }
    for change in changes {
        let (from, to) = values_of(change);
        if from.is_some() && from == to {
            objections.push(deny(format!("`{}` would get the value that it has", change.path)));
        }
        let last = last_key(&change.path);
        if let Some(to) = to {
            if last == "image" {
                objections.extend(image(matter, from, to));
            }
            if is_quantity(&change.path) && Quantity::of(to).is_none() {
                objections.push(deny(format!("{to} is no quantity")));
            }
        }
    }
    objections
}

fn image(matter: &Matter<'_>, from: Option<&Value>, to: &Value) -> Option<Objection> {
    let (Some(old), Some(new)) = (from.and_then(Value::as_str), to.as_str()) else {
        return Some(deny("an image is set where there was none"));
    };
    let (was, is) = (Image::parse(old), Image::parse(new));
    if was.digest.is_some() && was.digest == is.digest && was.tag != is.tag {
        return Some(deny(format!("the digest of {old} would stay, and it decides what runs whatever the tag says")));
    }
    if was.same_repository(&is) {
        // Another tag of the same repository must be one that ran: the last healthy revision, never a guess.
        let ran = matches!(matter.proposal.diagnosis.cure, Cure::Revert { .. });
        return (!ran && was.tag != is.tag)
            .then(|| deny(format!("the tag of {new} is not from the last healthy revision")));
    }
    // A name that the runtime refuses for its case has one form that it can mean.
    (!old.eq_ignore_ascii_case(new))
        .then(|| deny(format!("the image repository would change from {} to {}", was.repository, is.repository)))
}

/// Resources are quantities; so is the size of an emptyDir.
fn is_quantity(path: &FieldPath) -> bool {
    let keys: Vec<&str> =
        path.steps().iter().filter_map(|s| if let Step::Key(key) = s { Some(key.as_str()) } else { None }).collect();
    matches!(keys.as_slice(), [.., "resources", "limits" | "requests", _] | [.., "sizeLimit"])
}

fn last_key(path: &FieldPath) -> &str {
    path.steps().iter().rev().find_map(|s| if let Step::Key(key) = s { Some(key.as_str()) } else { None }).unwrap_or("")
}

/// Gate 6: files, kinds and fields that stay out of reach.
pub(super) fn protected(matter: &Matter<'_>) -> Vec<Objection> {
    let proposal = matter.proposal;
    let mut objections = Vec::new();
    for file in &proposal.files {
        let name = file.path.rsplit('/').next().unwrap_or("");
        let is_protected =
            PROTECTED_FILES.iter().any(|p| file.path.starts_with(p) || name.starts_with(p.trim_end_matches('/')));
        if is_protected || file.path.split('/').any(|part| part == ".." || part == ".git") {
            objections.push(deny(format!("{} is never edited", file.path)));
        }
        if file.before.lines().any(|line| line == "sops:" || line.starts_with("sops: ")) {
            objections.push(deny(format!("{} is encrypted with SOPS", file.path)));
        }
    }
    for change in proposal.diagnosis.changes() {
        if PROTECTED_KINDS.contains(&change.object.kind.as_str()) || change.object.group == "rbac.authorization.k8s.io"
        {
            objections.push(deny(format!("a {} is never edited", change.object.kind)));
        }
        let reaches_host = ["hostPath", "hostNetwork", "hostPID", "hostIPC"];
        let text = format!("{} {}", change.path, values_of(change).1.map(Value::to_string).unwrap_or_default());
        if let Some(field) = reaches_host.iter().find(|field| text.contains(**field)) {
            objections.push(deny(format!("`{field}` is never set")));
        }
    }
    objections
}

/// Gate 6, too: a security context only ever becomes tighter, and even then a person decides.
pub(super) fn loosened(matter: &Matter<'_>) -> Vec<Objection> {
    let mut objections = Vec::new();
    for change in matter.proposal.diagnosis.changes() {
        let path = change.path.to_string();
        let (_, to) = values_of(change);
        if to.is_some_and(mentions_privilege) {
            objections.push(deny("privileges are never added"));
        }
        let keys: Vec<String> =
            change.path.steps().iter().map(|s| if let Step::Key(k) = s { k.clone() } else { String::new() }).collect();
        if !keys.iter().any(|key| key == "securityContext") {
            continue;
        }
        let last = last_key(&change.path);
        match (last, to) {
            (_, None) => {
                objections.push(deny(format!("`{path}` would be removed: a security context is never loosened")));
            }
            (field, Some(to)) if !is_tight(field, to) => {
                objections.push(deny(format!("`{path}` = {to} would loosen the security context")));
            }
            _ => objections.push(hold("a security context is changed, which a person decides")),
        }
    }
    objections.dedup_by(|a, b| a.text == b.text);
    objections
}

/// Values that a hardening may have; everything else counts as loosening.
fn is_tight(field: &str, to: &Value) -> bool {
    match field {
        "runAsNonRoot" | "readOnlyRootFilesystem" => *to == Value::Bool(true),
        "allowPrivilegeEscalation" | "privileged" => *to == Value::Bool(false),
        "runAsUser" | "runAsGroup" | "fsGroup" => to.as_i64().is_some_and(|id| id > 0),
        "drop" => true,
        "type" => *to == "RuntimeDefault" || *to == "Localhost",
        "capabilities" => to.as_object().is_some_and(|map| map.keys().all(|key| key == "drop")),
        "seccompProfile" => to.get("type").is_some_and(|t| *t == "RuntimeDefault"),
        "securityContext" => to.as_object().is_some_and(|map| map.iter().all(|(key, value)| is_tight(key, value))),
        _ => false,
    }
}

/// Whether a value, however deep, grants something.
fn mentions_privilege(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| match key.as_str() {
            "privileged" | "allowPrivilegeEscalation" => *value == Value::Bool(true),
            "runAsNonRoot" => *value == Value::Bool(false),
            "add" => value.is_array(),
            _ => mentions_privilege(value),
        }),
        Value::Array(list) => list.iter().any(mentions_privilege),
        _ => false,
    }
}

/// Gate 7: one object, few lines.
pub(super) fn size(matter: &Matter<'_>) -> Vec<Objection> {
    let changes = matter.proposal.diagnosis.changes();
    let mut objections = Vec::new();
    if changes.iter().any(|change| change.object != changes[0].object) {
        objections.push(deny("more than one object would be changed"));
    }
    let lines: usize = matter.proposal.files.iter().map(|f| changed_lines(&f.before, &f.after)).sum();
    if lines > MOST_LINES {
        objections.push(hold(format!("{lines} lines change, and a small edit has at most {MOST_LINES}")));
    }
    objections
}

/// Lines that are new or different.
fn changed_lines(before: &str, after: &str) -> usize {
    let diff = similar::TextDiff::from_lines(before, after);
    let (mut removed, mut added) = (0, 0);
    for change in diff.iter_all_changes() {
        match change.tag() {
            similar::ChangeTag::Delete => removed += 1,
            similar::ChangeTag::Insert => added += 1,
            similar::ChangeTag::Equal => {}
        }
    }
    removed.max(added)
}
