//! GitHub, as its published description has it: every request is judged by that, every answer is made of its examples.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kubecure::adapters::forge::address::{Address, Kind};
use kubecure::adapters::forge::connect;
use kubecure::adapters::forge::github::app::App;
use kubecure::adapters::git::remote::{Access, Depth, Door, Limits, Minted, Remote};
use kubecure::adapters::ground::{Plan, RemoteBase};
use kubecure::case::{EntryState, Receipt, RepoUrl, Request};
use serde_json::{Value, json};

use crate::bed::{A, Controller, WEB, access, git, issue, manner, pull, pull_for, why};
use crate::openapi::{Description, github};
use crate::recorder::{Asked, Recorder, Reply};

const TOKEN: &str = "ghp_PLANTED0123456789abcdefABCDEF012345";
const BASE: &str = "/api/v3";

/// What happens instead of the usual, once.
type Instead = Box<dyn Fn(&Asked) -> Option<Reply> + Send>;

/// What a GitHub remembers.
struct State {
    description: &'static Description,
    bare: PathBuf,
    pulls: Vec<Value>,
    issues: Vec<Value>,
    labels: Vec<String>,
    comments: Vec<String>,
    tokens: usize,
    instead: Option<Instead>,
    /// What GitHub would not have taken.
    wrong: Vec<String>,
}

