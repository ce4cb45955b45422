//! The cluster as a test has it: its kit, an account with exactly the rights of `deploy/rbac.yaml`, and what runs on it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A real cluster is slow at times; a test that waits for it in vain has failed.
pub const PATIENCE: Duration = Duration::from_secs(180);

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The account that KubeCure has in the cluster.
pub const ACCOUNT: &str = "system:serviceaccount:kubecure:kubecure";

/// A cluster that is up.
pub struct Bed {
    pub admin: PathBuf,
    /// How long the audit log was before anything here was done.
    pub audited_before: u64,
    account: OnceLock<Account>,
}

/// What the account of `deploy/rbac.yaml` reads the cluster with.
struct Account {
    kubeconfig: PathBuf,
    _folder: TempDir,
}

impl Bed {
    pub fn new(admin: PathBuf) -> Self {
        let audited_before = audit_log(&admin).metadata().map_or(0, |meta| meta.len());
        Self { admin, audited_before, account: OnceLock::new() }
    }

    /// Applies `deploy/rbac.yaml` as it lies there, and takes a token of its account.
    pub fn reader(&self) -> &Path {
        let make = || {
            let folder = tempfile::tempdir().unwrap();
            let kubeconfig = folder.path().join("kubeconfig");
            let shown = kubeconfig.display().to_string();
            self.kubectl(&["apply", "-f", "deploy/rbac.yaml"]);
            let token = self.kubectl(&["-n", "kubecure", "create", "token", "kubecure", "--duration=3h"]);
            std::fs::write(&kubeconfig, self.kubectl(&["config", "view", "--raw", "--minify"])).unwrap();
            let token = format!("--token={}", token.trim());
            self.kubectl(&["config", "--kubeconfig", &shown, "set-credentials", "kubecure", &token]);
            self.kubectl(&["config", "--kubeconfig", &shown, "set-context", "--current", "--user=kubecure"]);
            Account { kubeconfig, _folder: folder }
        };
        &self.account.get_or_init(make).kubeconfig
    }

    /// A script of the kit, from the top of the project, as the cluster's administrator.
    pub fn command(&self, script: &str) -> Run {
        let mut command = Command::new(root().join("tests/cluster").join(script));
        command.env("KUBECONFIG", &self.admin).current_dir(root()).stdin(Stdio::null());
        Run(command)
    }

