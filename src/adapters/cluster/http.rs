//! A path in, the API server's answer out: bounded, retried while the server is busy, with its clock.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use http::header::{ACCEPT, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::Deserialize;
use tokio::time::timeout;

use super::access::{ANSWER, SILENCE};
use super::{ApiError, Cluster};
use crate::case::Timestamp;

/// How often a busy server (429, 503, 504) is asked again.
const TRIES: u32 = 4;
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What the API server said, whether it did what was asked or refused.
pub(super) struct Reply {
    pub status: StatusCode,
    /// The server's clock.
    pub date: Option<Timestamp>,
    pub bytes: Vec<u8>,
}

/// The body of a refusal, as far as it is read.
#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
    #[serde(default)]
    metadata: StatusMeta,
}

#[derive(Default, Deserialize)]
struct StatusMeta {
    #[serde(default)]
    r#continue: Option<String>,
}

impl Reply {
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.bytes).context("the API server's answer is not UTF-8 text")
    }

    /// Why it was refused, in the API server's words.
    pub fn message(&self) -> String {
        let status: Status = serde_json::from_slice(&self.bytes).unwrap_or_default();
        if !status.message.is_empty() {
            return status.message;
        }
        let text = String::from_utf8_lossy(&self.bytes);
        let first = text.lines().next().unwrap_or("").trim();
        if first.is_empty() { self.status.to_string() } else { first.chars().take(300).collect() }
    }

    /// Where an expired list can be resumed.
    pub fn resume(&self) -> Option<String> {
        let status: Status = serde_json::from_slice(&self.bytes).ok()?;
        status.metadata.r#continue.filter(|token| !token.is_empty())
    }
}

impl Cluster {
    /// Asks for a path. An answer that refuses is an answer; only credentials that do not count are an error here.
    pub(super) async fn get(&self, path: &str, accept: &str, most: usize) -> Result<Reply> {
        self.answer(path, most, || Request::get(path).header(ACCEPT, accept).body(Body::empty())).await
    }

    /// Asks a question that needs a body. Only for those that the API server answers and keeps nothing of.
    pub(super) async fn put_question(&self, path: &str, body: &str, most: usize) -> Result<Reply> {
        let json = "application/json";
        let request = || {
            Request::post(path)
                .header(ACCEPT, json)
                .header(CONTENT_TYPE, json)
                .body(Body::from(body.as_bytes().to_vec()))
        };
        self.answer(path, most, request).await
    }

    /// Asks until the server is not busy.
    async fn answer(
        &self,
        path: &str,
        most: usize,
        request: impl Fn() -> http::Result<Request<Body>>,
    ) -> Result<Reply> {
        let mut tried = 0;
        loop {
            tried += 1;
            let request = request().with_context(|| format!("{path} is no path of an API server"))?;
            let reply = self.ask(request, most).await?;
            match reply {
                (_, reply) if reply.status == StatusCode::UNAUTHORIZED => {
                    bail!(
                        "the cluster at {} does not accept the credentials: {}\nHint: log in again; `kubectl auth whoami` shows whether it worked",
                        self.url,
                        reply.message()
                    )
                }
                (headers, reply) if is_busy(reply.status) && tried < TRIES => {
                    tracing::debug!(path, status = reply.status.as_u16(), "the API server is busy");
                    tokio::time::sleep(wait(&headers, tried)).await;
                }
                (_, reply) => return Ok(reply),
            }
        }
    }

    /// Asks once. An error is that nobody answered.
    pub(super) async fn ask(&self, request: Request<Body>, most: usize) -> Result<(HeaderMap, Reply)> {
        let Ok(sent) = timeout(ANSWER, self.client.send(request)).await else { return Err(self.silent()) };
        let response = sent.map_err(|error| self.unreachable(&error))?;
        let (parts, body) = response.into_parts();
        self.errors.answered(parts.status);
        let Ok(body) = timeout(SILENCE, Limited::new(body, most).collect()).await else { return Err(self.silent()) };
        let body = body.map_err(|error| self.unreachable(error.as_ref()))?;
        let date = parts.headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?));
        Ok((parts.headers, Reply { status: parts.status, date, bytes: body.to_bytes().to_vec() }))
    }

    /// It took what was asked, and says nothing.
    fn silent(&self) -> anyhow::Error {
        self.errors.count(ApiError::Unreachable);
        anyhow!("the cluster at {} does not answer in time\nHint: `kubectl get --raw /readyz` asks the same", self.url)
    }

    pub(super) fn unreachable(&self, error: &(dyn Error + 'static)) -> anyhow::Error {
        self.errors.count(ApiError::Unreachable);
        let cause = root(error);
        if cause.contains("certificate") {
            return anyhow!(
                "the cluster at {} cannot be trusted: {cause}\nHint: its certificate-authority-data in kubeconfig is of another cluster, or out of date",
                self.url
            );
        }
        anyhow!(
            "the cluster at {} does not answer: {cause}\nHint: is the address right, and can this machine reach it? `kubectl get --raw /readyz` asks the same",
            self.url
        )
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// As long as the server asks for, within reason; else a little longer each time.
fn wait(headers: &HeaderMap, tried: u32) -> Duration {
    let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    asked.map_or(Duration::from_millis(200 << tried), Duration::from_secs).min(LONGEST_WAIT)
}

/// `Tue, 24 Nov 2026 08:12:31 GMT`
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|time| time.timestamp())
}

/// The cause under all causes: what wraps it only repeats it.
pub(super) fn root(error: &(dyn Error + 'static)) -> String {
    let mut at = error;
    while let Some(next) = at.source() {
        at = next;
    }
    at.to_string()
}

/// Text as a part of a path or query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(http_date("Tue, 24 Nov 2026 08:12:31 GMT").unwrap().to_string(), "2026-11-24T08:12:31Z");
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn nothing_in_a_name_can_change_the_path() {
        assert_eq!(encoded("a/../b?c=d e"), "a%2F..%2Fb%3Fc%3Dd%20e");
    }

    #[test]
    fn a_refusal_says_why_and_where_to_go_on() {
        let reply = |text: &str| Reply { status: StatusCode::GONE, date: None, bytes: text.as_bytes().to_vec() };
        let gone = reply(r#"{"kind":"Status","message":"too old","metadata":{"continue":"abc"}}"#);
        assert_eq!((gone.message().as_str(), gone.resume().as_deref()), ("too old", Some("abc")));
        assert_eq!(reply("").message(), "410 Gone");
        assert_eq!(reply("<html>\nproxy").message(), "<html>");
    }
}
