//! Golden traces: a live field in, its file and line and what becomes of the file out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::case::{Change, Declined, ObjectRef, Operation, Sources};
use crate::locate::{edit_at, locate_all};
use crate::yaml;

const BASE: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: app
          image: registry.example/web:v1 # moves with releases
          env:
            - name: MODE
              value: base
          resources:
            limits:
              memory: 64Mi
";

const DEV: &str = "resources: [../base]\nnamespace: dev\n";

fn sources(files: &[(&str, &str)]) -> Sources {
    let files: BTreeMap<_, Arc<str>> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).into())).collect();
    crate::locate::index("test", None, files, Vec::new())
}

/// A base that two overlays take, of which `prod` is given.
fn overlays(prod: &[(&str, &str)]) -> Sources {
    let base = [
        ("base/deployment.yaml", BASE),
        ("base/kustomization.yaml", "resources: [deployment.yaml]\n"),
        ("dev/kustomization.yaml", DEV),
    ];
    sources(&[&base[..], prod].concat())
}

fn change(path: &str, operation: Operation) -> Change {
    let object = ObjectRef::new("apps/v1", "Deployment", Some("prod"), "web");
    Change { object, path: path.parse().unwrap(), operation }
}

fn set(path: &str, from: Value, to: Value) -> Change {
    change(path, Operation::Set { from, to })
}

const MEMORY: &str = "spec.template.spec.containers[name=app].resources.limits.memory";
const IMAGE: &str = "spec.template.spec.containers[name=app].image";

fn memory(from: &str) -> Change {
    set(MEMORY, json!(from), json!("1Gi"))
}

/// Where the changes go, and the lines that they take away and put in.
fn told(sources: &Sources, changes: &[Change]) -> String {
    let mut out = String::new();
    let places = match locate_all(changes, sources, None) {
        Ok(places) => places,
        Err(declined) => return format!("{}: {declined}", declined.code()),
    };
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (change, place) in changes.iter().zip(&places) {
        writeln!(out, "{place} {}", place.path).unwrap();
        let text = files.entry(place.file.clone()).or_insert_with(|| sources.files[&place.file].text.to_string());
        *text = yaml::edit(text, place.document, &[edit_at(change, place)]).unwrap();
    }
    for (file, after) in &files {
        let before = &sources.files[file].text;
        let diff = similar::TextDiff::from_lines(&**before, after.as_str());
        for line in diff.iter_all_changes().filter(|line| line.tag() != similar::ChangeTag::Equal) {
            write!(out, "{}{}", line.tag(), line.value()).unwrap();
        }
    }
    out
}

fn chain(sources: &Sources, change: &Change) -> Vec<String> {
    let places = locate_all(std::slice::from_ref(change), sources, None).unwrap();
    places[0].chain.iter().map(|link| format!("{}:{} {}", link.file, link.line, link.what)).collect()
}

#[test]
fn a_value_of_a_patch_is_changed_in_the_patch() {
    let patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          resources:\n            limits:\n              memory: \"128Mi\" # raised once\n";
    let prod = [
        ("prod/kustomization.yaml", "resources:\n  - ../base\nnamespace: prod\npatches:\n  - path: memory.yaml\n"),
        ("prod/memory.yaml", patch),
    ];
    let sources = overlays(&prod);
    assert_eq!(
        told(&sources, &[memory("128Mi")]),
        "prod/memory.yaml:12:23 spec.template.spec.containers[name=app].resources.limits.memory\n\
         -              memory: \"128Mi\" # raised once\n+              memory: \"1Gi\" # raised once\n"
    );
    assert_eq!(
        chain(&sources, &memory("128Mi")),
        [
            "prod/kustomization.yaml:2 takes ../base",
            "base/kustomization.yaml:1 takes deployment.yaml",
            "base/deployment.yaml:1 Deployment prod/web is declared here",
            "base/deployment.yaml:17 said 64Mi, which is overwritten",
            "prod/memory.yaml:12 sets it",
        ]
    );
    let place = locate_all(&[memory("128Mi")], &sources, None).unwrap().remove(0);
    assert_eq!(place.rendered, ["prod/kustomization.yaml"]);
}

