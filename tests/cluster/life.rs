//! What a user does with KubeCure: deploy it, have a shop cured, look at every failure there is.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bed::{Bed, Controller, Forge, PATIENCE, root, wait};
use super::expected::{CAPTURES, Expected, SHOP, check, name};

/// `deploy/` as it lies there, from an image in the cluster's own containerd.
pub fn what_deploy_holds_works_in_the_cluster(bed: &Bed) {
    bed.kubectl(&["delete", "-k", "deploy", "--ignore-not-found", "--timeout=120s"]);
    let proof = bed.kit("prove-in-cluster", &[env!("CARGO_BIN_EXE_kubecure")]);
    assert!(proof.ends_with("PASS\n"), "{proof}");
}

/// The example shop breaks as in the demo; the same pull requests come of it, and merged they heal it.
pub fn the_shop_is_cured(bed: &Bed) {
    let (forge, repo) = (Forge::new(), root().join("example-gitops-repo"));
    bed.kit("apply-shop", &[]);
    let demo = demo();
    let scale = ["--settle-scale", "0.5"];
    let mut controller = Controller::start(bed, "shop", &forge, &repo, &scale);
    controller.wait_for("the pull requests and issues of the demo", PATIENCE * 2, || {
        forge.titles("pulls").len() >= demo.titles("pulls").len()
            && forge.titles("issues").len() >= demo.titles("issues").len()
    });
    let (took, status) = controller.stop();
    assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}");
    assert_eq!(forge.diffs(), demo.diffs());
    assert_eq!(forge.titles("pulls"), demo.titles("pulls"));
    assert_eq!(forge.branches().len(), forge.titles("pulls").len());

    wait_until_right(|| {
        let found = bed.scan("shop", &repo);
        SHOP.iter().filter_map(|expected| wrong(&found, expected)).collect()
    });

    // What was done is known from the forge alone.
    let before = (forge.titles("pulls"), forge.titles("issues"), forge.diffs());
    let again = Controller::start(bed, "shop", &forge, &repo, &["--once", "--settle-scale", "0"]);
    let (status, log) = again.end();
    assert!(status.success(), "{log}");
    assert_eq!((forge.titles("pulls"), forge.titles("issues"), forge.diffs()), before);

    let merged = forge.merge_all();
    bed.kubectl(&["apply", "-R", "-f", &merged.path().join("apps").display().to_string()]);
    // A StatefulSet waits for its broken pod; the pull request says what a person does then.
    let by_hand = "kubectl delete pod search-0 -n shop";
    assert!(forge.pages("pulls").iter().any(|page| page.contains(by_hand)));
    bed.kubectl(&["delete", "pod", "search-0", "-n", "shop"]);
    let unhealed = ["CronJob shop/report", "Deployment shop/ads", "Deployment shop/fraud", "Deployment shop/mailer"];
    wait("only what no edit heals still fails in the shop", PATIENCE, || {
        failing(&bed.scan("shop", merged.path())).iter().all(|workload| unhealed.contains(&workload.as_str()))
    });
    for workload in ["deployment/web", "deployment/checkout", "statefulset/search", "deployment/catalog"] {
        bed.kubectl(&["-n", "shop", "rollout", "status", workload, "--timeout=120s"]);
    }
}

/// The forge as the demo leaves it, from the recording.
fn demo() -> Forge {
    let forge = Forge::new();
    let mut cure = std::process::Command::new(env!("CARGO_BIN_EXE_kubecure"));
    cure.args(["cure", "--all", "--snapshot", "tests/recordings/shop", "--repo", "example-gitops-repo"]);
    cure.args(["--cluster", "cluster", "--forge", &forge.argument()]).current_dir(root());
    // It says with its exit code that something failed in the recording, and so it should.
    let output = cure.output().unwrap();
    assert!(forge.dir.path().join("pulls").is_dir(), "{}", String::from_utf8_lossy(&output.stderr));
    forge
}

/// The workloads of a scan's findings, sorted.
fn failing(found: &Value) -> Vec<String> {
    let mut names: Vec<String> =
        found["findings"].as_array().unwrap().iter().map(|finding| name(&finding["workload"])).collect();
    names.sort();
    names
}

/// All of `cases/` at once, told apart: each is named right and comes to what a person would do, and nothing else is named.
pub fn every_case_is_named_right(bed: &Bed) {
    bed.kit("apply-cases", &[]);
    let repo = tempfile::tempdir().unwrap();
    manifests(repo.path());
    wait_until_right(|| {
        let found = ["demo", "demo-limits", "demo-quota", "demo-restricted"]
            .map(|namespace| (namespace, bed.scan(namespace, repo.path())));
        let of = |expected: &Expected| {
            let namespace = expected.workload.split([' ', '/']).nth(1).unwrap();
            &found.iter().find(|(of, _)| *of == namespace).unwrap().1
        };
        let known: Vec<&str> = CAPTURES.iter().map(|expected| expected.workload).collect();
        let all = found.iter().flat_map(|(_, found)| failing(found));
        let others = all.filter(|workload| !known.contains(&workload.as_str()));
        let others = others.map(|workload| format!("{workload} is named, and is well"));
        others.chain(CAPTURES.iter().filter_map(|expected| wrong(of(expected), expected))).collect()
    });
}

/// What is wrong with the answer for one workload, if something is; short enough to be read with 47 others.
fn wrong(found: &Value, expected: &Expected) -> Option<String> {
    let why = check(found, expected).err()?;
    Some(format!("{} {}: {}", expected.case, expected.workload, why.chars().take(600).collect::<String>()))
}

/// Some fail only after their third restart, or when the kubelet looks for what takes too much space.
fn wait_until_right(wrong: impl Fn() -> Vec<String>) {
    let began = Instant::now();
    loop {
        let wrong = wrong();
        if wrong.is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE * 2, "{} are wrong\n{}", wrong.len(), wrong.join("\n"));
        std::thread::sleep(Duration::from_secs(3));
    }
}

/// What Git holds of the cases: what was applied last.
fn manifests(folder: &Path) {
    let cases = root().join("tests/cluster/cases");
    let mut files: Vec<String> =
        std::fs::read_dir(&cases).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    for file in &files {
        // `NAME.then.yaml` stands for `NAME.yaml` once that ran.
        let then = format!("{}.then.yaml", file.trim_end_matches(".yaml"));
        if !files.contains(&then) {
            std::fs::copy(cases.join(file), folder.join(file.replace(".then.", "."))).unwrap();
        }
    }
}

/// What the account did in all of this, as the API server wrote it down.
pub fn nothing_was_written(bed: &Bed) {
    bed.scan("default", &root().join("example-gitops-repo"));
    let audit = bed.audit(bed.audited_before);
    assert!(!audit.is_empty(), "the audit log has no request of the account");
    for request in &audit {
        let (verb, resource) = (request["verb"].as_str().unwrap_or_default(), &request["objectRef"]["resource"]);
        let reads = ["get", "list", "watch"].contains(&verb) && resource != "secrets";
        // Questions about its own rights are no writes; the Lease is the one thing that is.
        let asks = verb == "create" && resource == "selfsubjectaccessreviews";
        let leads = resource == "leases" && request["objectRef"]["namespace"] == "kubecure";
        assert!(reads || asks || leads, "{request:#}");
    }
}
