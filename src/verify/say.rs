//! An outcome in, what a person reads of it out.

use super::{Outcome, Record};
use crate::case::{Issue, Merged};
use crate::submit::markdown::prose;
use crate::submit::{BEGIN, END, fingerprint};

/// The first words of a comment after which nothing more is looked at.
const FINAL: [&str; 3] = ["**Cured.**", "**Not cured.**", "**Worse.**"];

/// The comment on the pull request.
pub fn comment(outcome: &Outcome, merged: &Merged) -> String {
    let commit = &merged.commit[..8.min(merged.commit.len())];
    match outcome {
        Outcome::Waiting { why, .. } => format!("**Waiting** {}.", prose(why)),
        Outcome::Cured => format!(
            "{} Commit {commit} is applied and rolled out, and the failure was not seen again for as long as the policy \
             asks.",
            FINAL[0]
        ),
        Outcome::NotCured { why } => {
            format!("{} Commit {commit} is applied, and it still fails: {}.", FINAL[1], prose(why))
        }
        Outcome::Worse { why } => format!(
            "{} Commit {commit} is applied, and since then it is worse: {}. To undo it, revert the commit.",
            FINAL[2],
            prose(why)
        ),
    }
}

/// Whether a comment says how it ended.
pub fn is_final(comment: &str) -> bool {
    FINAL.iter().any(|word| comment.starts_with(word))
}

/// The issue for what a merge did not cure: what was tried, and what is seen now. `None` where there is nothing to tell.
pub fn issue(outcome: &Outcome, merged: &Merged, record: &Record) -> Option<Issue> {
    let (Outcome::NotCured { why } | Outcome::Worse { why }) = outcome else { return None };
    let first = record.workloads.first()?.path();
    let what = if matches!(outcome, Outcome::Worse { .. }) { "is worse after" } else { "still fails after" };
    let said = comment(outcome, merged);
    let tried =
        record.changes.iter().map(|change| format!("- {} of {}", prose(&change.path.to_string()), change.object));
    let tried: Vec<String> = tried.collect();
    let body = format!(
        "{BEGIN}\n{said}\n\n**Tried**, with the pull request {}:\n\n{}\n\n**Now** {}. KubeCure does not try the same \
         again.\n{END}\n",
        prose(&merged.entry.link),
        tried.join("\n"),
        prose(why)
    );
    Some(Issue {
        fingerprint: fingerprint::of_outcome(&merged.entry.fingerprint),
        title: format!("Needs a person: {first} {what} a pull request"),
        body,
        labels: vec!["kubecure".to_owned(), format!("kubecure/{}", record.failure)],
        failure: record.failure,
        workloads: record.workloads.clone(),
    })
}
