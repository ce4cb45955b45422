//! What a syncer says that it cannot apply in, the place in the repository that it speaks of out.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::kustomize::{self, RefusalKind};
use super::trace::{Query, trace};
use crate::case::{
    Blamed, Change, Incident, Link, ObjectRef, Operation, Snapshot, SourceLocation, Sources, SyncError, Syncer,
};
use crate::yaml::{self, FieldPath};

/// The place that the first error of an incident speaks of, where that is established.
pub fn blamed(incident: &Incident, snapshot: &Snapshot, sources: &Sources, home: Option<&str>) -> Option<Blamed> {
    let id = &incident.first().workload;
    let syncer = snapshot.syncers.iter().find(|syncer| syncer.id == *id)?;
    let errors = syncer.errors();
    let look = Look { syncer, snapshot, sources, home };
    errors.iter().find_map(|error| look.place(error))
}

struct Look<'l> {
    syncer: &'l Syncer,
    snapshot: &'l Snapshot,
    sources: &'l Sources,
    home: Option<&'l str>,
}

impl Look<'_> {
    fn place(&self, error: &SyncError) -> Option<Blamed> {
        self.of_branch(error)
            .or_else(|| self.of_kustomization(error))
            .or_else(|| self.of_variable(error))
            .or_else(|| self.of_schema(error))
            .or_else(|| self.of_object(error))
            .or_else(|| self.of_file(error))
    }

    /// The folders of the repository that it applies.
    fn folders(&self) -> Vec<String> {
        let spec = &self.syncer.spec;
        let said = spec.path.iter().chain(spec.source.iter().chain(&spec.sources).filter_map(|s| s.path.as_ref()));
        said.filter_map(|path| kustomize::within("", path)).collect()
    }

    /// A kustomization that is not built: what it names is not there. The rendering here refuses it at the same place.
    fn of_kustomization(&self, error: &SyncError) -> Option<Blamed> {
        self.folders().into_iter().find_map(|folder| {
            let refusal = kustomize::render(self.sources, &folder).err()?;
            if refusal.kind != RefusalKind::Broken {
                return None;
            }
            let Some(missing) = refusal.why.strip_prefix("there is no ") else {
                let is_it = error.message.contains(refusal.file.rsplit('/').next().unwrap_or_default());
                return is_it.then(|| self.at_line(&refusal.file, refusal.line, refusal.why.clone()));
            };
            let name = missing.rsplit('/').next().unwrap_or(missing);
            if !error.message.contains(name) {
                return None;
            }
            kustomize::entry(self.sources, &refusal.file, missing).or_else(|| {
                Some(self.at_line(&refusal.file, refusal.line, format!("it names {missing}, which is not there")))
            })
        })
    }

    /// A branch or a tag that the server does not have.
    fn of_branch(&self, error: &SyncError) -> Option<Blamed> {
        static GONE: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"(?:find remote ref|reference not found|unable to resolve)[^"']*["']?(?:refs/(heads|tags)/)?([A-Za-z0-9._/-]*)"#)
                .expect("a constant pattern")
        });
        let found = GONE.captures(&error.message)?;
        let kind = if found.get(1).is_some_and(|kind| kind.as_str() == "tags") { "tag" } else { "branch" };
        let name = found.get(2).map_or("", |name| name.as_str());
        let path = match self.syncer.id.kind.as_str() {
            "GitRepository" => FieldPath::keys(&["spec", "ref", kind]),
            "Application" => FieldPath::keys(&["spec", "source", "targetRevision"]),
            _ => return None,
        };
        let place = self.field(&self.syncer.id, &path)?;
        Some(Blamed { what: format!("it names the {kind} {name}, which the server does not have"), place, cure: None })
    }

    /// A variable that nothing sets: `${name}` in a file of the folder.
    fn of_variable(&self, error: &SyncError) -> Option<Blamed> {
        static UNSET: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"variable not set[^"]*"([A-Za-z_][A-Za-z0-9_]*)""#).expect("a constant pattern")
        });
        let found = UNSET.captures(&error.message)?;
        let name = found.get(1)?.as_str();
        let words = [format!("${{{name}}}"), format!("${{{name}:")];
        self.folders().iter().find_map(|folder| {
            let inside = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let files = self.sources.files.iter().filter(|(path, _)| path.starts_with(&inside));
            files.into_iter().find_map(|(path, file)| {
                let at = words.iter().filter_map(|word| file.text.find(word)).min()?;
                let (line, _) = yaml::line_column(&file.text, at);
                Some(self.at_line(path, line, format!("it uses the variable {name}, which nothing sets")))
            })
        })
    }

    /// Values that do not fit the chart's schema: the last values file that says them.
    fn of_schema(&self, error: &SyncError) -> Option<Blamed> {
        static MISFIT: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?m)^\s*- (?:at '/?([^']*)'|([A-Za-z0-9_.]+)): (.+)$").expect("a constant pattern")
        });
        if !error.message.contains("schema") {
            return None;
        }
        let found = MISFIT.captures(&error.message)?;
        let dotted = found.get(1).or(found.get(2))?.as_str().replace('/', ".");
        let path: FieldPath = dotted.parse().ok()?;
        let what = format!("`{dotted}` does not fit the schema of the chart: {}", found.get(3)?.as_str().trim());
        let own = FieldPath::keys(&["spec", "values"]).join(&path);
        let in_object = || Some(Blamed { what: what.clone(), place: self.field(&self.syncer.id, &own)?, cure: None });
        let in_file = |file: &String| {
            let text = &self.sources.files.get(file)?.text;
            let document = yaml::document(text, 0, 0).ok()?;
            let at = document.find(&path)?.span.start;
            Some(self.at_line(file, yaml::line_column(text, at).0, what.clone()))
        };
        self.value_files().iter().rev().find_map(in_file).or_else(in_object)
    }

    fn value_files(&self) -> Vec<String> {
        let spec = &self.syncer.spec;
        let mut all = Vec::new();
        for source in spec.source.iter().chain(&spec.sources) {
            let folder = source.path.as_deref().unwrap_or_default();
            for said in source.helm.iter().flat_map(|helm| &helm.value_files) {
                let of_ref = said.strip_prefix('$').and_then(|rest| rest.split_once('/')).map(|(_, path)| path);
                let folder = if of_ref.is_some() || said.starts_with('/') { "" } else { folder };
                all.extend(kustomize::within(folder, of_ref.unwrap_or(said)));
            }
        }
        all
    }

    /// An object that the API server refuses: the field that it names, or the one whose type is another than that of
    /// the object as it runs.
    fn of_object(&self, error: &SyncError) -> Option<Blamed> {
        static FIELD: LazyLock<Regex> = LazyLock::new(|| {
            let path = r"\.?([a-z][A-Za-z0-9]*(?:\[[^\]]*\])?(?:\.[A-Za-z0-9_-]+(?:\[[^\]]*\])?)*)";
            Regex::new(&format!(
                r#"(?:unknown field "{path}"|{path}: (?:Invalid value|Required value|Forbidden|Unsupported value|Duplicate value|Too long|expected|field is immutable|field not declared))"#
            ))
            .expect("a constant pattern")
        });
        static OBJECT: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"\b([A-Z][A-Za-z]+)/(?:([a-z0-9.-]+)/)?([a-z0-9.-]+) (?:dry-run failed|is invalid|invalid|apply failed|namespace not specified)")
                .expect("a constant pattern")
        });
        let named = || {
            let found = OBJECT.captures(&error.message)?;
            Some(ObjectRef {
                group: String::new(),
                kind: found.get(1)?.as_str().to_owned(),
                namespace: found.get(2).map(|namespace| namespace.as_str().to_owned()),
                name: found.get(3)?.as_str().to_owned(),
            })
        };
        let object = error.object.clone().or_else(named)?;
        let said = FIELD.captures_iter(&error.message).filter_map(|found| found.get(1).or(found.get(2)));
        let said: Vec<&str> = said.map(|path| path.as_str()).filter(|path| *path != "patch").collect();
        let found = said.iter().find_map(|path| {
            let place = self.field(&object, &path.parse().ok()?)?;
            Some(Blamed { what: format!("`{path}` of {object} is refused"), place, cure: None })
        });
        found.or_else(|| self.of_another_type(&object))
    }

    /// The one field that has another type than in the object as it runs.
    fn of_another_type(&self, object: &ObjectRef) -> Option<Blamed> {
        let workload = self.snapshot.workload(object)?;
        let live = serde_json::json!({
            "spec": {"replicas": workload.spec.replicas, "template": workload.spec.template.value()}
        });
        let mut found = Vec::new();
        for one in self.traced(object, &[]) {
            let (Some(said), Some(runs)) = (&one.value, one.field.get(&live)) else { continue };
            let Ok(place) = one.found else { continue };
            let is_other = matches!((said, runs), (Value::String(_), Value::Number(_) | Value::Bool(_)))
                || matches!((said, runs), (Value::Number(_) | Value::Bool(_), Value::String(_)));
            if is_other {
                let what = format!("`{}` of {object} says {said}, where {} runs: {runs}", one.field, type_of(runs));
                found.push(Blamed { place, what, cure: None });
            }
        }
        if found.len() == 1 { found.pop() } else { None }
    }

    fn traced(&self, object: &ObjectRef, fields: &[FieldPath]) -> Vec<super::trace::Trace> {
        let folders = self.folders();
        let roots =
            folders.iter().map(|folder| Some(if folder.is_empty() { "." } else { folder.as_str() })).chain([None]);
        for root in roots {
            let query = Query {
                object: object.clone(),
                is_kind: &|kind| kind == object.kind,
                root,
                fields,
                live: None,
                home: self.home,
            };
            let traces = trace(&query, self.sources).unwrap_or_default();
            if traces.iter().any(|trace| trace.found.is_ok()) {
                return traces;
            }
        }
        Vec::new()
    }

    /// The place of a field of an object that is applied.
    fn field(&self, object: &ObjectRef, path: &FieldPath) -> Option<SourceLocation> {
        self.traced(object, std::slice::from_ref(path)).into_iter().find_map(|trace| trace.found.ok())
    }

    /// A file that is no YAML, or that the message names with a line.
    fn of_file(&self, error: &SyncError) -> Option<Blamed> {
        static LINE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bline (\d+)").expect("a constant pattern"));
        let is_named = |path: &&String| error.message.contains(path.as_str());
        let file = self.sources.files.keys().filter(is_named).max_by_key(|path| path.len())?;
        let text = &self.sources.files.get(file)?.text;
        let own = yaml::documents(text).err();
        let said = LINE.captures(&error.message).and_then(|found| found.get(1)?.as_str().parse().ok());
        let line =
            said.filter(|line| (1..=text.lines().count()).contains(line)).or(own.as_ref().map(|why| why.line))?;
        let what = match own {
            Some(why) => format!("it is no YAML: {} (line {})", why.reason, why.line),
            None => "it cannot be read there".to_owned(),
        };
        Some(self.at_line(file, line, what))
    }

    /// A line of a file as a place.
    fn at_line(&self, file: &str, line: usize, what: String) -> Blamed {
        let text = self.sources.files.get(file).map_or("", |file| &*file.text);
        let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let said = text[start..].split(['\n', '\r']).next().unwrap_or_default();
        let indent = said.len() - said.trim_start().len();
        let place = SourceLocation {
            file: file.to_owned(),
            document: 0,
            path: FieldPath::root(),
            span: start + indent..start + said.trim_end().len().max(indent),
            line,
            column: said[..indent].chars().count() + 1,
            value: None,
            chain: vec![Link { file: file.to_owned(), line, what: format!("{} speaks of it", self.syncer.id) }],
            writes: None,
            rendered: Vec::new(),
            also: Vec::new(),
        };
        Blamed { place, what, cure: None }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Number(_) => "a number",
        Value::Bool(_) => "true or false",
        _ => "a text",
    }
}

/// Whether a change is one of a kustomization itself, which is no object of the cluster.
pub(super) fn is_of_kustomization(change: &Change) -> bool {
    change.object.group == kustomize::GROUP
}

/// The place of a change of a kustomization, which must be rendered afterwards.
pub(super) fn locate_entry(change: &Change, sources: &Sources) -> Result<SourceLocation, crate::case::Declined> {
    let declined = |why: String| crate::case::Declined::Blocked { location: None, why };
    let (file, to) = match &change.operation {
        Operation::Set { to: Value::String(to), .. } => (&change.object.name, to),
        _ => return Err(declined("only a name of a kustomization is corrected".to_owned())),
    };
    kustomize::corrected(sources, file, &change.path, to).map_err(declined)
}
