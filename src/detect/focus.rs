//! Incidents in, those that were asked about out.
//!
//! What is looked at for evidence is not narrowed by labels: a quota or a ConfigMap without the label bears on a workload
//! that has it.

use crate::case::{Incident, LabelSelector, Meta, ObjectRef, Snapshot};

/// Which workloads are meant. The empty one means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    /// None: every namespace.
    pub namespaces: Vec<String>,
    /// Namespaces that are left alone, whatever `namespaces` says.
    pub excluded: Vec<String>,
    /// What the labels of a workload have to be.
    pub labels: LabelSelector,
}

impl Focus {
    /// Drops the findings of other workloads, and the incidents that have none left.
    pub fn keep(&self, incidents: Vec<Incident>, snapshot: &Snapshot) -> Vec<Incident> {
        if *self == Self::default() {
            return incidents;
        }
        let narrowed = incidents.into_iter().filter_map(|mut incident| {
            incident.findings.retain(|finding| self.means(&finding.workload, snapshot));
            (!incident.findings.is_empty()).then_some(incident)
        });
        narrowed.collect()
    }

    /// Whether an object of these metadata is meant.
    pub fn has(&self, meta: &Meta) -> bool {
        self.is_in(meta.namespace.as_deref()) && self.labels.selects(|key| meta.labels.get(key).map(String::as_str))
    }

    fn means(&self, workload: &ObjectRef, snapshot: &Snapshot) -> bool {
        let selects = || {
            let labels = snapshot.labels_of(workload);
            self.labels.selects(|key| labels.get(key).map(String::as_str))
        };
        self.is_in(workload.namespace.as_deref()) && (self.labels.is_empty() || selects())
    }

    /// What is in no namespace is meant only where none was named.
    fn is_in(&self, namespace: Option<&str>) -> bool {
        let names = |all: &[String]| namespace.is_some_and(|own| all.iter().any(|name| name == own));
        (self.namespaces.is_empty() || names(&self.namespaces)) && !names(&self.excluded)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::snapshot;

    fn deployment(namespace: &str, name: &str, team: &str) -> serde_json::Value {
        let metadata = json!({"name": name, "namespace": namespace, "labels": {"team": team}});
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata})
    }

    fn kept(focus: &Focus) -> Vec<String> {
        let all = [("shop", "web", "a"), ("shop", "api", "b"), ("bank", "web", "a")];
        let all: Vec<_> = all.iter().map(|(namespace, name, team)| deployment(namespace, name, team)).collect();
        let snapshot = snapshot(&json!(all));
        let metas = snapshot.workloads.iter().map(|workload| &workload.metadata).filter(|meta| focus.has(meta));
        let mut names: Vec<String> = metas.map(|m| format!("{}/{}", m.namespace.as_deref().unwrap(), m.name)).collect();
        names.sort();
        names
    }

    fn of(namespaces: &[&str], excluded: &[&str], labels: &str) -> Focus {
        let owned = |all: &[&str]| all.iter().map(|&name| name.to_owned()).collect();
        Focus { namespaces: owned(namespaces), excluded: owned(excluded), labels: LabelSelector::read(labels).unwrap() }
    }

    #[test]
    fn namespaces_and_labels_narrow_and_nothing_means_all() {
        assert_eq!(kept(&Focus::default()).len(), 3);
        assert_eq!(kept(&of(&["shop"], &[], "")), ["shop/api", "shop/web"]);
        assert_eq!(kept(&of(&["shop", "bank"], &["bank"], "team=a")), ["shop/web"]);
        assert_eq!(kept(&of(&[], &["shop"], "")), ["bank/web"]);
        assert_eq!(kept(&of(&[], &[], "team!=a")), ["shop/api"]);
    }
}
