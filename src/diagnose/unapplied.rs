//! A name that is to be corrected in, whether the repository declares just what it names out: then no name is wrong.

use crate::case::{Change, Cure, Declared, Declined, Diagnosis, Evidence, Operation};
use crate::diagnose::next;

/// Fields that name another object, by the end of their path, and the kinds that they name.
const NAMES: [(&str, &[&str]); 8] = [
    ("service.name", &["Service"]),
    ("serviceAccountName", &["ServiceAccount"]),
    ("claimName", &["PersistentVolumeClaim"]),
    ("scaleTargetRef.name", &["Deployment", "StatefulSet"]),
    ("storageClassName", &["StorageClass"]),
    ("priorityClassName", &["PriorityClass"]),
    ("runtimeClassName", &["RuntimeClass"]),
    ("ingressClassName", &["IngressClass"]),
];

/// What a change would stop to name, if the repository declares it.
fn declared<'e>(evidence: &'e Evidence, change: &Change) -> Option<&'e Declared> {
    let Operation::Set { from, .. } = &change.operation else { return None };
    let (path, name) = (change.path.to_string(), from.as_str()?);
    let (_, kinds) = NAMES.iter().find(|(end, _)| path.ends_with(end))?;
    evidence.declared.iter().find(|d| kinds.contains(&d.id.kind.as_str()) && d.id.name == name)
}

/// The diagnosis, without its change when that would turn away from what only has to be applied.
pub fn held(evidence: &Evidence, mut diagnosis: Diagnosis) -> Diagnosis {
    let Some(missing) = diagnosis.changes().iter().find_map(|change| declared(evidence, change)) else {
        return diagnosis;
    };
    let id = &missing.id;
    let why = format!("the repository declares {id}, and it has not reached the cluster");
    let next = vec![
        "see why the sync has not applied it: `flux get all -A` or `argocd app list`".to_owned(),
        next::list(&id.kind, evidence.incident.first().workload.namespace.as_deref()),
    ];
    diagnosis.cure = Cure::Person(Declined::NeedsPerson { why, next });
    diagnosis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::ObjectRef;
    use crate::diagnose::changes::set;
    use crate::diagnose::rule;
    use crate::testing::{snapshot, taken};
    use crate::yaml::FieldPath;
    use serde_json::json;

    #[test]
    fn a_name_that_the_repository_declares_is_right() {
        let ingress = ObjectRef::new("networking.k8s.io/v1", "Ingress", Some("shop"), "web");
        let finding = crate::case::Finding {
            failure: crate::case::FailureId("ingress-backend"),
            workload: ingress.clone(),
            container: None,
            symptom: String::new(),
            since: None,
            pods: Vec::new(),
            shared: None,
        };
        let incident = crate::case::Incident { failure: finding.failure, findings: vec![finding], shared: None };
        let mut evidence = crate::diagnose::assemble::assemble(&incident, snapshot(&json!([taken()])), Vec::new());
        let path = FieldPath::keys(&["spec", "defaultBackend", "service", "name"]);
        let diagnosis = || {
            let changes = vec![set(&ingress, path.clone(), "payments", "payment")];
            rule(String::new(), Vec::new(), Vec::new(), Cure::Repair { changes, help: String::new(), hold: None })
        };
        assert_eq!(held(&evidence, diagnosis()).changes().len(), 1);
        evidence.declared.push(Declared {
            id: ObjectRef::new("v1", "Service", Some("shop"), "payments"),
            document: 0,
            root: FieldPath::root(),
            offset: 0,
            keys: Vec::new(),
        });
        assert!(held(&evidence, diagnosis()).changes().is_empty());
    }
}
