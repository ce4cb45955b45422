//! Text in, the objects that it declares out: what the index of a repository is made of.
//!
//! The events of the parser are looked at as they go by. No tree is built, and what no field of an outline can come from
//! is only counted past.

use granit_parser::Event;

use super::FieldPath;
use super::tape::{Tapes, Unreadable};

/// An object of a file, by what finds it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Number of the document, from 0, empty ones counted.
    pub document: usize,
    /// Where the object stands in its document: empty, or `items[3]` in a List.
    pub root: FieldPath,
    /// Byte at which the document starts.
    pub offset: usize,
    pub api_version: String,
    pub kind: String,
    /// As the file says: `None` when it says nothing.
    pub namespace: Option<String>,
    /// Empty when the object has none, as most `kustomization.yaml` have not.
    pub name: String,
    /// Keys of `data`, `stringData` and `binaryData`, or those that the Secret of a SealedSecret or ExternalSecret gets.
    /// Never values.
    pub keys: Vec<String>,
    /// Name of the Secret that an ExternalSecret makes, where it says one.
    pub generated_name: Option<String>,
}

/// All objects of a file, in order. Documents without a `kind` are passed over; the items of a List stand for the List.
pub fn outline(text: &str) -> Result<Vec<Outline>, Unreadable> {
    let mut events = Tapes::new(text, 0)?;
    let mut walk = Walk::default();
    while let Some((event, span)) = events.event()? {
        match event {
            Event::DocumentStart(..) => walk.begin(events.start),
            Event::DocumentEnd => {
                walk.finish();
                let end = events.range(&span);
                events.pass(&end);
            }
            event => walk.take(&event),
        }
    }
    Ok(walk.found)
}

/// Where in an object a container stands, as far as that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Object,
    Metadata,
    Items,
    /// A map whose keys are collected.
    Keys,
    Spec,
    SealedKeys,
    /// `spec.data` of an ExternalSecret, and an item of it.
    ExternalData,
    ExternalItem,
    Target,
    Template,
    TemplateKeys,
    Other,
}

/// A field that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    ApiVersion,
    Kind,
    Name,
    Namespace,
    SecretKey,
    TargetName,
}

/// What the value of a key is to us.
#[derive(Clone, Copy, Debug, Default)]
struct Meaning {
    place: Option<Place>,
    field: Option<Field>,
}

struct Frame {
    place: Place,
    is_map: bool,
    /// In a map: whether a key comes next.
    at_key: bool,
    /// In a map: what the last key means.
    meaning: Meaning,
}

/// What is known of an object so far.
#[derive(Default)]
struct Draft {
    outline: Outline,
    sealed: Vec<String>,
    external: Vec<String>,
}

#[derive(Default)]
struct Walk {
    found: Vec<Outline>,
    document: usize,
    started: bool,
    offset: usize,
    frames: Vec<Frame>,
    /// Depth inside of a container that holds nothing for us.
    skipped: usize,
    /// The document's own object, then the one of its items that is open.
    drafts: Vec<Draft>,
    items: Vec<Outline>,
    item_count: usize,
    has_items: bool,
}

