#![doc = include_str!("pvc_pending.md")]

use jiff::SignedDuration;

use crate::case::{
    Claim, Cure, Diagnosis, Event, Evidence, FailureId, Finding, Ground, ObjectRef, Pod, Quote, Snapshot, Workload,
};
use crate::detect::{Claims, Look, count, pod_ref};
use crate::diagnose::changes::set;
use crate::diagnose::confidence::{AGREES, ONE_CANDIDATE, REPEATED, STATUS_NAMES_IT, ground};
use crate::diagnose::near::{Near, listed, nearest};
use crate::diagnose::objects::{claim_ref, claims_of};
use crate::diagnose::template::Template;
use crate::diagnose::{next, person, rule};
use crate::failures::Failure;
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// A claim gets no volume, and its pods wait.
pub struct PvcPending;

const ID: FailureId = FailureId("pvc-pending");

/// A provisioner may be slow, and a class may be applied a moment after the claim.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

impl Failure for PvcPending {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("pvc_pending.md")
    }

    fn detect(&self, look: &Look<'_>, _: &Claims) -> Vec<Finding> {
        failing_claims(look).into_iter().map(|(claim, event)| finding(claim, event, look)).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let (snapshot, finding) = (&*evidence.snapshot, evidence.incident.first());
        let mut failing = failing_claims(snapshot).into_iter();
        let (claim, event) = failing.find(|(claim, _)| home(claim, snapshot).0 == finding.workload)?;
        match missing_class(&event.message) {
            Some(class) => Some(class_missing(evidence, claim, class)),
            None => Some(told(evidence, claim, event)),
        }
    }
}

/// Claims that wait for a volume and that say why: the reason of an event, the newest first.
///
/// `WaitForFirstConsumer` and a provisioner at work (`ExternalProvisioning`) are no failures.
pub fn failing_claims(snapshot: &Snapshot) -> Vec<(&Claim, &Event)> {
    let pending = snapshot.claims.iter().filter(|claim| {
        let old = claim.metadata.creation_timestamp.is_none_or(|at| snapshot.taken.duration_since(at) >= GRACE);
        claim.status.phase.as_deref() == Some("Pending") && claim.metadata.deletion_timestamp.is_none() && old
    });
    let told = pending.filter_map(|claim| {
        let failed = |e: &&Event| matches!(e.reason.as_str(), "ProvisioningFailed" | "FailedBinding");
        let id = claim_ref(claim);
        let newest = snapshot.events_about(&id).filter(failed).max_by_key(|e| e.last)?;
        Some((claim, newest))
    });
    told.collect()
}

/// Pods that wait for a claim: those that name it, and those of the StatefulSet that made it.
pub fn waiting_pods<'s>(claim: &Claim, snapshot: &'s Snapshot) -> Vec<&'s Pod> {
    snapshot.pods_in(claim.metadata.namespace.as_deref()).filter(|pod| waits_for(pod, claim, snapshot)).collect()
}

/// Whether this pod waits for a claim of its namespace.
pub fn waits_for(pod: &Pod, claim: &Claim, snapshot: &Snapshot) -> bool {
    let waits = pod.spec.node_name.is_none() && pod.metadata.deletion_timestamp.is_none();
    waits && pod.metadata.namespace == claim.metadata.namespace && uses(pod, claim, snapshot)
}

fn uses(pod: &Pod, claim: &Claim, snapshot: &Snapshot) -> bool {
    let workload = snapshot.workload_of(pod);
    let name = &claim.metadata.name;
    let named = Template::of(snapshot, &workload).is_some_and(|template| claim_names(&template).contains(name));
    let made = snapshot.workload(&workload).filter(|w| w.kind == "StatefulSet").is_some_and(|set| {
        let of_pod = |(c, entry): &(&Claim, String)| {
            c.metadata.name == *name && format!("{entry}-{}", pod.metadata.name) == *name
        };
        claims_of(snapshot, set).iter().any(of_pod)
    });
    named || made
}

/// The claims that a template's volumes name.
pub fn claim_names(template: &Template) -> Vec<String> {
    let volumes = template.spec().map(|spec| spec.items("volumes")).unwrap_or_default();
    let name = |v: &crate::diagnose::template::Part<'_>| {
        v.get("persistentVolumeClaim.claimName").and_then(|c| c.text().map(ToOwned::to_owned))
    };
    volumes.iter().filter_map(name).collect()
}

/// What a person would edit: the claim, or the StatefulSet that made it, and where its class stands there.
fn home(claim: &Claim, snapshot: &Snapshot) -> (ObjectRef, FieldPath) {
    let here = snapshot.workloads_in(claim.metadata.namespace.as_deref());
    let mut sets = here.filter(|w| w.kind == "StatefulSet");
    let maker = |set: &Workload| {
        let made = claims_of(snapshot, set);
        let (_, entry) = made.into_iter().find(|(c, _)| c.metadata.name == claim.metadata.name)?;
        // The entries have `metadata.name`, not `name`: by number.
        let templates = set.spec.volume_claim_templates.value();
        let index = templates.as_array()?.iter().position(|t| t["metadata"]["name"] == entry.as_str())?;
        let path = FieldPath::keys(&["spec", "volumeClaimTemplates"]).index(index);
        Some((set.id(), path.key("spec").key("storageClassName")))
    };
    let own = (claim_ref(claim), FieldPath::keys(&["spec", "storageClassName"]));
    sets.find_map(maker).unwrap_or(own)
}

