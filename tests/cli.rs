//! The binary as a user runs it: screens, exit codes, bad input, and what it writes or does not write.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

fn kubecure() -> Command {
    let mut command = Command::cargo_bin("kubecure").unwrap();
    command.env_clear().env("NO_COLOR", "1").env("TZ", "UTC");
    command
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn shop() -> (PathBuf, PathBuf) {
    (root().join("tests/recordings/shop"), root().join("example-gitops-repo"))
}

fn capture(name: &str) -> (PathBuf, PathBuf) {
    let folder = root().join("tests/recordings/captures").join(name);
    (folder.join("snapshot"), folder.join("repo"))
}

fn scan(world: &(PathBuf, PathBuf)) -> Command {
    let mut command = kubecure();
    command.arg("scan").arg("--snapshot").arg(&world.0).arg("--repo").arg(&world.1);
    command
}

fn cure(world: &(PathBuf, PathBuf), forge: &Path) -> Command {
    let mut command = kubecure();
    command.args(["cure", "--all", "--forge"]).arg(format!("local:{}", forge.display()));
    command.arg("--snapshot").arg(&world.0).arg("--repo").arg(&world.1);
    command
}

fn json(command: &mut Command) -> Value {
    serde_json::from_slice(&command.args(["-o", "json"]).output().unwrap().stdout).unwrap()
}

fn write(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Every file below a folder, with its bytes: to see that nothing was written.
fn all_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

const OOM_POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","namespace":"shop","creationTimestamp":"2026-01-01T00:00:00Z",
  "ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"web","controller":true}]},
  "spec":{"containers":[{"name":"app"}]},"status":{"phase":"Running","startTime":"2026-01-01T00:00:00Z","containerStatuses":[
  {"name":"app","ready":false,"restartCount":7,"state":{"waiting":{"reason":"CrashLoopBackOff"}},
   "lastState":{"terminated":{"reason":"OOMKilled","exitCode":137,"startedAt":"2026-01-01T00:09:58Z","finishedAt":"2026-01-01T00:10:00Z"}}}]}}"#;

fn stateful_set(name: &str, namespace: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: {name}\n  namespace: {namespace}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      containers:\n        - name: app\n          image: x.example/a:1\n          resources:\n            limits:\n              memory: 64Mi # tight\n"
    )
}

/// A cluster with one OOM kill and a repository that declares the workload.
fn small_world(folder: &Path) -> (PathBuf, PathBuf) {
    let world = (folder.join("cluster"), folder.join("repo"));
    write(&world.0.join("pods.json"), OOM_POD);
    write(&world.0.join("sets.yaml"), stateful_set("web", "shop"));
    write(&world.1.join("web.yaml"), stateful_set("web", "shop"));
    world
}

#[test]
fn a_healthy_cluster_exits_zero_and_failures_exit_one() {
    scan(&capture("healthy")).assert().code(0).stdout(contains("No failures"));
    scan(&capture("oomkilled")).assert().code(1).stdout(contains("error[oom-killed]"));
}

#[test]
fn the_json_of_scan_has_the_documented_shape() {
    let found = json(&mut scan(&shop()));
    let has = |value: &Value, keys: &[&str]| keys.iter().all(|key| value.get(key).is_some());
    for finding in found["findings"].as_array().unwrap() {
        assert!(has(finding, &["failure", "workload", "container", "symptom", "since"]), "{finding}");
        assert!(has(&finding["workload"], &["kind", "namespace", "name"]), "{finding}");
    }
    let proposals = found["proposals"].as_array().unwrap();
    assert!(!proposals.is_empty());
    for proposal in proposals {
        assert!(
            has(
                proposal,
                &[
                    "failure",
                    "workload",
                    "cause",
                    "origin",
                    "confidence",
                    "changes",
                    "locations",
                    "diff",
                    "verdict",
                    "reasons"
                ]
            ),
            "{proposal}"
        );
        assert!(has(&proposal["changes"][0], &["path", "op", "from", "to"]), "{proposal}");
        assert!(has(&proposal["locations"][0], &["file", "line", "column", "chain"]), "{proposal}");
    }
    for declined in found["declined"].as_array().unwrap() {
        assert!(has(declined, &["failure", "workload", "reason", "detail"]), "{declined}");
    }
}

