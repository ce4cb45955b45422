//! A question in, a model's reply out: bounded, counted, retried while a provider is busy, and never trusted.

mod anthropic;
mod gemini;
mod openai;
mod trouble;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::case::{Answer, Question, Reply, Unanswered};
use crate::settings::Provider;
use trouble::{Next, Trouble};

/// How often one question is sent at most, and for how long all of it may take.
const TRIES: u32 = 3;
const DEADLINE: Duration = Duration::from_secs(120);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A longer body is no answer.
const LONGEST_BODY: usize = 1024 * 1024;
/// Answers that are kept: the same question is not paid twice.
const MOST_KEPT: usize = 256;

/// Where the key comes from. A file is read each time, so that a key can be changed under a running process.
#[derive(Clone)]
pub enum Key {
    None,
    Text(String),
    File(PathBuf),
}

/// A language model behind its provider's API.
pub struct Model {
    provider: Provider,
    name: String,
    base: String,
    key: Key,
    client: reqwest::Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: VecDeque<Instant>,
    tokens: VecDeque<(Instant, u64)>,
    kept: HashMap<[u8; 32], Answer>,
    /// Not asked before then, and why.
    rests: Option<(Instant, Unanswered)>,
}

/// What a provider is sent.
struct Sent {
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

/// What a provider's body says, when it says something.
struct Heard {
    text: String,
    tokens: u64,
}

impl Model {
    /// A model that is not asked yet. `base` is where its API is; the provider's own where none is given.
    pub fn new(provider: Provider, name: &str, base: Option<&str>, key: Key) -> Result<Self> {
        let own = match provider {
            Provider::Gemini => gemini::BASE,
            Provider::Openai => openai::BASE,
            Provider::Anthropic => anthropic::BASE,
        };
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(60))
            .build()
            .context("the client for the model cannot be made")?;
        let base = base.unwrap_or(own).trim_end_matches('/').to_owned();
        Ok(Self { provider, name: name.to_owned(), base, key, client, state: Mutex::default() })
    }

    /// Asks, within the budget, and not again what was answered before.
    pub async fn ask(&self, question: &Question) -> Reply {
        let hash = self.hash(question);
        if let Some(kept) = self.state().kept.get(&hash) {
            return Reply::Answer(kept.clone());
        }
        if let Err(no) = self.budget(question) {
            return Reply::Unanswered(no);
        }
        let asked = tokio::time::timeout(DEADLINE, self.insist(question)).await;
        let silent = || Err(Unanswered::new("model-unreachable", "the model did not answer in time"));
        match asked.unwrap_or_else(|_| silent()) {
            Ok(answer) => {
                let mut state = self.state();
                if state.kept.len() >= MOST_KEPT {
                    state.kept.clear();
                }
                state.kept.insert(hash, answer.clone());
                Reply::Answer(answer)
            }
            Err(no) => {
                tracing::warn!(code = no.code, model = self.name, "the model gave no answer: {}", no.why);
                Reply::Unanswered(no)
            }
        }
    }

    /// Sends until there is an answer, or a reason not to send again.
    async fn insist(&self, question: &Question) -> Result<Answer, Unanswered> {
        let mut tried = 0;
        loop {
            tried += 1;
            let trouble = match self.send(question).await {
                Ok(heard) => {
                    self.count(heard.tokens);
                    return Ok(Answer { text: heard.text, model: self.name.clone(), tokens: heard.tokens });
                }
                Err(trouble) => trouble,
            };
            match trouble.next {
                Next::Again(after) if tried < TRIES => {
                    let pause = after.unwrap_or(Duration::from_millis(500 << tried));
                    tokio::time::sleep(pause.min(LONGEST_WAIT)).await;
                    self.budget(question)?;
                }
                Next::Rest(time) => {
                    self.state().rests = Some((Instant::now() + time, trouble.no.clone()));
                    return Err(trouble.no);
                }
                _ => return Err(trouble.no),
            }
        }
    }

    async fn send(&self, question: &Question) -> Result<Heard, Trouble> {
        let key = self.key()?;
        let sent = match self.provider {
            Provider::Gemini => gemini::request(&self.base, &self.name, &key, question),
            Provider::Openai => openai::request(&self.base, &self.name, &key, question),
            Provider::Anthropic => anthropic::request(&self.base, &self.name, &key, question),
        };
        self.state().calls.push_back(Instant::now());
        let mut request = self.client.post(&sent.url).header("content-type", "application/json");
        for (name, value) in sent.headers {
            request = request.header(name, value);
        }
        let answered = request.body(sent.body.to_string()).send().await;
        // Without the URL, which may have what nobody should read.
        let mut response = answered.map_err(|error| Trouble::unreachable(&error.without_url()))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Trouble::unreachable(&error.without_url()))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST_BODY {
                return Err(Trouble::no(
                    "model-malformed",
                    format!("the model's reply has more than {LONGEST_BODY} bytes"),
                ));
            }
        }
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status != 200 {
            return Err(trouble::of(self.provider, status, &headers, &body));
        }
        if !body.is_object() {
            return Err(Trouble::no("model-malformed", "the model's reply is no JSON object"));
        }
        let heard = match self.provider {
            Provider::Gemini => gemini::read(&body),
            Provider::Openai => openai::read(&body),
            Provider::Anthropic => anthropic::read(&body),
        };
        match heard {
            Ok(heard) if heard.text.trim().is_empty() => Err(Trouble::no("model-empty", "the model said nothing")),
            heard => heard,
        }
    }

    fn key(&self) -> Result<String, Trouble> {
        match &self.key {
            Key::None => Ok(String::new()),
            Key::Text(key) => Ok(key.trim().to_owned()),
            Key::File(path) => match std::fs::read_to_string(path) {
                Ok(key) => Ok(key.trim().to_owned()),
                Err(error) => {
                    Err(Trouble::no("model-key", format!("the file of the model's key cannot be read: {error}")))
                }
            },
        }
    }

    /// Whether policy still lets this question be asked, and the provider takes any.
    fn budget(&self, question: &Question) -> Result<(), Unanswered> {
        let mut state = self.state();
        let now = Instant::now();
        if let Some((until, no)) = state.rests.take_if(|(until, _)| *until > now) {
            state.rests = Some((until, no.clone()));
            return Err(no);
        }
        state.rests = None;
        let old = |at: &Instant, hours: u64| now.duration_since(*at) >= Duration::from_secs(hours * 3600);
        state.calls.retain(|at| !old(at, 1));
        state.tokens.retain(|(at, _)| !old(at, 24));
        if state.calls.len() >= question.budget.calls_per_hour as usize {
            let most = question.budget.calls_per_hour;
            return Err(Unanswered::new(
                "model-budget",
                format!("policy allows {most} questions to a model within an hour"),
            ));
        }
        let used: u64 = state.tokens.iter().map(|(_, tokens)| tokens).sum();
        if used + question.tokens() > question.budget.tokens_per_day {
            let most = question.budget.tokens_per_day;
            return Err(Unanswered::new(
                "model-budget",
                format!("policy allows {most} tokens of a model within a day"),
            ));
        }
        Ok(())
    }

    fn count(&self, tokens: u64) {
        self.state().tokens.push_back((Instant::now(), tokens));
    }

    fn hash(&self, question: &Question) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.base, &self.name, &question.instructions, &question.evidence, &question.schema.to_string()] {
            hash.update(part.len().to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number of a reply's `usage`, or nothing.
fn number(body: &Value, pointer: &str) -> u64 {
    body.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}