fn finding(claim: &Claim, event: &Event, snapshot: &Snapshot) -> Finding {
    let pods = waiting_pods(claim, snapshot);
    let waiting = match pods.len() {
        0 => String::new(),
        1 => ", and 1 pod waits for it".to_owned(),
        n => format!(", and {n} pods wait for it"),
    };
    let (workload, _) = home(claim, snapshot);
    let whose =
        if workload.kind == "StatefulSet" { format!(" for claim {}", claim.metadata.name) } else { String::new() };
    let said = match missing_class(&event.message) {
        Some(class) => format!("StorageClass `{class}` does not exist"),
        None => event.message.trim().to_owned(),
    };
    Finding {
        failure: ID,
        workload,
        container: None,
        symptom: format!("gets no volume{whose}{waiting}: {said}"),
        since: claim.metadata.creation_timestamp,
        pods: pods.into_iter().map(pod_ref).collect(),
        shared: None,
    }
}

/// `storageclass.storage.k8s.io "fast-sdd" not found`
fn missing_class(message: &str) -> Option<&str> {
    let (class, rest) = message.split_once("storageclass.storage.k8s.io \"")?.1.split_once('"')?;
    rest.contains("not found").then_some(class)
}

fn said(evidence: &Evidence, event_text: &str) -> Vec<Option<Quote>> {
    vec![evidence.quote(event_text.trim())]
}

fn grounds(evidence: &Evidence, claim: &Claim, text: &str) -> Vec<Ground> {
    let id = claim_ref(claim);
    let events = evidence.snapshot.events_about(&id);
    let times: i64 = events.filter(|e| e.message.contains(text)).map(|e| e.count).sum();
    let mut grounds = vec![ground(STATUS_NAMES_IT, "an event of the claim says why it has no volume")];
    if times >= 3 {
        grounds.push(ground(REPEATED, format!("it said so {times} times")));
    }
    grounds
}

/// The pods that wait, for the reader of the diagnosis.
fn waiting_note(claim: &Claim, snapshot: &Snapshot) -> Option<String> {
    let pods = waiting_pods(claim, snapshot);
    let names: Vec<String> = pods.iter().map(|p| p.metadata.name.clone()).collect();
    let listed = listed(names.iter().map(String::as_str));
    (!pods.is_empty()).then(|| format!("{} waiting for the claim: {listed}", count(pods.len(), "pod")))
}

fn class_missing(evidence: &Evidence, claim: &Claim, class: &str) -> Diagnosis {
    let snapshot = &*evidence.snapshot;
    let (id, path) = home(claim, snapshot);
    let cause =
        format!("`storageClassName` of claim {} is `{class}`, and the cluster has no such class", claim.metadata.name);
    let text = format!("storageclass.storage.k8s.io \"{class}\" not found");
    let mut quotes = said(evidence, &text);
    quotes.push(evidence.quote(&format!("storageClassName={class}")));
    let mut grounds = grounds(evidence, claim, &text);
    let known = snapshot.kinds.contains("StorageClass");
    let classes = snapshot.names_of("StorageClass", None);
    let near = if known { nearest(class, classes.iter().copied()) } else { Near::None };
    let mut diagnosis = if let Near::One(near) = near {
        grounds.push(ground(ONE_CANDIDATE, format!("`{near}` is the only StorageClass with nearly that name")));
        if snapshot
            .claims
            .iter()
            .any(|c| c.spec.storage_class_name.as_ref() == Some(&near) && c.status.phase.as_deref() == Some("Bound"))
        {
            grounds.push(ground(AGREES, "another claim got a volume of that class"));
        }
        let changes = vec![set(&id, path, class, near.as_str())];
        let hold = if id.kind == "StatefulSet" {
            "`volumeClaimTemplates` and the class of a claim cannot be changed in place: somebody must delete the StatefulSet and the pending claim for them to be made again"
        } else {
            "the class of a claim cannot be changed in place: somebody must delete the pending claim, which holds no data yet, for it to be made again"
        };
        let help = format!("ask for StorageClass `{near}`");
        rule(cause, quotes, grounds, Cure::Repair { changes, help, hold: Some(hold.to_owned()) })
    } else {
        let why = if known {
            format!("which class was meant cannot be told: there are {}", listed(classes))
        } else {
            "which class was meant cannot be told: the StorageClasses were not read".to_owned()
        };
        person(cause, quotes, grounds, why, vec![next::list("StorageClass", None), next::describe(&claim_ref(claim))])
    };
    diagnosis.notes.extend(waiting_note(claim, snapshot));
    if !known {
        diagnosis.unchecked.push("which StorageClasses exist: they were not read".to_owned());
    }
    diagnosis
}

