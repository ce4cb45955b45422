//! A probe that gets an answer, but not the one it waits for, or gets it too late.

use super::port::{passing, port_of};
use super::{Facts, Met};
use crate::case::{Cure, Diagnosis};
use crate::diagnose::changes::{add, set};
use crate::diagnose::confidence::{ONE_CANDIDATE, doubt, ground};
use crate::diagnose::probes::Probe;
use crate::diagnose::rule;
use crate::diagnose::template::Part;

/// 404, while another probe of the container passes on the same port with another path.
pub(super) fn wrong_path(facts: &Facts<'_>) -> Option<Diagnosis> {
    let path = facts.probe.get("httpGet.path").filter(|_| facts.met() == Met::Status(404))?;
    let number = facts.number()?;
    let here = |part: &Part<'_>| port_of(facts, part) == Some(number);
    let others = passing(facts).into_iter().filter(|(_, part)| here(part));
    let mut paths: Vec<(Probe, &str)> =
        others.filter_map(|(probe, part)| Some((probe, part.get("httpGet.path")?.value.as_str()?))).collect();
    paths.retain(|(_, other)| Some(*other) != path.text());
    paths.dedup_by(|a, b| a.1 == b.1);
    let [(probe, right)] = paths.as_slice() else { return None };
    let asked = path.text()?;
    let cause = format!("{} asks for {asked}, and the application serves no such path", facts.subject());
    let mut grounds = facts.grounds("the application answers with 404");
    grounds.push(ground(ONE_CANDIDATE, format!("its {} probe passes on the same port with {right}", probe.word())));
    if facts.failing.probe == Probe::Readiness && right.contains("live") {
        grounds.push(doubt(40, format!("{right} says that it lives, not that it is ready")));
    }
    let change = set(&facts.template.workload, path.path.clone(), asked, *right);
    Some(facts.repair(cause, grounds, change, format!("probe {right}")))
}

/// The probe speaks HTTPS, and the server HTTP.
pub(super) fn wrong_scheme(facts: &Facts<'_>) -> Option<Diagnosis> {
    let scheme = facts.probe.get("httpGet.scheme").filter(|s| s.text() == Some("HTTPS"))?;
    if facts.met() != Met::PlainHttp {
        return None;
    }
    let cause = format!("{} speaks HTTPS, and the server answers in plain HTTP", facts.subject());
    let mut grounds = facts.grounds("the kubelet was answered, in HTTP");
    grounds.push(ground(ONE_CANDIDATE, "of the two schemes it is the other one"));
    let change = set(&facts.template.workload, scheme.path.clone(), "HTTPS", "HTTP");
    Some(facts.repair(cause, grounds, change, "probe with scheme HTTP".to_owned()))
}

/// No answer in time: how long an answer takes was not measured, so a longer timeout is shown and held.
pub(super) fn too_late(facts: &Facts<'_>) -> Option<Diagnosis> {
    if facts.met() != Met::Nothing {
        return None;
    }
    let timeout = facts.timing().timeout_seconds;
    let cause = format!("{} gets no answer within {timeout} s", facts.subject());
    let grounds = facts.grounds("the kubelet connected or waited, and no answer came");
    let path = facts.probe.path.clone().key("timeoutSeconds");
    let workload = &facts.template.workload;
    let change = match facts.probe.get("timeoutSeconds") {
        Some(now) => set(workload, path, now.value.clone(), timeout * 2),
        None => add(workload, path, timeout * 2),
    };
    let hold = "how long an answer takes was not measured: the application may be too slow, or hang";
    let help = format!("wait {} s for an answer", timeout * 2);
    let cure = Cure::Repair { changes: vec![change], help, hold: Some(hold.to_owned()) };
    Some(rule(cause, facts.because(), grounds, cure))
}

/// Why no field is to blame for an answer.
pub(super) fn no_field(met: Met<'_>) -> String {
    match met {
        Met::Status(404) => "which path the application serves there is not known".to_owned(),
        Met::Status(401 | 403) => {
            "the application wants credentials: whether it is to answer a probe without is a decision".to_owned()
        }
        Met::Status(_) | Met::NotServing => {
            "the application itself says that it is not well, or cannot reach what it needs".to_owned()
        }
        _ => "no field of the probe is established as the cause".to_owned(),
    }
}
