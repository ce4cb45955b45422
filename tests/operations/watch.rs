//! What a watch meets in its life, on a real cluster: a connection that dies without a word, rights that go and come
//! back, an account of a few namespaces, owners of kinds that nobody told KubeCure of.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use kubecure::adapters::cluster::KINDS;
use serde_json::{Value, json};

use super::cluster::{
    Namespace, Running, apply, deployment, issues, kubeconfig, kubectl, pull_requests, repository, until,
};

/// Connections through the middle, which can fall silent or be cut.
struct Proxy {
    address: SocketAddr,
    links: Arc<Mutex<Vec<Arc<Link>>>>,
}

struct Link {
    is_silent: AtomicBool,
    ends: [TcpStream; 2],
}

impl Proxy {
    fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, links) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let all = Arc::clone(&links);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let link = Arc::new(Link { is_silent: AtomicBool::new(false), ends: [client, server] });
                all.lock().unwrap().push(Arc::clone(&link));
                for from in [0, 1] {
                    let link = Arc::clone(&link);
                    thread::spawn(move || link.carry(from));
                }
            }
        });
        Self { address, links }
    }

    /// What is open stays open, and nothing comes through any more: as when a router forgets it.
    fn silence(&self) -> usize {
        let links = self.links.lock().unwrap();
        links.iter().for_each(|link| link.is_silent.store(true, Ordering::SeqCst));
        links.len()
    }

    fn cut(&self) {
        for link in self.links.lock().unwrap().drain(..) {
            for end in &link.ends {
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Link {
    fn carry(&self, from: usize) {
        let (mut from, mut to) = (&self.ends[from], &self.ends[1 - from]);
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            while self.is_silent.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_secs(1));
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// The administrator's kubeconfig, as data.
fn config() -> Value {
    serde_json::from_str(&kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]).unwrap()).unwrap()
}

fn server(config: &Value) -> SocketAddr {
    let url = config["clusters"][0]["cluster"]["server"].as_str().unwrap();
    url.trim_start_matches("https://").parse().unwrap()
}

/// Writes a kubeconfig: another address, another account.
fn write(folder: &Path, mut config: Value, address: Option<SocketAddr>, token: Option<String>) -> PathBuf {
    if let Some(address) = address {
        config["clusters"][0]["cluster"]["server"] = json!(format!("https://{address}"));
    }
    if let Some(token) = token {
        config["users"][0]["user"] = json!({"token": token.trim()});
    }
    let path = folder.join("kubeconfig");
    fs::write(&path, config.to_string()).unwrap();
    path
}

/// The rights to read every kind that is read but these.
fn rules(without: &[&str]) -> Vec<Value> {
    let kinds = KINDS.iter().filter(|kind| !without.contains(&kind.resource));
    let read = ["get", "list", "watch"];
    let of = |group: &str, resource: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": read});
    kinds.map(|kind| of(kind.group, kind.resource)).chain([of("", "pods/log")]).collect()
}

fn object(api_version: &str, kind: &str, namespace: Option<&str>, name: &str, rest: &Value) -> String {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    for (key, value) in rest.as_object().unwrap() {
        object[key] = value.clone();
    }
    format!("{object}\n---\n")
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// An account in a namespace, and a token of it.
fn account(namespace: &str) -> String {
    apply(&object("v1", "ServiceAccount", Some(namespace), "reader", &json!({})));
    kubectl(&["-n", namespace, "create", "token", "reader", "--duration=1h"]).unwrap()
}

/// Lets the account of a namespace have a Role, or a `ClusterRole` where no namespace is given, of its own.
fn grant(of: &str, within: Option<&str>, rules: &[Value]) {
    let (role, binding) =
        if within.is_some() { ("Role", "RoleBinding") } else { ("ClusterRole", "ClusterRoleBinding") };
    let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": of});
    let subject = json!({"kind": "ServiceAccount", "namespace": of, "name": "reader"});
    let bound = json!({"roleRef": reference, "subjects": [subject]});
    apply(&(object(RBAC, role, within, of, &json!({"rules": rules})) + &object(RBAC, binding, within, of, &bound)));
}

/// Objects of the cluster's own scope that go away with the test.
struct Removed(Vec<String>);

impl Drop for Removed {
    fn drop(&mut self) {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        kubectl(&[&["delete", "--ignore-not-found", "--wait=false"][..], &names].concat());
    }
}

fn is_ready(running: &Running) -> bool {
    running.page("/readyz").starts_with("HTTP/1.1 200")
}

#[test]
fn a_connection_that_dies_without_a_word_is_replaced() {
    if kubeconfig().is_none() {
        return;
    }
    let (temp, namespace) = (tempfile::tempdir().unwrap(), Namespace::new("dead"));
    repository(&temp.path().join("repo"), &namespace.0, &["one"]);
    let proxy = Proxy::before(server(&config()));
    let through = write(temp.path(), config(), Some(proxy.address), None);
    let running = Running::start(&through, temp.path(), "a", &namespace.0, &[]);
    until("it is ready", || is_ready(&running));
    assert!(proxy.silence() > 0);
    apply(&deployment(&namespace.0, "one"));
    // Within a minute; without asking the connection it would be five. Nobody tells the process what happened.
    until("a pull request", || pull_requests(temp.path()) == ["one"]);
    assert_eq!(issues(temp.path()), Vec::<String>::new());
}

#[test]
fn a_right_that_is_taken_away_is_named_and_may_come_back() {
    if kubeconfig().is_none() {
        return;
    }
    let (temp, namespace) = (tempfile::tempdir().unwrap(), Namespace::new("right"));
    let of = namespace.0.as_str();
    let _removed = Removed(vec![format!("clusterrole/{of}"), format!("clusterrolebinding/{of}")]);
    repository(&temp.path().join("repo"), of, &["one", "two"]);
    let proxy = Proxy::before(server(&config()));
    let token = account(of);
    grant(of, None, &rules(&[]));
    let through = write(temp.path(), config(), Some(proxy.address), Some(token));
    let running = Running::start(&through, temp.path(), "a", of, &[]);
    let refused =
        |kind: &str, is: u8| running.page("/metrics").contains(&format!("_refused{{kind=\"{kind}\"}} {is}\n"));
    until("it is ready", || is_ready(&running));
    assert!(refused("ConfigMap", 0), "{}", running.page("/metrics"));

    grant(of, None, &rules(&["configmaps"]));
    // A watch that is open stays open; what is asked anew is refused.
    until("the right is missed", || {
        proxy.cut();
        thread::sleep(Duration::from_secs(1));
        refused("ConfigMap", 1)
    });
    until("it is said what is missing", || running.log().contains("add get, list, watch on configmaps"));
    until("it is ready all the same", || is_ready(&running));
    apply(&deployment(of, "one"));
    until("it works on", || pull_requests(temp.path()) == ["one"]);

    grant(of, None, &rules(&[]));
    until("the right is used again", || refused("ConfigMap", 0));
    apply(&deployment(of, "two"));
    until("and it works on", || pull_requests(temp.path()) == ["one", "two"]);
    assert_eq!(running.log().matches(r#""level":"ERROR""#).count(), 0, "{}", running.log());
}

#[test]
fn an_account_of_two_namespaces_sees_those_and_says_what_it_does_not() {
    if kubeconfig().is_none() {
        return;
    }
    let [first, second, other] = ["first", "second", "other"].map(Namespace::new);
    let temp = tempfile::tempdir().unwrap();
    for (at, name) in [(&first, "one"), (&second, "two"), (&other, "three")] {
        repository(&temp.path().join("repo"), &at.0, &[name]);
        apply(&deployment(&at.0, name));
    }
    let token = account(&first.0);
    for at in [&first, &second] {
        grant(&first.0, Some(&at.0), &rules(&[]));
    }
    let config = write(temp.path(), config(), None, Some(token));
    let both = format!("{},{}", first.0, second.0);
    let running = Running::start(&config, temp.path(), "a", &both, &[]);
    until("both are worked", || pull_requests(temp.path()) == ["one", "two"]);
    let log = running.log();
    assert!(log.contains("add get, list, watch on nodes"), "{log}");
    assert!(!log.contains(&other.0), "{log}");
    assert_eq!(issues(temp.path()), Vec::<String>::new());
}

#[test]
fn namespaces_are_left_out_and_labels_choose() {
    let Some(config) = kubeconfig() else { return };
    let [kept, left] = ["kept", "left"].map(Namespace::new);
    let temp = tempfile::tempdir().unwrap();
    for (at, names) in [(&kept, &["chosen", "passed"][..]), (&left, &["chosen-too"])] {
        repository(&temp.path().join("repo"), &at.0, names);
        for name in names {
            apply(&deployment(&at.0, name));
        }
    }
    let scope = ["--exclude-namespace", &left.0, "-l", "app in (chosen, chosen-too)"];
    let running = Running::over(&config, temp.path(), "a", &scope, &[]);
    until("the one that is meant", || pull_requests(temp.path()) == ["chosen"]);
    until("nothing is left to do", || {
        let metrics = running.page("/metrics");
        ["queued", "settling", "working"].iter().all(|state| {
            let line = format!("kubecure_incidents{{state=\"{state}\"}} ");
            metrics.lines().find_map(|l| l.strip_prefix(&line)).is_none_or(|count| count == "0")
        })
    });
    assert_eq!(pull_requests(temp.path()), ["chosen"]);
    assert_eq!(issues(temp.path()), Vec::<String>::new());
    assert!(!running.log().contains("chosen-too"), "{}", running.log());
}

#[test]
fn what_an_operator_makes_is_the_custom_resources() {
    let Some(config) = kubeconfig() else { return };
    let (temp, namespace) = (tempfile::tempdir().unwrap(), Namespace::new("owner"));
    let (of, group) = (namespace.0.as_str(), format!("p{}.kubecure.example", std::process::id()));
    let crd = format!("shops.{group}");
    let _removed = Removed(vec![format!("customresourcedefinition/{crd}")]);
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let versions = json!([{"name": "v1", "served": true, "storage": true, "schema": schema}]);
    let names = json!({"plural": "shops", "singular": "shop", "kind": "Shop", "listKind": "ShopList"});
    let spec = json!({"spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions}});
    apply(&object("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, &crd, &spec));
    kubectl(&["wait", "--for=condition=Established", &format!("crd/{crd}"), "--timeout=60s"]).unwrap();
    let api_version = format!("{group}/v1");
    let shop = object(&api_version, "Shop", Some(of), "corner", &json!({"spec": {"memory": "64Mi"}}));
    let repo = temp.path().join("repo");
    fs::create_dir_all(&repo).unwrap();
    fs::write(repo.join("shop.yaml"), shop.trim_end_matches("---\n")).unwrap();
    until("the kind is served", || kubectl(&["-n", of, "get", &crd]).is_some());
    apply(&shop);
    let uid = kubectl(&["-n", of, "get", &crd, "corner", "-o", "jsonpath={.metadata.uid}"]).unwrap();
    let owner = format!(
        "ownerReferences: [{{apiVersion: {api_version}, kind: Shop, name: corner, uid: {uid}, controller: true}}]"
    );
    // As an operator would have made it: Git has the Shop, and no Deployment.
    apply(&deployment(of, "front").replacen("labels:", &format!("{owner}, labels:"), 1));

    let running = Running::start(&config, temp.path(), "a", of, &[]);
    until("an issue", || !issues(temp.path()).is_empty());
    let issue = issues(temp.path()).concat();
    assert!(issue.contains(&format!("Shop {of}/corner")), "{issue}");
    assert_eq!(pull_requests(temp.path()), Vec::<String>::new(), "{}", running.log());
}
