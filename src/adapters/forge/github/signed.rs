//! Commits that GitHub itself makes and signs, for an App: files in, a branch that moved from where it was seen out.
//!
//! A new branch begins at the base and gets its commit. One that is rebuilt would be empty in between, and its pull request
//! closed for that; so the commit is made on a branch beside it, and both move in one step.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::Github;
use crate::adapters::forge::api::{ApiTrouble, segment};
use crate::adapters::forge::hosted::{Commit, Committed};

const COMMIT: &str =
    "mutation($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }";
const MOVE: &str = "mutation($input: UpdateRefsInput!) { updateRefs(input: $input) { clientMutationId } }";
/// No commit at all.
const NONE: &str = "0000000000000000000000000000000000000000";

impl Github {
    pub(super) fn make_commit(&self, commit: &Commit<'_>) -> Result<Committed, ApiTrouble> {
        match commit.seen {
            None => {
                if !self.begin(commit.branch, commit.base)? {
                    return Ok(Committed::Moved);
                }
                self.commit_on(commit.branch, commit)
            }
            // Somebody began it, and came no further.
            Some(seen) if seen == commit.base => self.commit_on(commit.branch, commit),
            Some(seen) => self.rebuild(seen, commit),
        }
    }

    fn rebuild(&self, seen: &str, commit: &Commit<'_>) -> Result<Committed, ApiTrouble> {
        let beside = format!("{}-next", commit.branch);
        if !self.begin(&beside, commit.base)? {
            // Left by one that was ended in the middle, or another controller's that is about to be refused.
            let path = format!("{}/git/refs/heads/{}", self.at, encoded(&beside));
            self.client.write(&Method::PATCH, &path, &json!({"sha": commit.base, "force": true}))?;
        }
        let Committed::Is(oid) = self.commit_on(&beside, commit)? else { return Ok(Committed::Moved) };
        let repository: Value = self.client.get(&self.at)?;
        let moves = json!([
            {"name": format!("refs/heads/{}", commit.branch), "beforeOid": seen, "afterOid": oid, "force": true},
            {"name": format!("refs/heads/{beside}"), "beforeOid": oid, "afterOid": NONE},
        ]);
        let input = json!({"repositoryId": repository["node_id"], "refUpdates": moves});
        match self.graphql(MOVE, &input)? {
            Ok(_) => Ok(Committed::Is(oid)),
            Err(said) if is_stale(&said) => Ok(Committed::Moved),
            Err(said) => Err(ApiTrouble::Invalid { status: 200, said }),
        }
    }

    /// A branch at a commit; false: there is one.
    fn begin(&self, branch: &str, at: &str) -> Result<bool, ApiTrouble> {
        let body = json!({"ref": format!("refs/heads/{branch}"), "sha": at});
        match self.client.write(&Method::POST, &format!("{}/git/refs", self.at), &body) {
            Ok(_) => Ok(true),
            Err(ApiTrouble::Exists { .. }) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    fn commit_on(&self, branch: &str, commit: &Commit<'_>) -> Result<Committed, ApiTrouble> {
        let (headline, body) = commit.message.split_once('\n').unwrap_or((commit.message, ""));
        let files = commit.files.iter().map(|(path, text)| json!({"path": path, "contents": STANDARD.encode(text)}));
        // An empty list of deletions is left out: it breaks GitHub's resolver.
        let input = json!({
            "branch": {"repositoryNameWithOwner": self.project, "branchName": branch},
            "expectedHeadOid": commit.base,
            "message": {"headline": headline, "body": body.trim()},
            "fileChanges": {"additions": files.collect::<Vec<_>>()},
        });
        match self.graphql(COMMIT, &input)? {
            Ok(data) => match data["createCommitOnBranch"]["commit"]["oid"].as_str() {
                Some(oid) => Ok(Committed::Is(oid.to_owned())),
                None => Err(ApiTrouble::Unclear { why: "no commit is named in the answer".to_owned() }),
            },
            Err(said) if is_stale(&said) => Ok(Committed::Moved),
            Err(said) => Err(ApiTrouble::Invalid { status: 200, said }),
        }
    }

    /// Errors of `GraphQL` come with a status of success.
    fn graphql(&self, query: &str, input: &Value) -> Result<Result<Value, String>, ApiTrouble> {
        let body = json!({"query": query, "variables": {"input": input}});
        let mut answer = self.client.write(&Method::POST, &self.graphql, &body)?;
        let errors = answer["errors"].as_array().into_iter().flatten();
        let said: Vec<String> = errors
            .map(|error| {
                let word = |key: &str| error[key].as_str().unwrap_or_default();
                format!("{} {}", word("type"), word("message")).trim().chars().take(200).collect()
            })
            .collect();
        if said.iter().any(|said| said.starts_with("RATE_LIMITED")) {
            return Err(ApiTrouble::Limited { wait: std::time::Duration::from_secs(60) });
        }
        Ok(if said.is_empty() { Ok(answer["data"].take()) } else { Err(self.client.masked(&said.join("; "))) })
    }
}

fn is_stale(said: &str) -> bool {
    ["STALE_DATA", "Expected branch to point to", "does not match", "is at "].iter().any(|words| said.contains(words))
}

fn encoded(branch: &str) -> String {
    branch.split('/').map(segment).collect::<Vec<_>>().join("/")
}
