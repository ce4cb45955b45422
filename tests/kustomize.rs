//! The native rendering against kustomize itself: same objects, same fields, or a reason.
//!
//! What is compared: every kustomization of `tests/kustomize/`, of the example repository, of `deploy/`, and of the
//! repositories that `KUBECURE_SAMPLES` names (a folder of checkouts), when it is there. Kustomize is the one in the
//! cluster's own kubectl (`tests/cluster/build.sh` makes it), or in a kubectl of PATH.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads files and starts the program that is compared with"
)]

#[path = "kustomize/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kubecure::adapters::folder;
use kubecure::case::{Change, Operation, Sources};
use kubecure::locate::{self, kustomize};
use kubecure::yaml::{self, FieldPath};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A kubectl that can render, as words to start it with; said when there is none.
fn kubectl() -> Option<Vec<String>> {
    let found = find_kubectl();
    if found.is_none() {
        println!("skipped: there is no kubectl; tests/cluster/build.sh builds one");
    }
    found
}

fn find_kubectl() -> Option<Vec<String>> {
    let ours =
        "cd tests/cluster && . ./lib.sh && test -x \"$kubernetes/kubernetes\" && echo \"$kubernetes/kubernetes\"";
    let found = Command::new("bash").args(["-c", ours]).current_dir(root()).output().ok()?;
    let path = String::from_utf8(found.stdout).ok()?.trim().to_owned();
    let candidates = [vec![path, "kubectl".to_owned()], vec!["kubectl".to_owned()]];
    candidates.into_iter().filter(|words| !words[0].is_empty()).find(|words| {
        let version = Command::new(&words[0]).args(&words[1..]).args(["version", "--client"]).output();
        version.is_ok_and(|out| {
            let text = String::from_utf8_lossy(&out.stdout).replace('\n', ", ");
            println!("compared with {}", text.trim_end_matches(", "));
            out.status.success()
        })
    })
}

fn sources(at: &Path) -> Sources {
    let raw = folder::read(at).unwrap();
    locate::index(&at.display().to_string(), None, raw.files, raw.skipped)
}

/// Objects by what they are called.
type Objects = BTreeMap<String, Value>;

fn by_name(values: impl Iterator<Item = Value>) -> Objects {
    let name = |value: &Value| {
        let text = |at: &str| value.pointer(at).and_then(Value::as_str).unwrap_or("").to_owned();
        [text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name")].join(" ")
    };
    values.map(|value| (name(&value), value)).collect()
}

fn theirs(kubectl: &[String], at: &Path) -> Result<Objects, String> {
    let mut command = Command::new(&kubectl[0]);
    command.args(&kubectl[1..]).args(["kustomize", "--load-restrictor=LoadRestrictionsNone"]).arg(at);
    // Nothing is fetched: what stands on a server is not what is compared.
    let output = command.env("https_proxy", "http://127.0.0.1:1").env("GIT_CONFIG_COUNT", "0").output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let documents = kubecure::yaml::documents(&text).unwrap();
    Ok(by_name(documents.iter().map(kubecure::yaml::Document::value).filter(|value| !value.is_null())))
}

/// Where two values differ.
fn difference(path: &str, ours: &Value, theirs: &Value, all: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                difference(&format!("{path}.{key}"), value, b.get(key).unwrap_or(&Value::from("(absent)")), all);
            }
            for key in b.keys().filter(|key| !a.contains_key(*key)) {
                all.push(format!("{path}.{key}: absent, theirs {}", b[key]));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                difference(&format!("{path}[{at}]"), a, b, all);
            }
        }
        (a, b) if a == b => {}
        (a, b) => all.push(format!("{path}: ours {a}, theirs {b}")),
    }
}

#[derive(Debug, Default)]
struct Tally {
    agree: usize,
    both_refuse: usize,
    declined: Vec<String>,
    differ: Vec<String>,
    objects: usize,
}

