//! The API of Gitea and Forgejo.
//!
//! A draft is a title that begins with `WIP:`. Labels go by number and have to exist. Two who open at the same moment may
//! get two pull requests.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
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

/// What the forge takes for a draft, whatever its settings add.
const DRAFT: &str = "WIP:";
/// Pages of a list that are read, of fifty each.
const PAGES: usize = 20;
/// The colour of labels that are made.
const COLOUR: &str = "#326ce5";

/// A repository on a Gitea or Forgejo.
pub(super) struct Gitea {
    client: Client,
    /// `repos/OWNER/NAME`
    at: String,
    /// The page of the repository.
    web: String,
    /// Labels by their name.
    labels: Mutex<BTreeMap<String, u64>>,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    title: String,
    #[serde(default)]
    body: Option<String>,
    state: String,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    merged: bool,
    #[serde(default)]
    created_at: Option<String>,
    base: Side,
    head: Side,
}

#[derive(Deserialize)]
struct Side {
    #[serde(rename = "ref")]
    name: String,
    repo_id: i64,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    title: String,
    #[serde(default)]
    body: Option<String>,
    state: String,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    labels: Option<Vec<Label>>,
    #[serde(default)]
    pull_request: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    merged: bool,
    #[serde(default)]
    draft: bool,
}

#[derive(Deserialize)]
struct Label {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
struct Comment {
    #[serde(default)]
    body: Option<String>,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    has_issues: Option<bool>,
    #[serde(default)]
    has_pull_requests: Option<bool>,
    #[serde(default)]
    permissions: Option<Permissions>,
}

#[derive(Deserialize)]
struct Permissions {
    #[serde(default)]
    push: bool,
}

impl Gitea {
    pub fn new(address: &Address, door: Door, manner: Manner) -> Self {
        let client = Client::new(&format!("{}/api/v1", address.base), door, Shown::Token, &[], manner);
        let parts: Vec<String> = address.project.split('/').map(segment).collect();
        let at = format!("repos/{}", parts.join("/"));
        Self { client, at, web: address.page(), labels: Mutex::default() }
    }

    fn pull(&self, pull: Pull) -> Page {
        let state = state(&pull.state, pull.merged);
        let is_own = pull.head.repo_id == pull.base.repo_id;
        Page {
            kind: EntryKind::PullRequest,
            number: pull.number,
            title: without_mark(&pull.title, pull.draft),
            body: pull.body.unwrap_or_default(),
            state,
            draft: pull.draft,
            branch: is_own.then_some(pull.head.name),
            opened: time(pull.created_at.as_deref()),
            link: format!("{}/pulls/{}", self.web, pull.number),
        }
    }

    fn listed(&self, issue: Issue) -> Page {
        let (kind, word) = match issue.pull_request {
            Some(_) => (EntryKind::PullRequest, "pulls"),
            None => (EntryKind::Issue, "issues"),
        };
        let meta = issue.pull_request.unwrap_or(Meta { merged: false, draft: false });
        Page {
            kind,
            number: issue.number,
            title: without_mark(&issue.title, meta.draft),
            body: issue.body.unwrap_or_default(),
            state: state(&issue.state, meta.merged),
            draft: meta.draft,
            branch: None,
            opened: time(issue.created_at.as_deref()),
            link: format!("{}/{word}/{}", self.web, issue.number),
        }
    }

    /// The numbers of labels, asked for again when one of them is not known.
    fn ids(&self, names: &[String]) -> Result<BTreeMap<String, u64>, ApiTrouble> {
        let lock = || self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().clone();
        if names.iter().all(|name| known.contains_key(name)) {
            return Ok(known);
        }
        let all: Vec<Label> = self.client.list(&format!("{}/labels?limit=50", self.at), PAGES)?;
        let all: BTreeMap<String, u64> = all.into_iter().map(|label| (label.name, label.id)).collect();
        lock().clone_from(&all);
        Ok(all)
    }

    fn numbers(&self, names: &[String]) -> Result<Vec<u64>, ApiTrouble> {
        let known = self.ids(names)?;
        Ok(names.iter().filter_map(|name| known.get(name).copied()).collect())
    }

    fn path(&self, page: &Page) -> String {
        let word = if page.kind == EntryKind::Issue { "issues" } else { "pulls" };
        format!("{}/{word}/{}", self.at, page.number)
    }

    /// Whether a write of this kind would be let through: one that can change nothing, since there is no number 0.
    fn may(&self, what: &str) -> Result<(), ApiTrouble> {
        match self.client.write(&Method::PATCH, &format!("{}/{what}/0", self.at), &json!({})) {
            Err(ApiTrouble::NotFound { .. } | ApiTrouble::Invalid { .. }) | Ok(_) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }
}

impl Api for Gitea {
    fn open_pulls(&self, base: &str) -> Result<Vec<Page>, ApiTrouble> {
        let all: Vec<Pull> = self.client.list(&format!("{}/pulls?state=open&limit=50", self.at), PAGES)?;
        let ours = all.into_iter().filter(|pull| pull.base.name == base && pull.head.name.starts_with(BRANCHES));
        let pages = ours.map(|pull| self.pull(pull));
        Ok(pages.filter(|page| page.branch.is_some()).collect())
    }

    fn labelled(&self) -> Result<Vec<Page>, ApiTrouble> {
        // A label that is not there would be no filter at all.
        if !self.ids(&[LABEL.to_owned()])?.contains_key(LABEL) {
            return Ok(Vec::new());
        }
        let path = format!("{}/issues?state=all&labels={LABEL}&limit=50", self.at);
        let all: Vec<Issue> = self.client.list(&path, PAGES)?;
        let has_it = |issue: &Issue| issue.labels.iter().flatten().any(|label| label.name == LABEL);
        Ok(all.into_iter().filter(has_it).map(|issue| self.listed(issue)).collect())
    }

