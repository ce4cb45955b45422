//! `kubecure policy`: checks `.kubecure/`, prints its schema, says which policy decides for a workload.

mod explain;
mod files;

use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level as Severity, Renderer, Snippet};
use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use self::files::Files;
use crate::case::Timestamp;
use crate::review::policy::{Level, Policies, PolicyProblem, policy_schema, settings_schema};

/// Checks `.kubecure/`, prints its schema, says which policy decides for a workload.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Check the files of `.kubecure/`, as a pull request that changes them should.
    Check(CheckArgs),
    /// Print the JSON Schema of a policy, for editors.
    Schema(SchemaArgs),
    /// Say which policy decides for a workload, and what it allows.
    Explain(explain::ExplainArgs),
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Files, folders of them, or repositories with a `.kubecure/` [default: .kubecure]
    paths: Vec<PathBuf>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
struct SchemaArgs {
    /// The kind of file
    #[arg(long, value_enum, default_value_t)]
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Kind {
    #[default]
    HealingPolicy,
    Settings,
}

/// Nothing is wrong.
const OK: u8 = 0;
/// The files cannot be used as they are.
const BAD_INPUT: u8 = 2;

/// Runs the command: what it finds goes to `out`, and its exit code is returned.
pub fn run(args: &PolicyArgs, out: &mut dyn Write, now: Timestamp) -> Result<u8> {
    match &args.command {
        PolicyCommand::Check(args) => check(args, out),
        PolicyCommand::Schema(args) => {
            let schema = match args.kind {
                Kind::HealingPolicy => policy_schema(),
                Kind::Settings => settings_schema(),
            };
            writeln!(out, "{schema:#}")?;
            Ok(OK)
        }
        PolicyCommand::Explain(args) => explain::run(args, out, now),
    }
}

fn check(args: &CheckArgs, out: &mut dyn Write) -> Result<u8> {
    let files = Files::read(&args.paths)?;
    let read = Policies::read(&files.as_policy_files());
    let (problems, policies) = match &read {
        Ok(policies) => (policies.warnings(), policies.all().count() - 1),
        Err(problems) => (problems.as_slice(), 0),
    };
    let code = if read.is_ok() { OK } else { BAD_INPUT };
    match args.output {
        Output::Json => write_json(&files, problems, out)?,
        Output::Text => {
            write_problems(&files, problems, out)?;
            if read.is_ok() {
                let (files, policies) = (count(files.0.len(), "file"), count(policies, "policy"));
                writeln!(out, "{files} with {policies}: {}", summary(problems))?;
            } else {
                writeln!(
                    out,
                    "{}: {}. The last valid policy stays in force.",
                    count(files.0.len(), "file"),
                    summary(problems)
                )?;
            }
        }
    }
    Ok(code)
}

/// "2 errors, 1 warning", or "no problems".
fn summary(problems: &[PolicyProblem]) -> String {
    let errors = problems.iter().filter(|problem| problem.level == Level::Error).count();
    match (errors, problems.len() - errors) {
        (0, 0) => "no problems".to_owned(),
        (0, warnings) => count(warnings, "warning"),
        (errors, 0) => count(errors, "error"),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {noun}s"),
    }
}

fn write_json(files: &Files, problems: &[PolicyProblem], out: &mut dyn Write) -> Result<()> {
    let problem = |problem: &PolicyProblem| {
        let level = if problem.level == Level::Error { "error" } else { "warning" };
        let PolicyProblem { file, line, column, message, hint, .. } = problem;
        json!({"level": level, "file": file, "line": line, "column": column, "message": message, "hint": hint})
    };
    let names: Vec<&String> = files.0.iter().map(|(path, _)| path).collect();
    let problems: Vec<_> = problems.iter().map(problem).collect();
    writeln!(out, "{:#}", json!({"files": names, "problems": problems}))?;
    Ok(())
}

/// Each problem as a compiler would print it: the sentence, the place, the line, the hint.
fn write_problems(files: &Files, problems: &[PolicyProblem], out: &mut dyn Write) -> Result<()> {
    for problem in problems {
        let severity = if problem.level == Level::Error { Severity::ERROR } else { Severity::WARNING };
        let text = files.text(&problem.file).lines().nth(problem.line - 1).unwrap_or_default();
        let span = bytes(text, problem.column - 1, problem.width);
        let snippet = Snippet::source(text)
            .path(problem.file.as_str())
            .line_start(problem.line)
            .annotation(AnnotationKind::Primary.span(span));
        let mut group: Group<'_> = severity.primary_title(problem.message.as_str()).element(snippet);
        if let Some(hint) = &problem.hint {
            group = group.element(Severity::HELP.message(hint.as_str()));
        }
        writeln!(out, "{}\n", Renderer::plain().render(&[group]))?;
    }
    Ok(())
}

/// So many characters from there, as bytes of the line.
fn bytes(line: &str, column: usize, width: usize) -> Range<usize> {
    let at = |n: usize| line.char_indices().nth(n).map_or(line.len(), |(byte, _)| byte);
    at(column)..at(column.saturating_add(width))
}

#[cfg(test)]
mod tests;
