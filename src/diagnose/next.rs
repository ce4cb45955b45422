//! An object in, the command that shows more of it out: a next step that a person can paste.

use crate::case::{Finding, LogKey, ObjectRef};

/// `kubectl describe deployment web -n shop`
pub fn describe(object: &ObjectRef) -> String {
    format!("kubectl describe {}", words(object))
}

/// `kubectl get storageclass` for the names that exist; `kubectl get service -n shop` in a namespace.
pub fn list(kind: &str, namespace: Option<&str>) -> String {
    format!("kubectl get {}{}", kind.to_lowercase(), flag(namespace))
}

/// `kubectl get deployment web -n shop -o yaml`
pub fn yaml(object: &ObjectRef) -> String {
    format!("kubectl get {} -o yaml", words(object))
}

/// `kubectl logs web-0 -c app -n shop`, with what is to be added at the end.
pub fn logs(key: &LogKey, more: &str) -> String {
    format!("kubectl logs {} -c {}{}{more}", key.pod.name, key.container, flag(key.pod.namespace.as_deref()))
}

/// The log of the newest pod that shows the failure.
pub fn log_of(finding: &Finding, more: &str) -> Option<String> {
    let (pod, container) = (finding.pods.first()?.clone(), finding.container.clone()?);
    Some(logs(&LogKey { pod, container, previous: false }, more))
}

/// `kubectl rollout history deployment web -n shop`
pub fn rollout_history(workload: &ObjectRef) -> String {
    format!("kubectl rollout history {}", words(workload))
}

/// `kubecure policy explain deployment/web -n shop`: which policy decides, and what it allows.
pub fn policy(workload: &ObjectRef) -> String {
    let target = format!("{}/{}", workload.kind.to_lowercase(), workload.name);
    format!("kubecure policy explain {target}{}", flag(workload.namespace.as_deref()))
}

fn words(object: &ObjectRef) -> String {
    format!("{} {}{}", object.kind.to_lowercase(), object.name, flag(object.namespace.as_deref()))
}

/// ` -n shop`, or nothing.
pub fn flag(namespace: Option<&str>) -> String {
    namespace.map(|n| format!(" -n {n}")).unwrap_or_default()
}
