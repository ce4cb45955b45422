//! `kubecure run`: watches the cluster, and works what fails through to pull requests.
#![expect(clippy::disallowed_methods, reason = "a verb takes the time at the edge")]

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use jiff::SignedDuration;
use tokio::sync::watch;

use super::output::CliError;
use super::world::{ClusterArgs, no_answer};
use crate::adapters::cluster::{Cluster, Scope, Watching};
use crate::adapters::ground::Base;
use crate::adapters::live::Live;
use crate::case::{Snapshot, Timestamp};
use crate::controller::{self, Ended, Plan, Station, Woken};
use crate::settings::Ground;

/// Watch the cluster, and work what fails through to pull requests
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Work everything that fails now, once it has settled, and end: for a CronJob
    #[arg(long)]
    pub once: bool,
    /// Where pull requests go: `local:DIR`, a folder with a bare repository, pulls/ and issues/; or `branch`: branches
    /// are pushed to the repository, and a person opens the pull requests
    #[arg(long, value_name = "FORGE", env = "KUBECURE_FORGE")]
    pub forge: String,
    /// The file that says how to reach the cluster [default: KUBECONFIG, else ~/.kube/config, else the pod's own
    /// ServiceAccount]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Only this namespace [default: all]
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// All namespaces, as without it
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// The repository, by its URL; with `local:DIR` the folder that the forge's is made from, where it has none yet
    #[arg(long, value_name = "URL or PATH", default_value = ".", env = "KUBECURE_REPO", hide_env_values = true)]
    pub repo: PathBuf,
    #[command(flatten)]
    pub git: super::git::GitArgs,
    /// What to call the cluster in pull requests
    #[arg(long, value_name = "NAME", default_value = "cluster", env = "KUBECURE_CLUSTER")]
    pub cluster: String,
    /// What settle times are multiplied by
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, hide = true)]
    pub settle_scale: f64,
}

pub fn run(args: &RunArgs) -> Result<u8, CliError> {
    log();
    let base = super::git::base(&args.forge, &args.repo, &args.git)?;
    // The watches have a thread of their own, so that work on an incident does not keep them waiting.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| CliError::usage(format!("cannot start: {error}")))?;
    let plan = Plan { cluster: args.cluster.clone(), once: args.once, settle_scale: args.settle_scale };
    let (ended, missing) = runtime.block_on(async {
        let station = Outside::start(args, base).await?;
        let ended = controller::run(&station, &plan).await;
        tracing::info!(worked = ended.worked, failed = ended.failed, restarts = station.watching.restarts(), "ended");
        Ok::<_, CliError>((ended, station.missing()))
    })?;
    // What still runs then is a read that nobody waits for.
    runtime.shutdown_timeout(Duration::from_millis(200));
    answer(args.once, ended, &missing)
}

fn answer(once: bool, ended: Ended, missing: &str) -> Result<u8, CliError> {
    match ended {
        Ended { looked: false, .. } if once => Err(no_answer(anyhow!("the cluster was not seen in time: {missing}"))
            .hint("`kubecure scan -A` looks at the same, and says more")),
        Ended { failed, .. } if once && failed > 0 => {
            Err(no_answer(anyhow!("{failed} attempt(s) failed; the log says why"))
                .hint("the next run tries again, and opens nothing twice"))
        }
        _ => Ok(0),
    }
}

/// Text on a terminal, JSON else; `RUST_LOG` says how much.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let to = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(std::io::stderr);
    // Fails only if there is a log already, and that one serves as well.
    let _ = if std::io::stderr().is_terminal() {
        to.compact().try_init()
    } else {
        to.json().flatten_event(true).try_init()
    };
}

/// A live cluster, a repository and a forge.
struct Outside {
    cluster: Arc<Cluster>,
    watching: Watching,
    base: Arc<dyn Base>,
    stop: watch::Receiver<bool>,
}

impl Outside {
    async fn start(args: &RunArgs, base: Arc<dyn Base>) -> Result<Self, CliError> {
        let of = ClusterArgs {
            kubeconfig: args.kubeconfig.clone(),
            context: args.context.clone(),
            namespace: args.namespace.clone(),
            all_namespaces: args.namespace.is_none(),
        };
        let stop = stopped().map_err(|error| CliError::usage(format!("signals cannot be listened to: {error}")))?;
        let cluster = Arc::new(of.connect().await?);
        let scope = Scope { namespaces: args.namespace.clone().map(|name| vec![name]) };
        let watching = Watching::start(&cluster, &scope);
        Ok(Self { cluster, watching, base, stop })
    }
}

/// Becomes true on SIGTERM and SIGINT.
fn stopped() -> std::io::Result<watch::Receiver<bool>> {
    let (say, heard) = watch::channel(false);
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::spawn(async move {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            say.send_replace(true);
        });
    }
    #[cfg(not(unix))]
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        say.send_replace(true);
    });
    Ok(heard)
}

fn std(time: SignedDuration) -> Duration {
    Duration::try_from(time).unwrap_or_default()
}

impl Station for Outside {
    type World = Live;

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn wake(&self, least: SignedDuration, most: SignedDuration) -> Woken {
        let look = async {
            tokio::time::sleep(std(least)).await;
            let _ = tokio::time::timeout(std(most.saturating_sub(least)), self.watching.changed()).await;
        };
        let mut stop = self.stop.clone();
        let stopped = async {
            // Nobody left to say so is no reason to stop.
            if stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = stopped => Woken::Stop,
            () = look => Woken::Look,
        }
    }

    async fn sleep(&self, time: SignedDuration) {
        tokio::time::sleep(std(time)).await;
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.watching.snapshot()
    }

    fn missing(&self) -> String {
        let missing = self.watching.missing();
        match (missing.as_slice(), self.base.ground()) {
            ([], Err(error)) => format!("{error:#}"),
            ([first, rest @ ..], _) if !rest.is_empty() => format!("{first} (and {} more)", rest.len()),
            (all, _) => all.concat(),
        }
    }

    fn ground(&self) -> Result<Arc<Ground>> {
        self.base.ground()
    }

    fn world(&self, snapshot: Arc<Snapshot>, ground: &Ground) -> Result<Live> {
        Ok(Live::new(self.cluster.clone(), snapshot, ground.sources.clone(), Some(self.base.forge()?)))
    }
}
