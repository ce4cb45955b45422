//! The real cluster of `tests/cluster`, a namespace of one's own in it, and `kubecure run` against it.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::root;

/// The administrator's kubeconfig of a cluster that `tests/cluster/up` brought up, where there is one; otherwise it is
/// said that the test is skipped.
pub fn kubeconfig() -> Option<PathBuf> {
    let file = std::env::var_os("KUBECURE_TEST_CLUSTER").map(PathBuf::from);
    if file.is_none() {
        println!("skipped: KUBECURE_TEST_CLUSTER is not set (./tests/run brings a cluster up where it can)");
    }
    file
}

/// What kubectl says, if it works.
pub fn kubectl(words: &[&str]) -> Option<String> {
    let output = Command::new(root().join("tests/cluster/kubectl")).args(words).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// Applies manifests.
pub fn apply(manifests: &str) {
    let mut apply = Command::new(root().join("tests/cluster/kubectl"))
        .args(["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    apply.stdin.take().unwrap().write_all(manifests.as_bytes()).unwrap();
    assert!(apply.wait().unwrap().success());
}

/// A namespace that goes away with the test.
pub struct Namespace(pub String);

impl Namespace {
    pub fn new(purpose: &str) -> Self {
        let name = format!("ops-{purpose}-{}", std::process::id());
        apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
        apply(&format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: storefront, namespace: {name}}}}}"));
        Self(name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", &self.0, "--wait=false"]);
    }
}

/// A Deployment that fails as soon as it is applied, without a node or a kubelet, and has one cure.
pub fn deployment(namespace: &str, name: &str) -> String {
    let labels = format!("{{app: {name}}}");
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}, labels: {labels}}}\nspec:\n  \
         selector: {{matchLabels: {labels}}}\n  template:\n    metadata: {{labels: {labels}}}\n    spec:\n      \
         serviceAccountName: storfront\n      containers: [{{name: app, image: \"demo.local/busybox:1.35\"}}]\n"
    )
}

/// A folder of manifests with these Deployments.
pub fn repository(folder: &Path, namespace: &str, names: &[&str]) {
    std::fs::create_dir_all(folder).unwrap();
    for name in names {
        std::fs::write(folder.join(format!("{name}.yaml")), deployment(namespace, name)).unwrap();
    }
}

/// A `kubecure run` that is ended with the test.
pub struct Running {
    pub child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Running {
    /// Starts one whose log goes to a file.
    pub fn start(kubeconfig: &Path, folder: &Path, name: &str, namespace: &str, more: &[&str]) -> Self {
        Self::over(kubeconfig, folder, name, &["-n", namespace], more)
    }

    /// Starts one that looks at what the flags of `scope` say.
    pub fn over(kubeconfig: &Path, folder: &Path, name: &str, scope: &[&str], more: &[&str]) -> Self {
        // Taken and given back: nobody else asks for it in that moment.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = folder.join(format!("{name}.log"));
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("kubecure"));
        command.env_clear().args(["run", "--settle-scale", "0.02"]).args(scope);
        command.arg("--kubeconfig").arg(kubeconfig).arg("--repo").arg(folder.join("repo"));
        command.arg("--forge").arg(format!("local:{}", folder.join("forge").display()));
        command.arg("--listen").arg(address.to_string()).args(more);
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), address, log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// A page, with its status line; empty when nobody answers.
    pub fn page(&self, path: &str) -> String {
        let mut text = String::new();
        let Ok(mut stream) = TcpStream::connect_timeout(&self.address, Duration::from_secs(2)) else { return text };
        // One that is stopped takes connections, and says nothing.
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let _ = stream.read_to_string(&mut text);
        text
    }

    pub fn leads(&self) -> bool {
        self.page("/readyz").contains("this one leads")
    }

    /// Whether it ends in time.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < time {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}

/// Waits until something is so; for long, as nothing here is about being fast.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(90), "not within 90 seconds: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The pull requests of the forge: the workload of each, in the order of their names.
pub fn pull_requests(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder.join("forge/pulls")) else { return Vec::new() };
    let pages = entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "md"));
    let title = |path: PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let title = text.lines().find_map(|line| line.strip_prefix("title:")).unwrap().to_owned();
        title.trim().trim_matches('"').split(':').next().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    let mut titles: Vec<String> = pages.map(title).collect();
    titles.sort();
    titles
}

/// The issues of the forge, whole.
pub fn issues(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder.join("forge/issues")) else { return Vec::new() };
    let pages = entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "md"));
    pages.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Holds the forge's lock: who wants to write waits.
pub fn hold_forge(folder: &Path) -> File {
    let lock = File::options().append(true).create(true).open(folder.join("forge/.kubecure.lock")).unwrap();
    lock.lock().unwrap();
    lock
}
