//! `kubecure run`: watches the cluster, and works what fails through to pull requests.
#![expect(clippy::disallowed_methods, reason = "a verb takes the time at the edge")]

mod lead;
mod telemetry;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::lead::Leadership;
use self::telemetry::Telemetry;
use super::output::CliError;
use super::world::{ClusterArgs, SelectorArgs, bad_input, no_answer};
use crate::adapters::cluster::{Cluster, LeasePlace, Watching};
use crate::adapters::ground::Base;
use crate::adapters::live::Live;
use crate::adapters::serve;
use crate::case::{Snapshot, Timestamp};
use crate::controller::{self, Ended, News, Plan, Station, Woken};
use crate::report::log::Log;
use crate::report::log::lines::{self, Lines};
use crate::report::metrics::Meter;
use crate::settings::Ground;

/// After a signal the process has this long, whatever hangs.
const LIMIT: Duration = Duration::from_millis(4600);

/// Watch the cluster, and work what fails through to pull requests
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Work everything that fails now, once it has settled, and end: for a CronJob
    #[arg(long)]
    pub once: bool,
    /// Where pull requests go: `gitea`, `github` or `gitlab`, with `:URL` where the forge is not where the repository is;
    /// `auto`, what the repository's settings or its host say; `branch`: branches are pushed, and a person opens the
    /// pull requests; or `local:DIR`, a folder with a bare repository, pulls/ and issues/
    #[arg(long, value_name = "FORGE", env = "KUBECURE_FORGE")]
    pub forge: String,
    #[command(flatten)]
    pub of: ClusterArgs,
    #[command(flatten)]
    pub which: SelectorArgs,
    /// The repository, by its URL; with `local:DIR` the folder that the forge's is made from, where it has none yet
    #[arg(long, value_name = "URL or PATH", default_value = ".", env = "KUBECURE_REPO", hide_env_values = true)]
    pub repo: PathBuf,
    /// What to call the cluster in pull requests
    #[arg(long, value_name = "NAME", default_value = "cluster", env = "KUBECURE_CLUSTER")]
    pub cluster: String,
    /// Where /metrics, /healthz and /readyz are answered: `127.0.0.1:8080`, or `0.0.0.0:8080` in a pod
    /// [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT", env = "KUBECURE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Of several processes let one work, which has the Lease; the others watch, and take over when it goes away
    #[arg(long, env = "KUBECURE_LEADER_ELECT", conflicts_with = "once")]
    pub leader_elect: bool,
    /// The Lease: the only thing that is ever written to the cluster [default namespace: the account's own]
    #[arg(long, value_name = "[NAMESPACE/]NAME", default_value = "kubecure", value_parser = lease_name)]
    pub lease: (Option<String>, String),
    /// How the log is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, env = "KUBECURE_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// What settle times are multiplied by
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, hide = true)]
    pub settle_scale: f64,
    #[command(flatten)]
    pub git: super::git::GitArgs,
}

/// Names as Kubernetes allows them: anything else would be another path of the API.
fn lease_name(text: &str) -> Result<(Option<String>, String), String> {
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, text),
    };
    let is_name = |name: &str| {
        (1..=63).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if namespace.is_none_or(is_name) && is_name(name) {
        Ok((namespace.map(str::to_owned), name.to_owned()))
    } else {
        Err("a name was expected, or NAMESPACE/NAME: lower-case letters, digits and `-`".to_owned())
    }
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
    log(args.log_format);
    let base = super::git::base(&args.forge, &args.repo, &args.git)?;
    // The watches have a thread of their own, so that work on an incident does not keep them waiting.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| CliError::usage(format!("cannot start: {error}")))?;
    let (cluster, focus) = (args.cluster.clone(), args.of.focus(&args.which));
    let plan = Plan { cluster, focus, once: args.once, settle_scale: args.settle_scale };
    let outside = runtime.block_on(Outside::start(args, base))?;
    let (ended, missing) = to_the_end(&runtime, outside, plan)?;
    // What still runs then is a read that nobody waits for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    answer(args.once, ended, &missing)
}

