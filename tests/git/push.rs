//! Writing: branches on a server, their memory, and others who write at the same time.

use kubecure::adapters::forge::Forge;
use kubecure::adapters::git::remote::{Push, Trouble};
use kubecure::adapters::ground::{Base, RemoteBase};
use kubecure::case::{EntryKind, EntryState, Receipt};

use crate::bed::{Bed, NEVER, WEB, plan, pull};
use crate::server::Fault;

const A: &str = "aaaaaaaa11111111";
const B: &str = "bbbbbbbb22222222";
const BRANCH: &str = "kubecure/shop/web/oom-killed-aaaaaaaa";

fn forge(bed: &Bed) -> Box<dyn Forge> {
    let base = bed.base(NEVER).unwrap();
    base.forge().unwrap()
}

fn why(receipt: &Receipt) -> &str {
    match receipt {
        Receipt::Exists { why, .. } => why,
        other => panic!("it was not left alone: {other:?}"),
    }
}

/// The same by every way that pushes.
fn opens_once(bed: &Bed, base: impl Fn() -> RemoteBase) {
    let opened = base().forge().unwrap().publish(&pull(A, "128Mi")).unwrap();
    assert!(
        matches!(&opened, Receipt::Opened { kind: EntryKind::Branch, link, .. } if link.contains(BRANCH)),
        "{opened:?}"
    );
    assert_eq!(bed.branches(), [BRANCH]);
    let tip = bed.on_server(&["rev-parse", BRANCH]);
    assert_eq!(bed.on_server(&["rev-parse", &format!("{BRANCH}^")]), bed.on_server(&["rev-parse", "main"]));
    assert_eq!(bed.on_server(&["show", &format!("{BRANCH}:web.yaml")]), WEB.replace("64Mi", "128Mi").trim());
    assert_eq!(bed.on_server(&["diff", "--name-only", "main", BRANCH]), "web.yaml");
    // Another process finds what the first did.
    let again = base().forge().unwrap().publish(&pull(A, "128Mi")).unwrap();
    assert_eq!(why(&again), "the branch is there already, and nothing has changed");
    assert_eq!(bed.on_server(&["rev-parse", BRANCH]), tip);
    let history = base().forge().unwrap().history().unwrap();
    let [entry] = &history.entries[..] else { panic!("{history:?}") };
    assert_eq!(
        (entry.state, entry.fingerprint.0.as_str(), entry.failure.as_str()),
        (EntryState::Open, A, "oom-killed")
    );
    assert_eq!((&entry.workloads[..], entry.foreign_commit.as_ref()), (&["Deployment shop/web".to_owned()][..], None));
    // A better value is the same branch; another fingerprint for the workload waits.
    let updated = base().forge().unwrap().publish(&pull(A, "256Mi")).unwrap();
    assert!(matches!(updated, Receipt::Updated { .. }), "{updated:?}");
    assert_eq!(bed.on_server(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1");
    assert!(why(&base().forge().unwrap().publish(&pull(B, "128Mi")).unwrap()).contains("one at a time"));
    assert_eq!(bed.branches(), [BRANCH]);
    bed.on_server(&["fsck", "--strict"]);
}

#[test]
fn a_branch_is_pushed_once_over_https_whoever_asks() {
    let bed = Bed::new().with_token("right-token-1234567890");
    opens_once(&bed, || bed.base(NEVER).unwrap());
}

#[test]
fn a_branch_is_pushed_once_by_file_whoever_asks() {
    let bed = Bed::new();
    let url = format!("file://{}", bed.server.path("shop.git").display());
    opens_once(&bed, || RemoteBase::start(bed.remote(&url), plan(NEVER), bed.clones.path()).unwrap());
}

#[test]
fn the_link_that_the_server_prints_is_told() {
    let bed = Bed::new();
    let hook = bed.server.path("shop.git/hooks/post-receive");
    std::fs::write(&hook, "#!/bin/sh\nprintf '%s\\n' \"$KUBECURE_TEST_BANNER\" >&2\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let link = format!("{}/shop/compare/main...{BRANCH}", bed.server.url);
    bed.server.banner(&format!("Create a new pull request for '{BRANCH}':\n  {link}"));
    let opened = forge(&bed).publish(&pull(A, "128Mi")).unwrap();
    assert!(
        matches!(&opened, Receipt::Opened { link: told, .. } if *told == format!("{BRANCH}: {link}")),
        "{opened:?}"
    );
}

#[test]
fn a_person_who_commits_to_the_branch_has_it() {
    let bed = Bed::new();
    let forge = forge(&bed);
    forge.publish(&pull(A, "128Mi")).unwrap();
    bed.person(&["fetch", "-q", "origin", BRANCH]);
    bed.person(&["checkout", "-q", "-B", "theirs", "FETCH_HEAD"]);
    bed.person(&["commit", "-q", "--allow-empty", "-m", "I see to it"]);
    bed.person(&["push", "-q", "origin", &format!("HEAD:{BRANCH}")]);
    let tip = bed.on_server(&["rev-parse", BRANCH]);
    let left = forge.publish(&pull(A, "256Mi")).unwrap();
    assert!(why(&left).contains("by A Person: hands off"), "{left:?}");
    assert_eq!(bed.on_server(&["rev-parse", BRANCH]), tip);
    assert!(forge.history().unwrap().entries[0].foreign_commit.is_some());
}

#[test]
fn a_branch_that_a_person_deletes_is_not_offered_again() {
    let bed = Bed::new();
    let forge = forge(&bed);
    forge.publish(&pull(A, "128Mi")).unwrap();
    bed.on_server(&["branch", "-D", BRANCH]);
    let left = forge.publish(&pull(A, "128Mi")).unwrap();
    assert!(why(&left).contains("was closed by a person"), "{left:?}");
    assert!(bed.branches().is_empty());
    assert_eq!(forge.history().unwrap().entries[0].state, EntryState::Closed);
}

#[test]
fn a_fix_that_was_merged_is_found_by_its_trailer_however_it_was_merged() {
    let bed = Bed::new();
    forge(&bed).publish(&pull(A, "128Mi")).unwrap();
    bed.person(&["fetch", "-q", "origin", BRANCH]);
    bed.person(&["merge", "-q", "--squash", "FETCH_HEAD"]);
    let message = bed.on_server(&["log", "-1", "--format=%B", BRANCH]);
    bed.person(&["commit", "-q", "-m", &format!("web: more memory (#3)\n\n{message}")]);
    bed.person(&["push", "-q", "origin", "HEAD:main"]);
    bed.on_server(&["branch", "-D", BRANCH]);
    bed.commit(&[("web.yaml", WEB)]);
    let forge = forge(&bed);
    let left = forge.publish(&pull(A, "128Mi")).unwrap();
    assert!(why(&left).contains("was merged"), "{left:?}");
    let history = forge.history().unwrap();
    assert_eq!((history.entries.len(), history.entries[0].state), (1, EntryState::Merged));
    assert_eq!(history.entries[0].workloads, ["Deployment shop/web"]);
    assert!(bed.branches().is_empty());
}

#[test]
fn who_was_there_first_has_the_branch() {
    let bed = Bed::new();
    let mut mirror = bed.mirror();
    mirror.fetch().unwrap();
    let repo = mirror.repo().unwrap();
    let commit = repo.commit_id(None).unwrap();
    let push = |seen| Push { branch: BRANCH, commit, seen };
    // Somebody pushes between the look and the push.
    bed.person(&["push", "-q", "origin", &format!("HEAD~1:refs/heads/{BRANCH}")]);
    let theirs = bed.on_server(&["rev-parse", BRANCH]);
    assert!(matches!(mirror.push(&repo, &push(None)), Err(Trouble::Moved { .. })));
    assert!(matches!(mirror.push(&repo, &push(Some(commit))), Err(Trouble::Moved { .. })));
    assert_eq!(bed.on_server(&["rev-parse", BRANCH]), theirs);
    mirror.push(&repo, &push(Some(theirs.parse().unwrap()))).unwrap();
    assert_eq!(bed.on_server(&["rev-parse", BRANCH]), commit.to_string());
    let main = Push { branch: "main", commit, seen: Some(commit) };
    assert!(mirror.push(&repo, &main).unwrap_err().to_string().contains("is no branch of KubeCure"));
}

#[test]
fn two_at_once_make_one_branch() {
    let bed = Bed::new();
    let others = tempfile::tempdir().unwrap();
    let start = |clones| RemoteBase::start(bed.remote(&bed.url()), plan(NEVER), clones).unwrap();
    let bases = [start(bed.clones.path()), start(others.path())];
    let receipts: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> =
            bases.iter().map(|base| scope.spawn(move || base.forge().unwrap().publish(&pull(A, "128Mi")))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let opened = receipts.iter().filter(|receipt| matches!(receipt, Ok(Receipt::Opened { .. }))).count();
    assert_eq!((opened, bed.branches().len()), (1, 1), "{receipts:?}");
    for base in &bases {
        assert!(why(&base.forge().unwrap().publish(&pull(A, "128Mi")).unwrap()).contains("there already"));
    }
}

#[test]
fn a_server_that_takes_no_branch_says_why_and_nothing_is_lost() {
    let bed = Bed::new();
    let hook = bed.server.path("shop.git/hooks/pre-receive");
    std::fs::write(&hook, "#!/bin/sh\necho 'branches are made by people here' >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let forge = forge(&bed);
    let error = format!("{:#}", forge.publish(&pull(A, "128Mi")).unwrap_err());
    assert!(error.contains("does not take branch") && error.contains("pre-receive hook declined"), "{error}");
    assert!(bed.branches().is_empty() && forge.history().unwrap().entries.is_empty());
    std::fs::remove_file(hook).unwrap();
    assert!(matches!(forge.publish(&pull(A, "128Mi")).unwrap(), Receipt::Opened { .. }));
}

#[test]
fn nothing_is_pushed_to_nowhere() {
    let bed = Bed::new();
    let forge = forge(&bed);
    for fault in [Fault::Down, Fault::Status(502, String::new())] {
        bed.server.fault(fault);
        assert!(forge.publish(&pull(A, "128Mi")).is_err());
    }
    bed.server.fault(Fault::None);
    assert!(bed.branches().is_empty());
    assert!(matches!(forge.publish(&pull(A, "128Mi")).unwrap(), Receipt::Opened { .. }));
}

#[test]
fn a_file_that_moved_meanwhile_is_not_edited() {
    let bed = Bed::new();
    let forge = forge(&bed);
    bed.commit(&[("web.yaml", &WEB.replace("64Mi", "96Mi"))]);
    let error = forge.publish(&pull(A, "128Mi")).unwrap_err().to_string();
    assert!(error.contains("is not the file that was read"), "{error}");
    assert!(bed.branches().is_empty());
}