struct Bed {
    recorder: Recorder,
    state: Arc<Mutex<State>>,
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Option<Self> {
        let description = github()?;
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("shop.git");
        let work = folder.path().join("work");
        git(folder.path(), &["init", "-q", "--bare", "-b", "main", "shop.git"]);
        git(folder.path(), &["init", "-q", "-b", "main", "work"]);
        std::fs::write(work.join("web.yaml"), WEB).unwrap();
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "-m", "first"]);
        git(&work, &["push", "-q", bare.to_str().unwrap(), "main"]);
        let state = State {
            description,
            bare,
            pulls: Vec::new(),
            issues: Vec::new(),
            labels: Vec::new(),
            comments: Vec::new(),
            tokens: 0,
            instead: None,
            wrong: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let answering = state.clone();
        let recorder = Recorder::start(move |asked| answering.lock().unwrap().answer(asked));
        Some(Self { recorder, state, folder })
    }

    fn controller(&self) -> Controller {
        self.controller_with(&access(TOKEN))
    }

    fn address(&self) -> Address {
        let repo = RepoUrl::parse(&format!("{}/octo/shop.git", self.recorder.url)).unwrap();
        Address::new(Kind::Github, None, &repo).unwrap()
    }

    fn controller_with(&self, access: &Access) -> Controller {
        let hosted = connect(&self.address(), Door::new(access.clone(), Limits::default()), manner());
        let url = RepoUrl::parse(&format!("file://{}", self.state.lock().unwrap().bare.display())).unwrap();
        let plan = Plan { base: None, depth: Depth(0), every: Duration::from_secs(3600) };
        let clones = tempfile::tempdir().unwrap();
        let base = RemoteBase::start(Remote::new(url, Access::default(), Limits::default()), plan, clones.path());
        Controller::new(base.unwrap().on(hosted), clones)
    }

    fn instead(&self, instead: impl Fn(&Asked) -> Option<Reply> + Send + 'static) {
        self.state.lock().unwrap().instead = Some(Box::new(instead));
    }

    fn bare(&self, words: &[&str]) -> String {
        git(&self.folder.path().join("shop.git"), words)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.state.lock().unwrap().wrong, Vec::<String>::new());
        }
    }
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Reply {
        if !asked.path.ends_with("/graphql")
            && let Err(why) = self.description.judge(asked, BASE)
        {
            println!("wrong: {why}: {} {}", asked.method, asked.path);
            self.wrong.push(why);
        }
        if let Some(instead) = &self.instead
            && let Some(reply) = instead(asked)
        {
            if reply.status == 599 {
                // It takes effect, and a proxy says that it did not.
                self.usual(asked);
                self.instead = None;
                return Reply::new(502, json!({"message": "Bad Gateway"}));
            }
            return reply;
        }
        self.usual(asked)
    }

    fn usual(&mut self, asked: &Asked) -> Reply {
        let path = asked.path.strip_prefix("/api/").unwrap_or_default();
        let path = path.strip_prefix("v3/").unwrap_or(path);
        let path = path.strip_prefix("repos/octo/shop").unwrap_or(path);
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", []) => Reply::new(
                200,
                json!({"node_id": "R_1", "archived": false, "has_issues": true, "permissions": {"push": true}}),
            ),
            ("GET", ["pulls"]) => Reply::new(200, self.list(asked).into()),
            ("POST", ["pulls"]) => self.open(asked),
            ("GET", ["issues"]) => Reply::new(200, self.labelled().into()),
            ("POST", ["issues"]) => self.open_issue(asked),
            ("PATCH", ["pulls" | "issues", number]) => self.edit(number, &asked.body),
            ("GET", ["labels"]) => {
                Reply::new(200, self.labels.iter().map(|name| json!({"name": name})).collect::<Vec<_>>().into())
            }
            ("POST", ["labels"]) => {
                self.labels.push(asked.body["name"].as_str().unwrap().to_owned());
                Reply::new(201, asked.body.clone())
            }
            ("POST", ["issues", number, "labels"]) => {
                let page = self.page(number).unwrap();
                page["labels"] = asked.body["labels"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|name| json!({"name": name}))
                    .collect::<Vec<_>>()
                    .into();
                Reply::new(200, json!([]))
            }
            ("GET", ["issues", _, "comments"]) => {
                Reply::new(200, self.comments.iter().map(|body| json!({"body": body})).collect::<Vec<_>>().into())
            }
            ("POST", ["issues", _, "comments"]) => {
                self.comments.push(asked.body["body"].as_str().unwrap().to_owned());
                Reply::new(201, json!({}))
            }
            ("POST", ["pulls", _, "requested_reviewers"]) => Reply::new(201, json!({})),
            ("GET", ["installation"]) => Reply::new(200, self.description.example("installation")),
            ("POST", ["app", "installations", _, "access_tokens"]) => {
                self.tokens += 1;
                let mut token = self.description.example("installation-token");
                token["token"] = TOKEN.into();
                token["expires_at"] = "2099-01-01T00:00:00Z".into();
                Reply::new(201, token)
            }
            ("POST", ["git", "refs"]) => {
                let (name, sha) = (asked.body["ref"].as_str().unwrap(), asked.body["sha"].as_str().unwrap());
                if self.move_ref(name, sha, "0000000000000000000000000000000000000000") {
                    Reply::new(201, json!({}))
                } else {
                    Reply::new(422, json!({"message": "Reference already exists", "status": "422"}))
                }
            }
            ("POST", ["graphql"]) => self.graphql(&asked.body),
            _ => Reply::new(
                404,
                json!({"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"}),
            ),
        }
    }

    fn page(&mut self, number: &str) -> Option<&mut Value> {
        let number: u64 = number.parse().unwrap();
        self.pulls.iter_mut().chain(&mut self.issues).find(|page| page["number"] == number)
    }

    fn list(&self, asked: &Asked) -> Vec<Value> {
        let head = asked.query.get("head").map(|head| head.replace("%2F", "/").replace("octo:", ""));
        let is_meant = |pull: &&Value| {
            (asked.query["state"] == "all" || pull["state"] == "open")
                && head.as_ref().is_none_or(|head| pull["head"]["ref"] == **head)
        };
        self.pulls.iter().filter(is_meant).cloned().collect()
    }

    fn labelled(&self) -> Vec<Value> {
        let has_it = |page: &&Value| page["labels"].as_array().unwrap().iter().any(|label| label["name"] == "kubecure");
        let pulls = self.pulls.iter().filter(has_it).map(|pull| {
            let mut issue = pull.clone();
            issue["pull_request"] = json!({"merged_at": pull["merged_at"]});
            issue
        });
        self.issues.iter().filter(has_it).cloned().chain(pulls).collect()
    }

    fn open(&mut self, asked: &Asked) -> Reply {
        let head = &asked.body["head"];
        if self.pulls.iter().any(|pull| pull["state"] == "open" && pull["head"]["ref"] == *head) {
            let said = format!("A pull request already exists for octo:{}.", head.as_str().unwrap());
            let error = json!({"resource": "PullRequest", "code": "custom", "message": said});
            return Reply::new(422, json!({"message": "Validation Failed", "errors": [error]}));
        }
        let mut pull = self.description.example("pull-request");
        for (key, value) in asked.body.as_object().unwrap() {
            if !matches!(key.as_str(), "head" | "base") {
                pull[key] = value.clone();
            }
        }
        (pull["number"], pull["state"]) = ((self.pulls.len() + self.issues.len() + 1).into(), "open".into());
        (pull["merged_at"], pull["labels"]) = (Value::Null, json!([]));
        (pull["head"]["ref"], pull["base"]["ref"]) = (head.clone(), asked.body["base"].clone());
        self.pulls.push(pull.clone());
        Reply::new(201, pull)
    }

    fn open_issue(&mut self, asked: &Asked) -> Reply {
        let mut made = self.description.example("issue");
        for key in ["title", "body"] {
            made[key] = asked.body[key].clone();
        }
        made["labels"] = asked.body["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| json!({"name": name}))
            .collect::<Vec<_>>()
            .into();
        (made["number"], made["state"]) = ((self.pulls.len() + self.issues.len() + 1).into(), "open".into());
        made.as_object_mut().unwrap().shift_remove("pull_request");
        self.issues.push(made.clone());
        Reply::new(201, made)
    }

    fn edit(&mut self, number: &str, body: &Value) -> Reply {
        let Some(page) = self.page(number) else { return Reply::new(404, json!({"message": "Not Found"})) };
        for (key, value) in body.as_object().unwrap() {
            page[key] = value.clone();
        }
        Reply::new(200, page.clone())
    }

    fn move_ref(&self, name: &str, to: &str, from: &str) -> bool {
        let mut command = std::process::Command::new("git");
        command.current_dir(&self.bare).args(["update-ref", name, to, from]).stderr(std::process::Stdio::null());
        command.status().unwrap().success()
    }

    fn graphql(&self, body: &Value) -> Reply {
        let input = &body["variables"]["input"];
        let stale = Reply::new(
            200,
            json!({"data": null, "errors": [{"type": "STALE_DATA", "message": "Expected branch to point to another commit but it did not."}]}),
        );
        if body["query"].as_str().unwrap().contains("updateRefs") {
            for update in input["refUpdates"].as_array().unwrap() {
                let word = |key: &str| update[key].as_str().unwrap();
                if !self.move_ref(word("name"), word("afterOid"), word("beforeOid")) {
                    return stale;
                }
            }
            return Reply::new(200, json!({"data": {"updateRefs": {"clientMutationId": null}}}));
        }
        assert!(input["fileChanges"].get("deletions").is_none(), "an empty list breaks the resolver");
        let head = input["expectedHeadOid"].as_str().unwrap();
        let branch = format!("refs/heads/{}", input["branch"]["branchName"].as_str().unwrap());
        let oid = self.commit(head, input);
        if !self.move_ref(&branch, &oid, head) {
            return stale;
        }
        Reply::new(200, json!({"data": {"createCommitOnBranch": {"commit": {"oid": oid}}}}))
    }

    /// As GitHub makes one for an App.
    fn commit(&self, head: &str, input: &Value) -> String {
        use base64::Engine;
        let repo = git2::Repository::open(&self.bare).unwrap();
        let parent = repo.find_commit(git2::Oid::from_str(head).unwrap()).unwrap();
        let mut update = git2::build::TreeUpdateBuilder::new();
        for file in input["fileChanges"]["additions"].as_array().unwrap() {
            let text = base64::engine::general_purpose::STANDARD.decode(file["contents"].as_str().unwrap()).unwrap();
            update.upsert(file["path"].as_str().unwrap(), repo.blob(&text).unwrap(), git2::FileMode::Blob);
        }
        let tree = update.create_updated(&repo, &parent.tree().unwrap()).unwrap();
        let tree = repo.find_tree(tree).unwrap();
        let author = git2::Signature::now("kubecure[bot]", "41+kubecure[bot]@users.noreply.github.com").unwrap();
        let committer = git2::Signature::now("GitHub", "noreply@github.com").unwrap();
        let word = |key: &str| input["message"][key].as_str().unwrap();
        let message = format!("{}\n\n{}", word("headline"), word("body"));
        repo.commit(None, &author, &committer, &message, &tree, &[&parent]).unwrap().to_string()
    }
}