    pub fn kit(&self, script: &str, arguments: &[&str]) -> String {
        expect(self.command(script).args(arguments))
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.kit("kubectl", arguments)
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    /// The product, with the account's rights.
    pub fn kubecure(&self, verb: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubecure"));
        command.arg(verb).arg("--kubeconfig").arg(self.reader()).current_dir(root()).stdin(Stdio::null());
        Run(command)
    }

    /// What `scan` finds in a namespace with the manifests of a folder.
    pub fn scan(&self, namespace: &str, repo: &Path) -> Value {
        let output = self.kubecure("scan").args(&["-n", namespace, "-o", "json", "--repo"]).arg(repo).output();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// A namespace of its own, empty.
    pub fn namespace(&self, name: &str) {
        self.kubectl(&["delete", "namespace", name, "--ignore-not-found", "--timeout=120s"]);
        self.kubectl(&["create", "namespace", name]);
        wait("the ServiceAccount of the namespace", PATIENCE, || {
            self.command("kubectl").args(&["-n", name, "get", "serviceaccount", "default"]).output().status.success()
        });
    }

    /// The requests of the account since a place in the audit log, a line each.
    pub fn audit(&self, from: u64) -> Vec<Value> {
        let log = std::fs::read(audit_log(&self.admin)).unwrap();
        let new = String::from_utf8_lossy(&log[usize::try_from(from).unwrap()..]).into_owned();
        let mine = format!("\"username\":\"{ACCOUNT}\"");
        new.lines().filter(|line| line.contains(&mine)).filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// Where the kit's API server writes down who asked for what.
fn audit_log(admin: &Path) -> PathBuf {
    admin.parent().unwrap().join("log/audit.log")
}

/// A command that is put together.
pub struct Run(Command);

impl Run {
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    pub fn output(mut self) -> Output {
        self.0.output().unwrap()
    }

    pub fn spawn(mut self) -> Child {
        self.0.spawn().unwrap()
    }
}

/// Runs it, and has what it prints. It must succeed.
fn expect(run: impl Into<Run>) -> String {
    let run = run.into();
    let shown = format!("{:?}", run.0);
    let output = run.output();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{shown}: {}\n{error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

impl From<Command> for Run {
    fn from(command: Command) -> Self {
        Self(command)
    }
}

/// Asks until it is so.
pub fn wait(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < patience, "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// A forge in a folder, and what a person does with it.
pub struct Forge {
    pub dir: TempDir,
}

impl Forge {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn argument(&self) -> String {
        format!("local:{}", self.dir.path().display())
    }

    /// The pages of `pulls` or `issues`.
    pub fn pages(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.dir.path().join(folder)) else { return Vec::new() };
        // What is not named as a page is one that is being written.
        let paths = entries.map(|entry| entry.unwrap().path()).filter(|at| at.extension().is_some_and(|e| e == "md"));
        paths.map(|at| std::fs::read_to_string(at).unwrap()).collect()
    }

    /// Their titles, sorted.
    pub fn titles(&self, folder: &str) -> Vec<String> {
        let title = |page: String| page.lines().find_map(|l| l.strip_prefix("title: ").map(str::to_owned));
        let mut titles: Vec<String> = self.pages(folder).into_iter().filter_map(title).collect();
        titles.sort();
        titles
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.dir.path().join("repo.git")).args(arguments);
        expect(git)
    }

    pub fn branches(&self) -> Vec<String> {
        let refs = self.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/kubecure"]);
        refs.lines().map(str::to_owned).collect()
    }

    /// What each branch changes, sorted: without the numbers of objects, which differ from commit to commit.
    pub fn diffs(&self) -> Vec<String> {
        let base = self.base();
        let diff = |branch: &String| {
            let diff = self.git(&["diff", "--no-color", &format!("{base}...{branch}")]);
            diff.lines().filter(|line| !line.starts_with("index ")).fold(String::new(), |mut text, line| {
                writeln!(text, "{line}").unwrap();
                text
            })
        };
        let mut diffs: Vec<String> = self.branches().iter().map(diff).collect();
        diffs.sort();
        diffs
    }

    pub fn base(&self) -> String {
        self.git(&["symbolic-ref", "--short", "HEAD"]).trim().to_owned()
    }

    /// Merges every branch into the base as a person would, and gives the work tree.
    pub fn merge_all(&self) -> TempDir {
        let tree = tempfile::tempdir().unwrap();
        let (repo, base) = (self.dir.path().join("repo.git"), self.base());
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=Platform", "-c", "user.email=platform@shop.example", "-C"]).arg(tree.path());
            git.args(arguments);
            expect(git)
        };
        git(&["clone", "--quiet", &repo.display().to_string(), "."]);
        for branch in self.branches() {
            git(&["merge", "--quiet", "--no-ff", "-m", &format!("Merge {branch}"), &format!("origin/{branch}")]);
        }
        git(&["push", "--quiet", "origin", &base]);
        tree
    }
}

/// `kubecure run`, and what it logs.
pub struct Controller {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    reading: Option<JoinHandle<()>>,
}

impl Controller {
    /// Starts it on one namespace. What it is not told to do faster it does as in life.
    pub fn start(bed: &Bed, namespace: &str, forge: &Forge, repo: &Path, more: &[&str]) -> Self {
        let run = bed.kubecure("run").args(&["-n", namespace, "--forge", &forge.argument(), "--repo"]).arg(repo);
        let mut run = run.args(more);
        run.0.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = run.spawn();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (heard, from) = (lines.clone(), BufReader::new(child.stderr.take().unwrap()));
        let reading = thread::spawn(move || {
            for line in from.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                heard.lock().unwrap().push(line);
            }
        });
        Self { child, lines, reading: Some(reading) }
    }

    pub fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    pub fn has_said(&self, is_it: impl Fn(&Value) -> bool) -> bool {
        self.lines.lock().unwrap().iter().any(is_it)
    }

    pub fn wait_for(&mut self, what: &str, patience: Duration, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < patience, "waited in vain for: {what}\n{}", self.text());
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(is_so(), "it ended ({status}) before: {what}\n{}", self.text());
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until it logs such a line.
    pub fn wait_to_say(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) {
        let lines = self.lines.clone();
        self.wait_for(what, PATIENCE, || lines.lock().unwrap().iter().any(&is_it));
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.args([&format!("-{signal}"), &self.child.id().to_string()]);
        expect(kill);
    }

    /// SIGTERM. How long it took, and how it ended.
    pub fn stop(mut self) -> (Duration, ExitStatus) {
        let began = Instant::now();
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        (began.elapsed(), status)
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.reading.take().unwrap().join().unwrap();
        (status, self.text())
    }

    /// What it logged, as a person wants it in a failed test.
    pub fn text(&self) -> String {
        self.lines().iter().fold(String::new(), |mut text, line| {
            let of = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
            match line.as_str() {
                Some(line) => writeln!(text, "{line}").unwrap(),
                None => writeln!(text, "{} {} {} {}", of("level"), of("incident"), of("note"), of("message")).unwrap(),
            }
            text
        })
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
    }
}