#[test]
fn a_base_that_others_take_is_left_alone_and_the_overlay_gets_a_patch() {
    let prod = [("prod/kustomization.yaml", "resources:\n  - ../base\nnamespace: prod # ours\n")];
    assert_eq!(
        told(&overlays(&prod), &[memory("64Mi")]),
        "prod/kustomization.yaml:3:16 patches\n\
         +patches:\n+  - patch: |-\n+      apiVersion: apps/v1\n+      kind: Deployment\n+      metadata:\n+        name: web\n\
         +      spec:\n+        template:\n+          spec:\n+            containers:\n+              - name: app\n\
         +                resources:\n+                  limits:\n+                    memory: 1Gi\n"
    );
}

#[test]
fn two_changes_of_one_object_share_a_new_patch() {
    let prod = [("prod/kustomization.yaml", "resources:\n  - ../base\nnamespace: prod\n")];
    let mode = "spec.template.spec.containers[name=app].env[name=MODE].value";
    let told = told(&overlays(&prod), &[memory("64Mi"), set(mode, json!("base"), json!("prod"))]);
    assert!(told.starts_with("prod/kustomization.yaml:3:16 patches\n"), "{told}");
    assert_eq!(told.matches("kind: Deployment").count(), 1, "{told}");
    assert!(told.contains("+                  - name: MODE\n+                    value: prod\n"), "{told}");
}

#[test]
fn a_base_of_one_overlay_is_edited_itself() {
    let files = [
        ("base/deployment.yaml", BASE),
        ("base/kustomization.yaml", "resources: [deployment.yaml]\n"),
        ("prod/kustomization.yaml", "resources: [../base]\nnamespace: prod\n"),
    ];
    assert!(told(&sources(&files), &[memory("64Mi")]).starts_with("base/deployment.yaml:17:23 "));
}

#[test]
fn a_patch_of_the_overlay_takes_what_the_base_would_have_shared() {
    let patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 5\n";
    let prod = [
        ("prod/kustomization.yaml", "resources: [../base]\nnamespace: prod\npatches: [{path: p.yaml}]\n"),
        ("prod/p.yaml", patch),
    ];
    let told = told(&overlays(&prod), &[memory("64Mi")]);
    assert!(
        told.starts_with("prod/p.yaml:5:14 spec.template.spec.containers[name=app].resources.limits.memory\n"),
        "{told}"
    );
    assert!(told.ends_with("+  template:\n+    spec:\n+      containers:\n+        - name: app\n+          resources:\n+            limits:\n+              memory: 1Gi\n"), "{told}");
}

#[test]
fn the_tag_of_an_image_is_changed_in_images() {
    let layer =
        "resources: [../base]\nnamespace: prod\nimages:\n  - name: registry.example/web\n    newTag: \"1.10\" # bot\n";
    let image = set(IMAGE, json!("registry.example/web:1.10"), json!("registry.example/web:1.9"));
    assert_eq!(
        told(&overlays(&[("prod/kustomization.yaml", layer)]), std::slice::from_ref(&image)),
        "prod/kustomization.yaml:5:13 images[name=\"registry.example/web\"].newTag\n\
         -    newTag: \"1.10\" # bot\n+    newTag: \"1.9\" # bot\n"
    );
    let digest = layer.replace("newTag: \"1.10\"", "digest: sha256:0123");
    let image = set(IMAGE, json!("registry.example/web@sha256:0123"), json!("registry.example/web:1.9"));
    let told = told(&overlays(&[("prod/kustomization.yaml", &digest)]), &[image]);
    assert!(told.starts_with("blocked: "), "{told}");
}

#[test]
fn an_image_of_a_shared_base_gets_an_entry_of_images() {
    let layer = "resources: [../base]\nnamespace: prod\n";
    let image = set(IMAGE, json!("registry.example/web:v1"), json!("registry.example/web:v2"));
    assert_eq!(
        told(&overlays(&[("prod/kustomization.yaml", layer)]), &[image]),
        "prod/kustomization.yaml:2:16 images\n+images:\n+  - name: registry.example/web\n+    newTag: v2\n"
    );
}

