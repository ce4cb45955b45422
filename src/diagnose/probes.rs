//! Events and statuses of a container in, the probe that fails it out.

use crate::case::{Event, ProbeTiming, Snapshot, Timestamp};
use crate::detect::{Container, Instance, pod_events};

/// The three probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    Readiness,
    Liveness,
    Startup,
}

pub const ALL: [Probe; 3] = [Probe::Startup, Probe::Liveness, Probe::Readiness];

impl Probe {
    /// Its field of a container.
    pub fn field(self) -> &'static str {
        match self {
            Self::Readiness => "readinessProbe",
            Self::Liveness => "livenessProbe",
            Self::Startup => "startupProbe",
        }
    }

    /// As events spell it at the start of a sentence: `Readiness probe failed: ...`.
    fn event_word(self) -> &'static str {
        match self {
            Self::Readiness => "Readiness probe ",
            Self::Liveness => "Liveness probe ",
            Self::Startup => "Startup probe ",
        }
    }

    /// `readiness`
    pub fn word(self) -> &'static str {
        match self {
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
            Self::Startup => "startup",
        }
    }

    /// Whether an event is about this probe of this container.
    pub fn is_told_by(self, event: &Event, container: &str) -> bool {
        event.message.starts_with(self.event_word()) && event.container.as_deref().is_none_or(|c| c == container)
    }

    /// What the kubelet says before it restarts a container for this probe.
    pub fn kill(self, container: &str) -> String {
        format!("Container {container} failed {} probe", self.word())
    }
}

/// A probe that fails.
#[derive(Clone, Debug)]
pub struct FailingProbe<'s> {
    pub probe: Probe,
    /// The kubelet's words of the newest failure: `Readiness probe failed: HTTP probe failed with statuscode: 404`.
    pub said: &'s str,
    /// How often it failed, as far as events tell.
    pub times: i64,
    /// Whether the kubelet restarts the container for it.
    pub kills: bool,
    /// The instances that show it, newest pod first.
    pub instances: Vec<Instance<'s>>,
}

/// The probe that fails this container, the one that kills before the one that only keeps traffic away.
pub fn failing<'s>(container: &Container<'s>, snapshot: &'s Snapshot) -> Option<FailingProbe<'s>> {
    ALL.into_iter().find_map(|probe| {
        let failing = |i: &&Instance<'s>| match probe {
            Probe::Readiness => is_never_ready(i, snapshot),
            _ => is_killed(probe, i, snapshot),
        };
        let instances: Vec<Instance<'s>> = container.instances.iter().filter(failing).copied().collect();
        let events: Vec<&'s Event> = instances.iter().flat_map(|i| told(probe, i, snapshot)).collect();
        // Of the first pod that tells: what is quoted must be among the evidence, which holds few pods.
        let mut by_pod = instances.iter().map(|i| told(probe, i, snapshot));
        let newest = by_pod.find_map(|events| events.into_iter().max_by_key(|e| e.last))?;
        let times = events.iter().map(|e| e.count).sum();
        let kills = probe != Probe::Readiness;
        (times >= 3).then_some(FailingProbe { probe, said: newest.message.trim(), times, kills, instances })
    })
}

/// `Unhealthy` events of one probe of one container.
pub fn told<'s>(probe: Probe, instance: &Instance<'s>, snapshot: &'s Snapshot) -> Vec<&'s Event> {
    let name = instance.status.name.as_str();
    pod_events(snapshot, instance.pod, "Unhealthy").filter(|e| probe.is_told_by(e, name)).collect()
}

/// It runs, has had the time that its probes give it, and is not ready. A process that ends on its own fails its
/// probes, too: that is another failure.
fn is_never_ready(instance: &Instance<'_>, snapshot: &Snapshot) -> bool {
    let started = instance.status.state.running.as_ref().and_then(|r| r.started_at);
    let Some(started) = started.filter(|_| !instance.status.ready) else { return false };
    let own_end = instance.last_end().and_then(|end| end.finished_at);
    let window = jiff::SignedDuration::from_mins(10);
    let crashes = own_end.is_some_and(|at| snapshot.taken.duration_since(at) <= window);
    let budget = |of: Option<&ProbeTiming>| of.map_or(0, ProbeTiming::budget);
    let spec = instance.spec;
    let patience = budget(spec.and_then(|s| s.startup_probe.as_ref()))
        + spec
            .and_then(|s| s.readiness_probe.as_ref())
            .map_or_else(|| ProbeTiming::default().budget(), ProbeTiming::budget);
    !crashes && snapshot.taken.duration_since(started).as_secs() >= patience
}

/// It was ended twice or more, lately, and by the kubelet: `Killing` says so, and the exit code does not contradict.
///
/// Events are dropped after a burst, so `Killing` may be older than the last end.
fn is_killed(probe: Probe, instance: &Instance<'_>, snapshot: &Snapshot) -> bool {
    if instance.last_end().is_none() || instance.ends() < 2 || !instance.is_recent(snapshot.taken) {
        return false;
    }
    let words = probe.kill(&instance.status.name);
    let last_kill: Option<Timestamp> = pod_events(snapshot, instance.pod, "Killing")
        .filter(|e| e.message.contains(&words))
        .filter_map(|e| e.last)
        .max();
    let (Some(kill), Some(end)) = (last_kill, instance.last_end()) else { return false };
    let by_signal = matches!(end.exit_code, 137 | 143);
    let at_once = end.finished_at.is_some_and(|at| at.duration_since(kill).as_secs().abs() <= 60);
    by_signal || at_once
}

/// Seconds that the longest run lasted before it was ended.
pub fn longest_run(failing: &FailingProbe<'_>) -> Option<i64> {
    let runs = failing.instances.iter().filter_map(|i| {
        let end = i.last_end()?;
        Some(end.finished_at?.duration_since(end.started_at?).as_secs())
    });
    runs.max()
}

/// Seconds from the start of a container to the moment that its pod became ready, where a pod of this workload tells:
/// one that has not restarted and whose container has a probe to be ready by.
pub fn measured_start(snapshot: &Snapshot, container: &Container<'_>) -> Option<(i64, String)> {
    let pods = snapshot.pods_of(&container.workload).filter(|p| p.metadata.deletion_timestamp.is_none());
    let starts = pods.filter_map(|pod| {
        let status = pod.status.container_statuses.iter().find(|c| c.name == container.name)?;
        let spec = pod.spec.containers.iter().find(|c| c.name == container.name)?;
        let probed = spec.readiness_probe.is_some() || spec.startup_probe.is_some();
        let started = status.state.running.as_ref()?.started_at?;
        let ready = pod.status.conditions.iter().find(|c| c.r#type == "Ready" && c.status == "True")?;
        let took = ready.last_transition_time?.duration_since(started).as_secs();
        // Longer than that is a pod that became ready again, not one that started.
        let plausible = (1..=900).contains(&took);
        (probed && status.ready && status.restart_count == 0 && plausible)
            .then(|| (took, format!("pod {} was ready {took} s after its start", pod.metadata.name)))
    });
    starts.max()
}
