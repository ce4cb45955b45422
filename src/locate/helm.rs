//! A field of an object that a chart of the repository renders in, the line of the values that sets it out.
//!
//! Found by trying: a value that could be the one is changed, the chart is rendered again, and it is the one only when
//! exactly the intended field of the intended object moves. Templates are never edited.

mod chart;
mod functions;
mod release;
mod render;
mod template;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;

use serde_json::Value;

use self::chart::Loaded;
use self::release::{Layer, Release};
use super::{kustomize, manifest};
use crate::case::{Change, Declined, Link, ObjectRef, Operation, SourceLocation, Sources};
use crate::yaml::{self, FieldPath, Step};

/// Values that are tried for one field.
const MAX_TRIES: usize = 48;

/// A release with its chart, and what that renders.
struct Running<'r> {
    release: &'r Release,
    layers: &'r [Layer],
    chart: &'r Loaded,
    now: Vec<Value>,
}

/// A key of the values, and what it is to say.
type Candidate = (FieldPath, Value);

/// The place of a change of an object that a chart renders; `None` when none does.
pub(super) fn locate(
    change: &Change,
    sources: &Sources,
    home: Option<&str>,
) -> Option<Result<SourceLocation, Declined>> {
    if matches!(change.object.kind.as_str(), "HelmRelease" | "Application" | "Kustomization") {
        return None;
    }
    let releases = release::releases(sources);
    let (mut charts, mut why) = (BTreeMap::new(), None);
    for release in &releases {
        let loaded = charts.entry(release.chart.clone()).or_insert_with(|| Loaded::of(sources, &release.chart));
        if let Err(reason) = loaded {
            let is_its = live_in(release, change) && change.object.name.contains(&release.name);
            why = why.or(is_its.then(|| format!("the chart of {}: {reason}", release.owner)));
        }
    }
    let mut running = Vec::new();
    for release in &releases {
        let Some(Ok(chart)) = charts.get(&release.chart) else { continue };
        let rendered = release.layers.as_ref().map_err(Clone::clone).and_then(|layers| {
            let values = chart.chart.whole(&Release::said(layers));
            Ok((layers, chart.render(&values, &release.name, &release.namespace)?))
        });
        match rendered {
            Ok((layers, now)) => running.push(Running { release, layers, chart, now }),
            Err(reason) if live_in(release, change) => why = why.or(Some(reason)),
            Err(_) => {}
        }
    }
    let found: Vec<&Running<'_>> = running.iter().filter(|one| one.object(&one.now, change).is_some()).collect();
    match found.as_slice() {
        [] => why.map(|why| Err(blocked(None, why))),
        [one] => Some(one.locate(change, &running, sources, home)),
        _ => Some(Err(blocked(None, format!("several releases render {}", change.object)))),
    }
}

fn live_in(release: &Release, change: &Change) -> bool {
    change.object.namespace.as_deref().is_none_or(|live| live == release.namespace)
}

fn blocked(location: Option<SourceLocation>, why: String) -> Declined {
    Declined::Blocked { location: location.map(Box::new), why }
}

