//! A cluster that answers: the binary against an API server that speaks what a recording holds, page by page, with
//! rights missing and kinds not served.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::assigning_clones,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use assert_cmd::Command;
use kubecure::adapters::cluster::{KINDS, Kind};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};

/// Fewer than any client asks for, so that every list has pages.
const PAGE: usize = 3;

/// What the server holds, and how it misbehaves.
#[expect(clippy::struct_excessive_bools, reason = "each is a way to misbehave, and they go together as they like")]
#[derive(Default)]
struct Behaviour {
    forbidden: Vec<&'static str>,
    unserved: Vec<&'static str>,
    /// How often a list answers 503 before it works.
    busy: usize,
    /// Whether a list that is continued has expired.
    expires: bool,
    publishes_schema: bool,
    /// Whether every log is longer than anyone asks for.
    logs_much: bool,
    /// Whether pods are not listed but come later, through the third watch: the first has expired, the second breaks
    /// off in the middle of a line.
    pods_come_later: bool,
    /// Whether a watch may begin with everything that is there.
    streams: bool,
    /// Rights to write, and to read Secrets, that the account has although it needs none: `delete pods`.
    too_much: Vec<&'static str>,
    /// What its clock says; else that of the recording.
    clock: Option<jiff::Timestamp>,
    /// What it calls itself; else it does not accept the credentials.
    version: &'static str,
}