#[test]
fn an_empty_folder_a_file_and_nothing_at_all_are_no_snapshots() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pods.json");
    let repo = folder.path().join("repo");
    std::fs::create_dir_all(folder.path().join("empty")).unwrap();
    std::fs::create_dir_all(&repo).unwrap();
    write(&file, OOM_POD);
    let asks = [("empty", "holds no Kubernetes object"), ("pods.json", "is a file"), ("missing", "no snapshot at")];
    for (name, says) in asks {
        let world = (folder.path().join(name), repo.clone());
        scan(&world).assert().code(2).stderr(contains(says).and(contains("Hint: "))).stdout("");
    }
    kubecure().arg("scan").assert().code(2).stderr(contains("--snapshot"));
    kubecure().arg("scam").assert().code(2).stderr(contains("scan"));
}

#[test]
fn a_workload_that_no_manifest_declares_is_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    write(&world.1.join("web.yaml"), stateful_set("web", "elsewhere"));
    let found = json(&mut scan(&world));
    assert_eq!(found["declined"][0]["reason"], "not-in-git");
    let detail = found["declined"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("web.yaml declares one of this name with namespace elsewhere"), "{detail}");
}

#[test]
fn two_declarations_are_both_named_and_nothing_is_proposed() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    write(&world.1.join("old/web.yaml"), stateful_set("web", "shop"));
    let found = json(&mut scan(&world));
    assert_eq!(found["declined"][0]["reason"], "ambiguous");
    let detail = found["declined"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("old/web.yaml:") && detail.contains(" web.yaml:"), "{detail}");
    assert!(found["proposals"].as_array().unwrap().is_empty());
}

#[test]
fn a_policy_with_a_typo_allows_nothing_and_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let policy = "apiVersion: healing.kubecure.io/v1alpha1\nkind: HealingPolicy\nmetadata: {name: default}\nspec:\n  delivr: {}\n";
    write(&world.1.join(".kubecure/policy.yaml"), policy);
    let forge = folder.path().join("forge");
    scan(&world).assert().code(2).stderr(contains(".kubecure/policy.yaml:5:3").and(contains("deliver")));
    cure(&world, &forge).assert().code(2);
    let pulls = forge.join("pulls");
    assert!(!pulls.exists() || std::fs::read_dir(pulls).unwrap().next().is_none());
}

#[test]
fn broken_files_are_named_and_the_rest_still_works() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    write(&world.0.join("broken.json"), "{\"kind\": ");
    write(&world.0.join("binary.yaml"), [0xff, 0xfe, 0x00]);
    write(&world.1.join("broken.yaml"), "a: [1\nb: }\n");
    write(
        &world.1.join("chart/templates/web.yaml"),
        "{{- if .Values.on }}\nreplicas: {{ .Values.replicas }}\n{{- end }}\n",
    );
    let said = scan(&world).assert().code(1).stdout(contains("raise the limit to 128Mi"));
    said.stdout(
        contains("broken.json").and(contains("binary.yaml")).and(contains("broken.yaml")).and(contains("templates")),
    );
}

#[test]
fn a_log_of_fifty_megabytes_and_binary_bytes_is_read_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let mut log = b"first line\n".to_vec();
    while log.len() < 50 << 20 {
        log.extend_from_slice(b"\x00\xff\x1b[31mnoise\n");
    }
    log.extend_from_slice(b"level=fatal msg=\"the end\"\n");
    write(&world.0.join("logs/shop/web-1/app.previous.log"), &log);
    let output = scan(&world).assert().code(1).get_output().stdout.clone();
    assert!(!output.contains(&0x1b), "an escape sequence of a log reached the terminal");
}

#[test]
fn hostile_names_reach_neither_the_terminal_nor_the_markdown() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let name = "<img src=x>@team ![a](http://evil.example) \\u001b[31m fixes #1";
    write(&world.0.join("pods.json"), OOM_POD.replace("\"name\":\"app\"", &format!("\"name\":\"{name}\"")));
    let live =
        stateful_set("web", "shop").replace("name: app", &format!("name: \"{}\"", name.replace("\\u001b", "\\x1b")));
    write(&world.0.join("sets.yaml"), &live);
    write(&world.1.join("web.yaml"), &live);
    let forge = folder.path().join("forge");
    let output = cure(&world, &forge).assert().code(0).get_output().stdout.clone();
    assert!(!output.contains(&0x1b));
    let page = std::fs::read_to_string(forge.join("pulls/1.md")).unwrap();
    // What stands in the hidden line is shown to nobody, and is JSON that cannot end its comment.
    let body = page.split("<!-- kubecure:begin -->").nth(1).unwrap().split("<!-- kubecure {").next().unwrap();
    assert!(!body.contains('\u{1b}'));
    for event in pulldown_cmark::Parser::new_ext(body, pulldown_cmark::Options::all()) {
        use pulldown_cmark::{Event, Tag};
        let is_bad = match &event {
            Event::Start(Tag::Link { .. } | Tag::Image { .. }) => true,
            Event::Html(html) | Event::InlineHtml(html) => html.contains("img"),
            Event::Text(text) => text.contains("@team") || text.contains("#1"),
            _ => false,
        };
        assert!(!is_bad, "{event:?} in\n{body}");
    }
}

