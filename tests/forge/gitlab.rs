//! GitLab, as its documentation has it: what it is asked, and how it refuses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kubecure::adapters::forge::address::{Address, Kind};
use kubecure::adapters::forge::connect;
use kubecure::adapters::git::remote::{Access, Depth, Door, Limits, Remote};
use kubecure::adapters::ground::{Plan, RemoteBase};
use kubecure::case::{EntryState, Receipt, RepoUrl, Request};
use serde_json::{Value, json};

use crate::bed::{A, Controller, WEB, access, git, issue, manner, pull, pull_for, why};
use crate::recorder::{Asked, Recorder, Reply};

const TOKEN: &str = "glpat-PLANTED0123456789secret";
const AT: &str = "/api/v4/projects/group%2Fsub%2Fshop";

#[derive(Default)]
struct State {
    requests: Vec<Value>,
    issues: Vec<Value>,
    notes: Vec<String>,
    instead: Option<Reply>,
}

fn answer(state: &Mutex<State>, asked: &Asked) -> Reply {
    let mut state = state.lock().unwrap();
    let path = asked.path.strip_prefix(AT).unwrap_or(&asked.path).trim_start_matches('/').to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    if asked.method == "POST"
        && parts == ["merge_requests"]
        && let Some(reply) = state.instead.take()
    {
        return reply;
    }
    let is_labelled =
        |page: &Value| page["labels"].as_str().unwrap_or_default().split(',').any(|label| label == "kubecure");
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["merge_requests"]) => {
            let word = |key: &str| asked.query.get(key).map(|value| value.replace("%2F", "/"));
            let is_meant = |one: &&Value| {
                (word("state").as_deref() == Some("all") || one["state"] == "opened")
                    && word("source_branch").is_none_or(|branch| one["source_branch"] == branch)
                    && word("target_branch").is_none_or(|branch| one["target_branch"] == branch)
                    && (word("labels").is_none() || is_labelled(one))
            };
            Reply::new(200, state.requests.iter().filter(is_meant).cloned().collect::<Vec<_>>().into())
        }
        ("POST", ["merge_requests"]) => {
            let mut made = asked.body.clone();
            (made["iid"], made["state"]) = ((state.requests.len() + 1).into(), "opened".into());
            (made["source_project_id"], made["target_project_id"]) = (3.into(), 3.into());
            made["draft"] = made["title"].as_str().unwrap().starts_with("Draft:").into();
            made["created_at"] = "2026-11-27T10:00:00.000+01:00".into();
            state.requests.push(made.clone());
            Reply::new(201, made)
        }
        ("GET", ["issues"]) => {
            Reply::new(200, state.issues.iter().filter(|one| is_labelled(one)).cloned().collect::<Vec<_>>().into())
        }
        ("POST", ["issues"]) => {
            let mut made = asked.body.clone();
            (made["iid"], made["state"]) = ((state.issues.len() + 1).into(), "opened".into());
            state.issues.push(made.clone());
            Reply::new(201, made)
        }
        ("PUT", [kind, number]) => {
            let number: usize = number.parse().unwrap();
            let pages = if *kind == "issues" { &mut state.issues } else { &mut state.requests };
            for (key, value) in asked.body.as_object().unwrap() {
                let (key, value) =
                    if key == "state_event" { ("state", json!("closed")) } else { (key.as_str(), value.clone()) };
                pages[number - 1][key] = value;
            }
            Reply::new(200, pages[number - 1].clone())
        }
        ("POST", [_, _, "notes"]) => {
            state.notes.push(asked.body["body"].as_str().unwrap().to_owned());
            Reply::new(201, json!({}))
        }
        ("GET", ["api", "v4", "users"]) => Reply::new(200, json!([{"id": 7, "username": "ada"}])),
        _ => Reply::new(404, json!({"message": "404 Not found"})),
    }
}

