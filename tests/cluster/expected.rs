//! Every failure of `cases/` and of the example shop, and what a person expects of each: the same of a recording and of
//! the living cluster.

use serde_json::Value;

/// What a case must come to.
pub enum End {
    /// Pull requests' worth: lines of the diff, as `- old` and `+ new` without their indentation.
    Cure(&'static [&'static str]),
    /// A change that a person decides.
    Held(&'static [&'static str]),
    /// No change, for this reason.
    Declined(&'static str),
}
use End::{Cure, Declined, Held};

pub struct Expected {
    pub case: &'static str,
    pub failure: &'static str,
    pub workload: &'static str,
    pub end: End,
}

const fn case(case: &'static str, failure: &'static str, workload: &'static str, end: End) -> Expected {
    Expected { case, failure, workload, end }
}

pub const CAPTURES: &[Expected] = &[
    case("command-not-found", "run-error", "Deployment demo/command-not-found", Declined("needs-person")),
    case("command-typo", "run-error", "Deployment demo/command-typo", Cure(&["- - shh", "+ - sh"])),
    case("crashloop", "crash-loop", "Deployment demo/crashloop", Declined("needs-person")),
    case("cronjob-fails", "job-failed", "CronJob demo/cronjob-fails", Declined("needs-person")),
    case("daemonset-crash", "crash-loop", "DaemonSet demo/daemonset-crash", Declined("needs-person")),
    case(
        "env-missing",
        "crash-loop",
        "Deployment demo/env-missing",
        Cure(&["- - name: DATABASE_URI", "+ - name: DATABASE_URL"]),
    ),
    case(
        "evicted-disk",
        "evicted",
        "Deployment demo/evicted-disk",
        Cure(&["- ephemeral-storage: 16Mi", "+ ephemeral-storage: 32Mi"]),
    ),
    case(
        "hpa-target",
        "hpa-failing",
        "HorizontalPodAutoscaler demo/hpa-target",
        Cure(&["- name: hpa-targets", "+ name: hpa-target"]),
    ),
    case(
        "image-invalid-name",
        "image-pull",
        "Deployment demo/image-invalid-name",
        Cure(&["- image: Shop/API:v1", "+ image: shop/api:v1"]),
    ),
    case("image-never-pull", "image-pull", "Deployment demo/image-never-pull", Declined("needs-person")),
    case(
        "image-typo",
        "image-pull",
        "Deployment demo/image-typo",
        Cure(&["- image: localhost:5000/shop/web:v1.43", "+ image: localhost:5000/shop/web:v1.4.2"]),
    ),
    case("imagepull-notfound", "image-pull", "Deployment demo/imagepull-notfound", Declined("needs-person")),
    case("imagepull-unauthorized", "image-pull", "Deployment demo/imagepull-unauthorized", Declined("needs-person")),
    case("imagepull-unreachable", "image-pull", "Deployment demo/imagepull-unreachable", Declined("needs-person")),
    case(
        "ingress-backend",
        "ingress-backend",
        "Ingress demo/ingress-backend",
        Cure(&["- name: ingress-backends", "+ name: ingress-backend"]),
    ),
    case("init-fails", "crash-loop", "Deployment demo/init-fails", Declined("needs-person")),
    case("job-backoff", "job-failed", "Job demo/job-backoff", Declined("needs-person")),
    case("job-deadline", "job-failed", "Job demo/job-deadline", Declined("needs-person")),
    case(
        "limitrange-max",
        "replica-create-failed",
        "Deployment demo-limits/limitrange-max",
        Cure(&["- memory: 256Mi", "+ memory: 128Mi"]),
    ),
    case("liveness-fails", "probe-failing", "Deployment demo/liveness-fails", Declined("needs-person")),
    case("log-with-instruction", "crash-loop", "Deployment demo/log-with-instruction", Declined("injection-suspected")),
    case("log-with-secret", "crash-loop", "Deployment demo/log-with-secret", Declined("undiagnosed")),
    case("memory-cut", "oom-killed", "Deployment demo/memory-cut", Cure(&["- memory: 16Mi", "+ memory: 160Mi"])),
    case("missing-configmap-env", "config-missing", "Deployment demo/missing-configmap-env", Declined("needs-person")),
    case(
        "missing-configmap-volume",
        "config-missing",
        "Deployment demo/missing-configmap-volume",
        Declined("needs-person"),
    ),
    case("missing-secret-key", "config-missing", "Deployment demo/missing-secret-key", Declined("needs-person")),
    case(
        "missing-serviceaccount",
        "replica-create-failed",
        "Deployment demo/missing-serviceaccount",
        Declined("needs-person"),
    ),
    case(
        "oomkilled",
        "oom-killed",
        "Deployment demo/oomkilled",
        Cure(&["- memory: 32Mi", "- memory: 32Mi", "+ memory: 64Mi", "+ memory: 64Mi"]),
    ),
    case(
        "oomkilled-child",
        "oom-killed",
        "Deployment demo/oomkilled-child",
        Cure(&["- memory: 32Mi", "+ memory: 64Mi"]),
    ),
    case("pod-security", "replica-create-failed", "Deployment demo-restricted/pod-security", Held(&[])),
    case("probe-too-early", "probe-failing", "Deployment demo/probe-too-early", Declined("needs-person")),
    case(
        "probe-wrong-port",
        "probe-failing",
        "Deployment demo/probe-wrong-port",
        Cure(&["- port: 8081", "+ port: 8080"]),
    ),
    case("pvc-storageclass", "pvc-pending", "PersistentVolumeClaim demo/pvc-storageclass", Declined("needs-person")),
    case("quota-exceeded", "quota-exceeded", "Deployment demo-quota/quota-exceeded", Declined("needs-person")),
    case("read-only-root", "crash-loop", "Deployment demo/read-only-root", Declined("needs-person")),
    case("readiness-fails", "probe-failing", "Deployment demo/readiness-fails", Declined("needs-person")),
    case("registry-down-a", "image-pull", "Deployment demo/registry-down-a", Declined("needs-person")),
    case("registry-down-b", "image-pull", "Deployment demo/registry-down-b", Declined("needs-person")),
    case("run-as-nonroot", "security-context", "Deployment demo/run-as-nonroot", Declined("needs-person")),
    case("segfault", "crash-loop", "Deployment demo/segfault", Declined("needs-person")),
    case(
        "service-named-port",
        "service-no-endpoints",
        "Service demo/service-named-port",
        Held(&["- targetPort: web", "+ targetPort: http"]),
    ),
    case(
        "service-selector",
        "service-no-endpoints",
        "Service demo/service-selector",
        Cure(&["- app: service-selektor", "+ app: service-selector"]),
    ),
    case("sidecar-crash", "crash-loop", "Deployment demo/sidecar-crash", Declined("needs-person")),
    case("startup-fails", "probe-failing", "Deployment demo/startup-fails", Declined("needs-person")),
    case(
        "statefulset-oom",
        "oom-killed",
        "StatefulSet demo/statefulset-oom",
        Cure(&["- memory: 48Mi", "+ memory: 96Mi"]),
    ),
    case("unschedulable-cpu", "unschedulable", "Deployment demo/unschedulable-cpu", Declined("needs-person")),
    case("unschedulable-pvc", "unschedulable", "Deployment demo/unschedulable-pvc", Declined("needs-person")),
    case("unschedulable-selector", "unschedulable", "Deployment demo/unschedulable-selector", Declined("needs-person")),
];