struct Server {
    folder: PathBuf,
    objects: BTreeMap<&'static str, Vec<Value>>,
    behaviour: Behaviour,
    date: String,
    busy: Mutex<usize>,
    /// Every request line.
    asked: Mutex<Vec<String>>,
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

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

impl Server {
    /// Serves a recording on a port of its own, for as long as the test runs.
    fn start(folder: &Path, behaviour: Behaviour) -> (Arc<Self>, String) {
        let mut objects: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
        for file in files(folder).iter().filter(|f| f.extension().is_some_and(|e| e == "json")) {
            let list: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
            let items = list["items"].as_array().cloned().unwrap_or_else(|| vec![list.clone()]);
            for mut item in items {
                let Some(kind) = KINDS.iter().find(|k| item["kind"] == k.kind && item["apiVersion"] == k.api_version())
                else {
                    continue;
                };
                // As the API server does it: the list says of what kind its items are, and they do not.
                let map = item.as_object_mut().unwrap();
                map.remove("kind");
                map.remove("apiVersion");
                objects.entry(kind.resource).or_default().push(item);
            }
        }
        let taken = kubecure::adapters::snapshot::read(folder).unwrap().snapshot.taken;
        let taken = behaviour.clock.unwrap_or(taken);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&taken).unwrap();
        let busy = Mutex::new(behaviour.busy);
        let folder = folder.to_owned();
        let server = Arc::new(Self { folder, objects, behaviour, date, busy, asked: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                std::thread::spawn(move || server.connection(stream));
            }
        });
        (server, url)
    }

    fn connection(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let (mut bare, mut length) = (false, 0);
            loop {
                let mut header = String::new();
                if reader.read_line(&mut header).unwrap_or(0) == 0 || header.trim().is_empty() {
                    break;
                }
                bare |= header.contains("PartialObjectMetadataList");
                if let Some((name, value)) = header.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut question = vec![0; length];
            reader.read_exact(&mut question).unwrap();
            self.asked.lock().unwrap().push(line.trim().to_owned());
            if line.contains("watch=true") {
                self.watch(&line, stream);
                return;
            }
            let (status, body) = match line.split(' ').collect::<Vec<_>>()[..] {
                ["GET", target, _] => self.answer(target, bare),
                ["POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", _] => self.review(&question),
                _ => (405, "only GET".to_owned()),
            };
            let (date, length) = (&self.date, body.len());
            let reply = format!("HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {length}\r\n\r\n{body}");
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, target: &str, bare: bool) -> (u16, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        if path == "/version" {
            return match self.behaviour.version {
                "" => status(401, "Unauthorized"),
                version => (200, json!({"major": "1", "gitVersion": version}).to_string()),
            };
        }
        if path.starts_with("/openapi/v3") {
            return if self.behaviour.publishes_schema { schema(path) } else { status(404, "not found") };
        }
        if let Some(log) = path.strip_suffix("/log") {
            return self.log(log, &query);
        }
        for kind in KINDS {
            if path == kind.path(None) {
                return self.list(kind, None, &query, bare);
            }
            let namespace = path.strip_suffix(&format!("/{}", kind.resource)).and_then(|p| p.rsplit('/').next());
            if let Some(namespace) = namespace.filter(|name| path == kind.path(Some(name))) {
                return self.list(kind, Some(namespace), &query, bare);
            }
        }
        status(404, "the server could not find the requested resource")
    }

    /// Whether the account may do what it asks about: read all that is not forbidden, and write what is too much.
    fn review(&self, question: &[u8]) -> (u16, String) {
        let asked: Value = serde_json::from_slice(question).unwrap();
        let asked = &asked["spec"]["resourceAttributes"];
        let word = |key: &str| asked[key].as_str().unwrap().to_owned();
        let (verb, subresource) = (word("verb"), word("subresource"));
        let resource =
            if subresource.is_empty() { word("resource") } else { format!("{}/{subresource}", word("resource")) };
        let is_read = ["get", "list", "watch"].contains(&verb.as_str()) && resource != "secrets";
        let allowed = (is_read && !self.behaviour.forbidden.contains(&resource.as_str()))
            || self.behaviour.too_much.contains(&format!("{verb} {resource}").as_str());
        (201, json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed}}).to_string())
    }

    fn list(&self, kind: &Kind, namespace: Option<&str>, query: &BTreeMap<&str, &str>, bare: bool) -> (u16, String) {
        let mut busy = self.busy.lock().unwrap();
        if *busy > 0 {
            *busy -= 1;
            return status(503, "the server is currently unable to handle the request");
        }
        if self.behaviour.unserved.contains(&kind.resource) {
            return status(404, "the server could not find the requested resource");
        }
        if self.behaviour.forbidden.contains(&kind.resource) {
            let message = format!(
                "{0} is forbidden: User \"system:serviceaccount:kubecure:kubecure\" cannot list resource \"{0}\"",
                kind.resource
            );
            return status(403, &message);
        }
        let start: usize = match query.get("continue") {
            Some(token) if self.behaviour.expires && !token.starts_with("again-") => {
                let body = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old",
                    "metadata": {"continue": format!("again-{token}")}});
                return (410, body.to_string());
            }
            Some(token) => token.trim_start_matches("again-").parse().unwrap(),
            None => 0,
        };
        let later = self.behaviour.pods_come_later && kind.resource == "pods";
        let all = if later { Vec::new() } else { self.objects.get(kind.resource).cloned().unwrap_or_default() };
        let all: Vec<Value> =
            all.into_iter().filter(|o| namespace.is_none_or(|name| o["metadata"]["namespace"] == name)).collect();
        let end = (start + PAGE).min(all.len());
        let rest = if end < all.len() { end.to_string() } else { String::new() };
        let (mut list_kind, mut items) = (format!("{}List", kind.kind), all[start..end].to_vec());
        if bare {
            list_kind = "PartialObjectMetadataList".to_owned();
            for item in &mut items {
                *item = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]});
            }
        }
        let list = json!({"kind": list_kind, "apiVersion": kind.api_version(), "metadata": {"continue": rest, "resourceVersion": "100"}, "items": items});
        (200, list.to_string())
    }

    /// A watch: nothing happens, but for pods that come later.
    fn watch(&self, line: &str, mut stream: TcpStream) {
        let date = &self.date;
        let begins = line.contains("sendInitialEvents=true");
        if begins && !self.behaviour.streams {
            let (status, body) = status(422, "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch");
            let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes());
            return;
        }
        let head = format!("HTTP/1.1 200 X\r\nDate: {date}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut said = head + &chunk(r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"150"}}}"#);
        let mut lasts = true;
        if begins {
            let path = line.split([' ', '?']).nth(1).unwrap();
            let kind = KINDS.iter().find(|kind| kind.path(None) == path).unwrap();
            for object in self.objects.get(kind.resource).into_iter().flatten() {
                said += &chunk(&json!({"type": "ADDED", "object": object}).to_string());
            }
            let end = json!({"resourceVersion": "150", "annotations": {"k8s.io/initial-events-end": "true"}});
            said += &chunk(&json!({"type": "BOOKMARK", "object": {"metadata": end}}).to_string());
        }
        if self.behaviour.pods_come_later && line.contains("/pods?") {
            let asked = self.asked.lock().unwrap();
            let count =
                asked.iter().filter(|l| l.contains("/pods?watch=true") && !l.contains("sendInitialEvents")).count();
            match count {
                1 => {
                    let gone =
                        json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}});
                    said += &(chunk(&gone.to_string()) + "0\r\n\r\n");
                    lasts = false;
                }
                2 => {
                    said += "10\r\n{\"type\":\"ADDED\",\r\n";
                    lasts = false;
                }
                _ => {
                    for pod in &self.objects["pods"] {
                        said += &chunk(&json!({"type": "ADDED", "object": pod}).to_string());
                    }
                }
            }
        }
        let _ = stream.write_all(said.as_bytes());
        // Until who asked goes away.
        if lasts {
            let _ = BufReader::new(stream).read_line(&mut String::new());
        }
    }

    fn log(&self, path: &str, query: &BTreeMap<&str, &str>) -> (u16, String) {
        if self.behaviour.forbidden.contains(&"pods/log") {
            return status(403, "pods \"x\" is forbidden: User \"jane\" cannot get resource \"pods/log\"");
        }
        let parts: Vec<&str> = path.split('/').collect();
        let [.., "namespaces", namespace, "pods", pod] = parts[..] else { return status(404, "no such pod") };
        let previous = if query["previous"] == "true" { ".previous" } else { "" };
        let file = format!("logs/{namespace}/{pod}/{}{previous}.log", query["container"]);
        assert!(query["tailLines"].parse::<usize>().unwrap() <= 2000 && query["timestamps"] == "true");
        match std::fs::read_to_string(self.folder.join(file)) {
            Ok(text) => (200, self.end_of(&text, query)),
            Err(_) if previous.is_empty() => {
                status(400, "container \"app\" in pod \"x\" is waiting to start: PodInitializing")
            }
            Err(_) => status(400, "previous terminated container \"app\" in pod \"x\" not found"),
        }
    }
}

