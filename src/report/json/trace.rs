//! Traces in, JSON out: one object for one field, a list of them for several.

use serde::Serialize;
use serde_json::Value;

use super::{Link, Workload, value};
use crate::locate::trace::{self, Coverage};

/// What `trace -o json` prints: of one field that was asked for, or of several.
pub fn trace(traces: &[trace::Trace], is_one: bool) -> Value {
    let all: Vec<Trace<'_>> = traces.iter().map(Trace::of).collect();
    match all.as_slice() {
        [one] if is_one => value(one),
        several => value(&several),
    }
}

/// What `trace --all -o json` prints.
pub fn coverage(coverage: &Coverage) -> Value {
    let objects = coverage.rows.iter().map(|row| Row {
        root: &row.root,
        kind: &row.object.kind,
        namespace: row.object.namespace.as_deref(),
        name: &row.object.name,
        fields: row.fields,
        traced: row.traced,
        why_not: row.why_not.iter().map(|(reason, fields)| WhyNot { reason, fields: *fields }).collect(),
    });
    let refused = coverage.refused.iter().map(|(root, reason)| Refused { root, reason });
    value(&Whole {
        fields: coverage.rows.iter().map(|row| row.fields).sum(),
        traced: coverage.rows.iter().map(|row| row.traced).sum(),
        objects: objects.collect(),
        refused: refused.collect(),
    })
}

#[derive(Serialize)]
struct Trace<'a> {
    object: Workload<'a>,
    field: String,
    value: Option<&'a Value>,
    /// `null` where it is declined.
    location: Option<Place<'a>>,
    chain: Vec<Link<'a>>,
    feeds: Vec<Feed<'a>>,
    blockers: &'a [String],
    /// `null` where there is a location.
    declined: Option<Declined>,
}

#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: usize,
    column: usize,
}

#[derive(Serialize)]
pub(super) struct Feed<'a> {
    root: &'a str,
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
    field: String,
}

#[derive(Serialize)]
struct Declined {
    reason: &'static str,
    detail: String,
}

impl<'a> Trace<'a> {
    fn of(trace: &'a trace::Trace) -> Self {
        let location = trace.found.as_ref().ok();
        let declined = trace.found.as_ref().err();
        let chain = location.iter().flat_map(|place| &place.chain);
        Self {
            object: (&trace.object).into(),
            field: trace.field.to_string(),
            value: trace.value.as_ref(),
            location: location.map(|place| Place { file: &place.file, line: place.line, column: place.column }),
            chain: chain.map(|link| Link { file: &link.file, line: link.line, what: &link.what }).collect(),
            feeds: trace.feeds.iter().map(Feed::of).collect(),
            blockers: &trace.blockers,
            declined: declined.map(|why| Declined { reason: why.code(), detail: why.to_string() }),
        }
    }
}

impl<'a> Feed<'a> {
    pub(super) fn of(feed: &'a crate::case::Feed) -> Self {
        Self {
            root: &feed.root,
            kind: &feed.object.kind,
            namespace: feed.object.namespace.as_deref(),
            name: &feed.object.name,
            field: feed.field.to_string(),
        }
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    fields: usize,
    traced: usize,
    objects: Vec<Row<'a>>,
    refused: Vec<Refused<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    root: &'a str,
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
    fields: usize,
    traced: usize,
    why_not: Vec<WhyNot<'a>>,
}

#[derive(Serialize)]
struct WhyNot<'a> {
    reason: &'a str,
    fields: usize,
}

#[derive(Serialize)]
struct Refused<'a> {
    root: &'a str,
    reason: &'a str,
}
