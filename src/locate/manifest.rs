//! Plain manifests: the file that declares the object is the file that sets its fields.

use serde_json::Value;

use crate::case::{Change, Declared, Declined, Link, ObjectRef, Operation, SourceFile, SourceLocation, Sources};
use crate::detect::count;
use crate::quantity::Quantity;
use crate::yaml::{self, Data, Document, FieldPath, Step};

/// Folders and files whose objects nobody applies to a cluster.
const NOT_MANIFESTS: [&str; 3] = [".kubecure/", ".github/", ".gitea/"];

/// A file and the object in it.
type Place<'s> = (&'s str, &'s SourceFile, &'s Declared);

/// `is_plain` says of a file that it is applied as it stands.
pub(super) fn locate(
    change: &Change,
    sources: &Sources,
    home: Option<&str>,
    is_plain: &dyn Fn(&str) -> bool,
) -> Result<SourceLocation, Declined> {
    let mut places = declarations(&change.object, sources, home);
    places.retain(|(path, ..)| is_plain(path));
    match places.as_slice() {
        [] => Err(not_in_git(&change.object, sources)),
        [place] => in_file(change, *place),
        several => {
            let locations = several
                .iter()
                .map(|place| in_file(change, *place).or_else(|_| head(*place)))
                .collect::<Result<_, _>>()?;
            Err(Declined::Ambiguous { what: format!("`{}` of {}", change.path, change.object), places: locations })
        }
    }
}

fn declarations<'s>(object: &ObjectRef, sources: &'s Sources, home: Option<&str>) -> Vec<Place<'s>> {
    let is_it = |declared: &Declared| {
        let id = &declared.id;
        id.kind == object.kind
            && id.name == object.name
            && id.group == object.group
            && lives_in(id.namespace.as_deref(), object.namespace.as_deref(), home)
    };
    let of_file = |(path, file): (&'s str, &'s SourceFile)| {
        file.objects.iter().filter(|o| is_it(o)).map(move |o| (path, file, o)).collect::<Vec<_>>()
    };
    applied(sources, &|_| true).flat_map(of_file).collect()
}

/// Files whose objects may be applied as they stand.
pub(super) fn applied<'s>(
    sources: &'s Sources,
    is_plain: &dyn Fn(&str) -> bool,
) -> impl Iterator<Item = (&'s str, &'s SourceFile)> {
    let is_manifest = |path: &str| {
        let is_other = NOT_MANIFESTS.iter().any(|prefix| path.starts_with(prefix)) || is_chart_template(path, sources);
        !is_other && is_plain(path)
    };
    let all: Vec<_> =
        sources.files.iter().filter(|(path, file)| !file.objects.is_empty() && is_manifest(path)).collect();
    all.into_iter().map(|(path, file)| (path.as_str(), file))
}

/// Whether a file is a template of a Helm chart, even one that happens to be plain YAML: what it says is not what runs.
fn is_chart_template(path: &str, sources: &Sources) -> bool {
    path.match_indices("templates/").any(|(at, _)| {
        let chart = &path[..at];
        (chart.is_empty() || chart.ends_with('/')) && sources.files.contains_key(&format!("{chart}Chart.yaml"))
    })
}

/// Whether an object that a file puts into `declared` is the one that lives in `live`. A file that says nothing means
/// the namespace that policy speaks of, or `default`.
pub(super) fn lives_in(declared: Option<&str>, live: Option<&str>, home: Option<&str>) -> bool {
    match (declared, live) {
        (declared, live) if declared == live => true,
        (None, Some(live)) => live == home.unwrap_or("default"),
        _ => false,
    }
}

/// Why nothing was found, with what could not be read: the object may stand there.
pub(super) fn not_in_git(object: &ObjectRef, sources: &Sources) -> Declined {
    let broken: Vec<&str> =
        sources.files.iter().filter(|(_, f)| f.broken.is_some()).map(|(path, _)| path.as_str()).collect();
    let objects: usize = sources.files.values().map(|file| file.objects.len()).sum();
    let mut detail = format!("{} with {} were read", count(sources.files.len(), "file"), count(objects, "object"));
    if !broken.is_empty() {
        let more = if broken.len() > 3 { " and others" } else { "" };
        let named: Vec<&str> = broken.iter().copied().take(3).collect();
        detail = format!("{detail}; {} could not be read as YAML ({}{more})", broken.len(), named.join(", "));
    }
    let namesakes = sources.files.iter().flat_map(|(path, f)| f.objects.iter().map(move |o| (path, o)));
    let namesake = namesakes.into_iter().find(|(_, o)| o.id.kind == object.kind && o.id.name == object.name);
    if let Some((path, other)) = namesake {
        let there = other.id.namespace.as_deref().map_or("no namespace".to_owned(), |ns| format!("namespace {ns}"));
        detail = format!("{detail}; {path} declares one of this name with {there}");
    }
    Declined::NotInGit { object: object.clone(), detail }
}

