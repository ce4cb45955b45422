//! Where in objects a layer writes: kustomize's own list, and what a repository adds to it.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use super::resource::Id;
use super::tree::{Data, From, Scalar, Tree};

/// A field of all objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub kind: Cow<'static, str>,
    /// Keys with `/` between; lists are passed without a step of their own.
    pub path: Cow<'static, str>,
    /// Whether it is made where it is missing.
    pub create: bool,
}

/// An object whose name other objects say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameReference {
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub kind: Cow<'static, str>,
    pub referrers: Vec<Spec>,
}

/// All fields that layers write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub name_prefix: Vec<Spec>,
    pub name_suffix: Vec<Spec>,
    pub namespace: Vec<Spec>,
    pub common_labels: Vec<Spec>,
    pub labels: Vec<Spec>,
    pub template_labels: Vec<Spec>,
    pub common_annotations: Vec<Spec>,
    pub name_reference: Vec<NameReference>,
    pub images: Vec<Spec>,
    pub replicas: Vec<Spec>,
    pub var_reference: Vec<Spec>,
}

impl Spec {
    pub fn new(group: &'static str, kind: &'static str, path: &'static str, create: bool) -> Self {
        Self { group: group.into(), version: "".into(), kind: kind.into(), path: path.into(), create }
    }

    fn of(group: &'static str, version: &'static str, kind: &'static str, path: impl Into<Cow<'static, str>>) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into(), path: path.into(), create: false }
    }

    pub fn any(path: &'static str) -> Self {
        Self::new("", "", path, true)
    }

    /// A spec as a configuration file writes it.
    pub fn read(says: &Tree) -> Self {
        let text = |key: &str| Cow::Owned(says.some(key).map_or("", Tree::text).to_owned());
        let create = says.get("create").is_some_and(|tree| tree.text() == "true");
        Self { group: text("group"), version: text("version"), kind: text("kind"), path: text("path"), create }
    }

    pub fn is_for(&self, id: &Id) -> bool {
        id.is_kind(&self.group, &self.version, &self.kind)
    }
}

/// Adds a spec unless one says as much already; two that differ in whether the field is made are an error.
pub(super) fn add(specs: &mut Vec<Spec>, spec: Spec) -> Result<(), String> {
    let covers = |own: &&Spec| {
        let fits = |wanted: &str, own: &str| wanted.is_empty() || wanted == own;
        own.path == spec.path
            && fits(&spec.group, &own.group)
            && fits(&spec.version, &own.version)
            && fits(&spec.kind, &own.kind)
    };
    match specs.iter().find(covers) {
        Some(own) if own.create != spec.create => Err(format!("two of the fields `{}` conflict", spec.path)),
        Some(_) => Ok(()),
        None => {
            specs.push(spec);
            Ok(())
        }
    }
}

/// What a field that is missing is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Make {
    Nothing,
    Scalar,
    Map,
}

/// Does something to every value that a spec leads to.
pub(super) fn apply(
    object: &mut Tree,
    spec: &Spec,
    make: Make,
    from: &From,
    change: &mut dyn FnMut(&mut Tree) -> Result<(), String>,
) -> Result<(), String> {
    let steps = steps(&spec.path);
    let way = Way { create: spec.create && make != Make::Nothing, make, from };
    way.walk(object, &steps, change).map_err(|why| format!("{why} at `{}`", spec.path))
}

/// The keys of a path; `\/` is a slash in a key.
pub(super) fn steps(path: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for part in path.strip_prefix('/').unwrap_or(path).split('/') {
        match all.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push('/');
                last.push_str(part);
            }
            _ => all.push(part.to_owned()),
        }
    }
    all
}

struct Way<'w> {
    create: bool,
    make: Make,
    from: &'w From,
}