#[test]
fn a_dump_of_kubectl_is_a_snapshot_with_logs() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let list = format!(
        "{{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{}]}}",
        OOM_POD.replacen("\"apiVersion\":\"v1\",\"kind\":\"Pod\",", "", 1)
    );
    std::fs::remove_file(world.0.join("pods.json")).unwrap();
    write(&world.0.join("shop/pods.json"), list);
    write(
        &world.0.join("shop/web-1/logs.txt"),
        "==== START logs for container app of pod shop/web-1 ====\nlevel=fatal out of memory\n==== END logs for container app of pod shop/web-1 ====\n",
    );
    scan(&world).assert().code(1).stdout(contains("error[oom-killed]"));
    let forge = folder.path().join("forge");
    cure(&world, &forge).assert().code(0);
    assert!(std::fs::read_to_string(forge.join("pulls/1.md")).unwrap().contains("level=fatal out of memory"));
}

#[test]
fn secrets_of_a_log_reach_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let world = capture("log-with-secret");
    let forge = folder.path().join("forge");
    let screen = scan(&world).assert().code(1).get_output().stdout.clone();
    let found = json(&mut scan(&world)).to_string();
    cure(&world, &forge).assert().code(0);
    let mut all = String::from_utf8(screen).unwrap() + &found;
    for text in all_files(&forge.join("issues")).into_values() {
        all.push_str(&String::from_utf8(text).unwrap());
    }
    for secret in ["hunter2-prod", "eyJhbGciOiJIUzI1NiJ9"] {
        assert!(!all.contains(secret), "{secret} in the output");
    }
}

#[test]
fn curing_twice_opens_nothing_twice_and_rewrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let forge = folder.path().join("forge");
    cure(&shop(), &forge).assert().code(0);
    let before = all_files(&forge);
    cure(&shop(), &forge).assert().code(0);
    let after = all_files(&forge);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (path, bytes) in &before {
        assert!(after[path] == *bytes, "{} was rewritten", path.display());
    }
}

#[test]
fn a_closed_pull_request_is_not_offered_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let forge = folder.path().join("forge");
    cure(&world, &forge).assert().code(0);
    let page = forge.join("pulls/1.md");
    let closed = std::fs::read_to_string(&page).unwrap().replacen("state: open", "state: closed", 1);
    std::fs::write(&page, &closed).unwrap();
    cure(&world, &forge).assert().code(0).stdout(contains("closed"));
    assert_eq!(std::fs::read_to_string(&page).unwrap(), closed);
    assert_eq!(std::fs::read_dir(forge.join("pulls")).unwrap().count(), 1);
}

/// A commit of a person on a branch of the forge.
fn commit_as_a_person(forge: &Path, branch: &str) -> git2::Oid {
    let repo = git2::Repository::open_bare(forge.join("repo.git")).unwrap();
    let tip = repo.find_branch(branch, git2::BranchType::Local).unwrap().get().peel_to_commit().unwrap();
    let person = git2::Signature::now("A Person", "person@shop.example").unwrap();
    repo.commit(Some(&format!("refs/heads/{branch}")), &person, &person, "rather this", &tip.tree().unwrap(), &[&tip])
        .unwrap()
}

#[test]
fn a_persons_commit_on_the_branch_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let forge = folder.path().join("forge");
    let opened = json(&mut cure(&world, &forge));
    let branch = opened["published"][0]["branch"].as_str().unwrap().to_owned();
    let theirs = commit_as_a_person(&forge, &branch);
    cure(&world, &forge).assert().code(0);
    let repo = git2::Repository::open_bare(forge.join("repo.git")).unwrap();
    let tip = repo.find_branch(&branch, git2::BranchType::Local).unwrap().get().target().unwrap();
    assert_eq!(tip, theirs);
}