fn document((path, file, declared): Place<'_>) -> Result<Document, Declined> {
    yaml::document(&file.text, declared.offset, declared.document)
        .map_err(|error| Declined::Blocked { location: None, why: format!("{path} cannot be read: {error}") })
}

/// The places of an object in files that are not applied as they stand.
pub(super) fn heads(object: &ObjectRef, sources: &Sources, home: Option<&str>) -> Vec<SourceLocation> {
    declarations(object, sources, home).into_iter().filter_map(|place| head(place).ok()).collect()
}

/// The place of the object itself.
fn head(place: Place<'_>) -> Result<SourceLocation, Declined> {
    let document = document(place)?;
    Ok(location(place, &document, &place.2.root, start_of(&document, &place.2.root), None))
}

fn in_file(change: &Change, place: Place<'_>) -> Result<SourceLocation, Declined> {
    let (_, _, declared) = place;
    let document = document(place)?;
    let path = declared.root.clone().join(&change.path);
    let value = document.value_at(&path).filter(|v| !v.is_null());
    let Some(node) = document.find(&path).filter(|_| value.is_some()) else {
        if value.is_some() {
            let head = head(place).ok().map(Box::new);
            let why =
                format!("`{}` gets its value through an alias or a merge key, so the line is shared", change.path);
            return Err(Declined::Blocked { location: head, why });
        }
        return to_be_added(change, place, &document, &path);
    };
    let found = location(place, &document, &path, node.span.clone(), value.clone());
    match (&change.operation, value) {
        (Operation::Set { from, .. } | Operation::Remove { from }, Some(value)) if !same(from, &value) => {
            let why = format!(
                "the file says {value} and the cluster runs {from}: it is not applied yet, or was changed by hand"
            );
            Err(Declined::Blocked { location: Some(Box::new(found)), why })
        }
        (Operation::Add { .. }, Some(value)) => {
            let why = format!("the file has a value already, {value}, that the cluster does not show");
            Err(Declined::Blocked { location: Some(Box::new(found)), why })
        }
        _ => Ok(found),
    }
}

/// A field that the file does not have: where it goes. Its list item must be there, for an item is never invented.
fn to_be_added(
    change: &Change,
    place: Place<'_>,
    document: &Document,
    path: &FieldPath,
) -> Result<SourceLocation, Declined> {
    if let Operation::Remove { .. } = change.operation {
        let detail = format!("{} declares it, but `{}` is not set there", place.0, change.path);
        return Err(Declined::NotInGit { object: change.object.clone(), detail });
    }
    let mut parent = path.clone();
    let mut is_whole_field = true;
    while let Some((shorter, last)) = parent.split_last() {
        let is_item = matches!(last, Step::Named { .. } | Step::Index(_));
        parent = shorter;
        let node = document.find(&parent);
        // An item that is itself what is to be added goes to the end of its list; one on the way must be there.
        if is_item && (node.is_none() || !is_whole_field) {
            break;
        }
        is_whole_field = false;
        if let Some(node) = node {
            let end = end_of_last(node);
            return Ok(location(place, document, path, end..end, None));
        }
    }
    let detail = format!("{} declares it, but has nothing at `{}`", place.0, change.path);
    Err(Declined::NotInGit { object: change.object.clone(), detail })
}

/// Where the last entry of a map or list ends.
pub(super) fn end_of_last(node: &yaml::Node) -> usize {
    match &node.data {
        Data::Map(entries, _) => entries.last().map_or(node.span.end, |entry| entry.value.span.end),
        Data::List(items, _) => items.last().map_or(node.span.end, |item| item.span.end),
        _ => node.span.end,
    }
}

fn start_of(document: &Document, path: &FieldPath) -> std::ops::Range<usize> {
    let start = document.find(path).map_or(document.span.start, |node| node.span.start);
    start..start
}

fn location(
    (file, source, declared): Place<'_>,
    document: &Document,
    path: &FieldPath,
    span: std::ops::Range<usize>,
    value: Option<Value>,
) -> SourceLocation {
    let (line, column) = yaml::line_column(&source.text, span.start);
    let (head_line, _) = yaml::line_column(&source.text, start_of(document, &declared.root).start);
    let chain =
        vec![Link { file: file.to_owned(), line: head_line, what: format!("{} is declared here", declared.id) }];
    SourceLocation {
        file: file.to_owned(),
        document: declared.document,
        path: path.clone(),
        span,
        line,
        column,
        value,
        chain,
        writes: None,
        rendered: Vec::new(),
        also: Vec::new(),
    }
}