pub const SHOP: &[Expected] = &[
    case(
        "shop",
        "oom-killed",
        "Deployment shop/web",
        Cure(&[
            "- memory: \"64Mi\"",
            "- memory: \"64Mi\" # raised twice already, see the March review",
            "+ memory: \"128Mi\"",
            "+ memory: \"128Mi\" # raised twice already, see the March review",
        ]),
    ),
    case(
        "shop",
        "image-pull",
        "Deployment shop/checkout",
        Cure(&[
            "- image: registry.shop.example/shop/checkout:v2.1.O # keep in step with payments",
            "+ image: registry.shop.example/shop/checkout:v2.1.0 # keep in step with payments",
        ]),
    ),
    case(
        "shop",
        "config-missing",
        "Deployment shop/payments",
        Cure(&[
            "- key: database_url   # in apps/payments/config.yaml",
            "+ key: database-url   # in apps/payments/config.yaml",
        ]),
    ),
    case(
        "shop",
        "probe-failing",
        "Deployment shop/catalog",
        Cure(&[
            "- readinessProbe: {httpGet: {path: /readyz, port: 8081}, periodSeconds: 5}",
            "+ readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 5}",
        ]),
    ),
    case("shop", "unschedulable", "StatefulSet shop/search", Cure(&["- cpu: \"20\"", "+ cpu: \"200m\""])),
    case(
        "shop",
        "service-no-endpoints",
        "Service shop/recommendations",
        Cure(&["- app: recomendations", "+ app: recommendations"]),
    ),
    case("shop", "crash-loop", "Deployment shop/orders", Cure(&["- - name: QUEUE_URI", "+ - name: QUEUE_URL"])),
    case("shop", "job-failed", "CronJob shop/report", Declined("needs-person")),
    case("shop", "crash-loop", "Deployment shop/mailer", Declined("injection-suspected")),
    case("shop", "image-pull", "Deployment shop/ads", Declined("needs-person")),
];

