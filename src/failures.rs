//! The catalogue: one file of code and one page for each failure.
//!
//! Adding a failure is two new files and two lines here. The order of [`ALL`] means something: specific before
//! general, and the first to claim a container keeps it.

use crate::case::{Diagnosis, Evidence, FailureId, Finding};
use crate::detect::{Claims, Look};
use crate::review::policy::Policy;

/// One kind of failure: is it happening, why, and what cures it?
pub trait Failure: Sync {
    /// Kebab-case, and the name of the failure, never of the cure.
    fn id(&self) -> FailureId;

    /// The page: prose and cases. The text of `kubecure explain`, and a test.
    fn page(&self) -> &'static str;

    /// Is it happening?
    ///
    /// `claims` holds what the failures before this one have found: a failure that those explain is not reported.
    fn detect(&self, look: &Look<'_>, claims: &Claims) -> Vec<Finding>;

    /// Why, and what cures it? `None` when no rule establishes a cause.
    ///
    /// The policy bounds values (a memory limit); whether a change is allowed is not asked here but in review.
    fn diagnose(&self, evidence: &Evidence, policy: &Policy) -> Option<Diagnosis>;
}

pub mod oom_killed;
pub mod security_context;
pub mod config_missing;
pub mod image_pull;
pub mod run_error;
pub mod probe_failing;
pub mod evicted;
pub mod unschedulable;
pub mod crash_loop;
pub mod node_not_ready;
pub mod quota_exceeded;
pub mod replica_create_failed;
pub mod pvc_pending;
pub mod job_failed;
pub mod gitops_sync_failed;
pub mod hpa_failing;
pub mod service_no_endpoints;
pub mod ingress_backend;
pub mod rollout_stuck;

#[cfg(test)]
mod trial;

/// Every failure. Specific before general: the first to claim a container keeps it.
pub const ALL: &[&dyn Failure] = &[
    &oom_killed::OomKilled,
    &security_context::SecurityContext,
    &config_missing::ConfigMissing,
    &image_pull::ImagePull,
    &run_error::RunError,
    &probe_failing::ProbeFailing,
    &evicted::Evicted,
    &unschedulable::Unschedulable,
    &crash_loop::CrashLoop,
    &node_not_ready::NodeNotReady,
    &quota_exceeded::QuotaExceeded,
    &replica_create_failed::ReplicaCreateFailed,
    &pvc_pending::PvcPending,
    &job_failed::JobFailed,
    &gitops_sync_failed::GitopsSyncFailed,
    &hpa_failing::HpaFailing,
    &service_no_endpoints::ServiceNoEndpoints,
    &ingress_backend::IngressBackend,
    &rollout_stuck::RolloutStuck,
];

/// A failure by its id.
pub fn by_id(id: &str) -> Option<&'static dyn Failure> {
    ALL.iter().copied().find(|failure| failure.id().0 == id)
}
