//! The API of GitHub, also on one's own server.
//!
//! Labels cannot be given with a new pull request, so they follow it. Two pull requests for one branch are refused by GitHub
//! itself. For an App the commits are made by GitHub, so that they are verified.

pub mod app;
mod signed;

use anyhow::{Context, Result};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Fence;
use super::address::Address;
use super::api::{ApiTrouble, Client, Manner, Shown, segment};
use super::hosted::{Api, Commit, Committed, Edit, LABEL, NewIssue, NewPull, Page, Rights, time};
use crate::adapters::git::BRANCHES;
use crate::adapters::git::remote::Door;
use crate::case::{EntryKind, EntryState};

/// Pages of a list that are read, of a hundred each.
const PAGES: usize = 10;
/// The colour of labels that are made.
const COLOUR: &str = "326ce5";
/// What every request says.
const HEADERS: &[(&str, &str)] = &[("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")];

/// A repository on GitHub.
pub(super) struct Github {
    client: Client,
    /// `OWNER/NAME`
    project: String,
    owner: String,
    /// `repos/OWNER/NAME`
    at: String,
    /// The URL for `GraphQL`.
    graphql: String,
    /// The page of the repository.
    web: String,
    /// Whether an App asks.
    is_app: bool,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    title: String,
    body: Option<String>,
    state: String,
    #[serde(default)]
    draft: bool,
    merged_at: Option<String>,
    created_at: Option<String>,
    base: Side,
    head: Side,
}

#[derive(Deserialize)]
struct Side {
    #[serde(rename = "ref")]
    name: String,
    /// A fork may be gone.
    repo: Option<Repo>,
}

#[derive(Deserialize)]
struct Repo {
    id: u64,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    title: String,
    body: Option<String>,
    state: String,
    #[serde(default)]
    draft: bool,
    created_at: Option<String>,
    pull_request: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    merged_at: Option<String>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Comment {
    body: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    archived: bool,
    has_issues: Option<bool>,
    permissions: Option<Permissions>,
}

#[derive(Deserialize)]
struct Permissions {
    #[serde(default)]
    push: bool,
}

/// Where the API of a GitHub is.
pub(super) fn api_of(address: &Address) -> String {
    match address.base.as_str() {
        "https://github.com" => "https://api.github.com".to_owned(),
        base => format!("{base}/api/v3"),
    }
}

impl Github {
    pub fn new(address: &Address, door: Door, is_app: bool, manner: Manner) -> Self {
        let api = api_of(address);
        let graphql = api.strip_suffix("/v3").unwrap_or(&api).to_owned() + "/graphql";
        let parts: Vec<String> = address.project.split('/').map(segment).collect();
        Self {
            client: Client::new(&api, door, Shown::Bearer, HEADERS, manner),
            project: address.project.clone(),
            owner: parts.first().cloned().unwrap_or_default(),
            at: format!("repos/{}", parts.join("/")),
            graphql,
            web: address.page(),
            is_app,
        }
    }

    fn pull(&self, pull: Pull) -> Page {
        let is_own = matches!((&pull.head.repo, &pull.base.repo), (Some(head), Some(base)) if head.id == base.id);
        Page {
            kind: EntryKind::PullRequest,
            number: pull.number,
            title: pull.title,
            body: pull.body.unwrap_or_default(),
            state: state(&pull.state, pull.merged_at.is_some()),
            draft: pull.draft,
            branch: is_own.then_some(pull.head.name),
            opened: time(pull.created_at.as_deref()),
            link: format!("{}/pull/{}", self.web, pull.number),
        }
    }

    fn listed(&self, issue: Issue) -> Page {
        let (kind, word) = match issue.pull_request {
            Some(_) => (EntryKind::PullRequest, "pull"),
            None => (EntryKind::Issue, "issues"),
        };
        let merged = issue.pull_request.is_some_and(|pull| pull.merged_at.is_some());
        Page {
            kind,
            number: issue.number,
            title: issue.title,
            body: issue.body.unwrap_or_default(),
            state: state(&issue.state, merged),
            draft: issue.draft,
            branch: None,
            opened: time(issue.created_at.as_deref()),
            link: format!("{}/{word}/{}", self.web, issue.number),
        }
    }

    fn pulls(&self, query: &str) -> Result<Vec<Page>, ApiTrouble> {
        let all: Vec<Pull> = self.client.list(&format!("{}/pulls?{query}&per_page=100", self.at), PAGES)?;
        Ok(all.into_iter().map(|pull| self.pull(pull)).filter(|page| page.branch.is_some()).collect())
    }

    /// Whether a write of this kind would be let through: one that can change nothing, since there is no number 0.
    fn may(&self, what: &str) -> Result<(), ApiTrouble> {
        match self.client.write(&Method::PATCH, &format!("{}/{what}/0", self.at), &json!({})) {
            Err(ApiTrouble::NotFound { .. } | ApiTrouble::Invalid { .. }) | Ok(_) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }
}

impl Api for Github {
    fn open_pulls(&self, base: &str) -> Result<Vec<Page>, ApiTrouble> {
        let mut pages = self.pulls(&format!("state=open&base={}", segment(base)))?;
        pages.retain(|page| page.branch.as_ref().is_some_and(|branch| branch.starts_with(BRANCHES)));
        Ok(pages)
    }

