//! Parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use kubecure::cli::{Cli, run};

fn main() -> ExitCode {
    // One provider for all TLS. Fails only if there is one already, and that one serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    let mut out = std::io::stdout().lock();
    match run(&cli, &mut out) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let color = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
            #[expect(clippy::print_stderr, reason = "the one place where an error reaches the terminal")]
            {
                eprint!("{}", error.render(color));
            }
            ExitCode::from(error.code)
        }
    }
}
