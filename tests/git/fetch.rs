//! Reading: clone, fetch, force-push, credentials that change, restarts.

use std::time::Duration;

use kubecure::adapters::ground::{Base, RemoteBase};

use crate::bed::{Bed, NEVER, WEB, plan, until};
use crate::server::{Fault, git};

#[test]
fn a_repository_is_cloned_shallow_and_followed_in_the_background() {
    let bed = Bed::new().with_token("first-token-1234567890");
    let base = bed.base(Duration::from_millis(200)).unwrap();
    let ground = base.ground().unwrap();
    assert_eq!(&*ground.sources.files["web.yaml"].text, WEB);
    let clone = bed.clone_folder().join("repo.git");
    assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]), "3", "only as deep as was asked for");
    let commit = bed.commit(&[("new.yaml", "# new\n")]);
    until("the new commit is in force", || base.status().commit.as_deref() == Some(&commit));
    assert!(base.ground().unwrap().sources.files.contains_key("new.yaml"));
    assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]), "4", "history grows from where it began");
    git(&clone, &["fsck", "--strict"]);
    let status = base.status();
    assert!(status.fetched_at.is_some() && status.failing_since.is_none() && status.error.is_none(), "{status:?}");
    assert!(bed.server.asked().iter().all(|line| line.ends_with("with credentials")));
}

#[test]
fn a_base_branch_that_was_pushed_by_force_is_followed() {
    let bed = Bed::new();
    let base = bed.base(NEVER).unwrap();
    bed.person(&["checkout", "-q", "--orphan", "other"]);
    let commit = bed.commit(&[("web.yaml", "# another history\n")]);
    base.call();
    until("the other history is in force", || base.status().commit.as_deref() == Some(&commit));
    bed.person(&["checkout", "-q", "-B", "back", "HEAD"]);
    bed.person(&["reset", "-q", "--hard", &bed.on_server(&["rev-parse", "main"])]);
    let commit = bed.commit(&[("web.yaml", WEB)]);
    base.call();
    until("and followed on", || base.status().commit.as_deref() == Some(&commit));
    git(&bed.clone_folder().join("repo.git"), &["fsck", "--strict"]);
}

