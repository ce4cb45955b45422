//! Workloads that crash come and go for minutes: what is still there at the end?

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::crowd::send;
use crate::watching::Watching;

/// Workloads at the same time, and how often one goes and another comes.
const AT_ONCE: usize = 10;
const EVERY: Duration = Duration::from_secs(5);
const NAMESPACE: &str = "bench-soak";

/// Prints memory and series every minute; at the end nothing queues, and nothing of what is gone is left.
pub async fn soak(kubeconfig: &Path, folder: &Path, client: &kube::Client, seconds: usize) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    send(client, "POST", "/api/v1/namespaces", &namespace).await.unwrap();
    let watching = Watching::start(kubeconfig, folder, "soak", "0.05");
    watching.seen(0).await;
    let (began, mut alive, mut came) = (Instant::now(), VecDeque::new(), 0_usize);
    let mut told = 0;
    println!("minute  came  resident MB  series  incidents worked");
    while began.elapsed() < Duration::from_secs(seconds as u64) {
        let name = format!("crash-{came}");
        come(client, &name).await;
        alive.push_back(name);
        came += 1;
        if alive.len() > AT_ONCE {
            go(client, &alive.pop_front().unwrap()).await;
        }
        tokio::time::sleep(EVERY).await;
        let minute = began.elapsed().as_secs() / 60;
        if minute > told {
            told = minute;
            tell(&watching, minute, came);
        }
    }
    for name in alive {
        go(client, &name).await;
    }
    let mut standing = f64::MAX;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        standing = ["settling", "queued", "working"]
            .iter()
            .map(|state| watching.metric(&format!("kubecure_incidents{{state=\"{state}\"}}")))
            .sum();
        if standing == 0.0 {
            break;
        }
    }
    tell(&watching, told + 1, came);
    println!("incidents that settle, queue or are worked when all are gone: {standing:.0}");
    let _ = send(client, "DELETE", &format!("/api/v1/namespaces/{NAMESPACE}"), &json!({})).await;
}

fn tell(watching: &Watching, minute: u64, came: usize) {
    let series = watching.page("/metrics").lines().filter(|line| line.starts_with("kubecure_")).count();
    let worked = watching.metric("kubecure_incidents_worked_total");
    println!("{minute:>6}  {came:>4}  {:>11.1}  {series:>6}  {worked:>16.0}", watching.megabytes("VmRSS:"));
}

async fn come(client: &kube::Client, name: &str) {
    let labels = json!({"app": name});
    let container = json!({"name": "app", "image": "demo.local/busybox:1.35",
        "command": ["sh", "-c", "echo cannot open the ledger; exit 3"]});
    let pods = json!({"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}});
    let spec = json!({"selector": {"matchLabels": labels}, "template": pods});
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec});
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments");
    send(client, "POST", &path, &object).await.unwrap();
}

async fn go(client: &kube::Client, name: &str) {
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}");
    let _ = send(client, "DELETE", &path, &json!({"propagationPolicy": "Background"})).await;
}
