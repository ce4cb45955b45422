//! A field of a rendered object in, its place in a file out, and where else it could be set.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::files::Files;
use super::images::Image;
use super::layer::{Layer, NAMES};
use super::resource::{Resource, Selector};
use super::roots::Roots;
use super::tree::{Doc, From, How, ImageParts, Route, Tree, Was};
use crate::case::{Change, Declined, Link, Operation, SourceLocation};
use crate::yaml::{self, Action, Data, Document, Edit, FieldPath, Node, Step};

/// A place in a file.
struct Place {
    file: Arc<str>,
    document: usize,
    path: FieldPath,
    span: Range<usize>,
    /// The place in the text that stands at `path`, of a patch that is written inline: document and path.
    inside: Option<(usize, FieldPath)>,
}

/// The value's own document, read again.
fn document_of(doc: &Doc) -> Option<Document> {
    yaml::document(&doc.text, doc.offset, doc.index).ok()
}

/// The path of the node with these bytes. Items that have a name are named.
fn path_of(node: &Node, span: &Range<usize>, path: FieldPath) -> Option<FieldPath> {
    if node.span == *span {
        return Some(path);
    }
    match &node.data {
        Data::Map(entries, _) => {
            entries.iter().find_map(|entry| path_of(&entry.value, span, path.clone().key(entry.key.as_str()?)))
        }
        Data::List(items, _) => items.iter().enumerate().find_map(|(at, item)| {
            let named = item.get("name").and_then(Node::as_str).filter(|name| {
                items.iter().filter(|other| other.get("name").and_then(Node::as_str) == Some(*name)).count() == 1
            });
            let below = named.map_or_else(|| path.clone().index(at), |name| path.clone().named(name));
            path_of(item, span, below)
        }),
        _ => None,
    }
}

impl Place {
    fn of(from: &From) -> Option<Self> {
        let path = path_of(document_of(&from.doc)?.root.as_ref()?, &from.span, FieldPath::root())?;
        match &from.doc.inside {
            None => Some(Self {
                file: from.doc.file.clone(),
                document: from.doc.index,
                path,
                span: from.span.clone(),
                inside: None,
            }),
            Some(scalar) => {
                let outer = Self::of(scalar)?;
                let at = |offset| super::inline::outer_offset(scalar, &from.doc.text, offset);
                let (start, end) = (at(from.span.start), at(from.span.end));
                let span = if start < end { start..end } else { scalar.span.clone() };
                Some(Self { inside: Some((from.doc.index, path)), span, ..outer })
            }
        }
    }

    /// The bytes of the place, or of what would hold it, in the file as it was before it was edited.
    fn span_in(&self, text: &Arc<str>) -> Option<Range<usize>> {
        let bytes = |document: &Document, path: &FieldPath| {
            let (node, is_whole) = deepest(document, path)?;
            Some(if is_whole { node.span.clone() } else { end_of_last(node)..end_of_last(node) })
        };
        let documents = yaml::documents(text).ok()?;
        let document = documents.get(self.document)?;
        let outer = bytes(document, &self.path)?;
        let Some((index, path)) = &self.inside else { return Some(outer) };
        let said = document.find(&self.path).and_then(Node::as_str);
        let Some(said) = said else { return Some(outer) };
        let inner = yaml::documents(said).ok()?;
        let Some(span) = inner.get(*index).and_then(|inner| bytes(inner, path)) else { return Some(outer) };
        let doc = Doc {
            file: self.file.clone(),
            index: self.document,
            offset: document.span.start,
            text: text.clone(),
            inside: None,
            route: None,
        };
        let scalar = From::new(&Arc::new(doc), outer);
        let at = |offset| super::inline::outer_offset(&scalar, said, offset);
        Some(at(span.start)..at(span.end))
    }

    /// As a location, with what is done there.
    fn locate(self, files: &Files<'_>, value: Option<Value>, writes: Option<Operation>) -> Option<SourceLocation> {
        let text = &files.sources.files.get(&*self.file)?.text;
        let span = if files.is_edited(&self.file) { self.span_in(text)? } else { self.span.clone() };
        let (line, column) = yaml::line_column(text, span.start);
        Some(SourceLocation {
            file: self.file.to_string(),
            document: self.document,
            path: self.path,
            span,
            line,
            column,
            value,
            chain: Vec::new(),
            writes,
            rendered: Vec::new(),
            also: Vec::new(),
        })
    }
}

