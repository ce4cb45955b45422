//! Pods and the rollout they came with in, whether what fails is the template of now, and since it is, out.
//!
//! A template that runs elsewhere, or ran until lately, is not the cause by itself: then going back cures nothing, and
//! a failure that shows only in pods of a former template may be cured already.

use std::sync::LazyLock;

use jiff::SignedDuration;
use regex::Regex;

use crate::case::{Change, Diagnosis, Evidence, Finding, ObjectRef, Operation, Pod, Snapshot, Timestamp};
use crate::detect::{Instance, container_of, of_pods};
use crate::diagnose::confidence::{STATUS_NAMES_IT, confidence, doubt, ground};
use crate::diagnose::history::{self, Healthy};
use crate::diagnose::{next, person};

/// A container that runs for so long has got over its start.
const STEADY: SignedDuration = SignedDuration::from_mins(10);
/// The longest pause between two starts of a container, with some room.
const LONGEST_PAUSE: i64 = 330;
/// A pod that came so much later than its rollout says little about that.
const WITH_THE_ROLLOUT: SignedDuration = SignedDuration::from_hours(1);
/// Failures that one template gives every pod alike, and at once.
const OF_THE_TEMPLATE: [&str; 6] =
    ["crash-loop", "probe-failing", "run-error", "image-pull", "security-context", "config-missing"];
/// Of these the ones that keep a container from running at all.
const BEFORE_THE_START: [&str; 4] = ["run-error", "image-pull", "security-context", "config-missing"];

/// Whether a pod was made from the template that its workload has now; so it is where nothing tells.
pub fn is_current(snapshot: &Snapshot, workload: &ObjectRef, pod: &Pod) -> bool {
    let revision = pod.metadata.labels.get("controller-revision-hash");
    match workload.kind.as_str() {
        "Deployment" => {
            let newest = snapshot.children_of(workload).filter(|set| set.revision().is_some());
            let newest = newest.max_by_key(|set| set.revision());
            newest.zip(pod.metadata.controller()).is_none_or(|(set, owner)| set.metadata.name == owner.name)
        }
        "StatefulSet" => {
            let newest = snapshot.workload(workload).and_then(|w| w.status.update_revision.as_ref());
            newest.zip(revision).is_none_or(|(newest, own)| newest == own)
        }
        "DaemonSet" => {
            let owned = |m: &crate::case::Meta| {
                m.namespace == workload.namespace && m.controller().is_some_and(|o| o.name == workload.name)
            };
            let newest = snapshot.revisions.iter().filter(|r| owned(&r.metadata)).max_by_key(|r| r.revision);
            newest.zip(revision).is_none_or(|(newest, own)| newest.metadata.name.ends_with(own.as_str()))
        }
        "CronJob" => {
            let job = pod.metadata.controller();
            let job = job.and_then(|job| snapshot.children_of(workload).find(|j| j.metadata.name == job.name));
            job.zip(snapshot.workload(workload)).is_none_or(|(job, now)| history::is_made_from(job, now))
        }
        _ => true,
    }
}

/// How programs complain of another one.
static AWAY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)connection (?:refused|reset|timed out)|i/o timeout|ETIMEDOUT|ECONNREFUSED|ECONNRESET|no route to host|network is unreachable|too many (?:connections|clients)|deadline exceeded|server is (?:starting|shutting)|is not (?:yet )?available",
    )
    .expect("a constant pattern")
});

/// A revert, with a doubt where the program complains of another one that does not answer: that may be away by itself,
/// unless what changed is what the complaint speaks of.
pub fn unless_another_is_away(mut back: Diagnosis, complaint: Option<&str>) -> Diagnosis {
    let Some(complaint) = complaint.filter(|line| AWAY.is_match(line)) else { return back };
    let is_told = |change: &Change| match &change.operation {
        Operation::Set { from, .. } | Operation::Remove { from } => {
            let text = from.to_string();
            let mut words = text.split(|c: char| !c.is_alphanumeric() && !"-._".contains(c));
            words.any(|word| word.len() > 3 && complaint.contains(word))
        }
        Operation::Add { .. } => false,
    };
    if !back.changes().is_empty() && !back.changes().iter().any(is_told) {
        back.grounds
            .push(doubt(40, "it complains of another program that does not answer, which may be away by itself"));
        back.confidence = confidence(&back.grounds);
    }
    back
}