#[test]
fn the_branch_holds_one_commit_whose_only_change_is_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let forge = folder.path().join("forge");
    let opened = json(&mut cure(&world, &forge));
    let branch = opened["published"][0]["branch"].as_str().unwrap();
    let repo = git2::Repository::open_bare(forge.join("repo.git")).unwrap();
    let commit = repo.find_branch(branch, git2::BranchType::Local).unwrap().get().peel_to_commit().unwrap();
    let message = commit.message().unwrap();
    assert!(message.contains("\nKubeCure-Fix: ") && message.contains("\nKubeCure-Source: web.yaml#"), "{message}");
    let parent = commit.parent(0).unwrap();
    assert_eq!(parent.parent_count(), 0, "one commit on the base");
    let diff = repo.diff_tree_to_tree(Some(&parent.tree().unwrap()), Some(&commit.tree().unwrap()), None).unwrap();
    let stats = diff.stats().unwrap();
    assert_eq!((stats.files_changed(), stats.insertions(), stats.deletions()), (1, 1, 1));
    let entry = commit.tree().unwrap().get_path(Path::new("web.yaml")).unwrap();
    let text = String::from_utf8(repo.find_blob(entry.id()).unwrap().content().to_owned()).unwrap();
    assert_eq!(text, stateful_set("web", "shop").replace("64Mi", "128Mi"));
}

/// The cure of a workload that an overlay makes: the forge, the changed files and the text of the overlay's kustomization.
fn cured_overlay(folder: &Path, overlay: &[(&str, &str)]) -> (Vec<String>, BTreeMap<String, String>) {
    let world = small_world(folder);
    std::fs::remove_file(world.1.join("web.yaml")).unwrap();
    let base = stateful_set("web", "shop").replace("  namespace: shop\n", "");
    let staging = ("staging/kustomization.yaml", "namespace: staging\nresources: [../base]\n");
    let base = [("base/web.yaml", base.as_str()), ("base/kustomization.yaml", "resources: [web.yaml]\n"), staging];
    for (path, text) in base.iter().chain(overlay) {
        write(&world.1.join(path), text);
    }
    let forge = folder.join("forge");
    let opened = json(&mut cure(&world, &forge));
    let branch = opened["published"][0]["branch"].as_str().unwrap_or_else(|| panic!("{opened:#}"));
    let repo = git2::Repository::open_bare(forge.join("repo.git")).unwrap();
    let commit = repo.find_branch(branch, git2::BranchType::Local).unwrap().get().peel_to_commit().unwrap();
    let tree = commit.tree().unwrap();
    let parent = commit.parent(0).unwrap().tree().unwrap();
    let diff = repo.diff_tree_to_tree(Some(&parent), Some(&tree), None).unwrap();
    let changed: Vec<String> =
        diff.deltas().map(|delta| delta.new_file().path().unwrap().display().to_string()).collect();
    let text = |path: &String| {
        let entry = tree.get_path(Path::new(path)).unwrap();
        (path.clone(), String::from_utf8(repo.find_blob(entry.id()).unwrap().content().to_owned()).unwrap())
    };
    let texts = changed.iter().map(text).collect();
    (changed, texts)
}

#[test]
fn a_cure_of_what_an_overlay_makes_edits_the_overlay_and_not_the_base() {
    let folder = tempfile::tempdir().unwrap();
    let patch = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          resources: {limits: {memory: 64Mi}} # ours\n";
    let overlay = [
        ("shop/kustomization.yaml", "namespace: shop\nresources: [../base]\npatches: [{path: small.yaml}]\n"),
        ("shop/small.yaml", patch),
    ];
    let (changed, texts) = cured_overlay(folder.path(), &overlay);
    assert_eq!(changed, ["shop/small.yaml"]);
    assert_eq!(texts["shop/small.yaml"], patch.replace("64Mi", "128Mi"));

    let folder = tempfile::tempdir().unwrap();
    let layer = "# The shop's own.\nnamespace: shop\nresources: [../base]\n";
    let (changed, texts) = cured_overlay(folder.path(), &[("shop/kustomization.yaml", layer)]);
    assert_eq!(changed, ["shop/kustomization.yaml"]);
    let added = texts["shop/kustomization.yaml"].strip_prefix(layer).unwrap();
    assert!(added.starts_with("patches:\n  - patch: |-\n") && added.ends_with("memory: 128Mi\n"), "{added}");
}