/// The place of a value, for reading. A file that is no YAML is named as a whole.
pub(super) fn location(from: &From, value: Value, files: &Files<'_>) -> Option<SourceLocation> {
    let place = match from.how {
        How::File => None,
        _ => Place::of(from),
    };
    let whole = || {
        let (doc, at) = from.outer();
        Place { file: doc.file.clone(), document: doc.index, path: FieldPath::root(), span: at..at, inside: None }
    };
    place.unwrap_or_else(whole).locate(files, Some(value), None)
}

/// The edit that an operation is in a document.
pub(in crate::locate) fn edit(operation: &Operation, path: &FieldPath, has_value: bool) -> Edit {
    let action = match operation {
        // Live, but not in the file: the API server's default, or a LimitRange's. It is written for the first time.
        Operation::Set { to, .. } if !has_value => Action::Add(to.clone()),
        Operation::Set { to, .. } => Action::Set(to.clone()),
        // An item of a list goes to its end.
        Operation::Add { value } => match path.split_last() {
            Some((list, Step::Named { .. } | Step::Index(_))) => {
                return Edit { path: list, action: Action::Append(value.clone()) };
            }
            _ => Action::Add(value.clone()),
        },
        Operation::Remove { .. } => Action::Remove,
    };
    Edit { path: path.clone(), action }
}

/// A rendered object, and the layer that a value may be added to.
pub(super) struct Site<'s> {
    pub files: &'s Files<'s>,
    pub roots: &'s Roots,
    pub resource: &'s Resource,
    /// All that the root renders.
    pub all: &'s [Resource],
    pub change: &'s Change,
}

/// A location, or why there is none.
pub(super) type Candidate = Result<SourceLocation, String>;