#[test]
fn a_pull_request_lives_through_requests_that_github_knows() {
    let Some(bed) = Bed::new() else { return };
    let controller = bed.controller();
    let mut request = pull_for("web", A, "128Mi");
    (request.draft, request.reviewers) = (true, vec!["ada".to_owned(), "octo/platform".to_owned()]);
    let receipt = controller.publish(&Request::PullRequest(request.clone()));
    let Receipt::Opened { number: 1, link, .. } = &receipt else { panic!("{receipt:?}") };
    assert_eq!(*link, format!("{}/octo/shop/pull/1", bed.recorder.url));
    {
        let state = bed.state.lock().unwrap();
        assert_eq!(state.labels, ["kubecure", "kubecure/oom-killed"]);
        assert_eq!((&state.pulls[0]["draft"], state.pulls[0]["labels"].as_array().unwrap().len()), (&json!(true), 2));
    }
    let reviewers = bed.recorder.asked().into_iter().find(|asked| asked.is("POST", "/requested_reviewers")).unwrap();
    assert_eq!(reviewers.body, json!({"reviewers": ["ada"], "team_reviewers": ["platform"]}));
    for asked in bed.recorder.asked() {
        assert_eq!(asked.headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(asked.headers["x-github-api-version"], "2022-11-28");
        assert!(!asked.path.contains(TOKEN) && !asked.query.values().any(|value| value.contains(TOKEN)));
    }
    bed.recorder.forget();
    assert!(why(&controller.publish(&Request::PullRequest(request))).contains("nothing has changed"));
    assert!(bed.recorder.asked().iter().all(|asked| asked.method == "GET"));
    assert!(matches!(controller.publish(&pull(A, "256Mi")), Receipt::Updated { number: 1, .. }));
    assert!(bed.state.lock().unwrap().pulls[0]["body"].as_str().unwrap().contains("256Mi"));
    bed.state.lock().unwrap().pulls[0]["state"] = "closed".into();
    assert!(why(&bed.controller().publish(&pull(A, "128Mi"))).contains("closed by a person"));
    assert_eq!(controller.history().entries[0].state, EntryState::Closed);
}

#[test]
fn an_issue_is_answered_by_its_pull_request() {
    let Some(bed) = Bed::new() else { return };
    let controller = bed.controller();
    assert!(matches!(controller.publish(&issue("bbbbbbbbbbbbbbbb", &["web"])), Receipt::Opened { number: 1, .. }));
    assert!(why(&controller.publish(&issue("bbbbbbbbbbbbbbbb", &["web"]))).contains("nothing has changed"));
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { number: 2, .. }));
    let state = bed.state.lock().unwrap();
    assert_eq!(state.issues[0]["state"], "closed");
    assert!(state.comments[0].contains("/octo/shop/pull/2"));
}

