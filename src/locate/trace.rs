//! A field of an object in, where in Git it is set, what led there and what else the line feeds out: for a reader, not
//! for an edit.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kustomize::{self, Applied, Seen};
use super::manifest;
use crate::case::{Declined, Feed, ObjectRef, SourceLocation, Sources};
use crate::yaml::FieldPath;

/// What is asked.
pub struct Query<'q> {
    /// The object as it was asked for; its group is empty where nobody said it.
    pub object: ObjectRef,
    /// Whether a kind is the one that was meant.
    pub is_kind: &'q dyn Fn(&str) -> bool,
    /// Only what this folder of the repository renders, or this file says.
    pub root: Option<&'q str>,
    /// Which fields; all that the repository says, if none.
    pub fields: &'q [FieldPath],
    /// The object as it runs, as far as it is known.
    pub live: Option<&'q Value>,
    /// The namespace of objects that say none.
    pub home: Option<&'q str>,
}

/// Where a field comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub object: ObjectRef,
    pub field: FieldPath,
    /// As it runs, or, where that is not known, as the repository renders it.
    pub value: Option<Value>,
    pub found: Result<SourceLocation, Declined>,
    /// Every field that the place feeds, the one itself included.
    pub feeds: Vec<Feed>,
    /// Why an edit of the place would not do, each a sentence without a period.
    pub blockers: Vec<String>,
}

/// Objects of which nobody can tell which was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Several(pub Vec<ObjectRef>);

/// One answer for each field, in the order in which they were asked.
pub fn trace(query: &Query<'_>, sources: &Sources) -> Result<Vec<Trace>, Several> {
    let applied = Applied::of(sources);
    let seen: Vec<Seen> = applied.objects().into_iter().filter(|seen| is_it(query, seen)).collect();
    let mut objects: Vec<ObjectRef> = seen.iter().map(lives).collect();
    objects.sort();
    objects.dedup();
    // A file that says no namespace is a candidate for every namespace; one that says it is meant.
    if objects.len() > 1 && query.object.namespace.is_none() {
        return Err(Several(objects));
    }
    let mut object = objects.into_iter().next().unwrap_or_else(|| query.object.clone());
    object.namespace = query.object.namespace.clone().or(object.namespace);
    let mut fields = query.fields.to_vec();
    if fields.is_empty() {
        for path in seen.iter().flat_map(|seen| applied.fields(seen)) {
            if !fields.contains(&path) {
                fields.push(path);
            }
        }
    }
    if fields.is_empty() {
        fields.push(FieldPath::root());
    }
    Ok(fields.into_iter().map(|field| one(query, &applied, sources, &seen, &object, field)).collect())
}

fn is_it(query: &Query<'_>, seen: &Seen) -> bool {
    let wanted = &query.object;
    let live = wanted.namespace.as_deref();
    let is_there = live.is_none()
        || seen.namespace.as_deref() == live
        || (seen.namespace.is_none() && query.root.is_some())
        || manifest::lives_in(seen.id.namespace.as_deref(), live, query.home);
    let is_root = query.root.is_none_or(|root| {
        let root = root.trim_start_matches("./").trim_end_matches('/');
        let folder = seen.root.rsplit_once('/').map_or("", |(folder, _)| folder);
        root == seen.root || root == folder || (root == "." && folder.is_empty())
    });
    let is_group = wanted.group.is_empty() || wanted.group == seen.id.group || query.live.is_none();
    (query.is_kind)(&seen.id.kind) && seen.id.name == wanted.name && is_there && is_root && is_group
}

/// The object, where it lives.
fn lives(seen: &Seen) -> ObjectRef {
    ObjectRef { namespace: seen.namespace.clone(), ..seen.id.clone() }
}

fn one(
    query: &Query<'_>,
    applied: &Applied<'_>,
    sources: &Sources,
    seen: &[Seen],
    object: &ObjectRef,
    field: FieldPath,
) -> Trace {
    let live = query.live.and_then(|live| field.get(live)).filter(|value| !value.is_null()).cloned();
    let mut trace = Trace {
        object: object.clone(),
        value: live.clone(),
        found: Err(not_found(object, &field, seen, live.as_ref(), sources, query.home)),
        feeds: Vec::new(),
        blockers: Vec::new(),
        field,
    };
    let mut origins = Vec::new();
    for seen in seen {
        match applied.origin(seen, &trace.field) {
            Ok(origin) => origins.extend(origin),
            Err(why) => trace.found = Err(Declined::Blocked { location: None, why }),
        }
    }
    let places: Vec<SourceLocation> = origins.iter().filter_map(|origin| origin.location.clone()).collect();
    let Some(origin) = origins.into_iter().next() else { return trace };
    let Some(first) = places.first().cloned() else { return trace };
    let is_first = |place: &SourceLocation| place.file == first.file && place.span == first.span;
    if !places.iter().all(is_first) {
        trace.value = live;
        trace.found = Err(Declined::Ambiguous { what: format!("`{}` of {object}", trace.field), places });
        return trace;
    }
    if let Some(live) = live.filter(|live| !manifest::same(live, &origin.value)) {
        trace.blockers.push(format!(
            "the repository says {} and the cluster runs {live}: it is not applied yet, or was changed by hand",
            origin.value
        ));
    }
    let feed = |(seen, field): (Seen, FieldPath)| Feed { object: lives(&seen), root: seen.root, field };
    trace.feeds = applied.feeds(&origin).into_iter().map(feed).collect();
    trace.value = trace.value.or(Some(origin.value));
    trace.blockers.extend(origin.blockers);
    trace.found = Ok(first);
    trace
}

/// Why there is no place.
fn not_found(
    object: &ObjectRef,
    field: &FieldPath,
    seen: &[Seen],
    live: Option<&Value>,
    sources: &Sources,
    home: Option<&str>,
) -> Declined {
    let Some(first) = seen.first() else {
        let why_not = kustomize::Search::new(&[], sources, home).why_not(object);
        return why_not.unwrap_or_else(|| manifest::not_in_git(object, sources));
    };
    let detail = match live {
        Some(value) => format!(
            "{} says nothing at `{field}`, and the cluster runs {value}: a default, or written by something in the \
             cluster",
            first.root
        ),
        None => format!("{} says nothing at `{field}`", first.root),
    };
    Declined::NotInGit { object: object.clone(), detail }
}

/// How much of a repository can be traced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub rows: Vec<Row>,
    /// Kustomizations that are not rendered, each with the reason.
    pub refused: Vec<(String, String)>,
}

/// One object of one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub root: String,
    pub object: ObjectRef,
    /// How many fields it says.
    pub fields: usize,
    /// How many of them can be written where they come from.
    pub traced: usize,
    /// Why the others cannot, with their number.
    pub why_not: BTreeMap<String, usize>,
}

/// Everything that is applied, field by field.
pub fn coverage(sources: &Sources) -> Coverage {
    let applied = Applied::of(sources);
    let row = |seen: Seen| {
        let reasons = applied.reasons(&seen);
        let mut why_not = BTreeMap::new();
        for why in reasons.iter().flatten() {
            *why_not.entry(why.clone()).or_insert(0) += 1;
        }
        let traced = reasons.iter().filter(|why| why.is_none()).count();
        Row { object: lives(&seen), root: seen.root, fields: reasons.len(), traced, why_not }
    };
    let rows = applied.objects().into_iter().map(row).filter(|row| row.fields > 0).collect();
    let refused = applied.refused().map(|(root, why)| (root.to_owned(), why.to_string())).collect();
    Coverage { rows, refused }
}
