//! A snapshot, with what many failures ask of it worked out once.

use std::cell::OnceCell;
use std::ops::Deref;

use super::{Container, FailedCreate, all_containers, failed_creates, pods};
use crate::case::{ObjectRef, Pod, Snapshot};

/// One look at a cluster: everything that the snapshot has, and the containers that count.
pub struct Look<'s> {
    snapshot: &'s Snapshot,
    pods: OnceCell<Vec<(&'s ObjectRef, Vec<&'s Pod>)>>,
    containers: OnceCell<Vec<Container<'s>>>,
    failed_creates: OnceCell<Vec<FailedCreate>>,
}

impl<'s> Look<'s> {
    /// Begins to look; nothing is worked out before it is asked for.
    pub fn at(snapshot: &'s Snapshot) -> Self {
        let (pods, containers, failed_creates) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { snapshot, pods, containers, failed_creates }
    }

    /// The snapshot itself.
    pub fn snapshot(&self) -> &'s Snapshot {
        self.snapshot
    }

    /// The pods that count, by workload, in the order of the workloads.
    pub fn pods(&self) -> &[(&'s ObjectRef, Vec<&'s Pod>)] {
        self.pods.get_or_init(|| pods(self.snapshot))
    }

    /// All containers that count, in the order of the workloads.
    pub fn containers(&self) -> &[Container<'s>] {
        self.containers.get_or_init(|| all_containers(self.pods()))
    }

    /// Every workload whose pods are refused now.
    pub fn failed_creates(&self) -> &[FailedCreate] {
        self.failed_creates.get_or_init(|| failed_creates(self.snapshot))
    }
}

impl Deref for Look<'_> {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        self.snapshot
    }
}