    fn labelled(&self) -> Result<Vec<Page>, ApiTrouble> {
        let path = format!("{}/issues?state=all&labels={LABEL}&per_page=100", self.at);
        let all: Vec<Issue> = self.client.list(&path, PAGES)?;
        Ok(all.into_iter().map(|issue| self.listed(issue)).collect())
    }

    fn pulls_of(&self, branch: &str, base: &str) -> Result<Vec<Page>, ApiTrouble> {
        // The head is named with its owner, who may have forks of the same name.
        self.pulls(&format!("state=all&base={}&head={}:{}", segment(base), self.owner, segment(branch)))
    }

    fn make_labels(&self, labels: &[String], fence: &Fence) -> Result<()> {
        let known: Vec<Name> = self.client.list(&format!("{}/labels?per_page=100", self.at), PAGES)?;
        for name in labels.iter().filter(|name| !known.iter().any(|label| label.name == **name)) {
            fence()?;
            let body = json!({"name": name, "color": COLOUR, "description": "opened by KubeCure"});
            match self.client.write(&Method::POST, &format!("{}/labels", self.at), &body) {
                Ok(_) | Err(ApiTrouble::Unclear { .. } | ApiTrouble::Exists { .. }) => {}
                Err(trouble) => return Err(trouble).with_context(|| format!("cannot make the label {name}")),
            }
        }
        Ok(())
    }

    fn open_pull(&self, new: &NewPull<'_>) -> Result<Page, ApiTrouble> {
        let open = |title: &str, draft: bool| {
            let body = json!({"title": title, "head": new.branch, "base": new.base, "body": new.body, "draft": draft});
            self.client.write(&Method::POST, &format!("{}/pulls", self.at), &body)
        };
        let made = match open(new.title, new.draft) {
            // Some plans know no drafts; the title says it then.
            Err(ApiTrouble::Invalid { said, .. }) if new.draft && said.contains("Draft pull requests") => {
                open(&format!("WIP: {}", new.title), false)?
            }
            made => made?,
        };
        let page = read::<Pull>(made).map(|pull| self.pull(pull))?;
        let labels = format!("{}/issues/{}/labels", self.at, page.number);
        if let Err(trouble) = self.client.write(&Method::POST, &labels, &json!({"labels": new.labels})) {
            // It is open, and known by its branch.
            tracing::warn!(number = page.number, "a pull request has no labels: {trouble}");
        }
        Ok(page)
    }

    fn open_issue(&self, new: &NewIssue<'_>) -> Result<Page, ApiTrouble> {
        let body = json!({"title": new.title, "body": new.body, "labels": new.labels});
        let made = self.client.write(&Method::POST, &format!("{}/issues", self.at), &body)?;
        read::<Issue>(made).map(|issue| self.listed(issue))
    }

    fn edit(&self, page: &Page, edit: &Edit<'_>) -> Result<(), ApiTrouble> {
        let word = if page.kind == EntryKind::Issue { "issues" } else { "pulls" };
        let mut body = json!({});
        for (key, value) in [("title", edit.title), ("body", edit.body), ("state", edit.close.then_some("closed"))] {
            if let Some(value) = value {
                body[key] = value.into();
            }
        }
        self.client.write(&Method::PATCH, &format!("{}/{word}/{}", self.at, page.number), &body).map(drop)
    }

    fn comments(&self, page: &Page) -> Result<Vec<String>, ApiTrouble> {
        let path = format!("{}/issues/{}/comments?per_page=100", self.at, page.number);
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
        false
    }

    fn commit(&self, commit: &Commit<'_>) -> Option<Result<Committed, ApiTrouble>> {
        self.is_app.then(|| self.make_commit(commit))
    }

    fn look(&self) -> Result<Rights, ApiTrouble> {
        let repository: Repository = self.client.get(&self.at)?;
        let login = self.client.find::<Value>("user").ok().flatten();
        let login = login.and_then(|user| user["login"].as_str().map(ToOwned::to_owned));
        let version = Some(if self.is_app { "GitHub, as an App".to_owned() } else { "GitHub".to_owned() });
        let mut rights = Rights { login, version, ..Rights::default() };
        if repository.archived {
            rights.missing.push("the repository is archived, and takes nothing".to_owned());
        }
        if repository.has_issues == Some(false) {
            rights
                .doubts
                .push("the repository has issues switched off: what gets no pull request is only logged".to_owned());
        }
        if repository.permissions.is_some_and(|permissions| !permissions.push) {
            rights.missing.push("the token may not push to the repository".to_owned());
        }
        for (what, right) in [("pulls", "Pull requests"), ("issues", "Issues")] {
            match self.may(what) {
                Err(ApiTrouble::Forbidden { said }) => {
                    rights.missing.push(format!("the token may not write {what}: it needs {right}: write ({said})"));
                }
                other => other?,
            }
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

fn state(word: &str, merged: bool) -> EntryState {
    match word {
        _ if merged => EntryState::Merged,
        "open" => EntryState::Open,
        _ => EntryState::Closed,
    }
}
