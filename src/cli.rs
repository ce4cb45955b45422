//! The command line: one file per verb.

pub mod cure;
pub mod demo;
pub mod doctor;
pub mod edit;
pub mod explain;
mod forge;
pub mod git;
mod kind;
pub mod model;
pub mod output;
pub mod policy;
pub mod run;
pub mod scan;
pub mod snapshot;
pub mod trace;
pub mod world;

use std::io::Write;

use clap::{CommandFactory, Parser, Subcommand};

use crate::failures;
use output::CliError;

/// Compiler errors for a running cluster.
///
/// KubeCure finds what is failing in a Kubernetes cluster, finds the line of Git that causes it, and opens a pull
/// request with the smallest edit that cures it. It never writes to the cluster.
#[derive(Debug, Parser)]
#[command(name = "kubecure", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what fails, why, and the line of Git that causes it; publishes nothing
    Scan(scan::ScanArgs),
    /// Work findings through to pull requests
    Cure(cure::CureArgs),
    /// Show where in Git a field is set, what led there and what else the line feeds
    Trace(trace::TraceArgs),
    /// Watch the cluster, and work what fails through to pull requests
    Run(run::RunArgs),
    /// Write the cluster's state into a folder, without secrets: for offline scans and bug reports
    Snapshot(snapshot::SnapshotArgs),
    /// Edit a field of a YAML or JSON file, and no other byte
    Edit(edit::EditArgs),
    /// Explain a failure, or list the catalogue
    Explain(explain::ExplainArgs),
    /// Check, print or explain the policy of a repository
    Policy(policy::PolicyArgs),
    /// Check that everything KubeCure needs is there, with the next step where it is not; writes nothing
    Doctor(doctor::DoctorArgs),
    /// Watch the whole loop on an example, with nothing but this binary
    Demo(demo::DemoArgs),
    /// Print shell completions
    Completions {
        /// The shell to print them for
        shell: clap_complete::Shell,
    },
}

/// Runs a verb. The exit code: 0 healthy or done, 1 failures found, 2 wrong usage or bad input, 3 no answer.
#[expect(clippy::disallowed_methods, reason = "a verb takes the time once, at the edge")]
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<u8, CliError> {
    match &cli.verb {
        Verb::Scan(args) => scan::run(args, out),
        Verb::Cure(args) => cure::run(args, out),
        Verb::Trace(args) => whole(out, |text| trace::run(args, text)),
        Verb::Run(args) => run::run(args),
        Verb::Snapshot(args) => snapshot::run(args, out),
        Verb::Doctor(args) => doctor::run(args, out),
        Verb::Demo(args) => demo::run(args, out),
        Verb::Edit(args) => whole(out, |text| edit::run(args, text)),
        Verb::Policy(args) => {
            whole(out, |text| policy::run(args, text, jiff::Timestamp::now()).map_err(world::bad_input))
        }
        Verb::Explain(args) => {
            let catalogue: Vec<(&str, &str)> = failures::ALL.iter().map(|f| (f.id().0, f.page())).collect();
            print(out, &explain::run(args, &catalogue)?)
        }
        Verb::Completions { shell } => {
            let generate = |text: &mut Vec<u8>| {
                clap_complete::generate(*shell, &mut Cli::command(), "kubecure", text);
                Ok(0)
            };
            whole(out, generate)
        }
    }
}

/// What is wrong with the arguments, told as every other error is.
pub fn wrong_usage(error: &clap::Error) -> CliError {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let blocks = || text.split("\n\n").map(str::trim);
    let sentence = blocks().next().unwrap_or_default().lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let tip = blocks().find_map(|block| block.strip_prefix("tip: ").map(|tip| tip.lines().next().unwrap_or(tip)));
    // The verb, from the line of usage: what stands before its first argument.
    let verb = blocks().find_map(|block| block.strip_prefix("Usage: ")).map(|usage| {
        let words = usage.split(' ').take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
        words.collect::<Vec<_>>().join(" ")
    });
    let help = format!("{} --help", verb.as_deref().unwrap_or("kubecure"));
    CliError::usage(sentence).hint(tip.map_or(help, ToOwned::to_owned))
}

/// Writes what a verb says when it has said it all, and answers with its exit code.
fn whole(out: &mut dyn Write, verb: impl FnOnce(&mut Vec<u8>) -> Result<u8, CliError>) -> Result<u8, CliError> {
    let mut text = Vec::new();
    let code = verb(&mut text)?;
    write(out, &text)?;
    Ok(code)
}

/// Writes text as it is.
pub(crate) fn print(out: &mut dyn Write, text: &str) -> Result<u8, CliError> {
    write(out, text.as_bytes())?;
    Ok(0)
}

/// A reader that went away (`kubecure scan | head`) is no error.
fn write(out: &mut dyn Write, text: &[u8]) -> Result<(), CliError> {
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::usage(format!("cannot write the output: {error}")))
        }
        _ => Ok(()),
    }
}
