//! What applies a repository to a cluster, as it says itself how that went: an object of Argo CD or Flux.

use serde::{Deserialize, Deserializer};

use super::{Condition, Meta, ObjectRef, Timestamp};

/// An Application of Argo CD; a Kustomization, `HelmRelease` or `GitRepository` of Flux.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Syncer {
    #[serde(skip)]
    pub id: ObjectRef,
    pub metadata: Meta,
    pub spec: SyncerSpec,
    pub status: SyncerStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncerSpec {
    /// Of a Kustomization: the folder in the repository.
    pub path: Option<String>,
    pub suspend: Option<bool>,
    /// Of an Application.
    pub source: Option<SyncSource>,
    #[serde(deserialize_with = "or_default")]
    pub sources: Vec<SyncSource>,
}

/// What an Application takes of a repository.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncSource {
    pub path: Option<String>,
    pub helm: Option<SyncHelm>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncHelm {
    #[serde(deserialize_with = "or_default")]
    pub value_files: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncerStatus {
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// Of an Application: how the last sync went.
    pub operation_state: Option<SyncOperation>,
    pub sync: Option<SyncState>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncState {
    pub status: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncOperation {
    pub phase: Option<String>,
    pub message: Option<String>,
    pub retry_count: Option<i64>,
    pub started_at: Option<Timestamp>,
    pub sync_result: Option<SyncResult>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SyncResult {
    #[serde(deserialize_with = "or_default")]
    pub resources: Vec<SyncedObject>,
}

/// An object that a sync has tried to apply.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SyncedObject {
    #[serde(deserialize_with = "or_default")]
    pub group: String,
    #[serde(deserialize_with = "or_default")]
    pub version: String,
    pub kind: String,
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    pub name: String,
    #[serde(deserialize_with = "or_default")]
    pub status: String,
    #[serde(deserialize_with = "or_default")]
    pub message: String,
}

/// `null` where nothing is said.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// Something that keeps a syncer from applying what Git says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncError {
    /// How the status tells it, with the names of its fields.
    pub text: String,
    pub message: String,
    /// The object that is refused, where one is.
    pub object: Option<ObjectRef>,
    pub since: Option<Timestamp>,
}

/// Reasons of Flux that speak of the workloads, of another object, or of nothing that is wrong.
const OF_OTHERS: [&str; 7] = [
    "HealthCheckFailed",
    "DependencyNotReady",
    "ArtifactFailed",
    "SourceNotReady",
    "Progressing",
    "ProgressingWithRetry",
    "Suspended",
];

/// What a `HelmRelease` says when only its pods do not get ready.
const WAITED: [&str; 3] = ["context deadline exceeded", "timed out waiting", "not ready"];

impl Syncer {
    /// Everything that keeps it from applying what Git says, as it says so itself.
    pub fn errors(&self) -> Vec<SyncError> {
        if self.spec.suspend == Some(true) || self.metadata.deletion_timestamp.is_some() {
            return Vec::new();
        }
        if self.id.kind == "Application" { self.of_argo() } else { self.of_flux() }
    }

    fn of_flux(&self) -> Vec<SyncError> {
        let is_error = |c: &&Condition| {
            let (reason, message) = (c.reason.as_deref().unwrap_or_default(), c.message.as_deref().unwrap_or_default());
            let waited = self.id.kind == "HelmRelease" && WAITED.iter().any(|words| message.contains(words));
            c.r#type == "Ready" && c.status == "False" && !OF_OTHERS.contains(&reason) && !waited
        };
        self.status.conditions.iter().filter(is_error).map(error_of).collect()
    }

    fn of_argo(&self) -> Vec<SyncError> {
        let is_error = |c: &&Condition| c.r#type.ends_with("Error");
        let mut all: Vec<SyncError> = self.status.conditions.iter().filter(is_error).map(error_of).collect();
        let Some(operation) = &self.status.operation_state else { return all };
        let phase = operation.phase.as_deref().unwrap_or_default();
        let is_retried = phase == "Running" && operation.retry_count.is_some_and(|tries| tries > 0);
        let is_synced = self.status.sync.as_ref().is_some_and(|sync| sync.status.as_deref() == Some("Synced"));
        if is_synced || !(is_retried || matches!(phase, "Failed" | "Error")) || !all.is_empty() {
            return all;
        }
        let objects = operation.sync_result.iter().flat_map(|result| &result.resources);
        all.extend(objects.filter(|object| object.status == "SyncFailed").map(|object| {
            let id = ObjectRef {
                group: object.group.clone(),
                kind: object.kind.clone(),
                namespace: Some(object.namespace.clone()).filter(|namespace| !namespace.is_empty()),
                name: object.name.clone(),
            };
            SyncError {
                text: format!("sync of {id} status=SyncFailed message={}", object.message.trim()),
                message: object.message.trim().to_owned(),
                object: Some(id),
                since: operation.started_at,
            }
        }));
        if all.is_empty() {
            let message = operation.message.clone().unwrap_or_default();
            let text = format!("operation phase={phase} message={message}");
            all.push(SyncError { text, message, object: None, since: operation.started_at });
        }
        all
    }
}

fn error_of(condition: &Condition) -> SyncError {
    let message = condition.message.as_deref().unwrap_or_default().trim().to_owned();
    let status = if condition.status.is_empty() { String::new() } else { format!("={}", condition.status) };
    let reason = condition.reason.as_deref().map(|reason| format!(" reason={reason}")).unwrap_or_default();
    SyncError {
        text: format!("condition {}{status}{reason} message={message}", condition.r#type),
        message,
        object: None,
        since: condition.last_transition_time,
    }
}
