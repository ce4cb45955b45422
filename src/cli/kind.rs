//! Kinds and workloads as people type them: any case, plural, short, with a group.

/// The kinds that are mostly asked for, with kubectl's short names.
const KINDS: &[(&str, &str)] = &[
    ("Deployment", "deploy"),
    ("StatefulSet", "sts"),
    ("DaemonSet", "ds"),
    ("ReplicaSet", "rs"),
    ("CronJob", "cj"),
    ("Job", ""),
    ("Pod", "po"),
    ("Service", "svc"),
    ("Ingress", "ing"),
    ("PersistentVolumeClaim", "pvc"),
    ("HorizontalPodAutoscaler", "hpa"),
    ("ConfigMap", "cm"),
    ("ServiceAccount", "sa"),
];

/// Whether a kind is the one that was asked for: `deploy`, `Deployments`, `deployment.apps`, `deployments.v1.apps`.
pub fn is_kind(asked: &str, kind: &str) -> bool {
    let asked = asked.to_ascii_lowercase();
    let asked = asked.split_once('.').map_or(asked.as_str(), |(kind, _group)| kind);
    let short = KINDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(kind)).map_or("", |(_, short)| short);
    let kind = kind.to_ascii_lowercase();
    let plural = |end: &str| asked.strip_suffix(end) == Some(kind.as_str());
    !asked.is_empty() && (asked == kind || asked == short || plural("s") || plural("es"))
}

/// The name of a known kind as manifests write it.
pub fn known(asked: &str) -> Option<&'static str> {
    KINDS.iter().map(|(kind, _)| *kind).find(|kind| is_kind(asked, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_understood_as_kubectl_understands_it() {
        for asked in ["deploy", "Deployment", "DEPLOYMENTS", "deployment.apps", "deployments.v1.apps"] {
            assert!(is_kind(asked, "Deployment"), "{asked}");
            assert_eq!(known(asked), Some("Deployment"));
        }
        assert!(is_kind("ingresses", "Ingress") && is_kind("rollout.argoproj.io", "Rollout"));
        for asked in ["", "dep", "job", ".apps"] {
            assert!(!is_kind(asked, "Deployment"), "{asked}");
        }
        assert_eq!(known("jobs"), Some("Job"));
        assert_eq!(known(""), None);
    }
}