impl Walk {
    fn begin(&mut self, offset: usize) {
        self.document += usize::from(std::mem::replace(&mut self.started, true));
        self.offset = offset;
        self.frames.clear();
        self.drafts.clear();
        self.items.clear();
        self.item_count = 0;
        self.has_items = false;
    }

    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) if self.skipped > 0 => self.skipped += 1,
            Event::MappingEnd | Event::SequenceEnd if self.skipped > 0 => {
                self.skipped -= 1;
                if self.skipped == 0 {
                    self.complete();
                }
            }
            _ if self.skipped > 0 => {}
            Event::MappingStart(..) => self.open(true),
            Event::SequenceStart(..) => self.open(false),
            Event::MappingEnd | Event::SequenceEnd => self.close(),
            Event::Scalar(text, ..) => self.scalar(text),
            Event::Alias(_) => self.complete(),
            _ => {}
        }
    }

    fn open(&mut self, is_map: bool) {
        let place = match self.frames.last() {
            None if is_map => Place::Object,
            None => Place::Other,
            Some(frame) if frame.is_map && frame.at_key => Place::Other,
            Some(frame) if frame.is_map => frame.meaning.place.unwrap_or(Place::Other),
            Some(frame) => match frame.place {
                Place::Items if is_map => Place::Object,
                Place::ExternalData if is_map => Place::ExternalItem,
                _ => Place::Other,
            },
        };
        let fits = match place {
            Place::Items | Place::ExternalData => !is_map,
            Place::Other => false,
            _ => is_map,
        };
        if !fits {
            self.skipped = 1;
            return;
        }
        match place {
            Place::Object => self.drafts.push(Draft::default()),
            Place::Items => self.has_items = true,
            _ => {}
        }
        self.frames.push(Frame { place, is_map, at_key: true, meaning: Meaning::default() });
    }

    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        if frame.place == Place::Object && !self.frames.is_empty() {
            let root = FieldPath::root().key("items").index(self.item_count);
            if let Some(draft) = self.drafts.pop() {
                self.items.push(draft.complete(self.document, self.offset, root));
            }
        }
        self.complete();
    }

    fn scalar(&mut self, text: &str) {
        let in_item = self.frames.len() > 1;
        let Some(frame) = self.frames.last_mut() else { return };
        if frame.is_map && frame.at_key {
            frame.meaning = meaning(frame.place, text, in_item);
            let keys = match (frame.place, self.drafts.last_mut()) {
                (Place::Keys, Some(draft)) => &mut draft.outline.keys,
                (Place::SealedKeys, Some(draft)) => &mut draft.sealed,
                (Place::TemplateKeys, Some(draft)) => &mut draft.external,
                _ => return self.complete(),
            };
            keys.push(text.to_owned());
        } else if let (true, Some(field), Some(draft)) = (frame.is_map, frame.meaning.field, self.drafts.last_mut()) {
            draft.set(field, text);
        }
        self.complete();
    }

    /// A node has ended: in a map, key and value take turns.
    fn complete(&mut self) {
        let Some(frame) = self.frames.last_mut() else { return };
        frame.at_key = !frame.at_key;
        if frame.place == Place::Items {
            self.item_count += 1;
        }
    }

    fn finish(&mut self) {
        let Some(draft) = self.drafts.pop() else { return };
        let list = draft.complete(self.document, self.offset, FieldPath::root());
        let Some(of) = list.kind.strip_suffix("List").filter(|_| self.has_items) else {
            if !list.kind.is_empty() {
                self.found.push(list);
            }
            return;
        };
        // The API server leaves kind and version out of the items of a PodList.
        for mut item in self.items.drain(..) {
            if item.kind.is_empty() {
                of.clone_into(&mut item.kind);
                item.api_version.clone_from(&list.api_version);
            }
            if !item.kind.is_empty() {
                self.found.push(item);
            }
        }
    }
}

/// What the value of `key` is, in a map at that place.
fn meaning(place: Place, key: &str, in_item: bool) -> Meaning {
    let (place, field) = match (place, key) {
        (Place::Object, "metadata") => (Some(Place::Metadata), None),
        (Place::Object, "data" | "stringData" | "binaryData") => (Some(Place::Keys), None),
        (Place::Object, "spec") => (Some(Place::Spec), None),
        (Place::Object, "items") if !in_item => (Some(Place::Items), None),
        (Place::Object, "kind") => (None, Some(Field::Kind)),
        (Place::Object, "apiVersion") => (None, Some(Field::ApiVersion)),
        (Place::Metadata, "name") => (None, Some(Field::Name)),
        (Place::Metadata, "namespace") => (None, Some(Field::Namespace)),
        (Place::Spec, "encryptedData") => (Some(Place::SealedKeys), None),
        (Place::Spec, "data") => (Some(Place::ExternalData), None),
        (Place::Spec, "target") => (Some(Place::Target), None),
        (Place::ExternalItem, "secretKey") => (None, Some(Field::SecretKey)),
        (Place::Target, "name") => (None, Some(Field::TargetName)),
        (Place::Target, "template") => (Some(Place::Template), None),
        (Place::Template, "data") => (Some(Place::TemplateKeys), None),
        _ => (None, None),
    };
    Meaning { place, field }
}

