//! A request to a forge's API in, its answer out: patient with reads, once only for writes.
//!
//! A read is tried again when it fails. A write never is: whoever wrote looks first whether it was done. All wait when the
//! forge asks for it, and between two writes there is a pause. The token is read for each request and goes to one origin.

mod limit;
mod trouble;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LINK, LOCATION,
};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::trouble::ApiTrouble;
use crate::adapters::git::remote::{Door, Keys, runtime};
use crate::case::Timestamp;

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// Redirects in a row.
const MAX_REDIRECTS: usize = 3;
/// Answers that are remembered by their tag, and how large each may be.
const MAX_KNOWN: (usize, usize) = (64, 256 * 1024);

/// How a forge is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Between two writes at least this.
    pub gap: Duration,
    /// How often a read is tried.
    pub attempts: u32,
    /// The wait after a read that failed, doubled with each further one.
    pub first: Duration,
    /// The longest that a call waits because the forge asked for it; a longer wait is an error at once.
    pub patience: Duration,
    /// The longest that one request takes.
    pub whole: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            gap: seconds(1),
            attempts: 4,
            first: Duration::from_millis(500),
            patience: seconds(20),
            whole: seconds(30),
        }
    }
}

/// How a token is shown to the forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// `Authorization: token …`
    Token,
    /// `Authorization: Bearer …`
    Bearer,
    /// `PRIVATE-TOKEN: …`
    Private,
}

/// The client of one forge.
#[derive(Debug)]
pub(super) struct Client {
    /// Without a slash at its end: `https://git.example.com/api/v1`
    base: String,
    door: Door,
    shown: Shown,
    /// What is sent with each request.
    headers: &'static [(&'static str, &'static str)],
    manner: Manner,
    pace: Mutex<Pace>,
    known: Mutex<BTreeMap<String, (HeaderValue, Answer)>>,
}

#[derive(Debug, Default)]
struct Pace {
    /// When the last write was, or will be.
    wrote: Option<Instant>,
    /// Until when the forge wants to be left alone.
    until: Option<Instant>,
}

/// What came back.
#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A request that came to nothing, and whether it may have arrived.
struct Cut {
    why: String,
    sent: bool,
}

