//! `vars`: `$(NAME)` in the fields that may have it, replaced by what a field of some object says in the end.

use std::collections::BTreeMap;

use super::fields::{self, Make, Spec};
use super::layer::{self, Layer, Refusal};
use super::resource::{Id, Resource};
use super::tree::{Data, From, How, Scalar, Style, Tree};

/// A variable: the object that has its name among [`Resource::vars`] says its value, at a path.
pub(super) struct Var {
    name: String,
    path: String,
    from: From,
}

/// Notes the variables of a layer with the objects that they are of.
pub(super) fn take(layer: &Layer, all: &mut [Resource], vars: &mut Vec<Var>) -> Result<(), Refusal> {
    for says in layer.list("vars")? {
        let name = layer::text(says, "name")?.map_or("", Tree::text).to_owned();
        if vars.iter().any(|var| var.name == name) {
            return Err(says.from.broken(format!("the variable {name} stands twice")));
        }
        let target = says.some("objref").ok_or_else(|| says.from.broken("a variable has no `objref`"))?;
        let text = |key: &str| target.some(key).map_or("", Tree::text).to_owned();
        let mut id = Id {
            group: text("group"),
            version: text("version"),
            kind: text("kind"),
            name: text("name"),
            namespace: text("namespace"),
        };
        match text("apiVersion").split_once('/') {
            Some((group, version)) => (id.group, id.version) = (group.to_owned(), version.to_owned()),
            None if !text("apiVersion").is_empty() => id.version = text("apiVersion"),
            None => {}
        }
        let is_it = |own: &Id| {
            let is_space = id.namespace.is_empty() || own.space() == id.space();
            is_space && (&own.group, &own.version, &own.kind, &own.name) == (&id.group, &id.version, &id.kind, &id.name)
        };
        let mut found = all.iter_mut().filter(|resource| resource.ids().any(|own| is_it(&own)));
        let first = found.next();
        if found.next().is_some() {
            return Err(says.from.broken(format!("the variable {name} may be of several objects")));
        }
        if let Some(resource) = first {
            resource.vars.push(name.clone());
        }
        let path = says.at(&["fieldref", "fieldPath"]).or_else(|| says.at(&["fieldref", "fieldpath"]));
        let path = path.map_or("metadata.name", Tree::text).to_owned();
        vars.push(Var { name, path, from: says.from.clone() });
    }
    Ok(())
}

/// Replaces all variables; in a rendering that lacks objects, those that it has.
pub(super) fn resolve(all: &mut [Resource], vars: &[Var], specs: &[Spec], is_partial: bool) -> Result<(), Refusal> {
    let mut values: BTreeMap<&str, Scalar> = BTreeMap::new();
    for var in vars {
        let Some(resource) = all.iter().find(|resource| resource.vars.contains(&var.name)) else {
            if is_partial {
                continue;
            }
            return Err(var.from.broken(format!("no object is that of the variable {}", var.name)));
        };
        let found = super::replace::look_up(&resource.tree, &steps(&var.path));
        let missing = || var.from.broken(format!("the object of the variable {} has no `{}`", var.name, var.path));
        if let Data::Scalar(scalar) = &found.ok_or_else(missing)?.data {
            values.insert(&var.name, scalar.clone());
        }
    }
    if values.is_empty() {
        return Ok(());
    }
    for resource in all {
        let id = resource.id();
        for spec in specs.iter().filter(|spec| spec.is_for(&id)) {
            let from = resource.tree.from.clone();
            let mut set = |tree: &mut Tree| replace(tree, &values);
            fields::apply(&mut resource.tree, spec, Make::Nothing, &from, &mut set).map_err(|why| from.broken(why))?;
        }
    }
    Ok(())
}

/// `spec.ports[0].port` as steps.
fn steps(path: &str) -> Vec<String> {
    let mut all = Vec::new();
    for part in super::replace::steps(path) {
        match part.split_once('[') {
            Some((name, index)) if !name.is_empty() && part.ends_with(']') => {
                all.extend([name.to_owned(), index.trim_end_matches(']').to_owned()]);
            }
            _ => all.push(part),
        }
    }
    all
}

fn replace(tree: &mut Tree, values: &BTreeMap<&str, Scalar>) -> Result<(), String> {
    match &mut tree.data {
        Data::Scalar(_) => expand_in(tree, values),
        Data::Map(entries) => entries.iter_mut().for_each(|(_, value)| expand_in(value, values)),
        Data::List(items) => {
            if items.iter().any(|item| !is_string(item)) {
                return Err("an item is no string".to_owned());
            }
            for item in items {
                expand_in(item, values);
            }
        }
    }
    Ok(())
}

fn is_string(tree: &Tree) -> bool {
    matches!(&tree.data, Data::Scalar(scalar) if scalar.value().is_string())
}

fn expand_in(tree: &mut Tree, values: &BTreeMap<&str, Scalar>) {
    if !is_string(tree) {
        return;
    }
    let scalar = expand(tree.text(), values);
    if scalar.text != tree.text() {
        tree.from.how = How::Made("a variable is replaced in it");
    }
    tree.data = Data::Scalar(scalar);
}

/// A text with its variables replaced. One that is nothing but a variable gets the type of the value.
fn expand(text: &str, values: &BTreeMap<&str, Scalar>) -> Scalar {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$').filter(|at| at + 1 < rest.len()) {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let Some(inner) = after.strip_prefix('(') else {
            // `$$` is a dollar; any other sign after one stands for itself.
            let first = after.chars().next().map_or(0, char::len_utf8);
            out.push_str(if after.starts_with('$') { "$" } else { &rest[at..=at + first] });
            rest = &after[first..];
            continue;
        };
        let Some(end) = inner.find(')') else {
            out.push_str("$(");
            rest = inner;
            continue;
        };
        let name = &inner[..end];
        match values.get(name) {
            Some(value) if text.len() == name.len() + 3 => {
                let style = if value.value().is_string() { Style::Text } else { Style::Plain };
                return Scalar { text: value.text.clone(), style };
            }
            Some(value) => out.push_str(&value.text),
            None => out.push_str(&rest[at..at + name.len() + 3]),
        }
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Scalar::string(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_like_kustomize_replaces_them() {
        let values = BTreeMap::from([("A", Scalar::string("x")), ("N", Scalar::plain("8080"))]);
        for (text, result) in [
            ("$(A)", "x"),
            ("http://$(A):$(N)/", "http://x:8080/"),
            ("$(B) $$(A) $x $", "$(B) $(A) $x $"),
            ("$(A", "$(A"),
            ("a$", "a$"),
        ] {
            assert_eq!(expand(text, &values).text, result, "{text}");
        }
        assert_eq!(expand("$(N)", &values).value(), 8080);
    }
}