    fn pulls_of(&self, branch: &str, base: &str) -> Result<Vec<Page>, ApiTrouble> {
        let path = format!("{}/pulls/{}/{}", self.at, segment(base), segment(branch));
        let found: Option<Pull> = self.client.find(&path)?;
        Ok(found.map(|pull| self.pull(pull)).into_iter().collect())
    }

    fn make_labels(&self, labels: &[String], fence: &Fence) -> Result<()> {
        let known = self.ids(labels)?;
        for name in labels.iter().filter(|name| !known.contains_key(*name)) {
            fence()?;
            let made = self.client.write(
                &Method::POST,
                &format!("{}/labels", self.at),
                &json!({"name": name, "color": COLOUR, "description": "opened by KubeCure"}),
            );
            match made {
                // Whether it is there is looked up before it is used.
                Ok(_) | Err(ApiTrouble::Unclear { .. } | ApiTrouble::Exists { .. }) => {}
                Err(trouble) => return Err(trouble).with_context(|| format!("cannot make the label {name}")),
            }
        }
        Ok(())
    }

    fn open_pull(&self, new: &NewPull<'_>) -> Result<Page, ApiTrouble> {
        let labels = self.numbers(new.labels)?;
        let title = with_mark(new.title, new.draft);
        let body = json!({"base": new.base, "head": new.branch, "title": title, "body": new.body, "labels": labels});
        let made = self.client.write(&Method::POST, &format!("{}/pulls", self.at), &body)?;
        read::<Pull>(made).map(|pull| self.pull(pull))
    }

    fn open_issue(&self, new: &NewIssue<'_>) -> Result<Page, ApiTrouble> {
        let labels = self.numbers(new.labels)?;
        let body = json!({"title": new.title, "body": new.body, "labels": labels});
        let made = self.client.write(&Method::POST, &format!("{}/issues", self.at), &body)?;
        read::<Issue>(made).map(|issue| self.listed(issue))
    }

    fn edit(&self, page: &Page, edit: &Edit<'_>) -> Result<(), ApiTrouble> {
        let mut body = json!({});
        if let Some(title) = edit.title {
            body["title"] = with_mark(title, page.draft).into();
        }
        if let Some(text) = edit.body {
            body["body"] = text.into();
        }
        if edit.close {
            body["state"] = "closed".into();
        }
        self.client.write(&Method::PATCH, &self.path(page), &body).map(drop)
    }

    fn comments(&self, page: &Page) -> Result<Vec<String>, ApiTrouble> {
        let path = format!("{}/issues/{}/comments", self.at, page.number);
        let all: Vec<Comment> = self.client.list(&path, PAGES)?;
        Ok(all.into_iter().filter_map(|comment| comment.body).collect())
    }

    fn comment(&self, page: &Page, text: &str) -> Result<(), ApiTrouble> {
        let path = format!("{}/issues/{}/comments", self.at, page.number);
        self.client.write(&Method::POST, &path, &json!({"body": text})).map(drop)
    }

    fn ask_reviewers(&self, page: &Page, reviewers: &[String]) -> Result<(), ApiTrouble> {
        let path = format!("{}/pulls/{}/requested_reviewers", self.at, page.number);
        // A team is named with its organization, and asked by its own name.
        let (teams, people): (Vec<&String>, Vec<&String>) = reviewers.iter().partition(|name| name.contains('/'));
        let teams: Vec<&str> = teams.iter().filter_map(|name| name.rsplit('/').next()).collect();
        self.client.write(&Method::POST, &path, &json!({"reviewers": people, "team_reviewers": teams})).map(drop)
    }

    fn may_double(&self) -> bool {
        true
    }

    fn look(&self) -> Result<Rights, ApiTrouble> {
        let repository: Repository = self.client.get(&self.at)?;
        let version = self.client.find::<Version>("version").ok().flatten();
        let login = self.client.find::<User>("user").ok().flatten().map(|user| user.login);
        let mut looked = Rights {
            login,
            version: version.map(|version| format!("Gitea API {}", version.version)),
            ..Rights::default()
        };
        if repository.archived {
            looked.missing.push("the repository is archived, and takes nothing".to_owned());
        }
        if repository.has_pull_requests == Some(false) {
            looked.missing.push("the repository has pull requests switched off".to_owned());
        }
        if repository.has_issues == Some(false) {
            looked
                .doubts
                .push("the repository has issues switched off: what gets no pull request is only logged".to_owned());
        }
        if repository.permissions.is_some_and(|permissions| !permissions.push) {
            looked.missing.push("the token's user may not push to the repository".to_owned());
        }
        for (what, scope) in [("pulls", "write:repository"), ("issues", "write:issue")] {
            match self.may(what) {
                Err(ApiTrouble::Forbidden { said }) => {
                    looked.missing.push(format!("the token may not write {what}: it needs the scope {scope} ({said})"));
                }
                other => other?,
            }
        }
        Ok(looked)
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

fn state(word: &str, merged: bool) -> EntryState {
    match word {
        _ if merged => EntryState::Merged,
        "open" => EntryState::Open,
        _ => EntryState::Closed,
    }
}

fn with_mark(title: &str, draft: bool) -> String {
    if draft { format!("{DRAFT} {title}") } else { title.to_owned() }
}

/// The title itself; a person may have written the mark in another way.
fn without_mark(title: &str, draft: bool) -> String {
    let bare = ["WIP:", "[WIP]"].iter().find_map(|mark| {
        let head = title.get(..mark.len())?;
        head.eq_ignore_ascii_case(mark).then(|| title[mark.len()..].trim_start())
    });
    bare.filter(|_| draft).unwrap_or(title).to_owned()
}
