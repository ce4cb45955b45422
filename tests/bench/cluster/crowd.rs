//! Many objects on a real API server, as a cluster of that size has them: Deployments, ReplicaSets, pods that run, nodes.
//!
//! The controller manager is stopped meanwhile, so that nothing repairs what nobody really runs; it is started again and
//! everything is deleted when the crowd is dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

/// Pods of one Deployment, Deployments of one namespace.
const PODS: usize = 50;
const DEPLOYMENTS: usize = 10;
/// Requests at the same time.
const AT_ONCE: usize = 24;
const CONTROLLERS: &str = "kube-controller-manager";

/// A client without anything of ours in between.
pub async fn client(kubeconfig: &Path) -> kube::Client {
    let config = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

pub async fn send(client: &kube::Client, method: &str, path: &str, body: &Value) -> Result<Value, kube::Error> {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    let text = client.request_text(request.body(body.to_string().into_bytes()).unwrap()).await?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// A script of the test cluster.
pub fn kit(script: &str, words: &[&str]) -> bool {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cluster").join(script);
    Command::new(path).args(words).stdout(Stdio::null()).status().unwrap().success()
}

/// One pod of the crowd.
#[derive(Clone, Debug)]
pub struct Member {
    pub namespace: Arc<str>,
    pub name: String,
}

impl Member {
    pub fn status_path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}/status", self.namespace, self.name)
    }
}

pub struct Crowd {
    pub client: kube::Client,
    pub pods: Vec<Member>,
    namespaces: Vec<Arc<str>>,
}

impl Crowd {
    /// Makes it.
    pub async fn gather(client: kube::Client, count: usize) -> Self {
        let began = Instant::now();
        assert!(kit("component", &["stop", CONTROLLERS]));
        let each = PODS * DEPLOYMENTS;
        let namespaces = (0..count.div_ceil(each)).map(|n| format!("bench-{n:03}").into()).collect();
        let mut crowd = Self { client, pods: Vec::new(), namespaces };
        for node in 0..count.div_ceil(100) {
            crowd.node(node).await;
        }
        for namespace in crowd.namespaces.clone() {
            crowd.namespace(&namespace).await;
            for deployment in 0..DEPLOYMENTS {
                crowd.deployment(&namespace, deployment).await;
            }
        }
        println!(
            "{} pods in {} namespaces, made in {:.0} s",
            crowd.pods.len(),
            crowd.namespaces.len(),
            began.elapsed().as_secs_f64()
        );
        crowd
    }

