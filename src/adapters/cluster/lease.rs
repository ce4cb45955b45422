//! The Lease by which several processes agree who of them works: the only thing that KubeCure ever writes to a cluster,
//! and only where leader election is switched on.

use std::time::Duration;

use anyhow::{Result, anyhow};
use http::StatusCode;
use k8s_openapi::api::coordination::v1::{Lease as Wire, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;

use super::Cluster;
use super::http::root;
use crate::case::Lease;

/// Where a Lease is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasePlace {
    pub namespace: String,
    pub name: String,
}

impl Cluster {
    fn leases(&self, place: &LeasePlace) -> Api<Wire> {
        Api::namespaced(self.client.clone(), &place.namespace)
    }

    /// The Lease as it is; `None` where nobody made it yet.
    pub async fn lease(&self, place: &LeasePlace) -> Result<Option<Lease>> {
        match self.leases(place).get_opt(&place.name).await {
            Ok(lease) => Ok(lease.map(|lease| read(&lease))),
            Err(error) => Err(self.lease_error(place, &error)),
        }
    }

    /// Writes the Lease over the one whose version it has, or makes it where it has none. `None` when another one is
    /// there by now, or none.
    pub async fn write_lease(&self, place: &LeasePlace, lease: &Lease) -> Result<Option<Lease>> {
        let (leases, with, wire) = (self.leases(place), PostParams::default(), wire(place, lease));
        if lease.version.is_empty() {
            return self.written(place, leases.create(&with, &wire).await);
        }
        match leases.replace(&place.name, &with, &wire).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            written => self.written(place, written),
        }
    }

    fn written(&self, place: &LeasePlace, written: kube::Result<Wire>) -> Result<Option<Lease>> {
        match written {
            Ok(lease) => Ok(Some(read(&lease))),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                self.errors.answered(StatusCode::CONFLICT);
                Ok(None)
            }
            Err(error) => Err(self.lease_error(place, &error)),
        }
    }

    fn lease_error(&self, place: &LeasePlace, error: &kube::Error) -> anyhow::Error {
        let LeasePlace { namespace, name } = place;
        let kube::Error::Api(status) = error else { return self.unreachable(error) };
        self.errors.answered(StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
        if status.is_forbidden() {
            return anyhow!(
                "the Lease {namespace}/{name} may not be used: {}\nHint: the Role of deploy/rbac.yaml grants get and update of that one Lease, and create",
                status.message
            );
        }
        anyhow!("the Lease {namespace}/{name} cannot be used: {}", root(error))
    }
}

fn read(lease: &Wire) -> Lease {
    let spec = lease.spec.clone().unwrap_or_default();
    let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    Lease {
        holder: spec.holder_identity.unwrap_or_default(),
        lasts: Duration::from_secs(lasts),
        renewed: spec.renew_time.map(|time| time.0),
        acquired: spec.acquire_time.map(|time| time.0),
        transitions: spec.lease_transitions.unwrap_or(0),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

fn wire(place: &LeasePlace, lease: &Lease) -> Wire {
    let spec = LeaseSpec {
        // An empty name is one that Kubernetes does not take.
        holder_identity: Some(lease.holder.clone()).filter(|holder| !holder.is_empty()),
        lease_duration_seconds: i32::try_from(lease.lasts.as_secs()).ok(),
        renew_time: lease.renewed.map(MicroTime),
        acquire_time: lease.acquired.map(MicroTime),
        lease_transitions: Some(lease.transitions),
        ..LeaseSpec::default()
    };
    let metadata = ObjectMeta {
        name: Some(place.name.clone()),
        namespace: Some(place.namespace.clone()),
        resource_version: Some(lease.version.clone()).filter(|version| !version.is_empty()),
        ..ObjectMeta::default()
    };
    Wire { metadata, spec: Some(spec) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let place = LeasePlace { namespace: "kubecure".to_owned(), name: "kubecure".to_owned() };
        let long_ago = Some("2026-01-01T00:00:00.5Z".parse().unwrap());
        let (holder, lasts) = ("kubecure-0_1f".to_owned(), Duration::from_secs(15));
        let (renewed, acquired, version) = (long_ago, long_ago, "7".to_owned());
        let lease = Lease { holder, lasts, renewed, acquired, transitions: 3, version };
        assert_eq!(read(&wire(&place, &lease)), lease);
        let made = wire(&place, &Lease { version: String::new(), holder: String::new(), ..lease });
        assert_eq!((made.metadata.resource_version, made.spec.unwrap().holder_identity), (None, None));
    }
}
