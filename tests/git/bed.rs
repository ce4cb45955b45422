//! What the tests stand on: a repository with manifests, a clone folder, and requests to publish.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kubecure::adapters::git::mirror::Mirror;
use kubecure::adapters::git::remote::{Access, Depth, Limits, Remote, Secret};
use kubecure::adapters::ground::{Plan, RemoteBase};
use kubecure::case::{EditedFile, FailureId, Fingerprint, ObjectRef, PullRequest, RepoUrl, Request};

use crate::server::{Server, git};

/// What is committed in the beginning.
pub const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  template:\n    spec:\n      containers:\n        - name: web\n          image: shop/web:1.0.0\n          resources: {limits: {memory: 64Mi}}\n";

/// A repository on a server, and a person who works in it.
pub struct Bed {
    pub server: Server,
    pub clones: tempfile::TempDir,
    pub limits: Limits,
    pub access: Access,
    pub person_folder: tempfile::TempDir,
}

impl Bed {
    /// A repository `shop.git` with ten commits.
    pub fn new() -> Self {
        let server = Server::start();
        let bare = server.path("shop.git");
        git(server.root.path(), &["init", "-q", "--bare", "shop.git"]);
        for (key, value) in [("http.receivepack", "true"), ("uploadpack.allowFilter", "true")] {
            git(&bare, &["config", key, value]);
        }
        let person = tempfile::tempdir().unwrap();
        git(person.path(), &["init", "-q"]);
        git(person.path(), &["remote", "add", "origin", bare.to_str().unwrap()]);
        let access = Access { ca_file: Some(server.ca_file.clone()), ..Access::default() };
        let clones = tempfile::tempdir().unwrap();
        let bed = Self { server, clones, limits: Limits::default(), access, person_folder: person };
        for number in 0..10 {
            bed.commit(&[("web.yaml", WEB), ("count.yaml", &format!("# {number}\n"))]);
        }
        bed
    }

    /// Files as a person commits and pushes them. Returns the commit.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            std::fs::write(self.person_folder.path().join(name), text).unwrap();
        }
        self.person(&["add", "-A"]);
        self.person(&["commit", "-q", "--allow-empty", "-m", "a person's commit"]);
        self.person(&["push", "-q", "--force", "origin", "HEAD:main"]);
        self.person(&["rev-parse", "HEAD"])
    }

    /// What a person does with git in a work tree.
    pub fn person(&self, words: &[&str]) -> String {
        git(self.person_folder.path(), words)
    }

    /// What git says in the repository on the server.
    pub fn on_server(&self, words: &[&str]) -> String {
        git(&self.server.path("shop.git"), words)
    }

    /// Branches of ours on the server.
    pub fn branches(&self) -> Vec<String> {
        let all = self.on_server(&["for-each-ref", "--format=%(refname:short)", "refs/heads/kubecure"]);
        all.lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect()
    }

    pub fn url(&self) -> String {
        format!("{}/shop.git", self.server.url)
    }

    pub fn remote(&self, url: &str) -> Remote {
        Remote::new(RepoUrl::parse(url).unwrap(), self.access.clone(), self.limits)
    }

    pub fn mirror(&self) -> Mirror {
        self.mirror_of(&self.url())
    }

    pub fn mirror_of(&self, url: &str) -> Mirror {
        Mirror::new(self.remote(url), None, Depth(3), self.clones.path())
    }

    /// As `kubecure run` has it, asking every so often.
    pub fn base(&self, every: Duration) -> anyhow::Result<RemoteBase> {
        RemoteBase::start(self.remote(&self.url()), plan(every), self.clones.path())
    }

    /// With a token that the server wants.
    pub fn with_token(mut self, token: &str) -> Self {
        self.server.want_token(token);
        self.access.token = Secret::new(token);
        self
    }

    /// The one clone that is in the folder.
    pub fn clone_folder(&self) -> PathBuf {
        let mut all = std::fs::read_dir(self.clones.path()).unwrap();
        let found = all.next().unwrap().unwrap().path();
        assert!(all.next().is_none(), "one repository, one folder");
        found
    }
}

pub fn plan(every: Duration) -> Plan {
    Plan { base: None, depth: Depth(3), every }
}

/// An hour: in these tests nobody fetches unless told to.
pub const NEVER: Duration = Duration::from_secs(3600);

/// A request that raises the memory of `web`, with a fingerprint of its own.
pub fn pull(fingerprint: &str, to: &str) -> Request {
    let workload = ObjectRef::new("apps/v1", "Deployment", Some("shop"), "web");
    let message = format!(
        "web: raise the memory limit to {to}\n\nIt ran out of memory.\n\n\
         KubeCure-Fix: {fingerprint}\nKubeCure-Case: oom-killed/Deployment/shop/web\n"
    );
    let before = WEB.to_owned();
    Request::PullRequest(PullRequest {
        branch: format!("kubecure/shop/web/oom-killed-{}", &fingerprint[..8]),
        fingerprint: Fingerprint(fingerprint.to_owned()),
        title: format!("web: raise the memory limit to {to}"),
        body: String::new(),
        commit_message: message,
        labels: Vec::new(),
        reviewers: Vec::new(),
        draft: false,
        files: vec![EditedFile {
            path: "web.yaml".to_owned(),
            after: before.replace("64Mi", to),
            before: before.into(),
        }],
        failure: FailureId("oom-killed"),
        workloads: vec![workload],
    })
}

/// Waits until something is so. Never depends on it being fast.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