impl Server {
    /// The last lines, and of those the first bytes: a limit of bytes cuts the end, as that of the kubelet does.
    fn end_of(&self, text: &str, query: &BTreeMap<&str, &str>) -> String {
        let noise = "2026-11-24T00:00:00Z ".to_owned() + &"between ".repeat(100) + "\n";
        let text = if self.behaviour.logs_much { noise.repeat(3000) + text } else { text.to_owned() };
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let last = lines[lines.len().saturating_sub(query["tailLines"].parse().unwrap())..].concat();
        last.chars().take(query["limitBytes"].parse().unwrap()).collect()
    }
}

/// A line of a watch, in two pieces: whoever reads must put them together.
fn chunk(line: &str) -> String {
    let line = format!("{line}\n");
    let (one, two) = line.split_at(line.len() / 2);
    format!("{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n", one.len(), two.len())
}

fn status(code: u16, message: &str) -> (u16, String) {
    (code, json!({"kind": "Status", "apiVersion": "v1", "code": code, "message": message}).to_string())
}

/// A Deployment as the API server publishes it, as far as the fields of these tests go.
fn schema(path: &str) -> (u16, String) {
    if path == "/openapi/v3" {
        let apps = "/openapi/v3/apis/apps/v1?hash=1";
        return (200, json!({"paths": {"apis/apps/v1": {"serverRelativeURL": apps}}}).to_string());
    }
    let quantities =
        json!({"type": "object", "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "number"}]}});
    let container = json!({"type": "object", "properties": {"name": {"type": "string"},
        "resources": {"type": "object", "properties": {"limits": quantities, "requests": quantities}}}});
    let template = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "containers": {"type": "array", "items": container}}}}});
    let document = json!({"components": {"schemas": {"Deployment": {"type": "object",
        "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}],
        "properties": {"spec": {"type": "object", "properties": {"template": template}}}}}}});
    (200, document.to_string())
}

