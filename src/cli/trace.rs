//! `kubecure trace`: where in Git a field is set, what led there and what else the line feeds. Asks no cluster.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::kind;
use super::output::{CliError, Format, OutputArgs};
use super::world::{WorldArgs, bad_input};
use crate::adapters::{folder, snapshot};
use crate::case::{ObjectRef, Snapshot, Sources};
use crate::locate;
use crate::locate::trace::{Query, Several, Trace, coverage, trace};
use crate::report::terminal::View;
use crate::report::{json as answer, terminal};
use crate::yaml::FieldPath;

/// Show where in Git a field of an object is set, what led there and what else the line feeds
///
/// Of the object as a recorded cluster (--snapshot) or a file (--object) has it, or as the repository renders it. No
/// cluster is asked. Exit code 1 when something that was asked for has no place in the repository.
#[derive(Args, Clone, Debug)]
pub struct TraceArgs {
    /// The object: KIND/NAME or KIND/NAMESPACE/NAME; with --object, what the file has
    #[arg(value_name = "KIND/NAME", required_unless_present_any = ["all", "object"], conflicts_with = "all")]
    pub target: Option<String>,
    /// The field, such as spec.template.spec.containers[name=web].image; again for several [default: all of them]
    #[arg(short, long, value_name = "PATH", conflicts_with = "all")]
    pub field: Vec<String>,
    /// Which fields of the whole repository can be traced, and why the others cannot
    #[arg(long)]
    pub all: bool,
    /// The namespace of the object
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "all")]
    pub namespace: Option<String>,
    /// A recorded cluster that has the object as it runs
    #[arg(long, value_name = "DIR", conflicts_with_all = ["object", "all"])]
    pub snapshot: Option<PathBuf>,
    /// A file with the object as it runs: `kubectl get KIND NAME -o yaml`
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    pub object: Option<PathBuf>,
    /// Only what this folder of the repository renders
    #[arg(long, value_name = "DIR", conflicts_with = "all")]
    pub root: Option<String>,
    /// The repository, read as it lies there
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub repo: PathBuf,
    /// A commit, tag or branch of the repository instead of its files
    #[arg(long, value_name = "REV")]
    pub rev: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The object that was asked for, and what is known of it as it runs.
struct Asked {
    kind: String,
    object: ObjectRef,
    live: Option<Value>,
}

pub fn run(args: &TraceArgs, out: &mut Vec<u8>) -> Result<u8, CliError> {
    let fields = fields(args)?;
    let repository = WorldArgs {
        snapshot: None,
        of: super::world::ClusterArgs::default(),
        which: super::world::SelectorArgs::default(),
        repo: args.repo.clone(),
        rev: args.rev.clone(),
        cluster: String::new(),
    };
    let files = repository.files()?;
    let policies = super::world::policies(&files)?;
    let folder::RawFiles { files, commit, skipped } = files;
    let sources = locate::index(&args.repo.display().to_string(), commit, files, skipped);
    let view =
        View { color: args.output.color(), width: OutputArgs::width(), sources: Some(&sources), ..View::default() };
    if args.all {
        let coverage = coverage(&sources);
        let text = match args.output.output {
            Format::Json => format!("{:#}\n", answer::coverage(&coverage)),
            Format::Text => terminal::coverage(&coverage, &view),
        };
        out.extend(text.into_bytes());
        return Ok(0);
    }
    check_root(args, &sources)?;
    let asked = asked(args)?;
    let decision = policies.decide(&asked.object, &std::collections::BTreeMap::new());
    let query = Query {
        object: asked.object,
        is_kind: &|other| kind::is_kind(&asked.kind, other),
        root: args.root.as_deref(),
        fields: &fields,
        live: asked.live.as_ref(),
        home: decision.policy.home(),
    };
    let traces = trace(&query, &sources).map_err(|Several(objects)| several(&objects))?;
    let text = match args.output.output {
        Format::Json => format!("{:#}\n", answer::trace(&traces, fields.len() == 1)),
        Format::Text => terminal::trace(&traces, fields.is_empty(), &view),
    };
    out.extend(text.into_bytes());
    Ok(u8::from(traces.iter().any(|trace: &Trace| trace.found.is_err())))
}

