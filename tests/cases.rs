//! The pages of the catalogue are tests: each case is a cluster, a repository and the screen that they must give.
//!
//! `UPDATE=1 cargo test --test cases` rewrites the screens; read the difference before it is committed.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use kubecure::adapters::recorded::Recorded;
use kubecure::adapters::{folder, snapshot};
use kubecure::case::Case;
use kubecure::cure::consider;
use kubecure::detect::Focus;
use kubecure::failures::ALL;
use kubecure::locate;
use kubecure::report::terminal::{View, screen};
use kubecure::report::{Journal, Silent};
use kubecure::review::policy::{Policies, PolicyFile};
use kubecure::settings::Terms;

/// A fenced block of a page.
struct Block<'p> {
    /// What stands after the fence: `yaml cluster`, `yaml apps/web.yaml`, `log shop/web-1/app`, `console`.
    info: &'p str,
    text: &'p str,
    /// Where the text stands in the page.
    at: std::ops::Range<usize>,
}

/// All fenced blocks of a text, with their place in it.
fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    let mut offset = 0;
    for line in page.split_inclusive('\n') {
        let next = offset + line.len();
        match (line.strip_prefix("```"), open) {
            (Some(info), None) => open = Some((info.trim(), next)),
            (Some(_), Some((info, start))) => {
                found.push(Block { info, text: &page[start..offset], at: start..offset });
                open = None;
            }
            (None, _) => {}
        }
        offset = next;
    }
    found
}

/// Sections that begin with `## Case: `, each with its place in the page.
fn cases(page: &str) -> Vec<(&str, std::ops::Range<usize>)> {
    let starts: Vec<usize> = page.match_indices("\n## Case: ").map(|(at, _)| at + 1).collect();
    let end_of = |i: usize| starts.get(i + 1).copied().unwrap_or(page.len());
    starts
        .iter()
        .enumerate()
        .map(|(i, &start)| (page[start..].lines().next().unwrap().trim_start_matches("## Case: "), start..end_of(i)))
        .collect()
}

fn write(path: PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Builds the world of a case and works it as `kubecure scan` does.
fn play(section: &str) -> String {
    let world = tempfile::tempdir().unwrap();
    let (cluster, repo) = (world.path().join("cluster"), world.path().join("repo"));
    std::fs::create_dir_all(&repo).unwrap();
    for block in blocks(section) {
        match block.info.split_once(' ') {
            Some(("yaml", "cluster")) => write(cluster.join("cluster.yaml"), block.text),
            Some(("yaml", file)) => write(repo.join(file), block.text),
            Some(("log", log)) => write(cluster.join("logs").join(format!("{log}.log")), block.text),
            _ => assert_eq!(
                block.info, "console",
                "a block of a case is `yaml cluster`, `yaml FILE`, `log NS/POD/CONTAINER` or `console`"
            ),
        }
    }
    let recording = snapshot::read(&cluster).unwrap();
    let files = folder::read(&repo).unwrap();
    let own: Vec<(String, std::sync::Arc<str>)> =
        files.files.iter().filter(|(p, _)| p.starts_with(".kubecure/")).map(|(p, t)| (p.clone(), t.clone())).collect();
    let own: Vec<PolicyFile<'_>> = own.iter().map(|(path, text)| PolicyFile { path, text }).collect();
    let policies = Policies::read(&own).unwrap();
    let gaps = recording.snapshot.gaps.clone();
    let incidents = kubecure::detect::detect(&recording.snapshot);
    let now = recording.snapshot.taken;
    let healthy = kubecure::cli::world::healthy(&recording.snapshot, &Focus::default());
    let sources = locate::index("repo", None, files.files, files.skipped);
    let shown = sources.clone();
    let world = Recorded::new(recording, sources, None);
    let terms = Terms { policies: &policies, cluster: "test", now };
    let runtime = kubecure::cli::world::runtime().unwrap();
    let cases: Vec<Case> = runtime.block_on(async {
        let mut cases = Vec::new();
        for incident in &incidents {
            let mut silent = Silent;
            let mut journal = Journal::open(incident, &mut silent);
            consider(incident, &world, terms, &mut journal).await.unwrap();
            cases.push(journal.close());
        }
        cases
    });
    screen(&cases, &View { gaps: &gaps, healthy, sources: Some(&shown), ..View::default() })
}

fn path_of(id: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/failures").join(format!("{}.md", id.replace('-', "_")))
}

#[test]
fn every_case_of_every_page_gives_its_screen() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut stale = String::new();
    let mut played = 0;
    for failure in ALL {
        let path = path_of(failure.id().0);
        let page = std::fs::read_to_string(&path).unwrap();
        let mut fresh = page.clone();
        // From the end, so that places before it stay right.
        for (name, range) in cases(&page).into_iter().rev() {
            let section = &page[range.clone()];
            let screen = play(section);
            played += 1;
            let console = blocks(section).into_iter().find(|b| b.info == "console");
            let console =
                console.unwrap_or_else(|| panic!("{}: case {name:?} has no ```console block", path.display()));
            if console.text != screen {
                writeln!(stale, "{}: case {name:?} gives\n{screen}", path.display()).unwrap();
                fresh.replace_range(range.start + console.at.start..range.start + console.at.end, &screen);
            }
        }
        if update && fresh != page {
            std::fs::write(&path, fresh).unwrap();
        }
    }
    println!("{played} cases of {} pages", ALL.len());
    assert!(update || stale.is_empty(), "{stale}\nthe pages are stale: UPDATE=1 cargo test --test cases rewrites them");
}

#[test]
fn every_page_has_a_case_with_a_change_or_says_why_there_is_none() {
    for failure in ALL {
        let id = failure.id().0;
        let page = failure.page();
        assert!(page.starts_with(&format!("# {id}\n")), "the page of {id} must begin with its id");
        assert!(!cases(page).is_empty(), "the page of {id} has no case");
        for (name, range) in cases(page) {
            assert!(page[range].contains("```yaml cluster"), "{id}: case {name:?} has no cluster");
        }
    }
}
