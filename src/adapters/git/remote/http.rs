//! Git over HTTPS: requests of libgit2 in, answers of a server out.
//!
//! A redirect is followed for the first request alone and to the same host alone; a credential goes to no other.

use std::error::Error as _;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::session::Session;
use super::{Limits, Trouble};

/// Redirects in a row.
const MAX_REDIRECTS: usize = 4;
/// Bytes of a request: a push of ours is a few kilobytes, a negotiation less.
const MAX_REQUEST: usize = 64 * 1024 * 1024;
/// Bytes of an error's page that are read.
const MAX_PAGE: usize = 4 * 1024;

/// A client with its own certificates, and those of a CA if there is one.
pub(super) fn client(ca: Option<&[u8]>, limits: Limits) -> Result<Client, String> {
    let words = |error: reqwest::Error| chain(&error.without_url());
    let mut builder = Client::builder()
        // Some servers speak the smart protocol only to what begins like this.
        .user_agent(concat!("git/2.0 (kubecure ", env!("CARGO_PKG_VERSION"), ")"))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limits.connect)
        .pool_idle_timeout(Duration::from_secs(60));
    if let Some(pem) = ca {
        let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(words)?;
        if certificates.is_empty() {
            return Err("it holds no certificate".to_owned());
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(words)
}

/// One operation over HTTP.
pub(super) struct Http {
    session: Arc<Session>,
    /// Where the repository is, once redirects were followed.
    at: Mutex<Option<String>>,
}

impl Http {
    pub fn new(session: Arc<Session>) -> Self {
        Self { session, at: Mutex::default() }
    }

    /// The first request: what the server has.
    fn advertised(&self, service: &'static str) -> Result<Response, Trouble> {
        let session = &self.session;
        let tail = format!("/info/refs?service={service}");
        let mut url = parse(&format!("{}{tail}", session.url))?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(client_of(session)?.get(url.clone()))?;
            if response.status().is_redirection() {
                url = redirected(&url, &response)?;
                continue;
            }
            let response = self.checked(response)?;
            let found = url.as_str().strip_suffix(&tail).unwrap_or_default().to_owned();
            if found.is_empty() || !is_a(&response, &format!("application/x-{service}-advertisement")) {
                return Err(Trouble::NoGit { said: content_type(&response) });
            }
            *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            return Ok(response);
        }
        Err(Trouble::NoGit { said: format!("{} redirects in a row", MAX_REDIRECTS + 1) })
    }

    fn asked(&self, service: &'static str, body: Vec<u8>) -> Result<Response, Trouble> {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let at = at.unwrap_or_else(|| self.session.url.to_string());
        let url = parse(&format!("{at}/{service}"))?;
        let result = format!("application/x-{service}-result");
        let request = client_of(&self.session)?
            .post(url)
            .header(CONTENT_TYPE, format!("application/x-{service}-request"))
            .header(ACCEPT, &result)
            .body(body);
        let response = self.checked(self.send(request)?)?;
        if !is_a(&response, &result) {
            return Err(Trouble::NoGit { said: content_type(&response) });
        }
        Ok(response)
    }

    fn send(&self, mut request: reqwest::RequestBuilder) -> Result<Response, Trouble> {
        if let Some(header) = self.session.keys.header() {
            let mut value = HeaderValue::from_str(header)
                .map_err(|_| Trouble::Other { why: "the token has a character that no token has".to_owned() })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = self.session.wait(request.send())?.map_err(|error| unreachable(&self.session, error))?;
        if let Some(date) = response.headers().get(DATE).and_then(|date| date.to_str().ok()) {
            self.session.dated(date);
        }
        Ok(response)
    }

    /// A status that is none of success, as what it means.
    fn checked(&self, response: Response) -> Result<Response, Trouble> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let said = self.said(response);
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Trouble::Refused { with: self.session.keys.login(), said }
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Trouble::NotFound { url: self.session.url.to_string() },
            _ if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) => {
                Trouble::Busy { status: status.as_u16(), said, retry_after: retry_after.map(Duration::from_secs) }
            }
            _ => Trouble::NoGit { said: format!("status {}", status.as_u16()) },
        })
    }

    /// What an error's page says, if it is text for people.
    fn said(&self, mut response: Response) -> String {
        if !is_a(&response, "text/plain") {
            return String::new();
        }
        let mut page = Vec::new();
        while page.len() < MAX_PAGE
            && let Ok(Ok(Some(chunk))) = self.session.wait(response.chunk())
        {
            page.extend_from_slice(&chunk[..chunk.len().min(MAX_PAGE)]);
        }
        self.session.keys.said(&String::from_utf8_lossy(&page))
    }
}