/// A kubeconfig for the server, whose context names a namespace.
fn kubeconfig(folder: &Path, url: &str, namespace: &str) -> PathBuf {
    let path = folder.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts:\n- name: test\n  context: {{cluster: test, user: test, namespace: {namespace}}}\nclusters:\n- name: test\n  cluster: {{server: \"{url}\"}}\nusers:\n- name: test\n  user: {{token: not-a-secret}}\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn kubecure() -> Command {
    let mut command = Command::cargo_bin("kubecure").unwrap();
    command.env_clear().env("NO_COLOR", "1").env("TZ", "UTC");
    command
}

fn live(verb: &[&str], config: &Path, repo: &Path) -> Command {
    let mut command = kubecure();
    command.args(verb).arg("--kubeconfig").arg(config).arg("--repo").arg(repo);
    command
}

fn recorded(folder: &Path, repo: &Path) -> Value {
    let mut command = kubecure();
    command.args(["scan", "-o", "json", "--snapshot"]).arg(folder).arg("--repo").arg(repo);
    json_of(&mut command)
}

fn json_of(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// What two looks at one cluster must agree on: all but the clock, which the API server tells in whole seconds, and
/// what only a live cluster can check.
fn essence(mut found: Value) -> Value {
    let map = found.as_object_mut().unwrap();
    map.retain(|key, _| ["findings", "proposals", "declined"].contains(&key.as_str()));
    for proposal in map["proposals"].as_array_mut().unwrap() {
        proposal.as_object_mut().unwrap().remove("unchecked");
    }
    found
}

#[test]
fn a_live_cluster_and_its_recording_give_the_same_findings() {
    for (folder, repo) in
        [shop(), capture("oomkilled"), capture("hpa-target"), capture("healthy"), capture("quota-exceeded")]
    {
        let temp = tempfile::tempdir().unwrap();
        let (server, url) = Server::start(&folder, Behaviour::default());
        let config = kubeconfig(temp.path(), &url, "default");
        let found = json_of(live(&["scan", "-A", "-o", "json"], &config, &repo).env("KUBECONFIG", "elsewhere"));
        assert_eq!(essence(found), essence(recorded(&folder, &repo)), "{}", folder.display());
        for line in server.asked.lock().unwrap().iter() {
            assert!(line.starts_with("GET ") && !line.contains("secret"), "{line}");
        }
    }
}

#[test]
fn of_a_log_that_is_too_long_the_end_is_read() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, repo) = capture("env-missing");
    let (server, url) = Server::start(&folder, Behaviour { logs_much: true, ..Behaviour::default() });
    let config = kubeconfig(temp.path(), &url, "demo");
    let found = json_of(&mut live(&["scan", "-o", "json"], &config, &repo));
    assert_eq!(found["proposals"][0]["diff"], recorded(&folder, &repo)["proposals"][0]["diff"]);
    assert!(found["proposals"][0]["diff"].is_string(), "{found}");
    assert!(server.asked.lock().unwrap().iter().any(|line| line.contains("tailLines=200&")));
}

#[test]
fn what_may_not_be_read_is_named_and_what_is_not_served_is_not_missed() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, repo) = shop();
    let behaviour = Behaviour {
        forbidden: vec!["events", "pods/log"],
        unserved: vec!["horizontalpodautoscalers", "ingresses"],
        ..Behaviour::default()
    };
    let (_, url) = Server::start(&folder, behaviour);
    let config = kubeconfig(temp.path(), &url, "shop");
    let scan = live(&["scan"], &config, &repo).assert().code(1).stdout(contains(
        "warning: events in shop: cannot be listed: the ServiceAccount kubecure/kubecure may not; add get,",
    ));
    scan.stdout(
        contains("warning: logs in shop: cannot be read: the user jane may not; add get on pods/log")
            .and(contains("horizontalpodautoscalers").not())
            .and(contains("error[oom-killed]")),
    );
}

#[test]
fn a_server_that_lets_nothing_be_read_is_no_healthy_cluster() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, repo) = shop();
    let forbidden = KINDS.iter().map(|kind| kind.resource).collect();
    let (_, url) = Server::start(&folder, Behaviour { forbidden, ..Behaviour::default() });
    let config = kubeconfig(temp.path(), &url, "shop");
    let said = live(&["scan", "-A"], &config, &repo).assert().code(3).stdout("");
    said.stderr(contains("may be read").and(contains("Hint: deploy/rbac.yaml")));
}

#[test]
fn a_busy_server_and_lists_that_expire_cost_patience_and_no_object() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, repo) = shop();
    let (_, url) = Server::start(&folder, Behaviour { busy: 2, expires: true, ..Behaviour::default() });
    let config = kubeconfig(temp.path(), &url, "shop");
    let found = json_of(&mut live(&["scan", "-n", "shop", "-o", "json"], &config, &repo));
    assert_eq!(essence(found.clone()), essence(recorded(&folder, &repo)));
    assert_eq!(found["warnings"], json!([]), "nothing was left out");
}

