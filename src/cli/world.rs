//! What `scan` and `cure` look at: the cluster, the repository and its policy, as the command line names them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::kind::is_kind;
use super::output::CliError;
use crate::adapters::cluster::{Cluster, Scope};
use crate::adapters::folder::{self, RawFiles};
use crate::adapters::git;
use crate::adapters::ground;
use crate::adapters::snapshot::{self, Recording};
use crate::case::{Gap, Incident, LabelSelector, ObjectRef, Snapshot, Sources};
use crate::detect::Focus;
use crate::locate;
use crate::report::plain;
use crate::report::terminal::Healthy;
use crate::review::policy::Policies;

/// What a cluster is called that nobody named.
const DEFAULT_CLUSTER: &str = "cluster";

/// Which cluster, and how much of it: as kubectl has it
#[derive(Args, Clone, Debug, Default)]
pub struct ClusterArgs {
    /// The file that says how to reach the cluster [default: KUBECONFIG, else ~/.kube/config, else the pod's own
    /// ServiceAccount]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Only this namespace; given again, or with commas, several [default: the context's; of a recorded cluster, and
    /// with `run`, all]
    #[arg(short, long, value_name = "NAMESPACE", value_delimiter = ',', conflicts_with = "all_namespaces")]
    pub namespace: Vec<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Nothing of this namespace; given again, or with commas, of several. All others, if no namespace is named
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    pub exclude_namespace: Vec<String>,
}

/// Which workloads
#[derive(Args, Clone, Debug, Default)]
pub struct SelectorArgs {
    /// Only workloads with these labels, as kubectl writes them: `team=shop,tier!=test,env in (a, b)`
    #[arg(short = 'l', long, value_name = "LABELS", default_value = "", hide_default_value = true,
        value_parser = LabelSelector::read)]
    pub selector: LabelSelector,
}

impl ClusterArgs {
    /// Refuses what can be no namespace.
    pub fn check(&self) -> Result<(), CliError> {
        let names = || self.namespace.iter().chain(&self.exclude_namespace);
        if let Some(name) = names().find(|name| !is_namespace(name)) {
            return Err(CliError::usage(format!("{name:?} is no name of a namespace")).hint("-A looks at all"));
        }
        if let Some(name) = self.namespace.iter().find(|name| self.exclude_namespace.contains(name)) {
            return Err(CliError::usage(format!("namespace {name} is named and excluded"))
                .hint("leave it out of -n or of --exclude-namespace"));
        }
        Ok(())
    }

    /// Whether nobody said which namespaces.
    pub fn chose_nothing(&self) -> bool {
        self.namespace.is_empty() && self.exclude_namespace.is_empty() && !self.all_namespaces
    }

    /// Finds the cluster; it is not asked yet.
    pub async fn connect(&self) -> Result<Cluster, CliError> {
        self.check()?;
        Cluster::connect(self.kubeconfig.as_deref(), self.context.as_deref()).await.map_err(bad_input)
    }

    /// What to look at of it.
    pub fn scope(&self, cluster: &Cluster) -> Scope {
        let is_all = self.all_namespaces || (self.namespace.is_empty() && !self.exclude_namespace.is_empty());
        let own = || vec![cluster.namespace().to_owned()];
        let named = || if self.namespace.is_empty() { own() } else { self.namespaces() };
        Scope { namespaces: (!is_all).then(named), excluded: self.exclude_namespace.clone() }
    }

    /// The same, where no namespace means all of them.
    pub fn wide_scope(&self) -> Scope {
        let namespaces = (!self.namespace.is_empty()).then(|| self.namespaces());
        Scope { namespaces, excluded: self.exclude_namespace.clone() }
    }

    /// The namespaces that were named, each once.
    fn namespaces(&self) -> Vec<String> {
        let mut named = self.namespace.clone();
        named.sort();
        named.dedup();
        named
    }

    /// Which workloads are meant.
    pub fn focus(&self, which: &SelectorArgs) -> Focus {
        Focus {
            namespaces: self.namespaces(),
            excluded: self.exclude_namespace.clone(),
            labels: which.selector.clone(),
        }
    }

    /// A namespace that was asked for and does not exist, where that is known.
    pub fn exists(&self, snapshot: &Snapshot) -> Result<(), CliError> {
        let known = snapshot.names_of("Namespace", None);
        if !snapshot.kinds.contains("Namespace") {
            return Ok(());
        }
        // A typo in what is excluded would be one as well, but it hides nothing.
        let Some(name) = self.namespace.iter().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
        Err(CliError::usage(format!("there is no namespace {name} in the cluster"))
            .hint(format!("it has {}; -A looks at all", nearest_first(known, name))))
    }

    /// The same flags again.
    fn again(&self) -> Vec<String> {
        let mut flags = Vec::new();
        if let Some(path) = &self.kubeconfig {
            flags.push(format!("--kubeconfig {}", quoted(path)));
        }
        let named = self.context.iter().map(|name| ("--context", name));
        let named = named.chain(self.namespace.iter().map(|name| ("-n", name)));
        let named = named.chain(self.exclude_namespace.iter().map(|name| ("--exclude-namespace", name)));
        flags.extend(named.map(|(flag, value)| format!("{flag} {}", plain::shell_word(value))));
        if self.all_namespaces {
            flags.push("-A".to_owned());
        }
        flags
    }
}

