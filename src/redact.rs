//! Text in, text without secrets out.
use std::borrow::Cow;
#[derive(Default)]
pub struct Redactor;
pub struct Redacted<'t> {
    pub text: Cow<'t, str>,
    pub count: usize,
}
impl Redactor {
    pub fn new() -> Self {
        Self
    }
    pub fn redact<'t>(&mut self, text: &'t str) -> Redacted<'t> {
        Redacted { text: Cow::Borrowed(text), count: 0 }
    }
}