impl Way<'_> {
    fn walk(
        &self,
        at: &mut Tree,
        steps: &[String],
        change: &mut dyn FnMut(&mut Tree) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some((first, rest)) = steps.split_first() else { return change(at) };
        if at.is_null() {
            return Ok(());
        }
        match &mut at.data {
            Data::Scalar(_) => Err("a map or a list was expected".to_owned()),
            Data::List(items) => items.iter_mut().try_for_each(|item| self.walk(item, steps, change)),
            Data::Map(_) => {
                let name = first.strip_suffix("[]");
                let (name, is_list) = (name.unwrap_or(first), name.is_some());
                let creates = self.create && !is_list;
                let empty = if rest.is_empty() && self.make == Make::Scalar {
                    Data::Scalar(Scalar::string(""))
                } else {
                    Data::Map(Vec::new())
                };
                match at.get_mut(name) {
                    Some(field) if field.is_null() && creates => field.data = empty,
                    Some(field) if field.is_null() && is_list => field.data = Data::List(Vec::new()),
                    Some(_) => {}
                    None if creates => {
                        at.put(name, Tree::new(empty, self.from.clone()));
                    }
                    None => return Ok(()),
                }
                at.get_mut(name).map_or(Ok(()), |field| self.walk(field, rest, change))
            }
        }
    }
}

/// Kinds with a pod template, and where its spec stands. Not all are known to all that refers to names.
const POD_SPECS: [(&str, &str, &str); 8] = [
    ("v1", "Pod", "spec"),
    ("", "PodTemplate", "template/spec"),
    ("", "Deployment", "spec/template/spec"),
    ("", "ReplicaSet", "spec/template/spec"),
    ("", "DaemonSet", "spec/template/spec"),
    ("", "StatefulSet", "spec/template/spec"),
    ("", "Job", "spec/template/spec"),
    ("", "CronJob", "spec/jobTemplate/spec/template/spec"),
];

const CONFIG_MAPS: [&str; 6] = [
    "volumes/configMap/name",
    "containers/env/valueFrom/configMapKeyRef/name",
    "initContainers/env/valueFrom/configMapKeyRef/name",
    "containers/envFrom/configMapRef/name",
    "initContainers/envFrom/configMapRef/name",
    "volumes/projected/sources/configMap/name",
];

const SECRETS: [&str; 7] = [
    "volumes/secret/secretName",
    "containers/env/valueFrom/secretKeyRef/name",
    "initContainers/env/valueFrom/secretKeyRef/name",
    "containers/envFrom/secretRef/name",
    "initContainers/envFrom/secretRef/name",
    "imagePullSecrets/name",
    "volumes/projected/sources/secret/name",
];