/// Whether the live value is the one that the file says. The API server writes quantities in its own way (`0.5` as
/// `500m`) and numbers as text.
pub(super) fn same(live: &Value, file: &Value) -> bool {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    if live == file {
        return true;
    }
    match (live, file) {
        // Fields that the API server fills in do not stand in the file.
        (Value::Object(live), Value::Object(file)) => {
            file.iter().all(|(key, value)| live.get(key).is_some_and(|l| same(l, value)))
        }
        (Value::Array(live), Value::Array(file)) => {
            live.len() == file.len() && live.iter().zip(file).all(|(l, f)| same(l, f))
        }
        _ => match (scalar(live), scalar(file)) {
            (Some(live), Some(file)) => {
                live == file || matches!((Quantity::parse(&live), Quantity::parse(&file)), (Some(a), Some(b)) if a == b)
            }
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn sources(files: &[(&str, &str)]) -> Sources {
        let files: BTreeMap<_, _> = files.iter().map(|(p, t)| ((*p).to_owned(), std::sync::Arc::from(*t))).collect();
        crate::locate::index("test", None, files, Vec::new())
    }

    const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          resources:\n            limits: {cpu: 0.5}\n";

    fn set(path: &str, from: Value, to: Value) -> Change {
        let object = ObjectRef::new("apps/v1", "Deployment", Some("shop"), "web");
        Change { object, path: path.parse().unwrap(), operation: Operation::Set { from, to } }
    }

    #[test]
    fn a_field_is_found_with_its_bytes() {
        let sources = sources(&[("a.yaml", WEB)]);
        let change = set("spec.template.spec.containers[name=app].resources.limits.cpu", json!("500m"), json!("1"));
        let place = locate(&change, &sources, None, &|_| true).unwrap();
        assert_eq!((place.line, place.column), (10, 27));
        assert_eq!(&WEB[place.span], "0.5");
    }

    #[test]
    fn two_declarations_are_ambiguous_and_both_are_named() {
        let sources = sources(&[("a.yaml", WEB), ("old/b.yaml", WEB)]);
        let change = set("spec.template.spec.containers[name=app].resources.limits.cpu", json!("500m"), json!("1"));
        let Err(Declined::Ambiguous { places, .. }) = locate(&change, &sources, None, &|_| true) else { panic!() };
        assert_eq!(places.iter().map(|p| p.file.as_str()).collect::<Vec<_>>(), ["a.yaml", "old/b.yaml"]);
    }

    #[test]
    fn a_value_that_the_cluster_does_not_run_is_not_edited() {
        let sources = sources(&[("a.yaml", WEB)]);
        let change = set("spec.template.spec.containers[name=app].resources.limits.cpu", json!("2"), json!("1"));
        assert!(matches!(locate(&change, &sources, None, &|_| true), Err(Declined::Blocked { .. })));
    }

    #[test]
    fn an_object_of_a_list_is_found_and_a_missing_namespace_is_policys() {
        let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: apps/v1\n  kind: Deployment\n  metadata: {name: web}\n  spec: {paused: true}\n";
        let sources = sources(&[("a.yaml", list)]);
        let change = set("spec.paused", json!(true), json!(false));
        assert!(matches!(locate(&change, &sources, None, &|_| true), Err(Declined::NotInGit { .. })));
        let place = locate(&change, &sources, Some("shop"), &|_| true).unwrap();
        assert_eq!(place.path.to_string(), "items[0].spec.paused");
    }

    #[test]
    fn a_template_of_a_chart_is_no_manifest() {
        let sources = sources(&[("chart/Chart.yaml", "name: web\n"), ("chart/templates/web.yaml", WEB)]);
        let change = set("spec.template.spec.containers[name=app].resources.limits.cpu", json!("500m"), json!("1"));
        assert!(matches!(locate(&change, &sources, None, &|_| true), Err(Declined::NotInGit { .. })));
    }

    #[test]
    fn a_list_item_is_never_invented() {
        let sources = sources(&[("a.yaml", WEB)]);
        let object = ObjectRef::new("apps/v1", "Deployment", Some("shop"), "web");
        let add = |path: &str| Change {
            object: object.clone(),
            path: path.parse().unwrap(),
            operation: Operation::Add { value: json!("1") },
        };
        assert!(
            locate(&add("spec.template.spec.containers[name=app].resources.requests.cpu"), &sources, None, &|_| true)
                .is_ok()
        );
        assert!(locate(&add("spec.template.spec.containers[name=other].image"), &sources, None, &|_| true).is_err());
    }
}
