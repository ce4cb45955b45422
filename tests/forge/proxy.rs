//! A proxy before the forge that misbehaves on demand, and keeps what passes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How it misbehaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fault {
    #[default]
    None,
    /// After so many requests it takes none any more.
    DownAfter(usize),
    /// The first `times` requests that begin so get this answer, and do not arrive.
    Instead { request: &'static str, times: usize, status: u16, headers: String, body: &'static str },
    /// The first request that begins so arrives, and its answer does not.
    CutAfter { request: &'static str },
    /// The same, and the answer is another one.
    AfterAll { request: &'static str, status: u16 },
    /// The answer to each request that begins so is late.
    Slow { request: &'static str, by: Duration },
}

pub struct Proxy {
    pub url: String,
    state: Arc<State>,
}

struct State {
    to: String,
    fault: Mutex<(Fault, usize)>,
    count: AtomicUsize,
    seen: Mutex<Vec<String>>,
}

impl Proxy {
    pub fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            to: to.trim_start_matches("http://").to_owned(),
            fault: Mutex::default(),
            count: AtomicUsize::new(0),
            seen: Mutex::default(),
        });
        let serving = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = serving.clone();
                std::thread::spawn(move || state.serve(stream));
            }
        });
        Self { url, state }
    }

    /// From now on.
    pub fn fault(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = (fault, 0);
        self.state.count.store(0, Ordering::Relaxed);
    }

    /// Requests that began so, as they came.
    pub fn seen(&self, begins: &str) -> Vec<String> {
        self.state.seen.lock().unwrap().iter().filter(|line| line.starts_with(begins)).cloned().collect()
    }

    pub fn forget(&self) {
        self.state.seen.lock().unwrap().clear();
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        let Some((line, head, body)) = read(&stream) else { return };
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let (fault, times) = {
            let mut fault = self.fault.lock().unwrap();
            let is_meant = match &fault.0 {
                Fault::None => false,
                Fault::DownAfter(most) => number >= *most,
                Fault::Instead { request, times, .. } => line.starts_with(request) && fault.1 < *times,
                Fault::CutAfter { request } | Fault::AfterAll { request, .. } => {
                    line.starts_with(request) && fault.1 == 0
                }
                Fault::Slow { request, .. } => line.starts_with(request),
            };
            fault.1 += usize::from(is_meant);
            (if is_meant { fault.0.clone() } else { Fault::None }, fault.1)
        };
        let _ = times;
        if matches!(fault, Fault::DownAfter(_)) {
            return;
        }
        self.seen.lock().unwrap().push(line.clone());
        let words = |status: u16, headers: &str, body: &str| {
            format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        if let Fault::Instead { status, headers, body, .. } = &fault {
            let _ = stream.write_all(words(*status, headers, body).as_bytes());
            return;
        }
        let Ok(answer) = self.pass(&head, &body) else { return };
        match fault {
            Fault::CutAfter { .. } => {}
            Fault::AfterAll { status, .. } => {
                let _ = stream.write_all(words(status, "", "{\"message\":\"bad gateway\"}").as_bytes());
            }
            Fault::Slow { by, .. } => {
                std::thread::sleep(by);
                let _ = stream.write_all(&answer);
            }
            _ => {
                let _ = stream.write_all(&answer);
            }
        }
    }

    fn pass(&self, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut to = TcpStream::connect(&self.to)?;
        to.write_all(head.as_bytes())?;
        to.write_all(body)?;
        let mut answer = Vec::new();
        to.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// The request line, the head as it is passed on, the body.
fn read(stream: &TcpStream) -> Option<(String, String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut head, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    head.push_str(&line);
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).ok()?;
        let lower = field.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if field.trim().is_empty() {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&field);
        }
    }
    head.push_str("Connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let line = line.split(" HTTP/").next()?.to_owned();
    Some((line, head, body))
}