/// Kinds that say a ServiceAccount, a claim or a PriorityClass, and where their pod's spec stands.
const OWNERS: [(&str, &str); 7] = [
    ("Pod", "spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicationController", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
];

const RBAC: &str = "rbac.authorization.k8s.io";
const WEBHOOKS: &str = "admissionregistration.k8s.io";

impl Config {
    /// What kustomize writes without being told.
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<Config>> = LazyLock::new(Config::make_built_in);
        BUILT_IN.clone()
    }

    fn make_built_in() -> Arc<Self> {
        let labels = metadata_labels();
        let mut common = selectors();
        common.extend(labels.iter().cloned());
        let name = || vec![Spec::new("", "", "metadata/name", false)];
        let image = |path| Spec::new("", "", path, true);
        let replicas = ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"];
        Arc::new(Self {
            name_prefix: name(),
            name_suffix: name(),
            namespace: vec![
                Spec::new("", "Namespace", "metadata/name", true),
                Spec::new("apiregistration.k8s.io", "APIService", "spec/service/namespace", true),
                Spec::new(
                    "apiextensions.k8s.io",
                    "CustomResourceDefinition",
                    "spec/conversion/webhook/clientConfig/service/namespace",
                    false,
                ),
            ],
            common_labels: common,
            labels: Vec::new(),
            template_labels: labels,
            common_annotations: annotations(),
            name_reference: names(),
            images: vec![
                image("spec/containers[]/image"),
                image("spec/initContainers[]/image"),
                image("spec/volumes[]/image/reference"),
                image("spec/template/spec/containers[]/image"),
                image("spec/template/spec/initContainers[]/image"),
                image("spec/template/spec/volumes[]/image/reference"),
            ],
            replicas: replicas.into_iter().map(|kind| Spec::new("", kind, "spec/replicas", true)).collect(),
            var_reference: variables(),
        })
    }

    /// Adds what another says.
    pub fn merge(&mut self, other: &Self) -> Result<(), String> {
        let pairs: [(&mut Vec<Spec>, &Vec<Spec>); 10] = [
            (&mut self.name_prefix, &other.name_prefix),
            (&mut self.name_suffix, &other.name_suffix),
            (&mut self.namespace, &other.namespace),
            (&mut self.common_labels, &other.common_labels),
            (&mut self.labels, &other.labels),
            (&mut self.template_labels, &other.template_labels),
            (&mut self.common_annotations, &other.common_annotations),
            (&mut self.images, &other.images),
            (&mut self.replicas, &other.replicas),
            (&mut self.var_reference, &other.var_reference),
        ];
        for (own, new) in pairs {
            new.iter().try_for_each(|spec| add(own, spec.clone()))?;
        }
        for new in &other.name_reference {
            let is_it =
                |own: &&mut NameReference| own.kind == new.kind && own.group == new.group && own.version == new.version;
            match self.name_reference.iter_mut().find(is_it) {
                Some(own) => new.referrers.iter().try_for_each(|spec| add(&mut own.referrers, spec.clone()))?,
                None => self.name_reference.push(new.clone()),
            }
        }
        Ok(())
    }

    /// What a configuration file says.
    pub fn read(says: &Tree) -> Self {
        let specs =
            |key: &str| -> Vec<Spec> { says.get(key).map(Tree::items).into_iter().flatten().map(Spec::read).collect() };
        let reference = |tree: &Tree| {
            let spec = Spec::read(tree);
            let referrers = tree.get("fieldSpecs").map(Tree::items).into_iter().flatten().map(Spec::read).collect();
            NameReference { group: spec.group, version: spec.version, kind: spec.kind, referrers }
        };
        Self {
            name_prefix: specs("namePrefix"),
            name_suffix: specs("nameSuffix"),
            namespace: specs("namespace"),
            common_labels: specs("commonLabels"),
            labels: specs("labels"),
            template_labels: specs("templateLabels"),
            common_annotations: specs("commonAnnotations"),
            name_reference: says.get("nameReference").map(Tree::items).into_iter().flatten().map(reference).collect(),
            images: specs("images"),
            replicas: specs("replicas"),
            var_reference: specs("varReference"),
        }
    }
}

/// Labels of objects and of the pods that they make.
fn metadata_labels() -> Vec<Spec> {
    let template = "spec/template/metadata/labels";
    let mut specs = vec![Spec::any("metadata/labels")];
    specs.push(Spec { version: "v1".into(), ..Spec::new("", "ReplicationController", template, true) });
    specs.extend(["Deployment", "ReplicaSet", "DaemonSet"].map(|kind| Spec::new("", kind, template, true)));
    specs.push(Spec::new("apps", "StatefulSet", template, true));
    specs.push(Spec::new("apps", "StatefulSet", "spec/volumeClaimTemplates[]/metadata/labels", true));
    specs.push(Spec::new("batch", "Job", template, true));
    specs.push(Spec::new("batch", "CronJob", "spec/jobTemplate/metadata/labels", true));
    specs.push(Spec::new("batch", "CronJob", "spec/jobTemplate/spec/template/metadata/labels", true));
    specs
}

/// Labels by which objects select others.
fn selectors() -> Vec<Spec> {
    let v1 = |kind| Spec { version: "v1".into(), ..Spec::new("", kind, "spec/selector", true) };
    let mut specs = vec![v1("Service"), v1("ReplicationController")];
    let matches = "spec/selector/matchLabels";
    for (group, kind) in [("", "Deployment"), ("", "ReplicaSet"), ("", "DaemonSet"), ("apps", "StatefulSet")] {
        specs.push(Spec::new(group, kind, matches, true));
    }
    for kind in ["Deployment", "StatefulSet"] {
        specs.extend(
            [
                "spec/template/spec/affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
                "spec/template/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
                "spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
                "spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
                "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels",
            ]
            .map(|path| Spec::new("apps", kind, path, false)),
        );
    }
    specs.push(Spec::new("batch", "Job", matches, false));
    specs.push(Spec::new("batch", "CronJob", "spec/jobTemplate/spec/selector/matchLabels", false));
    specs.push(Spec::new("policy", "PodDisruptionBudget", matches, false));
    let policies = [
        "spec/podSelector/matchLabels",
        "spec/ingress/from/podSelector/matchLabels",
        "spec/egress/to/podSelector/matchLabels",
    ];
    specs.extend(policies.map(|path| Spec::new("networking.k8s.io", "NetworkPolicy", path, false)));
    specs
}

