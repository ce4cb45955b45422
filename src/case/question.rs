//! What a language model is asked, and what comes back.

use serde_json::Value;

/// A question to a language model. Secrets are already gone from it; the same evidence gives the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The same for every incident, so that a provider can keep it.
    pub instructions: String,
    /// Of this incident: the evidence, numbered, between marks that it cannot close.
    pub evidence: String,
    /// The JSON Schema that the answer has to fit.
    pub schema: Value,
    /// The longest answer.
    pub output_tokens: u32,
    pub budget: Budget,
}

/// What policy lets a model cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub calls_per_hour: u32,
    pub tokens_per_day: u64,
}

impl Question {
    /// About how many tokens it takes to ask: a token is 3.2 characters, and a fifth more in case it is not.
    pub fn tokens(&self) -> u64 {
        tokens(&self.instructions) + tokens(&self.evidence) + tokens(&self.schema.to_string())
    }
}

/// About how many tokens a text is.
pub fn tokens(text: &str) -> u64 {
    (text.chars().count() as u64 * 3).div_ceil(8)
}

/// What a model said: text, and nothing is yet believed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub text: String,
    /// Which model, as its provider calls it.
    pub model: String,
    /// What it cost, both ways.
    pub tokens: u64,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Answer(Answer),
    /// There is no model to ask.
    NoModel,
    /// There is one, and it gave no answer that could be used.
    Unanswered(Unanswered),
}

/// Why a model gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// A word for JSON and metrics: `model-cut-off`, `model-refused`, `model-quota`.
    pub code: &'static str,
    /// A sentence without a period, and without any of what was asked.
    pub why: String,
}

impl Unanswered {
    pub fn new(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}