/// A few of the names, those first that are most like the one that was asked for.
fn nearest_first<'n>(known: impl IntoIterator<Item = &'n str>, asked: &str) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_by_key(|name| (strsim::damerau_levenshtein(name, asked), *name));
    known.truncate(12);
    known.join(", ")
}

/// A DNS label: anything else would be another path of the API.
fn is_namespace(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn quoted(path: &Path) -> String {
    plain::shell_word(&path.display().to_string()).into_owned()
}

/// The cluster and the repository
#[derive(Args, Clone, Debug)]
pub struct WorldArgs {
    /// A recorded cluster instead of a live one: a folder of Kubernetes YAML or JSON, such as `kubecure snapshot` or
    /// `kubectl cluster-info dump` writes
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    pub snapshot: Option<PathBuf>,
    #[command(flatten)]
    pub of: ClusterArgs,
    #[command(flatten)]
    pub which: SelectorArgs,
    /// The repository, read as it lies there
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub repo: PathBuf,
    /// A commit, tag or branch of the repository instead of its files
    #[arg(long, value_name = "REV")]
    pub rev: Option<String>,
    /// What to call the cluster in pull requests
    #[arg(long, value_name = "NAME", default_value = DEFAULT_CLUSTER, env = "KUBECURE_CLUSTER")]
    pub cluster: String,
}

/// The cluster as it was read: it is not asked twice for what it shows.
pub enum Reading {
    Recorded(Box<Recording>),
    Live(Arc<Cluster>, Arc<Snapshot>),
}

impl Reading {
    pub fn snapshot(&self) -> &Snapshot {
        match self {
            Self::Recorded(recording) => &recording.snapshot,
            Self::Live(_, snapshot) => snapshot,
        }
    }
}

/// Everything that was read before the first incident is worked.
pub struct Loaded {
    pub reading: Reading,
    pub sources: Sources,
    pub policies: Policies,
    pub gaps: Vec<Gap>,
}

impl WorldArgs {
    /// Reads the repository: as it lies there, or a commit of it.
    pub fn files(&self) -> Result<RawFiles, CliError> {
        let shown = self.repo.display().to_string();
        if shown.contains("://") || shown.starts_with("git@") {
            return Err(CliError::usage(format!("{shown} is a URL, and a folder was expected"))
                .hint(format!("clone it first: git clone --depth 1 {shown} repo && kubecure ... --repo repo")));
        }
        if self.repo.is_file() {
            let folder = self.repo.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = folder.map_or(".".to_owned(), |parent| parent.display().to_string());
            return Err(CliError::usage(format!("{shown} is a file, and the repository's folder was expected"))
                .hint(format!("--repo {}", plain::shell_word(&folder))));
        }
        if self.rev.is_none() && git::is_bare(&self.repo) {
            return Err(CliError::usage(format!("{shown} is a bare repository, and no file lies in it"))
                .hint("--rev HEAD reads its last commit"));
        }
        let read = match &self.rev {
            Some(rev) => git::open(&self.repo).and_then(|repo| repo.manifests(Some(rev), repo.prefix())),
            None => folder::read(&self.repo),
        };
        read.map_err(bad_input)
    }

    /// Reads the cluster.
    async fn reading(&self) -> Result<Reading, CliError> {
        if let Some(folder) = &self.snapshot {
            return snapshot::read(folder).map(|read| Reading::Recorded(Box::new(read))).map_err(bad_input);
        }
        let cluster = self.of.connect().await?;
        let shown = cluster.snapshot(&self.of.scope(&cluster)).await.map_err(no_answer)?;
        self.of.exists(&shown)?;
        Ok(Reading::Live(Arc::new(cluster), Arc::new(shown)))
    }

    /// Puts it together. `files` come from the repository, or from the forge that already has one.
    pub async fn load(&self, files: RawFiles) -> Result<Loaded, CliError> {
        let reading = self.reading().await?;
        let policies = policies(&files)?;
        let name = self.repo.display().to_string();
        let RawFiles { files, commit, skipped } = files;
        let sources = locate::index(&name, commit, files, skipped);
        let mut gaps = reading.snapshot().gaps.clone();
        gaps.extend(sources.skipped.iter().cloned());
        gaps.extend(unreadable(&sources));
        if self.rev.is_none() && git::has_policy_above(&self.repo) {
            let why = "belongs to the repository around the folder and was not read; give the top of the repository";
            gaps.push(Gap { what: folder::POLICY_FOLDER.to_owned(), why: why.to_owned() });
        }
        Ok(Loaded { reading, sources, policies, gaps })
    }

    /// The incidents that the user asked about.
    pub fn incidents(&self, loaded: &Loaded) -> Result<Vec<Incident>, CliError> {
        let snapshot = loaded.reading.snapshot();
        // A typo must not read as a clean bill.
        let known = snapshot.namespaces();
        let unknown = self.of.namespace.iter().find(|name| !known.contains(name.as_str()));
        if let (Reading::Recorded(_), Some(namespace)) = (&loaded.reading, unknown) {
            return Err(CliError::usage(format!("the snapshot has nothing in a namespace {namespace}"))
                .hint(format!("it has {}", nearest_first(known, namespace))));
        }
        Ok(self.focus().keep(crate::detect::detect(snapshot), snapshot))
    }

    /// Which workloads are meant.
    pub fn focus(&self) -> Focus {
        self.of.focus(&self.which)
    }

    /// The folder of the repository that was asked for, from its top; empty where all of it was.
    pub fn prefix(&self) -> String {
        let repo = self.rev.as_ref().and_then(|_| git::open(&self.repo).ok());
        repo.map_or(String::new(), |repo| repo.prefix().to_owned())
    }

    /// The same flags again, for a command that is offered as the next.
    pub fn again(&self) -> String {
        let mut flags: Vec<String> = Vec::new();
        if let Some(folder) = &self.snapshot {
            flags.push(format!("--snapshot {}", quoted(folder)));
        }
        flags.extend(self.of.again());
        if !self.which.selector.is_empty() {
            flags.push(format!("-l {}", plain::shell_word(&self.which.selector.to_string())));
        }
        flags.push(format!("--repo {}", quoted(&self.repo)));
        let cluster = Some(&self.cluster).filter(|name| *name != DEFAULT_CLUSTER);
        for (flag, value) in [("--rev", self.rev.as_ref()), ("--cluster", cluster)] {
            flags.extend(value.iter().map(|value| format!("{flag} {}", plain::shell_word(value))));
        }
        flags.join(" ")
    }
}

/// How much was looked at.
pub fn healthy(snapshot: &Snapshot, focus: &Focus) -> Healthy {
    let meant = snapshot.workloads.iter().filter(|w| w.metadata.controller().is_none() && focus.has(&w.metadata));
    Healthy { workloads: meant.count(), pods: snapshot.pods.iter().filter(|pod| focus.has(&pod.metadata)).count() }
}

/// The policy of the repository. A broken one is an error: what it would forbid is not known.
pub(super) fn policies(files: &RawFiles) -> Result<Policies, CliError> {
    ground::policies(files).map_err(bad_input)
}

/// Files that are no YAML. Templates are not broken: they are another tool's, and one line says so.
pub(super) fn unreadable(sources: &Sources) -> Vec<Gap> {
    let (mut gaps, mut templates) = (Vec::new(), Vec::new());
    for (path, file) in &sources.files {
        let Some(why) = &file.broken else { continue };
        if file.text.contains("{{") {
            templates.push(path.as_str());
        } else {
            gaps.push(Gap { what: path.clone(), why: format!("is not valid YAML and was skipped: {why}") });
        }
    }
    if let Some(first) = templates.first() {
        let what = if templates.len() == 1 {
            (*first).to_owned()
        } else {
            format!("{first} and {} more", templates.len() - 1)
        };
        gaps.push(Gap { what, why: "are templates, not manifests, and were passed over".to_owned() });
    }
    gaps
}

/// An error of an adapter, whose text ends in its hint.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn bad_input(error: anyhow::Error) -> CliError {
    split(CliError::usage, &error)
}

