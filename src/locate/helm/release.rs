//! A repository in, the releases of its charts out: of Flux and of Argo CD, each with its values as layers.

use serde_json::{Value, json};

use super::chart;
use super::values::over;
use crate::case::{ObjectRef, Sources};
use crate::locate::kustomize::{self, Roots, within};
use crate::yaml::{self, FieldPath};

/// A chart that is applied.
pub(super) struct Release {
    /// What applies it.
    pub owner: ObjectRef,
    pub name: String,
    pub namespace: String,
    /// The folder of its chart.
    pub chart: String,
    /// What says its values, the lowest first.
    pub layers: Result<Vec<Layer>, String>,
}

/// Something that says values.
#[derive(Clone)]
pub(super) struct Layer {
    /// The file; none for what the owner says itself.
    pub file: Option<String>,
    /// Where in its document the values are.
    pub base: FieldPath,
    pub value: Value,
}

impl Release {
    /// What its layers say together.
    pub fn said(layers: &[Layer]) -> Value {
        layers.iter().fold(json!({}), |all, layer| over(&all, &layer.value))
    }
}

/// Those whose charts could be in the repository.
pub(super) fn releases(sources: &Sources) -> Vec<Release> {
    let roots = Roots::of(sources);
    let is_owner = |id: &ObjectRef| {
        (id.kind == "HelmRelease" && id.group == "helm.toolkit.fluxcd.io")
            || (id.kind == "Application" && id.group == "argoproj.io")
    };
    let mut owners: Vec<(ObjectRef, Value)> = Vec::new();
    for (path, file) in &sources.files {
        for declared in file.objects.iter().filter(|declared| is_owner(&declared.id) && !roots.takes(path)) {
            let document = yaml::document(&file.text, declared.offset, declared.document).ok();
            let object = document.and_then(|document| document.value_at(&declared.root));
            owners.extend(object.map(|object| (declared.id.clone(), object)));
        }
    }
    for root in &roots.roots {
        if root.renders.iter().flatten().any(|declared| is_owner(&declared.id)) {
            let rendering = kustomize::render(sources, &root.folder);
            let objects = rendering.into_iter().flat_map(|rendering| rendering.objects);
            owners.extend(objects.filter(|one| is_owner(&one.id)).map(|one| (one.id.clone(), one.value())));
        }
    }
    owners.iter().filter_map(|(id, object)| read(sources, id, &object["spec"])).collect()
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn read(sources: &Sources, id: &ObjectRef, spec: &Value) -> Option<Release> {
    if id.kind == "HelmRelease" { flux(sources, id, spec) } else { argo(sources, id, spec) }
}

fn flux(sources: &Sources, id: &ObjectRef, spec: &Value) -> Option<Release> {
    let of = &spec["chart"]["spec"];
    if of["sourceRef"]["kind"] != "GitRepository" {
        return None;
    }
    let chart = within("", of["chart"].as_str()?)?;
    let target = text(&spec["targetNamespace"]);
    let name = text(&spec["releaseName"]).map_or_else(
        || target.map_or_else(|| id.name.clone(), |target| format!("{target}-{}", id.name)),
        ToOwned::to_owned,
    );
    let namespace = target.or(id.namespace.as_deref()).unwrap_or("default").to_owned();
    let not_followed = ["valuesFrom", "postRenderers"].iter().find(|key| !spec[**key].is_null());
    let layers = match not_followed {
        Some(key) => Err(format!("{id} has `{key}`, which is not followed")),
        // Flux takes them in the place of the chart's own, unless that is listed, too.
        None if of["valuesFiles"][0]
            .as_str()
            .is_some_and(|first| within("", first) != Some(format!("{chart}/values.yaml"))) =>
        {
            Err(format!("{id} leaves out the chart's own values.yaml, which is not followed"))
        }
        None if spec["suspend"] == true => Err(format!("{id} is suspended")),
        None => files(sources, "", &chart, &of["valuesFiles"], &["values.yaml"]),
    };
    let layers = layers.map(|layers| with_own(layers, FieldPath::keys(&["spec", "values"]), &spec["values"]));
    Some(Release { owner: id.clone(), name, namespace, chart, layers })
}

fn argo(sources: &Sources, id: &ObjectRef, spec: &Value) -> Option<Release> {
    let of = spec["sources"].is_null().then_some(&spec["source"])?;
    let chart = within("", of["path"].as_str()?)?;
    sources.files.contains_key(&format!("{chart}/Chart.yaml")).then_some(())?;
    let helm = &of["helm"];
    let name = text(&helm["releaseName"]).unwrap_or(&id.name).to_owned();
    let namespace = text(&helm["namespace"]).or(text(&spec["destination"]["namespace"])).unwrap_or("default");
    let keys = ["values", "parameters", "fileParameters", "valuesObject"];
    let not_followed = keys[..3].iter().find(|key| !helm[**key].is_null());
    let layers = match not_followed {
        Some(key) => Err(format!("{id} has `{key}`, which is not followed")),
        None => files(sources, &chart, &chart, &helm["valueFiles"], &[]),
    };
    let is_inline = helm["valuesObject"].is_object() || helm["valueFiles"].is_null();
    let base = FieldPath::keys(&["spec", "source", "helm", "valuesObject"]);
    let layers = layers.map(|layers| if is_inline { with_own(layers, base, &helm["valuesObject"]) } else { layers });
    Some(Release { owner: id.clone(), name, namespace: namespace.to_owned(), chart, layers })
}

fn with_own(mut layers: Vec<Layer>, base: FieldPath, said: &Value) -> Vec<Layer> {
    let value = if said.is_object() { said.clone() } else { json!({}) };
    layers.push(Layer { file: None, base, value });
    layers
}

fn default_layer(sources: &Sources, chart: &str) -> Option<Layer> {
    let file = format!("{chart}/values.yaml");
    let value = chart::read(sources, &file)?.ok().filter(Value::is_object)?;
    Some(Layer { file: Some(file), base: FieldPath::root(), value })
}

/// The files of values, after the chart's own.
fn files(sources: &Sources, folder: &str, chart: &str, said: &Value, skip: &[&str]) -> Result<Vec<Layer>, String> {
    let mut layers: Vec<Layer> = default_layer(sources, chart).into_iter().collect();
    for path in said.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let from = if path.starts_with('/') { "" } else { folder };
        let file = within(from, path).filter(|_| !path.contains(['$', '*']));
        let file = file.ok_or_else(|| format!("the values of {path} are not followed"))?;
        if skip.iter().any(|name| file == format!("{chart}/{name}")) {
            continue;
        }
        let value = chart::read(sources, &file).ok_or_else(|| format!("there is no {file}"))??;
        layers.push(Layer { file: Some(file), base: FieldPath::root(), value });
    }
    Ok(layers)
}