#[test]
fn only_the_namespace_that_is_meant_is_read() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, repo) = shop();
    let (server, url) = Server::start(&folder, Behaviour::default());
    let config = kubeconfig(temp.path(), &url, "default");
    let scan = live(&["scan"], &config, &repo).assert().code(0);
    scan.stdout(contains("No failures").and(contains("next: kubecure scan -A --kubeconfig")));
    assert!(server.asked.lock().unwrap().iter().any(|line| line.contains("/api/v1/namespaces/default/pods?limit=")));
    let missing = live(&["scan", "-n", "shoop"], &config, &repo).assert().code(2);
    missing.stderr(contains("there is no namespace shoop").and(contains("shop")));
    live(&["scan", "-n", "a/b"], &config, &repo).assert().code(2).stderr(contains("is no name of a namespace"));
}

#[test]
fn a_cluster_that_cannot_be_reached_is_exit_code_three_and_no_kubeconfig_two() {
    let temp = tempfile::tempdir().unwrap();
    let (_, repo) = shop();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = kubeconfig(temp.path(), &format!("http://{closed}"), "shop");
    let refused = live(&["scan"], &config, &repo).assert().code(3);
    refused.stderr(contains("does not answer: Connection refused").and(contains("Hint: ")));
    let other = live(&["scan", "--context", "nonsense"], &config, &repo).assert().code(2);
    other.stderr(contains("has no context nonsense").and(contains("it has test")));
    let none = temp.path().join("none");
    live(&["scan"], &none, &repo).assert().code(2).stderr(contains("there is no kubeconfig at"));
    let mut bare = kubecure();
    bare.arg("scan").env("HOME", temp.path()).current_dir(temp.path());
    bare.assert().code(2).stderr(contains("no kubeconfig was found").and(contains("--snapshot DIR")));
    std::fs::write(&none, "users: [{name: x, user: {token: hunter2-token\n").unwrap();
    let broken = live(&["scan"], &none, &repo).assert().code(2);
    broken.stderr(contains("is no kubeconfig that can be read").and(contains("hunter2").not()));
}

#[test]
fn a_live_cluster_is_cured_as_its_recording_is() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, repo) = shop();
    let (_, url) = Server::start(&folder, Behaviour::default());
    let config = kubeconfig(temp.path(), &url, "shop");
    let opened = |name: &str, command: &mut Command| {
        let forge = temp.path().join(name);
        command.arg("--repo").arg(&repo).arg("--forge").arg(format!("local:{}", forge.display())).assert().code(0);
        ["pulls", "issues"].map(|kind| files(&forge.join(kind)).len())
    };
    let live = opened("live", kubecure().args(["cure", "--all", "--kubeconfig"]).arg(&config));
    let recorded = opened("recorded", kubecure().args(["cure", "--all", "--snapshot"]).arg(&folder));
    assert!(live[0] > 0 && live == recorded, "{live:?} and {recorded:?}");
}

#[test]
fn a_proposal_is_checked_against_the_schema_that_the_server_publishes() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, repo) = capture("oomkilled");
    let asks = [(true, "valid against the schema of the API server"), (false, "the schema of the API server: ")];
    for (publishes_schema, says) in asks {
        let (_, url) = Server::start(&folder, Behaviour { publishes_schema, ..Behaviour::default() });
        let config = kubeconfig(temp.path(), &url, "demo");
        live(&["cure", "--all", "--dry-run"], &config, &repo).assert().code(0).stdout(contains(says));
    }
}

#[test]
fn a_snapshot_that_is_written_is_scanned_the_same_and_holds_no_secret() {
    for (folder, repo) in [shop(), capture("log-with-secret"), capture("missing-secret-key"), capture("hpa-target")] {
        let temp = tempfile::tempdir().unwrap();
        let (_, url) = Server::start(&folder, Behaviour { unserved: vec!["ingresses"], ..Behaviour::default() });
        let config = kubeconfig(temp.path(), &url, "default");
        let dir = temp.path().join("written");
        let snapshot = || {
            let mut command = kubecure();
            command.args(["snapshot", "--kubeconfig"]).arg(&config).arg(&dir);
            command
        };
        snapshot().args(["-n", "shoop"]).assert().code(2);
        assert!(!dir.exists(), "what was given up is taken away");
        snapshot().arg("-A").assert().code(0).stdout(contains("next: kubecure scan --snapshot"));
        snapshot().arg("-A").assert().code(2).stderr(contains("is not empty"));
        let found = json_of(&mut live(&["scan", "-A", "-o", "json"], &config, &repo));
        assert_eq!(essence(recorded(&dir, &repo)), essence(found), "{}", folder.display());
        for file in files(&dir) {
            let text = std::fs::read_to_string(&file).unwrap();
            for word in
                ["hunter2", "eyJhbGciOiJIUzI1NiJ9", "managedFields", "last-applied-configuration", "not-a-secret"]
            {
                assert!(!text.contains(word), "{word} in {}", file.display());
            }
        }
        assert!(dir.join("snapshot.yaml").exists() && !dir.join("ingresses.json").exists());
    }
}