#[test]
fn a_token_in_a_file_is_rotated_without_a_restart() {
    let mut bed = Bed::new();
    let file = bed.clones.path().with_extension("token");
    std::fs::write(&file, "first-token-1234567890\n").unwrap();
    bed.access.token_file = Some(file.clone());
    bed.server.want_token("first-token-1234567890");
    let base = bed.base(NEVER).unwrap();
    let first = base.status().commit;
    bed.server.want_token("second-token-1234567890");
    let commit = bed.commit(&[("new.yaml", "# new\n")]);
    base.call();
    until("the old token is refused", || base.status().error.is_some());
    let status = base.status();
    assert_eq!((status.error.unwrap().word, &status.commit), ("refused", &first), "what was in force stays so");
    assert!(base.ground().is_ok());
    std::fs::write(&file, "second-token-1234567890").unwrap();
    until("the new token is taken", || base.status().commit.as_deref() == Some(&commit));
    assert_eq!(base.status().failing_since, None);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn what_a_person_must_mend_ends_it_at_the_start() {
    let mut bed = Bed::new().with_token("right-token-1234567890");
    bed.access.token = kubecure::adapters::git::remote::Secret::new("wrong-token-1234567890");
    let refused = |bed: &Bed, url: &str, says: &str| {
        let started = RemoteBase::start(bed.remote(url), plan(NEVER), bed.clones.path());
        let error = format!("{:#}", started.err().expect("it is refused"));
        assert!(error.contains(says) && error.contains("Hint: ") && !error.contains("token-1234567890"), "{error}");
    };
    refused(&bed, &bed.url(), "refuses the token (it says: no such token)");
    bed.access.token = None;
    refused(&bed, &bed.url(), "wants credentials, and none were given");
    bed.access.token = kubecure::adapters::git::remote::Secret::new("right-token-1234567890");
    refused(&bed, &format!("{}/none.git", bed.server.url), "is not there");
    bed.access.ca_file = None;
    refused(&bed, &bed.url(), "is not trusted");
    bed.access.ca_file = Some(bed.clones.path().join("none.pem"));
    let error = RemoteBase::start(bed.remote(&bed.url()), plan(NEVER), bed.clones.path()).err().unwrap();
    assert!(format!("{error:#}").contains("the CA file"), "{error:#}");
    bed.access.ca_file = Some(bed.server.ca_file.clone());
    bed.server.fault(Fault::Page);
    refused(&bed, &bed.url(), "is no Git server");
    bed.server.fault(Fault::None);
    git(bed.server.root.path(), &["init", "-q", "--bare", "empty.git"]);
    refused(&bed, &format!("{}/empty.git", bed.server.url), "has no base branch");
    let wanted = kubecure::adapters::ground::Plan { base: Some("production".to_owned()), ..plan(NEVER) };
    let error = RemoteBase::start(bed.remote(&bed.url()), wanted, bed.clones.path()).err().unwrap();
    assert!(format!("{error:#}").contains("no branch production"), "{error:#}");
    bed.commit(&[(".gitignore", "x\n")]);
    std::fs::create_dir_all(bed.clones.path()).unwrap();
}

#[test]
fn the_branch_that_is_wanted_is_the_base() {
    let bed = Bed::new();
    bed.person(&["push", "-q", "origin", "HEAD~2:refs/heads/production"]);
    let wanted = kubecure::adapters::ground::Plan { base: Some("production".to_owned()), ..plan(NEVER) };
    let base = RemoteBase::start(bed.remote(&bed.url()), wanted, bed.clones.path()).unwrap();
    assert_eq!(base.status().commit.unwrap(), bed.on_server(&["rev-parse", "production"]));
}

#[test]
fn a_server_that_is_away_costs_nothing_that_was_known_and_it_recovers_by_itself() {
    let bed = Bed::new();
    let base = bed.base(Duration::from_millis(200)).unwrap();
    let known = base.status().commit;
    bed.server.fault(Fault::Down);
    until("it fails", || base.status().failing_since.is_some());
    let status = base.status();
    assert_eq!((status.error.unwrap().word, &status.commit), ("unreachable", &known));
    assert!(base.ground().is_ok(), "the last good ground stays in force");
    let commit = bed.commit(&[("new.yaml", "# new\n")]);
    // A restart in the middle of it stands on what the one before has fetched.
    drop(base);
    let base = bed.base(Duration::from_millis(200)).unwrap();
    assert_eq!(base.status().commit, known);
    assert!(base.ground().is_ok() && base.status().failing_since.is_some());
    bed.server.fault(Fault::None);
    until("it is back", || base.status().commit.as_deref() == Some(&commit));
    assert_eq!((base.status().failing_since, base.status().error), (None, None));
}

#[test]
fn a_first_start_without_a_server_waits_for_it() {
    let bed = Bed::new();
    bed.server.fault(Fault::Status(503, "down for maintenance".to_owned()));
    let base = bed.base(Duration::from_millis(200)).unwrap();
    let error = format!("{:#}", base.ground().unwrap_err());
    assert!(error.contains("answers 503 (it says: down for maintenance)"), "{error}");
    assert!(!base.status().is_known());
    bed.server.fault(Fault::None);
    until("it is there", || base.ground().is_ok());
}

#[test]
fn a_policy_that_breaks_is_told_and_one_that_is_mended_is_read() {
    let bed = Bed::new();
    let base = bed.base(NEVER).unwrap();
    bed.person(&["checkout", "-q", "-B", "policy"]);
    let folder = std::path::PathBuf::from(bed.person(&["rev-parse", "--show-toplevel"])).join(".kubecure");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("policy.yaml"), "kind: HealingPolicy\nspec: {nonsense: 1}\n").unwrap();
    let commit = bed.commit(&[]);
    let elsewhere = tempfile::tempdir().unwrap();
    let started = RemoteBase::start(bed.remote(&bed.url()), plan(NEVER), elsewhere.path());
    let started = started.err().expect("a process that knows no good one does not start");
    assert!(format!("{started:#}").contains("the policy of the repository is invalid"), "{started:#}");
    base.call();
    until("it is told", || base.ground().unwrap().invalid.is_some());
    assert_eq!(base.status().commit, Some(commit), "the last good one is in force, on the new manifests");
    std::fs::remove_dir_all(folder).unwrap();
    let commit = bed.commit(&[]);
    base.call();
    until("it is mended", || base.status().commit.as_deref() == Some(&commit));
    assert_eq!(base.ground().unwrap().invalid, None);
}

#[test]
fn a_repository_on_this_machine_is_read_by_file() {
    let bed = Bed::new();
    let url = format!("file://{}", bed.server.path("shop.git").display());
    let base = RemoteBase::start(bed.remote(&url), plan(NEVER), bed.clones.path()).unwrap();
    let commit = bed.commit(&[("new.yaml", "# new\n")]);
    base.call();
    until("it is fetched", || base.status().commit.as_deref() == Some(&commit));
    let none = RemoteBase::start(bed.remote("file:///no/such/repo.git"), plan(NEVER), bed.clones.path());
    assert!(format!("{:#}", none.err().unwrap()).contains("is not there"));
}

#[test]
fn a_server_on_this_machine_is_read_by_plain_http() {
    let bed = Bed::new().with_token("right-token-1234567890");
    let url = format!("{}/shop.git", bed.server.plain());
    let base = RemoteBase::start(bed.remote(&url), plan(NEVER), bed.clones.path()).unwrap();
    assert!(base.ground().is_ok());
}
