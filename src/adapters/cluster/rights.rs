//! What the API server is, and what this account may do there.
//!
//! A `SelfSubjectAccessReview` is a POST by its form and a question by its nature: the API server answers it and keeps
//! nothing, and every account may ask it.

use anyhow::{Context, Result, bail};
use http::{Request, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::Cluster;
use crate::case::Timestamp;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// More than any answer to these questions.
const LARGEST: usize = 1 << 20;

/// What an API server says when it is asked what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Its version, such as `v1.36.3`, and its clock.
    Version { version: String, at: Option<Timestamp> },
    /// It answered, but not that.
    Refused(String),
}

/// Something that an account may do, or may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    pub verb: &'static str,
    /// Empty for the core group.
    pub group: &'static str,
    /// As it stands in RBAC rules: `pods`, `pods/log`.
    pub resource: &'static str,
    /// `None` for all namespaces, and for what is in none.
    pub namespace: Option<String>,
}

impl Cluster {
    /// Asks for the version. An error is that nobody answered.
    pub async fn greet(&self) -> Result<Greeting> {
        let request = Request::get("/version").body(Body::empty()).context("the path of the version")?;
        let (_, reply) = self.ask(request, LARGEST).await?;
        let said: Value = serde_json::from_slice(&reply.bytes).unwrap_or_default();
        Ok(match (reply.status, said["gitVersion"].as_str()) {
            (StatusCode::OK, Some(version)) => Greeting::Version { version: version.to_owned(), at: reply.date },
            (StatusCode::OK, None) => Greeting::Refused("what answers is no API server".to_owned()),
            (StatusCode::UNAUTHORIZED, _) => {
                Greeting::Refused(format!("does not accept the credentials: {}", reply.message()))
            }
            _ => Greeting::Refused(format!("does not say its version: {}", reply.message())),
        })
    }

    /// Whether this account has a right.
    pub async fn may(&self, right: &Right) -> Result<bool> {
        let reply = self.put_question(REVIEWS, &question(right).to_string(), LARGEST).await?;
        let said: Value = serde_json::from_slice(&reply.bytes).unwrap_or_default();
        match said["status"]["allowed"].as_bool() {
            Some(allowed) if reply.status.is_success() => Ok(allowed),
            _ => bail!(
                "the API server does not say what this account may do: {}\nHint: every account may ask it through the ClusterRole system:basic-user",
                reply.message()
            ),
        }
    }
}

fn question(right: &Right) -> Value {
    let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "namespace": right.namespace.as_deref().unwrap_or(""),
            "verb": right.verb,
            "group": right.group,
            "resource": resource,
            "subresource": subresource,
        }},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subresource_is_asked_for_as_one() {
        let namespace = Some("shop".to_owned());
        let asked = question(&Right { verb: "get", group: "", resource: "pods/log", namespace });
        let asked = &asked["spec"]["resourceAttributes"];
        assert_eq!((&asked["resource"], &asked["subresource"]), (&json!("pods"), &json!("log")));
        assert_eq!(asked["namespace"], "shop");
    }
}
