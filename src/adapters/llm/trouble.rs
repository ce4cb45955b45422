//! A refusal in, what to do about it out: again, not before a time, or not at all.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::case::Unanswered;
use crate::settings::Provider;

/// How long a provider rests whose quota is used up or whose key does not count.
const REST: Duration = Duration::from_secs(3600);
/// After a key that does not count it is tried again soon: keys are changed.
const KEY_REST: Duration = Duration::from_secs(60);

/// Why there was no answer, and what then.
pub(super) struct Trouble {
    pub no: Unanswered,
    pub next: Next,
}

pub(super) enum Next {
    /// The same again, after that time where the provider names one.
    Again(Option<Duration>),
    /// Nothing is asked for so long.
    Rest(Duration),
    Never,
}

impl Trouble {
    pub(super) fn no(code: &'static str, why: impl Into<String>) -> Self {
        Self { no: Unanswered::new(code, why), next: Next::Never }
    }

    pub(super) fn unreachable(error: &reqwest::Error) -> Self {
        let why = if error.is_timeout() { "the model did not answer in time" } else { "the model cannot be reached" };
        Self { no: Unanswered::new("model-unreachable", why), next: Next::Again(None) }
    }
}

/// By status and by the fields of the body, never by the text of a message.
pub(super) fn of(provider: Provider, status: u16, headers: &HeaderMap, body: &Value) -> Trouble {
    let body = body.get(0).unwrap_or(body);
    let with = |code, why: String, next| Trouble { no: Unanswered::new(code, why), next };
    let asks = asked(headers).or_else(|| retry_info(body));
    let is_key =
        status == 401 || status == 403 || (provider == Provider::Gemini && has(body, "reason", "API_KEY_INVALID"));
    if is_key {
        return with(
            "model-key",
            format!("the provider does not accept the key of the model ({status})"),
            Next::Rest(KEY_REST),
        );
    }
    let word = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or("");
    let is_spent = word("/error/code") == "insufficient_quota"
        || word("/error/type") == "insufficient_quota"
        || word("/error/type") == "billing_error"
        || status == 402;
    let is_daily = status == 429 && provider == Provider::Gemini && (per_day(body) || only_help(body));
    if is_spent || is_daily {
        return with("model-quota", format!("the quota of the model is used up ({status})"), Next::Rest(REST));
    }
    match status {
        429 => with("model-busy", "the provider allows no more questions for now (429)".to_owned(), Next::Again(asks)),
        408 | 409 | 500..=599 => {
            with("model-busy", format!("the provider is busy or broken ({status})"), Next::Again(asks))
        }
        _ => with("model-refuses-request", format!("the provider does not take the question ({status})"), Next::Never),
    }
}

fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()?.parse::<f64>().ok());
    let seconds = text("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| text("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn details(body: &Value) -> &[Value] {
    body.pointer("/error/details").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `34s`, `1.5s`
fn retry_info(body: &Value) -> Option<Duration> {
    let delay = details(body).iter().find_map(|d| d.get("retryDelay")?.as_str())?;
    Duration::try_from_secs_f64(delay.strip_suffix('s')?.parse().ok()?).ok()
}

fn has(body: &Value, key: &str, value: &str) -> bool {
    details(body).iter().any(|d| d.get(key).and_then(Value::as_str) == Some(value))
}

/// A quota of a day, wherever its name stands.
fn per_day(body: &Value) -> bool {
    let limit = |d: &Value| d.pointer("/metadata/quota_limit").and_then(Value::as_str).map(ToOwned::to_owned);
    let ids = |d: &Value| {
        let all = d.get("violations").and_then(Value::as_array).into_iter().flatten();
        all.filter_map(|v| v.get("quotaId")?.as_str().map(ToOwned::to_owned)).collect::<Vec<_>>()
    };
    details(body).iter().flat_map(|d| limit(d).into_iter().chain(ids(d))).any(|name| name.contains("PerDay"))
}

/// Nothing but a link to read: gone until midnight.
fn only_help(body: &Value) -> bool {
    let all = details(body);
    !all.is_empty()
        && all.iter().all(|d| d.get("@type").and_then(Value::as_str).is_some_and(|t| t.ends_with("google.rpc.Help")))
}
