//! Cases in, the screen out: what a compiler would say of a running cluster.
//!
//! One block for each case: symptom, place with a caret, diff, reasons. The text alone is complete; colour is emphasis.
//! The same text stands in the terminal and on the pages of the catalogue.

mod block;
mod pen;
mod place;
mod trace;

use std::fmt::Write;

use crate::case::{Case, Gap, Sources};
use crate::report::plain;
use crate::report::tally::Tally;
use pen::Pen;

pub(super) use block::{next_steps, origin};
pub use trace::{coverage, trace};

/// What the screen needs besides the cases.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub color: bool,
    /// Columns to wrap at; 80 to 120, whatever is given.
    pub width: usize,
    /// What could not be read: shown, because a look that missed something must not read as a clean one.
    pub gaps: &'a [Gap],
    pub healthy: Healthy,
    /// Commands that a reader may want next, most useful first.
    pub next: Vec<String>,
    /// The manifests, where they are at hand: to show places in files that no proposal edits.
    pub sources: Option<&'a Sources>,
}

impl Default for View<'_> {
    fn default() -> Self {
        Self { color: false, width: 100, gaps: &[], healthy: Healthy::default(), next: Vec::new(), sources: None }
    }
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Healthy {
    pub workloads: usize,
    pub pods: usize,
}

/// Gaps shown one by one; past that, a count says enough.
const GAPS_SHOWN: usize = 8;

/// The whole screen, ending in a line break.
pub fn screen(cases: &[Case], view: &View) -> String {
    let pen = Pen::new(view.color, view.width);
    let mut blocks: Vec<String> = cases.iter().map(|case| block::of(case, view, &pen)).collect();
    blocks.extend(gaps(view.gaps, &pen));
    blocks.push(last(cases, view, &pen));
    blocks.join("\n")
}

/// Warnings, each once.
fn gaps(gaps: &[Gap], pen: &Pen) -> Option<String> {
    let mut gaps: Vec<&Gap> = gaps.iter().collect();
    gaps.sort();
    gaps.dedup();
    let (shown, rest) = gaps.split_at(gaps.len().min(GAPS_SHOWN));
    let mut out: String = shown.iter().map(|gap| pen.warning(&format!("{}: {}", gap.what, gap.why))).collect();
    if !rest.is_empty() {
        out += &pen.warning(&format!("{} more; `-o json` lists them all", rest.len()));
    }
    (!out.is_empty()).then_some(out)
}

/// Counts and the next command.
fn last(cases: &[Case], view: &View, pen: &Pen) -> String {
    let looked =
        format!("{} of {} looked at", count(view.healthy.pods, "pod"), count(view.healthy.workloads, "workload"));
    let tally = Tally::of(cases);
    let mut out = match (cases.is_empty(), view.gaps.len()) {
        (true, 0) => format!("No failures. {looked}.\n"),
        // Not a clean bill: what could not be read may fail.
        (true, gaps) => format!("No failures found, but see the {} above. {looked}.\n", warnings(gaps)),
        (false, 0) => format!("{}\n", summary(&tally)),
        (false, gaps) => format!("{}\nNot the whole picture: see the {} above.\n", summary(&tally), warnings(gaps)),
    };
    for (i, command) in view.next.iter().enumerate() {
        let lead = if i == 0 { "next:" } else { "     " };
        let _ = writeln!(out, "{} {}", pen.bold(lead), plain::inline(command));
    }
    out
}

fn warnings(gaps: usize) -> String {
    if gaps == 1 { "warning".to_owned() } else { format!("{gaps} warnings") }
}

/// "11 failures in 10 incidents: 7 with a cure, 3 for a person."
fn summary(tally: &Tally) -> String {
    let mut out = count(tally.failures, "failure");
    if tally.failures != tally.incidents {
        let _ = write!(out, " in {}", count(tally.incidents, "incident"));
    }
    let parts: Vec<String> =
        [(tally.cures, "with a cure"), (tally.held, "held for review"), (tally.person, "for a person")]
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{n} {what}"))
            .collect();
    let _ = write!(out, ": {}.", parts.join(", "));
    let delivered: Vec<String> = [(tally.pull_requests, "pull request"), (tally.issues, "issue")]
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| count(*n, what))
        .collect();
    if !delivered.is_empty() {
        let _ = write!(out, " {} opened or updated.", delivered.join(" and "));
    }
    out
}

/// "1 pod", "2 pods".
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