#[test]
fn a_line_that_feeds_another_object_is_edited_as_far_as_policy_allows() {
    let cured = |radius: u32| {
        let folder = tempfile::tempdir().unwrap();
        let world = small_world(folder.path());
        std::fs::rename(world.1.join("web.yaml"), world.1.join("moved.yaml")).unwrap();
        let flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: shop, namespace: flux-system}\nspec: {path: ./shop}\n";
        let policy = format!(
            "apiVersion: healing.kubecure.io/v1alpha1\nkind: HealingPolicy\nmetadata: {{name: shop}}\nspec:\n  match: {{namespaces: [shop]}}\n  limits: {{maxBlastRadius: {radius}}}\n"
        );
        std::fs::create_dir_all(world.1.join("shop")).unwrap();
        std::fs::rename(world.1.join("moved.yaml"), world.1.join("shop/web.yaml")).unwrap();
        write(&world.1.join("shop/kustomization.yaml"), "resources: [web.yaml]\n");
        write(&world.1.join("all/kustomization.yaml"), "namePrefix: all-\nresources: [../shop]\n");
        write(&world.1.join("flux.yaml"), flux);
        write(&world.1.join(".kubecure/policy.yaml"), policy);
        let forge = folder.path().join("forge");
        let opened = json(&mut cure(&world, &forge));
        let repo = git2::Repository::open_bare(forge.join("repo.git")).unwrap();
        (opened, repo.branches(None).unwrap().count())
    };
    let (refused, branches) = cured(0);
    assert_eq!((branches, &refused["proposals"][0]["verdict"]), (1, &Value::from("deny")), "{refused:#}");
    assert!(refused["declined"][0]["detail"].as_str().unwrap().contains("StatefulSet shop/all-web"), "{refused:#}");
    let (opened, branches) = cured(1);
    assert_eq!((branches, &opened["published"][0]["status"]), (2, &Value::from("opened")), "{opened:#}");
    assert_eq!(opened["proposals"][0]["locations"][0]["also"][0]["name"], "all-web");
    let body = opened["requests"][0]["body"].as_str().unwrap();
    assert!(body.contains("these change as well") && body.contains("StatefulSet shop/all-web"), "{body}");
}

#[test]
fn a_dry_run_writes_nothing_and_no_forge_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let before = all_files(folder.path());
    let forge = folder.path().join("forge");
    cure(&world, &forge).arg("--dry-run").assert().code(0).stdout(contains("pull request  shop/web"));
    assert_eq!(all_files(folder.path()), before);
    let mut without = kubecure();
    without.args(["cure", "--all", "--snapshot"]).arg(&world.0).arg("--repo").arg(&world.1);
    without.assert().code(2).stderr(contains("Hint: --forge local:DIR"));
}

#[test]
fn one_workload_can_be_cured_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, repo) = shop();
    let forge = format!("local:{}", folder.path().join("forge").display());
    let mut one = kubecure();
    one.args(["cure", "deploy/web", "-n", "shop", "--forge", &forge, "--snapshot"])
        .arg(&cluster)
        .arg("--repo")
        .arg(&repo);
    one.assert().code(0);
    assert_eq!(std::fs::read_dir(folder.path().join("forge/pulls")).unwrap().count(), 1);
    let mut none = kubecure();
    none.args(["cure", "deploy/healthy", "--forge", &forge, "--snapshot"]).arg(&cluster).arg("--repo").arg(&repo);
    none.assert().code(2).stderr(contains("has no finding"));
}

#[test]
fn a_revision_is_read_instead_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let repo = git2::Repository::init(&world.1).unwrap();
    let mut index = repo.index().unwrap();
    index.add_path(Path::new("web.yaml")).unwrap();
    let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
    let person = git2::Signature::now("A Person", "person@shop.example").unwrap();
    repo.commit(Some("HEAD"), &person, &person, "first", &tree, &[]).unwrap();
    write(&world.1.join("web.yaml"), "gone: true\n");
    scan(&world).assert().code(1).stdout(contains("not-in-git"));
    scan(&world).args(["--rev", "HEAD"]).assert().code(1).stdout(contains("raise the limit to 128Mi"));
    scan(&world).args(["--rev", "nonsense"]).assert().code(2).stderr(contains("Hint: "));
}