impl Tally {
    /// Compares one folder of a repository.
    fn compare(&mut self, kubectl: &[String], at: &Path, sources: &Sources, folder: &str) {
        let shown = at.join(folder).display().to_string();
        let ours = kustomize::render(sources, folder);
        let whole = match &ours {
            Ok(rendering) if !rendering.opaque.is_empty() => {
                let what: Vec<String> =
                    rendering.opaque.iter().map(|o| format!("{}:{} {}", o.file, o.line, o.what)).collect();
                return self.declined.push(format!("{shown}: in part: {}", what.join("; ")));
            }
            Err(refusal) if refusal.kind == kustomize::RefusalKind::Unsupported => {
                return self.declined.push(format!("{shown}: {refusal}"));
            }
            whole => whole,
        };
        match (whole, theirs(kubectl, &at.join(folder))) {
            (Err(_), Err(_)) => self.both_refuse += 1,
            (Err(ours), Ok(_)) => self.differ.push(format!("{shown}: only we refuse: {ours}")),
            (Ok(_), Err(theirs)) => self.differ.push(format!("{shown}: only kustomize refuses: {theirs}")),
            (Ok(ours), Ok(theirs)) => {
                let ours = by_name(ours.objects.iter().map(kustomize::Rendered::value));
                let mut all = Vec::new();
                for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
                    all.push(format!("only ours: {name}"));
                }
                for (name, value) in &theirs {
                    match ours.get(name) {
                        Some(own) => difference(name, own, value, &mut all),
                        None => all.push(format!("only theirs: {name}")),
                    }
                }
                self.objects += theirs.len();
                if all.is_empty() {
                    self.agree += 1;
                } else {
                    self.differ.push(format!("{shown}:\n  {}", all.join("\n  ")));
                }
            }
        }
    }

    fn told(&self, what: &str) {
        println!(
            "{what}: {} agree ({} objects), {} refused by both, {} declined, {} differ",
            self.agree,
            self.objects,
            self.both_refuse,
            self.declined.len(),
            self.differ.len()
        );
        self.declined.iter().for_each(|declined| println!("  declined: {declined}"));
    }
}

/// Components are rendered only by what takes them.
fn is_component(sources: &Sources, folder: &str) -> bool {
    ["kustomization.yaml", "kustomization.yml", "Kustomization"].iter().any(|name| {
        let path = if folder.is_empty() { (*name).to_owned() } else { format!("{folder}/{name}") };
        sources.files.get(&path).is_some_and(|file| file.text.contains("kind: Component"))
    })
}

fn compare_all(kubectl: &[String], at: &Path, tally: &mut Tally) {
    let sources = sources(at);
    for folder in kustomize::folders(&sources) {
        if !is_component(&sources, &folder) {
            tally.compare(kubectl, at, &sources, &folder);
        }
    }
}

fn repositories(at: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(at) else { return Vec::new() };
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    all.sort();
    all
}

/// Repositories of other people, where they are: beside the project, or where `KUBECURE_SAMPLES` says.
fn samples() -> Vec<PathBuf> {
    let named = std::env::var_os("KUBECURE_SAMPLES").map(PathBuf::from);
    let all = repositories(&named.unwrap_or_else(|| root().join("../shared/samples")));
    if all.is_empty() {
        println!("there are no sample repositories: KUBECURE_SAMPLES names a folder of them");
    }
    all
}

#[test]
fn what_is_rendered_is_what_kustomize_renders() {
    let Some(kubectl) = kubectl() else { return };
    let mut differ = Vec::new();
    let mut take = |what: &str, tally: Tally| {
        tally.told(what);
        differ.extend(tally.differ);
    };
    let mut own = Tally::default();
    for case in repositories(&root().join("tests/kustomize")) {
        compare_all(&kubectl, &case, &mut own);
    }

    let declined: Vec<&String> = own.declined.iter().filter(|declined| !declined.contains("/not-followed")).collect();
    assert!(declined.is_empty(), "declined, though it should be followed: {declined:#?}");
    take("tests/kustomize", own);
    for name in ["example-gitops-repo", "deploy"] {
        let mut tally = Tally::default();
        compare_all(&kubectl, &root().join(name), &mut tally);
        take(name, tally);
    }
    for repository in samples() {
        let mut tally = Tally::default();
        compare_all(&kubectl, &repository, &mut tally);
        take(&repository.file_name().unwrap().to_string_lossy(), tally);
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}

/// What no fixture thinks of: `KUBECURE_RANDOM` says how many.
#[test]
fn what_chance_puts_together_is_rendered_as_kustomize_renders_it() {
    let Some(kubectl) = kubectl() else { return };
    let count = std::env::var("KUBECURE_RANDOM").ok().and_then(|count| count.parse().ok()).unwrap_or(40);
    let mut tally = Tally::default();
    for seed in 1..=count {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in random::repository(seed) {
            let at = folder.path().join(path);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, text).unwrap();
        }
        let before = tally.differ.len();
        let sources = sources(folder.path());
        // The deepest that kustomize renders shows most.
        for of in ["overlay", "top"] {
            tally.compare(&kubectl, folder.path(), &sources, of);
        }
        if tally.differ.len() > before {
            tally.differ.push(format!("that was number {seed}"));
        }
    }
    tally.told("by chance");
    assert!(tally.differ.is_empty(), "{}", tally.differ.join("\n"));
    assert!(tally.agree * 2 > tally.both_refuse, "most of them are refused by both: that shows nothing");
}

