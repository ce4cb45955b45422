use super::*;
use crate::testing::{BEFORE, NOW, changes, deployment, event, found, object, pod, replica_set, taken, work};
use serde_json::json;

fn spec(ports: &Value, probes: &Value) -> Value {
    let mut app = json!({"name": "app", "ports": ports});
    app.as_object_mut().unwrap().extend(probes.as_object().unwrap().clone());
    json!({"containers": [app]})
}

fn running(ready: bool) -> Value {
    json!({"phase": "Running", "startTime": BEFORE, "containerStatuses":
        [{"name": "app", "ready": ready, "started": true, "state": {"running": {"startedAt": BEFORE}}}]})
}

fn killed(code: i64) -> Value {
    let end = json!({"exitCode": code, "reason": "Error", "startedAt": "2026-11-23T11:59:50Z", "finishedAt": NOW});
    json!({"phase": "Running", "startTime": BEFORE, "containerStatuses":
        [{"name": "app", "ready": false, "restartCount": 6, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": end}}]})
}

fn cluster(spec: &Value, status: &Value, said: &str, more: &[Value]) -> Value {
    let mut all = vec![
        taken(),
        deployment("web", spec, &json!({})),
        replica_set("web", 2, 0, spec, &json!({})),
        pod("web-2", spec, status),
        event(("Pod", "web-2-x"), "app", "Unhealthy", said, 30),
    ];
    all.extend_from_slice(more);
    Value::from(all)
}

fn http(port: &Value, path: &str) -> Value {
    json!({"httpGet": {"path": path, "port": port, "scheme": "HTTP"}, "periodSeconds": 5, "timeoutSeconds": 1, "failureThreshold": 3})
}

fn one_port() -> Value {
    json!([{"name": "http", "containerPort": 8080}])
}

const REFUSED: &str =
    "Readiness probe failed: Get \"http://10.0.0.1:8081/ready\": dial tcp 10.0.0.1:8081: connect: connection refused";
const LIVENESS: &str =
    "Liveness probe failed: Get \"http://10.0.0.1:8080/\": dial tcp 10.0.0.1:8080: connect: connection refused";

#[test]
fn refused_at_an_undeclared_port_the_only_declared_one_is_probed() {
    let spec = spec(&one_port(), &json!({"readinessProbe": http(&8081.into(), "/ready")}));
    let log = ("web-2-x", "app", false, "level=info msg=\"listening\" port=8080");
    let (incident, diagnosis) = work(ID.0, &cluster(&spec, &running(false), REFUSED, &[]), &[log]);
    assert!(incident.first().symptom.starts_with("never passes its readiness probe"));
    assert_eq!(
        changes(&diagnosis),
        ["spec.template.spec.containers[name=app].readinessProbe.httpGet.port: 8081 -> 8080"]
    );
    assert!(diagnosis.unwrap().confidence >= 80);
}

#[test]
fn of_two_declared_ports_neither_is_chosen_and_a_log_that_contradicts_is_a_doubt() {
    let probes = json!({"readinessProbe": http(&8081.into(), "/ready")});
    let two = spec(&json!([{"name": "a", "containerPort": 80}, {"name": "b", "containerPort": 81}]), &probes);
    assert!(changes(&work(ID.0, &cluster(&two, &running(false), REFUSED, &[]), &[]).1).is_empty());
    let log = ("web-2-x", "app", false, "listening on :9090");
    let (_, other) = work(ID.0, &cluster(&spec(&one_port(), &probes), &running(false), REFUSED, &[]), &[log]);
    assert!(other.unwrap().confidence < 80);
}

#[test]
fn a_port_name_one_letter_off_is_corrected() {
    let spec =
        spec(&json!([{"name": "admin", "containerPort": 81}]), &json!({"readinessProbe": http(&"admni".into(), "/")}));
    let said = "Readiness probe errored and resulted in unknown state: strconv.Atoi: parsing \"admni\": invalid syntax";
    let (_, diagnosis) = work(ID.0, &cluster(&spec, &running(false), said, &[]), &[]);
    assert_eq!(
        changes(&diagnosis),
        [r#"spec.template.spec.containers[name=app].readinessProbe.httpGet.port: "admni" -> "admin""#]
    );
}

#[test]
fn a_path_that_is_not_there_becomes_the_one_that_another_probe_passes_with() {
    let said = "Readiness probe failed: HTTP probe failed with statuscode: 404";
    let probes =
        json!({"readinessProbe": http(&8080.into(), "/raedy"), "livenessProbe": http(&"http".into(), "/healthz")});
    let (_, diagnosis) = work(ID.0, &cluster(&spec(&one_port(), &probes), &running(false), said, &[]), &[]);
    assert_eq!(
        changes(&diagnosis),
        [r#"spec.template.spec.containers[name=app].readinessProbe.httpGet.path: "/raedy" -> "/healthz""#]
    );
    let alone = json!({"readinessProbe": http(&8080.into(), "/raedy")});
    assert!(changes(&work(ID.0, &cluster(&spec(&one_port(), &alone), &running(false), said, &[]), &[]).1).is_empty());
}

#[test]
fn the_scheme_is_the_servers_and_a_refusal_of_the_application_is_a_persons() {
    let mut probe = http(&8080.into(), "/");
    probe["httpGet"]["scheme"] = "HTTPS".into();
    let spec = spec(&one_port(), &json!({"readinessProbe": probe}));
    let said =
        "Readiness probe failed: Get \"https://10.0.0.1:8080/\": http: server gave HTTP response to HTTPS client";
    let (_, diagnosis) = work(ID.0, &cluster(&spec, &running(false), said, &[]), &[]);
    assert_eq!(
        changes(&diagnosis),
        [r#"spec.template.spec.containers[name=app].readinessProbe.httpGet.scheme: "HTTPS" -> "HTTP""#]
    );
    let said = "Readiness probe failed: HTTP probe failed with statuscode: 503";
    assert!(changes(&work(ID.0, &cluster(&spec, &running(false), said, &[]), &[]).1).is_empty());
}

#[test]
fn a_probe_that_the_last_rollout_changed_goes_back_and_a_new_one_stays() {
    let now = spec(&one_port(), &json!({"readinessProbe": http(&8080.into(), "/v2/ready")}));
    let before = spec(&one_port(), &json!({"readinessProbe": http(&8080.into(), "/ready")}));
    let said = "Readiness probe failed: HTTP probe failed with statuscode: 503";
    let healthy = replica_set("web", 1, 1, &before, &json!({}));
    let (_, diagnosis) = work(ID.0, &cluster(&now, &running(false), said, &[healthy]), &[]);
    assert_eq!(
        changes(&diagnosis),
        [r#"spec.template.spec.containers[name=app].readinessProbe.httpGet.path: "/v2/ready" -> "/ready""#]
    );
    let without = replica_set("web", 1, 1, &spec(&one_port(), &json!({})), &json!({}));
    assert!(changes(&work(ID.0, &cluster(&now, &running(false), said, &[without]), &[]).1).is_empty());
}

fn kills() -> Value {
    event(("Pod", "web-2-x"), "app", "Killing", "Container app failed liveness probe, will be restarted", 6)
}

#[test]
fn a_start_that_was_never_measured_is_not_guessed() {
    let spec = spec(&one_port(), &json!({"livenessProbe": http(&8080.into(), "/")}));
    let all = cluster(&spec, &killed(137), LIVENESS, &[kills()]);
    let (incident, diagnosis) = work(ID.0, &all, &[]);
    assert!(incident.first().symptom.starts_with("is killed by its liveness probe, 6 times"));
    let Ok(Diagnosis { cure: Cure::Person(declined), .. }) = diagnosis else { panic!("{diagnosis:?}") };
    assert!(declined.to_string().contains("no run lived long enough"), "{declined}");
}

#[test]
fn a_start_that_another_pod_measured_is_given_twice_that() {
    let probes = json!({"livenessProbe": http(&8080.into(), "/"), "readinessProbe": http(&8080.into(), "/")});
    let spec = spec(&one_port(), &probes);
    let mut other = pod("web-2", &spec, &running(true));
    other["metadata"]["name"] = "web-2-y".into();
    other["status"]["conditions"] =
        json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-23T11:00:40Z"}]);
    let (_, diagnosis) = work(ID.0, &cluster(&spec, &killed(137), LIVENESS, &[kills(), other]), &[]);
    let shown = changes(&diagnosis);
    assert_eq!(shown, ["spec.template.spec.containers[name=app].livenessProbe.initialDelaySeconds += 80"]);
    assert!(diagnosis.unwrap().confidence >= 80);
}

#[test]
fn a_crash_a_single_warning_and_a_ready_container_are_not_this_failure() {
    let spec = spec(
        &one_port(),
        &json!({"livenessProbe": http(&8080.into(), "/"), "readinessProbe": http(&8081.into(), "/")}),
    );
    let is_found = |all: &Value| found(all).iter().any(|f| f.failure == ID);
    assert!(!is_found(&cluster(&spec, &killed(1), LIVENESS, &[])));
    assert!(!is_found(&cluster(&spec, &running(true), REFUSED, &[])));
    let mut once = cluster(&spec, &running(false), REFUSED, &[]);
    once[4]["count"] = 1.into();
    assert!(!is_found(&once));
    let mut young = cluster(&spec, &running(false), REFUSED, &[]);
    young[3]["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = "2026-11-23T11:59:50Z".into();
    assert!(!is_found(&young));
}

#[test]
fn a_late_answer_shows_a_longer_timeout_and_holds_it() {
    let said = "Readiness probe failed: Get \"http://10.0.0.1:8080/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    let spec = spec(&one_port(), &json!({"readinessProbe": http(&8080.into(), "/")}));
    let service =
        object("v1", "Service", "web", &json!({"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}));
    let (_, diagnosis) = work(ID.0, &cluster(&spec, &running(false), said, &[service]), &[]);
    assert!(matches!(diagnosis.unwrap().cure, Cure::Repair { hold: Some(_), .. }));
}

#[test]
fn a_port_that_a_container_beside_it_may_serve_is_a_doubt() {
    let mut all = spec(&one_port(), &json!({"readinessProbe": http(&4180.into(), "/ping")}));
    all["containers"].as_array_mut().unwrap().push(json!({"name": "auth"}));
    let (_, diagnosis) = work(ID.0, &cluster(&all, &running(false), REFUSED, &[]), &[]);
    assert!(diagnosis.unwrap().confidence < 80);
}

#[test]
fn a_probe_that_passed_before_is_no_longer_passed_and_its_port_is_right() {
    let spec = spec(&one_port(), &json!({"readinessProbe": http(&8081.into(), "/ready")}));
    let mut status = running(false);
    status["conditions"] = json!([{"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-23T11:40:00Z"}]);
    let (incident, diagnosis) = work(ID.0, &cluster(&spec, &status, REFUSED, &[]), &[]);
    assert!(incident.first().symptom.starts_with("no longer passes its readiness probe"));
    assert!(diagnosis.unwrap().confidence < 80);
}

#[test]
fn patience_that_the_last_rollout_gave_is_not_taken_back() {
    let said = "Readiness probe failed: Get \"http://10.0.0.1:8080/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    let with = |seconds: i64| {
        let mut probe = http(&8080.into(), "/");
        probe["timeoutSeconds"] = seconds.into();
        spec(&one_port(), &json!({"readinessProbe": probe}))
    };
    let healthy = replica_set("web", 1, 1, &with(1), &json!({}));
    let (_, diagnosis) = work(ID.0, &cluster(&with(5), &running(false), said, &[healthy]), &[]);
    assert_eq!(changes(&diagnosis), ["spec.template.spec.containers[name=app].readinessProbe.timeoutSeconds: 5 -> 10"]);
}

#[test]
fn an_application_that_says_it_is_not_well_leaves_a_doubt_and_so_does_a_path_that_says_it_lives() {
    let now = spec(&one_port(), &json!({"readinessProbe": http(&8080.into(), "/v2/ready")}));
    let before = spec(&one_port(), &json!({"readinessProbe": http(&8080.into(), "/ready")}));
    let healthy = replica_set("web", 1, 1, &before, &json!({}));
    let said = "Readiness probe failed: HTTP probe failed with statuscode: 503";
    let (_, diagnosis) = work(ID.0, &cluster(&now, &running(false), said, &[healthy]), &[]);
    assert!(diagnosis.unwrap().confidence < 80);
    let said = "Readiness probe failed: HTTP probe failed with statuscode: 404";
    let probes = json!({"readinessProbe": http(&8080.into(), "/ready"), "livenessProbe": http(&8080.into(), "/livez")});
    let (_, diagnosis) = work(ID.0, &cluster(&spec(&one_port(), &probes), &running(false), said, &[]), &[]);
    assert!(diagnosis.unwrap().confidence < 80);
}
