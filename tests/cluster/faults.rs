//! What breaks around KubeCure: for real, by ending, pausing and deleting the real thing.

use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::bed::{Bed, Controller, Forge, PATIENCE, wait};
use super::failing::Failing;

/// Fast enough for a test, and slow enough that what passes by itself has passed.
const SCALE: &[&str] = &["--settle-scale", "0.1"];
const ONCE: &[&str] = &["--once", "--settle-scale", "0"];

/// Every note of the journal is a stage of the Line; after the last one comes the publishing itself.
const STAGES: [&str; 8] = ["opened", "policy", "evidence", "diagnosis", "locations", "proposal", "verdict", "request"];

/// Killed right after each stage, and at moments within the publishing; the next process finishes it, once.
pub fn killed_at_any_stage_it_is_finished_by_the_next(bed: &Bed) {
    let names = ["cart", "mail", "stock"];
    let failing = Failing::new(bed, "killed", &names);
    for name in names {
        failing.apply(bed, name);
    }
    wait("all are found", PATIENCE, || {
        bed.scan(failing.namespace(), failing.path())["findings"].as_array().unwrap().len() == names.len()
    });
    let whole = Forge::new();
    let (status, log) = Controller::start(bed, failing.namespace(), &whole, failing.path(), ONCE).end();
    assert!(status.success() && whole.titles("pulls").len() == names.len(), "{log}");

    let moments = [1, 3, 6, 10, 20, 40].map(|ms| ("request", ms));
    for (stage, later) in STAGES.map(|stage| (stage, 0)).into_iter().chain(moments) {
        let forge = Forge::new();
        let mut killed = Controller::start(bed, failing.namespace(), &forge, failing.path(), ONCE);
        killed.wait_to_say(stage, |line| line["note"] == stage);
        sleep(Duration::from_millis(later));
        drop(killed);
        let (status, log) = Controller::start(bed, failing.namespace(), &forge, failing.path(), ONCE).end();
        assert!(status.success(), "after {stage} and {later} ms: {log}");
        assert_eq!(forge.titles("pulls"), whole.titles("pulls"), "after {stage} and {later} ms: {log}");
        assert_eq!(forge.diffs(), whole.diffs(), "after {stage} and {later} ms");
        assert_eq!(forge.branches(), whole.branches(), "after {stage} and {later} ms");
        forge.git(&["fsck", "--strict"]);
    }
}

/// A running controller that has opened one pull request, and a second workload that waits to fail.
fn at_work(bed: &Bed, namespace: &str) -> (Failing, Forge, Controller) {
    let failing = Failing::new(bed, namespace, &["first", "second"]);
    let forge = Forge::new();
    failing.apply(bed, "first");
    let mut controller = Controller::start(bed, namespace, &forge, failing.path(), SCALE);
    controller.wait_for("the first pull request", PATIENCE, || forge.titles("pulls").len() == 1);
    (failing, forge, controller)
}

/// The second fails as well, and one pull request comes of it.
fn goes_on(bed: &Bed, (failing, forge, mut controller): (Failing, Forge, Controller)) {
    failing.apply(bed, "second");
    controller.wait_for("the second pull request", PATIENCE, || forge.titles("pulls").len() > 1);
    // What would be doubled would be by now.
    sleep(Duration::from_secs(3));
    assert!(controller.is_alive(), "{}", controller.text());
    assert_eq!(forge.titles("pulls").len(), 2, "{:?}\n{}", forge.titles("pulls"), controller.text());
    assert_eq!((forge.titles("issues").len(), forge.branches().len()), (0, 2), "{}", controller.text());
    let (took, status) = controller.stop();
    assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}");
}

pub fn an_outage_of_the_api_server_doubles_nothing(bed: &Bed) {
    let mut work = at_work(bed, "outage");
    bed.kit("component", &["stop", "kube-apiserver"]);
    sleep(Duration::from_secs(12));
    assert!(work.2.is_alive(), "{}", work.2.text());
    bed.kit("component", &["start", "kube-apiserver"]);
    answers(bed);
    goes_on(bed, work);
}