/// The outside did not do what was asked.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn no_answer(error: anyhow::Error) -> CliError {
    split(|text: String| CliError { message: text, hint: None, code: super::output::NO_ANSWER }, &error)
}

/// All causes, outermost first, as one sentence; the outermost hint.
fn split(make: impl Fn(String) -> CliError, error: &anyhow::Error) -> CliError {
    let mut hint = None;
    let sentence: Vec<String> = error
        .chain()
        .map(|cause| {
            let text = cause.to_string();
            let Some((sentence, next)) = text.split_once("\nHint: ") else { return text };
            hint.get_or_insert_with(|| next.to_owned());
            sentence.to_owned()
        })
        .collect();
    let error = make(sentence.join(": "));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// A workload as it was asked for: `deployment/web`, or `deployment/shop/web`.
pub struct Asked<'a> {
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
}

impl<'a> Asked<'a> {
    /// Reads it; `None` where it names no workload.
    pub fn read(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, namespace, name) = match parts.as_slice() {
            [kind, name] => (*kind, None, *name),
            [kind, namespace, name] => (*kind, Some(*namespace), *name),
            _ => return None,
        };
        parts.iter().all(|part| !part.is_empty()).then_some(Self { kind, namespace, name })
    }

    /// Whether a workload is the one.
    pub fn is(&self, workload: &ObjectRef) -> bool {
        let there = self.namespace.is_none_or(|namespace| workload.namespace.as_deref() == Some(namespace));
        there && workload.name == self.name && is_kind(self.kind, &workload.kind)
    }
}

/// The runtime of a verb. One thread is enough: it mostly waits for an answer.
pub fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| CliError::usage(format!("cannot start: {error}")))
}