#[test]
fn no_gate_that_refuses_lets_a_branch_through() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let policy = "apiVersion: healing.kubecure.io/v1alpha1\nkind: HealingPolicy\nmetadata: {name: none}\nspec:\n  match: {namespaces: [shop]}\n  allow: []\n";
    write(&world.1.join(".kubecure/policy.yaml"), policy);
    let forge = folder.path().join("forge");
    cure(&world, &forge).assert().code(0);
    let repo = git2::Repository::open_bare(forge.join("repo.git")).unwrap();
    let branches: Vec<String> =
        repo.branches(None).unwrap().map(|b| b.unwrap().0.name().unwrap().unwrap().to_owned()).collect();
    assert_eq!(branches, ["main"]);
    assert!(!forge.join("pulls/1.md").exists());
    assert!(std::fs::read_to_string(forge.join("issues/1.md")).unwrap().contains("policy does not allow"));
}

#[test]
fn completions_and_the_catalogue_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        kubecure().args(["completions", shell]).assert().code(0).stdout(contains("kubecure"));
    }
    kubecure().arg("explain").assert().code(0).stdout(contains("oom-killed"));
    kubecure().args(["explain", "oom-killed"]).assert().code(0).stdout(contains("exit code"));
    kubecure().args(["explain", "oom-kiled"]).assert().code(2).stderr(contains("oom-killed"));
}

#[test]
fn the_demo_runs_with_nothing_but_the_binary() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let mut demo = kubecure();
    demo.current_dir(folder.path()).args(["demo", "--full", "--dir"]).arg(&dir);
    demo.assert().code(0).stdout(contains("pull request #").and(contains("Everything lies in")));
    assert!(dir.join("forge/repo.git/HEAD").exists());
    kubecure().args(["demo", "--dir"]).arg(&dir).assert().code(2).stderr(contains("is not empty"));
}

#[test]
fn a_demo_that_cannot_be_unpacked_says_what_to_do_and_its_commands_can_be_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    write(&file, "x");
    kubecure().args(["demo", "--dir"]).arg(&file).assert().code(2).stderr(contains("Hint: "));
    let dir = folder.path().join("it's a demo");
    let told = kubecure().args(["demo", "--dir"]).arg(&dir).assert().code(0).get_output().stdout.clone();
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains(r"it'\''s a demo/forge/repo.git' log"), "{told}");
    // A name at the beginning of a sentence stays what it is.
    assert!(told.contains("   registry.shop.example/shop/checkout has no tag"), "{told}");
    let again = folder.path().join("json");
    let found = json(kubecure().args(["demo", "--dir"]).arg(&again));
    assert!(found["published"].as_array().unwrap().len() > 5 && found["dir"].is_string());
}

#[test]
fn a_dry_run_makes_no_repository_in_a_folder_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let forge = folder.path().join("forge");
    std::fs::create_dir(&forge).unwrap();
    cure(&world, &forge).arg("--dry-run").assert().code(0).stdout(contains("1 pull request and 0 issues would be"));
    let dry = json(cure(&world, &forge).arg("--dry-run"));
    assert_eq!(
        (dry["requests"][0]["kind"].as_str(), dry["published"].as_array().map(Vec::len)),
        (Some("pull-request"), Some(0))
    );
    assert!(dry["requests"][0]["body"].as_str().unwrap().contains("128Mi"));
    assert!(std::fs::read_dir(&forge).unwrap().next().is_none());
}

#[test]
fn ten_at_once_on_a_new_forge_open_each_pull_request_once() {
    let folder = tempfile::tempdir().unwrap();
    let forge = folder.path().join("forge");
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| cure(&shop(), &forge).assert().code(0));
        }
    });
    let pages =
        |forge: &Path| all_files(forge).keys().filter(|path| path.extension().is_some_and(|e| e == "md")).count();
    let alone = folder.path().join("alone");
    cure(&shop(), &alone).assert().code(0);
    assert_eq!(pages(&forge), pages(&alone));
    let left: Vec<_> = std::fs::read_dir(&forge).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "the lock, repo.git, pulls and issues: {left:?}");
}

#[test]
fn a_forge_that_is_none_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let at = |name: &str| folder.path().join(name);
    write(&at("file"), "x");
    write(&at("broken/repo.git/HEAD"), "nonsense\n");
    let before = all_files(folder.path());
    for (dir, says) in [
        (at("file"), "is a file"),
        (at("broken"), "is no bare repository"),
        (world.1.clone(), "is the repository itself"),
    ] {
        cure(&world, &dir).assert().code(2).stderr(contains(says).and(contains("Hint: ")));
    }
    assert_eq!(all_files(folder.path()), before);
}

