//! `kubecure cure`: works findings through to pull requests.
#![expect(clippy::disallowed_methods, reason = "a verb takes the time once, at the edge")]

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::output::{CliError, Format, OutputArgs};
use super::world::{Asked, Loaded, Reading, WorldArgs, bad_input, healthy, no_answer};
use crate::adapters::folder::RawFiles;
use crate::adapters::forge::Forge;
use crate::adapters::forge::local::LocalForge;
use crate::adapters::live::Live;
use crate::adapters::recorded::Recorded;
use crate::case::{Case, Gap, Incident, ObjectRef, Receipt, Request, Snapshot, Timestamp};
use crate::cure::{consider, cure};
use crate::detect::pod_ref;
use crate::report::plain;
use crate::report::progress::Progress;
use crate::report::terminal::{View, screen};
use crate::report::{Journal, json};
use crate::settings::Terms;
use crate::submit::submit;
use crate::world::World;

/// Work findings through to pull requests
#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("which").args(["workload", "all"]).required(true))]
pub struct CureArgs {
    /// The workload: deployment/web, or deployment/shop/web with its namespace
    #[arg(value_name = "KIND/NAME")]
    pub workload: Option<String>,
    /// Everything that fails
    #[arg(long)]
    pub all: bool,
    /// Print what would be opened, and open nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print what a language model would be asked, word for word; ask nothing and open nothing
    #[arg(long, conflicts_with_all = ["dry_run", "forge", "output"])]
    pub show_question: bool,
    /// Where pull requests go: `local:DIR`, a folder with a bare repository, pulls/ and issues/
    #[arg(long, value_name = "FORGE", env = "KUBECURE_FORGE")]
    pub forge: Option<String>,
    #[command(flatten)]
    pub world: WorldArgs,
    #[command(flatten)]
    pub model: super::model::ModelArgs,
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
        let repo = forge.repo();
        let base =
            repo.manifests(None, &args.world.prefix()).or_else(|_| repo.manifests(None, "")).map_err(bad_input)?;
        behind = differs(args, &files, &base);
        files = base;
    }
    let runtime = super::world::runtime()?;
    let loaded = runtime.block_on(args.world.load(files))?;
    let incidents = chosen(args, loaded.reading.snapshot(), args.world.incidents(&loaded)?)?;
    progress.expect(incidents.len());
    let Loaded { reading, sources, policies, mut gaps } = loaded;
    gaps.extend(behind);
    let (taken, looked_at) = (reading.snapshot().taken, healthy(reading.snapshot(), &args.world.focus()));
    let terms = Terms { policies: &policies, cluster: &args.world.cluster, now };
    let model = if args.show_question { None } else { args.model.open(policies.settings().model.as_ref())? };
    let shown = sources.clone();
    let forge = forge.map(|f| Box::new(f) as Box<dyn Forge>);
    let (cases, refused) = match reading {
        Reading::Recorded(recording) => {
            let world = Recorded::new(*recording, sources, forge).with_model(model);
            runtime.block_on(work(args, &incidents, &world, terms, &mut progress))
        }
        Reading::Live(cluster, snapshot) => {
            let world = Live::new(cluster, snapshot, sources, forge).with_model(model);
            let worked = runtime.block_on(work(args, &incidents, &world, terms, &mut progress));
            gaps.extend(world.gaps());
            worked
        }
    };
    progress.finish();

    let text = match args.output.output {
        Format::Json => format!("{:#}\n", json::cure(&cases, &gaps, taken)),
        Format::Text if args.show_question => questions(&cases),
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
    let code = super::print(out, &text)?;
    refused.map_or(Ok(code), Err)
}

/// Works every incident. One that the outside refuses does not stop the others; the first refusal is the answer.
async fn work(
    args: &CureArgs,
    incidents: &[Incident],
    world: &impl World,
    terms: Terms<'_>,
    progress: &mut Progress,
) -> (Vec<Case>, Option<CliError>) {
    let (mut cases, mut refused) = (Vec::new(), None);
    for incident in incidents {
        let journal = Journal::open(incident, progress);
        let worked = if args.dry_run || args.show_question {
            dry(incident, world, terms, journal).await
        } else {
            cure(incident, world, terms, journal).await
        };
        match worked {
            Ok(case) => cases.push(case),
            Err(error) => refused = refused.or_else(|| Some(no_answer(error))),
        }
    }
    (cases, refused)
}

/// What a model would be asked of each incident that no rule knows.
fn questions(cases: &[Case]) -> String {
    let mut text = String::new();
    for case in cases {
        let incident = format!("{} of {}", case.incident.failure, case.incident.first().workload);
        let Some(question) = &case.question else {
            let _ = writeln!(text, "# {incident}: a rule answers, and nothing is asked\n");
            continue;
        };
        let masked = case.evidence.as_ref().map_or(0, |evidence| evidence.redactions);
        let _ = writeln!(text, "# {incident}: about {} tokens, {masked} values masked\n", question.tokens());
        let _ = writeln!(text, "{}\n\n{}\n\n{}\n", question.instructions, question.evidence, question.schema);
    }
    text
}

