//! `kubecure demo`: the whole loop on a machine with nothing but this binary.
//!
//! Nothing in here is a special path: the example repository and the recording of a real cluster are unpacked into a
//! folder, and `cure --all` runs on them as it would on anyone's.
#![expect(clippy::disallowed_methods, reason = "the demo unpacks itself; the command line is the edge")]

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use rust_embed::RustEmbed;

use super::cure::{in_full, receipt_line};
use super::output::{CliError, Format, OutputArgs};
use super::world::{bad_input, no_answer};
use crate::adapters::forge::Forge;
use crate::adapters::forge::local::LocalForge;
use crate::adapters::recorded::Recorded;
use crate::adapters::{folder, snapshot};
use crate::case::{Case, EditedFile, Receipt, Request, Timestamp};
use crate::cure::cure;
use crate::locate;
use crate::report::diff::{Line, changed_lines};
use crate::report::{Journal, Silent, json, plain};
use crate::review::policy::{Policies, PolicyFile};
use crate::settings::Terms;

/// Watch the whole loop on an example, with nothing but this binary
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Where to unpack it; a new temporary folder by default
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Print every pull request and issue word for word
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to do where the demo cannot be unpacked.
const ELSEWHERE: &str = "kubecure demo --dir DIR takes any empty folder that can be written";

/// The repository of a small shop.
#[derive(RustEmbed)]
#[folder = "example-gitops-repo/"]
#[exclude = "README.md"]
struct Repository;

/// What a real cluster said of it.
#[derive(RustEmbed)]
#[folder = "tests/recordings/shop/"]
struct Cluster;

pub fn run(args: &DemoArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    let dir = folder_for(args)?;
    let now = Timestamp::now();
    unpack::<Repository>(&dir.join("repository"))?;
    unpack::<Cluster>(&dir.join("cluster"))?;
    let forge = LocalForge::open(&dir.join("forge"), Some(&dir.join("repository")), now).map_err(bad_input)?;
    let base = forge.repo().manifests(None, "").map_err(bad_input)?;
    let policies = policies(&base)?;
    let recording = snapshot::read(&dir.join("cluster")).map_err(bad_input)?;
    let taken = recording.snapshot.taken;
    let incidents = crate::detect::detect(&recording.snapshot);
    let sources = locate::index("the example repository", base.commit, base.files, base.skipped);
    let world = Recorded::new(recording, sources, Some(Box::new(forge) as Box<dyn Forge>));
    let terms = Terms { policies: &policies, cluster: "demo", now };
    let cases = super::world::runtime()?.block_on(async {
        let mut cases = Vec::new();
        for incident in &incidents {
            cases.push(cure(incident, &world, terms, Journal::open(incident, &mut Silent)).await.map_err(no_answer)?);
        }
        Ok::<_, CliError>(cases)
    })?;
    let text = match args.output.output {
        Format::Text => story(args, &dir, &cases),
        Format::Json => {
            let mut all = json::cure(&cases, &[], taken);
            all["dir"] = dir.display().to_string().into();
            format!("{all:#}\n")
        }
    };
    super::print(out, &text)
}

/// An empty folder, kept: the user wants to look around in it.
fn folder_for(args: &DemoArgs) -> Result<PathBuf, CliError> {
    let Some(dir) = &args.dir else {
        let made = tempfile::Builder::new().prefix("kubecure-demo-").tempdir();
        return made
            .map(tempfile::TempDir::keep)
            .map_err(|e| CliError::usage(format!("cannot make a temporary folder: {e}")).hint(ELSEWHERE));
    };
    let shown = dir.display();
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(dir.clone()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(dir.clone()),
        Ok(false) => Err(CliError::usage(format!("{shown} is not empty, and the demo wants a folder of its own"))
            .hint("--dir takes an empty folder, or one that is not there yet")),
        Err(error) => Err(CliError::usage(format!("cannot use {shown}: {error}")).hint(ELSEWHERE)),
    }
}

fn unpack<E: RustEmbed>(to: &Path) -> Result<(), CliError> {
    let failed = |e: std::io::Error| {
        CliError::usage(format!("cannot unpack the demo into {}: {e}", to.display())).hint(ELSEWHERE)
    };
    for name in E::iter() {
        let Some(file) = E::get(&name) else { continue };
        let path = to.join(name.as_ref());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(path, file.data).map_err(failed)?;
    }
    Ok(())
}

fn policies(base: &folder::RawFiles) -> Result<Policies, CliError> {
    let own = base.files.iter().filter(|(path, _)| path.starts_with(".kubecure/"));
    let own: Vec<PolicyFile<'_>> = own.map(|(path, text)| PolicyFile { path, text }).collect();
    Policies::read(&own).map_err(|problems| CliError::usage(format!("the example's policy is broken: {}", problems[0])))
}

