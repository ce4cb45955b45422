//! A probe that kills a process while it still starts.

use super::port::listens;
use super::{Facts, Met};
use crate::case::Diagnosis;
use crate::diagnose::changes::{add, set};
use crate::diagnose::confidence::{ONE_CANDIDATE, ground};
use crate::diagnose::probes::{Probe, longest_run, measured_start};
use crate::diagnose::{next, person};

/// How many times the measured start a probe must allow.
const ROOM: i64 = 2;

/// Killed while it starts: the probe gives up before the process can answer.
pub(super) fn too_early(facts: &Facts<'_>) -> Option<Diagnosis> {
    let (number, timing) = (facts.number(), facts.timing());
    let patience = timing.initial_delay_seconds + timing.failure_threshold * timing.period_seconds;
    let longest = longest_run(&facts.failing)?;
    let ran_on = longest > patience + timing.timeout_seconds + 60;
    let says_so = listens(facts).iter().any(|(port, _)| Some(*port) == number);
    // With a startup probe, the liveness probe begins after the start.
    let after_start = facts.failing.probe == Probe::Liveness && facts.container.get("startupProbe").is_some();
    let refused = matches!(facts.met(), Met::Refused(_));
    if after_start || !facts.failing.kills || !refused || ran_on || says_so {
        return None;
    }
    let cause = format!(
        "{} gives up {patience} s after the start, before `{}` listens{}",
        facts.subject(),
        facts.name(),
        number.map(|n| format!(" on {n}")).unwrap_or_default()
    );
    let mut grounds = facts.grounds("the kubelet says for which probe it kills");
    let Some((took, said)) = measured_start(&facts.evidence.snapshot, facts.instances) else {
        let why = format!("no run lived long enough to measure its start; it needs more than {longest} s");
        let commands = vec![
            next::logs(&facts.log(false), " --timestamps -f"),
            "with that time known, add a startupProbe that allows twice as long".to_owned(),
        ];
        return Some(person(cause, facts.because(), grounds, why, commands));
    };
    if took < patience {
        return None; // others start in time: the probe is not what is wrong here
    }
    grounds.push(ground(ONE_CANDIDATE, said));
    let (key, seconds, to) = if facts.failing.probe == Probe::Startup {
        let period = timing.period_seconds.max(1);
        let times = (ROOM * took + period - 1) / period;
        ("failureThreshold", times * period, times)
    } else {
        ("initialDelaySeconds", ROOM * took, ROOM * took)
    };
    let (workload, path) = (&facts.template.workload, facts.probe.path.clone().key(key));
    let change = match facts.probe.get(key) {
        Some(now) => set(workload, path, now.value.clone(), to),
        None => add(workload, path, to),
    };
    Some(facts.repair(cause, grounds, change, format!("allow {seconds} s for the start, twice what it took")))
}
