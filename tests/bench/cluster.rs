//! What `kubecure run` costs on a large cluster, and how soon it sees: measured on a real API server.
//!
//! `KUBECURE_TEST_CLUSTER` names the kubeconfig of a cluster of `tests/cluster/up` that nobody else uses meanwhile.
//! `BENCH_PODS` (10000) is how many pods there are, `BENCH_IDLE` (300) for how many seconds nothing happens. With
//! `BENCH_SOAK` it is something else that is done, for so many seconds: workloads that crash come and go.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark is the edge: it reads clocks and prints, and a failed unwrap is a failed benchmark"
)]

#[path = "cluster/crowd.rs"]
mod crowd;
#[path = "cluster/soak.rs"]
mod soak;
#[path = "cluster/watching.rs"]
mod watching;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use kubecure::adapters::cluster::KINDS;
use serde_json::json;

use crowd::{Crowd, Member, client, container, send};
use watching::{BINARY, Watching};

/// Pods that begin to fail, one after the other.
const PROBES: usize = 200;
/// Changes of other pods meanwhile, each second.
const CHANGES: u32 = 50;
/// Nothing settles: what is measured is watching and seeing.
const NEVER: &str = "1000000";

fn main() {
    let Some(kubeconfig) = std::env::var_os("KUBECURE_TEST_CLUSTER").map(PathBuf::from) else {
        println!("skipped: KUBECURE_TEST_CLUSTER is not set (tests/cluster/up brings one up)");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(all(&kubeconfig));
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

async fn all(kubeconfig: &Path) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("repo")).unwrap();
    fs::write(
        folder.path().join("repo/namespace.yaml"),
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: bench-000}\n",
    )
    .unwrap();
    let client = client(kubeconfig).await;
    let soak = number("BENCH_SOAK", 0);
    if soak > 0 {
        return soak::soak(kubeconfig, folder.path(), &client, soak).await;
    }
    let empty = Watching::start(kubeconfig, folder.path(), "empty", NEVER);
    empty.seen(0).await;
    println!("resident memory, empty cluster: {}", empty.memory());
    drop(empty);

    let crowd = Crowd::gather(client, number("BENCH_PODS", 10_000)).await;
    let watching = Watching::start(kubeconfig, folder.path(), "full", NEVER);
    let took = watching.seen(crowd.pods.len()).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!(
        "resident memory, {} pods: {}; all of it seen after {:.1} s",
        crowd.pods.len(),
        watching.memory(),
        took.as_secs_f64()
    );
    scans(kubeconfig, folder.path(), &crowd).await;
    idle(kubeconfig, &watching).await;
    sees(&watching, &crowd).await;
    println!("resident memory, after {PROBES} failures: {}", watching.memory());
    drop(watching);
    crowd.disperse().await;
}

/// A scan against a bare client that reads the same lists, and kubectl.
async fn scans(kubeconfig: &Path, folder: &Path, crowd: &Crowd) {
    let time = |mut command: Command| {
        let began = Instant::now();
        assert!(command.stdout(Stdio::null()).status().unwrap().code().is_some_and(|code| code < 2));
        began.elapsed().as_secs_f64()
    };
    let mut best = [f64::MAX; 3];
    for _ in 0..3 {
        let began = Instant::now();
        let read = stream::iter(KINDS).map(|kind| pages(&crowd.client, kind.path(None)));
        let bytes: usize = read.buffered(4).collect::<Vec<_>>().await.into_iter().sum();
        assert!(bytes > crowd.pods.len() * 1000);
        best[0] = best[0].min(began.elapsed().as_secs_f64());
        let mut scan = Command::new(BINARY);
        scan.args(["scan", "-A", "-o", "json", "--repo"]).arg(folder.join("repo")).arg("--kubeconfig").arg(kubeconfig);
        best[1] = best[1].min(time(scan));
        let kinds: Vec<String> = KINDS.iter().map(|kind| format!("{}.{}", kind.resource, kind.group)).collect();
        let mut kubectl = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/kubectl"));
        kubectl.args(["get", "-A", "-o", "json", &kinds.join(",").replace(".,", ",")]);
        best[2] = best[2].min(time(kubectl));
    }
    let [bare, scan, kubectl] = best;
    println!(
        "scan: {scan:.2} s; a bare client reads the same lists in {bare:.2} s, ratio {:.2} (at most 2); kubectl get in {kubectl:.2} s",
        scan / bare
    );
}

