//! `images`: another name, tag or digest for the images of containers.

use std::sync::Arc;

use regex::Regex;

use super::fields::{self, Config, Make};
use super::layer::{self, Layer, Refusal};
use super::resource::Resource;
use super::tree::{Data, From, How, ImageParts, Tree};

/// An image in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub name: String,
    pub tag: String,
    pub digest: String,
}

impl Image {
    /// `registry:5000/name:tag@digest`, as kustomize divides it.
    pub fn split(text: &str) -> Self {
        let of = |name: &str, tag: &str, digest: &str| Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
            digest: digest.to_owned(),
        };
        let start = text.find('/').filter(|at| *at > 0).unwrap_or(0);
        let at = text[start..].find('@').map(|at| at + start);
        let colon = text[start..].find(':').map(|at| at + start);
        match (colon, at) {
            (None, None) => of(text, "", ""),
            (colon, Some(at)) if colon.is_none_or(|colon| at < colon) => of(&text[..at], "", &text[at + 1..]),
            (Some(colon), Some(at)) => of(&text[..colon], &text[colon + 1..at], &text[at + 1..]),
            (Some(colon), None) => of(&text[..colon], &text[colon + 1..], ""),
            (None, Some(at)) => of(&text[..at], "", &text[at + 1..]),
        }
    }

    pub fn text(&self) -> String {
        let mut text = self.name.clone();
        for (mark, part) in [(':', &self.tag), ('@', &self.digest)] {
            if !part.is_empty() {
                text.push(mark);
                text.push_str(part);
            }
        }
        text
    }
}

/// An entry of `images`.
struct Entry<'t> {
    pattern: Regex,
    name: Option<&'t Tree>,
    tag: Option<&'t Tree>,
    digest: Option<&'t Tree>,
    suffix: Option<&'t Tree>,
}

/// Makes the changes of all entries.
pub(super) fn images(all: &mut [Resource], layer: &Layer, config: &Config) -> Result<(), Refusal> {
    for key in ["images", "imageTags"] {
        for says in layer.list(key)? {
            let name = layer::text(says, "name")?.map_or("", Tree::text);
            // The name is itself a regular expression to kustomize.
            let pattern = format!("^{name}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$");
            let pattern = Regex::new(&pattern).map_err(|_| says.from.unsupported("the name is no plain image name"))?;
            let entry = Entry {
                pattern,
                name: layer::text(says, "newName")?,
                tag: layer::text(says, "newTag")?,
                digest: layer::text(says, "digest")?,
                suffix: layer::text(says, "tagSuffix")?,
            };
            for resource in all.iter_mut().filter(|resource| resource.kind() != "CustomResourceDefinition") {
                entry.in_lists(&mut resource.tree);
                let id = resource.id();
                for spec in config.images.iter().filter(|spec| spec.is_for(&id)) {
                    let mut set = |tree: &mut Tree| entry.set(tree);
                    fields::apply(&mut resource.tree, spec, Make::Nothing, &says.from, &mut set)
                        .map_err(|why| says.from.broken(why))?;
                }
            }
        }
    }
    Ok(())
}

impl Entry<'_> {
    /// Wherever an object has a list of containers, also in kinds that nobody knows.
    fn in_lists(&self, tree: &mut Tree) {
        match &mut tree.data {
            Data::Scalar(_) => {}
            Data::List(items) => items.iter_mut().for_each(|item| self.in_lists(item)),
            Data::Map(entries) => {
                for (key, value) in entries {
                    self.in_lists(value);
                    if !matches!(key.as_str(), "containers" | "initContainers") {
                        continue;
                    }
                    let Data::List(items) = &mut value.data else { continue };
                    for item in items {
                        if let Some(image) = item.get_mut("image").filter(|image| !image.is_null()) {
                            let _ = self.set(image);
                        }
                    }
                }
            }
        }
    }

    fn set(&self, tree: &mut Tree) -> Result<(), String> {
        if !matches!(tree.data, Data::Scalar(_)) {
            return Err("an image must be a scalar".to_owned());
        }
        if !self.pattern.is_match(tree.text()) {
            return Ok(());
        }
        let mut image = Image::split(tree.text());
        let mut parts = parts(tree, &image);
        let mut last: Option<&From> = None;
        if let Some(name) = self.name {
            name.text().clone_into(&mut image.name);
            parts.name = name.from.clone();
            last = Some(&name.from);
        }
        let put = |image: &mut String, part: &mut Option<From>, new: Option<&Tree>| {
            *image = new.map(|new| new.text().to_owned()).unwrap_or_default();
            *part = new.map(|new| new.from.clone());
        };
        match (self.tag, self.digest, self.suffix) {
            (None, None, Some(suffix)) => {
                image.tag.push_str(suffix.text());
                parts.tag = Some(suffix.from.clone().made("a suffix was added to the tag"));
                put(&mut image.digest, &mut parts.digest, None);
                last = Some(&suffix.from);
            }
            (None, None, None) => {}
            (tag, digest, _) => {
                put(&mut image.tag, &mut parts.tag, tag);
                put(&mut image.digest, &mut parts.digest, digest);
                last = tag.or(digest).map(|part| &part.from).or(last);
            }
        }
        let Some(last) = last else { return Ok(()) };
        let from = From { how: How::Image(Arc::new(parts)), ..last.clone() };
        // What is equal is set anew all the same: from now on the entry decides.
        tree.rewrite(image.text(), from);
        Ok(())
    }
}

/// Where the parts of an image come from so far.
fn parts(tree: &Tree, image: &Image) -> ImageParts {
    if let How::Image(parts) = &tree.from.how {
        return ImageParts { name: parts.name.clone(), tag: parts.tag.clone(), digest: parts.digest.clone() };
    }
    let part = |text: &str| (!text.is_empty()).then(|| tree.from.clone());
    ImageParts { name: tree.from.clone(), tag: part(&image.tag), digest: part(&image.digest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_divided_like_kustomize_does() {
        for (text, name, tag, digest) in [
            ("web", "web", "", ""),
            ("web:1", "web", "1", ""),
            ("localhost:5000/web", "localhost:5000/web", "", ""),
            ("localhost:5000/web:1@sha256:a", "localhost:5000/web", "1", "sha256:a"),
            ("r.example/web@sha256:a", "r.example/web", "", "sha256:a"),
        ] {
            let image = Image::split(text);
            assert_eq!((image.name.as_str(), image.tag.as_str(), image.digest.as_str()), (name, tag, digest));
            assert_eq!(image.text(), text);
        }
    }
}
