//! The schema that the API server publishes (`/openapi/v3`), one document for each group, read when it is asked for.

use std::sync::Arc;

use anyhow::Result;
use http::StatusCode;
use serde_json::Value;

use super::{Cluster, KINDS};
use crate::case::ObjectRef;
use crate::review::schema;

/// The largest known ones have three megabytes.
const LARGEST: usize = 32 << 20;
/// Versions of a group that are looked at for a kind.
const MOST_VERSIONS: usize = 4;

impl Cluster {
    /// The document that describes a kind, or why there is none.
    pub async fn schema(&self, object: &ObjectRef) -> Result<Arc<Value>, String> {
        let index = self.document("/openapi/v3").await?;
        let paths = index.get("paths").and_then(Value::as_object).ok_or("the API server publishes no schemas")?;
        for version in versions(object, paths.keys()).into_iter().take(MOST_VERSIONS) {
            let Some(url) = paths[&version].get("serverRelativeURL").and_then(Value::as_str) else { continue };
            let document = self.document(url).await?;
            if schema::describes(&document, object) {
                return Ok(document);
            }
        }
        Err(format!("the API server publishes no schema of {}", object.kind))
    }

    async fn document(&self, path: &str) -> Result<Arc<Value>, String> {
        let known = |of: &Self| of.schemas.lock().map_or(None, |map| map.get(path).cloned());
        if let Some(document) = known(self) {
            return Ok(document);
        }
        if !path.starts_with("/openapi/v3") {
            return Err("the API server's index of schemas leads elsewhere".to_owned());
        }
        let reply = self.get(path, "application/json", LARGEST).await.map_err(|error| first_line(&error))?;
        if reply.status != StatusCode::OK {
            return Err(format!("the API server's schema cannot be read: {}", reply.message()));
        }
        let document: Value = serde_json::from_slice(&reply.bytes)
            .map_err(|error| format!("the API server's schema cannot be read: {error}"))?;
        let document = Arc::new(document);
        if let Ok(mut map) = self.schemas.lock() {
            map.insert(path.to_owned(), document.clone());
        }
        Ok(document)
    }
}

fn first_line(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or("").to_owned()
}

/// Entries of the index for the group of an object, the version that is read first.
fn versions<'k>(object: &ObjectRef, paths: impl Iterator<Item = &'k String>) -> Vec<String> {
    let prefix = if object.group.is_empty() { "api/".to_owned() } else { format!("apis/{}/", object.group) };
    let read = KINDS.iter().find(|kind| kind.kind == object.kind && kind.group == object.group);
    let mut found: Vec<String> =
        paths.filter(|path| path.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/'))).cloned().collect();
    found.sort_by_key(|path| read.is_none_or(|kind| *path != format!("{prefix}{}", kind.version)));
    found
}
