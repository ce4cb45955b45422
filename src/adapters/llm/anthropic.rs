//! Anthropic's messages.

use serde_json::{Value, json};

use super::trouble::Trouble;
use super::{Heard, Sent, number};
use crate::case::Question;

pub(super) const BASE: &str = "https://api.anthropic.com";
/// From this version on a temperature is an error, and the format stands in `output_config`.
const VERSION: &str = "2026-10-21";

pub(super) fn request(base: &str, model: &str, key: &str, question: &Question) -> Sent {
    let body = json!({
        "model": model,
        "max_tokens": question.output_tokens,
        "system": [{"type": "text", "text": question.instructions, "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": question.evidence}],
        "output_config": {"format": {"type": "json_schema", "schema": question.schema}},
    });
    let headers = vec![("x-api-key", key.to_owned()), ("anthropic-version", VERSION.to_owned())];
    Sent { url: format!("{base}/v1/messages"), headers, body }
}

pub(super) fn read(body: &Value) -> Result<Heard, Trouble> {
    match body.get("stop_reason").and_then(Value::as_str) {
        Some("end_turn") => {}
        Some("max_tokens" | "model_context_window_exceeded") => {
            return Err(Trouble::no("model-cut-off", "the model's answer was cut off"));
        }
        Some("refusal") => return Err(Trouble::no("model-refused", "the model refuses to answer")),
        _ => return Err(Trouble::no("model-malformed", "the model ended for a reason that is no success")),
    }
    let blocks = body.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let spoken = blocks.iter().filter(|block| block.get("type").and_then(Value::as_str) == Some("text"));
    let text = spoken.filter_map(|block| block.get("text")?.as_str()).collect();
    // What was read from a cache, or put there, is input as well.
    let counted = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"];
    let tokens = counted.iter().map(|name| number(body, &format!("/usage/{name}"))).sum();
    Ok(Heard { text, tokens })
}