/// Runs the loop until it ends. Its thread is its own: should it hang, the process ends in time all the same.
fn to_the_end(runtime: &Runtime, outside: Outside, plan: Plan) -> Result<(Ended, String), CliError> {
    let (handle, stop) = (runtime.handle().clone(), outside.stop.clone());
    let (say, heard) = oneshot::channel();
    std::thread::spawn(move || {
        let ended = handle.block_on(async {
            let ended = controller::run(&outside, &plan).await;
            outside.leave(ended).await;
            (ended, outside.missing())
        });
        let _ = say.send(ended);
    });
    runtime.block_on(async {
        tokio::select! {
            ended = heard => ended.map_err(|_| no_answer(anyhow!("the loop has ended by a mistake of its own"))
                .hint("what it was about to do is found again in the forge: run it again, and report the message above")),
            () = overdue(stop) => {
                tracing::warn!("what is being done does not end in time, and is left as it is");
                Ok((Ended { looked: true, ..Ended::default() }, String::new()))
            }
        }
    })
}

/// Returns when the process should have ended.
async fn overdue(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(LIMIT).await;
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
    // The client calls each request an error that nobody answers; watches try again, and say once what it means.
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,kube_client=off"));
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

/// A live cluster, a repository and a forge.
struct Outside {
    cluster: Arc<Cluster>,
    watching: Arc<Watching>,
    base: Arc<dyn Base>,
    stop: watch::Receiver<bool>,
    telemetry: Arc<Telemetry>,
    leadership: Arc<Leadership>,
}

impl Outside {
    async fn start(args: &RunArgs, base: Arc<dyn Base>) -> Result<Self, CliError> {
        let stop = stopped().map_err(|error| CliError::usage(format!("signals cannot be listened to: {error}")))?;
        let cluster = Arc::new(args.of.connect().await?);
        let scope = args.of.wide_scope();
        // An address that is taken is told before anything is begun.
        let listener = match args.listen {
            Some(address) => Some(serve::bind(address).await.map_err(bad_input)?),
            None => None,
        };
        let watching = Arc::new(Watching::start(&cluster, &scope));
        let telemetry = Arc::new(Telemetry::start());
        let place = args.leader_elect.then(|| {
            let (namespace, name) = args.lease.clone();
            LeasePlace { namespace: namespace.unwrap_or_else(|| cluster.namespace().to_owned()), name }
        });
        let leadership = Arc::new(Leadership::stand(&cluster, place));
        let outside = Self { cluster, watching, base, stop, telemetry, leadership };
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
        let (leadership, base) = (self.leadership.clone(), self.base.clone());
        let pages = move |path: &str| telemetry.page(path, &cluster, &watching, base.status(), leadership.lead());
        tokio::spawn(serve::serve(listener, Arc::new(pages)));
    }

    /// What is to be done when the loop has ended.
    async fn leave(&self, ended: Ended) {
        // While something may still be written, the Lease keeps the others from writing the same.
        if ended.unfinished == 0 {
            self.leadership.resign().await;
        }
        let Ended { worked, failed, unfinished, .. } = ended;
        tracing::info!(worked, failed, unfinished, restarts = self.watching.restarts(), "ended");
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
            () = self.leadership.changed() => Woken::Look,
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
        let ground = self.base.ground()?;
        self.telemetry.stands_on(&ground);
        Ok(ground)
    }

    fn world(&self, snapshot: Arc<Snapshot>, ground: &Ground) -> Result<Live> {
        let mut forge = self.base.forge()?;
        forge.fence(self.leadership.fence());
        Ok(Live::new(self.cluster.clone(), snapshot, ground.sources.clone(), Some(forge)))
    }

    fn leads(&self) -> bool {
        self.leadership.leads()
    }

    fn reader(&self) -> (Log, Meter<'_>) {
        self.telemetry.reader()
    }

    fn told(&self, news: News<'_>) {
        self.telemetry.told(news);
    }
}
