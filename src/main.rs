//! Parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use kubecure::cli::output::CliError;
use kubecure::cli::{Cli, run, wrong_usage};

fn main() -> ExitCode {
    // One provider for all TLS. Fails only if there is one already, and that one serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are what was asked for; of a verb without arguments, the help is the answer.
        Err(error) if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
        Err(error) => return failed(&wrong_usage(&error)),
    };
    let mut out = std::io::stdout().lock();
    run(&cli, &mut out).map_or_else(|error| failed(&error), ExitCode::from)
}

fn failed(error: &CliError) -> ExitCode {
    let color = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    #[expect(clippy::print_stderr, reason = "the one place where an error reaches the terminal")]
    {
        eprint!("{}", error.render(color));
    }
    ExitCode::from(error.code)
}
