//! `kubecure doctor`: what works and what does not, each with the next step. Writes nothing.

mod cluster;
mod remote;
mod repository;

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::json;

use super::forge::Named;
use super::output::{CliError, Format, NO_ANSWER, OutputArgs};
use super::world::ClusterArgs;
use crate::redact::Redactor;
use crate::report::plain;
use crate::report::progress::Progress;

/// Check that everything KubeCure needs is there, with the next step where it is not; writes nothing
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub of: ClusterArgs,
    /// The repository: a folder, read as it lies there, or a URL
    #[arg(long, value_name = "URL or PATH", default_value = ".", env = "KUBECURE_REPO", hide_env_values = true)]
    pub repo: PathBuf,
    /// A commit, tag or branch of the repository instead of its files
    #[arg(long, value_name = "REV")]
    pub rev: Option<String>,
    /// Where pull requests go, as `run` has it: `gitea:URL`, `auto`, `branch`, `local:DIR`
    #[arg(long, value_name = "FORGE", env = "KUBECURE_FORGE")]
    pub forge: Option<String>,
    #[command(flatten)]
    pub git: super::git::GitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Something is not as it has to be.
const UNWELL: u8 = 1;
/// Columns before the text of a check.
const INDENT: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// It works, and could be better.
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    about: &'static str,
    state: State,
    text: String,
    /// What to do: a sentence, and lines to copy.
    next: Vec<String>,
}

impl Check {
    fn ok(about: &'static str, text: impl Into<String>) -> Self {
        Self { about, state: State::Ok, text: text.into(), next: Vec::new() }
    }

    fn warn(about: &'static str, text: impl Into<String>, next: impl Into<String>) -> Self {
        Self { about, state: State::Warn, text: text.into(), next: vec![next.into()] }
    }

    fn fail(about: &'static str, text: impl Into<String>, next: impl Into<String>) -> Self {
        Self { state: State::Fail, ..Self::warn(about, text, next) }
    }

    /// An error of an adapter. Others wrote parts of it, so what looks like a secret is masked.
    fn error(about: &'static str, error: CliError) -> Self {
        let masked = |text: &str| Redactor::new().redact(text).text.into_owned();
        let next = error.hint.map(|hint| masked(&hint)).into_iter().collect();
        Self { about, state: State::Fail, text: masked(&error.message), next }
    }
}

pub fn run(args: &DoctorArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    args.of.check()?;
    let remote = remote::of(args)?;
    let named = args.forge.as_deref().map(Named::read).transpose()?;
    let progress = Progress::start("asking the cluster");
    let runtime = super::world::runtime()?;
    let (mut checks, answered) = runtime.block_on(cluster::checks(&args.of));
    progress.say("reading the repository");
    checks.extend(remote.as_ref().map_or_else(|| repository::checks(args), |remote| remote::checks(args, remote)));
    checks.push(match &named {
        None => repository::forge(None),
        Some(Named::Local(folder)) => repository::forge(Some(folder)),
        Some(named) => remote::forge(args, remote.as_ref(), named),
    });
    progress.finish();
    let text = match args.output.output {
        Format::Json => format!("{:#}\n", as_json(&checks)),
        Format::Text => as_text(&checks, args.output.color(), OutputArgs::width()),
    };
    super::print(out, &text)?;
    Ok(match answered {
        false => NO_ANSWER,
        true if count(&checks, State::Fail) > 0 => UNWELL,
        true => 0,
    })
}

fn count(checks: &[Check], state: State) -> usize {
    checks.iter().filter(|check| check.state == state).count()
}

fn as_json(checks: &[Check]) -> serde_json::Value {
    let all: Vec<_> = checks
        .iter()
        .map(|check| {
            let state = match check.state {
                State::Ok => "ok",
                State::Warn => "warn",
                State::Fail => "fail",
            };
            json!({"check": check.about, "state": state, "text": check.text, "next": check.next})
        })
        .collect();
    let of = |state| count(checks, state);
    json!({"checks": all, "ok": of(State::Ok), "warnings": of(State::Warn), "failures": of(State::Fail)})
}

fn as_text(checks: &[Check], color: bool, width: usize) -> String {
    let mut out = String::new();
    for check in checks {
        let (word, style) = match check.state {
            State::Ok => ("ok", AnsiColor::Green.on_default()),
            State::Warn => ("warn", AnsiColor::Yellow.on_default().bold()),
            State::Fail => ("FAIL", AnsiColor::BrightRed.on_default().bold()),
        };
        let style = if color { style } else { Style::new() };
        let _ = write!(out, "{style}{word:<4}{style:#}  {:<14}", check.about);
        lines(&mut out, &check.text, width, 0);
        for (number, line) in check.next.iter().enumerate() {
            if number == 0 {
                let _ = write!(out, "{:INDENT$}next: ", "");
                lines(&mut out, line, width, 6);
            } else {
                // To be copied: never broken.
                let _ = writeln!(out, "{:INDENT$}      {}", "", plain::inline(line));
            }
        }
    }
    let plural = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let _ = writeln!(
        out,
        "\n{} ok, {}, {}",
        count(checks, State::Ok),
        plural(count(checks, State::Warn), "warning"),
        plural(count(checks, State::Fail), "failure")
    );
    out
}

/// A text whose first line has been begun.
fn lines(out: &mut String, text: &str, width: usize, further: usize) {
    let indent = INDENT + further;
    let wrapped = plain::wrap(&plain::inline(text), width.saturating_sub(indent).max(40));
    for (number, line) in wrapped.iter().enumerate() {
        let before = if number == 0 { 0 } else { indent };
        let _ = writeln!(out, "{:before$}{line}", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_and_its_next_step_stands_below_it() {
        let mut missing = Check::fail("rights", "may not list events", "add this rule:");
        missing.next.push("- apiGroups: [\"\"]".to_owned());
        let checks = [Check::ok("api server", "v1.36.3 answers"), missing];
        assert_eq!(
            as_text(&checks, false, 100),
            "ok    api server    v1.36.3 answers\n\
             FAIL  rights        may not list events\n\
             \x20                   next: add this rule:\n\
             \x20                         - apiGroups: [\"\"]\n\
             \n1 ok, 0 warnings, 1 failure\n"
        );
        assert_eq!(as_json(&checks)["checks"][1]["next"][1], "- apiGroups: [\"\"]");
    }

    #[test]
    fn what_looks_like_a_secret_in_an_error_is_masked() {
        let error = CliError::usage("exec plugin said: token=ghp_0123456789abcdefghijABCDEFGHIJ012345\x1b[2J");
        let text = as_text(&[Check::error("kubeconfig", error)], false, 100);
        assert!(!text.contains("ghp_0123456789") && !text.contains('\x1b'), "{text}");
    }
}
