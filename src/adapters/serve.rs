//! Paths in, pages out, over HTTP: for a probe and for Prometheus, and for nobody else.
//!
//! A connection brings one question and gets one answer; how many there are, how large and how slow, is bounded. What is
//! asked changes nothing.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at the same time: two probes and a Prometheus or two, and room.
const CONNECTIONS: usize = 32;
/// A question must be asked within this, and answered and read within the other.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
const DONE_WITHIN: Duration = Duration::from_secs(15);
/// The largest head of a question, in bytes; a body is not read at all.
const LARGEST_HEAD: usize = 16 << 10;
/// After the machine had no room for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What is answered to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub text: String,
}

impl Page {
    /// Text for people.
    pub fn plain(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", text: text.into() }
    }
}

/// Paths in, pages out; `None` where there is none.
pub type Pages = dyn Fn(&str) -> Option<Page> + Send + Sync;

/// Takes an address, without answering yet.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}\nHint: another port, or another address of this machine: --listen 127.0.0.1:8081")
    })
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, pages: Arc<Pages>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Who comes when there is no room waits in the queue of the system, which is bounded as well.
        let Ok(place) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let pages = pages.clone();
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(DONE_WITHIN, converse(stream, &*pages)).await;
                    drop(place);
                });
            }
            // Too many open files, mostly: it passes.
            Err(error) => {
                tracing::debug!("a connection could not be taken: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// One question, one answer.
async fn converse(stream: TcpStream, pages: &Pages) {
    let answer = service_fn(|request: Request<Incoming>| async move { Ok::<_, Infallible>(answer(&request, pages)) });
    let mut with = http1::Builder::new();
    with.timer(TokioTimer::new()).header_read_timeout(ASKED_WITHIN).max_buf_size(LARGEST_HEAD).keep_alive(false);
    if let Err(error) = with.serve_connection(TokioIo::new(stream), answer).await {
        tracing::debug!("a connection ended early: {error}");
    }
}

fn answer<B>(request: &Request<B>, pages: &Pages) -> Response<http_body_util::Full<Bytes>> {
    let page = match *request.method() {
        Method::GET | Method::HEAD => pages(request.uri().path())
            .unwrap_or_else(|| Page::plain(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n")),
        _ => Page::plain(StatusCode::METHOD_NOT_ALLOWED, "nothing can be changed here, only read\n"),
    };
    let is_refused = page.status == StatusCode::METHOD_NOT_ALLOWED;
    let mut response = Response::new(http_body_util::Full::from(page.text));
    *response.status_mut() = page.status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(page.content_type));
    if is_refused {
        response.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// What the server says to these bytes, until it closes the connection.
    fn said(question: &[u8]) -> String {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(bind("127.0.0.1:0".parse().unwrap())).unwrap();
        let address = listener.local_addr().unwrap();
        let pages: Arc<Pages> =
            Arc::new(|path| (path == "/healthz").then(|| Page::plain(StatusCode::OK, "ok    loop\n")));
        runtime.spawn(serve(listener, pages));
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        // It may refuse before all of it is written.
        let _ = stream.write_all(question);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn a_page_is_read_and_the_connection_is_closed() {
        let answer = said(b"GET /healthz?verbose HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok    loop\n"), "{answer}");
        assert!(answer.contains("content-type: text/plain; charset=utf-8\r\n"), "{answer}");
        let head = said(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    }

    #[test]
    fn nothing_else_is_there_and_nothing_can_be_changed() {
        assert!(said(b"GET /debug/pprof HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 404 "));
        let refused = said(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
        assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD"), "{refused}");
    }

    #[test]
    fn a_question_that_is_too_large_or_none_is_refused() {
        let large = [b"GET /healthz HTTP/1.1\r\nA: ".as_slice(), &[b'a'; LARGEST_HEAD], b"\r\n\r\n"].concat();
        assert!(!said(&large).contains("200 OK"));
        assert!(said(b"\x16\x03\x01\x02\x00\x01\x00").starts_with("HTTP/1.1 400 "), "a client that speaks TLS");
    }

    #[test]
    fn an_address_that_is_taken_says_so() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = runtime.block_on(bind(taken.local_addr().unwrap())).unwrap_err().to_string();
        assert!(error.contains("cannot listen on 127.0.0.1:") && error.contains("\nHint: "), "{error}");
    }
}
