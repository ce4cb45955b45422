//! `kubecure cure`: works findings through to pull requests.
#![expect(clippy::disallowed_methods, reason = "a verb takes the time once, at the edge")]

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::output::{CliError, Format, OutputArgs};
use super::world::{Loaded, Reading, WorldArgs, bad_input, healthy, names, no_answer};
use crate::adapters::folder::RawFiles;
use crate::adapters::forge::Forge;
use crate::adapters::forge::local::LocalForge;
use crate::adapters::live::Live;
use crate::adapters::recorded::Recorded;
use crate::case::{Case, Gap, Incident, Receipt, Request, Timestamp};
use crate::cure::{consider, cure};
use crate::report::progress::Progress;
use crate::report::terminal::{View, screen};
use crate::report::{Journal, json};
use crate::settings::Terms;
use crate::submit::submit;
use crate::world::World;

/// Work findings through to pull requests
#[derive(Args, Clone, Debug)]
pub struct CureArgs {
    /// The workload: deployment/web
    #[arg(value_name = "KIND/NAME", required_unless_present = "all", conflicts_with = "all")]
    pub workload: Option<String>,
    /// Everything that fails
    #[arg(long)]
    pub all: bool,
    /// Print what would be opened, and open nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where pull requests go: `local:DIR`, a folder with a bare repository, pulls/ and issues/
    #[arg(long, value_name = "FORGE", env = "KUBECURE_FORGE")]
    pub forge: Option<String>,
    #[command(flatten)]
    pub world: WorldArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

pub fn run(args: &CureArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    let mut progress = Progress::start("reading the cluster and the repository");
    let now = Timestamp::now();
    let mut files = args.world.files()?;
    let mut behind = None;
    let forge = open_forge(args, now)?;
    if let Some(forge) = &forge {
        let base = forge.repo().manifests(None, "").map_err(bad_input)?;
        behind = differs(&files, &base);
        files = base;
    }
    let runtime = super::world::runtime()?;
    let loaded = runtime.block_on(args.world.load(files))?;
    let incidents = chosen(args, args.world.incidents(&loaded))?;
    progress.expect(incidents.len());
    let Loaded { reading, sources, policies, mut gaps } = loaded;
    gaps.extend(behind);
    let (taken, looked_at) = (reading.snapshot().taken, healthy(reading.snapshot()));
    let terms = Terms { policies: &policies, cluster: &args.world.cluster, now };
    let shown = sources.clone();
    let forge = forge.map(|f| Box::new(f) as Box<dyn Forge>);
    let cases = match reading {
        Reading::Recorded(recording) => {
            let world = Recorded::new(*recording, sources, forge);
            runtime.block_on(work(args, &incidents, &world, terms, &mut progress))?
        }
        Reading::Live(cluster, snapshot) => {
            let world = Live::new(*cluster, snapshot, sources, forge);
            let cases = runtime.block_on(work(args, &incidents, &world, terms, &mut progress))?;
            gaps.extend(world.gaps());
            cases
        }
    };
    progress.finish();

    let text = match args.output.output {
        Format::Json => format!("{:#}\n", json::cure(&cases, &gaps, taken)),
        Format::Text if args.dry_run => dry_run(&cases, &gaps),
        Format::Text => {
            let view = View {
                color: args.output.color(),
                width: OutputArgs::width(),
                gaps: &gaps,
                healthy: looked_at,
                next: Vec::new(),
                sources: Some(&shown),
            };
            screen(&cases, &view)
        }
    };
    super::print(out, &text)
}

/// Works every incident. One that the outside refuses does not stop the others; the first refusal is the answer.
async fn work(
    args: &CureArgs,
    incidents: &[Incident],
    world: &impl World,
    terms: Terms<'_>,
    progress: &mut Progress,
) -> Result<Vec<Case>, CliError> {
    let mut cases = Vec::new();
    for incident in incidents {
        let mut journal = Journal::open(incident, progress);
        if args.dry_run {
            consider(incident, world, terms, &mut journal).await.map_err(no_answer)?;
            let request = submit(journal.case(), terms);
            journal.note(&request);
            cases.push(journal.close());
        } else {
            cases.push(cure(incident, world, terms, journal).await.map_err(no_answer)?);
        }
    }
    Ok(cases)
}

fn open_forge(args: &CureArgs, now: Timestamp) -> Result<Option<LocalForge>, CliError> {
    let Some(name) = &args.forge else {
        if args.dry_run {
            return Ok(None);
        }
        return Err(CliError::usage("no forge was given, and pull requests need one")
            .hint("--forge local:DIR opens them in a folder, --dry-run only prints them"));
    };
    let dir = forge_folder(name)?;
    // Only looking must not make a repository.
    if args.dry_run && !dir.exists() {
        return Ok(None);
    }
    LocalForge::open(&dir, Some(&args.world.repo), now).map(Some).map_err(bad_input)
}

/// The folder of `local:DIR`.
pub(super) fn forge_folder(name: &str) -> Result<PathBuf, CliError> {
    let dir = name.strip_prefix("local:").filter(|dir| !dir.is_empty());
    dir.map(PathBuf::from).ok_or_else(|| {
        CliError::usage(format!("{name} is no forge; local:DIR was expected")).hint("--forge local:./forge")
    })
}

/// The base branch counts, not the folder: says so where they differ.
fn differs(folder: &RawFiles, base: &RawFiles) -> Option<Gap> {
    let changed = folder.files.iter().filter(|(path, text)| base.files.get(*path) != Some(text)).count();
    let gone = base.files.keys().filter(|path| !folder.files.contains_key(*path)).count();
    (changed + gone > 0).then(|| Gap {
        what: "the repository's folder".to_owned(),
        why: format!(
            "differs from the base branch of the forge in {} file(s); the base branch is what is edited",
            changed + gone
        ),
    })
}

fn chosen(args: &CureArgs, incidents: Vec<Incident>) -> Result<Vec<Incident>, CliError> {
    let Some(asked) = &args.workload else { return Ok(incidents) };
    if !asked.contains('/') {
        return Err(CliError::usage(format!("{asked} names no workload; KIND/NAME was expected"))
            .hint(format!("kubecure cure deployment/{asked}")));
    }
    let (chosen, others): (Vec<_>, Vec<_>) =
        incidents.into_iter().partition(|incident| incident.workloads().iter().any(|workload| names(asked, workload)));
    if chosen.is_empty() && !others.is_empty() {
        let failing: Vec<String> = others
            .iter()
            .take(6)
            .map(|i| format!("{}/{}", i.first().workload.kind.to_lowercase(), i.first().workload.name))
            .collect();
        return Err(
            CliError::usage(format!("{asked} has no finding")).hint(format!("these have: {}", failing.join(", ")))
        );
    }
    Ok(chosen)
}

/// Every request, word for word.
fn dry_run(cases: &[Case], gaps: &[Gap]) -> String {
    let mut text = String::new();
    for gap in gaps {
        let _ = writeln!(text, "warning: {} {}", gap.what, gap.why);
    }
    for request in cases.iter().filter_map(|case| case.request.as_ref()) {
        text.push_str(&in_full(request));
    }
    let count =
        |wanted: fn(&Request) -> bool| cases.iter().filter_map(|c| c.request.as_ref()).filter(|r| wanted(r)).count();
    let (pulls, issues) = (count(|r| matches!(r, Request::PullRequest(_))), count(|r| matches!(r, Request::Issue(_))));
    let _ =
        writeln!(text, "Dry run: {pulls} pull request(s) and {issues} issue(s) would be opened; nothing was written.");
    text
}

/// A request as a person would read it on a forge.
pub fn in_full(request: &Request) -> String {
    let rule = "─".repeat(80);
    match request {
        Request::PullRequest(pull) => {
            let draft = if pull.draft { "draft pull request" } else { "pull request" };
            format!(
                "{rule}\n{draft}  {}\nbranch  {}\nlabels  {}\n{rule}\n{}\n\n",
                pull.title,
                pull.branch,
                pull.labels.join(", "),
                pull.body.trim_end()
            )
        }
        Request::Issue(issue) => {
            format!(
                "{rule}\nissue   {}\nlabels  {}\n{rule}\n{}\n\n",
                issue.title,
                issue.labels.join(", "),
                issue.body.trim_end()
            )
        }
        Request::Nothing(declined) => format!("{rule}\nnothing would be opened: {declined}\n\n"),
    }
}

/// What became of a request, in a line.
pub fn receipt_line(receipt: &Receipt) -> String {
    match receipt {
        Receipt::Opened { link, .. } => format!("opened {link}"),
        Receipt::Updated { link, .. } => format!("updated {link}"),
        Receipt::Exists { link, why, .. } => format!("left alone {link}: {why}"),
        Receipt::Nothing { why } => format!("nothing opened: {why}"),
    }
}
