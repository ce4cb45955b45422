//! `kubecure snapshot`: the cluster's state into a folder, without secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::output::CliError;
use super::world::{ClusterArgs, bad_input, no_answer};
use crate::adapters::cluster::{Cluster, KINDS, Kind, Logged, Scope, local_clock};
use crate::adapters::project::Projector;
use crate::adapters::snapshot::{Writer, Written};
use crate::case::{Gap, Incident, LogKey, ObjectRef, Pod, Snapshot};
use crate::report::progress::Progress;

/// Containers of this many pods of a finding: more of them say the same.
const MOST_PODS: usize = 5;

/// Write the cluster's state into a folder, without secrets
#[derive(Args, Clone, Debug)]
pub struct SnapshotArgs {
    /// A folder that does not exist yet, or is empty
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    #[command(flatten)]
    pub of: ClusterArgs,
}

pub fn run(args: &SnapshotArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    let mut progress = Progress::start("reading the cluster");
    let runtime = super::world::runtime()?;
    let text = runtime.block_on(write(args, &mut progress))?;
    progress.finish();
    super::print(out, &text)
}

async fn write(args: &SnapshotArgs, progress: &mut Progress) -> Result<String, CliError> {
    let cluster = args.of.connect().await?;
    let mut writer = Writer::create(&args.dir).map_err(bad_input)?;
    let scope = args.of.scope(&cluster);
    let mut projector = Projector::default();
    let mut partial = BTreeSet::new();
    for kind in KINDS {
        progress.say(&format!("reading {}", kind.resource));
        if !one(kind, &cluster, &scope, &mut projector, &mut writer).await.map_err(no_answer)? {
            partial.insert(kind.kind.to_owned());
        }
    }
    let snapshot = projector.finish();
    if partial.len() == KINDS.len() {
        return Err(CliError {
            code: super::output::NO_ANSWER,
            ..CliError::usage("nothing of the cluster may be read")
        }
        .hint("deploy/rbac.yaml has the rights that are needed: get, list and watch, and none to write"));
    }
    args.of.exists(&snapshot)?;
    let incidents = crate::detect::detect(&snapshot);
    progress.say("reading logs");
    let mut gaps = snapshot.gaps.clone();
    gaps.extend(logs(&cluster, &snapshot, &incidents, &mut writer).await?);
    let written = writer.finish(snapshot.taken, &partial, &gaps).map_err(bad_input)?;
    Ok(story(args, &incidents, &gaps, written))
}

/// Reads a kind, writes it as it comes, and keeps its projection. Whether all of it could be read.
async fn one(
    kind: &Kind,
    cluster: &Cluster,
    scope: &Scope,
    projector: &mut Projector,
    writer: &mut Writer,
) -> anyhow::Result<bool> {
    let api_version = kind.api_version();
    let mut count = 0;
    let listed = cluster
        .list(kind, scope, |items| {
            count += items.len();
            for item in items {
                projector.item(kind.resource, &api_version, kind.kind, item.get());
            }
            writer.objects(&api_version, kind.kind, kind.resource, items.iter().map(|item| item.get()))
        })
        .await?;
    projector.settle(kind.kind, &listed, local_clock());
    let is_whole = listed.gaps.is_empty();
    if count == 0 && listed.is_served && is_whole {
        writer.none_of(&api_version, kind.kind, kind.resource)?;
    }
    Ok(is_whole)
}

/// Logs of all containers of the pods that belong to findings.
async fn logs(
    cluster: &Cluster,
    snapshot: &Snapshot,
    incidents: &[Incident],
    writer: &mut Writer,
) -> Result<Vec<Gap>, CliError> {
    let mut gaps = Vec::new();
    for key in wanted(snapshot, incidents) {
        match cluster.log(&key).await.map_err(no_answer)? {
            Logged::Text(text) => writer.log(&key, &text).map_err(bad_input)?,
            Logged::None => {}
            Logged::Refused(gap) if gaps.contains(&gap) => {}
            Logged::Refused(gap) => gaps.push(gap),
        }
    }
    Ok(gaps)
}

fn wanted(snapshot: &Snapshot, incidents: &[Incident]) -> Vec<LogKey> {
    let findings = incidents.iter().flat_map(|incident| &incident.findings);
    let named: BTreeSet<&ObjectRef> = findings.flat_map(|finding| finding.pods.iter().take(MOST_PODS)).collect();
    let pods: BTreeMap<ObjectRef, &Pod> = snapshot.pods.iter().map(|pod| (crate::detect::pod_ref(pod), pod)).collect();
    let mut keys = Vec::new();
    for (id, pod) in named.into_iter().filter_map(|id| Some((id, *pods.get(id)?))) {
        let statuses = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
        for status in statuses {
            // What never ran has no log, and what ran once has none before.
            let ran_before = status.restart_count > 0 || status.last_state.terminated.is_some();
            for previous in [false, true].into_iter().filter(|previous| !previous || ran_before) {
                keys.push(LogKey { pod: id.clone(), container: status.name.to_string(), previous });
            }
        }
    }
    keys
}

fn story(args: &SnapshotArgs, incidents: &[Incident], gaps: &[Gap], written: Written) -> String {
    let mut text = String::new();
    for gap in gaps {
        let _ = writeln!(text, "warning: {}: {}", gap.what, gap.why);
    }
    let Written { objects, logs, masked } = written;
    let dir = args.dir.display();
    let failing = incidents.iter().map(|incident| incident.findings.len()).sum::<usize>();
    let _ = writeln!(
        text,
        "Wrote {objects} objects and {logs} logs of {failing} failures to {dir}; {masked} values were masked, Secrets and values of ConfigMaps left out."
    );
    text.push_str("Look through it before you give it away: a secret that looks like none is not masked.\n");
    let _ = writeln!(text, "next: kubecure scan --snapshot {dir} --repo PATH");
    text
}