fn run(config: &Path, repo: &Path, forge: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("kubecure"));
    command.env_clear().arg("run").arg("--kubeconfig").arg(config).arg("--repo").arg(repo);
    command.arg("--forge").arg(format!("local:{}", forge.display())).args(["--settle-scale", "0.02"]);
    command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    command
}

fn opened(forge: &Path) -> Vec<PathBuf> {
    let of = |kind| if forge.join(kind).exists() { files(&forge.join(kind)) } else { Vec::new() };
    let mut all = [of("pulls"), of("issues")].concat();
    all.retain(|file| file.extension().is_some_and(|e| e == "md"));
    all.sort();
    all
}

/// The titles of what was opened, sorted.
fn titles(forge: &Path) -> Vec<String> {
    let title = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().find(|line| line.starts_with("title:")).unwrap().to_owned()
    };
    let mut all: Vec<String> = opened(forge).iter().map(title).collect();
    all.sort();
    all
}

#[test]
fn one_pass_over_a_watched_cluster_opens_what_cure_opens_and_a_second_opens_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, repo) = shop();
    let (server, url) = Server::start(&folder, Behaviour { unserved: vec!["ingresses"], ..Behaviour::default() });
    let config = kubeconfig(temp.path(), &url, "default");
    let (by_cure, by_run) = (temp.path().join("cure"), temp.path().join("run"));
    let mut cure = live(&["cure", "--all", "-A"], &config, &repo);
    cure.arg("--forge").arg(format!("local:{}", by_cure.display())).assert().code(0);
    let first = run(&config, &repo, &by_run).arg("--once").output().unwrap();
    let said = String::from_utf8(first.stderr).unwrap();
    assert!(first.status.success(), "{said}");
    assert!(!titles(&by_run).is_empty() && titles(&by_run) == titles(&by_cure), "{said}");
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    let before = opened(&by_run);
    let again = run(&config, &repo, &by_run).arg("--once").output().unwrap();
    assert!(again.status.success());
    assert_eq!(opened(&by_run), before, "{}", String::from_utf8_lossy(&again.stderr));
    for line in server.asked.lock().unwrap().iter() {
        assert!(line.starts_with("GET ") && !line.contains("secret"), "{line}");
    }
}

#[test]
fn a_server_that_begins_watches_with_everything_is_not_listed() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, repo) = shop();
    let behaviour = Behaviour { streams: true, ..Behaviour::default() };
    let (server, url) = Server::start(&folder, behaviour);
    let config = kubeconfig(temp.path(), &url, "default");
    let (by_cure, by_run) = (temp.path().join("cure"), temp.path().join("run"));
    let mut cure = live(&["cure", "--all", "-A"], &config, &repo);
    cure.arg("--forge").arg(format!("local:{}", by_cure.display())).assert().code(0);
    server.asked.lock().unwrap().clear();
    let output = run(&config, &repo, &by_run).arg("--once").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!titles(&by_run).is_empty());
    assert_eq!(titles(&by_run), titles(&by_cure));
    let asked = server.asked.lock().unwrap();
    let lists: Vec<&String> = asked.iter().filter(|line| line.contains("limit=")).collect();
    assert!(lists.is_empty(), "{lists:?}");
}

#[cfg(unix)]
#[test]
fn a_watch_that_expires_and_one_that_breaks_off_cost_nothing_and_a_signal_ends_it() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, repo) = capture("oomkilled");
    let (server, url) = Server::start(&folder, Behaviour { pods_come_later: true, ..Behaviour::default() });
    let (config, forge) = (kubeconfig(temp.path(), &url, "default"), temp.path().join("forge"));
    let mut running = run(&config, &repo, &forge).spawn().unwrap();
    let began = std::time::Instant::now();
    while opened(&forge).is_empty() && began.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let found = opened(&forge);
    let ending = std::time::Instant::now();
    std::process::Command::new("kill").arg(running.id().to_string()).status().unwrap();
    let status = running.wait().unwrap();
    assert!(status.success() && ending.elapsed().as_secs() < 5, "{status} after {:?}", ending.elapsed());
    assert_eq!(found.len(), 1);
    let asked = server.asked.lock().unwrap();
    let asked: Vec<&String> =
        asked.iter().filter(|line| line.contains("/pods?") && !line.contains("sendInitialEvents")).collect();
    let is_list = |line: &&String| line.contains("limit=");
    assert!(is_list(&asked[0]) && asked[1].contains("resourceVersion=100&"), "{asked:?}");
    assert!(is_list(&asked[2]) && asked[3].contains("resourceVersion=100&"), "410 Gone: list again: {asked:?}");
    assert!(asked[4].contains("resourceVersion=150&") && asked.len() == 5, "it goes on where it was: {asked:?}");
}

