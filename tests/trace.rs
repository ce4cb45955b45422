//! `kubecure trace`: the screens and the JSON word for word (`UPDATE=1` rewrites them), and that an edit of the line
//! that it names changes what it says that the line feeds, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use kubecure::adapters::folder;
use kubecure::case::{ObjectRef, Operation, Sources};
use kubecure::locate::kustomize;
use kubecure::locate::trace::{Query, trace};
use kubecure::yaml::{self, Action, Edit};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};

const MEMORY: &str = "spec.template.spec.containers[name=web].resources.limits.memory";
const IMAGE: &str = "spec.template.spec.containers[name=web].image";

fn folder_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// `kubecure trace` in the repository of this test.
fn traced(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("kubecure").unwrap();
    command.env_clear().env("NO_COLOR", "1").current_dir(folder_of("trace/repo"));
    command.arg("trace").args(arguments);
    command
}

fn golden(name: &str, arguments: &[&str], code: i32) {
    let output = traced(arguments).output().unwrap();
    let screen = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let path = folder_of("golden/trace").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &screen).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == screen, "{name} differs; UPDATE=1 rewrites it. It is now:\n{screen}");
}

fn answer(arguments: &[&str]) -> Value {
    serde_json::from_slice(&traced(arguments).args(["-o", "json"]).output().unwrap().stdout).unwrap()
}

#[test]
fn a_field_is_shown_with_its_line_its_chain_and_what_else_the_line_feeds() {
    golden("overlay.txt", &["deploy/web", "-n", "production", "--field", MEMORY], 0);
    golden("base.txt", &["deploy/production/web", "-f", IMAGE, "-f", "spec.replicas"], 0);
    golden("image.txt", &["deploy/web", "-n", "staging", "-f", IMAGE], 0);
    golden("plain.txt", &["deploy/tool", "-f", "spec.replicas"], 0);
}

#[test]
fn a_whole_object_and_a_whole_repository_are_tables() {
    golden("whole.txt", &["deploy/web", "-n", "production"], 0);
    golden("all.txt", &["--all"], 0);
    golden("all.json", &["--all", "-o", "json"], 0);
}

#[test]
fn the_json_is_what_the_readme_says() {
    golden("overlay.json", &["deploy/web", "-n", "production", "--field", MEMORY, "-o", "json"], 0);
    golden("declined.json", &["deploy/web", "-n", "production", "--field", "spec.paused", "-o", "json"], 1);
    let one = answer(&["deploy/web", "-n", "production", "-f", MEMORY]);
    let keys: BTreeSet<&str> = one.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = ["object", "field", "value", "location", "chain", "feeds", "blockers", "declined"];
    assert_eq!(keys, BTreeSet::from(wanted));
    assert_eq!(one["location"], json!({"file": "apps/web/production/memory.yaml", "line": 12, "column": 23}));
    assert_eq!(one["declined"], Value::Null);
    let several = answer(&["deploy/web", "-n", "production", "-f", MEMORY, "-f", IMAGE]);
    assert_eq!(several.as_array().unwrap().len(), 2);
    assert_eq!(several[0], one);
}

#[test]
fn two_declarations_of_one_object_are_both_named() {
    golden("ambiguous.txt", &["cm/twice", "-f", "data.a"], 1);
    let one = answer(&["cm/twice", "-f", "data.a", "--root", "secrets"]);
    assert_eq!(one["location"]["file"], "secrets/twice.yaml");
}

#[test]
fn what_runs_is_compared_with_what_the_repository_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("live.yaml");
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: production}\nspec:\n  replicas: 2\n  \
                paused: true\n  template:\n    spec:\n      containers:\n        - name: web\n          resources: {limits: {memory: \
                512Mi}}\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let live = answer(&["--object", file, "-f", MEMORY]);
    assert_eq!(live["value"], "512Mi");
    assert_eq!(live["location"]["line"], 12);
    assert!(live["blockers"][0].as_str().unwrap().contains("the cluster runs \"512Mi\""), "{live}");
    let unset = answer(&["deployment/web", "--object", file, "-f", "spec.paused"]);
    assert_eq!(unset["declined"]["reason"], "not-in-git");
    assert!(unset["declined"]["detail"].as_str().unwrap().contains("the cluster runs true"), "{unset}");
    // A recorded cluster has it, too.
    let recorded = answer(&["deploy/web", "--snapshot", folder.path().to_str().unwrap(), "-f", MEMORY]);
    assert_eq!(recorded, live);
}

#[test]
fn what_stops_an_edit_is_said() {
    let blockers = |arguments: &[&str]| answer(arguments)["blockers"].to_string();
    let replicas = blockers(&["deploy/web", "-n", "production", "-f", "spec.replicas"]);
    assert!(replicas.contains("HorizontalPodAutoscaler web") && replicas.contains("is suspended"), "{replicas}");
    let tool = blockers(&["deploy/tool", "-f", "spec.replicas"]);
    assert!(tool.contains("stays at v1.2.0") && tool.contains("ignores differences at /spec/replicas"), "{tool}");
    let shared = blockers(&["deploy/web", "-n", "staging", "-f", "spec.selector.matchLabels.app"]);
    assert!(shared.contains("alias or a merge key"), "{shared}");
}