/// The bytes of a list, as pages of 500.
async fn pages(client: &kube::Client, path: String) -> usize {
    let (mut bytes, mut next) = (0, String::new());
    loop {
        let request = http::Request::get(format!("{path}?limit=500{next}")).body(Vec::new()).unwrap();
        let text = client.request_text(request).await.unwrap();
        bytes += text.len();
        // The token stands at the head of a list; nothing else is read.
        let head = &text[..text.len().min(4096)];
        let token = head.split_once("\"continue\":\"").map(|(_, rest)| rest.split('"').next().unwrap_or_default());
        let Some(token) = token.filter(|token| !token.is_empty()) else { return bytes };
        next = format!("&continue={token}");
    }
}

/// Nothing happens: what does watching cost?
async fn idle(kubeconfig: &Path, watching: &Watching) {
    let seconds = number("BENCH_IDLE", 300);
    let audit = kubeconfig.parent().unwrap().join("log/audit.log");
    let (from, cpu) = (fs::metadata(&audit).map_or(0, |meta| meta.len()), watching.cpu());
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    let used = watching.cpu() - cpu;
    let log = fs::read(&audit).unwrap_or_default();
    let new = String::from_utf8_lossy(&log[usize::try_from(from).unwrap().min(log.len())..]).into_owned();
    let ours = new
        .lines()
        .filter(|l| l.contains("\"userAgent\":\"kubecure/") && l.contains("\"stage\":\"ResponseComplete\""))
        .count();
    let per_hour = ours as f64 * 3600.0 / seconds as f64;
    println!(
        "idle for {seconds} s: {:.2} % of a core (at most 1), {per_hour:.0} requests an hour",
        used * 100.0 / seconds as f64
    );
}

/// Pods begin to fail while others change: how long until each is found?
async fn sees(watching: &Watching, crowd: &Crowd) {
    let before = (watching.turns(), watching.cpu(), Instant::now());
    let noise = noise(crowd.client.clone(), crowd.pods.iter().rev().step_by(7).cloned().collect());
    let noise = tokio::spawn(noise);
    let mut written = Vec::new();
    let message = "exec: \"shopd\": executable file not found in $PATH";
    let waiting = json!({"waiting": {"reason": "RunContainerError", "message": message}});
    // One pod of each Deployment, so that each is an incident of its own.
    let step = (crowd.pods.len() / PROBES).max(1);
    for member in crowd.pods.iter().step_by(step).take(PROBES) {
        let app = member.name.rsplitn(3, '-').nth(2).unwrap();
        let status = json!({"status": {"containerStatuses": [container(app, &waiting, false)]}});
        send(&crowd.client, "PATCH", &member.status_path(), &status).await.unwrap();
        written.push((format!("deployment/{}/{app}", member.namespace), Timestamp::now()));
        tokio::time::sleep(Duration::from_millis(73)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    noise.abort();
    let (turns, took) = (watching.turns(), before.2.elapsed().as_secs_f64());
    let (count, seconds) = (turns.0 - before.0.0, turns.1 - before.0.1);
    let used = (watching.cpu() - before.1) * 100.0 / took;
    println!(
        "meanwhile {:.1} looks a second of {:.1} ms each, {used:.1} % of a core",
        count / took,
        seconds * 1e3 / count
    );
    let found = watching.found();
    let mut late: Vec<f64> = Vec::new();
    for (workload, at) in &written {
        let seen = found.iter().find(|(id, _)| id.ends_with(workload.as_str())).map(|(_, seen)| *seen);
        let seen = seen.unwrap_or_else(|| panic!("{workload} was not found"));
        late.push(seen.duration_since(*at).as_secs_f64() * 1e3);
    }
    late.sort_by(f64::total_cmp);
    let at = |percent: usize| late[(late.len() - 1) * percent / 100];
    println!(
        "event to finding, {CHANGES} changes a second: {:.0} ms in the middle, p99 {:.0} ms (at most 100), worst {:.0} ms, of {}",
        at(50),
        at(99),
        at(100),
        late.len()
    );
}

/// Changes pods that stay well.
async fn noise(client: kube::Client, members: Vec<Member>) {
    let mut every = tokio::time::interval(Duration::from_secs(1) / CHANGES);
    for n in 0_u64.. {
        every.tick().await;
        let member = members[usize::try_from(n).unwrap() % members.len()].clone();
        let client = client.clone();
        tokio::spawn(async move {
            let path = member.status_path();
            let annotations = json!({"metadata": {"annotations": {"bench": n.to_string()}}});
            let _ = send(&client, "PATCH", path.trim_end_matches("/status"), &annotations).await;
        });
    }
}