#[test]
fn what_github_says_when_it_fails_doubles_nothing() {
    let Some(bed) = Bed::new() else { return };
    let controller = bed.controller();
    // 502 after the POST took effect.
    bed.instead(|asked| asked.is("POST", "/pulls").then(|| Reply::new(599, Value::Null)));
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    assert_eq!((bed.recorder.count("POST", "/pulls"), bed.state.lock().unwrap().pulls.len()), (1, 1));
    // Another one opened it between the look and the POST.
    let taken = json!({"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom", "message": "A pull request already exists for octo:x."}]});
    bed.instead(move |asked| asked.is("POST", "/pulls").then(|| Reply::new(422, taken.clone())));
    let error = format!(
        "{:#}",
        controller.try_publish(&Request::PullRequest(pull_for("ads", "bbbbbbbbbbbbbbbb", "128Mi"))).unwrap_err()
    );
    assert!(error.contains("has one already"), "{error}");
    assert_eq!(bed.state.lock().unwrap().pulls.len(), 1);
}

#[test]
fn a_secondary_limit_is_honoured_and_nothing_is_asked_meanwhile() {
    let Some(bed) = Bed::new() else { return };
    let controller = bed.controller();
    let said =
        json!({"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."});
    bed.instead(move |asked| {
        (asked.method == "POST").then(|| Reply::new(403, said.clone()).with("retry-after", "120"))
    });
    let error = format!("{:#}", controller.try_publish(&pull(A, "128Mi")).unwrap_err());
    assert!(error.contains("limits how often it is asked"), "{error}");
    assert_eq!(bed.recorder.asked().iter().filter(|asked| asked.method == "POST").count(), 1, "a POST is not repeated");
    bed.recorder.forget();
    bed.state.lock().unwrap().instead = None;
    assert!(controller.try_publish(&pull(A, "128Mi")).is_err());
    assert!(bed.recorder.asked().is_empty());
}

#[test]
fn what_did_not_change_is_answered_from_memory() {
    let Some(bed) = Bed::new() else { return };
    let controller = bed.controller();
    let list = json!([]);
    bed.instead(move |asked| {
        asked.is("GET", "/issues").then(|| match asked.headers.get("if-none-match").map(String::as_str) {
            Some("\"v1\"") => Reply::new(304, Value::Null),
            _ => Reply::new(200, list.clone()).with("etag", "\"v1\""),
        })
    });
    controller.history();
    controller.history();
    let tags: Vec<_> = bed
        .recorder
        .asked()
        .iter()
        .filter(|asked| asked.is("GET", "/issues"))
        .map(|asked| asked.headers.get("if-none-match").cloned())
        .collect();
    assert_eq!(tags, [None, Some("\"v1\"".to_owned())]);
}

