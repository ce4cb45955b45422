//! A repository on a server: can it be read, would it take a push, what does its clock say.

use super::repository::{manifests, policy};
use super::{Check, DoctorArgs, State};
use crate::adapters::folder::RawFiles;
use crate::adapters::forge::hosted::Rights;
use crate::adapters::git::mirror::Mirror;
use crate::adapters::git::remote::{Depth, Looked, Remote, Trouble};
use crate::adapters::ground::policies;
use crate::case::RepoUrl;
use crate::cli::forge::Named;
use crate::cli::output::CliError;
use crate::cli::world::bad_input;

/// Clocks that differ by more are told, in seconds: tokens and their expiry are a matter of time.
const SKEW: i64 = 30;

/// The repository, if a URL was given.
pub(super) fn of(args: &DoctorArgs) -> Result<Option<Remote>, CliError> {
    let shown = args.repo.to_string_lossy();
    if !RepoUrl::looks_like_one(&shown) {
        return Ok(None);
    }
    if args.rev.is_some() {
        return Err(CliError::usage("--rev is for a folder, and --repo is a URL").hint("--base BRANCH"));
    }
    args.git.remote(&shown).map(Some)
}

/// Everything about it. What is fetched for this is gone afterwards.
pub(super) fn checks(args: &DoctorArgs, remote: &Remote) -> Vec<Check> {
    let looked = match remote.look() {
        Ok(looked) => looked,
        Err(trouble) => return vec![failed("git", &trouble)],
    };
    let mut all = vec![
        read(remote, &looked),
        push(&looked, args.forge.as_deref().is_some_and(|forge| !forge.starts_with("local:"))),
    ];
    all.extend(looked.clock_ahead.map(clock));
    all.extend(contents(args).unwrap_or_else(|check| vec![check]));
    all
}

fn read(remote: &Remote, looked: &Looked) -> Check {
    let branch = looked
        .default_branch
        .as_ref()
        .map_or("has no default branch".to_owned(), |name| format!("its default branch is {name}"));
    Check::ok("git", format!("{} can be read; {branch}", remote.url()))
}

/// Whether it would take a push. Without one nobody knows more: a rule for branches decides when it comes.
fn push(looked: &Looked, is_needed: bool) -> Check {
    let Err(trouble) = &looked.push else {
        return Check::ok("git push", "it lets these credentials push, as far as it tells without one");
    };
    let mut check = failed("git push", trouble);
    check.text = format!("it can be read, and not pushed to: {}", check.text);
    if !is_needed {
        check.state = State::Warn;
    }
    check
}

fn clock(ahead: i64) -> Check {
    let text =
        format!("the Git server is {} s {} this machine", ahead.abs(), if ahead < 0 { "behind" } else { "ahead of" });
    if ahead.abs() > SKEW {
        return Check::warn("git clock", text, "set the clocks by NTP: tokens expire by them");
    }
    Check::ok("git clock", text)
}

/// What lies at the tip of the base branch.
fn contents(args: &DoctorArgs) -> Result<Vec<Check>, Check> {
    let error = |error: anyhow::Error| Check::error("repository", bad_input(error));
    let scratch = tempfile::tempdir().map_err(|why| error(why.into()))?;
    let remote = args.git.remote(&args.repo.to_string_lossy()).map_err(|error| Check::error("repository", error))?;
    let mut mirror = Mirror::new(remote, args.git.base.clone(), Depth(1), scratch.path());
    mirror.fetch().map_err(|trouble| failed("repository", &trouble))?;
    let repo = mirror.repo().map_err(error)?;
    let (base, files) = (repo.base_branch().map_err(error)?, repo.manifests(None, "").map_err(error)?);
    let commit: String = files.commit.as_deref().unwrap_or_default().chars().take(10).collect();
    let next = "`kubecure policy check .` in a clone of it shows each with its line".to_owned();
    let checked = policy(&files, next);
    let there = Check::ok("repository", format!("the base branch {base} is at {commit}"));
    Ok(vec![there, manifests(files), checked])
}

/// A forge that the repository is pushed to.
pub(super) fn forge(args: &DoctorArgs, remote: Option<&Remote>, named: &Named) -> Check {
    let Some(remote) = remote else {
        return Check::fail("forge", "it is on a server, and --repo is a folder", "--repo URL");
    };
    let settings = contents_of(args).ok().and_then(|files| policies(&files).ok());
    let settings = settings.as_ref().and_then(|policies| policies.settings().forge.as_ref());
    let address = match named.address(remote.url(), settings) {
        Ok(Some(address)) => address,
        Ok(None) => return Check::ok("forge", "branch: branches are pushed, and a person opens the pull requests"),
        Err(error) => return Check::error("forge", error),
    };
    let hosted = args.git.hosted(&address, remote.url());
    match hosted.look() {
        Ok(looked) => told(hosted.name(), looked),
        Err(trouble) => Check::error("forge", bad_input(trouble.into())),
    }
}

/// What a look at a forge told.
fn told(name: &str, looked: Rights) -> Check {
    let who = looked
        .login
        .map_or_else(|| "the token may not say whose it is".to_owned(), |login| format!("the token is {login}'s"));
    let version = looked.version.map(|version| format!(" ({version})")).unwrap_or_default();
    let text = format!("{name}{version}; {who}");
    let next = "give the token of --forge-token-file (or of Git) these rights".to_owned();
    if !looked.missing.is_empty() {
        return Check::fail("forge", format!("{text}; {}", looked.missing.join("; ")), next);
    }
    if !looked.doubts.is_empty() {
        return Check::warn("forge", format!("{text}; {}", looked.doubts.join("; ")), "switch it on, or leave it so");
    }
    Check::ok("forge", format!("{text}; it may open pull requests and issues"))
}

/// The files of the base branch, for its settings.
fn contents_of(args: &DoctorArgs) -> Result<RawFiles, anyhow::Error> {
    let scratch = tempfile::tempdir()?;
    let remote = args.git.remote(&args.repo.to_string_lossy()).map_err(|error| anyhow::anyhow!(error.message))?;
    let mut mirror = Mirror::new(remote, args.git.base.clone(), Depth(1), scratch.path());
    mirror.fetch()?;
    mirror.repo()?.manifests(None, "")
}

fn failed(about: &'static str, trouble: &Trouble) -> Check {
    let text = trouble.to_string();
    let (sentence, hint) = text.split_once("\nHint: ").map_or((text.as_str(), None), |(text, hint)| (text, Some(hint)));
    Check { next: hint.into_iter().map(ToOwned::to_owned).collect(), ..Check::fail(about, sentence, "") }
}