#[test]
fn what_cannot_be_asked_is_a_sentence_with_a_hint() {
    let refused = |arguments: &[&str], said: &str| {
        traced(arguments).assert().code(2).stderr(contains(said).and(contains("Hint: "))).stdout("");
    };
    refused(&[], "required");
    refused(&["deploy"], "names no object");
    refused(&["deploy/web"], "2 objects have this name");
    refused(&["deploy/web", "-f", "spec..x"], "is no path of a field");
    refused(&["deploy/web", "--root", "nowhere"], "there is no folder nowhere");
    refused(&["deploy/web", "--object", "nowhere.yaml"], "cannot read nowhere.yaml");
    refused(&["deploy/other", "--object", "apps/web/base/web.yaml"], "has no deploy/other");
    refused(&["--all", "deploy/web"], "cannot be used with");
    golden("unknown.txt", &["deploy/nobody"], 1);
}

/// Repositories whose kustomizations are plain enough to be edited value by value.
fn fixtures() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(folder_of("kustomize")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.is_dir());
    all.push(folder_of("trace/repo"));
    all.sort();
    all
}

/// What every root renders: by root and number.
fn rendered(sources: &Sources) -> BTreeMap<String, Vec<(ObjectRef, Value)>> {
    let of = |folder: &String| {
        let rendering = kustomize::render(sources, folder).ok()?;
        Some(rendering.objects.iter().map(|object| (object.id.clone(), object.value())).collect())
    };
    kustomize::roots(sources).iter().filter_map(|folder| Some((folder.clone(), of(folder)?))).collect()
}

/// Parts of fields that say what an item or an object is: another one is merged with others.
const IDENTITY: [&str; 10] = [
    "finalizers",
    "roleRef",
    "kind",
    "name",
    "labels",
    ".ip",
    "topologyKey",
    "whenUnsatisfiable",
    "mountPath",
    "protocol",
];

#[test]
fn an_edit_of_the_line_changes_what_it_feeds_and_nothing_else() {
    let (mut edits, mut shared, mut wrong) = (0, 0, Vec::new());
    for fixture in fixtures() {
        let read = folder::read(&fixture).unwrap();
        let files = read.files.clone();
        let sources = kubecure::locate::index("repo", None, read.files, read.skipped);
        let before = rendered(&sources);
        for (root, objects) in &before {
            for (id, _) in objects {
                let root = if root.is_empty() { "." } else { root };
                let query = Query {
                    object: id.clone(),
                    is_kind: &|kind| kind == id.kind,
                    root: Some(root),
                    fields: &[],
                    live: None,
                    home: None,
                };
                for one in trace(&query, &sources).unwrap() {
                    let Ok(place) = one.found else { continue };
                    let text = &sources.files[&place.file].text;
                    let document = &yaml::documents(text).unwrap()[place.document];
                    // Names decide what goes together; a text in a text and a part of an image are edited otherwise.
                    let is_name = IDENTITY.iter().any(|key| one.field.to_string().contains(key));
                    let Some(Value::String(said)) = one.value.filter(|value| {
                        one.blockers.is_empty() && !is_name && document.value_at(&place.path).as_ref() == Some(value)
                    }) else {
                        continue;
                    };
                    let to = Value::from(format!("{said}x"));
                    let edit = Edit { path: place.path.clone(), action: Action::Set(to.clone()) };
                    let Ok(new) = yaml::edit(text, place.document, &[edit]) else { continue };
                    let mut changed = files.clone();
                    changed.insert(place.file.clone(), new.into());
                    let after = rendered(&kubecure::locate::index("repo", None, changed, Vec::new()));
                    let ids = |all: &BTreeMap<String, Vec<(ObjectRef, Value)>>| -> Vec<ObjectRef> {
                        all.values().flatten().map(|(id, _)| id.clone()).collect()
                    };
                    if ids(&after) != ids(&before) {
                        continue;
                    }
                    let mut expected = before.clone();
                    for feed in &one.feeds {
                        let folder = feed.root.rsplit_once('/').map_or("", |(folder, _)| folder);
                        let Some(objects) = expected.get_mut(folder) else { continue };
                        for (id, value) in objects {
                            let id = &*id;
                            if id.kind == feed.object.kind && id.name == feed.object.name {
                                let is_there = id.namespace.is_none() || id.namespace == feed.object.namespace;
                                let from = feed.field.get(value).cloned().unwrap_or_default();
                                // Only a part of the text is taken there: it may be the part that stays.
                                let is_part = from != said.as_str();
                                let then = after[folder].iter().find(|(other, _)| other == id);
                                let then = then.and_then(|(_, value)| feed.field.get(value)).cloned();
                                let to = then.filter(|_| is_part).unwrap_or(to.clone());
                                let operation = Operation::Set { from, to };
                                if is_there {
                                    operation.apply(value, &feed.field).unwrap();
                                }
                            }
                        }
                    }
                    if after != expected {
                        wrong.push(format!("{}: {} of {id} at {place}", fixture.display(), one.field));
                    }
                    edits += 1;
                    shared += usize::from(one.feeds.len() > 1);
                }
            }
        }
    }
    println!("{edits} edits, {shared} of lines that feed more than one field");
    assert!(wrong.is_empty(), "{} of {edits} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(edits > 100 && shared > 20, "{edits} edits, {shared} shared: too few to show anything");
}