/// The store of the cluster stops for seconds, again and again: requests hang, leases are lost, and all come back.
pub fn a_slow_etcd_loses_nothing(bed: &Bed) {
    let work = at_work(bed, "slow");
    for _ in 0..4 {
        bed.kit("component", &["pause", "etcd"]);
        sleep(Duration::from_secs(4));
        bed.kit("component", &["resume", "etcd"]);
        sleep(Duration::from_secs(1));
    }
    answers(bed);
    goes_on(bed, work);
}

fn answers(bed: &Bed) {
    wait("the API server is ready", PATIENCE, || {
        bed.command("kubectl").args(&["get", "--raw", "/readyz"]).output().status.success()
    });
}

/// Deleted before its failure has settled: there is nobody left to cure.
pub fn a_namespace_that_goes_opens_nothing(bed: &Bed) {
    let failing = Failing::new(bed, "going", &["first"]);
    let forge = Forge::new();
    let mut controller = Controller::start(bed, "going", &forge, failing.path(), &["--settle-scale", "1"]);
    failing.apply(bed, "first");
    wait("it is found", PATIENCE, || !bed.scan("going", failing.path())["findings"].as_array().unwrap().is_empty());
    bed.kubectl(&["delete", "namespace", "going", "--timeout=120s"]);
    // Longer than it would have stood.
    sleep(Duration::from_secs(40));
    assert!(controller.is_alive(), "{}", controller.text());
    assert!(!controller.has_said(|line| line["level"] == "ERROR" || line["level"] == "WARN"), "{}", controller.text());
    assert_eq!((forge.titles("pulls"), forge.titles("issues")), (Vec::new(), Vec::new()), "{}", controller.text());
    // The same workloads again, and left to stand: it was not asleep.
    bed.namespace("going");
    failing.apply(bed, "first");
    controller.wait_for("a pull request", PATIENCE, || forge.titles("pulls").len() == 1);
}

/// The kubelet stops: all its pods fail, for one reason that no edit heals.
pub fn a_silent_node_is_one_incident(bed: &Bed) {
    let failing = Failing::new(bed, "silent", &[]);
    for name in ["north", "south", "west"] {
        bed.kubectl(&[
            "-n",
            "silent",
            "create",
            "deployment",
            name,
            "--image=demo.local/busybox:1.35",
            "--",
            "sleep",
            "3600",
        ]);
        bed.kubectl(&["-n", "silent", "rollout", "status", &format!("deployment/{name}"), "--timeout=120s"]);
    }
    let forge = Forge::new();
    let mut controller = Controller::start(bed, "silent", &forge, failing.path(), SCALE);
    let kubelet = Stopped::component(bed, "kubelet");
    let ready = || node_condition(&bed.json(&["get", "node", "node1"]), "Ready");
    wait("the node is not ready", PATIENCE, || ready() != "True");
    controller.wait_for("an issue, or that nothing was to be done", PATIENCE, || forge.titles("issues").len() == 1);
    // Longer than anything needs to settle.
    sleep(Duration::from_secs(20));
    drop(kubelet);
    wait("the node is ready again", PATIENCE, || ready() == "True");
    sleep(Duration::from_secs(5));
    assert!(controller.is_alive(), "{}", controller.text());
    assert_eq!(forge.titles("pulls"), Vec::<String>::new(), "{}", controller.text());
    assert_eq!(forge.titles("issues").len(), 1, "{:?}\n{}", forge.titles("issues"), controller.text());
}

/// A component that is stopped, until this is dropped: a trial that fails must not leave the next ones without it.
struct Stopped<'b>(&'b Bed, &'static str);

impl<'b> Stopped<'b> {
    fn component(bed: &'b Bed, name: &'static str) -> Self {
        bed.kit("component", &["stop", name]);
        Self(bed, name)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.kit("component", &["start", self.1]);
    }
}

fn node_condition(node: &Value, condition: &str) -> String {
    let conditions = node["status"]["conditions"].as_array().unwrap();
    let it = conditions.iter().find(|c| c["type"] == condition).unwrap();
    it["status"].as_str().unwrap().to_owned()
}
