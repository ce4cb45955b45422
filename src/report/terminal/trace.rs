//! Traces in, the screen out: the line that sets a field, and the way there.

use std::fmt::Write;

use serde_json::Value;

use super::pen::Pen;
use super::{View, count, place};
use crate::case::{Declined, Feed};
use crate::locate::trace::{Coverage, Trace};
use crate::report::plain;

/// Lines of a list that are shown one by one.
const SHOWN: usize = 12;
/// Columns of a value in a table.
const VALUE: usize = 30;

/// What was asked field by field: one block for each, in full.
pub fn trace(traces: &[Trace], is_whole: bool, view: &View) -> String {
    let pen = Pen::new(view.color, view.width);
    if is_whole && traces.len() > 1 {
        return whole(traces, &pen);
    }
    traces.iter().map(|trace| block(trace, view, &pen)).collect::<Vec<_>>().join("\n")
}

fn block(trace: &Trace, view: &View, pen: &Pen) -> String {
    let shown = trace.value.as_ref().map_or("not set".to_owned(), shown);
    let field = if trace.field.is_root() { String::new() } else { format!(" `{}`: {shown}", trace.field) };
    let title = plain::inline(&format!("{}{field}", trace.object)).into_owned();
    let mut out: String = plain::wrap(&title, pen.width).iter().map(|line| pen.bold(line) + "\n").collect();
    let place = match &trace.found {
        Ok(place) => place,
        Err(declined) => {
            for place in places(declined) {
                let _ = writeln!(out, "  --> {}", plain::inline(&place));
            }
            return out + &pen.note(1, "declined", &[declined.to_string()]);
        }
    };
    let text = view.sources.and_then(|sources| sources.files.get(&place.file)).map(|file| &*file.text);
    let (lines, digits) = place::one(place, text, "sets it", pen);
    out += &lines;
    out += &pen.bar(digits);
    let step =
        |(at, link): (usize, &crate::case::Link)| format!("{}. {}:{} {}", at + 1, link.file, link.line, link.what);
    let chain: Vec<String> = place.chain.iter().enumerate().map(step).collect();
    out += &pen.note(digits, "chain", &chain);
    out += &pen.note(digits, "feeds", &feeds(trace));
    if !trace.blockers.is_empty() {
        out += &pen.note(digits, "blocked", &trace.blockers);
    }
    out
}

fn places(declined: &Declined) -> Vec<String> {
    match declined {
        Declined::Ambiguous { places, .. } => places.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The other fields that an edit of the line would change, each with its root.
fn feeds(trace: &Trace) -> Vec<String> {
    let is_own = |feed: &Feed| feed.object == trace.object && feed.field == trace.field;
    let own = trace.feeds.iter().position(is_own);
    let others: Vec<&Feed> =
        trace.feeds.iter().enumerate().filter(|(at, _)| Some(*at) != own).map(|(_, f)| f).collect();
    if others.is_empty() {
        let root = trace.feeds.first().map_or("", |feed| feed.root.as_str());
        return vec![format!("nothing else ({root})")];
    }
    let line = |feed: &&Feed| format!("{} `{}` ({})", feed.object, feed.field, feed.root);
    let mut lines: Vec<String> = others.iter().take(SHOWN).map(line).collect();
    if others.len() > SHOWN {
        lines.push(format!("{} more; `-o json` lists them all", others.len() - SHOWN));
    }
    lines
}

/// All fields of an object, a line for each.
fn whole(traces: &[Trace], pen: &Pen) -> String {
    let row = |trace: &Trace| {
        let value = trace.value.as_ref().map(shown).unwrap_or_default();
        let mut place = match &trace.found {
            Ok(place) => place.to_string(),
            Err(declined) => declined.code().to_owned(),
        };
        let others = trace.feeds.len().saturating_sub(1);
        if others > 0 {
            let _ = write!(place, " (+{others})");
        }
        if !trace.blockers.is_empty() {
            place += " (blocked)";
        }
        [trace.field.to_string(), plain::cut(&plain::inline(&value), VALUE).into_owned(), place]
    };
    let rows: Vec<[String; 3]> = traces.iter().map(row).collect();
    let mut out = traces.first().map(|trace| pen.bold(&plain::inline(&trace.object.to_string()))).unwrap_or_default();
    out.push('\n');
    out += &table(["FIELD", "VALUE", "SET AT"], &rows, pen);
    let mut blockers: Vec<&String> = traces.iter().flat_map(|trace| &trace.blockers).collect();
    blockers.sort();
    blockers.dedup();
    if !blockers.is_empty() {
        out += "\nBlocked:\n";
        out.extend(blockers.iter().map(|why| format!("  {}\n", plain::inline(why))));
    }
    let found = traces.iter().filter(|trace| trace.found.is_ok() && trace.blockers.is_empty()).count();
    let _ = writeln!(
        out,
        "\n{found} of {} can be edited where they are set. (+N): the line feeds as many others.",
        count(traces.len(), "field")
    );
    out
}

fn table<const N: usize>(head: [&str; N], rows: &[[String; N]], pen: &Pen) -> String {
    let widths: Vec<usize> = (0..N)
        .map(|at| rows.iter().map(|row| plain::width(&row[at])).chain([head[at].len()]).max().unwrap_or(0))
        .collect();
    let line = |cells: &[String; N]| {
        let cells = cells.iter().enumerate().map(|(at, cell)| {
            let cell = plain::inline(cell);
            let fill = if at + 1 == N { 0 } else { (widths[at] + 2).saturating_sub(plain::width(&cell)) };
            format!("{cell}{}", " ".repeat(fill))
        });
        cells.collect::<String>().trim_end().to_owned()
    };
    let mut out = pen.bold(&line(&head.map(ToOwned::to_owned))) + "\n";
    for row in rows {
        out += &line(row);
        out.push('\n');
    }
    out
}

/// How much of a repository can be traced, an object a line, and why the rest cannot.
pub fn coverage(coverage: &Coverage, view: &View) -> String {
    let pen = Pen::new(view.color, view.width);
    let row = |row: &crate::locate::trace::Row| {
        [format!("{}/{}", row.traced, row.fields), row.object.to_string(), row.root.clone()]
    };
    let rows: Vec<[String; 3]> = coverage.rows.iter().map(row).collect();
    let mut out = table(["TRACED", "OBJECT", "RENDERED BY"], &rows, &pen);
    let mut reasons: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for (why, fields) in coverage.rows.iter().flat_map(|row| &row.why_not) {
        *reasons.entry(why).or_default() += fields;
    }
    let mut reasons: Vec<(&str, usize)> = reasons.into_iter().collect();
    reasons.sort_by_key(|(why, fields)| (std::cmp::Reverse(*fields), *why));
    if !reasons.is_empty() {
        out += "\nWhy not:\n";
        for (why, fields) in reasons {
            let _ = writeln!(out, "  {fields:>5}  {}", plain::inline(why));
        }
    }
    if !coverage.refused.is_empty() {
        out += "\nNot rendered:\n";
        for (root, why) in &coverage.refused {
            let _ = writeln!(out, "  {}: {}", plain::inline(root), plain::inline(why));
        }
    }
    let (fields, traced): (usize, usize) =
        coverage.rows.iter().fold((0, 0), |(all, done), row| (all + row.fields, done + row.traced));
    let percent = (traced * 100).checked_div(fields).unwrap_or(0);
    let objects = count(coverage.rows.len(), "object");
    let _ = writeln!(
        out,
        "\n{traced} of {} in {objects} can be traced to their line ({percent} %).",
        count(fields, "field")
    );
    out
}
