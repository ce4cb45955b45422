//! `replacements`: a field of one object, or a fixed value, written into fields of others.

use regex::Regex;

use super::build::Builder;
use super::layer::{self, Layer, Refusal};
use super::resource::{Id, Resource, Selector};
use super::tree::{Data, How, Scalar, Tree};

/// Makes all replacements of a layer.
pub(super) fn replacements(builder: &mut Builder<'_>, layer: &Layer, all: &mut [Resource]) -> Result<(), Refusal> {
    for says in layer.list("replacements")? {
        let Some(path) = layer::text(says, "path")? else {
            one(builder, says, all)?;
            continue;
        };
        let route = layer.route(&path.from, format!("replaces as {} says", path.text()));
        for tree in builder.documents(layer, path, &route)? {
            let listed = if matches!(tree.data, Data::List(_)) { tree.items() } else { std::slice::from_ref(&tree) };
            listed.iter().try_for_each(|says| one(builder, says, all))?;
        }
    }
    Ok(())
}

fn one(builder: &Builder<'_>, says: &Tree, all: &mut [Resource]) -> Result<(), Refusal> {
    let targets = layer::list(says, "targets")?;
    if targets.is_empty() {
        return Err(says.from.broken("a replacement needs a source and a target"));
    }
    let value = match (says.some("source"), says.get("sourceValue")) {
        (None, Some(value)) => value.clone(),
        (Some(source), None) => match source_value(source, all)? {
            Some(value) => value,
            None if builder.is_partial() => return Ok(()),
            None => return Err(source.from.broken("its source selects nothing")),
        },
        _ => return Err(says.from.broken("a replacement needs one source")),
    };
    targets.iter().try_for_each(|target| write(target, &value, all))
}

/// The value that a source means; `None` when no object fits.
fn source_value(source: &Tree, all: &[Resource]) -> Result<Option<Tree>, Refusal> {
    let text = |key: &str| source.some(key).map_or("", Tree::text);
    let is_it = |id: &Id| {
        let wanted = Id { kind: id.kind.clone(), namespace: text("namespace").to_owned(), ..id.clone() };
        (text("name").is_empty() || id.name == text("name"))
            && (text("namespace").is_empty() || wanted.space() == id.space())
            && id.is_kind(text("group"), text("version"), text("kind"))
    };
    let mut found = all.iter().filter(|resource| resource.ids().any(|id| is_it(&id)));
    let Some(resource) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(source.from.broken("its source selects several objects"));
    }
    let path = layer::text(source, "fieldPath")?.map_or("metadata.name", Tree::text);
    let missing = || source.from.broken(format!("the object of its source has no `{path}`"));
    let found = look_up(&resource.tree, &steps(path)).ok_or_else(missing)?;
    if found.is_null() || found.is_empty_map() {
        return Err(missing());
    }
    let mut value = found.clone();
    value.mark(&How::Made("a replacement copies it from another field"));
    if let Some(options) = source.some("options") {
        let (delimiter, index) = (options.some("delimiter").map_or("", Tree::text), index_of(options));
        if !delimiter.is_empty() {
            let Data::Scalar(scalar) = &mut value.data else {
                return Err(options.from.broken("only text can be divided"));
            };
            let part = usize::try_from(index).ok().and_then(|index| scalar.text.split(delimiter).nth(index));
            let part = part.ok_or_else(|| options.from.broken(format!("there is no part {index}")))?;
            scalar.text = part.to_owned();
        }
    }
    Ok(Some(value))
}

fn index_of(options: &Tree) -> i64 {
    options.some("index").and_then(|index| index.text().parse().ok()).unwrap_or(0)
}

fn write(target: &Tree, value: &Tree, all: &mut [Resource]) -> Result<(), Refusal> {
    let select = target.some("select").ok_or_else(|| target.from.broken("a target selects nothing"))?;
    let selector = Selector::read(select).map_err(|why| select.from.unsupported(why))?;
    let reject: Vec<Selector> = layer::list(target, "reject")?
        .iter()
        .map(|says| Selector::read(says).map_err(|why| says.from.unsupported(why)))
        .collect::<Result<_, _>>()?;
    for resource in all {
        // Its name now comes first, then those that it had.
        let ids: Vec<Id> = std::iter::once(resource.id()).chain(resource.previous.iter().cloned()).collect();
        let is_rejected = reject.iter().any(|reject| {
            (reject.has_labels() && reject.selects_labels(resource))
                || (reject.has_id() && ids.iter().any(|id| reject.selects_id(id)))
        });
        if is_rejected || !selector.selects_labels(resource) || !ids.iter().any(|id| selector.selects_id(id)) {
            continue;
        }
        let paths = layer::list(target, "fieldPaths")?;
        if paths.is_empty() {
            put(&mut resource.tree, "metadata.name", target, value)?;
        }
        for path in paths {
            put(&mut resource.tree, path.text(), target, value)?;
        }
    }
    Ok(())
}

fn put(object: &mut Tree, path: &str, target: &Tree, value: &Tree) -> Result<(), Refusal> {
    let steps = steps(path);
    let goes_through_text = (1..steps.len()).any(|end| {
        look_up(object, &steps[..end]).is_some_and(|tree| matches!(tree.data, Data::Scalar(_)) && !tree.is_null())
    });
    if goes_through_text {
        return Err(target.from.unsupported(format!("`{path}` leads into a text that is itself YAML")));
    }
    let options = target.some("options");
    let create = options.and_then(|options| options.some("create")).is_some_and(|create| create.text() == "true");
    let matcher = Matcher { value, options, create };
    let count = matcher.walk(object, &steps).map_err(|why| target.from.broken(format!("{why} at `{path}`")))?;
    if count == 0 {
        return Err(target.from.broken(format!("there is no `{path}` in an object that it is for")));
    }
    Ok(())
}

