//! A repository on a server: can it be read, would it take a push, what does its clock say.

use super::repository::{manifests, policy};
use super::{Check, DoctorArgs, State};
use crate::adapters::git::mirror::Mirror;
use crate::adapters::git::remote::{Depth, Looked, Remote, Trouble};
use crate::case::RepoUrl;
use crate::cli::output::CliError;

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
    let mut all = vec![read(remote, &looked), push(&looked, args.forge.as_deref() == Some("branch"))];
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
    let error = |error: anyhow::Error| Check::error("repository", crate::cli::world::bad_input(error));
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

/// The forge `branch`.
pub(super) fn forge(has_server: bool) -> Check {
    if has_server {
        return Check::ok("forge", "branch: branches are pushed, and a person opens the pull requests");
    }
    Check::fail("forge", "branch pushes to a server, and --repo is a folder", "--repo URL")
}

fn failed(about: &'static str, trouble: &Trouble) -> Check {
    let text = trouble.to_string();
    let (sentence, hint) = text.split_once("\nHint: ").map_or((text.as_str(), None), |(text, hint)| (text, Some(hint)));
    Check { next: hint.into_iter().map(ToOwned::to_owned).collect(), ..Check::fail(about, sentence, "") }
}