#[test]
fn a_name_that_images_changes_and_a_tag_of_the_base_are_two_places() {
    let files = [
        ("base/deployment.yaml", BASE),
        ("base/kustomization.yaml", "resources: [deployment.yaml]\n"),
        (
            "prod/kustomization.yaml",
            "resources: [../base]\nnamespace: prod\nimages: [{name: registry.example/web, newName: mirror.example/web}]\n",
        ),
    ];
    let image = set(IMAGE, json!("mirror.example/web:v1"), json!("mirror.example/web:v2"));
    let told = told(&sources(&files), &[image]);
    assert!(told.contains("+          image: registry.example/web:v2 # moves with releases\n"), "{told}");
}

#[test]
fn replicas_are_changed_where_they_are_counted() {
    let layer = "resources: [../base]\nnamespace: prod\nreplicas:\n  - name: web\n    count: 4\n";
    let replicas = |from: i64| set("spec.replicas", json!(from), json!(3));
    assert_eq!(
        told(&overlays(&[("prod/kustomization.yaml", layer)]), &[replicas(4)]),
        "prod/kustomization.yaml:5:12 replicas[name=web].count\n-    count: 4\n+    count: 3\n"
    );
    let layer = "resources: [../base]\nnamespace: prod\n";
    assert_eq!(
        told(&overlays(&[("prod/kustomization.yaml", layer)]), &[replicas(2)]),
        "prod/kustomization.yaml:2:16 replicas\n+replicas:\n+  - name: web\n+    count: 3\n"
    );
}

#[test]
fn an_inline_patch_is_edited_in_its_text() {
    let layer = "resources: [../base]\nnamespace: prod\npatches:\n  - target: {kind: Deployment}\n    patch: |-\n      - op: replace\n        path: /spec/template/spec/containers/0/resources/limits\n        value:\n          memory: 256Mi # enough\n  - patch: |\n      apiVersion: apps/v1\n      kind: Deployment\n      metadata: {name: web}\n      spec:\n        replicas: 6\n";
    let sources = overlays(&[("prod/kustomization.yaml", layer)]);
    assert_eq!(
        told(&sources, &[memory("256Mi"), set("spec.replicas", json!(6), json!(8))]),
        "prod/kustomization.yaml:9:19 patches[0].patch\nprod/kustomization.yaml:15:19 patches[1].patch\n\
         -          memory: 256Mi # enough\n+          memory: 1Gi # enough\n-        replicas: 6\n+        replicas: 8\n"
    );
}

#[test]
fn a_field_that_is_nowhere_goes_to_the_layer_of_its_environment() {
    let cpu = change(&MEMORY.replace("memory", "cpu"), Operation::Add { value: json!("1") });
    let prod = [("prod/kustomization.yaml", "resources: [../base]\nnamespace: prod\n")];
    assert!(told(&overlays(&prod), std::slice::from_ref(&cpu)).starts_with("prod/kustomization.yaml:2:16 patches\n"));
    let alone = [
        ("base/deployment.yaml", BASE),
        ("base/kustomization.yaml", "resources: [deployment.yaml]\n"),
        ("prod/kustomization.yaml", "resources: [../base]\nnamespace: prod\n"),
    ];
    let told = told(&sources(&alone), &[cpu]);
    assert!(told.starts_with("base/deployment.yaml:17:27 "), "{told}");
}

#[test]
fn what_goes_away_is_null_in_an_overlay() {
    let gone = change(MEMORY, Operation::Remove { from: json!("64Mi") });
    let prod = [("prod/kustomization.yaml", "resources: [../base]\nnamespace: prod\n")];
    let told = told(&overlays(&prod), &[gone]);
    assert!(told.ends_with("+                  limits:\n+                    memory: null\n"), "{told}");
}

