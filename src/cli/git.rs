//! What `run` and `doctor` are told of a repository on a server: its URL, credentials, limits.
#![expect(clippy::disallowed_methods, reason = "a verb reads the environment once, at the edge")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::forge::Named;
use super::output::CliError;
use super::world::bad_input;
use crate::adapters::forge::address::{Address, Kind};
use crate::adapters::git::remote::{Access, Depth, Limits, Remote, Secret};
use crate::adapters::ground::{Base, LocalBase, Plan, RemoteBase};
use crate::case::RepoUrl;

/// The repository on a server
#[expect(clippy::doc_markdown, reason = "this is the text of --help, where backticks stand for themselves")]
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "A repository by URL")]
pub struct GitArgs {
    /// The branch that the cluster is deployed from [default: the server's own]
    #[arg(long, value_name = "BRANCH", env = "KUBECURE_BASE")]
    pub base: Option<String>,
    /// A file with the token for https, read anew for each operation; or the token itself in KUBECURE_GIT_TOKEN
    #[arg(long, value_name = "FILE", env = "KUBECURE_GIT_TOKEN_FILE")]
    pub git_token_file: Option<PathBuf>,
    /// A file with the token for the forge's API, read anew for each request; or the token itself in
    /// KUBECURE_FORGE_TOKEN [default: the token for Git, where both are on one host]
    #[arg(long, value_name = "FILE", env = "KUBECURE_FORGE_TOKEN_FILE")]
    pub forge_token_file: Option<PathBuf>,
    /// The id of a GitHub App, instead of tokens: its commits are made by GitHub, and verified
    #[arg(long, value_name = "ID", env = "KUBECURE_GITHUB_APP_ID", requires = "github_app_key_file")]
    pub github_app: Option<u64>,
    /// The App's private key, in PEM
    #[arg(long, value_name = "FILE", env = "KUBECURE_GITHUB_APP_KEY_FILE")]
    pub github_app_key_file: Option<PathBuf>,
    /// The installation of the App [default: the one that has the repository]
    #[arg(long, value_name = "ID", env = "KUBECURE_GITHUB_INSTALLATION_ID")]
    pub github_installation: Option<u64>,
    /// Milliseconds between two writes to the forge's API
    #[arg(long, value_name = "MS", default_value_t = 1000, hide = true)]
    pub forge_gap: u64,
    /// Whose the token is, where the server wants to know
    #[arg(long, value_name = "NAME", env = "KUBECURE_GIT_USER")]
    pub git_user: Option<String>,
    /// The private key for ssh [default: what ssh has]
    #[arg(long, value_name = "FILE", env = "KUBECURE_SSH_KEY_FILE")]
    pub ssh_key_file: Option<PathBuf>,
    /// The host keys that ssh trusts [default: ~/.ssh/known_hosts]
    #[arg(long, value_name = "FILE", env = "KUBECURE_SSH_KNOWN_HOSTS_FILE")]
    pub ssh_known_hosts_file: Option<PathBuf>,
    /// Certificates of your own CA, in PEM, trusted besides the system's
    #[arg(long, value_name = "FILE", env = "KUBECURE_GIT_CA_FILE")]
    pub git_ca_file: Option<PathBuf>,
    /// Where clones are kept: a cache, made anew when it is broken [default: kubecure in XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR", env = "KUBECURE_CLONE_DIR")]
    pub clone_dir: Option<PathBuf>,
    /// How often it is asked for new commits
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub fetch_every: Duration,
    /// Commits of history that a clone takes; 0 takes all
    #[arg(long, value_name = "COMMITS", default_value_t = 500)]
    pub depth: u16,
    /// The longest that one fetch or push may take
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    pub git_timeout: Duration,
    /// The longest that the server may be silent
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub git_stall: Duration,
    /// MiB that one fetch may bring
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub git_max_mib: u32,
}

impl GitArgs {
    /// The repository of a URL, with everything that it takes to reach it. Nothing is asked yet.
    pub fn remote(&self, url: &str) -> Result<Remote, CliError> {
        let url = RepoUrl::parse(url).map_err(|error| CliError::usage(error.message).hint(error.hint))?;
        let access = Access {
            user: self.git_user.clone(),
            token: std::env::var("KUBECURE_GIT_TOKEN").ok().and_then(|token| Secret::new(&token)),
            token_file: self.git_token_file.clone(),
            minted: Address::new(Kind::Github, None, &url).ok().and_then(|address| self.app(&address)),
            ssh_key_file: self.ssh_key_file.clone(),
            ssh_known_hosts_file: self.ssh_known_hosts_file.clone(),
            ca_file: self.git_ca_file.clone(),
        };
        let limits = Limits {
            stall: self.git_stall,
            whole: self.git_timeout,
            bytes: u64::from(self.git_max_mib) << 20,
            ..Limits::default()
        };
        Ok(Remote::new(url, access, limits))
    }

    /// Where clones are kept.
    fn clones(&self) -> Result<PathBuf, CliError> {
        let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = || of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")));
        self.clone_dir.clone().or_else(|| Some(cache()?.join("kubecure"))).ok_or_else(|| {
            CliError::usage("nobody said where clones are kept, and there is no HOME").hint("--clone-dir DIR")
        })
    }
}

/// The base branch that `run` stands on, and the forge behind it.
///
/// A mistake that a person can mend is an error here, at the start; later it only waits until it is mended.
pub fn base(forge: &str, repo: &Path, args: &GitArgs) -> Result<Arc<dyn Base>, CliError> {
    let (shown, named) = (repo.to_string_lossy(), Named::read(forge)?);
    match (named, RepoUrl::looks_like_one(&shown)) {
        (Named::Local(_), true) => {
            // The URL first: one with a password in it must not be passed over in silence.
            args.remote(&shown)?;
            Err(CliError::usage("--forge local:DIR has its own repository, and --repo is a URL").hint("--forge branch"))
        }
        (named, true) => server(&named, &shown, args),
        (Named::Local(folder), false) => {
            let base = LocalBase::new(folder, repo.to_owned());
            base.ground().map_err(bad_input)?;
            Ok(Arc::new(base))
        }
        (_, false) => Err(CliError::usage(format!("--forge {forge} pushes to a server, and --repo is a folder"))
            .hint("--repo URL; a repository on this machine is file:///srv/git/repo.git")),
    }
}

/// A repository on a server, and the API of its forge if it has one.
fn server(named: &Named, url: &str, args: &GitArgs) -> Result<Arc<dyn Base>, CliError> {
    let remote = args.remote(url)?;
    let repo = remote.url().clone();
    // What can be said at once is said before a clone is made.
    if *named != Named::Auto {
        named.address(&repo, None)?;
    }
    let plan = Plan { base: args.base.clone(), depth: Depth(args.depth), every: args.fetch_every };
    let base = RemoteBase::start(remote, plan, &args.clones()?).map_err(bad_input)?;
    let ground = base.ground().ok();
    let settings = ground.as_ref().and_then(|ground| ground.policies.settings().forge.as_ref());
    let Some(address) = named.address(&repo, settings)? else { return Ok(Arc::new(base)) };
    let hosted = args.hosted(&address, &repo);
    Ok(Arc::new(base.on(hosted)))
}

/// `30s`, `5m`.
fn time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| !time.is_zero()).ok_or_else(|| "a time such as 30s or 5m was expected".to_owned())
}
