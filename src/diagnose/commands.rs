//! What a person would type next, for the very object.

use crate::case::{Finding, ObjectRef};

/// `kubectl describe deployment web -n shop`
pub fn describe(object: &ObjectRef) -> String {
    format!("kubectl describe {} {}{}", object.kind.to_lowercase(), object.name, in_namespace(object))
}

/// `kubectl get configmaps -n shop`
pub fn list(kinds: &str, beside: &ObjectRef) -> String {
    format!("kubectl get {kinds}{}", in_namespace(beside))
}

/// The log of the run that ended, of the newest pod that shows the failure.
pub fn log_before(finding: &Finding) -> Option<String> {
    let (pod, container) = (finding.pods.first()?, finding.container.as_deref()?);
    Some(format!("kubectl logs {} -c {container} --previous{}", pod.name, in_namespace(pod)))
}

/// The log of the newest pod that shows the failure.
pub fn log(finding: &Finding) -> Option<String> {
    let (pod, container) = (finding.pods.first()?, finding.container.as_deref()?);
    Some(format!("kubectl logs {} -c {container}{}", pod.name, in_namespace(pod)))
}

fn in_namespace(object: &ObjectRef) -> String {
    object.namespace.as_ref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default()
}
