//! Generators of ConfigMaps and Secrets: literals, files and env files in, objects out, and the hash of what they say.

use std::fmt::Write as _;

use base64::Engine as _;
use sha2::{Digest, Sha256};

use super::build::{Builder, Made};
use super::layer::{self, Layer, Refusal};
use super::resource::{Behavior, Resource, tidy};
use super::tree::{Data, From, How, Scalar, Tree};

/// What a generator makes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    ConfigMap,
    Secret,
}

/// A key, its value, and the place of the value.
struct Pair {
    key: String,
    value: String,
    from: From,
}

/// Runs all generators of a layer; what cannot be known is named, and the rest goes on.
pub(super) fn run(builder: &mut Builder<'_>, layer: &Layer, all: &mut Vec<Resource>) -> Result<(), Refusal> {
    for (list, kind) in [("configMapGenerator", Kind::ConfigMap), ("secretGenerator", Kind::Secret)] {
        for says in layer.list(list)? {
            let generator = Generator { says, kind, global: layer.says.some("generatorOptions") };
            match generator.make(builder, layer)? {
                Made::Known(resource) => absorb(builder, all, resource)?,
                Made::Unknown => {}
            }
        }
    }
    Ok(())
}

/// An entry of a generator, with the options of its layer.
struct Generator<'t> {
    says: &'t Tree,
    kind: Kind,
    global: Option<&'t Tree>,
}

