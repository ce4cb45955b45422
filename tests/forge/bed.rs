//! What the tests stand on: a repository on the forge, a person who works in it, controllers, and requests to publish.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kubecure::adapters::forge::address::{Address, Kind};
use kubecure::adapters::forge::api::Manner;
use kubecure::adapters::forge::{Forge, connect};
use kubecure::adapters::git::remote::{Access, Depth, Door, Limits, Remote, Secret};
use kubecure::adapters::ground::{Base, Plan, RemoteBase};
use kubecure::case::{
    EditedFile, FailureId, Fingerprint, History, Issue, ObjectRef, PullRequest, Receipt, RepoUrl, Request,
};
use kubecure::submit::markdown::hidden;
use kubecure::submit::{BEGIN, END};
use serde_json::{Value, json};

use crate::gitea::Gitea;

pub const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  template:\n    spec:\n      containers:\n        - name: web\n          image: shop/web:1.0.0\n          resources: {limits: {memory: 64Mi}}\n";
pub const A: &str = "aaaaaaaaaaaaaaaa";
pub const B: &str = "bbbbbbbbbbbbbbbb";

/// A repository with a Deployment in it, and a person's clone.
pub struct Shop {
    pub gitea: &'static Gitea,
    pub name: String,
    pub person: tempfile::TempDir,
}

/// One process that has a clone of its own.
pub struct Controller {
    pub base: RemoteBase,
    _clones: tempfile::TempDir,
}

/// Fast, and as patient as a test may be.
pub fn manner() -> Manner {
    let millis = Duration::from_millis;
    Manner {
        gap: millis(0),
        attempts: 3,
        first: millis(20),
        patience: Duration::from_secs(3),
        whole: Duration::from_secs(10),
    }
}

impl Shop {
    pub fn new(gitea: &'static Gitea) -> Self {
        let shop = Self { gitea, name: gitea.repository(), person: tempfile::tempdir().unwrap() };
        let url = gitea.url.replace("http://", &format!("http://bot:{}@", gitea.token));
        shop.git(&["clone", "-q", &format!("{url}/bot/{}.git", shop.name), "."]);
        shop.commit("main", &[("web.yaml", WEB)]);
        shop
    }

    /// What a person does with git in a work tree.
    pub fn git(&self, words: &[&str]) -> String {
        git(self.person.path(), words)
    }

    /// A commit of a person on a branch that is on the forge.
    pub fn commit(&self, branch: &str, files: &[(&str, &str)]) {
        self.git(&["fetch", "-q", "origin"]);
        self.git(&["checkout", "-q", "-B", branch, &format!("origin/{branch}")]);
        for (name, text) in files {
            std::fs::write(self.person.path().join(name), text).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "a person's commit"]);
        self.git(&["push", "-q", "origin", &format!("HEAD:{branch}")]);
    }

    /// A file as the branch has it on the forge.
    pub fn file(&self, branch: &str, name: &str) -> String {
        self.git(&["fetch", "-q", "--prune", "origin"]);
        self.git(&["show", &format!("origin/{branch}:{name}")])
    }

    /// Branches of ours on the forge.
    pub fn branches(&self) -> Vec<String> {
        self.git(&["fetch", "-q", "--prune", "origin"]);
        let all = self.git(&["for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin/kubecure"]);
        all.lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect()
    }

    pub fn at(&self) -> String {
        format!("repos/bot/{}", self.name)
    }

    /// Pull requests in a state: `open`, `closed`, `all`.
    pub fn pulls(&self, state: &str) -> Vec<Value> {
        self.gitea.get(&format!("{}/pulls?state={state}", self.at())).as_array().unwrap().clone()
    }

    pub fn issues(&self, state: &str) -> Vec<Value> {
        self.gitea.get(&format!("{}/issues?type=issues&state={state}", self.at())).as_array().unwrap().clone()
    }

    pub fn comments(&self, number: u64) -> Vec<String> {
        let all = self.gitea.get(&format!("{}/issues/{number}/comments", self.at()));
        all.as_array().unwrap().iter().map(|comment| comment["body"].as_str().unwrap().to_owned()).collect()
    }

    pub fn edit(&self, number: u64, body: &Value) {
        self.gitea.ask("PATCH", &format!("{}/issues/{number}", self.at()), body);
    }

    /// As a person does it, once the forge has seen that it can be.
    pub fn merge(&self, number: u64, way: &str) {
        let path = format!("{}/pulls/{number}", self.at());
        until("it can be merged", || self.gitea.get(&path)["mergeable"] == true);
        until("it is merged", || {
            let (status, _) =
                self.gitea.try_as(&self.gitea.token, "POST", &format!("{path}/merge"), &json!({"Do": way}));
            status == 200
        });
    }

    /// A new process, straight at the forge.
    pub fn controller(&self) -> Controller {
        self.controller_at(&self.gitea.url, &access(&self.gitea.token), manner())
    }

    /// The same, by another address: through a proxy.
    pub fn controller_at(&self, url: &str, access: &Access, manner: Manner) -> Controller {
        let repo = RepoUrl::parse(&format!("{url}/bot/{}.git", self.name)).unwrap();
        let clones = tempfile::tempdir().unwrap();
        let plan = Plan { base: None, depth: Depth(50), every: Duration::from_secs(3600) };
        let remote = Remote::new(repo.clone(), access.clone(), Limits::default());
        let address = Address::new(Kind::Gitea, None, &repo).unwrap();
        let hosted = connect(&address, Door::new(access.clone(), Limits::default()), manner);
        let base = RemoteBase::start(remote, plan, clones.path()).unwrap().on(hosted);
        Controller::new(base, clones)
    }
}