/// Pods of the workload by the names that a finding has of them.
fn failing_pods<'s>(snapshot: &'s Snapshot, finding: &Finding) -> Vec<&'s Pod> {
    let named = |pod: &&Pod| finding.pods.iter().any(|id| id.name == pod.metadata.name);
    snapshot.pods_of(&finding.workload).filter(named).collect()
}

/// What fails was made from a former template: Git has said otherwise since, so no line of now is its cause.
pub fn outdated(evidence: &Evidence) -> Option<Diagnosis> {
    let (snapshot, finding) = (&*evidence.snapshot, evidence.incident.first());
    let pods = failing_pods(snapshot, finding);
    if pods.is_empty() || pods.iter().any(|pod| is_current(snapshot, &finding.workload, pod)) {
        return None;
    }
    let name = &pods[0].metadata.name;
    let cause = format!("pod {name} was made from a former template of {}, which has changed since", finding.workload);
    let why =
        "what fails is not made from the template of now, and whether that would fail is not to be seen".to_owned();
    let (kind, id) = (finding.workload.kind.to_lowercase(), &finding.workload);
    let flag = next::flag(id.namespace.as_deref());
    let mut commands = match id.kind.as_str() {
        "CronJob" => vec![format!("kubectl create job {0}-again --from=cronjob/{0}{flag}   # a run of now", id.name)],
        _ => vec![format!("kubectl rollout status {kind} {}{flag}", id.name)],
    };
    if id.kind == "StatefulSet" {
        // It waits for a broken pod before it replaces that.
        commands.push(format!("kubectl delete pod {name}{flag}   # it comes back from the template of now"));
    }
    let told = |item: &crate::case::Item| {
        use crate::case::ItemSource::{ContainerStatus, Event, Status};
        matches!(&item.source, ContainerStatus { .. } | Status(_) | Event { .. })
    };
    let grounds = vec![ground(STATUS_NAMES_IT, format!("{name} belongs to a former revision"))];
    Some(person(cause, vec![evidence.quote_item(told)], grounds, why, commands))
}

/// Says how it is known that the template of now worked, where it is: then the failure did not come with its rollout.
pub fn worked(evidence: &Evidence, workload: &ObjectRef) -> Option<String> {
    let (snapshot, finding) = (&*evidence.snapshot, evidence.incident.first());
    let failure = finding.failure.0;
    if finding.workload != *workload || !(OF_THE_TEMPLATE.contains(&failure) || failure == "job-failed") {
        return None;
    }
    let container = container_of(snapshot, finding)?;
    let failing = |i: &&Instance<'_>| finding.pods.iter().any(|id| id.name == i.pod.metadata.name);
    let of_now = |i: &&Instance<'_>| is_current(snapshot, workload, i.pod);
    let (bad, good): (Vec<&Instance<'_>>, Vec<&Instance<'_>>) =
        container.instances.iter().filter(of_now).partition(failing);
    let steady = good.iter().filter(|i| is_steady(i, snapshot.taken)).count();
    if steady > 0 {
        return Some(format!("it runs from the same template{}", of_pods(steady, container.instances.len())));
    }
    if BEFORE_THE_START.contains(&failure) && rolled_out(snapshot, workload) {
        return Some("the rollout of this template was completed, so that it ran".to_owned());
    }
    let lately = bad.iter().find_map(|i| was_well(i, snapshot.taken))?;
    Some(format!("pod {} was well for {lately} before", bad[0].pod.metadata.name))
}

/// It runs, is ready, and has been for a while.
fn is_steady(instance: &Instance<'_>, taken: Timestamp) -> bool {
    let since = instance.status.state.running.as_ref().and_then(|r| r.started_at);
    instance.status.ready && since.is_some_and(|since| taken.duration_since(since) >= STEADY)
}

/// The Deployment's own word that the newest ReplicaSet got all of its pods ready.
fn rolled_out(snapshot: &Snapshot, workload: &ObjectRef) -> bool {
    let progress = snapshot.workload(workload).and_then(|w| w.condition("Progressing"));
    progress.is_some_and(|c| c.status == "True" && c.reason.as_deref() == Some("NewReplicaSetAvailable"))
}

/// Whether a container that runs was ready since its last start, and is no longer.
pub fn fell_back(instance: &Instance<'_>) -> bool {
    well_since_start(instance).is_some()
}

