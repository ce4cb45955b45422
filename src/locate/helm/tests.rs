use std::collections::BTreeMap;

use serde_json::json;

use crate::case::{Change, Declined, ObjectRef, Operation, SourceLocation, Sources};
use crate::locate::{edit_at, index, locate_all};
use crate::yaml;

const CHART: &str = "apiVersion: v2\nname: web\nversion: 0.1.0\nappVersion: \"1.0\"\n";
const VALUES: &str =
    "replicaCount: 2\nimage:\n  repository: registry.example/web\n  tag: \"1.4\" # ours\nresources: {}\n";
const HELPERS: &str = "{{/* a name */}}\n{{- define \"web.name\" -}}\n{{- printf \"%s-%s\" .Release.Name .Chart.Name | trunc 63 | trimSuffix \"-\" }}\n{{- end }}\n{{- define \"web.labels\" -}}\napp: {{ include \"web.name\" . }}\n{{- end }}\n";
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ include \"web.name\" . }}\n  labels:\n    {{- include \"web.labels\" . | nindent 4 }}\nspec:\n  replicas: {{ .Values.replicaCount }}\n  template:\n    spec:\n      containers:\n        - name: {{ .Chart.Name }}\n          image: \"{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}\"\n          {{- with .Values.resources }}\n          resources:\n            {{- toYaml . | nindent 12 }}\n          {{- end }}\n";
const RELEASE: &str = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: shop\n  namespace: shop\nspec:\n  chart:\n    spec:\n      chart: ./charts/web\n      sourceRef: {kind: GitRepository, name: fleet}\n  values:\n    resources:\n      limits:\n        memory: 64Mi # small\n";

fn sources(more: &[(&str, &str)]) -> Sources {
    let files = [
        ("charts/web/Chart.yaml", CHART),
        ("charts/web/values.yaml", VALUES),
        ("charts/web/templates/_helpers.tpl", HELPERS),
        ("charts/web/templates/deployment.yaml", DEPLOYMENT),
        ("apps/shop.yaml", RELEASE),
    ];
    let files: BTreeMap<_, _> =
        files.iter().chain(more).map(|(path, text)| ((*path).to_owned(), (*text).into())).collect();
    index("fleet", None, files, Vec::new())
}

fn change(path: &str, operation: Operation) -> Change {
    let object = ObjectRef::new("apps/v1", "Deployment", Some("shop"), "shop-web");
    Change { object, path: path.parse().unwrap(), operation }
}

fn set(path: &str, from: serde_json::Value, to: serde_json::Value) -> Change {
    change(path, Operation::Set { from, to })
}

fn edited(sources: &Sources, change: &Change) -> (SourceLocation, String) {
    let Err(Declined::Blocked { location: Some(place), why }) = locate_all(std::slice::from_ref(change), sources, None)
    else {
        panic!("no place is named")
    };
    assert!(why.starts_with("a chart renders it from this line"), "{why}");
    let place = *place;
    let text = &sources.files[&place.file].text;
    let after = yaml::edit(text, place.document, &[edit_at(change, &place)]).unwrap();
    (place, after)
}

const MEMORY: &str = "spec.template.spec.containers[name=web].resources.limits.memory";

#[test]
fn a_value_of_the_release_is_edited_there() {
    let (place, after) = edited(&sources(&[]), &set(MEMORY, json!("64Mi"), json!("128Mi")));
    assert_eq!((place.file.as_str(), place.line), ("apps/shop.yaml", 14));
    assert_eq!(after, RELEASE.replace("64Mi # small", "128Mi # small"));
    assert_eq!(place.rendered, ["charts/web/Chart.yaml"]);
}

#[test]
fn a_default_of_the_chart_is_edited_in_its_values() {
    let image = "spec.template.spec.containers[name=web].image";
    let tag = set(image, json!("registry.example/web:1.4"), json!("registry.example/web:1.5"));
    let (place, after) = edited(&sources(&[]), &tag);
    assert_eq!((place.file.as_str(), place.line), ("charts/web/values.yaml", 4));
    assert_eq!(after, VALUES.replace("\"1.4\" # ours", "\"1.5\" # ours"));
    let (_, after) = edited(&sources(&[]), &set("spec.replicas", json!(2), json!(3)));
    assert_eq!(after, VALUES.replace("replicaCount: 2", "replicaCount: 3"));
}

#[test]
fn a_default_that_others_read_is_set_where_it_is_for_this_release_only() {
    let other = RELEASE.replace("name: shop\n", "name: other\n");
    let (place, after) = edited(&sources(&[("apps/other.yaml", &other)]), &set("spec.replicas", json!(2), json!(3)));
    assert_eq!(place.file, "apps/shop.yaml");
    assert_eq!(after, format!("{RELEASE}    replicaCount: 3\n"));
}

#[test]
fn a_value_is_added_where_the_chart_takes_it() {
    let cpu = "spec.template.spec.containers[name=web].resources.limits.cpu";
    let (place, after) = edited(&sources(&[]), &change(cpu, Operation::Add { value: json!("1") }));
    assert_eq!(place.file, "apps/shop.yaml");
    assert_eq!(after, format!("{RELEASE}        cpu: \"1\"\n"));
}

fn declined(sources: &Sources, change: &Change) -> String {
    match locate_all(std::slice::from_ref(change), sources, None) {
        Err(Declined::Blocked { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_followed_or_not_live_is_named() {
    let odd = DEPLOYMENT.replace("{{ .Values.replicaCount }}", "{{ randInt 1 3 }}");
    let why = declined(
        &sources(&[("charts/web/templates/deployment.yaml", &odd)]),
        &set(MEMORY, json!("64Mi"), json!("128Mi")),
    );
    assert!(why.contains("`randInt` is not followed"), "{why}");
    let why = declined(&sources(&[]), &set(MEMORY, json!("32Mi"), json!("128Mi")));
    assert!(why.contains("the cluster runs"), "{why}");
    let endless = format!("{HELPERS}{{{{ define \"x\" }}}}{{{{ include \"x\" . }}}}{{{{ end }}}}");
    let calls = format!("{DEPLOYMENT}# {{{{ include \"x\" . }}}}\n");
    let files =
        [("charts/web/templates/_helpers.tpl", endless.as_str()), ("charts/web/templates/deployment.yaml", &calls)];
    let why = declined(&sources(&files), &set(MEMORY, json!("64Mi"), json!("128Mi")));
    assert!(why.contains("without an end"), "{why}");
}
