//! The folder of a chart in, what it renders of some values out.

use serde_json::{Map, Value, json};

use super::render::Run;
use super::template::{self, Defined, Node};
use super::values::over;
use crate::case::Sources;
use crate::locate::kustomize::within;
use crate::yaml;

/// Charts within charts.
const DEEPEST: usize = 4;

/// A chart of the repository.
pub(super) struct Chart {
    /// Its folder, with `/` at the end.
    pub folder: String,
    about: Value,
    defaults: Value,
    templates: Vec<(String, Vec<Node>)>,
    subs: Vec<Sub>,
}

struct Sub {
    alias: String,
    condition: String,
    chart: Chart,
}

/// A chart that can be rendered, with all that its templates define.
pub(super) struct Loaded {
    pub chart: Chart,
    defined: Defined,
}

/// The first document of a file.
pub(super) fn read(sources: &Sources, path: &str) -> Option<Result<Value, String>> {
    let file = sources.files.get(path)?;
    let value = yaml::documents(&file.text).map_err(|error| format!("{path} cannot be read: {error}"));
    Some(value.map(|all| all.first().map_or(Value::Null, yaml::Document::value)))
}

impl Loaded {
    pub fn of(sources: &Sources, folder: &str) -> Result<Self, String> {
        let mut defined = Defined::new();
        let chart = Chart::load(sources, folder, &mut defined, 0)?;
        Ok(Self { chart, defined })
    }

    /// What it renders of values that are whole.
    pub fn render(&self, values: &Value, name: &str, namespace: &str) -> Result<Vec<Value>, String> {
        let release = json!({
            "Name": name, "Namespace": namespace, "Service": "Helm", "IsInstall": true, "IsUpgrade": false, "Revision": 1,
        });
        let mut objects = Vec::new();
        self.chart.render(values, &release, &mut Run::new(&self.defined), &mut objects)?;
        Ok(objects)
    }
}

impl Chart {
    fn load(sources: &Sources, folder: &str, defined: &mut Defined, depth: usize) -> Result<Self, String> {
        let folder = if folder.is_empty() { String::new() } else { format!("{}/", folder.trim_end_matches('/')) };
        let about = read(sources, &format!("{folder}Chart.yaml")).ok_or("it is not in the repository")??;
        let defaults = read(sources, &format!("{folder}values.yaml")).transpose()?.unwrap_or(Value::Null);
        let defaults = if defaults.is_null() { json!({}) } else { defaults };
        let mut subs = Vec::new();
        for one in about["dependencies"].as_array().into_iter().flatten() {
            subs.push(Sub::load(sources, &folder, one, defined, depth)?);
        }
        let inside = format!("{folder}templates/");
        let mut templates = Vec::new();
        for (path, file) in sources.files.range(inside.clone()..).take_while(|(path, _)| path.starts_with(&inside)) {
            let nodes = template::parse(&file.text, defined).map_err(|why| format!("{path}: {why}"))?;
            let is_helper = path.rsplit('/').next().is_some_and(|name| name.starts_with('_'));
            if !is_helper && path.rsplit('.').next() != Some("tpl") && !path.contains("/templates/tests/") {
                templates.push((path.clone(), nodes));
            }
        }
        if about["type"] == "library" {
            templates.clear();
        }
        Ok(Self { folder, about, defaults, templates, subs })
    }

    /// All that templates see, of what a release says: defaults, of the charts within it too, and what is global.
    pub fn whole(&self, said: &Value) -> Value {
        let mut all = over(&self.defaults, said);
        for sub in &self.subs {
            let own = all.get(&sub.alias).filter(|own| own.is_object()).cloned().unwrap_or_else(|| json!({}));
            let mut own = sub.chart.whole(&own);
            let global = all.get("global").cloned().unwrap_or_else(|| json!({}));
            own["global"] = over(own.get("global").unwrap_or(&json!({})), &global);
            let own = sub.chart.whole(&own);
            all[&sub.alias] = own;
        }
        all
    }

    fn render(&self, values: &Value, release: &Value, run: &mut Run<'_>, out: &mut Vec<Value>) -> Result<(), String> {
        for sub in self.subs.iter().filter(|sub| sub.is_on(values)) {
            sub.chart.render(&values[&sub.alias], release, run, out)?;
        }
        let mut about = Map::new();
        for (key, value) in self.about.as_object().into_iter().flatten() {
            let first = key.chars().next().map(char::to_uppercase);
            about.insert(first.into_iter().flatten().chain(key.chars().skip(1)).collect(), value.clone());
        }
        let version = json!({"Version": "v1.33.0", "GitVersion": "v1.33.0", "Major": "1", "Minor": "33"});
        for (path, nodes) in &self.templates {
            let dot = json!({
                "Values": values, "Release": release, "Chart": about,
                "Capabilities": {"KubeVersion": version, "APIVersions": {}},
                "Template": {"Name": path, "BasePath": format!("{}templates", self.folder)},
            });
            let text = run.text(nodes, &dot).map_err(|why| format!("{path}: {why}"))?;
            let documents =
                yaml::documents(&text).map_err(|error| format!("{path} renders what is no YAML: {error}"))?;
            out.extend(documents.iter().map(yaml::Document::value).filter(Value::is_object));
        }
        Ok(())
    }
}

impl Sub {
    fn load(
        sources: &Sources,
        folder: &str,
        says: &Value,
        defined: &mut Defined,
        depth: usize,
    ) -> Result<Self, String> {
        let text = |key: &str| says[key].as_str().unwrap_or_default();
        let name = text("name");
        if depth >= DEEPEST || !says["tags"].is_null() || !says["import-values"].is_null() {
            return Err(format!("its dependency {name} is not followed"));
        }
        let beside = text("repository").strip_prefix("file://").and_then(|path| within(folder, path));
        let vendored = format!("{folder}charts/{name}");
        let at = [Some(vendored), beside].into_iter().flatten();
        let mut there = at.filter(|at| sources.files.contains_key(&format!("{at}/Chart.yaml")));
        let at = there.next().ok_or_else(|| format!("its dependency {name} is not in the repository"))?;
        let chart = Chart::load(sources, &at, defined, depth + 1)?;
        let alias = if text("alias").is_empty() { name } else { text("alias") };
        // A chart that has another name in its parent shows that name to its templates.
        let mut chart = chart;
        chart.about["name"] = Value::from(alias);
        Ok(Self { alias: alias.to_owned(), condition: text("condition").to_owned(), chart })
    }

    fn is_on(&self, values: &Value) -> bool {
        let said = self
            .condition
            .split(',')
            .find_map(|path| path.trim().split('.').try_fold(values, |at, key| at.get(key)).and_then(Value::as_bool));
        said.unwrap_or(true)
    }
}
