//! The command line: one file per verb.

pub mod cure;
pub mod demo;
pub mod doctor;
pub mod edit;
pub mod explain;
pub mod output;
pub mod policy;
pub mod scan;
pub mod snapshot;
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
        Verb::Snapshot(args) => snapshot::run(args, out),
        Verb::Doctor(args) => doctor::run(args, out),
        Verb::Demo(args) => demo::run(args, out),
        Verb::Edit(args) => edit::run(args, out).map_err(|e| CliError::usage(format!("{e:#}"))),
        Verb::Policy(args) => {
            policy::run(args, out, jiff::Timestamp::now()).map_err(|e| CliError::usage(format!("{e:#}")))
        }
        Verb::Explain(args) => {
            let catalogue: Vec<(&str, &str)> = failures::ALL.iter().map(|f| (f.id().0, f.page())).collect();
            print(out, &explain::run(args, &catalogue)?)
        }
        Verb::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "kubecure", &mut *out);
            Ok(0)
        }
    }
}

/// Writes text as it is. A reader that went away (`kubecure scan | head`) is no error.
pub(crate) fn print(out: &mut dyn Write, text: &str) -> Result<u8, CliError> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::usage(format!("cannot write the output: {error}")))
        }
        _ => Ok(0),
    }
}