#[test]
fn a_renamed_repository_is_followed_within_its_host_and_no_further() {
    let Some(bed) = Bed::new() else { return };
    let controller = bed.controller();
    bed.instead(|asked| {
        asked.is("GET", "/octo/shop/issues").then(|| {
            Reply::new(301, json!({"message": "Moved Permanently"}))
                .with("location", "/api/v3/repositories/1/issues?state=all&labels=kubecure&per_page=100")
        })
    });
    // The fake knows no such path; GitHub's own answer would be the list.
    assert!(controller.forge().history().is_err());
    assert!(bed.recorder.asked().iter().any(|asked| asked.path.ends_with("/repositories/1/issues")));
    bed.state.lock().unwrap().wrong.clear();
    let elsewhere = Recorder::start(|_| Reply::new(200, json!([])));
    let to = format!("{}/api/v3/x", elsewhere.url);
    bed.instead(move |asked| {
        asked.is("GET", "/issues").then(|| Reply::new(301, Value::Null).with("location", to.clone()))
    });
    let error = format!("{:#}", controller.forge().history().unwrap_err());
    assert!(error.contains("where no token is sent"), "{error}");
    assert!(elsewhere.asked().is_empty());
}

/// The access of an App with a key of its own.
fn app(bed: &Bed) -> Access {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let file = bed.folder.path().join("key.pem");
    std::fs::write(&file, key).unwrap();
    let app = App::new(41, file, None, bed.address(), Door::new(Access::default(), Limits::default()));
    Access { minted: Some(Minted(Arc::new(move || app.token()))), ..Access::default() }
}

#[test]
fn an_app_makes_its_token_once_and_github_makes_its_commits() {
    let Some(bed) = Bed::new() else { return };
    let controller = bed.controller_with(&app(&bed));
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    assert_eq!(bed.state.lock().unwrap().tokens, 1);
    let branch = "kubecure/shop/web/oom-killed-aaaaaaaa";
    assert_eq!(
        bed.bare(&["log", "-1", "--format=%ce %ae", branch]),
        "noreply@github.com 41+kubecure[bot]@users.noreply.github.com"
    );
    assert_eq!(bed.bare(&["rev-list", "--count", &format!("main..{branch}")]), "1");
    assert!(why(&controller.publish(&pull(A, "128Mi"))).contains("nothing has changed"), "it knows its own commit");
    // Rebuilt beside the branch, which moves in one step and is never empty.
    assert!(matches!(controller.publish(&pull(A, "256Mi")), Receipt::Updated { .. }));
    assert!(bed.bare(&["show", &format!("{branch}:web.yaml")]).contains("256Mi"));
    assert_eq!(bed.bare(&["rev-list", "--count", &format!("main..{branch}")]), "1");
    assert_eq!(bed.bare(&["for-each-ref", "--format=%(refname:short)", "refs/heads/kubecure"]), branch);
    assert_eq!(bed.state.lock().unwrap().tokens, 1);
}

#[test]
fn an_app_that_is_raced_or_refused_loses_nothing() {
    let Some(bed) = Bed::new() else { return };
    let controller = bed.controller_with(&app(&bed));
    // Refused with a status of success.
    let refused =
        json!({"data": null, "errors": [{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}]});
    bed.instead(move |asked| asked.is("POST", "/graphql").then(|| Reply::new(200, refused.clone())));
    let error = format!("{:#}", controller.try_publish(&pull(A, "128Mi")).unwrap_err());
    assert!(error.contains("Resource not accessible by integration"), "{error}");
    assert!(bed.state.lock().unwrap().pulls.is_empty());
    // The branch that was begun is gone on with.
    bed.state.lock().unwrap().instead = None;
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    assert_eq!(bed.bare(&["rev-list", "--count", "main..kubecure/shop/web/oom-killed-aaaaaaaa"]), "1");
    let key = bed.folder.path().join("key.pem");
    std::fs::write(&key, "no key").unwrap();
    let error = format!("{:#}", controller.try_publish(&pull(A, "256Mi")).unwrap_err());
    assert!(error.contains("key of the GitHub App") && !error.contains("no key"), "{error}");
}
