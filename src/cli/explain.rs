//! `kubecure explain`: the catalogue in, a table or one of its pages out.
//!
//! A page is the same Markdown that a failure's rustdoc, its fixture and its golden screen are made of. Fixtures are
//! left out here: who asks what a failure is wants the words and the screens, not the manifests of a test.

mod markdown;

use clap::Args;
use serde_json::json;

use super::output::{CliError, Format, OutputArgs};
use crate::report::plain;

/// Explains a failure, or lists all that KubeCure knows
#[derive(Args, Clone, Debug, Default)]
pub struct ExplainArgs {
    /// The failure, as a screen names it: oom-killed
    pub failure: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A failure of the catalogue: id and page.
pub type Entry<'a> = (&'a str, &'a str);

/// The text to print.
pub fn run(args: &ExplainArgs, catalogue: &[Entry]) -> Result<String, CliError> {
    let (color, width) = (args.output.color(), OutputArgs::width());
    let Some(wanted) = &args.failure else {
        return Ok(match args.output.output {
            Format::Text => table(catalogue, color, width),
            Format::Json => pretty(&json!({"failures": catalogue.iter().map(as_json).collect::<Vec<_>>()})),
        });
    };
    let entry = find(wanted, catalogue)?;
    Ok(match args.output.output {
        Format::Text => markdown::text(entry.1, color, width),
        Format::Json => pretty(&as_json(entry)),
    })
}

fn find<'e, 'a>(wanted: &str, catalogue: &'e [Entry<'a>]) -> Result<&'e Entry<'a>, CliError> {
    // A label or a screen may hand it over as `OOM_Killed` or `error[oom-killed]`.
    let name =
        wanted.trim().trim_start_matches("error[").trim_end_matches(']').to_ascii_lowercase().replace(['_', ' '], "-");
    catalogue.iter().find(|(id, _)| *id == name).ok_or_else(|| {
        let error = CliError::usage(format!(
            "There is no failure `{}` in the catalogue.",
            plain::cut(&plain::inline(wanted), 60)
        ));
        error.hint(match nearest(&name, catalogue) {
            Some(id) => format!("Did you mean `{id}`? `kubecure explain` lists all."),
            None => "`kubecure explain` lists all failures.".to_owned(),
        })
    })
}

/// The id that was probably meant: the likeliest by letters, or the one that has the words in it.
fn nearest<'a>(name: &str, catalogue: &[Entry<'a>]) -> Option<&'a str> {
    let near = |id: &str| {
        let part = name.len() >= 3 && id.contains(name);
        if part { 0.99 } else { strsim::jaro_winkler(name, id) }
    };
    let best = catalogue.iter().map(|(id, _)| (near(id), *id)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.75).then_some(best.1)
}

fn table(catalogue: &[Entry], color: bool, width: usize) -> String {
    let ids = catalogue.iter().map(|(id, _)| plain::width(id)).max().unwrap_or(0);
    let mut out = String::new();
    for (id, page) in catalogue {
        let id = format!("{id:<ids$}");
        let mut lead = if color { format!("\x1b[1m{id}\x1b[0m") } else { id };
        for line in plain::wrap(&markdown::summary(page), width.saturating_sub(ids + 2).max(20)) {
            out += format!("{lead}  {line}").trim_end();
            out.push('\n');
            lead = " ".repeat(ids);
        }
    }
    out + "\nkubecure explain FAILURE   shows one with its cures and screens.\n"
}

fn as_json((id, page): &Entry) -> serde_json::Value {
    json!({"id": id, "title": markdown::title(page), "summary": markdown::summary(page), "page": page})
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# oom-killed\n\nThe kernel killed a container because it used\nmore memory than its limit. It happens.\n";
    const CATALOGUE: [Entry; 3] = [
        ("oom-killed", PAGE),
        ("image-pull", "# image-pull\n\nThe image of a container cannot be pulled.\n"),
        ("probe-failing", "# probe-failing\n\nA probe\nfails.\n"),
    ];

    fn explain(failure: Option<&str>, format: Format) -> Result<String, CliError> {
        let output = OutputArgs { output: format, color: super::super::output::When::Never };
        run(&ExplainArgs { failure: failure.map(ToOwned::to_owned), output }, &CATALOGUE)
    }

    #[test]
    fn without_a_failure_it_lists_all_in_a_table() {
        assert_eq!(
            explain(None, Format::Text).unwrap(),
            "oom-killed     The kernel killed a container because it used more memory than its limit.\n\
             image-pull     The image of a container cannot be pulled.\n\
             probe-failing  A probe fails.\n\n\
             kubecure explain FAILURE   shows one with its cures and screens.\n"
        );
    }

    #[test]
    fn a_name_may_come_as_a_screen_or_a_label_has_it() {
        for name in ["oom-killed", "OOM_Killed", "error[oom-killed]"] {
            assert!(explain(Some(name), Format::Text).unwrap().starts_with("oom-killed\n"), "{name}");
        }
    }

    #[test]
    fn an_unknown_failure_names_the_nearest() {
        for (name, hint) in
            [("oom-kiled", "`oom-killed`?"), ("probe", "`probe-failing`?"), ("zzz", "lists all failures")]
        {
            let error = explain(Some(name), Format::Text).unwrap_err();
            assert!(error.hint.as_deref().unwrap().contains(hint), "{error}");
            assert_eq!(error.code, 2);
        }
    }

    #[test]
    fn json_has_the_page_word_for_word() {
        let all: serde_json::Value = serde_json::from_str(&explain(None, Format::Json).unwrap()).unwrap();
        assert_eq!(all["failures"][0]["page"], PAGE);
        assert_eq!(
            all["failures"][0]["summary"],
            "The kernel killed a container because it used more memory than its limit."
        );
        let one: serde_json::Value = serde_json::from_str(&explain(Some("image-pull"), Format::Json).unwrap()).unwrap();
        assert_eq!((one["id"].as_str(), one["title"].as_str()), (Some("image-pull"), Some("image-pull")));
    }
}
