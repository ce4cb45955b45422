//! A kind in, its objects out, page by page: however many there are, only one page of text is held.

use anyhow::{Result, bail};
use http::StatusCode;
use serde_json::value::RawValue;

use super::http::{Reply, encoded};
use super::{Cluster, Kind, Scope};
use crate::adapters::project::{PageMeta, page};
use crate::case::{Gap, Timestamp};

/// As many as client-go asks for at once.
const PAGE: usize = 500;
/// A page that is larger is not read: 500 objects of the largest size that etcd takes are less.
const LARGEST_PAGE: usize = 1 << 30;
const WHOLE: &str = "application/json";
const BARE: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// How the listing of a kind went.
#[derive(Debug, Default)]
pub struct Listed {
    /// Whether the API server has the kind at all.
    pub is_served: bool,
    /// Parts that could not be read: the kind is then known only in part.
    pub gaps: Vec<Gap>,
    /// Whether one of the gaps is a missing right.
    pub is_forbidden: bool,
    /// The API server's clock at the last answer.
    pub at: Option<Timestamp>,
    /// From where a watch goes on: as old as the first page, of however many pages it is.
    pub version: Option<String>,
}

impl Cluster {
    /// Reads every object of a kind within the scope, a page at a time.
    pub async fn list(
        &self,
        kind: &Kind,
        scope: &Scope,
        mut each: impl FnMut(&[&RawValue]) -> Result<()>,
    ) -> Result<Listed> {
        let mut listed = Listed::default();
        let query = scope.query(kind);
        match &scope.namespaces {
            Some(namespaces) if kind.is_namespaced => {
                for namespace in namespaces {
                    self.pages(kind, Some(namespace), &query, &mut listed, &mut each).await?;
                }
            }
            _ => self.pages(kind, None, &query, &mut listed, &mut each).await?,
        }
        Ok(listed)
    }

    async fn pages(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        query: &str,
        listed: &mut Listed,
        each: &mut impl FnMut(&[&RawValue]) -> Result<()>,
    ) -> Result<()> {
        let path = kind.path(namespace.map(encoded).as_deref());
        let accept = if kind.is_bare { BARE } else { WHOLE };
        let mut next: Option<String> = None;
        loop {
            let from = next.as_deref().map_or_else(String::new, |token| format!("&continue={}", encoded(token)));
            let reply = self.get(&format!("{path}?limit={PAGE}{query}{from}"), accept, LARGEST_PAGE).await?;
            listed.at = listed.at.max(reply.date);
            match reply.status {
                StatusCode::OK => {
                    let meta = items(kind, &reply, each)?;
                    listed.version = listed.version.take().or(meta.resource_version);
                    next = meta.r#continue.filter(|token| !token.is_empty());
                }
                // The list is older than the server remembers: the rest comes from a newer one.
                StatusCode::GONE if reply.resume().is_some_and(|token| Some(&token) != next.as_ref()) => {
                    next = reply.resume();
                    continue;
                }
                StatusCode::NOT_FOUND if next.is_none() => return Ok(()),
                status => {
                    listed.is_served = true;
                    listed.is_forbidden |= status == StatusCode::FORBIDDEN;
                    listed.gaps.push(refused(kind, namespace, &reply));
                    return Ok(());
                }
            }
            listed.is_served = true;
            if next.is_none() {
                return Ok(());
            }
        }
    }
}

fn items(kind: &Kind, reply: &Reply, each: &mut impl FnMut(&[&RawValue]) -> Result<()>) -> Result<PageMeta> {
    let (items, meta) = match page(reply.text()?) {
        Ok(page) => page,
        Err(error) => bail!(
            "the answer to a list of {} is no list: {error}\nHint: is the address in kubeconfig that of an API server?",
            kind.resource
        ),
    };
    each(&items)?;
    Ok(meta)
}

/// A right that is missing, or a server that stumbles over one kind: named, and the rest goes on.
fn refused(kind: &Kind, namespace: Option<&str>, reply: &Reply) -> Gap {
    let within = namespace.map_or_else(|| "the cluster".to_owned(), ToOwned::to_owned);
    let what = if kind.is_namespaced { format!("{} in {within}", kind.resource) } else { kind.resource.to_owned() };
    let why = if reply.status == StatusCode::FORBIDDEN {
        let message = reply.message();
        format!("cannot be listed: {} may not; add get, list, watch on {}", who(&message), kind.resource)
    } else {
        format!("cannot be listed: {}", reply.message())
    };
    Gap { what, why }
}

/// `... is forbidden: User "system:serviceaccount:kubecure:kubecure" cannot list ...`: whoever it is.
pub(super) fn who(message: &str) -> String {
    let quoted = message.split_once("User \"").and_then(|(_, rest)| rest.split_once('"'));
    quoted.map_or_else(
        || "the user".to_owned(),
        |(user, _)| match user.strip_prefix("system:serviceaccount:") {
            Some(account) => format!("the ServiceAccount {}", account.replacen(':', "/", 1)),
            None => format!("the user {user}"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_named_with_the_rule_that_is_needed() {
        let events = super::super::KINDS.iter().find(|k| k.resource == "events").unwrap();
        let message = r#"{"kind":"Status","message":"events is forbidden: User \"system:serviceaccount:kubecure:kubecure\" cannot list resource \"events\""}"#;
        let reply = Reply { status: StatusCode::FORBIDDEN, date: None, bytes: message.as_bytes().to_vec() };
        let gap = refused(events, Some("billing"), &reply);
        assert_eq!(gap.what, "events in billing");
        assert_eq!(
            gap.why,
            "cannot be listed: the ServiceAccount kubecure/kubecure may not; add get, list, watch on events"
        );
        assert_eq!(who("nothing known"), "the user");
    }
}