impl Running<'_> {
    fn is_it(&self, object: &Value, change: &Change) -> bool {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str);
        let namespace = text("/metadata/namespace").unwrap_or(&self.release.namespace);
        let name = text("/metadata/name").unwrap_or_default();
        let kind = text("/kind").unwrap_or_default();
        let id = ObjectRef::new(text("/apiVersion").unwrap_or_default(), kind, Some(namespace), name);
        let live = &change.object;
        (id.kind == live.kind && id.group == live.group && id.name == live.name)
            && live.namespace.as_deref().is_none_or(|live| live == namespace)
    }

    fn object<'v>(&self, objects: &'v [Value], change: &Change) -> Option<&'v Value> {
        objects.iter().find(|object| self.is_it(object, change))
    }

    fn render(&self, layers: &[Layer]) -> Result<Vec<Value>, String> {
        let values = self.chart.chart.whole(&Release::said(layers));
        self.chart.render(&values, &self.release.name, &self.release.namespace)
    }

    fn locate(
        &self,
        change: &Change,
        all: &[Running<'_>],
        sources: &Sources,
        home: Option<&str>,
    ) -> Result<SourceLocation, Declined> {
        let object = self.object(&self.now, change);
        let now = object.and_then(|object| change.path.get(object)).filter(|now| !now.is_null());
        let new = match (&change.operation, now) {
            (Operation::Set { from, .. }, Some(now)) if !manifest::same(from, now) => {
                return Err(blocked(None, format!("the chart renders {now} and the cluster runs {from}")));
            }
            (Operation::Add { .. }, Some(now)) => {
                return Err(blocked(None, format!("the chart renders a value already, {now}, that is not live")));
            }
            (Operation::Set { to: new, .. } | Operation::Add { value: new }, _) => new,
            (Operation::Remove { .. }, _) => {
                return Err(blocked(None, "what a chart renders is not removed by its values".to_owned()));
            }
        };
        let values = self.chart.chart.whole(&Release::said(self.layers));
        let mut found: Vec<SourceLocation> = Vec::new();
        let mut why = None;
        for (key, value) in candidates(&values, &change.path, now, new).into_iter().take(MAX_TRIES) {
            match self.place(&key, &value, change, all, sources, home) {
                Ok(place) => found.push(place),
                Err(Some(reason)) => why = why.or(Some(reason)),
                Err(None) => {}
            }
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => {
                let none = || format!("no value of {} sets `{}` and nothing else", self.release.owner, change.path);
                Err(blocked(None, why.unwrap_or_else(none)))
            }
            _ => Err(Declined::Ambiguous { what: format!("`{}` of {}", change.path, change.object), places: found }),
        }
    }

    /// Where a key is written so that the field moves and nothing else. `None` as the reason: it is not the key.
    fn place(
        &self,
        key: &FieldPath,
        value: &Value,
        change: &Change,
        all: &[Running<'_>],
        sources: &Sources,
        home: Option<&str>,
    ) -> Result<SourceLocation, Option<String>> {
        let wins = self.layers.iter().rposition(|layer| key.get(&layer.value).is_some_and(|value| !value.is_null()));
        let is_list = key.steps().iter().any(|step| !matches!(step, Step::Key(_)));
        let top = self.layers.len().checked_sub(1).filter(|top| Some(*top) != wins && !is_list);
        let mut why = None;
        for at in wins.into_iter().chain(top) {
            let layer = &self.layers[at];
            let operation = match key.get(&layer.value).filter(|value| !value.is_null()) {
                Some(old) => Operation::Set { from: old.clone(), to: value.clone() },
                None => Operation::Add { value: value.clone() },
            };
            match self.prove(layer, key, &operation, change, all) {
                Ok(()) => {}
                Err(None) => return Err(why),
                Err(reason) => {
                    why = reason;
                    continue;
                }
            }
            let placed = match &layer.file {
                Some(file) => in_file(sources, file, key, &operation),
                None => self.in_owner(&layer.base.clone().join(key), operation, sources, home),
            };
            match placed {
                Ok(place) => return Ok(self.told(place, key, at, wins)),
                Err(reason) => why = Some(reason),
            }
        }
        Err(why)
    }

    /// Shows that the field moves, and that nothing else does in any release that reads the layer.
    fn prove(
        &self,
        layer: &Layer,
        key: &FieldPath,
        operation: &Operation,
        change: &Change,
        all: &[Running<'_>],
    ) -> Result<(), Option<String>> {
        for one in all {
            let is_own = std::ptr::eq(one.release, self.release);
            let reads = |other: &Layer| match (&layer.file, &other.file) {
                (None, None) => is_own,
                (file, other) => file == other,
            };
            let mut layers = one.layers.to_vec();
            let mut read = layers.iter_mut().filter(|other| reads(other)).peekable();
            if read.peek().is_none() {
                continue;
            }
            for other in read {
                operation.apply(&mut other.value, key).ok_or(None)?;
            }
            let Ok(then) = one.render(&layers) else { return Err(None) };
            let mut wanted = one.now.clone();
            if is_own {
                let object = wanted.iter_mut().find(|object| self.is_it(object, change)).ok_or(None)?;
                change.operation.apply(object, &change.path).ok_or(None)?;
            }
            if wanted != then {
                let owner = &one.release.owner;
                return Err((!is_own).then(|| format!("`{key}` is also read by {owner}, which would change")));
            }
        }
        Ok(())
    }

    /// A place in the manifest of the release itself.
    fn in_owner(
        &self,
        path: &FieldPath,
        operation: Operation,
        sources: &Sources,
        home: Option<&str>,
    ) -> Result<SourceLocation, String> {
        let nested = [Change { object: self.release.owner.clone(), path: path.clone(), operation }];
        let mut search = kustomize::Search::new(&nested, sources, home);
        let place = super::locate(&nested[0], &mut search, sources, home).map_err(|declined| match declined {
            Declined::Blocked { why, .. } => why,
            _ => format!("where {} says `{path}` is not certain", self.release.owner),
        })?;
        let writes = place.operation(&nested[0]).clone();
        Ok(SourceLocation { also: Vec::new(), writes: Some(writes), ..place })
    }

    /// With the way that led there.
    fn told(&self, mut place: SourceLocation, key: &FieldPath, at: usize, wins: Option<usize>) -> SourceLocation {
        let chart = format!("{}Chart.yaml", self.chart.chart.folder);
        let what = format!("{} renders this chart", self.release.owner);
        place.chain.insert(0, Link { file: chart.clone(), line: 1, what });
        let sets = if wins == Some(at) { "sets it" } else { "would set it" };
        let what = format!("`{key}` of the values {sets}");
        place.chain.push(Link { file: place.file.clone(), line: place.line, what });
        place.rendered.push(chart);
        place
    }
}

fn in_file(sources: &Sources, file: &str, key: &FieldPath, writes: &Operation) -> Result<SourceLocation, String> {
    let text = &sources.files.get(file).ok_or_else(|| format!("there is no {file}"))?.text;
    let documents = yaml::documents(text).map_err(|error| error.to_string())?;
    let root = documents.first().and_then(|document| document.root.as_ref());
    let (mut node, mut is_whole) = (root.ok_or_else(|| format!("{file} says nothing"))?, true);
    for step in key.steps() {
        let Some(next) = node.child(step) else {
            is_whole = false;
            break;
        };
        node = next;
    }
    let end = manifest::end_of_last(node);
    let span = if is_whole { node.span.clone() } else { end..end };
    let (line, column) = yaml::line_column(text, span.start);
    let edit = kustomize::edit(writes, key, is_whole);
    yaml::edit(text, 0, &[edit]).map_err(|refused| refused.to_string())?;
    Ok(SourceLocation {
        file: file.to_owned(),
        document: 0,
        path: key.clone(),
        value: is_whole.then(|| node.value()),
        span,
        line,
        column,
        chain: Vec::new(),
        writes: Some(writes.clone()),
        rendered: Vec::new(),
        also: Vec::new(),
    })
}

/// Keys that could set a field, with what they would have to say.
fn candidates(values: &Value, path: &FieldPath, now: Option<&Value>, new: &Value) -> Vec<Candidate> {
    let mut all = Vec::new();
    walk(values, FieldPath::root(), &mut |key, value| match now {
        Some(now) => all.extend(instead(&key, value, now, new).map(|new| (key, new))),
        None => all.extend(below(&key, value, path).map(|key| (key, new.clone()))),
    });
    let mut seen = Vec::new();
    all.retain(|(key, _): &Candidate| {
        let is_new = !seen.contains(key);
        seen.push(key.clone());
        is_new
    });
    // Values that say the same as the field come first.
    all.sort_by_key(|(_, value)| value != new);
    all
}

fn walk(value: &Value, at: FieldPath, tell: &mut dyn FnMut(FieldPath, &Value)) {
    if at.steps().len() > 12 {
        return;
    }
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| walk(value, at.clone().key(key), tell)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| walk(item, at.clone().index(index), tell));
        }
        _ => {}
    }
    if !at.is_root() {
        tell(at, value);
    }
}

