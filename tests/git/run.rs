//! The binary against a cluster and a Git server: once, for long, through an outage, killed at any time.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::bed::{Bed, until};
use crate::server::Fault;

pub const TOKEN: &str = "glpat-PLANTED0123456789secret";

/// A cluster in which one workload runs out of memory, and the repository that it comes from.
pub struct Shop {
    pub bed: Bed,
    pub api: Arc<Api>,
    pub folder: tempfile::TempDir,
}

impl Shop {
    pub fn new(open: bool) -> Self {
        let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/captures/oomkilled");
        let bed = Bed::new().with_token(TOKEN);
        let text = std::fs::read_to_string(capture.join("repo/oomkilled.yaml")).unwrap();
        bed.commit(&[("oomkilled.yaml", &text)]);
        Self { bed, api: Api::start(&capture.join("snapshot"), open), folder: tempfile::tempdir().unwrap() }
    }

    /// `kubecure VERB`, with everything that it takes.
    pub fn kubecure(&self, verb: &str) -> Command {
        self.kubecure_at(verb, &self.bed.url())
    }

    pub fn kubecure_at(&self, verb: &str, repo: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("kubecure"));
        command.env_clear().env("KUBECURE_GIT_TOKEN", TOKEN).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.arg(verb).arg("--kubeconfig").arg(self.api.kubeconfig(self.folder.path()));
        command.args(["--forge", "branch", "--repo", repo]);
        command.arg("--git-ca-file").arg(&self.bed.server.ca_file).arg("--clone-dir").arg(self.bed.clones.path());
        if verb == "run" {
            command.args(["--settle-scale", "0.02", "--fetch-every", "1s"]);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn once(&self) -> (i32, String) {
        let output = self.kubecure("run").arg("--once").output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// For long, with its log in a file.
    fn start(&self) -> Running {
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        Running(self.kubecure("run").stderr(log).stdout(Stdio::null()).spawn().unwrap())
    }
}

struct Running(Child);

impl Running {
    fn signal(&self, signal: &str) {
        Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

#[test]
fn one_pass_pushes_a_branch_and_a_second_on_another_machine_pushes_nothing() {
    let shop = Shop::new(true);
    let (code, said) = shop.once();
    assert_eq!(code, 0, "{said}");
    let [branch] = &shop.bed.branches()[..] else { panic!("{said}") };
    assert!(branch.starts_with("kubecure/demo/oomkilled/oom-killed-"), "{branch}");
    assert!(said.contains("opened branch"), "{said}");
    let tip = shop.bed.on_server(&["rev-parse", branch]);
    let diff = shop.bed.on_server(&["diff", "main", branch]);
    assert!(diff.contains("-            memory: 32Mi") && diff.contains("+            memory: 64Mi"), "{diff}");
    assert!(
        shop.bed
            .on_server(&["log", "-1", "--format=%B", branch])
            .contains("KubeCure-Case: oom-killed/Deployment/demo/oomkilled")
    );
    let elsewhere = Shop { bed: Bed { clones: tempfile::tempdir().unwrap(), ..shop.bed }, ..shop };
    let (code, said) = elsewhere.once();
    assert_eq!(code, 0, "{said}");
    assert_eq!((elsewhere.bed.branches().len(), elsewhere.bed.on_server(&["rev-parse", branch])), (1, tip), "{said}");
    assert_eq!(elsewhere.bed.on_server(&["log", "--format=%an", "-1", "main"]), "A Person", "the base is untouched");
}

#[test]
fn an_outage_of_the_repository_delays_and_loses_nothing() {
    let shop = Shop::new(false);
    let running = shop.start();
    let asked = || shop.bed.server.asked().len();
    until("the repository was fetched", || asked() > 2);
    shop.bed.server.fault(Fault::Down);
    shop.api.open();
    let log = || std::fs::read_to_string(shop.log()).unwrap_or_default();
    until("the incident is tried in vain", || log().contains("not worked"));
    assert!(log().contains("does not answer"), "{}", log());
    assert!(shop.bed.branches().is_empty());
    shop.bed.server.fault(Fault::None);
    until("it is tried again, and pushed", || shop.bed.branches().len() == 1);
    until("it is told", || log().contains("opened branch"));
    drop(running);
    assert!(!log().contains(TOKEN));
}

#[test]
fn killed_at_any_time_it_goes_on_and_makes_one_branch() {
    let shop = Shop::new(true);
    for after in [0, 50, 100, 200, 400, 700, 1000, 1400] {
        let running = shop.start();
        std::thread::sleep(Duration::from_millis(after));
        running.signal("-KILL");
        drop(running);
    }
    let (code, said) = shop.once();
    assert_eq!(code, 0, "{said}");
    assert_eq!(shop.bed.branches().len(), 1, "{said}");
    shop.bed.on_server(&["fsck", "--strict"]);
    crate::server::git(&shop.bed.clone_folder().join("repo.git"), &["fsck", "--strict"]);
}

#[test]
fn a_silent_repository_does_not_keep_it_from_ending() {
    let shop = Shop::new(true);
    shop.bed.server.fault(Fault::Stall(100));
    // It hangs in its first fetch, and ends as soon as it may; then in a later one.
    let mut running = shop.start();
    until("the server is asked", || shop.bed.server.asked().len() > 1);
    ends(&mut running);
    shop.bed.server.fault(Fault::None);
    let mut running = shop.start();
    until("a branch is pushed", || shop.bed.branches().len() == 1);
    shop.bed.commit(&[("new.yaml", "# new\n")]);
    shop.bed.server.fault(Fault::Stall(100));
    let asked = shop.bed.server.asked().len();
    until("the server is asked", || shop.bed.server.asked().len() > asked + 1);
    ends(&mut running);
}

fn ends(running: &mut Running) {
    running.signal("-TERM");
    let began = Instant::now();
    until("it has ended", || running.0.try_wait().unwrap().is_some());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn what_cannot_be_run_is_said_at_the_start() {
    let shop = Shop::new(true);
    let says = |words: &[&str], text: &str| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("kubecure"));
        command.env_clear().arg("run").arg("--kubeconfig").arg(shop.api.kubeconfig(shop.folder.path())).args(words);
        command.arg("--clone-dir").arg(shop.bed.clones.path()).arg("--git-ca-file").arg(&shop.bed.server.ca_file);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(text) && said.contains("Hint: "), "{said}");
    };
    says(&["--forge", "branch"], "--repo is a folder");
    says(&["--forge", "local:x", "--repo", &shop.bed.url()], "--repo is a URL");
    says(&["--forge", "branch", "--repo", "https://me:hunter2@git.example.com/a"], "carries a credential");
    says(&["--forge", "branch", "--repo", "http://git.example.com/a"], "in the clear");
    says(&["--forge", "branch", "--repo", &shop.bed.url()], "wants credentials");
    says(&["--forge", "branch", "--repo", &shop.bed.url(), "--fetch-every", "0s"], "a time such as 30s");
}
