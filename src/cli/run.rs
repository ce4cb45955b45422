//! `kubecure run`: watches the cluster, and works what fails through to pull requests.
#![expect(clippy::disallowed_methods, reason = "a verb takes the time at the edge")]

mod telemetry;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use tokio::sync::watch;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::telemetry::{GroundStatus, Telemetry};
use super::output::CliError;
use super::world::{ClusterArgs, bad_input, no_answer, policies};
use crate::adapters::cluster::{Cluster, Scope, Watching};
use crate::adapters::forge::Forge;
use crate::adapters::forge::local::LocalForge;
use crate::adapters::live::Live;
use crate::adapters::serve;
use crate::case::{Snapshot, Timestamp};
use crate::controller::{self, Ended, Ground, News, Plan, Station, Woken};
use crate::locate;
use crate::report::health::Lead;
use crate::report::log::Log;
use crate::report::log::lines::{self, Lines};
use crate::report::metrics::Meter;
use crate::review::policy::Policies;

/// How often it is asked whether the base branch moved.
const BASE: Duration = Duration::from_secs(2);

/// Watch the cluster, and work what fails through to pull requests
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Work everything that fails now, once it has settled, and end: for a CronJob
    #[arg(long)]
    pub once: bool,
    /// Where pull requests go: `local:DIR`, a folder with a bare repository, pulls/ and issues/
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
    /// What the forge's repository is made from, where it has none yet
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub repo: PathBuf,
    /// What to call the cluster in pull requests
    #[arg(long, value_name = "NAME", default_value = "cluster", env = "KUBECURE_CLUSTER")]
    pub cluster: String,
    /// Where /metrics, /healthz and /readyz are answered: `127.0.0.1:8080`, or `0.0.0.0:8080` in a pod
    /// [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT", env = "KUBECURE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// How the log is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, env = "KUBECURE_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// What settle times are multiplied by
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, hide = true)]
    pub settle_scale: f64,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON else
    #[default]
    Auto,
    /// A line for people
    Text,
    /// An object a line
    Json,
}

pub fn run(args: &RunArgs) -> Result<u8, CliError> {
    let base = Base::new(super::cure::forge_folder(&args.forge)?, args.repo.clone());
    log(args.log_format);
    // A mistake that a person can mend ends it at the start; later it only waits until it is mended.
    base.ground().map_err(bad_input)?;
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

/// Begins to log on standard error; `RUST_LOG` says how much.
fn log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let is_terminal = std::io::stderr().is_terminal();
    let format = match format {
        LogFormat::Auto if !is_terminal => lines::Format::Json,
        LogFormat::Json => lines::Format::Json,
        LogFormat::Text | LogFormat::Auto => {
            let choice = anstream::AutoStream::choice(&std::io::stderr());
            lines::Format::Text { color: choice != anstream::ColorChoice::Never }
        }
    };
    // Nobody to tell is no reason to stop.
    let write = |line: &str| _ = std::io::stderr().lock().write_all(line.as_bytes());
    let lines = Lines::new(format, Timestamp::now, write);
    // Fails only if there is a log already, and that one serves as well.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

/// The forge's folder, and what was read of its base branch.
struct Base {
    dir: PathBuf,
    seed: PathBuf,
    read: Mutex<Option<Read>>,
    /// The last policy that was valid: it stays in force while the base branch has one that is not.
    good: Mutex<Option<Policies>>,
}

/// A commit as it was read, or why it cannot be used.
struct Read {
    asked: Instant,
    commit: String,
    ground: Result<Arc<Ground>, String>,
}

impl Base {
    fn new(dir: PathBuf, seed: PathBuf) -> Self {
        Self { dir, seed, read: Mutex::default(), good: Mutex::default() }
    }

    fn forge(&self) -> Result<LocalForge> {
        LocalForge::open(&self.dir, Some(&self.seed), Timestamp::now())
    }

    fn ground(&self) -> Result<Arc<Ground>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.as_ref().filter(|known| known.asked.elapsed() < BASE) {
            return known.ground.clone().map_err(anyhow::Error::msg);
        }
        let forge = self.forge()?;
        let commit = forge.repo().commit_id(None)?.to_string();
        let ground = match read.take().filter(|known| known.commit == commit) {
            Some(known) => known.ground,
            None => self.read(&forge, &commit).map(Arc::new).map_err(|error| format!("{error:#}")),
        };
        *read = Some(Read { asked: Instant::now(), commit, ground: ground.clone() });
        ground.map_err(anyhow::Error::msg)
    }

    /// Reads a commit, and keeps its policy for when a later one is invalid.
    fn read(&self, forge: &LocalForge, commit: &str) -> Result<Ground> {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        let ground = index(forge, commit, good.as_ref())?;
        if ground.invalid.is_none() {
            *good = Some(ground.policies.clone());
        }
        Ok(ground)
    }
}