#[test]
fn a_page_that_a_person_broke_is_named_with_its_line_and_nothing_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let forge = folder.path().join("forge");
    cure(&world, &forge).assert().code(0);
    let page = forge.join("pulls/1.md");
    let broken = std::fs::read_to_string(&page).unwrap().replacen("state: open", "state: clsoed", 1);
    std::fs::write(&page, broken).unwrap();
    let before = all_files(&forge);
    cure(&world, &forge).assert().code(2).stderr(contains("1.md: line 4 column 8").and(contains("closed")));
    assert_eq!(all_files(&forge), before);
}

#[test]
fn a_branch_of_ours_is_never_the_base_branch() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let forge = folder.path().join("forge");
    let opened = json(&mut cure(&world, &forge));
    let branch = opened["published"][0]["branch"].as_str().unwrap().to_owned();
    git2::Repository::open_bare(forge.join("repo.git")).unwrap().set_head(&format!("refs/heads/{branch}")).unwrap();
    let again = json(&mut cure(&world, &forge));
    assert_eq!(again["published"][0]["status"], "exists");
    assert!(!forge.join("issues").exists());
}

#[test]
fn a_forge_is_made_from_the_revision_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let repo = git2::Repository::init_bare(folder.path().join("bare.git")).unwrap();
    let person = git2::Signature::now("A Person", "person@shop.example").unwrap();
    let mut index = git2::build::TreeUpdateBuilder::new();
    index.upsert("web.yaml", repo.blob(stateful_set("web", "shop").as_bytes()).unwrap(), git2::FileMode::Blob);
    let empty = repo.find_tree(repo.treebuilder(None).unwrap().write().unwrap()).unwrap();
    let full = repo.find_tree(index.create_updated(&repo, &empty).unwrap()).unwrap();
    let first = repo.commit(Some("HEAD"), &person, &person, "first", &full, &[]).unwrap();
    let parent = repo.find_commit(first).unwrap();
    repo.commit(Some("HEAD"), &person, &person, "gone", &empty, &[&parent]).unwrap();
    let world = (world.0, folder.path().join("bare.git"));
    // No file lies in a bare repository: that is no empty repository.
    scan(&world).assert().code(2).stderr(contains("Hint: --rev HEAD"));
    let forge = folder.path().join("forge");
    let opened = json(cure(&world, &forge).args(["--rev", &first.to_string()]));
    assert_eq!(opened["published"][0]["kind"], "pull-request", "{opened}");
    let made = git2::Repository::open_bare(forge.join("repo.git")).unwrap();
    assert_eq!(made.revparse_single("main").unwrap().id(), first);
}

#[test]
fn a_namespace_with_a_typo_is_no_clean_bill() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    scan(&world).args(["-n", "shop"]).assert().code(1);
    scan(&world).args(["-n", "shpo"]).assert().code(2).stdout("").stderr(contains("Hint: it has shop"));
}

#[test]
fn a_workload_has_many_spellings() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let ask = |name: &str| {
        let mut command = kubecure();
        command.args(["cure", name, "--dry-run", "--snapshot"]).arg(&world.0).arg("--repo").arg(&world.1);
        command
    };
    for name in ["sts/web", "StatefulSets/web", "statefulset.apps/web", "statefulset/shop/web", "pod/web-1"] {
        ask(name).assert().code(0).stdout(contains("1 pull request and 0 issues"));
    }
    for name in ["sts/wbe", "sts/test/web", "deploy/web"] {
        ask(name).assert().code(2).stderr(contains("Hint: these have: statefulset/shop/web"));
    }
    for name in ["web", "a/b/c/d", "sts/"] {
        ask(name).assert().code(2).stderr(contains("names no workload").and(contains("Hint: ")));
    }
}

#[cfg(unix)]
#[test]
fn what_a_snapshot_holds_besides_files_is_named_and_not_waited_for() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    let _socket = std::os::unix::net::UnixListener::bind(world.0.join("socket.json")).unwrap();
    symlink("/etc", world.0.join("elsewhere")).unwrap();
    symlink(world.0.join("pods.json"), world.0.join("again.json")).unwrap();
    let deep = (0..40).fold(world.0.clone(), |path, _| path.join("d"));
    write(&deep.join("x.json"), "{}");
    let found = json(&mut scan(&world));
    assert_eq!(found["findings"].as_array().unwrap().len(), 1);
    let warned = found["warnings"].to_string();
    for name in ["socket.json", "elsewhere", "again.json", "d/d/d"] {
        assert!(warned.contains(&format!("\"{name}")), "{name}: {warned}");
    }
}

