use super::*;
use crate::case::{EditedFile, FailureId, ObjectRef};

fn now() -> Timestamp {
    "2026-11-23T23:48:00Z".parse().unwrap()
}

fn forge() -> (tempfile::TempDir, LocalForge) {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    fs::create_dir_all(&from).unwrap();
    fs::write(from.join("web.yaml"), "memory: 64Mi\n").unwrap();
    fs::write(from.join("ads.yaml"), "image: x\n").unwrap();
    let forge = LocalForge::open(&dir.path().join("forge"), Some(&from), now()).unwrap();
    (dir, forge)
}

fn web() -> ObjectRef {
    ObjectRef::new("apps/v1", "Deployment", Some("shop"), "web")
}

fn pull(fp: &str, to: &str) -> Request {
    Request::PullRequest(PullRequest {
        branch: format!("kubecure/shop/web/oom-killed-{}", &fp[..8]),
        fingerprint: Fingerprint(fp.to_owned()),
        title: format!("shop/web: raise to {to}"),
        body: format!("<!-- kubecure:begin -->\nraises to {to}\n<!-- kubecure:end -->\n"),
        commit_message: format!("shop/web: raise to {to}\n\nWhy.\n\nKubeCure-Fix: {fp}\n"),
        labels: vec!["kubecure".to_owned()],
        reviewers: Vec::new(),
        draft: false,
        files: vec![EditedFile {
            path: "web.yaml".to_owned(),
            before: "memory: 64Mi\n".into(),
            after: format!("memory: {to}\n"),
        }],
        failure: FailureId("oom-killed"),
        workloads: vec![web()],
    })
}

fn issue(fp: &str, workloads: &[&str]) -> Request {
    Request::Issue(Issue {
        fingerprint: Fingerprint(fp.to_owned()),
        title: format!("Needs a person: {}", workloads.join(", ")),
        body: format!("<!-- kubecure:begin -->\n{fp}\n<!-- kubecure:end -->\n"),
        labels: vec!["kubecure".to_owned()],
        failure: FailureId("image-registry-unreachable"),
        workloads: workloads.iter().map(|name| ObjectRef::new("apps/v1", "Deployment", Some("shop"), name)).collect(),
    })
}

const A: &str = "aaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbb";