impl SmartSubtransport for Http {
    fn action(&self, _: &str, service: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let failed = |trouble| git2::Error::from_str(&self.session.fail(trouble).to_string());
        let state = match service {
            Service::UploadPackLs => State::answered(self.advertised("git-upload-pack").map_err(failed)?),
            Service::ReceivePackLs => State::answered(self.advertised("git-receive-pack").map_err(failed)?),
            Service::UploadPack => State::Asking { service: "git-upload-pack", body: Vec::new() },
            Service::ReceivePack => State::Asking { service: "git-receive-pack", body: Vec::new() },
        };
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Box::new(Exchange { http: Self { session: self.session.clone(), at: Mutex::new(at) }, state }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// A request that is being written, or its answer that is being read.
struct Exchange {
    http: Http,
    state: State,
}

enum State {
    Asking { service: &'static str, body: Vec<u8> },
    Answered { response: Box<Response>, rest: bytes::Bytes },
}

impl State {
    fn answered(response: Response) -> Self {
        Self::Answered { response: Box::new(response), rest: bytes::Bytes::new() }
    }
}

impl Exchange {
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Trouble> {
        if let State::Asking { service, body } = &mut self.state {
            let (service, body) = (*service, std::mem::take(body));
            self.state = State::answered(self.http.asked(service, body)?);
        }
        let session = &self.http.session;
        let State::Answered { response, rest } = &mut self.state else { return Ok(0) };
        while rest.is_empty() {
            match session.wait(response.chunk())?.map_err(|error| broken(session, error))? {
                Some(chunk) => *rest = chunk,
                None => return Ok(0),
            }
        }
        let taken = rest.split_to(buffer.len().min(rest.len()));
        session.came(taken.len())?;
        buffer[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).map_err(|trouble| self.http.session.fail(trouble))
    }
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Asking { body, .. } if body.len() + bytes.len() <= MAX_REQUEST => {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            _ => Err(self.http.session.fail(Trouble::TooLarge { limit: MAX_REQUEST as u64 })),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn client_of(session: &Session) -> Result<&Client, Trouble> {
    session.client.as_ref().ok_or_else(|| Trouble::Other { why: "there is no client for HTTP".to_owned() })
}

fn parse(url: &str) -> Result<Url, Trouble> {
    Url::parse(url).map_err(|error| Trouble::Other { why: format!("the URL cannot be asked: {error}") })
}

/// Where a redirect leads, if it stays on the host.
fn redirected(from: &Url, response: &Response) -> Result<Url, Trouble> {
    let to = response.headers().get(LOCATION).and_then(|to| from.join(to.to_str().ok()?).ok());
    let to = to.ok_or_else(|| Trouble::NoGit { said: "a redirect to nowhere".to_owned() })?;
    if to.origin() == from.origin() && to.username().is_empty() && to.password().is_none() {
        return Ok(to);
    }
    let host = to.host_str().unwrap_or("nowhere");
    Err(Trouble::Redirected { to: to.port().map_or(host.to_owned(), |port| format!("{host}:{port}")) })
}

fn content_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    value.chars().filter(char::is_ascii_graphic).take(60).collect()
}

fn is_a(response: &Response, wanted: &str) -> bool {
    content_type(response).split(';').next() == Some(wanted)
}

/// No answer came.
fn unreachable(session: &Session, error: reqwest::Error) -> Trouble {
    let host = session.url.authority();
    if error.is_timeout() {
        return Trouble::Unreachable { host, why: "the connection timed out".to_owned() };
    }
    let why = session.keys.said(&chain(&error.without_url()));
    if why.contains("certificate") { Trouble::Untrusted { host, why } } else { Trouble::Unreachable { host, why } }
}

/// An answer broke off.
fn broken(session: &Session, error: reqwest::Error) -> Trouble {
    Trouble::Unreachable { host: session.url.authority(), why: session.keys.said(&chain(&error.without_url())) }
}

/// An error and what is behind it, each once.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = source.source();
    }
    text
}