impl Site<'_> {
    /// Every place at which the change could be made, the one that sets the value now first.
    pub fn candidates(&self) -> Vec<Candidate> {
        let mut all = Vec::new();
        if let Some(tree) = self.resource.tree.find(&self.change.path).filter(|tree| !tree.is_null()) {
            all.extend(self.first_name(tree));
            all.push(self.last_writer(tree));
            all.extend(self.layers().iter().flat_map(|layer| self.in_layer(layer, Some(tree))));
        } else {
            all.push(self.beside());
            all.extend(self.layers().iter().flat_map(|layer| self.in_layer(layer, None)));
        }
        all
    }

    /// The place that wrote the value last.
    fn last_writer(&self, tree: &Tree) -> Candidate {
        match &tree.from.how {
            How::Written => self.written(&tree.from, tree.value()),
            How::Shared => Err(format!(
                "`{}` gets its value through an alias or a merge key, so the line is shared",
                self.change.path
            )),
            How::File => Err(format!("it stands in {}, which is no YAML", tree.from.doc.file)),
            How::Made(why) => Err((*why).to_owned()),
            How::Literal => self.literal(tree),
            How::Image(parts) => self.image(tree, parts),
        }
    }

    /// The name of an object as it is written, where the change wants the one that it is given: kustomize gives it then.
    fn first_name(&self, tree: &Tree) -> Option<Candidate> {
        let Operation::Set { to: Value::String(to), .. } = &self.change.operation else { return None };
        let mut renamed = self.all.iter().filter(|resource| resource.name() == to && !resource.previous.is_empty());
        let first = renamed.next().map(Resource::first_id).filter(|id| id.name != *to)?;
        let place = matches!(tree.from.how, How::Written).then(|| Place::of(&tree.from)).flatten()?;
        let operation = Operation::Set { from: tree.value(), to: Value::from(first.name) };
        self.operate(place, Some(tree.value()), &operation, Some(operation.clone()))
    }

    /// A value that stands in a document as it is.
    fn written(&self, from: &From, value: Value) -> Candidate {
        let lost = || format!("the place of `{}` was not found again", self.change.path);
        let place = Place::of(from).ok_or_else(lost)?;
        self.operate(place, Some(value), &self.change.operation, None).ok_or_else(lost)?
    }

    /// `key=value` of a generator.
    fn literal(&self, tree: &Tree) -> Candidate {
        let Operation::Set { to: Value::String(to), .. } = &self.change.operation else {
            return Err("only another text can be written to a literal".to_owned());
        };
        let written = Tree::read(&tree.from.doc, &document_of(&tree.from.doc).ok_or("its file cannot be read")?);
        let lost = "the literal was not found again";
        let place = Place::of(&tree.from).ok_or(lost)?;
        let said = written.as_ref().and_then(|all| all.find(&place.path)).map(Tree::text).ok_or(lost)?;
        let key = said.split_once('=').map_or(said, |(key, _)| key);
        let (from, to) = (Value::from(said), Value::from(format!("{key}={to}")));
        let value = Some(from.clone());
        place.locate(self.files, value, Some(Operation::Set { from, to })).ok_or_else(|| lost.to_owned())
    }

    /// An image that several places make.
    fn image(&self, tree: &Tree, parts: &ImageParts) -> Candidate {
        let Operation::Set { to: Value::String(to), .. } = &self.change.operation else {
            return Err("only another image can be written".to_owned());
        };
        let (now, new) = (Image::split(tree.text()), Image::split(to));
        if !now.digest.is_empty() && now.digest == new.digest {
            return Err("it has a digest, which decides what runs whatever the tag says".to_owned());
        }
        let of = |image: &Image| [image.name.clone(), image.tag.clone(), image.digest.clone()];
        let froms = [Some(&parts.name), parts.tag.as_ref(), parts.digest.as_ref()];
        let differing: Vec<usize> = (0..3).filter(|&at| of(&now)[at] != of(&new)[at]).collect();
        let (&[part], true) = (differing.as_slice(), differing.iter().all(|&at| froms[at].is_some())) else {
            return Err("its name, tag and digest come from several places, and more than one would change".to_owned());
        };
        let (now, new) = (&of(&now)[part], &of(&new)[part]);
        let Some(from) = froms[part] else { return Err("it has no such part".to_owned()) };
        if let How::Made(why) = from.how {
            return Err(why.to_owned());
        }
        let lost = || "the place of the image was not found again".to_owned();
        let place = Place::of(from).ok_or_else(lost)?;
        let document = document_of(&from.doc).ok_or_else(lost)?;
        let path = place.inside.as_ref().map_or(&place.path, |(_, path)| path);
        let said = document.find(path).and_then(Node::as_str).ok_or_else(lost)?.to_owned();
        // An entry says one part; a manifest says the image as a whole, under which another part may have been put.
        let text = if said == *now {
            new.clone()
        } else {
            let mut whole = Image::split(&said);
            [&mut whole.name, &mut whole.tag, &mut whole.digest][part].clone_from(new);
            whole.text()
        };
        let operation = Operation::Set { from: Value::from(said.as_str()), to: Value::from(text) };
        self.operate(place, Some(Value::from(said)), &operation, Some(operation.clone())).ok_or_else(lost)?
    }

    /// An operation at a place: in a patch that is written inline, on the text.
    fn operate(
        &self,
        place: Place,
        value: Option<Value>,
        operation: &Operation,
        writes: Option<Operation>,
    ) -> Option<Candidate> {
        let Some((index, inner)) = place.inside.clone() else {
            return place.locate(self.files, value, writes).map(Ok);
        };
        let text = self.text_at(&place)?;
        let edit = edit(operation, &inner, value.is_some());
        let new = match yaml::edit(&text, index, &[edit]) {
            Ok(new) => new,
            Err(refused) => return Some(Err(refused.to_string())),
        };
        let writes = Operation::Set { from: Value::from(text), to: Value::from(new) };
        place.locate(self.files, value.or(Some(Value::Null)), Some(writes)).map(Ok)
    }

    /// The text of an inline patch, as earlier changes have left it.
    fn text_at(&self, place: &Place) -> Option<String> {
        let document = yaml::documents(self.files.get(&place.file)?).ok()?;
        document.get(place.document)?.value_at(&place.path)?.as_str().map(ToOwned::to_owned)
    }

    /// Where a field that is nowhere yet would stand: beside those of its map that are there. List items are not invented.
    fn beside(&self) -> Candidate {
        let missing = || format!("`{}` is not set, and nothing that would hold it is there", self.change.path);
        if let Operation::Remove { .. } = self.change.operation {
            return Err(format!("`{}` is not set", self.change.path));
        }
        let mut parent = self.change.path.clone();
        let mut rest: Vec<Step> = Vec::new();
        while let Some((shorter, last)) = parent.split_last() {
            let is_item = !matches!(last, Step::Key(_));
            rest.insert(0, last.clone());
            parent = shorter;
            let found = self.resource.tree.find(&parent).filter(|tree| !tree.is_null());
            if is_item && (found.is_none() || rest.len() > 1) {
                return Err(missing());
            }
            let Some(tree) = found else { continue };
            if !matches!(tree.from.how, How::Written) {
                return Err(missing());
            }
            let mut place = Place::of(&tree.from).ok_or_else(missing)?;
            let end = end_of(&tree.from.doc, &tree.from.span);
            let extend = |path: FieldPath| rest.iter().cloned().fold(path, FieldPath::step);
            if let Some((_, path)) = &mut place.inside {
                *path = extend(path.clone());
            } else {
                place.path = extend(place.path);
                place.span = end..end;
            }
            return self.operate(place, None, &self.change.operation, None).ok_or_else(missing)?;
        }
        Err(missing())
    }

    /// The layers above the object that no other root reads, the innermost first: what is written there is for this root
    /// only.
    fn layers(&self) -> Vec<Layer> {
        let mut all = Vec::new();
        let mut route = self.resource.tree.from.doc.route.as_ref();
        while let Some(here) = route {
            if self.roots.reading(&here.file).count() == 1 {
                let folder = here.file.rsplit_once('/').map_or("", |(folder, _)| folder);
                all.extend(Layer::of(folder, self.files, here.up.clone()).ok().flatten());
            }
            route = here.up.as_ref();
        }
        all
    }

    /// What can be written in a layer: to a patch that it has, to an entry of its own, to a new patch.
    fn in_layer(&self, layer: &Layer, now: Option<&Tree>) -> Vec<Candidate> {
        let mut all = self.in_patches(layer);
        if let Some(entry) = self.entry(now) {
            all.push(self.append(layer, entry.0, entry.1));
        }
        all.push(self.new_patch(layer));
        all
    }

    /// Patches of a layer that are for the object.
    fn in_patches(&self, layer: &Layer) -> Vec<Candidate> {
        let mut all = Vec::new();
        let entries = layer.says.get("patches").map_or(&[][..], Tree::items);
        let listed = layer.says.get("patchesStrategicMerge").map_or(&[][..], Tree::items);
        for entry in entries.iter().chain(listed) {
            let target = entry.some("target").map(Selector::read);
            let text = entry.some("patch").or_else(|| entry.string().filter(|text| text.contains('\n')).map(|_| entry));
            let path = entry.some("path").or_else(|| entry.string().filter(|text| !text.contains('\n')).map(|_| entry));
            let (file, text, place) = match (text, path) {
                (Some(text), _) => (layer.path.clone(), Arc::from(text.text()), Some(text)),
                (None, Some(path)) => {
                    let Some(file) = super::layer::within(&layer.folder, path.text()) else { continue };
                    let Some(text) = self.files.get(&file) else { continue };
                    (file, text.clone(), None)
                }
                _ => continue,
            };
            let Ok(documents) = yaml::documents(&text) else { continue };
            for document in &documents {
                let is_for_it = match &target {
                    Some(selector) => selector.as_ref().is_ok_and(|selector| selector.selects(self.resource)),
                    None => self.is_named_in(document),
                };
                if is_for_it && matches!(document.root.as_ref().map(|root| &root.data), Some(Data::Map(..))) {
                    all.extend(self.in_patch(&file, &text, document, place));
                }
            }
        }
        all
    }

    fn is_named_in(&self, document: &Document) -> bool {
        let value = document.value();
        let text = |at: &str| value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, name) = (text("/kind"), text("/metadata/name"));
        self.resource.ids().any(|id| id.kind == kind && id.name == name)
    }

    /// The change, written to a patch: a text of the kustomization, or a document of a file.
    fn in_patch(&self, file: &str, text: &Arc<str>, document: &Document, inline: Option<&Tree>) -> Option<Candidate> {
        let path = &self.change.path;
        let value = document.value_at(path).filter(|value| !value.is_null());
        let operation = self.in_merge(value.is_some());
        let (deepest, is_whole) = deepest(document, path)?;
        let span = if is_whole { deepest.span.clone() } else { end_of_last(deepest)..end_of_last(deepest) };
        let doc = Doc {
            file: file.into(),
            index: document.index,
            offset: document.span.start,
            text: text.clone(),
            inside: inline.map(|text| text.from.clone()),
            route: None,
        };
        let place = match inline {
            None => Place { file: file.into(), document: document.index, path: path.clone(), span, inside: None },
            Some(scalar) => {
                let outer = Place::of(&scalar.from)?;
                let at = From::new(&Arc::new(doc), span).outer().1;
                Place { inside: Some((document.index, path.clone())), span: at..at, ..outer }
            }
        };
        let writes = (operation != self.change.operation).then(|| operation.clone());
        self.operate(place, value, &operation, writes)
    }

    /// The change in a patch that is merged: what goes away is written as null.
    fn in_merge(&self, is_there: bool) -> Operation {
        match &self.change.operation {
            Operation::Remove { from } if is_there => Operation::Set { from: from.clone(), to: Value::Null },
            Operation::Remove { .. } => Operation::Add { value: Value::Null },
            other => other.clone(),
        }
    }

    /// An entry of `images` or `replicas` that does it, where one can.
    fn entry(&self, now: Option<&Tree>) -> Option<(&'static str, Value)> {
        let Operation::Set { to, .. } = &self.change.operation else { return None };
        let last = self.change.path.steps().last();
        let is = |name: &str| matches!(last, Some(Step::Key(key)) if key == name);
        if is("image") {
            let (now, new) = (Image::split(now?.text()), Image::split(to.as_str()?));
            let no_digest = now.digest.is_empty() && new.digest.is_empty();
            let is_tag = now.name == new.name && no_digest && !new.tag.is_empty();
            return is_tag.then(|| ("images", json!({"name": now.name, "newTag": new.tag})));
        }
        let is_count = is("replicas") && self.change.path.steps().len() == 2 && to.is_i64();
        is_count.then(|| ("replicas", json!({"name": self.resource.first_id().name, "count": to})))
    }

    /// A patch that says only this.
    fn new_patch(&self, layer: &Layer) -> Candidate {
        let id = self.resource.first_id();
        let mut meta = Map::from_iter([("name".to_owned(), Value::from(id.name.as_str()))]);
        if !matches!(id.namespace.as_str(), "" | "default") && !id.is_of_cluster() {
            meta.insert("namespace".to_owned(), Value::from(id.namespace.as_str()));
        }
        let lines: Vec<String> = meta.iter().map(|(key, value)| format!("  {key}: {}", plain(value))).collect();
        let head = format!("apiVersion: {}\nkind: {}\nmetadata:\n{}\n", id.api_version(), id.kind, lines.join("\n"));
        let edit = edit(&self.in_merge(false), &self.change.path, false);
        let text = yaml::edit(&head, 0, &[edit]).map_err(|refused| refused.to_string())?;
        self.append(layer, "patches", json!({ "patch": text.trim_end() }))
    }

    /// A new item at the end of a list of a layer; the list is made if need be.
    fn append(&self, layer: &Layer, key: &str, item: Value) -> Candidate {
        let lost = || format!("{} cannot be written to", layer.path);
        let original = &self.files.sources.files.get(&layer.path).ok_or_else(lost)?.text;
        let document = yaml::document(original, 0, 0).map_err(|error| error.to_string())?;
        let root = document.root.as_ref().ok_or_else(lost)?;
        let end = root.get(key).map_or_else(|| end_of_last(root), end_of_last);
        let (path, value) = match layer.says.some(key) {
            Some(there) => (FieldPath::root().key(key).index(there.items().len()), item),
            None => (FieldPath::root().key(key), Value::Array(vec![item])),
        };
        let place = Place { file: layer.path.as_str().into(), document: 0, path, span: end..end, inside: None };
        place.locate(self.files, None, Some(Operation::Add { value })).ok_or_else(lost)
    }

    /// The way from the root to the place, and what was overwritten there; and where the value stands now, where the
    /// place is another, with the reason for that.
    pub fn chain(&self, place: &SourceLocation, why_not: Option<&Declined>) -> Vec<Link> {
        let object = &self.resource.tree.from;
        let mut chain = Vec::new();
        links(object.doc.route.as_ref(), &mut chain);
        let id = self.resource.id();
        let (file, line) = object.line();
        let made = if self.resource.is_generated { "is generated here" } else { "is declared here" };
        chain.push(Link { file, line, what: format!("{id} {made}") });
        let tree = self.resource.tree.find(&self.change.path);
        if let Some(tree) = tree {
            overwritten(tree.was.as_ref(), &mut chain);
            let (file, line) = tree.from.line();
            if let Some(Declined::Blocked { why, .. }) = why_not.filter(|_| file != place.file || line != place.line) {
                chain.push(Link { file, line, what: format!("sets it now, and stays: {why}") });
            }
        }
        let is_new = |link: &Link| link.file != place.file || link.line != place.line;
        if chain.last().is_none_or(is_new) {
            chain.push(Link { file: place.file.clone(), line: place.line, what: what(place) });
        }
        chain
    }
}

