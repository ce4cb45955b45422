//! Gemini's `generateContent`.

use serde_json::{Value, json};

use super::trouble::Trouble;
use super::{Heard, Sent, number};
use crate::case::Question;

/// `/v1beta` knows the `-latest` names, `/v1` does not.
pub(super) const BASE: &str = "https://generativelanguage.googleapis.com/v1beta";

pub(super) fn request(base: &str, model: &str, key: &str, question: &Question) -> Sent {
    let body = json!({
        "contents": [{"role": "user", "parts": [{"text": question.evidence}]}],
        "systemInstruction": {"parts": [{"text": question.instructions}]},
        "generationConfig": {"temperature": 0, "maxOutputTokens": question.output_tokens,
            "responseMimeType": "application/json", "responseJsonSchema": question.schema},
    });
    // A key in the URL would stand in the logs of every proxy.
    Sent {
        url: format!("{base}/models/{model}:generateContent"),
        headers: vec![("x-goog-api-key", key.to_owned())],
        body,
    }
}

pub(super) fn read(body: &Value) -> Result<Heard, Trouble> {
    if body.pointer("/promptFeedback/blockReason").is_some() {
        return Err(Trouble::no("model-blocked", "the provider blocked the question"));
    }
    match body.pointer("/candidates/0/finishReason").and_then(Value::as_str) {
        Some("STOP") => {}
        Some("MAX_TOKENS") => return Err(Trouble::no("model-cut-off", "the model's answer was cut off")),
        Some("SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII") => {
            return Err(Trouble::no("model-refused", "the provider held the answer back"));
        }
        Some(_) => return Err(Trouble::no("model-malformed", "the model ended for a reason that is no success")),
        None => return Err(Trouble::no("model-empty", "the reply has no answer")),
    }
    let parts = body.pointer("/candidates/0/content/parts").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let spoken = parts.iter().filter(|part| part.get("thought") != Some(&Value::Bool(true)));
    let text = spoken.filter_map(|part| part.get("text")?.as_str()).collect();
    Ok(Heard { text, tokens: number(body, "/usageMetadata/totalTokenCount") })
}