/// Every scalar of a value, with its path: items that have a name are named.
fn leaves(path: FieldPath, value: &Value, all: &mut Vec<(FieldPath, Value)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| leaves(path.clone().key(key), value, all)),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let name = item.get("name").and_then(Value::as_str);
                let below = name.map_or_else(|| path.clone().index(at), |name| path.clone().named(name));
                leaves(below, item, all);
            }
        }
        Value::Null => {}
        leaf => all.push((path, leaf.clone())),
    }
}

/// Another value of the same kind.
fn another(path: &FieldPath, value: &Value) -> Value {
    match value {
        Value::Bool(is) => Value::from(!is),
        Value::Number(number) => Value::from(number.as_i64().unwrap_or(0) + 1),
        Value::String(text) if path.matches("spec.template.spec.containers[*].image") => match text.split_once('@') {
            Some((image, _)) => Value::from(format!("{image}@sha256:{}", "5".repeat(64))),
            None if text.rsplit('/').next().unwrap().contains(':') => Value::from(format!("{text}-x")),
            None => Value::from(format!("{text}:x")),
        },
        other => Value::from(format!("{}x", other.as_str().unwrap())),
    }
}

#[derive(Default)]
struct Traced {
    right: usize,
    wrong: Vec<String>,
    /// Reasons, without what differs from leaf to leaf.
    refused: BTreeMap<String, usize>,
}

impl Traced {
    /// Edits the place of every so-many-th leaf of a folder in a copy, and has kustomize render that.
    fn folder(&mut self, kubectl: &[String], copy: &Path, sources: &Sources, folder: &str, step: usize) {
        let Ok(rendering) = kustomize::render(sources, folder) else { return };
        if !rendering.opaque.is_empty() {
            return;
        }
        let mut before = None;
        for object in &rendering.objects {
            let mut all = Vec::new();
            leaves(FieldPath::root(), &object.value(), &mut all);
            // What an object is called is what it is found by.
            let is_id = |path: &FieldPath| {
                ["apiVersion", "kind", "metadata.name", "metadata.namespace"].contains(&path.to_string().as_str())
            };
            for (path, from) in all.into_iter().filter(|(path, _)| !is_id(path)) {
                let at = format!("{folder} {} {path}", object.id);
                // Spread over all of them, and the same at every run.
                if at.bytes().fold(7usize, |sum, byte| sum.wrapping_mul(31) + usize::from(byte)) % step != 0 {
                    continue;
                }
                let to = another(&path, &from);
                let change = Change { object: object.id.clone(), path, operation: Operation::Set { from, to } };
                let home = change.object.namespace.clone();
                match locate::locate_all(std::slice::from_ref(&change), sources, home.as_deref()) {
                    Err(declined) => *self.refused.entry(reason(&declined.to_string())).or_default() += 1,
                    // The line feeds others, and policy decides whether it is edited.
                    Ok(places) if !places[0].also.is_empty() => {
                        *self.refused.entry("also give".to_owned()).or_default() += 1;
                    }
                    Ok(places) => {
                        let before = before.get_or_insert_with(|| theirs(kubectl, &copy.join(folder)).unwrap());
                        match check(kubectl, copy, sources, folder, &change, &places[0], before) {
                            Ok(()) => self.right += 1,
                            Err(why) => self.wrong.push(format!("{at} at {}: {why}", places[0])),
                        }
                    }
                }
            }
        }
    }
}

