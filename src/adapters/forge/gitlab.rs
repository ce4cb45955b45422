//! The API of GitLab.
//!
//! Merge requests and issues count apart. A draft is a title that begins with `Draft:`. Labels are made by their first use,
//! and reviewers go by number.

use anyhow::Result;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Fence;
use super::address::Address;
use super::api::{ApiTrouble, Client, Manner, Shown, segment};
use super::hosted::{Api, Edit, LABEL, NewIssue, NewPull, Page, Rights, time};
use crate::adapters::git::BRANCHES;
use crate::adapters::git::remote::Door;
use crate::case::{EntryKind, EntryState};

const DRAFT: &str = "Draft:";
/// Pages of a list that are read, of a hundred each.
const PAGES: usize = 10;
/// Who may push and open merge requests has at least this level: a developer.
const DEVELOPER: u64 = 30;

/// A project on a GitLab.
pub(super) struct Gitlab {
    client: Client,
    /// `projects/GROUP%2FNAME`
    at: String,
    /// The page of the project.
    web: String,
}

#[derive(Deserialize)]
struct Request {
    iid: u64,
    title: String,
    description: Option<String>,
    state: String,
    #[serde(default)]
    draft: bool,
    source_branch: String,
    source_project_id: Option<u64>,
    target_project_id: Option<u64>,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Issue {
    iid: u64,
    title: String,
    description: Option<String>,
    state: String,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Note {
    body: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    username: String,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    scopes: Vec<String>,
}

impl Gitlab {
    pub fn new(address: &Address, door: Door, manner: Manner) -> Self {
        let client = Client::new(&format!("{}/api/v4", address.base), door, Shown::Private, &[], manner);
        Self { client, at: format!("projects/{}", segment(&address.project)), web: address.page() }
    }

    fn pull(&self, request: Request) -> Page {
        let is_own = request.source_project_id == request.target_project_id;
        Page {
            kind: EntryKind::PullRequest,
            number: request.iid,
            title: without_mark(&request.title, request.draft),
            body: request.description.unwrap_or_default(),
            state: state(&request.state),
            draft: request.draft,
            branch: is_own.then_some(request.source_branch),
            opened: time(request.created_at.as_deref()),
            link: format!("{}/-/merge_requests/{}", self.web, request.iid),
        }
    }

    fn issue(&self, issue: Issue) -> Page {
        Page {
            kind: EntryKind::Issue,
            number: issue.iid,
            title: issue.title,
            body: issue.description.unwrap_or_default(),
            state: state(&issue.state),
            draft: false,
            branch: None,
            opened: time(issue.created_at.as_deref()),
            link: format!("{}/-/issues/{}", self.web, issue.iid),
        }
    }

    fn requests(&self, query: &str) -> Result<Vec<Page>, ApiTrouble> {
        let path = format!("{}/merge_requests?{query}&per_page=100", self.at);
        let all: Vec<Request> = self.client.list(&path, PAGES)?;
        Ok(all.into_iter().map(|request| self.pull(request)).filter(|page| page.branch.is_some()).collect())
    }

    fn path(&self, page: &Page) -> String {
        let word = if page.kind == EntryKind::Issue { "issues" } else { "merge_requests" };
        format!("{}/{word}/{}", self.at, page.number)
    }
}

impl Api for Gitlab {
    fn open_pulls(&self, base: &str) -> Result<Vec<Page>, ApiTrouble> {
        let mut pages = self.requests(&format!("state=opened&target_branch={}", segment(base)))?;
        pages.retain(|page| page.branch.as_ref().is_some_and(|branch| branch.starts_with(BRANCHES)));
        Ok(pages)
    }

    fn labelled(&self) -> Result<Vec<Page>, ApiTrouble> {
        let mut pages = self.requests(&format!("state=all&labels={LABEL}"))?;
        // As elsewhere: a list by label may be of requests to any branch.
        for page in &mut pages {
            page.branch = None;
        }
        let path = format!("{}/issues?state=all&labels={LABEL}&per_page=100", self.at);
        let issues: Vec<Issue> = self.client.list(&path, PAGES)?;
        pages.extend(issues.into_iter().map(|issue| self.issue(issue)));
        Ok(pages)
    }

    fn pulls_of(&self, branch: &str, base: &str) -> Result<Vec<Page>, ApiTrouble> {
        self.requests(&format!("state=all&source_branch={}&target_branch={}", segment(branch), segment(base)))
    }

    fn make_labels(&self, _: &[String], _: &Fence) -> Result<()> {
        Ok(())
    }

    fn open_pull(&self, new: &NewPull<'_>) -> Result<Page, ApiTrouble> {
        let body = json!({
            "source_branch": new.branch,
            "target_branch": new.base,
            "title": with_mark(new.title, new.draft),
            "description": new.body,
            "labels": new.labels.join(","),
        });
        let made = self.client.write(&Method::POST, &format!("{}/merge_requests", self.at), &body)?;
        read::<Request>(made).map(|request| self.pull(request))
    }

    fn open_issue(&self, new: &NewIssue<'_>) -> Result<Page, ApiTrouble> {
        let body = json!({"title": new.title, "description": new.body, "labels": new.labels.join(",")});
        let made = self.client.write(&Method::POST, &format!("{}/issues", self.at), &body)?;
        read::<Issue>(made).map(|issue| self.issue(issue))
    }

    fn edit(&self, page: &Page, edit: &Edit<'_>) -> Result<(), ApiTrouble> {
        let mut body = json!({});
        if let Some(title) = edit.title {
            body["title"] = with_mark(title, page.draft).into();
        }
        if let Some(text) = edit.body {
            body["description"] = text.into();
        }
        if edit.close {
            body["state_event"] = "close".into();
        }
        self.client.write(&Method::PUT, &self.path(page), &body).map(drop)
    }

    fn comments(&self, page: &Page) -> Result<Vec<String>, ApiTrouble> {
        let all: Vec<Note> = self.client.list(&format!("{}/notes?per_page=100", self.path(page)), PAGES)?;
        Ok(all.into_iter().filter_map(|note| note.body).collect())
    }

    fn comment(&self, page: &Page, text: &str) -> Result<(), ApiTrouble> {
        self.client.write(&Method::POST, &format!("{}/notes", self.path(page)), &json!({"body": text})).map(drop)
    }

    fn ask_reviewers(&self, page: &Page, reviewers: &[String]) -> Result<(), ApiTrouble> {
        let mut ids = Vec::new();
        for name in reviewers {
            let found: Vec<User> = self.client.get(&format!("users?username={}", segment(name)))?;
            let id = found.into_iter().find(|user| user.username.eq_ignore_ascii_case(name)).map(|user| user.id);
            ids.push(id.ok_or_else(|| ApiTrouble::NotFound { what: format!("user {name}") })?);
        }
        self.client.write(&Method::PUT, &self.path(page), &json!({"reviewer_ids": ids})).map(drop)
    }

    fn may_double(&self) -> bool {
        true
    }

    fn look(&self) -> Result<Rights, ApiTrouble> {
        let project: Value = self.client.get(&self.at)?;
        let login = self.client.find::<Value>("user").ok().flatten();
        let login = login.and_then(|user| user["username"].as_str().map(ToOwned::to_owned));
        let mut rights = Rights { login, version: Some("GitLab".to_owned()), ..Rights::default() };
        if project["archived"] == true {
            rights.missing.push("the project is archived, and takes nothing".to_owned());
        }
        if project["merge_requests_enabled"] == false {
            rights.missing.push("the project has merge requests switched off".to_owned());
        }
        if project["issues_enabled"] == false {
            rights
                .doubts
                .push("the project has issues switched off: what gets no merge request is only logged".to_owned());
        }
        let access = ["project_access", "group_access"].map(|of| project["permissions"][of]["access_level"].as_u64());
        if access.iter().flatten().max().is_some_and(|level| *level < DEVELOPER) {
            rights.missing.push("the token's role is less than Developer".to_owned());
        }
        if let Some(token) = self.client.find::<Token>("personal_access_tokens/self").ok().flatten()
            && !token.scopes.iter().any(|scope| scope == "api")
        {
            rights.missing.push(format!("the token has the scopes {}, and needs api", token.scopes.join(", ")));
        }
        Ok(rights)
    }

    fn manner(&self) -> Manner {
        self.client.manner()
    }
}

/// What a write has made. That it cannot be read does not undo it.
fn read<T: serde::de::DeserializeOwned>(made: Value) -> Result<T, ApiTrouble> {
    serde_json::from_value(made)
        .map_err(|error| ApiTrouble::Unclear { why: format!("an answer that is none: {error}") })
}

fn state(word: &str) -> EntryState {
    match word {
        "merged" => EntryState::Merged,
        // Locked is what is being merged at this moment.
        "opened" | "locked" => EntryState::Open,
        _ => EntryState::Closed,
    }
}

fn with_mark(title: &str, draft: bool) -> String {
    if draft { format!("{DRAFT} {title}") } else { title.to_owned() }
}

fn without_mark(title: &str, draft: bool) -> String {
    let bare = title.get(..DRAFT.len()).filter(|head| head.eq_ignore_ascii_case(DRAFT));
    bare.filter(|_| draft).map_or(title, |_| title[DRAFT.len()..].trim_start()).to_owned()
}