fn bed() -> (Recorder, Arc<Mutex<State>>, Controller, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q", "--bare", "-b", "main", "shop.git"]);
    git(folder.path(), &["init", "-q", "-b", "main", "work"]);
    let (work, server) = (folder.path().join("work"), folder.path().join("shop.git"));
    std::fs::write(work.join("web.yaml"), WEB).unwrap();
    git(&work, &["add", "-A"]);
    git(&work, &["commit", "-q", "-m", "first"]);
    git(&work, &["push", "-q", server.to_str().unwrap(), "main"]);
    let state = Arc::new(Mutex::new(State::default()));
    let answering = state.clone();
    let recorder = Recorder::start(move |asked| answer(&answering, asked));
    let repo = RepoUrl::parse(&format!("{}/group/sub/shop.git", recorder.url)).unwrap();
    let address = Address::new(Kind::Gitlab, None, &repo).unwrap();
    let hosted = connect(&address, Door::new(access(TOKEN), Limits::default()), manner());
    let url = RepoUrl::parse(&format!("file://{}", server.display())).unwrap();
    let plan = Plan { base: None, depth: Depth(0), every: Duration::from_secs(3600) };
    let clones = tempfile::tempdir().unwrap();
    let base = RemoteBase::start(Remote::new(url, Access::default(), Limits::default()), plan, clones.path());
    (recorder, state, Controller::new(base.unwrap().on(hosted), clones), folder)
}

#[test]
fn a_merge_request_lives_as_a_pull_request_does() {
    let (recorder, state, controller, _folder) = bed();
    assert!(matches!(controller.publish(&issue("bbbbbbbbbbbbbbbb", &["web"])), Receipt::Opened { number: 1, .. }));
    let mut request = pull_for("web", A, "128Mi");
    (request.draft, request.reviewers) = (true, vec!["ada".to_owned()]);
    let receipt = controller.publish(&Request::PullRequest(request.clone()));
    let Receipt::Opened { number: 1, link, .. } = &receipt else { panic!("{receipt:?}") };
    assert_eq!(*link, format!("{}/group/sub/shop/-/merge_requests/1", recorder.url));
    {
        let state = state.lock().unwrap();
        assert_eq!(state.requests[0]["title"], "Draft: web: raise the memory limit to 128Mi");
        assert_eq!(state.requests[0]["labels"], "kubecure,kubecure/oom-killed");
        assert_eq!(state.requests[0]["reviewer_ids"], json!([7]));
        assert_eq!(state.issues[0]["state"], "closed");
        assert!(state.notes[0].contains("/-/merge_requests/1"));
    }
    for asked in recorder.asked() {
        assert_eq!(asked.headers["private-token"], TOKEN);
        assert!(!asked.headers.contains_key("authorization"));
    }
    assert!(why(&controller.publish(&Request::PullRequest(request))).contains("nothing has changed"));
    assert!(matches!(controller.publish(&pull(A, "256Mi")), Receipt::Updated { number: 1, .. }));
    assert_eq!(state.lock().unwrap().requests[0]["title"], "Draft: web: raise the memory limit to 256Mi");
    state.lock().unwrap().requests[0]["state"] = "closed".into();
    assert!(why(&controller.publish(&pull(A, "128Mi"))).contains("closed by a person"));
    let entries = controller.history().entries;
    assert_eq!((entries.len(), entries[0].state), (1, EntryState::Closed));
}

#[test]
fn what_gitlab_refuses_is_told_and_not_repeated() {
    let (recorder, state, controller, _folder) = bed();
    let said = json!({"message": ["Another open merge request already exists for this source branch: !5"]});
    state.lock().unwrap().instead = Some(Reply::new(409, said));
    let error = format!("{:#}", controller.try_publish(&pull(A, "128Mi")).unwrap_err());
    assert!(error.contains("already exists for this source branch: !5"), "{error}");
    state.lock().unwrap().instead = Some(Reply::new(429, Value::Null).with("retry-after", "90"));
    let error = format!("{:#}", controller.try_publish(&pull(A, "128Mi")).unwrap_err());
    assert!(error.contains("limits how often") && !error.contains(TOKEN), "{error}");
    assert_eq!(recorder.count("POST", "/merge_requests"), 2);
    assert!(state.lock().unwrap().requests.is_empty());
}