/// Fields in which variables are replaced.
fn variables() -> Vec<Spec> {
    let paths = ["args", "command", "env/value", "volumeMounts/mountPath"];
    let mut specs = Vec::new();
    let pods = POD_SPECS.iter().filter(|(_, kind, _)| *kind != "PodTemplate");
    for &(_, kind, spec) in pods {
        for containers in ["containers", "initContainers"] {
            specs.extend(paths.map(|path| Spec::of("", "", kind, format!("{spec}/{containers}/{path}"))));
        }
        if kind != "CronJob" {
            specs.push(Spec::of("", "", kind, format!("{spec}/volumes/nfs/server")));
        }
    }
    let others = [
        ("CronJob", "spec/jobTemplate/spec/template/volumes/nfs/server"),
        ("Deployment", "spec/template/metadata/annotations"),
        ("Ingress", "spec/rules/host"),
        ("Ingress", "spec/tls/hosts"),
        ("Ingress", "spec/tls/secretName"),
        ("Service", "spec/ports/port"),
        ("Service", "spec/ports/targetPort"),
        ("StatefulSet", "spec/volumeClaimTemplates/spec/nfs/server"),
        ("PersistentVolume", "spec/nfs/server"),
        ("", "metadata/labels"),
        ("", "metadata/annotations"),
    ];
    specs.extend(others.map(|(kind, path)| Spec::of("", "", kind, path)));
    specs
}

fn annotations() -> Vec<Spec> {
    let template = "spec/template/metadata/annotations";
    let mut specs = vec![Spec::any("metadata/annotations")];
    specs.push(Spec { version: "v1".into(), ..Spec::new("", "ReplicationController", template, true) });
    let kinds = ["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"];
    specs.extend(kinds.map(|kind| Spec::new("", kind, template, true)));
    specs.push(Spec::new("batch", "Job", template, true));
    specs.push(Spec::new("batch", "CronJob", "spec/jobTemplate/metadata/annotations", true));
    specs.push(Spec::new("batch", "CronJob", "spec/jobTemplate/spec/template/metadata/annotations", true));
    specs
}

