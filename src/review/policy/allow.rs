//! A failure and a field in, what policy allows about it out.

use std::fmt;

use serde_json::Value;

use super::{Allowance, Policy};
use crate::case::FailureId;
use crate::quantity::Quantity;
use crate::yaml::{FieldPath, Step};

/// Keys of a pod's spec, by which a field of a bare Pod is known: `spec.replicas` of a Deployment is none.
const POD_KEYS: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];

impl Policy {
    /// What allows this failure to change this field: the first of the list that covers it. `None`: it is denied.
    pub fn allowance(&self, failure: FailureId, path: &FieldPath) -> Option<&Allowance> {
        self.allow.iter().find(|allowance| allowance.failure == failure.0 && allowance.covers(path))
    }

    /// Everything that a failure may change.
    pub fn allowances(&self, failure: &str) -> impl Iterator<Item = &Allowance> {
        self.allow.iter().filter(move |allowance| allowance.failure == failure)
    }
}

impl Allowance {
    /// Whether the pattern covers the field, in the coordinates of whatever kind the object is.
    pub fn covers(&self, path: &FieldPath) -> bool {
        path.matches(&self.field) || in_a_template(path).is_some_and(|path| path.matches(&self.field))
    }

    /// Why a value is too large to be written; `None` when it is within bounds.
    ///
    /// What cannot be compared is not within bounds.
    pub fn exceeded(&self, from: Option<&Value>, to: &Value) -> Option<String> {
        if self.max.is_none() && self.max_factor.is_none() {
            return None;
        }
        let Some(new) = Quantity::of(to) else {
            return Some(format!("{to} is no quantity, so it cannot be held against the bounds of the policy"));
        };
        if let Some(max) = &self.max
            && Quantity::parse(max).is_some_and(|max| new > max)
        {
            return Some(format!("{} is more than the {max} that the policy allows", bare(to)));
        }
        if let (Some(factor), Some(from)) = (self.max_factor, from) {
            let Some(old) = Quantity::of(from) else {
                return Some(format!("{from} is no quantity, so nothing can be compared with it"));
            };
            // A hair more, for what floating point makes of a factor like 1.1.
            if new > old && new.ratio(old) > factor * (1.0 + 1e-9) {
                return Some(format!("{} is more than {factor} times {}", bare(to), bare(from)));
            }
        }
        None
    }
}

fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// A field of a CronJob's or a bare Pod's pod, as a Deployment would have it.
fn in_a_template(path: &FieldPath) -> Option<FieldPath> {
    if let Some(rest) = path.strip_prefix(&FieldPath::keys(&["spec", "jobTemplate", "spec", "template"])) {
        return Some(FieldPath::keys(&["spec", "template"]).join(&rest));
    }
    match path.steps() {
        [Step::Key(spec), Step::Key(key), ..] if spec == "spec" && POD_KEYS.contains(&key.as_str()) => {
            Some(FieldPath::keys(&["spec", "template"]).join(path))
        }
        _ => None,
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.field)?;
        if let Some(max) = &self.max {
            write!(f, ", up to {max}")?;
        }
        if let Some(factor) = self.max_factor {
            write!(f, ", at most {factor} times what it is")?;
        }
        if self.only.is_some() {
            f.write_str(", only back to the last healthy value")?;
        }
        Ok(())
    }
}