/// The same without the publishing.
async fn dry(
    incident: &Incident,
    world: &impl World,
    terms: Terms<'_>,
    mut journal: Journal<'_>,
) -> anyhow::Result<Case> {
    consider(incident, world, terms, &mut journal).await?;
    let request = submit(journal.case(), terms);
    journal.note(&request);
    Ok(journal.close())
}

fn open_forge(args: &CureArgs, now: Timestamp) -> Result<Option<LocalForge>, CliError> {
    let Some(name) = &args.forge else {
        if args.dry_run || args.show_question {
            return Ok(None);
        }
        return Err(CliError::usage("no forge was given, and pull requests need one")
            .hint("--forge local:DIR opens them in a folder, --dry-run only prints them"));
    };
    let dir = forge_folder(name)?;
    let forge = match LocalForge::find(&dir, now).map_err(bad_input)? {
        // Only looking must not make a repository.
        None if args.dry_run => return Ok(None),
        None => LocalForge::make(&dir, &args.world.repo, args.world.rev.as_deref(), now).map_err(bad_input)?,
        Some(forge) => forge,
    };
    // A page that cannot be read stops everything, before anything is done.
    forge.history().map_err(bad_input)?;
    Ok(Some(forge))
}

/// The folder of a forge `local:DIR`.
pub(super) fn forge_folder(name: &str) -> Result<PathBuf, CliError> {
    let dir = name.strip_prefix("local:").filter(|dir| !dir.is_empty());
    dir.map(PathBuf::from).ok_or_else(|| {
        CliError::usage(format!("{name} is no forge; local:DIR was expected")).hint("--forge local:./forge")
    })
}

/// The base branch counts, not the folder: says so where they differ.
fn differs(args: &CureArgs, folder: &RawFiles, base: &RawFiles) -> Option<Gap> {
    let changed = folder.files.iter().filter(|(path, text)| base.files.get(*path) != Some(text)).count();
    let gone = base.files.keys().filter(|path| !folder.files.contains_key(*path)).count();
    (changed + gone > 0).then(|| Gap {
        what: args.world.rev.as_ref().map_or("the repository's folder".to_owned(), |rev| format!("revision {rev}")),
        why: format!(
            "differs from the base branch of the forge in {}; the base branch is what is edited",
            if changed + gone == 1 { "1 file".to_owned() } else { format!("{} files", changed + gone) }
        ),
    })
}

fn chosen(args: &CureArgs, snapshot: &Snapshot, incidents: Vec<Incident>) -> Result<Vec<Incident>, CliError> {
    let Some(text) = &args.workload else { return Ok(incidents) };
    let Some(asked) = Asked::read(text) else {
        let name = text.rsplit('/').next().filter(|part| !part.is_empty()).unwrap_or("web");
        return Err(CliError::usage(format!(
            "{text} names no workload; KIND/NAME or KIND/NAMESPACE/NAME was expected"
        ))
        .hint(format!("kubecure cure deployment/{}", plain::shell_word(name))));
    };
    // A pod or a ReplicaSet stands for the workload that a person would edit.
    let workloads = snapshot.workloads.iter().map(crate::case::Workload::id).filter(|id| asked.is(id));
    let pods = snapshot.pods.iter().filter(|pod| asked.is(&pod_ref(pod)));
    let meant: Vec<ObjectRef> =
        workloads.map(|id| snapshot.root_owner(&id)).chain(pods.map(|pod| snapshot.workload_of(pod))).collect();
    let is_meant = |workload: &ObjectRef| asked.is(workload) || meant.contains(workload);
    let (chosen, others): (Vec<_>, Vec<_>) =
        incidents.into_iter().partition(|incident| incident.workloads().iter().any(|workload| is_meant(workload)));
    if !chosen.is_empty() || !meant.is_empty() {
        return Ok(chosen);
    }
    let failing: Vec<String> = others.iter().take(6).flat_map(Incident::workloads).map(named).collect();
    let hint = if failing.is_empty() {
        "kubecure scan shows what fails; nothing does".to_owned()
    } else {
        format!("these have: {}", failing.join(", "))
    };
    Err(CliError::usage(format!("{text} has no finding, and the snapshot has no workload of that name")).hint(hint))
}

/// A workload as it can be asked for.
fn named(workload: &ObjectRef) -> String {
    let parts = [Some(workload.kind.to_lowercase()), workload.namespace.clone(), Some(workload.name.clone())];
    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// Every request, word for word.
fn dry_run(cases: &[Case], gaps: &[Gap]) -> String {
    let mut text = String::new();
    for gap in gaps {
        let _ = writeln!(text, "warning: {}", plain::inline(&format!("{}: {}", gap.what, gap.why)));
    }
    for request in cases.iter().filter_map(|case| case.request.as_ref()) {
        text.push_str(&plain::block(&in_full(request)));
    }
    let count =
        |wanted: fn(&Request) -> bool| cases.iter().filter_map(|c| c.request.as_ref()).filter(|r| wanted(r)).count();
    let (pulls, issues) = (count(|r| matches!(r, Request::PullRequest(_))), count(|r| matches!(r, Request::Issue(_))));
    let several = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let _ = writeln!(
        text,
        "Dry run: {} and {} would be opened; nothing was written.",
        several(pulls, "pull request"),
        several(issues, "issue")
    );
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