/// Reads the manifests and the policy of a commit. Instead of a policy that is invalid the last good one serves.
fn index(forge: &LocalForge, commit: &str, good: Option<&Policies>) -> Result<Ground> {
    let files = forge.repo().manifests(Some(commit), "")?;
    let read = policies(&files).map_err(|error| match error.hint {
        Some(hint) => format!("{}\nHint: {hint}", error.message),
        None => error.message,
    });
    let (policies, invalid) = match (read, good) {
        (Ok(policies), _) => (policies, None),
        (Err(why), Some(good)) => (good.clone(), Some(why)),
        (Err(why), None) => return Err(anyhow!(why)),
    };
    tracing::info!(commit, files = files.files.len(), skipped = files.skipped.len(), "read the repository");
    let sources = locate::index(forge.name(), files.commit, files.files, files.skipped);
    Ok(Ground { sources: Arc::new(sources), policies, invalid })
}

/// A live cluster, a repository and a forge.
struct Outside {
    cluster: Arc<Cluster>,
    watching: Arc<Watching>,
    base: Base,
    stop: watch::Receiver<bool>,
    telemetry: Arc<Telemetry>,
}

impl Outside {
    async fn start(args: &RunArgs, base: Base) -> Result<Self, CliError> {
        let of = ClusterArgs {
            kubeconfig: args.kubeconfig.clone(),
            context: args.context.clone(),
            namespace: args.namespace.clone(),
            all_namespaces: args.namespace.is_none(),
        };
        let stop = stopped().map_err(|error| CliError::usage(format!("signals cannot be listened to: {error}")))?;
        let cluster = Arc::new(of.connect().await?);
        let scope = Scope { namespaces: args.namespace.clone().map(|name| vec![name]) };
        // An address that is taken is told before anything is begun.
        let listener = match args.listen {
            Some(address) => Some(serve::bind(address).await.map_err(bad_input)?),
            None => None,
        };
        let watching = Arc::new(Watching::start(&cluster, &scope));
        let telemetry = Arc::new(Telemetry::start());
        let outside = Self { cluster, watching, base, stop, telemetry };
        if let Some(listener) = listener {
            outside.listen(listener);
        }
        Ok(outside)
    }

    /// Answers who asks how it goes, as long as the process lives.
    fn listen(&self, listener: tokio::net::TcpListener) {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "listening");
        }
        let (telemetry, cluster, watching) = (self.telemetry.clone(), self.cluster.clone(), self.watching.clone());
        let pages = move |path: &str| telemetry.page(path, &cluster, &watching, Lead::Alone);
        tokio::spawn(serve::serve(listener, Arc::new(pages)));
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
    type Reader<'s> = (Log, Meter<'s>);

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
        let ground = self.base.ground();
        match &ground {
            Ok(ground) => self.telemetry.ground(Ok(GroundStatus {
                commit: ground.sources.commit.as_deref().unwrap_or_default(),
                policy_invalid: ground.invalid.as_deref(),
            })),
            Err(error) => self.telemetry.ground(Err(&format!("{error:#}"))),
        }
        ground
    }

    fn world(&self, snapshot: Arc<Snapshot>, ground: &Ground) -> Result<Live> {
        let forge: Box<dyn Forge> = Box::new(self.base.forge()?);
        Ok(Live::new(self.cluster.clone(), snapshot, ground.sources.clone(), Some(forge)))
    }

    fn leads(&self) -> bool {
        true
    }

    fn reader(&self) -> (Log, Meter<'_>) {
        self.telemetry.reader()
    }

    fn told(&self, news: News<'_>) {
        self.telemetry.told(news);
    }
}
