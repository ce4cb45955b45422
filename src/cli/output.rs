//! How a verb answers: as text or JSON, with colour or without, or with an error that says what to do next.

use std::fmt;
use std::io::IsTerminal;

use clap::{Args, ValueEnum};

use crate::report::plain;

/// Text for people, JSON for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Text,
    /// A stable interface, documented in the README.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    Always,
    Never,
}

/// What every verb that prints understands.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct OutputArgs {
    /// Print text or JSON
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// When to use colour
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: When,
}

impl OutputArgs {
    /// Whether standard output gets colour.
    pub fn color(&self) -> bool {
        match self.color {
            // Knows NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM=dumb, besides what a terminal is.
            When::Auto => anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never,
            When::Always => true,
            When::Never => false,
        }
    }

    /// Columns to wrap at: those of the terminal, within 80 and 120; 100 where there is none.
    pub fn width() -> usize {
        let columns = if std::io::stdout().is_terminal() { terminal_size::terminal_size() } else { None };
        columns.map_or(100, |(terminal_size::Width(columns), _)| usize::from(columns).clamp(80, 120))
    }
}

/// Wrong usage or bad input.
pub const WRONG_USAGE: u8 = 2;
/// The outside did not answer.
pub const NO_ANSWER: u8 = 3;

/// Why a verb could not do what it was asked to.
///
/// Not for failures of the cluster: those are what a verb finds, not what it fails at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    /// A sentence: what went wrong and, where it helps, what was expected.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
    /// What the process exits with.
    pub code: u8,
}

impl CliError {
    /// The caller can mend it: a wrong argument, a file that is not what it should be.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: WRONG_USAGE }
    }

    /// A cluster, a repository or a forge did not answer, or not as it should. All causes are named, outermost first.
    pub fn outside(error: &anyhow::Error) -> Self {
        Self { message: format!("{error:#}"), hint: None, code: NO_ANSWER }
    }

    /// With a next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error as standard error shows it, ending in a line break.
    pub fn render(&self, color: bool) -> String {
        let red = anstyle::AnsiColor::BrightRed.on_default().bold();
        let cyan = anstyle::AnsiColor::BrightCyan.on_default().bold();
        let lead = |style: anstyle::Style, word: &str| {
            if color { format!("{style}{word}{style:#}") } else { word.to_owned() }
        };
        // Of several lines, such as a policy's errors with their places, each is shown as it is.
        let lines = |text: &str| text.trim_end().lines().map(plain::inline).collect::<Vec<_>>().join("\n");
        let mut out = format!("{} {}\n", lead(red, "Error:"), full_stop(&lines(&self.message)));
        if let Some(hint) = &self.hint {
            out.extend([&lead(cyan, "Hint:"), " ", &lines(hint), "\n"]);
        }
        out
    }
}

/// A sentence ends; what a reader may want to copy with a double click does not get a full stop glued to it.
fn full_stop(text: &str) -> String {
    if text.contains('\n') || text.ends_with(|c: char| !c.is_alphanumeric()) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for CliError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_sentence_and_the_next_step() {
        let error = CliError::usage("there is no failure `oom`").hint("did you mean `oom-killed`?");
        assert_eq!(error.render(false), "Error: there is no failure `oom`\nHint: did you mean `oom-killed`?\n");
        assert_eq!(error.code, 2);
        assert!(error.render(true).contains("\x1b[0m there is"));
    }

    #[test]
    fn all_causes_are_named_and_none_is_obeyed() {
        let error = anyhow::anyhow!("connection refused\x1b[2J").context("cannot list pods");
        let error = CliError::outside(&error);
        assert_eq!(error.to_string(), "Error: cannot list pods: connection refused␛[2J.");
        assert_eq!(error.code, 3);
    }

    #[test]
    fn arguments_read_as_kubectl_has_them() {
        #[derive(clap::Parser)]
        struct Verb {
            #[command(flatten)]
            output: OutputArgs,
        }
        let verb = <Verb as clap::Parser>::parse_from(["x", "-o", "json", "--color", "always"]);
        assert_eq!((verb.output.output, verb.output.color), (Format::Json, When::Always));
        assert!(verb.output.color());
        let verb = <Verb as clap::Parser>::parse_from(["x", "--color=never"]);
        assert_eq!(verb.output.output, Format::Text);
        assert!(!verb.output.color());
    }
}