impl Generator<'_> {
    fn make(&self, builder: &mut Builder<'_>, layer: &Layer) -> Result<Made, Refusal> {
        let from = self.says.from.clone();
        let name = layer::text(self.says, "name")?.ok_or_else(|| from.broken("a generator has no name"))?;
        let mut pairs = Vec::new();
        for source in [self.env_files(builder, layer)?, Some(self.literals()?), self.files(builder, layer)?] {
            let Some(more) = source else { return Ok(Made::Unknown) };
            pairs.extend(more);
        }
        pairs.sort_by(|a, b| a.key.cmp(&b.key));
        if let Some(twice) = pairs.windows(2).find(|two| two[0].key == two[1].key) {
            return Err(from.broken(format!("the key `{}` stands twice", twice[0].key)));
        }
        let mut resource = Resource::new(self.object(name, pairs)?);
        resource.is_generated = true;
        resource.is_hashed = !self.flag("disableNameSuffixHash");
        resource.behavior = match layer::text(self.says, "behavior")?.map(Tree::text) {
            Some("replace") => Behavior::Replace,
            Some("merge") => Behavior::Merge,
            _ => Behavior::Create,
        };
        Ok(Made::Known(resource))
    }

    fn object(&self, name: &Tree, pairs: Vec<Pair>) -> Result<Tree, Refusal> {
        let from = &self.says.from;
        let text = |text: &str| Tree::scalar(Scalar::string(text), from.clone());
        let mut object = Tree::map(from.clone());
        let mut meta = Tree::map(from.clone());
        object.put("apiVersion", text("v1"));
        object.put("kind", text(if self.kind == Kind::Secret { "Secret" } else { "ConfigMap" }));
        meta.put("name", Tree::scalar(Scalar::string(name.text()), name.from.clone()));
        if let Some(namespace) = layer::text(self.says, "namespace")? {
            meta.put("namespace", Tree::scalar(Scalar::string(namespace.text()), namespace.from.clone()));
        }
        for field in ["labels", "annotations"] {
            let options = self.options(field)?;
            if !options.is_empty() {
                let mut map = Tree::map(from.clone());
                for (key, tree) in options {
                    map.put(key, Tree::scalar(Scalar::string(tree.text()), tree.from.clone()));
                }
                meta.put(field, map);
            }
        }
        object.put("metadata", meta);
        if self.kind == Kind::Secret {
            let kind = layer::text(self.says, "type")?.map_or("Opaque", Tree::text);
            object.put("type", text(kind));
        }
        if self.kind == Kind::Secret || !pairs.is_empty() {
            let mut data = Tree::map(from.clone());
            for pair in pairs {
                let value = if self.kind == Kind::Secret { encoded(pair.value.as_bytes()) } else { pair.value };
                let mut place = pair.from;
                if self.kind == Kind::Secret {
                    place = place.made("it is encoded in a Secret");
                }
                data.put(&pair.key, Tree::scalar(Scalar::string(value), place));
            }
            object.put("data", data);
        }
        if self.flag("immutable") {
            object.put("immutable", Tree::scalar(Scalar::plain("true"), from.clone()));
        }
        Ok(object)
    }

    /// An option that is on in the entry or for the whole layer.
    fn flag(&self, key: &str) -> bool {
        let is_on = |options: Option<&Tree>| options.and_then(|all| all.get(key)).is_some_and(|on| on.text() == "true");
        is_on(self.says.some("options")) || is_on(self.global)
    }

    /// Labels or annotations: those of the entry, and those of the layer that it does not say otherwise.
    fn options(&self, field: &str) -> Result<Vec<(&str, &Tree)>, Refusal> {
        let mut all = self.says.some("options").map_or(Ok(Vec::new()), |own| layer::pairs(own, field))?;
        for (key, tree) in self.global.map_or(Ok(Vec::new()), |global| layer::pairs(global, field))? {
            if all.iter().all(|(own, _)| *own != key) {
                all.push((key, tree));
            }
        }
        Ok(all)
    }

    fn literals(&self) -> Result<Vec<Pair>, Refusal> {
        let pair = |tree: &Tree| {
            let text = layer::typed(tree).unwrap_or_default();
            let (key, value) = text
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| tree.from.broken("a literal must be `key=value`"))?;
            let from = From { how: How::Literal, ..tree.from.clone() };
            Ok(Pair { key: key.to_owned(), value: unquoted(value).to_owned(), from })
        };
        layer::list(self.says, "literals")?.iter().map(pair).collect()
    }

    fn files(&self, builder: &mut Builder<'_>, layer: &Layer) -> Result<Option<Vec<Pair>>, Refusal> {
        let mut pairs = Vec::new();
        for tree in layer::list(self.says, "files")? {
            let (key, path) = match tree.text().split_once('=') {
                None => (tree.text().rsplit('/').next().unwrap_or_default(), tree.text()),
                Some((key, path)) if !key.is_empty() && !path.is_empty() && !path.contains('=') => (key, path),
                Some(_) => return Err(tree.from.broken("a file must be `path` or `key=path`")),
            };
            let Some((text, from)) = builder.text(layer, path, tree)? else { return Ok(None) };
            pairs.push(Pair { key: key.to_owned(), value: text.to_string(), from });
        }
        Ok(Some(pairs))
    }

    fn env_files(&self, builder: &mut Builder<'_>, layer: &Layer) -> Result<Option<Vec<Pair>>, Refusal> {
        let one = layer::text(self.says, "env")?;
        let mut pairs = Vec::new();
        for tree in layer::list(self.says, "envs")?.iter().chain(one) {
            let Some((text, whole)) = builder.text(layer, tree.text(), tree)? else { return Ok(None) };
            let mut at = 0;
            for line in text.split_inclusive('\n') {
                let start = at;
                at += line.len();
                let written = line.trim_start_matches('\u{feff}').trim_start();
                let body = written.trim_end_matches('\n');
                let body = body.strip_suffix('\r').unwrap_or(body);
                if body.is_empty() || body.starts_with('#') {
                    continue;
                }
                let (key, value) = body.split_once('=').unwrap_or((body, ""));
                let start = start + line.len() - written.len();
                let from = From { span: start..start + body.len(), ..whole.clone() };
                pairs.push(Pair { key: key.to_owned(), value: value.to_owned(), from });
            }
        }
        Ok(Some(pairs))
    }
}

/// Adds what a generator made to the objects: beside them, or into one that is there.
fn absorb(builder: &Builder<'_>, all: &mut Vec<Resource>, mut made: Resource) -> Result<(), Refusal> {
    let id = made.id();
    let from = made.tree.from.clone();
    let found: Vec<usize> = (0..all.len()).filter(|&at| all[at].ids().any(|own| own.is(&id))).collect();
    match (found.as_slice(), made.behavior) {
        ([], Behavior::Create) => all.push(made),
        ([], _) if builder.is_partial() => {}
        ([], _) => return Err(from.broken(format!("there is no {id} to merge with or to replace"))),
        ([_], Behavior::Create) => {
            return Err(from.broken(format!("there is a {id} already: `behavior` must say merge or replace")));
        }
        ([at], behavior) => {
            let old = all[*at].clone();
            take_over(&mut made, &old, behavior);
            all[*at] = made;
        }
        _ => return Err(from.broken(format!("several objects are called {id}"))),
    }
    Ok(())
}