/// No class set and no volume that fits, or a provisioner that refuses: sizes, modes and zones are decisions.
fn told(evidence: &Evidence, claim: &Claim, event: &Event) -> Diagnosis {
    let text = event.message.trim();
    let name = &claim.metadata.name;
    let (cause, why) = if event.reason == "FailedBinding" {
        (
            format!("claim {name} names no StorageClass, none is the default, and no free volume fits"),
            "which storage the claim is to use is a decision",
        )
    } else {
        (
            format!("the provisioner refuses to make a volume for claim {name}"),
            "sizes, access modes and zones are decisions, and no field of the claim is named",
        )
    };
    let commands =
        vec![next::describe(&claim_ref(claim)), next::list("StorageClass", None), next::list("PersistentVolume", None)];
    let quotes = said(evidence, text);
    let mut diagnosis = person(cause, quotes, grounds(evidence, claim, text), why.to_owned(), commands);
    diagnosis.notes.extend(waiting_note(claim, &evidence.snapshot));
    diagnosis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{changes, deployment, event, found, object, pod, replica_set, taken, work};
    use serde_json::{Value, json};

    fn claim(name: &str, class: &str) -> Value {
        let rest = json!({"spec": {"storageClassName": class}, "status": {"phase": "Pending"}});
        object("v1", "PersistentVolumeClaim", name, &rest)
    }

    fn refused(name: &str, class: &str) -> Value {
        let text = format!("storageclass.storage.k8s.io \"{class}\" not found");
        event(("PersistentVolumeClaim", name), "", "ProvisioningFailed", &text, 9)
    }

    fn class(name: &str) -> Value {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}})
    }

    #[test]
    fn a_class_one_letter_off_is_shown_and_held_because_claims_cannot_change() {
        let all =
            json!([taken(), claim("data", "fast-sdd"), refused("data", "fast-sdd"), class("fast-ssd"), class("slow")]);
        let (incident, diagnosis) = work(ID.0, &all, &[]);
        assert_eq!(incident.first().workload.to_string(), "PersistentVolumeClaim shop/data");
        assert_eq!(changes(&diagnosis), [r#"spec.storageClassName: "fast-sdd" -> "fast-ssd""#]);
        assert!(matches!(diagnosis.unwrap().cure, Cure::Repair { hold: Some(_), .. }));
    }

    #[test]
    fn two_near_classes_or_no_list_leave_it_to_a_person() {
        let two = json!([
            taken(),
            claim("data", "fast-ssd"),
            refused("data", "fast-ssd"),
            class("fast-ssds"),
            class("fast-ssdd")
        ]);
        assert!(changes(&work(ID.0, &two, &[]).1).is_empty());
        let blind = json!([taken(), claim("data", "fast-sdd"), refused("data", "fast-sdd")]);
        let diagnosis = work(ID.0, &blind, &[]).1.unwrap();
        assert!(diagnosis.unchecked[0].contains("not read"));
    }

    #[test]
    fn a_claim_of_a_statefulset_is_the_statefulsets() {
        let template = json!([{"metadata": {"name": "data"}, "spec": {"storageClassName": "fast-sdd"}}]);
        let set = object(
            "apps/v1",
            "StatefulSet",
            "db",
            &json!({"spec": {"replicas": 1, "volumeClaimTemplates": template, "template": {"spec": {}}}}),
        );
        let all =
            json!([taken(), set, claim("data-db-0", "fast-sdd"), refused("data-db-0", "fast-sdd"), class("fast-ssd")]);
        let (incident, diagnosis) = work(ID.0, &all, &[]);
        assert_eq!(incident.first().workload.to_string(), "StatefulSet shop/db");
        assert_eq!(
            changes(&diagnosis),
            [r#"spec.volumeClaimTemplates[0].spec.storageClassName: "fast-sdd" -> "fast-ssd""#]
        );
    }

    #[test]
    fn a_claim_that_waits_for_its_first_pod_or_is_bound_is_healthy() {
        let waits =
            event(("PersistentVolumeClaim", "data"), "", "WaitForFirstConsumer", "waiting for first consumer", 5);
        assert_eq!(found(&json!([taken(), claim("data", "fast"), waits])), []);
        let mut bound = claim("data", "fast");
        bound["status"]["phase"] = "Bound".into();
        assert_eq!(found(&json!([taken(), bound, refused("data", "fast")])), []);
    }

    #[test]
    fn the_pods_that_wait_are_named_and_have_no_finding_of_their_own() {
        let spec = json!({"containers": [{"name": "app"}], "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]});
        let pending = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found", "lastTransitionTime": crate::testing::BEFORE}]});
        let all = json!([
            taken(),
            claim("data", "fast"),
            refused("data", "fast"),
            deployment("web", &spec, &json!({})),
            replica_set("web", 2, 0, &spec, &json!({})),
            pod("web-2", &spec, &pending)
        ]);
        let findings = found(&all);
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert_eq!(findings[0].pods[0].name, "web-2-x");
    }
}