fn fields(args: &TraceArgs) -> Result<Vec<FieldPath>, CliError> {
    let read = |text: &String| {
        let path: FieldPath = text.parse().map_err(|error| {
            CliError::usage(format!("{text:?} is no path of a field: {error}"))
                .hint("such as spec.replicas, or spec.template.spec.containers[name=web].image")
        })?;
        if path.is_root() {
            return Err(CliError::usage("the path of a field is empty").hint("leave --field out for the whole object"));
        }
        Ok(path)
    };
    args.field.iter().map(read).collect()
}

fn check_root(args: &TraceArgs, sources: &Sources) -> Result<(), CliError> {
    let Some(root) = &args.root else { return Ok(()) };
    let root = root.trim_start_matches("./").trim_end_matches('/');
    let inside = format!("{root}/");
    if root == "." || sources.files.keys().any(|path| path == root || path.starts_with(&inside)) {
        return Ok(());
    }
    Err(CliError::usage(format!("there is no folder {root} with manifests in the repository"))
        .hint("--root takes a path from the top of the repository, such as apps/web/overlays/production"))
}

/// What the command line, the file or the snapshot says of the object.
fn asked(args: &TraceArgs) -> Result<Asked, CliError> {
    let target = args.target.as_deref().map(read_target).transpose()?;
    let namespace = args.namespace.clone().or_else(|| target.as_ref().and_then(|(_, namespace, _)| namespace.clone()));
    if let Some(file) = &args.object {
        let value = in_file(file, target.as_ref())?;
        let text = |at: &str| value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let own = Some(text("/metadata/namespace")).filter(|own| !own.is_empty()).or(namespace);
        let object = ObjectRef::new(&text("/apiVersion"), &text("/kind"), own.as_deref(), &text("/metadata/name"));
        return Ok(Asked { kind: object.kind.clone(), object, live: Some(value) });
    }
    let (kind, _, name) =
        target.ok_or_else(|| CliError::usage("no object was named").hint("kubecure trace deployment/web"))?;
    let known = kind::known(&kind).map_or(kind.clone(), ToOwned::to_owned);
    let object = ObjectRef { group: String::new(), kind: known, namespace, name };
    match &args.snapshot {
        Some(folder) => in_snapshot(folder, &kind, &object),
        None => Ok(Asked { kind, object, live: None }),
    }
}

type Target = (String, Option<String>, String);

fn read_target(text: &str) -> Result<Target, CliError> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [kind, name] if !kind.is_empty() && !name.is_empty() => Ok(((*kind).to_owned(), None, (*name).to_owned())),
        [kind, namespace, name] if parts.iter().all(|part| !part.is_empty()) => {
            Ok(((*kind).to_owned(), Some((*namespace).to_owned()), (*name).to_owned()))
        }
        _ => Err(CliError::usage(format!("{text:?} names no object")).hint("kubecure trace deployment/web -n shop")),
    }
}

/// The most that is read of a file with an object.
const LARGEST: u64 = 16 << 20;

