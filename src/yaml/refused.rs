//! Why an edit was not made: a place and a reason, as one sentence.

use super::tape::Unreadable;
use super::{FieldPath, line_column};

/// An edit that was not made; the text is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct Refused {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub reason: Reason,
}

impl Refused {
    pub(super) fn new(text: &str, offset: usize, reason: Reason) -> Self {
        let (line, column) = line_column(text, offset);
        Self { line, column, reason }
    }
}

impl From<Unreadable> for Refused {
    fn from(error: Unreadable) -> Self {
        Self { line: error.line, column: error.column, reason: Reason::Unreadable(error.reason) }
    }
}

/// What stands against an edit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("the file cannot be read as YAML: {0}")]
    Unreadable(String),
    #[error("there is no document {asked}, the file has {}", counted(*has))]
    NoDocument { asked: usize, has: usize },
    #[error("the document is empty")]
    EmptyDocument,
    #[error("`{{{{` outside of a block scalar makes this a template, and what it is rendered to is not known here")]
    Template,
    #[error("the value holds `{{{{`, which would make a template of the file")]
    TemplateValue,
    #[error("a conflict marker of Git stands here")]
    Conflict,
    #[error("the key stands in its map twice, and readers differ on which one counts")]
    DuplicateKey,
    #[error("the document is encrypted with SOPS, and its checksum would no longer fit")]
    Encrypted,
    #[error("`{0}` does not exist")]
    NotFound(FieldPath),
    #[error("`{0}` exists already")]
    Exists(FieldPath),
    #[error("`{0}` is not a list")]
    NotAList(FieldPath),
    #[error("`{0}` is neither a map nor a list, so nothing can be added to it")]
    NotAContainer(FieldPath),
    #[error("a path to insert at ends in the number of a list item, and `{0}` does not")]
    NotAnIndex(FieldPath),
    #[error("`{path}` is out of range, the list has {}", items(*has))]
    OutOfRange { path: FieldPath, has: usize },
    #[error("`{path}` is the alias `*{name}`: its value is written elsewhere")]
    Alias { path: FieldPath, name: String },
    #[error("`{path}` has the anchor `&{name}`, which is used elsewhere: the edit would change those places, too")]
    Anchored { path: FieldPath, name: String },
    #[error("the anchor `&{0}`, which is used elsewhere, would go away")]
    AnchorUsed(String),
    #[error("the map of `{0}` takes values from elsewhere with `<<`")]
    Merged(FieldPath),
    #[error("`{path}` has the tag `{tag}`")]
    Tagged { path: FieldPath, tag: String },
    #[error("a block scalar ends the file without a line break, and readers differ on its value")]
    EndOfFile,
    #[error("{0}")]
    Unsupported(&'static str),
    #[error("no way was found to change `{0}` and nothing else")]
    Unproven(FieldPath),
}

impl Reason {
    /// One word for statistics and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::NoDocument { .. } => "no-document",
            Self::EmptyDocument => "empty-document",
            Self::Template => "template",
            Self::TemplateValue => "template-value",
            Self::Conflict => "conflict",
            Self::DuplicateKey => "duplicate-key",
            Self::Encrypted => "encrypted",
            Self::NotFound(_) => "not-found",
            Self::Exists(_) => "exists",
            Self::NotAList(_) => "not-a-list",
            Self::NotAContainer(_) => "not-a-container",
            Self::NotAnIndex(_) => "not-an-index",
            Self::OutOfRange { .. } => "out-of-range",
            Self::Alias { .. } => "alias",
            Self::Anchored { .. } => "anchored",
            Self::AnchorUsed(_) => "anchor-used",
            Self::Merged(_) => "merged",
            Self::Tagged { .. } => "tagged",
            Self::EndOfFile => "end-of-file",
            Self::Unsupported(_) => "unsupported",
            Self::Unproven(_) => "unproven",
        }
    }
}

fn counted(documents: usize) -> String {
    if documents == 1 { "1 document".to_owned() } else { format!("{documents} documents") }
}

fn items(count: usize) -> String {
    if count == 1 { "1 item".to_owned() } else { format!("{count} items") }
}