#[test]
fn a_literal_of_a_generator_is_found_with_its_key() {
    let layer = "namespace: prod\nconfigMapGenerator:\n  - name: config\n    literals:\n      - MODE=fast\n    options: {disableNameSuffixHash: true}\n";
    let sources = sources(&[("prod/kustomization.yaml", layer)]);
    let object = ObjectRef::new("v1", "ConfigMap", Some("prod"), "config");
    let operation = Operation::Set { from: json!("fast"), to: json!("slow") };
    let change = Change { object, path: "data.MODE".parse().unwrap(), operation };
    assert_eq!(
        told(&sources, &[change]),
        "prod/kustomization.yaml:5:9 configMapGenerator[name=config].literals[0]\n-      - MODE=fast\n+      - MODE=slow\n"
    );
}

#[test]
fn a_reference_to_a_generated_object_is_written_with_the_name_that_it_is_generated_from() {
    let pod = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          envFrom:\n            - configMapRef:\n                name: confg\n";
    let layer = "namespace: prod\nresources: [pod.yaml]\nconfigMapGenerator: [{name: config, literals: [a=b]}]\n";
    let sources = sources(&[("prod/kustomization.yaml", layer), ("prod/pod.yaml", pod)]);
    let declared = crate::locate::declared_in(&sources, &["prod"], None);
    let name = declared.iter().find(|d| d.id.kind == "ConfigMap").unwrap().id.name.clone();
    assert!(name.starts_with("config-"));
    let path = "spec.template.spec.containers[name=app].envFrom[0].configMapRef.name";
    let told = told(&sources, &[set(path, json!("confg"), json!(name))]);
    assert!(told.ends_with("-                name: confg\n+                name: config\n"), "{told}");
}

#[test]
fn two_roots_with_one_object_are_ambiguous_unless_they_agree() {
    let twice = [
        ("a/kustomization.yaml", "resources: [web.yaml]\n"),
        ("b/kustomization.yaml", "resources: [web.yaml]\n"),
        ("a/web.yaml", BASE),
        ("b/web.yaml", BASE),
    ];
    let mut one = memory("64Mi");
    one.object.namespace = Some("default".to_owned());
    let Err(Declined::Ambiguous { places, .. }) = locate_all(std::slice::from_ref(&one), &sources(&twice), None) else {
        panic!("two roots render it")
    };
    assert_eq!(places.iter().map(|place| place.file.as_str()).collect::<Vec<_>>(), ["a/web.yaml", "b/web.yaml"]);
    let agreed = [
        ("a/kustomization.yaml", "resources: [../base]\n"),
        ("b/kustomization.yaml", "resources: [../base]\n"),
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("base/web.yaml", BASE),
    ];
    assert!(told(&sources(&agreed), &[one]).starts_with("base/web.yaml:17:23 "));
}

#[test]
fn what_the_cluster_does_not_run_is_not_edited() {
    let prod = [("prod/kustomization.yaml", "resources: [../base]\nnamespace: prod\n")];
    let told = told(&overlays(&prod), &[memory("32Mi")]);
    assert!(told.contains("the repository renders \"64Mi\" and the cluster runs \"32Mi\""), "{told}");
}

#[test]
fn a_kustomization_that_is_not_followed_is_a_reason() {
    for (layer, why) in [
        ("resources: [web.yaml]\ngenerators: [x.yaml]\n", "`generators` is not followed: plugins are not run"),
        ("resources: [web.yaml, gone.yaml]\n", "there is no prod/gone.yaml"),
        ("resources: [web.yaml]\ncomponents: [https://example.org/c]\n", "stands on another server"),
    ] {
        let web = BASE.replace("name: web\n", "name: web\n  namespace: prod\n");
        let sources = sources(&[("prod/kustomization.yaml", layer), ("prod/web.yaml", &web)]);
        let told = told(&sources, &[memory("64Mi")]);
        assert!(told.starts_with("blocked: prod/web.yaml:1:1 cannot be edited") && told.contains(why), "{told}");
    }
}

