//! YAML with positions: read it, address a field, edit its bytes and no others.

mod outline;
mod path;
mod read;
mod scalar;
mod tape;

pub use outline::{Outline, outline};
pub use path::{FieldPath, PathError, Step};
pub use read::{Data, Document, Entry, Layout, Node, ScalarStyle, document, documents};
pub use tape::Unreadable;

/// Line and column of a byte, both from 1, the column in characters.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    (line, before[start..].trim_start_matches('\u{feff}').chars().count() + 1)
}
