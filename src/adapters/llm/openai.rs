//! Chat completions, as `OpenAI`, vLLM, Ollama and llama.cpp serve them.

use serde_json::{Value, json};

use super::trouble::Trouble;
use super::{Heard, Sent, number};
use crate::case::Question;

pub(super) const BASE: &str = "https://api.openai.com/v1";

pub(super) fn request(base: &str, model: &str, key: &str, question: &Question) -> Sent {
    // OpenAI itself has new names for two fields; nobody else knows those.
    let (role, limit) = if base == BASE { ("developer", "max_completion_tokens") } else { ("system", "max_tokens") };
    let mut body = json!({
        "model": model,
        "messages": [{"role": role, "content": question.instructions}, {"role": "user", "content": question.evidence}],
        "response_format": {"type": "json_schema",
            "json_schema": {"name": "diagnosis", "strict": true, "schema": question.schema}},
    });
    body[limit] = question.output_tokens.into();
    let headers = if key.is_empty() { Vec::new() } else { vec![("authorization", format!("Bearer {key}"))] };
    Sent { url: format!("{base}/chat/completions"), headers, body }
}

pub(super) fn read(body: &Value) -> Result<Heard, Trouble> {
    let Some(choice) = body.pointer("/choices/0") else {
        return Err(Trouble::no("model-empty", "the reply has no answer"));
    };
    if choice.pointer("/message/refusal").is_some_and(|refusal| !refusal.is_null()) {
        return Err(Trouble::no("model-refused", "the model refuses to answer"));
    }
    match choice.get("finish_reason").and_then(Value::as_str) {
        Some("stop") => {}
        Some("length") => return Err(Trouble::no("model-cut-off", "the model's answer was cut off")),
        Some("content_filter") => return Err(Trouble::no("model-blocked", "the provider held the answer back")),
        _ => return Err(Trouble::no("model-malformed", "the model ended for a reason that is no success")),
    }
    let text = choice.pointer("/message/content").and_then(Value::as_str).unwrap_or("").to_owned();
    Ok(Heard { text, tokens: number(body, "/usage/prompt_tokens") + number(body, "/usage/completion_tokens") })
}
