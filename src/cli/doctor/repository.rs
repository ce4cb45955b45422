//! The repository, its manifests and its policy, and the forge.
#![expect(clippy::disallowed_methods, reason = "a verb takes the time once, at the edge")]

use std::path::Path;

use super::{Check, DoctorArgs, State};
use crate::adapters::folder::{POLICY_FOLDER, RawFiles, is_policy};
use crate::adapters::forge::local::{LocalForge, Look};
use crate::adapters::git::{self, Repo};
use crate::case::Timestamp;
use crate::cli::output::CliError;
use crate::cli::world::{ClusterArgs, SelectorArgs, WorldArgs, bad_input, unreadable};
use crate::locate;
use crate::review::policy::{Policies, PolicyFile};

/// Files that are named one by one.
const NAMED: usize = 5;

/// Everything about the repository.
pub(super) fn checks(args: &DoctorArgs) -> Vec<Check> {
    let (repository, files) = match repository(args) {
        Ok(found) => found,
        Err(error) => return vec![Check::error("repository", error)],
    };
    let mut all = vec![repository];
    let next = format!("kubecure policy check {} shows each with its line", args.repo.display());
    all.push(policy(&files, next));
    all.insert(1, manifests(files));
    all
}

fn repository(args: &DoctorArgs) -> Result<(Check, RawFiles), CliError> {
    let found = if args.repo.is_dir() { git::find(&args.repo).map_err(bad_input)? } else { None };
    if let Some(repo) = found.as_ref().filter(|repo| repo.is_bare() && args.rev.is_none()) {
        let check = in_git(args, repo)?;
        return Ok((check, repo.manifests(None, "").map_err(bad_input)?));
    }
    let (of, which) = (ClusterArgs::default(), SelectorArgs::default());
    let world =
        WorldArgs { snapshot: None, of, which, repo: args.repo.clone(), rev: args.rev.clone(), cluster: String::new() };
    let files = world.files()?;
    let Some(repo) = found else {
        let text = format!("{} is in no Git repository; its files are read as they lie there", args.repo.display());
        return Ok((Check::warn("repository", text, "give the work tree that the cluster is applied from"), files));
    };
    Ok((in_git(args, &repo)?, files))
}

fn in_git(args: &DoctorArgs, repo: &Repo) -> Result<Check, CliError> {
    let base = repo.base_branch().map_err(bad_input)?;
    let commit = repo.commit_id(args.rev.as_deref()).map_err(bad_input)?.to_string();
    let kind = if repo.is_bare() { "a bare repository" } else { "a work tree" };
    let text = format!("{} is {kind} at {}; its base branch is {base}", args.repo.display(), &commit[..10]);
    if repo.is_bare() && args.rev.is_none() {
        return Ok(Check::warn("repository", text, format!("it has no files to read; give --rev {base}")));
    }
    Ok(Check::ok("repository", text))
}

pub(super) fn manifests(files: RawFiles) -> Check {
    let RawFiles { mut files, commit, skipped } = files;
    // The policy is checked by itself, and is no manifest of the cluster.
    files.retain(|path, _| !is_policy(path));
    let sources = locate::index("", commit, files, skipped);
    let objects: usize = sources.files.values().map(|file| file.objects.len()).sum();
    let declaring = sources.files.values().filter(|file| !file.objects.is_empty()).count();
    let text = format!("{objects} objects in {declaring} files");
    if objects == 0 {
        let next = "--repo names the folder with the manifests that the cluster is applied from";
        return Check::fail("manifests", "no Kubernetes object is declared there", next);
    }
    let broken = unreadable(&sources);
    if broken.is_empty() {
        return Check::ok("manifests", text);
    }
    let mut next = vec!["what is not read cannot be cured:".to_owned()];
    next.extend(broken.iter().take(NAMED).map(|gap| format!("{} {}", gap.what, gap.why)));
    if broken.len() > NAMED {
        next.push(format!("and {} more", broken.len() - NAMED));
    }
    Check { about: "manifests", state: State::Warn, text: format!("{text}; not all are read"), next }
}

pub(super) fn policy(files: &RawFiles, next: String) -> Check {
    let own = files.files.iter().filter(|(path, _)| is_policy(path));
    let own: Vec<PolicyFile<'_>> = own.map(|(path, text)| PolicyFile { path, text }).collect();
    let mut check = match Policies::read(&own) {
        Ok(policies) => match (policies.all().count() - 1, policies.warnings()) {
            (0, []) => return Check::ok("policy", "none of its own; the built-in default decides"),
            (number, []) => return Check::ok("policy", format!("{number} in {POLICY_FOLDER}/, valid")),
            (_, warnings) => {
                let text = format!("valid, with {} warnings", warnings.len());
                let mut check = Check::warn("policy", text, "");
                check.next.extend(warnings.iter().take(NAMED).map(ToString::to_string));
                check
            }
        },
        Err(problems) => {
            let text = format!("{} problems, so nothing is allowed", problems.len());
            let mut check = Check::fail("policy", text, "");
            check.next.extend(problems.iter().take(NAMED).map(ToString::to_string));
            check
        }
    };
    check.next[0] = next;
    check
}

/// The forge, if one is named.
pub(super) fn forge(dir: Option<&Path>) -> Check {
    let Some(dir) = dir else {
        return Check::ok("forge", "none was named: `scan` needs none, `cure` takes --forge local:DIR");
    };
    let shown = dir.display();
    match LocalForge::look(dir, Timestamp::now()) {
        Ok(Look::Absent) => Check::ok("forge", format!("local:{shown} is not there yet; `cure` can make it")),
        Ok(Look::There { pulls, issues, open }) => Check::ok(
            "forge",
            format!("local:{shown} can be written; pull requests: {pulls}, issues: {issues}, {open} of them open"),
        ),
        Err(error) => Check::error("forge", bad_input(error)),
    }
}