    async fn make(&self, path: &str, object: &Value) -> Value {
        send(&self.client, "POST", path, object).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn status(&self, path: &str, status: &Value) {
        let body = json!({"status": status});
        send(&self.client, "PATCH", &format!("{path}/status"), &body).await.unwrap_or_else(|e| panic!("{path}: {e}"));
    }

    async fn node(&self, number: usize) {
        let name = format!("bench-{number:03}");
        self.make("/api/v1/nodes", &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})).await;
        let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T00:00:00Z"}]);
        let room = json!({"cpu": "32", "memory": "128Gi", "pods": "250"});
        let status = json!({"conditions": ready, "allocatable": room, "capacity": room});
        self.status(&format!("/api/v1/nodes/{name}"), &status).await;
    }

    async fn namespace(&self, name: &str) {
        self.make("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .await;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        self.make(&format!("/api/v1/namespaces/{name}/serviceaccounts"), &account).await;
        for number in 0..DEPLOYMENTS {
            let (metadata, data) = (json!({"name": format!("settings-{number}")}), json!({"text": "x".repeat(500)}));
            let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
            self.make(&format!("/api/v1/namespaces/{name}/configmaps"), &config).await;
        }
    }

    async fn deployment(&mut self, namespace: &Arc<str>, number: usize) {
        let name = format!("app-{number}");
        let labels = json!({"app": name, "team": format!("team-{}", number % 4)});
        let selector = json!({"matchLabels": {"app": name}});
        let pods = json!({"metadata": {"labels": labels}, "spec": template(&name)});
        let apps = format!("/apis/apps/v1/namespaces/{namespace}");
        let spec = json!({"replicas": PODS, "selector": selector, "template": pods});
        let metadata = json!({"name": name, "labels": labels});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec});
        let deployment = self.make(&format!("{apps}/deployments"), &object).await;
        let owner = |of: &Value, kind: &str| {
            json!([{"apiVersion": "apps/v1", "kind": kind, "name": of["metadata"]["name"],
                "uid": of["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}])
        };
        let set = format!("{name}-6d4b75cb6d");
        let metadata = json!({"name": set, "labels": labels, "ownerReferences": owner(&deployment, "Deployment"),
            "annotations": {"deployment.kubernetes.io/revision": "1"}});
        let object = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec});
        let replicas = self.make(&format!("{apps}/replicasets"), &object).await;
        let status = json!({"replicas": PODS, "readyReplicas": PODS, "availableReplicas": PODS,
            "observedGeneration": 1});
        self.status(&format!("{apps}/replicasets/{set}"), &status).await;
        let status = json!({"replicas": PODS, "readyReplicas": PODS, "availableReplicas": PODS,
            "updatedReplicas": PODS, "observedGeneration": 1});
        self.status(&format!("{apps}/deployments/{name}"), &status).await;

        let owners = owner(&replicas, "ReplicaSet");
        let first = self.pods.len();
        let members = (0..PODS).map(|n| Member { namespace: namespace.clone(), name: format!("{set}-{n:05}") });
        self.pods.extend(members);
        let made = stream::iter(first..self.pods.len()).map(|at| {
            let (member, labels, owners, this) = (&self.pods[at], labels.clone(), owners.clone(), &*self);
            let app = &name;
            async move {
                let mut spec = template(app);
                spec["nodeName"] = json!(format!("bench-{:03}", at / 100));
                let metadata = json!({"name": member.name, "labels": labels, "ownerReferences": owners});
                let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
                this.make(&format!("/api/v1/namespaces/{}/pods", member.namespace), &object).await;
                send(&this.client, "PATCH", &member.status_path(), &json!({"status": running(app, at)})).await
            }
        });
        made.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await.unwrap();
    }

    /// Takes everything away, and waits until it is gone.
    pub async fn disperse(self) {
        let client = self.client.clone();
        for namespace in &self.namespaces {
            let now = json!({"gracePeriodSeconds": 0, "propagationPolicy": "Background"});
            for kind in ["api/v1 pods", "apis/apps/v1 replicasets", "apis/apps/v1 deployments"] {
                let path = format!("/{}", kind.replace(' ', &format!("/namespaces/{namespace}/")));
                let _ = send(&client, "DELETE", &path, &now).await;
            }
            let _ = send(&client, "DELETE", &format!("/api/v1/namespaces/{namespace}"), &now).await;
        }
        for node in 0..self.pods.len().div_ceil(100) {
            let _ = send(&client, "DELETE", &format!("/api/v1/nodes/bench-{node:03}"), &json!({})).await;
        }
        let namespaces = self.namespaces.clone();
        drop(self);
        for namespace in namespaces {
            let path = format!("/api/v1/namespaces/{namespace}");
            for _ in 0..600 {
                if send(&client, "GET", &path, &Value::Null).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        kit("component", &["start", CONTROLLERS]);
    }
}

/// What runs in a pod of the crowd.
fn template(app: &str) -> Value {
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10});
    let env: Vec<Value> =
        (0..8).map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("{app}-{n}")})).collect();
    let container = json!({
        "name": "app", "image": format!("registry.example/shop/{app}:v1.4.2"), "args": [app],
        "env": env, "ports": [{"name": "http", "containerPort": 8080}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "readinessProbe": probe, "livenessProbe": probe,
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/app"}],
    });
    json!({"containers": [container], "volumes": [{"name": "settings", "configMap": {"name": "settings-0"}}]})
}

const SINCE: &str = "2026-11-01T00:00:00Z";

/// The status of a pod that is well.
fn running(app: &str, number: usize) -> Value {
    let conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    let conditions: Vec<Value> =
        conditions.iter().map(|of| json!({"type": of, "status": "True", "lastTransitionTime": SINCE})).collect();
    json!({
        "phase": "Running", "conditions": conditions, "startTime": SINCE, "qosClass": "Burstable",
        "hostIP": "10.1.0.1", "podIP": format!("10.2.{}.{}", number / 250 % 250, number % 250 + 1),
        "containerStatuses": [container(app, &json!({"running": {"startedAt": SINCE}}), true)],
    })
}

/// The status of a container.
pub fn container(app: &str, state: &Value, is_ready: bool) -> Value {
    json!({
        "name": "app", "image": format!("registry.example/shop/{app}:v1.4.2"), "ready": is_ready, "started": is_ready,
        "imageID": format!("registry.example/shop/{app}@sha256:{}", "0123456789abcdef".repeat(4)),
        "containerID": format!("containerd://{}", "fedcba9876543210".repeat(4)),
        "restartCount": 0, "state": state, "lastState": {},
    })
}