/// What a place does for the field.
fn what(place: &SourceLocation) -> String {
    let is_layer = NAMES.iter().any(|name| place.file == *name || place.file.ends_with(&format!("/{name}")));
    let first = place.path.steps().first();
    match first {
        Some(Step::Key(key)) if is_layer && place.value.is_some() => format!("`{key}` sets it"),
        Some(Step::Key(key)) if is_layer => format!("`{key}` would set it"),
        _ if place.value.is_none() => "where it would be set".to_owned(),
        _ => "sets it".to_owned(),
    }
}

/// A scalar as it can stand in a line of a new patch.
fn plain(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let is_plain = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
        && yaml::plain_scalar(text).is_string();
    if is_plain { text.to_owned() } else { value.to_string() }
}

fn links(route: Option<&Arc<Route>>, chain: &mut Vec<Link>) {
    let Some(route) = route else { return };
    links(route.up.as_ref(), chain);
    chain.push(Link { file: route.file.to_string(), line: route.line, what: route.what.clone() });
}

/// Values that were there before, the oldest first.
fn overwritten(was: Option<&Arc<Was>>, chain: &mut Vec<Link>) {
    let Some(was) = was else { return };
    overwritten(was.before.as_ref(), chain);
    let (file, line) = was.from.line();
    chain.push(Link { file, line, what: format!("said {}, which is overwritten", was.text) });
}

/// The deepest node on a path, and whether it is the end of it.
fn deepest<'d>(document: &'d Document, path: &FieldPath) -> Option<(&'d Node, bool)> {
    let mut at = document.root.as_ref()?;
    for step in path.steps() {
        match at.child(step) {
            Some(next) => at = next,
            None => return Some((at, false)),
        }
    }
    Some((at, true))
}

/// Where the last entry of a map or list ends.
fn end_of_last(node: &Node) -> usize {
    match &node.data {
        Data::Map(entries, _) => entries.last().map_or(node.span.end, |entry| entry.value.span.end),
        Data::List(items, _) => items.last().map_or(node.span.end, |item| item.span.end),
        _ => node.span.end,
    }
}

/// The same of a node of a document, by its bytes.
fn end_of(doc: &Doc, span: &Range<usize>) -> usize {
    let document = document_of(doc);
    let root = document.as_ref().and_then(|document| document.root.as_ref());
    let node = root.and_then(|root| root.find(&path_of(root, span, FieldPath::root())?));
    node.map_or(span.end, end_of_last)
}