/// The steps of a path with dots. What stands in brackets is one step.
pub(super) fn steps(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('.') {
        match parts.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push('.');
                last.push_str(part);
            }
            Some(last) if last.starts_with('[') && !last.ends_with(']') => {
                last.push('.');
                last.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
    }
    let bare = |part: String| match part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(key) if !key.contains('=') && part.contains('.') => key.to_owned(),
        _ => part,
    };
    parts.into_iter().map(bare).collect()
}

/// `[key=value]`.
fn item_step(step: &str) -> Option<(&str, &str)> {
    step.strip_prefix('[')?.strip_suffix(']')?.split_once('=')
}

pub(super) fn look_up<'t>(object: &'t Tree, steps: &[String]) -> Option<&'t Tree> {
    steps.iter().try_fold(object, |at, step| {
        if let Ok(index) = step.parse::<usize>() {
            return at.items().get(index);
        }
        match item_step(step) {
            Some(("", value)) => at.items().iter().find(|item| item.text() == value),
            Some((key, value)) => at.items().iter().find(|item| item.get(key).is_some_and(|own| own.text() == value)),
            None if step == "-" => at.items().last(),
            None => at.get(step),
        }
    })
}

/// Writes a value wherever a path leads.
struct Matcher<'m> {
    value: &'m Tree,
    options: Option<&'m Tree>,
    create: bool,
}

impl Matcher<'_> {
    /// The number of places that were written.
    fn walk(&self, at: &mut Tree, steps: &[String]) -> Result<usize, String> {
        let Some((step, rest)) = steps.split_first() else {
            self.set(at)?;
            return Ok(1);
        };
        if let Ok(index) = step.parse::<usize>() {
            let made = self.made(rest);
            let Data::List(items) = &mut at.data else { return Err("a list was expected".to_owned()) };
            if items.len() == index && self.create {
                items.push(made);
            }
            let item = items.get_mut(index).ok_or_else(|| format!("there is no item {index}"))?;
            return self.walk(item, rest);
        }
        if step == "*" {
            let Data::List(items) = &mut at.data else { return Err("a list was expected".to_owned()) };
            return items.iter_mut().map(|item| self.walk(item, rest)).sum();
        }
        if let Some((key, value)) = item_step(step) {
            return self.items(at, key, value, rest);
        }
        if !matches!(at.data, Data::Map(_)) {
            return if at.is_null() { Ok(0) } else { Err("a map was expected".to_owned()) };
        }
        if at.get(step).is_none() {
            if !self.create {
                return Ok(0);
            }
            at.put(step, self.made(rest));
        }
        at.get_mut(step).map_or(Ok(0), |field| self.walk(field, rest))
    }

    /// All items whose key is as a pattern says.
    fn items(&self, at: &mut Tree, key: &str, value: &str, rest: &[String]) -> Result<usize, String> {
        let pattern = Regex::new(value).map_err(|_| format!("`{value}` is no regular expression"))?;
        let from = self.value.from.clone();
        let Data::List(items) = &mut at.data else { return Err("a list was expected".to_owned()) };
        let fits = |item: &Tree| match key {
            "" => pattern.is_match(item.text()),
            key => item.get(key).is_some_and(|own| pattern.is_match(own.text())),
        };
        if !items.iter().any(fits) && self.create {
            let name = Tree::scalar(Scalar::plain(value), from.clone());
            if key.is_empty() {
                items.push(name);
            } else {
                let mut item = Tree::map(from);
                item.put(key, name);
                items.push(item);
            }
        }
        items.iter_mut().filter(|item| fits(item)).map(|item| self.walk(item, rest)).sum()
    }

    /// What is made where a step leads nowhere.
    fn made(&self, rest: &[String]) -> Tree {
        let data = match rest.first() {
            None => match self.value.data {
                Data::Scalar(_) => Data::Scalar(Scalar::plain("")),
                Data::Map(_) => Data::Map(Vec::new()),
                Data::List(_) => Data::List(Vec::new()),
            },
            Some(next) if item_step(next).is_some() || next.parse::<usize>().is_ok() => Data::List(Vec::new()),
            Some(_) => Data::Map(Vec::new()),
        };
        Tree::new(data, self.value.from.clone())
    }

    fn set(&self, field: &mut Tree) -> Result<(), String> {
        let delimiter = self.options.and_then(|options| options.some("delimiter")).map_or("", Tree::text);
        let mut text = self.value.text().to_owned();
        let mut from = self.value.from.clone();
        if !delimiter.is_empty() {
            if !matches!(field.data, Data::Scalar(_)) {
                return Err("only text can be divided".to_owned());
            }
            let mut parts: Vec<&str> = field.text().split(delimiter).collect();
            let index = self.options.map_or(0, index_of);
            match usize::try_from(index) {
                Err(_) => parts.insert(0, &text),
                Ok(index) if index >= parts.len() => parts.push(&text),
                Ok(index) => parts[index] = &text,
            }
            text = parts.join(delimiter);
            from = from.made("a replacement writes a part of it");
        }
        match (&field.data, &self.value.data) {
            (Data::Scalar(_), Data::Scalar(_)) => field.rewrite(text, from),
            _ => *field = self.value.clone().after(field),
        }
        Ok(())
    }
}
