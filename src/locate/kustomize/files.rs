//! The files that a rendering reads: those of the repository, and in place of some what they would become.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::build::{self, Built};
use super::layer::Refusal;
use crate::case::Sources;

/// Files by path.
#[derive(Clone)]
pub(super) struct Files<'s> {
    pub sources: &'s Sources,
    edited: BTreeMap<String, Arc<str>>,
}

impl<'s> Files<'s> {
    /// The files as they are.
    pub fn of(sources: &'s Sources) -> Self {
        Self { sources, edited: BTreeMap::new() }
    }

    /// These, and one of them with another text.
    pub fn with(&self, path: &str, text: &str) -> Self {
        let mut edited = self.edited.clone();
        edited.insert(path.to_owned(), text.into());
        Self { sources: self.sources, edited }
    }

    pub fn get(&self, path: &str) -> Option<&Arc<str>> {
        self.edited.get(path).or_else(|| self.sources.files.get(path).map(|file| &file.text))
    }

    pub fn has(&self, path: &str) -> bool {
        self.sources.files.contains_key(path)
    }

    /// Whether a file has another text than that of the repository.
    pub fn is_edited(&self, path: &str) -> bool {
        self.edited.contains_key(path)
    }

    /// Why a file was passed over, if it was.
    pub fn skipped(&self, path: &str) -> Option<&str> {
        self.sources.skipped.iter().find(|gap| gap.what == path).map(|gap| gap.why.as_str())
    }
}

/// What roots render of some files, each rendered once.
pub(super) struct Renderings<'s> {
    files: Files<'s>,
    done: RefCell<BTreeMap<String, Rc<Result<Built, Refusal>>>>,
}

impl<'s> Renderings<'s> {
    pub fn of(files: Files<'s>) -> Self {
        Self { files, done: RefCell::default() }
    }

    /// What the kustomization of a folder renders.
    pub fn get(&self, folder: &str) -> Rc<Result<Built, Refusal>> {
        let done = self.done.borrow().get(folder).cloned();
        done.unwrap_or_else(|| {
            let built = Rc::new(build::build(&self.files, folder));
            self.done.borrow_mut().insert(folder.to_owned(), built.clone());
            built
        })
    }
}
