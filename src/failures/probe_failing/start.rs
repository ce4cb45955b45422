//! A probe that kills a process while it still starts.

use serde_json::json;

use super::port::{handler, listens};
use super::{Facts, Met};
use crate::case::Diagnosis;
use crate::diagnose::changes::{add, set};
use crate::diagnose::confidence::{ONE_CANDIDATE, ground};
use crate::diagnose::probes::{Probe, longest_run, measured_start};
use crate::diagnose::{next, person};

/// How many times the measured start a startup probe must allow.
const ROOM: i64 = 2;

/// Killed while it starts: the probe gives up before the process can answer.
pub(super) fn too_early(facts: &Facts<'_>) -> Option<Diagnosis> {
    let (number, timing) = (facts.number(), facts.timing());
    let patience = timing.initial_delay_seconds + timing.failure_threshold * timing.period_seconds;
    let longest = longest_run(&facts.failing)?;
    let ran_on = longest > patience + timing.timeout_seconds + 60;
    let says_so = listens(facts).iter().any(|(port, _)| Some(*port) == number);
    if !facts.failing.kills || !matches!(facts.met(), Met::Refused(_)) || ran_on || says_so {
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
    let period = timing.period_seconds.max(1);
    let threshold = (ROOM * took + period - 1) / period;
    let workload = &facts.template.workload;
    let change = if facts.failing.probe == Probe::Startup {
        let field = facts.probe.get("failureThreshold");
        let path = facts.probe.path.clone().key("failureThreshold");
        field.map_or_else(
            || add(workload, path.clone(), threshold),
            |f| set(workload, path.clone(), f.value.clone(), threshold),
        )
    } else {
        let (kind, part) = handler(&facts.probe).filter(|_| facts.container.get("startupProbe").is_none())?;
        let path = facts.container.path.clone().key("startupProbe");
        add(workload, path, json!({kind: part.value, "periodSeconds": period, "failureThreshold": threshold}))
    };
    Some(facts.repair(
        cause,
        grounds,
        change,
        format!("allow {} s for the start, twice what it took", threshold * period),
    ))
}