pub fn access(token: &str) -> Access {
    Access { token: Secret::new(token), ..Access::default() }
}

impl Controller {
    pub fn new(base: RemoteBase, clones: tempfile::TempDir) -> Self {
        Self { base, _clones: clones }
    }

    pub fn forge(&self) -> Box<dyn Forge> {
        self.base.forge().unwrap()
    }

    pub fn try_publish(&self, request: &Request) -> anyhow::Result<Receipt> {
        self.forge().publish(request)
    }

    pub fn publish(&self, request: &Request) -> Receipt {
        self.try_publish(request).unwrap()
    }

    pub fn history(&self) -> History {
        self.forge().history().unwrap()
    }
}

/// A request that raises the memory of a workload.
pub fn pull_for(workload: &str, fingerprint: &str, to: &str) -> PullRequest {
    let web = ObjectRef::new("apps/v1", "Deployment", Some("shop"), workload);
    let message = format!(
        "{workload}: raise the memory limit to {to}\n\nIt ran out of memory.\n\n\
         KubeCure-Fix: {fingerprint}\nKubeCure-Case: oom-killed/Deployment/shop/{workload}\n"
    );
    PullRequest {
        branch: format!("kubecure/shop/{workload}/oom-killed-{}", &fingerprint[..8]),
        fingerprint: Fingerprint(fingerprint.to_owned()),
        title: format!("{workload}: raise the memory limit to {to}"),
        body: body(fingerprint, workload, &format!("Raises the limit to {to}.")),
        commit_message: message,
        labels: vec!["kubecure".to_owned(), "kubecure/oom-killed".to_owned()],
        reviewers: Vec::new(),
        draft: false,
        files: vec![EditedFile { path: "web.yaml".to_owned(), after: WEB.replace("64Mi", to), before: WEB.into() }],
        failure: FailureId("oom-killed"),
        workloads: vec![web],
    }
}

pub fn pull(fingerprint: &str, to: &str) -> Request {
    Request::PullRequest(pull_for("web", fingerprint, to))
}

pub fn issue(fingerprint: &str, workloads: &[&str]) -> Request {
    Request::Issue(Issue {
        fingerprint: Fingerprint(fingerprint.to_owned()),
        title: format!("Needs a person: {}", workloads.join(", ")),
        body: body(fingerprint, workloads[0], &format!("{} fail.", workloads.join(", "))),
        labels: vec!["kubecure".to_owned()],
        failure: FailureId("oom-killed"),
        workloads: workloads.iter().map(|name| ObjectRef::new("apps/v1", "Deployment", Some("shop"), name)).collect(),
    })
}

fn body(fingerprint: &str, workload: &str, text: &str) -> String {
    let line = hidden(&json!({
        "v": 1, "fp": fingerprint, "failure": "oom-killed", "workloads": [format!("Deployment shop/{workload}")]
    }));
    format!("{BEGIN}\n{text}\n{line}{END}\n")
}

pub fn git(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "advice.detachedHead=false"]);
    let output = command.args(words).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "git {words:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text.trim_end().to_owned()
}

/// Waits until something is so. Never depends on it being fast.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub fn why(receipt: &Receipt) -> &str {
    match receipt {
        Receipt::Exists { why, .. } | Receipt::Nothing { why } => why,
        other => panic!("something was written: {other:?}"),
    }
}