/// The kind of a reason.
fn reason(text: &str) -> String {
    let known = [
        "would call",
        "also give",
        "another number of objects",
        "would no longer be rendered",
        "places, and nothing says which counts",
        "alias or a merge key",
        "is no YAML",
        "the name of another object",
        "prefix or a suffix",
        "encoded in a Secret",
        "a replacement",
        "would not change",
        "the hash of what it says",
        "a copy of another field",
    ];
    let found = known.iter().find(|words| text.contains(**words)).copied();
    let words = found.or_else(|| text.contains("`{{`").then_some("a template"));
    let words =
        words.or_else(|| text.contains("it is not applied yet").then_some("the repository renders another value"));
    let words = words.or_else(|| text.contains("nothing that would hold it").then_some("no place beside it"));
    words.map_or_else(|| text.to_owned(), ToOwned::to_owned)
}

fn check(
    kubectl: &[String],
    copy: &Path,
    sources: &Sources,
    folder: &str,
    change: &Change,
    place: &kubecure::case::SourceLocation,
    before: &Objects,
) -> Result<(), String> {
    let text = &sources.files[&place.file].text;
    let after =
        yaml::edit(text, place.document, &[locate::edit_at(change, place)]).map_err(|refused| refused.to_string())?;
    std::fs::write(copy.join(&place.file), after).unwrap();
    let rendered = theirs(kubectl, &copy.join(folder));
    std::fs::write(copy.join(&place.file), &**text).unwrap();
    let rendered = rendered?;
    let mut expected = before.clone();
    let object = expected.values_mut().find(|value| {
        let text = |at: &str| value.pointer(at).and_then(Value::as_str).unwrap_or("");
        let group = text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
        let id = &change.object;
        (text("/kind"), group, text("/metadata/name")) == (id.kind.as_str(), id.group.as_str(), id.name.as_str())
            && text("/metadata/namespace") == id.namespace.as_deref().unwrap_or("")
    });
    let object = object.ok_or("the object is not there")?;
    change.operation.apply(object, &change.path).ok_or("the field is not there")?;
    let mut all = Vec::new();
    for (name, value) in &expected {
        difference(name, rendered.get(name).unwrap_or(&Value::Null), value, &mut all);
    }
    if all.is_empty() && expected.len() == rendered.len() { Ok(()) } else { Err(all.join("; ")) }
}

fn copy_of(at: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let status = Command::new("cp").args(["-r"]).arg(at.join(".")).arg(copy.path()).status().unwrap();
    assert!(status.success());
    copy
}

/// The property that a cure rests on: the edit of a traced line changes, to kustomize, exactly the field that was traced.
#[test]
fn an_edit_of_a_traced_line_changes_exactly_that_field() {
    let Some(kubectl) = kubectl() else { return };
    // `KUBECURE_LEAVES=1` traces every leaf, which takes long.
    let step: usize = std::env::var("KUBECURE_LEAVES").ok().and_then(|step| step.parse().ok()).unwrap_or(61);
    let mut traced = Traced::default();
    let mut own = repositories(&root().join("tests/kustomize"));
    own.extend(["example-gitops-repo", "deploy"].map(|name| root().join(name)));
    let ours = own.into_iter().map(|at| (at, step.div_ceil(8)));
    for (at, step) in ours.chain(samples().into_iter().map(|at| (at, step))) {
        let sources = sources(&at);
        let copy = copy_of(&at);
        for folder in kustomize::roots(&sources) {
            traced.folder(&kubectl, copy.path(), &sources, &folder, step);
        }
    }
    println!("{} leaves traced and right, {} wrong; refused:", traced.right, traced.wrong.len());
    traced.refused.iter().for_each(|(why, count)| println!("  {count:5} {why}"));
    assert!(traced.wrong.is_empty(), "{} wrong:\n{}", traced.wrong.len(), traced.wrong.join("\n"));
    assert!(traced.right >= 50, "only {} were traced", traced.right);
}