/// What happened, as a person wants to read it.
fn story(args: &DemoArgs, dir: &Path, cases: &[Case]) -> String {
    let mut text = String::from(
        "A real cluster ran this shop, and most of it failed. KubeCure read the recording and the repository, and opened:\n\n",
    );
    for case in cases {
        match (&case.request, args.full) {
            (Some(request), true) => {
                let became = case.receipt.as_ref().map_or(String::new(), short);
                let _ = write!(text, "{became}\n{}", plain::block(&in_full(request)));
            }
            (Some(request), false) => text.push_str(&card(case, request, args.output.color())),
            (None, _) => {}
        }
    }
    text.push_str(&look_around(args, dir));
    text
}

/// A pull request or issue in a few lines: what it says, the change, and how sure.
fn card(case: &Case, request: &Request, color: bool) -> String {
    let became = case.receipt.as_ref().map_or(String::new(), short);
    let bold = anstyle::Style::new().bold();
    let mut text = format!("── {}\n", paint(color, bold, &format!("{became}  {}", plain::inline(title(request)))));
    if let Request::PullRequest(pull) = request {
        let sure = case.diagnosis.as_ref().map_or(0, |diagnosis| diagnosis.confidence);
        let _ = writeln!(text, "   {}, {sure} sure", pull.branch);
    }
    if let Some(diagnosis) = &case.diagnosis {
        text.push_str(&paragraph(&diagnosis.cause));
    }
    match (request, &case.proposal) {
        (Request::PullRequest(_), Some(proposal)) => {
            proposal.files.iter().for_each(|file| text.push_str(&change(file, color)));
        }
        _ => case.declined.iter().for_each(|declined| {
            text.push_str(&paragraph(&format!("No pull request ({}): {declined}", declined.code())));
        }),
    }
    text.push('\n');
    text
}

fn paragraph(sentence: &str) -> String {
    let sentence = plain::inline(sentence);
    let mut chars = sentence.trim_end_matches('.').chars();
    let first = chars.next().unwrap_or_default();
    // An image or a name at the beginning is what it is.
    let is_word = sentence.split(' ').next().is_some_and(|word| word.chars().all(char::is_alphabetic));
    let first = if is_word { first.to_uppercase().to_string() } else { first.to_string() };
    let sentence = format!("{first}{}.", chars.as_str());
    plain::wrap(&sentence, 96).iter().fold(String::new(), |text, line| format!("{text}   {line}\n"))
}

/// The changed lines with their place.
fn change(file: &EditedFile, color: bool) -> String {
    use anstyle::{AnsiColor, Style};
    let mut text = String::new();
    for line in changed_lines(&file.before, &file.after) {
        let (mark, content, style) = match line {
            Line::Removed { text, .. } => ('-', text, AnsiColor::Red.on_default()),
            Line::Added { text, .. } => ('+', text, AnsiColor::Green.on_default()),
            Line::Same { text, .. } => (' ', text, Style::new()),
            Line::Gap => (' ', "...", Style::new()),
        };
        if text.is_empty() {
            let _ = writeln!(text, "   {}:{}", file.path, line.number());
        }
        let _ = writeln!(text, "   {}", paint(color, style, &format!("{mark} {}", plain::inline(content))));
    }
    text
}

fn paint(color: bool, style: anstyle::Style, text: &str) -> String {
    if color { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

fn title(request: &Request) -> &str {
    match request {
        Request::PullRequest(pull) => &pull.title,
        Request::Issue(issue) => &issue.title,
        Request::Nothing(_) => "",
    }
}

fn short(receipt: &Receipt) -> String {
    match receipt {
        Receipt::Opened { kind: crate::case::EntryKind::PullRequest, number, .. } => format!("pull request #{number}"),
        Receipt::Opened { number, .. } => format!("issue #{number}"),
        other => receipt_line(other),
    }
}

fn look_around(args: &DemoArgs, dir: &Path) -> String {
    let word = |part: &str| plain::shell_word(&dir.join(part).display().to_string()).into_owned();
    let (bare, cluster, repository) = (word("forge/repo.git"), word("cluster"), word("repository"));
    let forge = plain::shell_word(&format!("local:{}", dir.join("forge").display())).into_owned();
    let dir = plain::inline(&dir.display().to_string()).into_owned();
    let more = if args.full {
        String::new()
    } else {
        "kubecure demo --full                # the same, every page word for word\n  ".to_owned()
    };
    format!(
        "Everything lies in {dir}\n  repository/   the manifests, with the policy in .kubecure/\n  cluster/      what the cluster said\n  forge/        repo.git with a branch for each pull request, pulls/ and issues/ as Markdown\n\nTry next:\n  {more}git -C {bare} log --oneline --all\n  kubecure scan --snapshot {cluster} --repo {repository}\n  kubecure cure --all --snapshot {cluster} --repo {repository} --forge {forge}   # again: opens nothing twice\n  kubecure explain oom-killed\n"
    )
}