/// What a new object keeps of the one that it replaces or is merged into.
fn take_over(made: &mut Resource, old: &Resource, behavior: Behavior) {
    made.previous.clone_from(&old.previous);
    made.prefixes.clone_from(&old.prefixes);
    made.suffixes.clone_from(&old.suffixes);
    made.vars.clone_from(&old.vars);
    made.is_hashed = made.is_hashed && old.is_hashed;
    made.behavior = old.behavior;
    for field in ["labels", "annotations"] {
        merge_map(&mut made.tree, &old.tree, &["metadata", field]);
        tidy(&mut made.tree, field);
    }
    if let (Some(meta), Some(own)) = (made.tree.get_mut("metadata"), old.tree.get("metadata")) {
        for key in ["name", "namespace"] {
            meta.remove(key);
            if let Some(value) = own.some(key) {
                meta.put(key, value.clone());
            }
        }
    }
    if behavior == Behavior::Merge {
        merge_map(&mut made.tree, &old.tree, &["data"]);
        merge_map(&mut made.tree, &old.tree, &["binaryData"]);
    }
}

/// Adds to a map of strings what only the older one has.
fn merge_map(new: &mut Tree, old: &Tree, keys: &[&str]) {
    let Some(old) = old.at(keys).filter(|old| !old.entries().is_empty()) else { return };
    let mut at = new;
    for key in keys {
        if at.some(key).is_none() {
            let from = old.from.clone();
            at.put(key, Tree::map(from));
        }
        let Some(next) = at.get_mut(key) else { return };
        at = next;
    }
    for (key, value) in old.entries() {
        match at.get_mut(key) {
            Some(own) => *own = own.clone().after(value),
            None => at.put(key, Tree { data: Data::Scalar(Scalar::string(value.text())), ..value.clone() }),
        }
    }
}

/// Base64 as kustomize writes it: in lines of 70 when it does not fit one.
fn encoded(bytes: &[u8]) -> String {
    const LINE: usize = 70;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    if text.len() < LINE {
        return text;
    }
    let mut lines = String::new();
    for line in text.as_bytes().chunks(LINE) {
        lines.extend(line.iter().map(|&byte| char::from(byte)));
        lines.push('\n');
    }
    lines
}

/// A value without the quotes around it, if they are a pair.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

/// The hash that a generated object's name ends with.
pub(super) fn hash(object: &Tree) -> String {
    let said = |keys: &[&str]| object.at(keys);
    let mut parts: Vec<(&str, String)> = Vec::new();
    let kind = said(&["kind"]).map_or("", Tree::text);
    let map = |keys: &[&str]| said(keys).map(json);
    parts.push(("data", map(&["data"]).unwrap_or_else(|| "\"\"".to_owned())));
    parts.push(("kind", quoted(kind)));
    // Kustomize means to hash the name, too, and looks for it where it is not.
    parts.push(("name", quoted("")));
    if kind == "Secret" {
        parts.push(("type", quoted(said(&["type"]).map_or("", Tree::text))));
        parts.extend(map(&["stringData"]).map(|json| ("stringData", json)));
    } else {
        parts.extend(map(&["binaryData"]).map(|json| ("binaryData", json)));
    }
    parts.sort_by_key(|(key, _)| *key);
    let fields: Vec<String> = parts.iter().map(|(key, json)| format!("{}:{json}", quoted(key))).collect();
    let digest = Sha256::digest(format!("{{{}}}", fields.join(",")).as_bytes());
    let mut hex = String::new();
    for byte in digest.iter().take(5) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex.chars()
        .map(|c| match c {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect()
}

/// JSON as Go writes it: keys in order, and `<`, `>`, `&` escaped.
fn json(tree: &Tree) -> String {
    match &tree.data {
        Data::Scalar(scalar) => match scalar.value() {
            serde_json::Value::String(text) => quoted(&text),
            other => other.to_string(),
        },
        Data::List(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        Data::Map(entries) => {
            let mut entries: Vec<&(String, Tree)> = entries.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let fields: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}:{}", quoted(key), json(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