#[test]
fn a_resource_on_a_server_does_not_hide_those_that_are_here() {
    let layer = "namespace: prod\nresources: [web.yaml, \"https://github.com/example/base?ref=v1\"]\n";
    let sources = sources(&[("prod/kustomization.yaml", layer), ("prod/web.yaml", BASE)]);
    assert!(told(&sources, &[memory("64Mi")]).starts_with("prod/web.yaml:17:23 "));
}

#[test]
fn an_alias_is_shared_and_a_patch_is_not() {
    let web = BASE.replace(
        "limits:\n              memory: 64Mi",
        "requests: &r\n              memory: 64Mi\n            limits: *r",
    );
    let sources =
        sources(&[("prod/kustomization.yaml", "namespace: prod\nresources: [web.yaml]\n"), ("prod/web.yaml", &web)]);
    let told = told(&sources, &[memory("64Mi")]);
    assert!(told.starts_with("prod/kustomization.yaml:2:22 patches\n"), "{told}");
}

#[test]
fn the_namespace_may_be_given_by_flux_or_argo_cd() {
    let flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: web, namespace: flux-system}\nspec:\n  path: ./apps/web\n  targetNamespace: prod\n";
    let argo = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web, namespace: argocd}\nspec:\n  source: {path: apps/web}\n  destination: {namespace: prod}\n";
    for object in [flux, argo] {
        let files = [
            ("cluster/web.yaml", object),
            ("apps/web/kustomization.yaml", "resources: [web.yaml]\n"),
            ("apps/web/web.yaml", BASE),
        ];
        assert!(told(&sources(&files), &[memory("64Mi")]).starts_with("apps/web/web.yaml:17:23 "), "{object}");
        assert!(told(&sources(&files[1..]), &[memory("64Mi")]).starts_with("not-in-git: "));
    }
}

#[test]
fn what_flux_patches_by_itself_is_not_taken_for_a_default() {
    let flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: web, namespace: flux-system}\nspec:\n  path: ./prod\n  patches: [{patch: x}]\n";
    let files = [
        ("flux.yaml", flux),
        ("prod/kustomization.yaml", "namespace: prod\nresources: [web.yaml]\n"),
        ("prod/web.yaml", BASE),
    ];
    let told = told(&sources(&files), &[set(&MEMORY.replace("memory", "cpu"), json!("1"), json!("2"))]);
    assert!(told.contains("Kustomization flux-system/web has `patches` of its own"), "{told}");
}

#[test]
fn a_base_that_is_applied_by_itself_feeds_more_than_its_overlays() {
    let argo = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec: {source: {path: base}, destination: {namespace: dev}}\n";
    let files = [
        ("argo.yaml", argo),
        ("base/deployment.yaml", BASE),
        ("base/kustomization.yaml", "resources: [deployment.yaml]\n"),
        ("prod/kustomization.yaml", "resources: [../base]\nnamespace: prod\n"),
    ];
    assert!(told(&sources(&files), &[memory("64Mi")]).starts_with("prod/kustomization.yaml:2:16 patches\n"));
}

#[test]
fn layers_without_end_cost_no_more_than_a_bound() {
    // Each takes the one below twice: a thousand and twenty-four times in the end.
    let mut files = vec![("l0/kustomization.yaml".to_owned(), "resources: [web.yaml]\n".to_owned())];
    files.push(("l0/web.yaml".to_owned(), BASE.to_owned()));
    for level in 1..14 {
        for side in ["a", "b"] {
            let text = format!("resources: [../../l{}]\nnamePrefix: {side}-\n", level - 1);
            files.push((format!("l{level}/{side}/kustomization.yaml"), text));
        }
        files.push((format!("l{level}/kustomization.yaml"), "resources: [a, b]\n".to_owned()));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let sources = sources(&files);
    let Err(refusal) = super::render(&sources, "l13") else { panic!("it is not rendered") };
    assert!(refusal.why.contains("more layers than are followed"), "{refusal}");
    assert!(super::render(&sources, "l5").is_ok_and(|rendering| rendering.objects.len() == 32));
}
