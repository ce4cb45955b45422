//! Workloads that fail at once, and whose cure is established: the name of a ServiceAccount that misses by one sign.

use std::path::Path;

use tempfile::TempDir;

use super::bed::Bed;

/// A repository of failing workloads.
pub struct Failing {
    pub repo: TempDir,
    namespace: String,
}

impl Failing {
    /// Manifests of these workloads, in a namespace that is made for them.
    pub fn new(bed: &Bed, namespace: &str, names: &[&str]) -> Self {
        bed.namespace(namespace);
        let failing = Self { repo: tempfile::tempdir().unwrap(), namespace: namespace.to_owned() };
        std::fs::write(failing.repo.path().join("namespace.yaml"), namespaces(namespace)).unwrap();
        for name in names {
            std::fs::write(failing.file(name), manifest(namespace, name)).unwrap();
        }
        failing
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.repo.path().join(format!("{name}.yaml"))
    }

    pub fn apply(&self, bed: &Bed, name: &str) {
        bed.kubectl(&["apply", "-f", &self.file(name).display().to_string()]);
    }

    pub fn path(&self) -> &Path {
        self.repo.path()
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

fn namespaces(namespace: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n")
}

fn manifest(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: v1
kind: ServiceAccount
metadata:
  name: {name}-runner
  namespace: {namespace}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: {namespace}
spec:
  selector:
    matchLabels:
      app: {name}
  template:
    metadata:
      labels:
        app: {name}
    spec:
      serviceAccountName: {name}-runer
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: demo.local/busybox:1.35
        command: [sleep, \"3600\"]
"
    )
}