#[test]
fn a_snapshot_of_which_nothing_can_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    std::fs::remove_file(world.0.join("sets.yaml")).unwrap();
    write(&world.0.join("pods.json"), "{\"kind\": ");
    scan(&world).assert().code(2).stderr(contains("pods.json is not valid JSON").and(contains("Hint: ")));
}

#[test]
fn no_name_of_a_file_is_obeyed_by_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    write(&world.0.join("a\u{1b}[31m\nb.yaml"), "a: 1\n");
    let dry = cure(&world, &folder.path().join("forge")).arg("--dry-run").assert().code(0).get_output().stdout.clone();
    assert!(!dry.contains(&0x1b) && String::from_utf8(dry).unwrap().contains("warning: a␛[31m␊b.yaml: "));
    let mut edit = kubecure();
    edit.args(["edit", "no\u{1b}[31m.yaml", "--doc", "0", "--set", "a=1"]);
    let said = edit.assert().code(2).get_output().stderr.clone();
    assert!(!said.contains(&0x1b));
}

/// Runs a command whose reader goes away at once.
fn unread(arguments: &[&str]) -> std::process::Output {
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("kubecure"))
        .args(arguments)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.wait_with_output().unwrap()
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let policies = root().join("policies").display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.yaml");
    write(&file, "a: 1\n");
    let edit = ["edit", file.to_str().unwrap(), "--doc", "0", "--set", "a=2", "--diff"];
    let asks: [&[&str]; 5] =
        [&["completions", "bash"], &["policy", "schema"], &["policy", "check", &policies], &["explain"], &edit];
    for arguments in asks {
        let output = unread(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_is_wrong_with_the_arguments_is_a_sentence_with_a_hint() {
    let asks: [(&[&str], &str, &str); 4] = [
        (&["scan", "--bogus"], "--bogus", "Hint: kubecure scan --help"),
        (&["cure", "--snapshot", "x"], "<KIND/NAME|--all>", "Hint: kubecure cure --help"),
        (&["scan", "--snapshto", "x"], "--snapshto", "'--snapshot'"),
        (&["edit", "f.yaml", "--doc", "0", "--set", "a\\.b=1"], "brackets were expected", "Hint: "),
    ];
    for (arguments, says, hint) in asks {
        let said = kubecure().args(arguments).assert().code(2).stdout("").get_output().stderr.clone();
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("Error: ") && said.contains(says) && said.contains(hint), "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");
    }
}

#[cfg(unix)]
#[test]
fn an_edit_does_not_wait_for_what_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("s.yaml");
    let _socket = std::os::unix::net::UnixListener::bind(&at).unwrap();
    for (at, says) in [(at.as_path(), "it is no file"), (folder.path(), "it is a folder")] {
        let mut edit = kubecure();
        edit.arg("edit").arg(at).args(["--doc", "0", "--set", "a=1"]);
        edit.assert().code(2).stderr(contains(says).and(contains("Hint: ")));
    }
}

#[test]
fn a_policy_around_the_folder_is_not_passed_over_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let world = small_world(folder.path());
    git2::Repository::init(folder.path()).unwrap();
    write(&folder.path().join(".kubecure/policy.yaml"), "apiVersion: healing.kubecure.io/v1alpha1\n");
    scan(&world).assert().code(1).stdout(contains(".kubecure: belongs to the repository around"));
    std::fs::remove_dir_all(folder.path().join(".kubecure")).unwrap();
    scan(&world).assert().code(1).stdout(contains("warning").not());
}

#[cfg(unix)]
#[test]
fn a_request_that_the_forge_refuses_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let forge = folder.path().join("forge");
    cure(&shop(), &forge).arg("--dry-run").assert().code(0);
    std::fs::create_dir(&forge).unwrap();
    // Issues cannot be written: a folder whose name they need is no folder of pages.
    std::os::unix::fs::symlink(folder.path(), forge.join("issues")).unwrap();
    let ran = cure(&shop(), &forge).assert().code(3).stderr(contains("is a symlink"));
    ran.stdout(contains("opened pull request"));
    assert_eq!(std::fs::read_dir(forge.join("pulls")).unwrap().count(), 7);
}
