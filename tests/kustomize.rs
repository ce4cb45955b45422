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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kubecure::adapters::folder;
use kubecure::case::Sources;
use kubecure::locate::{self, kustomize};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A kubectl that can render, as words to start it with.
fn kubectl() -> Option<Vec<String>> {
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
                    self.agree += 1
                } else {
                    self.differ.push(format!("{shown}:\n  {}", all.join("\n  ")))
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

#[test]
fn what_is_rendered_is_what_kustomize_renders() {
    let Some(kubectl) = kubectl() else {
        println!("skipped: there is no kubectl; tests/cluster/build.sh builds one");
        return;
    };
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
    match std::env::var_os("KUBECURE_SAMPLES").map(PathBuf::from) {
        Some(samples) if samples.is_dir() => {
            for repository in repositories(&samples) {
                let mut tally = Tally::default();
                compare_all(&kubectl, &repository, &mut tally);
                take(&repository.file_name().unwrap().to_string_lossy(), tally);
            }
        }
        _ => println!("KUBECURE_SAMPLES names no folder of repositories: none but our own were compared"),
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}