/// Every file of the forge and every ref of its repository, byte for byte.
fn state(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(at: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else {
                into.insert(path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(dir, &mut all);
    all
}

fn edit(dir: &Path, path: &str, from: &str, to: &str) {
    let at = dir.join("forge").join(path);
    let text = fs::read_to_string(&at).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(at, text.replace(from, to)).unwrap();
}

fn why(receipt: Receipt) -> String {
    match receipt {
        Receipt::Exists { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

/// A commit by a person on top of a branch; on main it is a merge by hand.
fn person_commits(dir: &Path, branch: &str, message: &str) {
    let repo = git2::Repository::open_bare(dir.join("forge/repo.git")).unwrap();
    let ada = git2::Signature::new("Ada", "ada@example.com", &git2::Time::new(1_700_000_000, 0)).unwrap();
    let parent = repo.find_reference(&format!("refs/heads/{branch}")).unwrap().peel_to_commit().unwrap();
    let tree = parent.tree().unwrap();
    repo.commit(Some(&format!("refs/heads/{branch}")), &ada, &ada, message, &tree, &[&parent]).unwrap();
}

#[test]
fn publishing_twice_opens_once_and_rewrites_nothing() {
    let (dir, forge) = forge();
    let opened = forge.publish(&pull(A, "128Mi")).unwrap();
    let link = format!("{}/forge/pulls/1.md", dir.path().display());
    assert_eq!(opened, Receipt::Opened { kind: EntryKind::PullRequest, number: 1, link });
    let before = state(dir.path());
    let later = LocalForge::open(&dir.path().join("forge"), None, now() + jiff::SignedDuration::from_hours(1)).unwrap();
    assert_eq!(why(later.publish(&pull(A, "128Mi")).unwrap()), "it is open already, and nothing has changed");
    assert_eq!(state(dir.path()), before);
    let history = forge.history().unwrap();
    assert_eq!((history.entries.len(), history.entries[0].state), (1, EntryState::Open));
    assert_eq!(history.entries[0].workloads, ["Deployment shop/web"]);
}

#[test]
fn an_open_one_is_updated_in_place_and_keeps_what_a_person_wrote() {
    let (dir, forge) = forge();
    forge.publish(&pull(A, "128Mi")).unwrap();
    edit(dir.path(), "pulls/1.md", "<!-- kubecure:end -->\n", "<!-- kubecure:end -->\nSeen by Ada.\n");
    assert!(matches!(forge.publish(&pull(A, "256Mi")).unwrap(), Receipt::Updated { number: 1, .. }));
    let text = fs::read_to_string(dir.path().join("forge/pulls/1.md")).unwrap();
    assert!(
        text.contains("raises to 256Mi")
            && text.contains("Seen by Ada.")
            && text.contains("title: \"shop/web: raise to 256Mi\""),
        "{text}"
    );
    let read = forge.repo().manifests(Some("kubecure/shop/web/oom-killed-aaaaaaaa"), "").unwrap();
    assert_eq!(&*read.files["web.yaml"], "memory: 256Mi\n");
    let head = forge.repo().tip("kubecure/shop/web/oom-killed-aaaaaaaa").unwrap().unwrap().to_string();
    assert!(text.contains(&head), "{text}");
}

#[test]
fn what_a_person_closed_is_not_offered_again() {
    let (dir, forge) = forge();
    forge.publish(&pull(A, "128Mi")).unwrap();
    edit(dir.path(), "pulls/1.md", "state: open", "state: closed");
    let before = state(dir.path());
    assert_eq!(why(forge.publish(&pull(A, "256Mi")).unwrap()), "#1 was closed by a person; not offered again");
    assert_eq!(state(dir.path()), before);
    // The line has another value now: another fingerprint, another pull request.
    assert!(matches!(forge.publish(&pull(B, "128Mi")).unwrap(), Receipt::Opened { number: 2, .. }));
}

#[test]
fn a_deleted_branch_is_a_closed_pull_request() {
    let (dir, forge) = forge();
    forge.publish(&pull(A, "128Mi")).unwrap();
    let repo = git2::Repository::open_bare(dir.path().join("forge/repo.git")).unwrap();
    repo.find_reference("refs/heads/kubecure/shop/web/oom-killed-aaaaaaaa").unwrap().delete().unwrap();
    assert!(why(forge.publish(&pull(A, "128Mi")).unwrap()).contains("closed by a person"));
}

#[test]
fn a_persons_commit_on_the_branch_means_hands_off() {
    let (dir, forge) = forge();
    forge.publish(&pull(A, "128Mi")).unwrap();
    person_commits(dir.path(), "kubecure/shop/web/oom-killed-aaaaaaaa", "rather this");
    let before = state(dir.path());
    let said = why(forge.publish(&pull(A, "256Mi")).unwrap());
    assert!(said.starts_with("the branch has a commit, ") && said.ends_with(" by Ada: hands off"), "{said}");
    assert_eq!(state(dir.path()), before);
    assert!(forge.history().unwrap().entries[0].foreign_commit.is_some());
}

#[test]
fn a_branch_of_somebody_else_is_refused() {
    let (dir, forge) = forge();
    let repo = git2::Repository::open_bare(dir.path().join("forge/repo.git")).unwrap();
    let main = repo.find_reference("refs/heads/main").unwrap().target().unwrap();
    repo.reference("refs/heads/kubecure/shop/web/oom-killed-aaaaaaaa", main, false, "").unwrap();
    person_commits(dir.path(), "kubecure/shop/web/oom-killed-aaaaaaaa", "mine\n\nKubeCure-Fix: aaaaaaaaaaaaaaaa\n");
    let error = forge.publish(&pull(A, "128Mi")).unwrap_err().to_string();
    assert!(error.contains("has a commit by Ada"), "{error}");
    assert!(!dir.path().join("forge/pulls").exists());
}

#[test]
fn one_open_pull_request_for_a_workload() {
    let (_dir, forge) = forge();
    forge.publish(&pull(A, "128Mi")).unwrap();
    assert_eq!(why(forge.publish(&pull(B, "256Mi")).unwrap()), "#1 for Deployment shop/web is open; one at a time");
}

#[test]
fn a_squash_merge_is_seen_and_ends_it() {
    let (dir, forge) = forge();
    forge.publish(&pull(A, "128Mi")).unwrap();
    person_commits(dir.path(), "main", "Raise (#1)\n\n* x\n\nKubeCure-Fix: aaaaaaaaaaaaaaaa\n");
    assert_eq!(forge.history().unwrap().entries[0].state, EntryState::Merged);
    assert!(why(forge.publish(&pull(A, "128Mi")).unwrap()).contains("was merged"));
}

#[test]
fn a_pull_request_closes_the_issue_that_it_answers_and_only_that() {
    let (dir, forge) = forge();
    let about = |failure, fingerprint| {
        let Request::Issue(issue) = issue(fingerprint, &["web"]) else { unreachable!() };
        Request::Issue(Issue { failure: FailureId(failure), ..issue })
    };
    forge.publish(&about("oom-killed", A)).unwrap();
    forge.publish(&about("probe-failing", B)).unwrap();
    assert!(matches!(forge.publish(&pull(A, "128Mi")).unwrap(), Receipt::Opened { number: 3, .. }));
    let page = |number| fs::read_to_string(dir.path().join(format!("forge/issues/{number}.md"))).unwrap();
    assert!(page(1).contains("state: \"closed\"\n") && page(1).contains("pulls/3.md"), "{}", page(1));
    assert!(page(2).contains("state: open"), "{}", page(2));
    // No person closed it: when the failure asks for one again, there is one.
    assert!(matches!(forge.publish(&about("oom-killed", A)).unwrap(), Receipt::Opened { number: 4, .. }));
}

#[test]
fn a_workload_that_joins_a_group_joins_its_issue() {
    let (dir, forge) = forge();
    assert!(matches!(
        forge.publish(&issue(A, &["ads", "fraud"])).unwrap(),
        Receipt::Opened { kind: EntryKind::Issue, number: 1, .. }
    ));
    let before = state(dir.path());
    why(forge.publish(&issue(A, &["ads", "fraud"])).unwrap());
    assert_eq!(state(dir.path()), before);
    assert!(matches!(forge.publish(&issue(B, &["ads", "fraud", "risk"])).unwrap(), Receipt::Updated { number: 1, .. }));
    assert_eq!(forge.history().unwrap().entries[0].workloads.len(), 3);
    edit(dir.path(), "issues/1.md", "state: open", "state: closed");
    assert!(why(forge.publish(&issue(B, &["ads", "fraud", "risk"])).unwrap()).contains("closed by a person"));
    // Numbers are shared.
    assert!(matches!(forge.publish(&pull(A, "128Mi")).unwrap(), Receipt::Opened { number: 2, .. }));
}

#[test]
fn a_broken_page_is_named_and_never_written_over() {
    let (dir, forge) = forge();
    forge.publish(&pull(A, "128Mi")).unwrap();
    edit(dir.path(), "pulls/1.md", "state: open", "state: [closed");
    let before = state(dir.path());
    for error in [forge.publish(&pull(B, "128Mi")).unwrap_err(), forge.history().unwrap_err()] {
        let error = error.to_string();
        assert!(error.contains("pulls/1.md") && error.contains("Hint: repair"), "{error}");
    }
    assert_eq!(state(dir.path()), before);
}

#[test]
fn a_stale_proposal_is_refused_and_opens_nothing() {
    let (dir, forge) = forge();
    let Request::PullRequest(mut request) = pull(A, "128Mi") else { panic!() };
    request.files[0].before = "memory: 32Mi\n".into();
    let error = forge.publish(&Request::PullRequest(request)).unwrap_err().to_string();
    assert!(error.contains("is not the file that was read"), "{error}");
    assert!(!dir.path().join("forge/pulls").exists());
}

#[test]
fn many_at_once_get_a_number_each_and_one_request_opens_once() {
    let (dir, forge) = forge();
    drop(forge);
    let at = dir.path().join("forge");
    std::thread::scope(|scope| {
        for i in 0..8 {
            let at = &at;
            scope.spawn(move || {
                let forge = LocalForge::open(at, None, now()).unwrap();
                forge.publish(&pull(A, "128Mi")).unwrap();
                forge.publish(&issue(&format!("{i:016}"), &[&format!("w{i}")])).unwrap();
            });
        }
    });
    let forge = LocalForge::open(&at, None, now()).unwrap();
    let mut numbers: Vec<u64> = forge.history().unwrap().entries.iter().map(|entry| entry.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=9).collect::<Vec<_>>());
}

#[test]
fn a_forge_needs_something_to_begin_with_and_a_folder_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let error = LocalForge::open(&dir.path().join("none"), None, now()).err().unwrap().to_string();
    assert!(error.contains("holds no repository") && error.contains("Hint:"), "{error}");
    assert!(!dir.path().join("none").exists());
    git2::Repository::init(dir.path()).unwrap();
    let error = LocalForge::open(dir.path(), None, now()).err().unwrap().to_string();
    assert!(error.contains("is a work tree"), "{error}");
    // A bare repository is a forge by itself.
    let (dir, _forge) = forge();
    let bare = LocalForge::open(&dir.path().join("forge/repo.git"), None, now()).unwrap();
    assert!(matches!(bare.publish(&pull(A, "128Mi")).unwrap(), Receipt::Opened { number: 1, .. }));
}