impl Client {
    pub fn new(
        base: &str,
        door: Door,
        shown: Shown,
        headers: &'static [(&'static str, &'static str)],
        manner: Manner,
    ) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self { base, door, shown, headers, manner, pace: Mutex::default(), known: Mutex::default() }
    }

    pub fn manner(&self) -> Manner {
        self.manner
    }

    /// Reads something that has to be there.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiTrouble> {
        typed(&self.read(&self.url(path))?)
    }

    /// Reads something that may be there.
    pub fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ApiTrouble> {
        match self.read(&self.url(path)) {
            Ok(answer) => typed(&answer).map(Some),
            Err(ApiTrouble::NotFound { .. }) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Reads a list, page by page as the answers name the next, up to a number of pages.
    pub fn list<T: DeserializeOwned>(&self, path: &str, most: usize) -> Result<Vec<T>, ApiTrouble> {
        let (mut found, mut next) = (Vec::new(), Some(self.url(path)));
        for _ in 0..most {
            let Some(url) = next.take() else { break };
            let answer = self.read(&url)?;
            found.extend(typed::<Vec<T>>(&answer)?);
            next = next_page(&answer.headers).filter(|next| self.is_ours(next));
        }
        Ok(found)
    }

    /// Writes, once.
    pub fn write(&self, method: &Method, path: &str, body: &Value) -> Result<Value, ApiTrouble> {
        let url = self.url(path);
        self.wait_for_leave()?;
        self.wait_for_turn();
        let text = body.to_string();
        let answer = match self.follow(method, &url, Some(&text)) {
            Ok(answer) => answer,
            Err(Sent::Cut(Cut { why, sent: true })) => return Err(ApiTrouble::Unclear { why }),
            Err(Sent::Cut(Cut { why, sent: false })) => return Err(self.unreachable(why)),
            Err(Sent::Trouble(trouble)) => return Err(trouble),
        };
        match self.judge(answer, path) {
            Ok(answer) if answer.body.is_empty() => Ok(Value::Null),
            // It was done; what is wrong with the words of the answer does not undo it.
            Ok(answer) => Ok(serde_json::from_slice(&answer.body).unwrap_or(Value::Null)),
            // A proxy says so of a request that it has passed on.
            Err(ApiTrouble::Busy { status, said }) => {
                Err(ApiTrouble::Unclear { why: format!("it answered {status} {said}").trim_end().to_owned() })
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// A path below the base, or a URL as the forge itself gave it.
    fn url(&self, path: &str) -> String {
        if path.starts_with("https://") || path.starts_with("http://") {
            return path.to_owned();
        }
        format!("{}/{}", self.base, path.trim_start_matches('/'))
    }

    /// What a forge said, without our token or any other's.
    pub fn masked(&self, said: &str) -> String {
        self.door.keys().map(|keys| keys.said(said)).unwrap_or_default()
    }

    fn is_ours(&self, url: &str) -> bool {
        matches!((Url::parse(url), Url::parse(&self.base)), (Ok(url), Ok(base)) if url.origin() == base.origin())
    }

    /// Reads, with patience.
    fn read(&self, url: &str) -> Result<Answer, ApiTrouble> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.wait_for_leave()?;
            let answer = match self.follow(&Method::GET, url, None) {
                Ok(answer) => self.judge(answer, url.strip_prefix(&self.base).unwrap_or(url)),
                Err(Sent::Cut(cut)) => Err(self.unreachable(cut.why)),
                Err(Sent::Trouble(trouble)) => Err(trouble),
            };
            match answer {
                Err(ApiTrouble::Limited { wait }) if attempt < self.manner.attempts && wait <= self.manner.patience => {
                }
                Err(trouble) if attempt < self.manner.attempts && trouble.may_pass() => {
                    let least = self.manner.first.saturating_mul(1 << attempt.saturating_sub(1).min(8));
                    let share = u32::try_from(RandomState::new().hash_one(attempt) % 500).unwrap_or(0);
                    std::thread::sleep(least + least / 1000 * share);
                }
                answer => return answer,
            }
        }
    }

    /// Waits as long as the forge wants to be left alone, if that is not long.
    fn wait_for_leave(&self) -> Result<(), ApiTrouble> {
        let until = lock(&self.pace).until;
        let wait = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if wait > self.manner.patience {
            return Err(ApiTrouble::Limited { wait });
        }
        std::thread::sleep(wait);
        Ok(())
    }

    /// Waits until the pause after the last write is over. Who comes at the same time waits for the next turn.
    fn wait_for_turn(&self) {
        let now = Instant::now();
        let wait = {
            let mut pace = lock(&self.pace);
            let turn = pace.wrote.map_or(now, |wrote| (wrote + self.manner.gap).max(now));
            pace.wrote = Some(turn);
            turn.saturating_duration_since(now)
        };
        std::thread::sleep(wait);
    }

    /// Sends a request, and again where the forge sends it within its own origin.
    fn follow(&self, method: &Method, url: &str, body: Option<&str>) -> Result<Answer, Sent> {
        let odd = |why: String| Sent::Trouble(ApiTrouble::Odd { why });
        let mut url = Url::parse(url).map_err(|error| odd(format!("a URL that is none: {error}")))?;
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send(method, &url, body)?;
            let to = answer.headers.get(LOCATION).and_then(|to| url.join(to.to_str().ok()?).ok());
            // Of a write only those that keep it a write: it has not been done.
            let follows = match answer.status {
                307 | 308 => true,
                301 | 302 => *method == Method::GET,
                300..=399 if answer.status != 304 => false,
                _ => return Ok(answer),
            };
            match to {
                Some(to) if follows && to.origin() == url.origin() => url = to,
                to => {
                    let to =
                        to.and_then(|to| to.host_str().map(ToOwned::to_owned)).unwrap_or_else(|| "nowhere".to_owned());
                    return Err(Sent::Trouble(ApiTrouble::Redirected { to }));
                }
            }
        }
        Err(odd(format!("{} redirects in a row", MAX_REDIRECTS + 1)))
    }

    fn send(&self, method: &Method, url: &Url, body: Option<&str>) -> Result<Answer, Sent> {
        let bad = |trouble| Sent::Trouble(ApiTrouble::Credentials(trouble));
        let keys = self.door.keys().map_err(bad)?;
        let client = self.door.client(&keys).map_err(bad)?;
        let mut headers = self.headers_of(&keys).map_err(Sent::Trouble)?;
        let known = (*method == Method::GET).then(|| lock(&self.known).get(url.as_str()).cloned()).flatten();
        if let Some((tag, _)) = &known {
            headers.insert(IF_NONE_MATCH, tag.clone());
        }
        let mut request = client.request(method.clone(), url.clone()).headers(headers);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_owned());
        }
        let began = Instant::now();
        let answer = self.exchange(request).map_err(|cut| Sent::Cut(Cut { why: keys.said(&cut.why), ..cut }))?;
        let took = began.elapsed();
        tracing::debug!(%method, path = url.path(), status = answer.status, ?took, "forge");
        self.note_limit(&answer);
        if let (304, Some((_, known))) = (answer.status, known) {
            return Ok(known);
        }
        if let (200, Some(tag), true) = (answer.status, answer.headers.get(ETAG), *method == Method::GET) {
            self.remember(url, tag, &answer);
        }
        Ok(answer)
    }

    fn headers_of(&self, keys: &Keys) -> Result<HeaderMap, ApiTrouble> {
        let mut headers = HeaderMap::new();
        headers.insert(
            reqwest::header::USER_AGENT,
            HeaderValue::from_static(concat!("kubecure/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        if let Some(token) = keys.token() {
            let (name, value) = match self.shown {
                Shown::Token => (AUTHORIZATION.as_str(), format!("token {token}")),
                Shown::Bearer => (AUTHORIZATION.as_str(), format!("Bearer {token}")),
                Shown::Private => ("private-token", token.to_owned()),
            };
            let mut value = HeaderValue::from_str(&value).map_err(|_| ApiTrouble::Refused {
                with: keys.login(),
                said: "it has a character that no token has".to_owned(),
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    /// One request and its whole answer.
    fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Answer, Cut> {
        let cut = |error: reqwest::Error| Cut {
            sent: !error.is_connect() && !error.is_builder(),
            why: chain(&error.without_url()),
        };
        let lost = |why: &str| Cut { why: why.to_owned(), sent: true };
        let runtime = runtime().ok_or_else(|| Cut { why: "the network cannot be used".to_owned(), sent: false })?;
        let whole = async {
            let mut response = request.send().await.map_err(cut)?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(cut)? {
                if body.len() + chunk.len() > MAX_ANSWER {
                    return Err(lost("its answer is larger than 8 MiB"));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Answer { status, headers, body })
        };
        let waited = runtime.block_on(async { tokio::time::timeout(self.manner.whole, whole).await });
        waited.unwrap_or_else(|_| Err(lost(&format!("no answer within {} s", self.manner.whole.as_secs_f32()))))
    }

    /// What an answer means.
    fn judge(&self, answer: Answer, path: &str) -> Result<Answer, ApiTrouble> {
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let keys = self.door.keys().map_err(ApiTrouble::Credentials)?;
        let said = keys.said(&said(&answer.body));
        if let Some(wait) = limit::asked_for(answer.status, &answer.headers, &said, Timestamp::now()) {
            self.leave_alone(wait);
            return Err(ApiTrouble::Limited { wait });
        }
        let path = path.split('?').next().unwrap_or_default().trim_start_matches('/');
        Err(match answer.status {
            401 => ApiTrouble::Refused { with: keys.login(), said },
            403 | 423 => ApiTrouble::Forbidden { said },
            404 | 410 => ApiTrouble::NotFound { what: path.to_owned() },
            409 => ApiTrouble::Exists { said },
            422 if said.contains("already exists") => ApiTrouble::Exists { said },
            408 | 425 | 429 | 500.. => ApiTrouble::Busy { status: answer.status, said },
            status => ApiTrouble::Invalid { status, said },
        })
    }

    /// A quota that is used up is known before the next request would be refused.
    fn note_limit(&self, answer: &Answer) {
        if let Some(wait) = limit::used_up(&answer.headers, Timestamp::now()) {
            self.leave_alone(wait);
        }
    }

    fn leave_alone(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut pace = lock(&self.pace);
        pace.until = Some(pace.until.map_or(until, |known| known.max(until)));
    }

    fn remember(&self, url: &Url, tag: &HeaderValue, answer: &Answer) {
        if answer.body.len() > MAX_KNOWN.1 {
            return;
        }
        let mut known = lock(&self.known);
        if known.len() >= MAX_KNOWN.0 {
            known.clear();
        }
        known.insert(url.as_str().to_owned(), (tag.clone(), answer.clone()));
    }

    fn unreachable(&self, why: String) -> ApiTrouble {
        let host =
            Url::parse(&self.base).ok().and_then(|url| url.host_str().map(ToOwned::to_owned)).unwrap_or_default();
        ApiTrouble::Unreachable { host, why }
    }
}

/// Why a request has no answer.
enum Sent {
    Cut(Cut),
    Trouble(ApiTrouble),
}

/// One part of a path, whatever it holds.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn typed<T: DeserializeOwned>(answer: &Answer) -> Result<T, ApiTrouble> {
    serde_json::from_slice(&answer.body).map_err(|error| ApiTrouble::Odd { why: error.to_string() })
}

/// What an error's body says, of any forge: `message`, `error` and `errors`, whatever shape they have.
fn said(body: &[u8]) -> String {
    let Ok(Value::Object(all)) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let words = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(all) if all.is_empty() => String::new(),
        other => other.to_string(),
    };
    let parts = ["message", "error", "error_description", "errors"].iter().filter_map(|key| all.get(*key)).map(words);
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

/// The page that a list goes on with.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let links = headers.get(LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
}

/// An error and what is behind it, each once.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        let words = source.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = source.source();
    }
    text
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
