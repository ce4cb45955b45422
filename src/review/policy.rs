//! The policy of a repository: what may be changed, how far, when, and how it is delivered.

/// The policy in force for one workload.
#[derive(Clone, Debug)]
pub struct Policy {}

/// One allowance.
#[derive(Clone, Debug)]
pub struct Allowance {
    pub max: Option<String>,
    pub max_factor: Option<f64>,
}
impl Policy {
    pub fn allowance(&self, _: crate::case::FailureId, _: &crate::yaml::FieldPath) -> Option<&Allowance> {
        None
    }
}
pub struct Policies {
    one: Policy,
}
pub struct Decision<'a> {
    pub policy: &'a Policy,
}
impl Policies {
    pub fn built_in() -> Self {
        Self { one: Policy {} }
    }
    pub fn decide(&self, _: &crate::case::ObjectRef, _: &std::collections::BTreeMap<String, String>) -> Decision<'_> {
        Decision { policy: &self.one }
    }
}