/// Fields that say the name of another object, by the kind of that object.
fn names() -> Vec<NameReference> {
    let to = |group: &'static str, version: &'static str, kind: &'static str, referrers| NameReference {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        referrers,
    };
    let scaled = || vec![Spec::of("", "", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name")];
    let in_pods = |paths: &[&'static str], owners: &[(&'static str, &'static str)]| -> Vec<Spec> {
        let of = |(kind, spec): (&'static str, &'static str)| {
            paths.iter().map(move |path| Spec::of("", "", kind, format!("{spec}/{path}")))
        };
        owners.iter().copied().flat_map(of).collect()
    };
    let mut all: Vec<NameReference> = ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"]
        .into_iter()
        .map(|kind| to("", "", kind, scaled()))
        .collect();
    all.push(to("", "v1", "ConfigMap", config_map_referrers()));
    all.push(to("", "v1", "Secret", secret_referrers()));
    all.push(to("", "v1", "Service", service_referrers()));
    let bound = |kind| Spec::of(RBAC, "", kind, "roleRef/name");
    all.push(to(RBAC, "", "Role", vec![bound("RoleBinding")]));
    all.push(to(RBAC, "", "ClusterRole", vec![bound("RoleBinding"), bound("ClusterRoleBinding")]));
    let subjects = |kind| Spec::of(RBAC, "", kind, "subjects");
    let mut accounts = vec![subjects("RoleBinding"), subjects("ClusterRoleBinding")];
    accounts.extend(in_pods(&["serviceAccountName"], &OWNERS));
    all.push(to("", "v1", "ServiceAccount", accounts));
    all.push(to("", "v1", "PersistentVolumeClaim", in_pods(&["volumes/persistentVolumeClaim/claimName"], &OWNERS)));
    let volumes = vec![
        Spec::of("", "", "PersistentVolumeClaim", "spec/volumeName"),
        Spec::of("", "", "ClusterRole", "rules/resourceNames"),
    ];
    all.push(to("", "v1", "PersistentVolume", volumes));
    let classes = vec![
        Spec::of("", "", "PersistentVolume", "spec/storageClassName"),
        Spec::of("", "", "PersistentVolumeClaim", "spec/storageClassName"),
        Spec::of("", "", "StatefulSet", "spec/volumeClaimTemplates/spec/storageClassName"),
    ];
    all.push(to("storage.k8s.io", "v1", "StorageClass", classes));
    all.push(to("scheduling.k8s.io", "v1", "PriorityClass", in_pods(&["priorityClassName"], &OWNERS)));
    let policy = vec![Spec::of(WEBHOOKS, "", "ValidatingAdmissionPolicyBinding", "spec/policyName")];
    all.push(to(WEBHOOKS, "", "ValidatingAdmissionPolicy", policy));
    all
}

/// Where kinds with a pod template say names; a Job's and a CronJob's projected volumes count, too.
fn in_templates(paths: &[&'static str]) -> Vec<Spec> {
    let of = |&(version, kind, spec): &(&'static str, &'static str, &'static str)| {
        paths.iter().map(move |path| Spec::of("", version, kind, format!("{spec}/{path}")))
    };
    POD_SPECS.iter().flat_map(of).collect()
}

fn resource_names() -> [Spec; 2] {
    ["Role", "ClusterRole"].map(|kind| Spec::of("", "", kind, "rules/resourceNames"))
}

fn config_map_referrers() -> Vec<Spec> {
    let mut specs = in_templates(&CONFIG_MAPS);
    specs.push(Spec::of("", "", "Node", "spec/configSource/configMap"));
    specs.extend(resource_names());
    let path = "metadata/annotations/nginx.ingress.kubernetes.io\\/fastcgi-params-configmap";
    specs.push(Spec::of("", "", "Ingress", path));
    specs
}

fn secret_referrers() -> Vec<Spec> {
    let mut specs = in_templates(&SECRETS);
    let ingress = [
        "spec/tls/secretName",
        "metadata/annotations/ingress.kubernetes.io\\/auth-secret",
        "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-secret",
        "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-tls-secret",
    ];
    specs.extend(ingress.map(|path| Spec::of("", "", "Ingress", path)));
    specs.push(Spec::of("", "", "ServiceAccount", "imagePullSecrets/name"));
    let storage =
        ["parameters/secretName", "parameters/adminSecretName", "parameters/userSecretName", "parameters/secretRef"];
    specs.extend(storage.map(|path| Spec::of("", "", "StorageClass", path)));
    specs.extend(resource_names());
    let knative = "spec/template/spec/containers/env/valueFrom/secretKeyRef/name";
    specs.push(Spec::of("serving.knative.dev", "v1", "Service", knative));
    specs.push(Spec::of("", "", "PersistentVolume", "spec/azureFile/secretName"));
    specs
}

fn service_referrers() -> Vec<Spec> {
    let mut specs = vec![Spec::of("apps", "", "StatefulSet", "spec/serviceName")];
    let ingress = [
        "spec/rules/http/paths/backend/serviceName",
        "spec/backend/serviceName",
        "spec/rules/http/paths/backend/service/name",
        "spec/defaultBackend/service/name",
    ];
    specs.extend(ingress.map(|path| Spec::of("", "", "Ingress", path)));
    specs.push(Spec::of("apiregistration.k8s.io", "", "APIService", "spec/service/name"));
    let webhooks = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];
    specs.extend(webhooks.map(|kind| Spec::of(WEBHOOKS, "", kind, "webhooks/clientConfig/service")));
    specs
}