pub fn name(object: &Value) -> String {
    format!(
        "{} {}/{}",
        object["kind"].as_str().unwrap(),
        object["namespace"].as_str().unwrap(),
        object["name"].as_str().unwrap()
    )
}

/// The lines of a diff that were taken away and added, without indentation, sorted as the table has them.
fn changed(diff: &str) -> Vec<String> {
    let marked = diff
        .lines()
        .filter(|l| (l.starts_with('-') && !l.starts_with("---")) || (l.starts_with('+') && !l.starts_with("+++")));
    let mut lines: Vec<String> = marked.map(|l| format!("{} {}", &l[..1], l[1..].trim_start())).collect();
    lines.sort_by_key(|l| l.starts_with('+'));
    lines
}

/// Whether a scan's answer for one workload is the expected one; else what it is.
pub fn check(found: &Value, expected: &Expected) -> Result<(), String> {
    // Several workloads behind one cause are one answer.
    let is_of = |value: &Value| {
        let all = value["workloads"].as_array().into_iter().flatten().chain([&value["workload"]]);
        all.into_iter().any(|workload| name(workload) == expected.workload)
    };
    let is_it = |value: &&Value| value["failure"] == expected.failure && is_of(value);
    let of = |list: &str| found[list].as_array().unwrap().iter().find(is_it);
    of("findings")
        .ok_or_else(|| format!("no finding {} of {} in {}", expected.failure, expected.workload, found["findings"]))?;
    let (wanted, verdict) = match &expected.end {
        Cure(lines) => (lines, "allow"),
        Held(lines) => (lines, "hold"),
        Declined(reason) => {
            let declined = of("declined").ok_or_else(|| format!("not declined: {}", found["proposals"]))?;
            let proposed = of("proposals").is_some();
            return (declined["reason"] == *reason && !proposed).then_some(()).ok_or_else(|| declined.to_string());
        }
    };
    let proposal = of("proposals").ok_or_else(|| format!("no proposal, but {}", found["declined"]))?;
    let lines = changed(proposal["diff"].as_str().unwrap());
    let right = proposal["verdict"] == verdict && (wanted.is_empty() || lines == *wanted);
    right.then_some(()).ok_or_else(|| format!("{} {lines:#?} {}", proposal["verdict"], proposal["reasons"]))
}
