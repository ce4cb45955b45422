//! `kubecure scan`: one pass over a cluster and a repository; publishes nothing.

use std::io::Write;

use clap::Args;

use super::output::{CliError, Format, OutputArgs};
use super::world::{Loaded, Reading, WorldArgs, healthy, no_answer};
use crate::adapters::live::Live;
use crate::adapters::recorded::Recorded;
use crate::case::{Case, Gap, Incident, Sources, Timestamp};
use crate::cure::consider;
use crate::report::progress::Progress;
use crate::report::terminal::{Healthy, View, screen};
use crate::report::{Journal, json};
use crate::settings::Terms;
use crate::world::World;

/// Show what fails, why, and the line of Git that causes it; publishes nothing
#[derive(Args, Clone, Debug)]
pub struct ScanArgs {
    #[command(flatten)]
    pub world: WorldArgs,
    #[command(flatten)]
    pub model: super::model::ModelArgs,
    /// Exit with 0 when failures are found, too: for a job whose output counts, and that is no failure itself
    #[arg(long)]
    pub exit_zero: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[expect(clippy::disallowed_methods, reason = "a verb takes the time once, at the edge")]
pub fn run(args: &ScanArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    let mut progress = Progress::start("reading the cluster and the repository");
    let runtime = super::world::runtime()?;
    let loaded = runtime.block_on(args.world.load(args.world.files()?))?;
    let incidents = args.world.incidents(&loaded)?;
    progress.expect(incidents.len());
    let Loaded { reading, sources, policies, mut gaps } = loaded;
    let (taken, looked_at) = (reading.snapshot().taken, healthy(reading.snapshot(), &args.world.focus()));
    let terms = Terms { policies: &policies, cluster: &args.world.cluster, now: Timestamp::now() };
    let model = args.model.open(policies.settings().model.as_ref())?;
    let shown = sources.clone();
    let cases = match reading {
        Reading::Recorded(recording) => {
            let world = Recorded::new(*recording, sources, None).with_model(model);
            runtime.block_on(consider_all(&incidents, &world, terms, &mut progress))?
        }
        Reading::Live(cluster, snapshot) => {
            let world = Live::new(cluster, snapshot, sources, None).with_model(model);
            let cases = runtime.block_on(consider_all(&incidents, &world, terms, &mut progress))?;
            gaps.extend(world.gaps());
            cases
        }
    };
    progress.finish();

    let text = match args.output.output {
        Format::Json => format!("{:#}\n", json::scan(&cases, &gaps, taken)),
        Format::Text => text(args, &cases, &gaps, looked_at, &shown),
    };
    super::print(out, &text)?;
    Ok(u8::from(!cases.is_empty() && !args.exit_zero))
}

async fn consider_all(
    incidents: &[Incident],
    world: &impl World,
    terms: Terms<'_>,
    progress: &mut Progress,
) -> Result<Vec<Case>, CliError> {
    let mut cases = Vec::new();
    for incident in incidents {
        let mut journal = Journal::open(incident, progress);
        consider(incident, world, terms, &mut journal).await.map_err(no_answer)?;
        cases.push(journal.close());
    }
    Ok(cases)
}

fn text(args: &ScanArgs, cases: &[Case], gaps: &[Gap], healthy: Healthy, sources: &Sources) -> String {
    let WorldArgs { snapshot, of, .. } = &args.world;
    let next = if !cases.is_empty() {
        vec![format!("kubecure cure --all --dry-run {}", args.world.again())]
    } else if snapshot.is_none() && of.chose_nothing() {
        // Nobody chose that namespace: what was looked at may not be what was meant.
        vec![format!("kubecure scan -A {}", args.world.again())]
    } else {
        Vec::new()
    };
    let view =
        View { color: args.output.color(), width: OutputArgs::width(), gaps, healthy, next, sources: Some(sources) };
    screen(cases, &view)
}