/// A pod that never was ready has been so since before its containers ran.
fn well_since_start(instance: &Instance<'_>) -> Option<SignedDuration> {
    let started = instance.status.state.running.as_ref()?.started_at?;
    let ready = instance.pod.status.conditions.iter().find(|c| c.r#type == "Ready" && c.status == "False");
    let fell = ready?.last_transition_time?.duration_since(started);
    (fell > SignedDuration::from_secs(30)).then_some(fell)
}

/// For how long a pod was well before this began, where it certainly was: its ends, with the longest pauses between
/// them, do not fill its time; or it was ready since the container's last start.
fn was_well(instance: &Instance<'_>, taken: Timestamp) -> Option<String> {
    let shown = |time: SignedDuration| match time.as_hours() {
        0 => format!("{} min", time.as_mins()),
        1..48 => format!("{} h", time.as_hours()),
        hours => format!("{} days", hours / 24),
    };
    if instance.status.state.running.is_some() {
        return well_since_start(instance).map(shown);
    }
    let (end, start) = (instance.last_end()?, instance.pod.status.start_time?);
    let run = end.finished_at?.duration_since(end.started_at.filter(|at| at.as_second() > 0)?).as_secs().max(0);
    let looping = SignedDuration::from_secs(instance.ends().max(1) * (run + LONGEST_PAUSE) * 2);
    let well = taken.duration_since(start).checked_sub(looping)?;
    (well > WITH_THE_ROLLOUT).then(|| shown(well))
}

/// What stands against a revert: the pods that fail came long after the rollout, so that others may have worked.
pub fn late(evidence: &Evidence, workload: &ObjectRef, healthy: &Healthy) -> Option<crate::case::Ground> {
    let (snapshot, finding) = (&*evidence.snapshot, evidence.incident.first());
    let by_itself = matches!(workload.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet");
    if finding.workload != *workload || !by_itself || !OF_THE_TEMPLATE.contains(&finding.failure.0) {
        return None;
    }
    let first = failing_pods(snapshot, finding).iter().filter_map(|p| p.metadata.creation_timestamp).min()?;
    let after = first.duration_since(healthy.replaced?);
    let text = || format!("its pods came {} h after the rollout: what ran before them is not known", after.as_hours());
    (after > WITH_THE_ROLLOUT).then(|| doubt(40, text()))
}

#[cfg(test)]
mod tests {
    use crate::case::{Cure, Declined, Diagnosis};
    use crate::testing::{BEFORE, NOW, changes, deployment, found, object, pod, replica_set, taken, work};
    use serde_json::{Value, json};

    fn of(image: &str) -> Value {
        json!({"containers": [{"name": "app", "image": image}]})
    }

    fn crashing(ends: i64) -> Value {
        let end = json!({"exitCode": 1, "reason": "Error", "startedAt": "2026-11-23T11:57:50Z", "finishedAt": "2026-11-23T11:58:00Z"});
        json!({"phase": "Running", "startTime": BEFORE, "containerStatuses": [{"name": "app", "restartCount": ends,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": end}}]})
    }

    fn running() -> Value {
        json!({"phase": "Running", "startTime": BEFORE, "containerStatuses":
            [{"name": "app", "ready": true, "state": {"running": {"startedAt": BEFORE}}}]})
    }

    fn no_image(image: &str) -> Value {
        let said = format!("rpc error: failed to pull and unpack image \"{image}\": {image}: not found");
        json!({"phase": "Pending", "startTime": BEFORE, "containerStatuses":
            [{"name": "app", "state": {"waiting": {"reason": "ErrImagePull", "message": said}}}]})
    }

    fn at(mut object: Value, field: &str, value: &str) -> Value {
        object["metadata"][field] = value.into();
        object
    }

    /// Revision 2 of image `a:2` after one of `a:1`, and pods.
    fn rollout(pods: &[Value]) -> Value {
        let sets = [replica_set("web", 1, 0, &of("a:1"), &json!({})), replica_set("web", 2, 0, &of("a:2"), &json!({}))];
        let all = [taken(), deployment("web", &of("a:2"), &json!({}))];
        Value::from(all.into_iter().chain(sets).chain(pods.iter().cloned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_fails_in_the_pods_of_before_is_not_blamed_on_the_template_of_now() {
        let old = pod("web-1", &of("a:1"), &no_image("a:1"));
        let new = pod("web-2", &of("a:2"), &json!({"phase": "Pending", "startTime": NOW}));
        assert!(found(&rollout(&[old.clone(), new])).is_empty());
        let (_, alone) = work("image-pull", &rollout(&[old]), &[]);
        let Ok(Diagnosis { cause, cure: Cure::Person(_), .. }) = alone else { panic!("{alone:?}") };
        assert!(cause.contains("former template"), "{cause}");
    }

    #[test]
    fn a_pod_of_a_statefulset_that_the_rollout_has_not_reached_is_a_persons() {
        let mut set =
            deployment("db", &of("a:2"), &json!({"status": {"currentRevision": "db-r1", "updateRevision": "db-r2"}}));
        set["kind"] = "StatefulSet".into();
        let mut broken = pod("db", &of("a:1"), &no_image("a:1"));
        broken["metadata"]["labels"]["controller-revision-hash"] = "db-r1".into();
        broken["metadata"]["ownerReferences"][0]["kind"] = "StatefulSet".into();
        let (_, diagnosis) = work("image-pull", &json!([taken(), set, broken]), &[]);
        assert!(matches!(diagnosis.unwrap().cure, Cure::Person(Declined::NeedsPerson { .. })));
    }

    #[test]
    fn a_pending_pod_of_before_is_deleted_and_not_given_a_larger_node() {
        let mut set = deployment("db", &of("a:2"), &json!({"status": {"updateRevision": "db-r2"}}));
        set["kind"] = "StatefulSet".into();
        let refused = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.", "lastTransitionTime": BEFORE});
        let mut pending = pod("db", &of("a:2"), &json!({"phase": "Pending", "conditions": [refused]}));
        pending["metadata"]["labels"]["controller-revision-hash"] = "db-r1".into();
        pending["metadata"]["ownerReferences"][0]["kind"] = "StatefulSet".into();
        let (_, diagnosis) = work("unschedulable", &json!([taken(), set, pending]), &[]);
        let Ok(Diagnosis { cause, cure: Cure::Person(Declined::NeedsPerson { next, .. }), .. }) = diagnosis else {
            panic!("{diagnosis:?}")
        };
        assert!(cause.contains("former template"), "{cause}");
        assert!(next.iter().any(|command| command.starts_with("kubectl delete pod db")), "{next:?}");
    }

    #[test]
    fn a_run_of_a_cron_job_from_before_its_last_change_says_nothing_about_that() {
        let template = |image: &str| json!({"spec": of(image)});
        let cron = |image: &str| {
            object(
                "batch/v1",
                "CronJob",
                "report",
                &json!({"spec": {"jobTemplate": {"spec": {"template": template(image)}}}}),
            )
        };
        let owned = |kind: &str, name: &str| json!([{"apiVersion": "batch/v1", "kind": kind, "name": name, "controller": true}]);
        let run = |name: &str, image: &str, status: &Value| {
            object(
                "batch/v1",
                "Job",
                name,
                &json!({"metadata": {"ownerReferences": owned("CronJob", "report")},
                "spec": {"template": template(image)}, "status": status}),
            )
        };
        let done = at(
            run("report-1", "a:0", &json!({"conditions": [{"type": "Complete", "status": "True"}]})),
            "creationTimestamp",
            "2026-11-22T11:00:00Z",
        );
        let mut broken = pod("report-2", &of("a:1"), &no_image("a:1"));
        broken["metadata"]["ownerReferences"] = owned("Job", "report-2");
        let all = |now: &str| json!([taken(), cron(now), done, run("report-2", "a:1", &json!({"active": 1})), broken]);
        assert_eq!(changes(&work("image-pull", &all("a:1"), &[]).1).len(), 1);
        assert!(changes(&work("image-pull", &all("a:2"), &[]).1).is_empty());
    }

    #[test]
    fn a_template_that_runs_in_another_pod_is_not_put_back() {
        let bad = pod("web-2", &of("a:2"), &crashing(9));
        let alone =
            work("crash-loop", &rollout(std::slice::from_ref(&bad)), &[("web-2-x", "app", true, "fatal: boom")]).1;
        assert_eq!(changes(&alone), ["spec.template.spec.containers[name=app].image: \"a:2\" -> \"a:1\""]);
        let good = at(pod("web-2", &of("a:2"), &running()), "name", "web-2-y");
        let log = [("web-2-x", "app", true, "fatal: boom")];
        assert!(changes(&work("crash-loop", &rollout(&[bad, good]), &log).1).is_empty());
    }

    #[test]
    fn a_pod_that_was_well_for_days_did_not_fail_with_its_rollout() {
        let mut bad = pod("web-2", &of("a:2"), &crashing(4));
        bad["status"]["startTime"] = "2026-11-03T11:00:00Z".into();
        let log = [("web-2-x", "app", true, "fatal: boom")];
        assert!(changes(&work("crash-loop", &rollout(&[bad]), &log).1).is_empty());
    }

    #[test]
    fn a_rollout_that_was_completed_had_its_image() {
        let mut all = rollout(&[pod("web-2", &of("a:2"), &no_image("a:2"))]);
        assert!(!changes(&work("image-pull", &all, &[]).1).is_empty());
        all[1]["status"]["conditions"] =
            json!([{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]);
        let diagnosis = work("image-pull", &all, &[]).1;
        assert!(changes(&diagnosis).is_empty());
    }

    #[test]
    fn pods_that_came_hours_after_the_rollout_leave_a_doubt() {
        let mut all = rollout(&[pod("web-2", &of("a:2"), &no_image("a:2"))]);
        for set in [2, 3] {
            all[set]["metadata"]["creationTimestamp"] = "2026-11-20T11:00:00Z".into();
        }
        assert!(work("image-pull", &all, &[]).1.unwrap().confidence < 80);
    }

    #[test]
    fn an_attempt_of_minutes_is_no_healthy_revision_and_the_one_that_serves_is() {
        let attempt =
            at(replica_set("web", 2, 0, &of("a:bad"), &json!({})), "creationTimestamp", "2026-11-23T10:50:00Z");
        let newest = replica_set("web", 3, 0, &of("a:3"), &json!({}));
        let broken = pod("web-3", &of("a:3"), &no_image("a:3"));
        let all = [taken(), deployment("web", &of("a:3"), &json!({})), attempt, newest, broken];
        assert!(changes(&work("image-pull", &Value::from(all.to_vec()), &[]).1).is_empty());
        let mut all = all.to_vec();
        all[2]["metadata"]["creationTimestamp"] = "2026-11-20T10:50:00Z".into();
        all.push(at(replica_set("web", 1, 1, &of("a:1"), &json!({})), "creationTimestamp", "2026-11-01T10:50:00Z"));
        let diagnosis = work("image-pull", &Value::from(all), &[]).1;
        assert_eq!(changes(&diagnosis), ["spec.template.spec.containers[name=app].image: \"a:3\" -> \"a:1\""]);
    }

    #[test]
    fn the_first_revision_of_a_statefulset_is_current_without_having_worked() {
        let revision = |number: i64, image: &str, made: &str| {
            let template = json!({"metadata": {"labels": {"app": "db"}}, "spec": of(image)});
            object(
                "apps/v1",
                "ControllerRevision",
                &format!("db-r{number}"),
                &json!({"metadata": {"creationTimestamp": made,
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": true}]},
                "revision": number, "data": {"spec": {"template": template}}}),
            )
        };
        let mut set =
            deployment("db", &of("a:2"), &json!({"status": {"currentRevision": "db-r1", "updateRevision": "db-r2"}}));
        set["kind"] = "StatefulSet".into();
        let mut broken = pod("db", &of("a:2"), &no_image("a:2"));
        broken["metadata"]["ownerReferences"][0]["kind"] = "StatefulSet".into();
        let all = |first: &str| json!([taken(), set, broken, revision(1, "a:1", first), revision(2, "a:2", BEFORE)]);
        assert!(changes(&work("image-pull", &all("2026-11-23T10:50:00Z"), &[]).1).is_empty());
        assert!(!changes(&work("image-pull", &all("2026-11-20T10:50:00Z"), &[]).1).is_empty());
    }

    #[test]
    fn an_annotation_that_stands_for_a_changed_configmap_is_a_change() {
        let log = [("web-2-x", "app", true, "fatal: boom")];
        let with = |key: &str| {
            let mut all = rollout(&[pod("web-2", &of("a:2"), &crashing(9))]);
            for (at, value) in [(1, "b"), (2, "a"), (3, "b")] {
                all[at]["spec"]["template"]["metadata"]["annotations"] = json!({key: value});
            }
            changes(&work("crash-loop", &all, &log).1)
        };
        assert!(with("checksum/config").is_empty());
        assert_eq!(with("kubectl.kubernetes.io/restartedAt").len(), 1);
    }
}
