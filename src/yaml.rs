//! YAML with positions: read it, address a field, edit its bytes and no others.

mod edit;
mod path;
mod read;
mod outline;
mod refused;

mod guard;
mod place;
mod splice;
mod flow;
mod lines;
mod oracle;
mod scalar;
mod write;
mod tape;
#[cfg(test)]
mod tests;

pub use edit::{Action, Edit, edit};
pub use outline::{Outline, outline};
pub use path::{FieldPath, PathError, Step};
pub use read::{Data, Document, Entry, Layout, Node, ScalarStyle, document, documents};
pub use refused::{Reason, Refused};
pub use scalar::plain as plain_scalar;
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