/// What a value must say so that a text it is part of, or is, becomes another.
fn instead(key: &FieldPath, value: &Value, now: &Value, new: &Value) -> Option<Value> {
    if value == now || (!value.is_object() && !value.is_array() && !value.is_null() && manifest::same(now, value)) {
        return Some(new.clone());
    }
    let (from, to) = (now.as_str()?, new.as_str()?);
    let is_tag = matches!(key.steps().last(), Some(Step::Key(name)) if name == "tag");
    if is_tag && (value.is_null() || value == "") {
        return to.rsplit_once(':').map(|(_, tag)| Value::from(tag));
    }
    let part = match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    from.match_indices(&part).find_map(|(at, _)| {
        let middle = to.strip_prefix(&from[..at])?.strip_suffix(&from[at + part.len()..])?;
        (middle != part && !middle.is_empty()).then(|| Value::from(middle))
    })
}

/// The key below a value that is named as a part of the path is.
fn below(key: &FieldPath, value: &Value, path: &FieldPath) -> Option<FieldPath> {
    let Some(Step::Key(name)) = key.steps().last() else { return None };
    let at = path.steps().iter().rposition(|step| matches!(step, Step::Key(part) if part == name))?;
    let rest = &path.steps()[at + 1..];
    let is_open = (value.is_object() && !rest.is_empty()) || value.is_null();
    let is_plain = rest.iter().all(|step| matches!(step, Step::Key(_)));
    let longer = rest.iter().cloned().fold(key.clone(), FieldPath::step);
    (is_open && is_plain).then_some(longer)
}