impl Draft {
    fn set(&mut self, field: Field, text: &str) {
        // The parser says `~` for a value that is missing.
        if matches!(text, "" | "~") {
            return;
        }
        let text = text.to_owned();
        match field {
            Field::ApiVersion => self.outline.api_version = text,
            Field::Kind => self.outline.kind = text,
            Field::Name => self.outline.name = text,
            Field::Namespace => self.outline.namespace = Some(text),
            Field::SecretKey => self.external.push(text),
            Field::TargetName => self.outline.generated_name = Some(text),
        }
    }

    fn complete(self, document: usize, offset: usize, root: FieldPath) -> Outline {
        let Self { mut outline, sealed, external } = self;
        let is_external = matches!(outline.kind.as_str(), "ExternalSecret" | "ClusterExternalSecret");
        if !is_external {
            outline.generated_name = None;
        }
        if is_external {
            outline.keys = external;
        } else if outline.kind == "SealedSecret" {
            outline.keys = sealed;
        }
        Outline { document, root, offset, ..outline }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let line = |o: &Outline| {
            format!(
                "{}@{} {} {} {}/{} {:?} {:?}",
                o.document,
                o.offset,
                o.root,
                o.api_version,
                [&o.kind, o.namespace.as_deref().unwrap_or("-")].join(" "),
                o.name,
                o.keys,
                o.generated_name
            )
        };
        let found = outline(text).unwrap();
        assert!(found.iter().all(|o| o.offset == 0 || text[o.offset..].starts_with("---")));
        found.iter().map(line).collect()
    }

    #[test]
    fn objects_are_found_with_their_document_and_offset() {
        let text = "# c\n---\n---\nkind: Deployment\napiVersion: apps/v1\nspec: {template: {metadata: {name: no}}}\nmetadata:\n  labels: {name: no}\n  name: web\n  namespace: shop\n--- \nfoo: 1\n---\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  a: |\n    kind: no\n  b: {}\nbinaryData: {c: x}\n";
        assert_eq!(
            lines(text),
            ["1@8  apps/v1 Deployment shop/web [] None", "3@163   ConfigMap -/c [\"a\", \"b\", \"c\"] None",]
        );
    }

    #[test]
    fn items_of_lists_stand_for_the_list_also_in_json() {
        let text = r#"{"apiVersion": "v1", "items": [{"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "djE="}}, null, {"metadata": {"name": "p"}}], "kind": "PodList"}"#;
        assert_eq!(lines(text), ["0@0 items[0]  Secret -/s [\"k\"] None", "0@0 items[2] v1 Pod -/p [] None"]);
        assert_eq!(lines("kind: AllowList\nmetadata: {name: a}\n"), ["0@0   AllowList -/a [] None"]);
    }

    #[test]
    fn secrets_that_are_made_elsewhere_tell_their_keys() {
        let text = "kind: SealedSecret\nmetadata: {name: s}\nspec:\n  encryptedData: {pw: AgB=}\n  template: {data: {x: y}}\n---\nkind: ExternalSecret\nmetadata: {name: e}\nspec:\n  target:\n    name: made\n    template:\n      data: {url: x}\n  data:\n    - secretKey: user\n      remoteRef: {key: k}\n";
        assert_eq!(
            lines(text),
            ["0@0   SealedSecret -/s [\"pw\"] None", "1@100   ExternalSecret -/e [\"url\", \"user\"] Some(\"made\")"]
        );
    }
}
