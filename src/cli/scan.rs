//! `kubecure scan`: one pass over a cluster and a repository; publishes nothing.

use std::io::Write;

use clap::Args;

use super::output::{CliError, Format, OutputArgs};
use super::world::{Loaded, WorldArgs, healthy, no_answer};
use crate::adapters::recorded::Recorded;
use crate::case::{Case, Gap, Incident, Sources, Timestamp};
use crate::cure::consider;
use crate::report::progress::Progress;
use crate::report::terminal::{Healthy, View, screen};
use crate::report::{Journal, json};
use crate::settings::Terms;

/// Show what fails, why, and the line of Git that causes it; publishes nothing
#[derive(Args, Clone, Debug)]
pub struct ScanArgs {
    #[command(flatten)]
    pub world: WorldArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[expect(clippy::disallowed_methods, reason = "a verb takes the time once, at the edge")]
pub fn run(args: &ScanArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    let mut progress = Progress::start("reading the cluster and the repository");
    let loaded = args.world.load(args.world.files()?)?;
    let incidents = args.world.incidents(&loaded)?;
    progress.expect(incidents.len());
    let Loaded { recording, sources, policies, gaps } = loaded;
    let taken = recording.snapshot.taken;
    let looked_at = healthy(&recording, args.world.namespace.as_deref());
    let terms = Terms { policies: &policies, cluster: &args.world.cluster, now: Timestamp::now() };
    let shown = sources.clone();
    let world = Recorded::new(recording, sources, None);
    let cases = consider_all(&incidents, &world, terms, &mut progress)?;
    progress.finish();

    let text = match args.output.output {
        Format::Json => format!("{:#}\n", json::scan(&cases, &gaps, taken)),
        Format::Text => text(args, &cases, &gaps, looked_at, &shown),
    };
    super::print(out, &text)?;
    Ok(u8::from(!cases.is_empty()))
}

fn consider_all(
    incidents: &[Incident],
    world: &Recorded,
    terms: Terms<'_>,
    progress: &mut Progress,
) -> Result<Vec<Case>, CliError> {
    let runtime = super::world::runtime()?;
    runtime.block_on(async {
        let mut cases = Vec::new();
        for incident in incidents {
            let mut journal = Journal::open(incident, progress);
            consider(incident, world, terms, &mut journal).await.map_err(no_answer)?;
            cases.push(journal.close());
        }
        Ok(cases)
    })
}

fn text(args: &ScanArgs, cases: &[Case], gaps: &[Gap], healthy: Healthy, sources: &Sources) -> String {
    let next = if cases.is_empty() {
        Vec::new()
    } else {
        vec![format!("kubecure cure --all --dry-run {}", args.world.again())]
    };
    let view =
        View { color: args.output.color(), width: OutputArgs::width(), gaps, healthy, next, sources: Some(sources) };
    screen(cases, &view)
}