/// The object of a file: the one that was named, or the only one.
#[expect(clippy::disallowed_methods, reason = "the verb reads the file that the user names")]
fn in_file(file: &Path, target: Option<&Target>) -> Result<Value, CliError> {
    let shown = file.display();
    let hint = "`kubectl get KIND NAME -o yaml > FILE` writes one";
    let meta = std::fs::metadata(file);
    let meta = meta.map_err(|error| CliError::usage(format!("cannot read {shown}: {error}")).hint(hint))?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(CliError::usage(format!("{shown} is no file with one object")).hint(hint));
    }
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| CliError::usage(format!("cannot read {shown}: {error}")).hint(hint))?;
    let documents = crate::yaml::documents(&text)
        .map_err(|error| CliError::usage(format!("{shown} is neither YAML nor JSON: {error}")).hint(hint))?;
    let mut objects: Vec<Value> = Vec::new();
    for value in documents.iter().map(crate::yaml::Document::value).filter(Value::is_object) {
        match value.get("items").and_then(Value::as_array) {
            Some(items) => objects.extend(items.iter().cloned()),
            None => objects.push(value),
        }
    }
    let text = |value: &Value, at: &str| value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    objects.retain(|value| {
        let (own, name) = (text(value, "/kind"), text(value, "/metadata/name"));
        let is_it = target.is_none_or(|(kind, namespace, wanted)| {
            let space = text(value, "/metadata/namespace");
            kind::is_kind(kind, &own) && name == *wanted && namespace.as_ref().is_none_or(|n| *n == space)
        });
        !own.is_empty() && !name.is_empty() && is_it
    });
    match (objects.len(), target) {
        (1, _) => Ok(objects.remove(0)),
        (0, Some((kind, _, name))) => Err(CliError::usage(format!("{shown} has no {kind}/{name}")).hint(hint)),
        (0, None) => Err(CliError::usage(format!("{shown} has no object of Kubernetes")).hint(hint)),
        (several, _) => Err(CliError::usage(format!("{shown} has {several} objects, and one was expected"))
            .hint("name it: kubecure trace KIND/NAMESPACE/NAME --object FILE")),
    }
}

/// The object as a recorded cluster shows it.
fn in_snapshot(folder: &Path, kind: &str, object: &ObjectRef) -> Result<Asked, CliError> {
    let recording = snapshot::read(folder).map_err(bad_input)?;
    let snapshot = &recording.snapshot;
    let mut found: Vec<ObjectRef> = known(snapshot)
        .filter(|id| kind::is_kind(kind, &id.kind) && id.name == object.name)
        .filter(|id| object.namespace.is_none() || id.namespace == object.namespace)
        .collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [] => Err(CliError::usage(format!("the snapshot has no {kind}/{}", object.path()))
            .hint("without --snapshot, what the repository renders is traced")),
        [one] => Ok(Asked { kind: one.kind.clone(), live: live(snapshot, one), object: one.clone() }),
        many => Err(several(many)),
    }
}

/// What a snapshot keeps by name.
fn known(snapshot: &Snapshot) -> impl Iterator<Item = ObjectRef> + '_ {
    let plain = |kind: &'static str, meta: &crate::case::Meta| {
        ObjectRef::new("v1", kind, meta.namespace.as_deref(), &meta.name)
    };
    let workloads = snapshot.workloads.iter().map(crate::case::Workload::id);
    let services = snapshot.services.iter().map(move |s| plain("Service", &s.metadata));
    let configs = snapshot.config_maps.iter().map(move |c| plain("ConfigMap", &c.metadata));
    let others = snapshot.named.iter().map(|named| named.id.clone());
    workloads.chain(services).chain(configs).chain(others)
}

/// The fields of a workload that a snapshot keeps.
fn live(snapshot: &Snapshot, id: &ObjectRef) -> Option<Value> {
    let workload = snapshot.workload(id)?;
    let (template, of_job) = (workload.spec.template.value(), workload.spec.job_template.value());
    let mut spec = json!({"replicas": workload.spec.replicas, "template": template, "jobTemplate": of_job});
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
    Some(json!({"metadata": {"name": id.name, "namespace": id.namespace}, "spec": spec}))
}

fn several(objects: &[ObjectRef]) -> CliError {
    let some: Vec<String> = objects.iter().take(8).map(ToString::to_string).collect();
    CliError::usage(format!("{} objects have this name: {}", objects.len(), some.join(", ")))
        .hint("say which: -n NAMESPACE, or KIND/NAMESPACE/NAME, or --root DIR")
}