#[test]
fn what_cannot_be_run_is_said_at_the_start() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, repo) = shop();
    let (_, url) = Server::start(&folder, Behaviour::default());
    let config = kubeconfig(temp.path(), &url, "shop");
    let refused = |command: &mut Command, says: &'static str| {
        command.assert().code(2).stderr(contains(says).and(contains("Hint: ")));
    };
    refused(live(&["run", "--once", "--forge", "bitkeeper"], &config, &repo).env("A", "b"), "names no forge");
    let forge = format!("local:{}", temp.path().join("forge").display());
    refused(live(&["run", "-n", "a/b", "--forge", &forge], &config, &repo).env("A", "b"), "is no name of a namespace");
}

/// What `doctor` says, and its exit code.
fn doctor(config: &Path, repo: &Path, flags: &[&str]) -> (i32, Value) {
    let output = live(&["doctor", "-o", "json"], config, repo).args(flags).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("not-a-secret"), "no token is ever printed: {text}");
    (output.status.code().unwrap(), serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")))
}

fn check<'v>(said: &'v Value, about: &str) -> (&'v str, String) {
    let all = said["checks"].as_array().unwrap();
    let found = all.iter().find(|check| check["check"] == about).unwrap_or_else(|| panic!("no {about}: {said:#}"));
    let next: Vec<&str> = found["next"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    (found["state"].as_str().unwrap(), format!("{}\n{}", found["text"].as_str().unwrap(), next.join("\n")))
}

/// A folder with a manifest, committed.
fn small_repo(folder: &Path) -> PathBuf {
    let path = folder.join("repo");
    let repo = git2::Repository::init_opts(&path, git2::RepositoryInitOptions::new().initial_head("main")).unwrap();
    std::fs::copy(root().join("example-gitops-repo/apps/web/deployment.yaml"), path.join("web.yaml")).unwrap();
    let mut index = repo.index().unwrap();
    index.add_path(Path::new("web.yaml")).unwrap();
    let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
    let person = git2::Signature::now("A Person", "person@shop.example").unwrap();
    repo.commit(Some("HEAD"), &person, &person, "first", &tree, &[]).unwrap();
    path
}

#[test]
fn doctor_finds_nothing_wrong_where_nothing_is_and_only_looks() {
    let temp = tempfile::tempdir().unwrap();
    let behaviour = Behaviour { clock: Some(jiff::Timestamp::now()), version: "v1.36.3", ..Behaviour::default() };
    let (server, url) = Server::start(&shop().0, behaviour);
    let config = kubeconfig(temp.path(), &url, "shop");
    let (repo, forge) = (small_repo(temp.path()), temp.path().join("new/forge"));
    let before = files(temp.path());
    let (code, said) = doctor(&config, &repo, &["-A", "--forge", &format!("local:{}", forge.display())]);
    assert_eq!((code, &said["warnings"], &said["failures"]), (0, &json!(0), &json!(0)), "{said:#}");
    assert!(check(&said, "kubeconfig").1.contains("context test of "));
    assert!(check(&said, "api server").1.contains("v1.36.3 answers; 1.23 to 1.36 are supported"));
    assert!(
        check(&said, "rights")
            .1
            .contains(&format!("all {} kinds that are read, and logs, in all namespaces", KINDS.len()))
    );
    assert!(check(&said, "repository").1.contains("base branch is main"));
    assert_eq!(files(temp.path()), before, "nothing is made");
    assert!(!forge.parent().unwrap().exists());
    let asked = server.asked.lock().unwrap();
    let posts = asked.iter().filter(|line| !line.starts_with("GET "));
    assert!(posts.clone().count() > 0 && posts.clone().all(|line| line.contains("/selfsubjectaccessreviews ")));
    assert!(asked.iter().all(|line| !line.contains("/pods") && !line.contains("/secrets")), "{asked:?}");
}

#[test]
fn doctor_names_the_rule_that_is_missing_and_the_rights_that_are_too_many() {
    let temp = tempfile::tempdir().unwrap();
    let forbidden = vec!["events", "nodes", "pods/log"];
    let too_much = vec!["delete pods", "get secrets", "create pods/exec"];
    let behaviour = Behaviour {
        forbidden,
        too_much,
        clock: Some(jiff::Timestamp::now()),
        version: "v1.36.3",
        ..Behaviour::default()
    };
    let (_, url) = Server::start(&shop().0, behaviour);
    let config = kubeconfig(temp.path(), &url, "shop");
    let repo = small_repo(temp.path());
    let (code, said) = doctor(&config, &repo, &["-A"]);
    let (state, text) = check(&said, "rights");
    assert_eq!((code, state), (1, "fail"), "{text}");
    for rule in ["  resources: [events, nodes]\n  verbs: [get, list, watch]", "  resources: [pods/log]\n  verbs: [get]"]
    {
        assert!(text.contains(rule), "{text}");
    }
    let (state, text) = check(&said, "least rights");
    assert_eq!(state, "warn");
    assert!(text.contains("may also delete pods; create pods/exec; get secrets"), "{text}");
}

#[test]
fn doctor_tells_a_server_that_does_not_answer_from_one_that_refuses() {
    let temp = tempfile::tempdir().unwrap();
    let repo = small_repo(temp.path());
    let (_, url) = Server::start(&shop().0, Behaviour::default());
    let config = kubeconfig(temp.path(), &url, "shop");
    let (code, said) = doctor(&config, &repo, &[]);
    assert_eq!(code, 1);
    assert!(check(&said, "api server").1.contains("does not accept the credentials"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = kubeconfig(temp.path(), &format!("http://{closed}"), "shop");
    let (code, said) = doctor(&config, &repo, &[]);
    assert_eq!((code, check(&said, "api server").0), (3, "fail"));
    assert_eq!(check(&said, "manifests").0, "ok", "the rest is looked at all the same");
    live(&["doctor", "-n", "a/b"], &config, &repo).assert().code(2);
    live(&["doctor", "--forge", "hub"], &config, &repo).assert().code(2).stderr(contains("local:DIR was expected"));
    let (code, said) = doctor(&temp.path().join("none"), &repo, &[]);
    assert_eq!((code, check(&said, "kubeconfig").0), (1, "fail"));
}

#[test]
fn doctor_names_an_old_server_a_wrong_clock_and_what_is_broken_in_git_and_forge() {
    let temp = tempfile::tempdir().unwrap();
    let (_, url) = Server::start(&shop().0, Behaviour { version: "v1.22.17", ..Behaviour::default() });
    let config = kubeconfig(temp.path(), &url, "shop");
    let (repo, forge) = (temp.path().join("plain"), temp.path().join("forge"));
    std::fs::create_dir_all(repo.join(".kubecure")).unwrap();
    std::fs::write(repo.join(".kubecure/policy.yaml"), "kind: HealingPolicy\nspec: {nonsense: 1}\n").unwrap();
    std::fs::write(repo.join("broken.yaml"), "a: [1\n").unwrap();
    let good = small_repo(temp.path());
    let mut clone = git2::build::RepoBuilder::new();
    clone.bare(true).clone(good.to_str().unwrap(), &forge.join("repo.git")).unwrap();
    std::fs::create_dir_all(forge.join("pulls")).unwrap();
    std::fs::write(forge.join("pulls/7.md"), "no front matter\n").unwrap();
    let (code, said) = doctor(&config, &repo, &["--forge", &format!("local:{}", forge.display())]);
    assert_eq!(code, 1);
    for (about, state, text) in [
        ("api server", "fail", "1.23 to 1.36 are supported"),
        ("clock", "fail", "the API server"),
        ("repository", "warn", "is in no Git repository"),
        ("manifests", "fail", "no Kubernetes object"),
        ("policy", "fail", "problem"),
        ("forge", "fail", "pulls/7.md: front matter"),
    ] {
        let (is, says) = check(&said, about);
        assert_eq!(is, state, "{about}: {says}");
        assert!(says.contains(text), "{about}: {says}");
    }
    let bare = doctor(&config, &forge.join("repo.git"), &[]).1;
    assert!(check(&bare, "repository").1.contains("it has no files to read; give --rev main"), "{bare:#}");
    let empty = temp.path().join("empty.git");
    git2::Repository::init_bare(&empty).unwrap();
    let empty = doctor(&config, &empty, &[]).1;
    assert!(check(&empty, "repository").1.contains("no base branch"), "{empty:#}");
}
