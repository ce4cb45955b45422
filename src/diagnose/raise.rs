//! A limit that is too low in, the next higher one out: bounded by policy, and only where there is room.

use serde_json::Value;

use crate::case::{Change, Evidence, FailureId, ObjectRef};
use crate::diagnose::template::Part;
use crate::quantity::Quantity;
use crate::review::policy::Policy;

/// How far a limit is raised at once when policy does not say less.
const STEP: f64 = 2.0;

/// A limit one step up.
#[derive(Debug)]
pub struct Raised {
    /// The limit, and before it the request when that was equal (the pod keeps its class of service).
    pub changes: Vec<Change>,
    /// "raise the limit and the equal request to 128Mi"
    pub help: String,
    /// What was found to have room, or what stands in the way.
    pub room: Result<String, String>,
}

/// Why a limit is not raised.
#[derive(Debug, PartialEq, Eq)]
pub enum Not {
    /// It stands at the maximum of the policy.
    AtMaximum,
    /// It is no quantity, or zero.
    NoQuantity,
}

/// What is to be raised, and for which failure.
#[derive(Debug)]
pub struct Limit<'e, 't> {
    pub failure: FailureId,
    pub workload: &'e ObjectRef,
    /// As LimitRange, quota and node call it: `memory`, `ephemeral-storage`.
    pub resource: &'e str,
    pub limit: &'e Part<'t>,
    /// Raised with the limit when it is equal.
    pub request: Option<&'e Part<'t>>,
}

impl Limit<'_, '_> {
    /// At most twofold, and at most to what the policy allows.
    pub fn raise(&self, evidence: &Evidence, policy: &Policy) -> Result<Raised, Not> {
        let old = Quantity::of(self.limit.value).filter(|q| !q.is_zero()).ok_or(Not::NoQuantity)?;
        let allowance = policy.allowance(self.failure, &self.limit.path);
        let factor = allowance.and_then(|a| a.max_factor).map_or(STEP, |most| most.min(STEP));
        let ceiling = allowance.and_then(|a| a.max.as_deref()).and_then(Quantity::parse);
        let new = ceiling.map_or(old.times(factor), |most| old.times(factor).min(most));
        if new <= old {
            return Err(Not::AtMaximum);
        }
        let to = new.like(&self.limit.shown());
        let request = self.request.filter(|r| Quantity::of(r.value) == Some(old));
        let mut changes = Vec::new();
        changes.extend(request.map(|r| r.set(self.workload, new.like(&r.shown()))));
        changes.push(self.limit.set(self.workload, to.as_str()));
        let both = if request.is_some() { " and the equal request" } else { "" };
        let help = format!("raise the limit{both} to {to}");
        let room = self.room(evidence, old, new, request.is_some());
        Ok(Raised { changes, help, room })
    }

    /// Whether the new limit fits: LimitRange, quota, largest node. Otherwise the cure would be the next failure.
    fn room(&self, evidence: &Evidence, old: Quantity, new: Quantity, with_request: bool) -> Result<String, String> {
        self.limit_range(evidence, new)?;
        self.quota(evidence, old, new, with_request)?;
        let allocatable = |n: &crate::case::Node| Quantity::of(n.status.allocatable.get(self.resource)?);
        match evidence.snapshot.nodes.iter().filter_map(allocatable).max() {
            Some(largest) if new > largest => {
                Err(format!("no node can hold it: the largest has {largest} allocatable"))
            }
            Some(largest) => Ok(format!("LimitRange, quota and the largest node ({}) have room", largest.rounded())),
            None => Ok("no LimitRange or quota stands in the way".to_owned()),
        }
    }

    fn limit_range(&self, evidence: &Evidence, new: Quantity) -> Result<(), String> {
        for range in evidence.snapshot.limit_ranges.iter().filter(|r| self.is_here(&r.metadata)) {
            let of_containers = range.spec.limits.iter().filter(|l| l.r#type == "Container");
            let max = of_containers.filter_map(|l| Quantity::of(l.max.get(self.resource)?)).min();
            if let Some(max) = max.filter(|max| new > *max) {
                let (name, resource) = (&range.metadata.name, self.resource);
                return Err(format!("LimitRange {name} allows at most {max} of {resource} per container"));
            }
        }
        Ok(())
    }

    fn quota(&self, evidence: &Evidence, old: Quantity, new: Quantity, with_request: bool) -> Result<(), String> {
        let pods = evidence.snapshot.workload(self.workload).and_then(|w| w.spec.replicas).unwrap_or(1);
        let more = i128::from(pods) * (new.whole() - old.whole());
        let mut counted = vec![format!("limits.{}", self.resource)];
        if with_request {
            counted.extend([format!("requests.{}", self.resource), self.resource.to_owned()]);
        }
        for quota in evidence.snapshot.quotas.iter().filter(|q| self.is_here(&q.metadata)) {
            for resource in &counted {
                let of = |map: &std::collections::BTreeMap<String, Value>| map.get(resource).and_then(Quantity::of);
                if let (Some(hard), Some(used)) = (of(&quota.status.hard), of(&quota.status.used))
                    && used.whole() + more > hard.whole()
                {
                    return Err(format!("quota {} has no room: {resource} is {used} of {hard}", quota.metadata.name));
                }
            }
        }
        Ok(())
    }

    fn is_here(&self, meta: &crate::case::Meta) -> bool {
        meta.namespace == self.workload.namespace
    }
}
