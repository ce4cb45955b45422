//! A real Git server for tests: `git http-backend` behind a small HTTP server on loopback, with TLS by a CA of its own,
//! a token that is checked, and faults on demand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How the server misbehaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// It takes connections and closes them.
    Down,
    /// A status, with a line of text.
    Status(u16, String),
    /// A redirect of the first request, to this before the path.
    Redirect(String),
    /// It says nothing more after so many bytes of a pack.
    Stall(usize),
    /// It ends after so many bytes of a pack, as if that were all.
    Truncate(usize),
    /// One byte of the pack is another one.
    Corrupt,
    /// A page for people instead of Git.
    Page,
    /// It repeats what it was sent, credentials and all.
    Echo(u16),
}

/// A server, for as long as the test runs.
pub struct Server {
    pub root: tempfile::TempDir,
    pub url: String,
    pub ca_file: PathBuf,
    state: Arc<State>,
}

struct State {
    root: PathBuf,
    token: Mutex<Option<String>>,
    fault: Mutex<Fault>,
    /// Method and target of each request, and whether it carried credentials.
    asked: Mutex<Vec<String>>,
    /// Printed by the server after a push, as forges do.
    banner: Mutex<String>,
    /// Seconds that its clock is ahead.
    ahead: Mutex<i64>,
}

impl Server {
    /// Serves the bare repositories of a new folder over https.
    pub fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (config, ca) = certificates();
        let ca_file = root.path().join("ca.pem");
        std::fs::write(&ca_file, ca).unwrap();
        let state = Arc::new(State {
            root: root.path().to_owned(),
            token: Mutex::default(),
            fault: Mutex::default(),
            asked: Mutex::default(),
            banner: Mutex::default(),
            ahead: Mutex::default(),
        });
        let address = listen(state.clone(), Some(config));
        Self { root, url: format!("https://localhost:{}", address.port()), ca_file, state }
    }

    /// The same repositories over plain http, on a port of its own.
    pub fn plain(&self) -> String {
        format!("http://{}", listen(self.state.clone(), None))
    }

    pub fn want_token(&self, token: &str) {
        *self.state.token.lock().unwrap() = Some(token.to_owned());
    }

    pub fn fault(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = fault;
    }

    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    /// What is printed after each push.
    pub fn banner(&self, text: &str) {
        text.clone_into(&mut self.state.banner.lock().unwrap());
    }

    pub fn clock_ahead(&self, seconds: i64) {
        *self.state.ahead.lock().unwrap() = seconds;
    }

    /// The folder of a repository.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}

fn listen(state: Arc<State>, tls: Option<Arc<ServerConfig>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (state, tls) = (state.clone(), tls.clone());
            std::thread::spawn(move || {
                let Some(config) = tls else {
                    let mut stream = stream;
                    return state.serve(&mut stream);
                };
                let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                state.serve(&mut stream);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            });
        }
    });
    address
}

/// A CA, and a server's certificate by it.
fn certificates() -> (Arc<ServerConfig>, String) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let params =
        CertificateParams::new(["localhost", "127.0.0.1", "git.shop.example"].map(ToOwned::to_owned).to_vec()).unwrap();
    let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    (Arc::new(config), ca_certificate.pem())
}

/// A request, read to its end.
struct Asked {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl State {
    /// One request; then the connection closes, so that faults never hide behind an old one.
    fn serve(&self, stream: &mut (impl Read + Write)) {
        if *self.fault.lock().unwrap() == Fault::Down {
            return;
        }
        let mut reader = BufReader::new(stream);
        let Some(asked) = read(&mut reader) else { return };
        let stream = reader.into_inner();
        let authorization = asked.headers.get("authorization").cloned();
        let with = if authorization.is_some() { " with credentials" } else { "" };
        self.asked.lock().unwrap().push(format!("{} {}?{}{with}", asked.method, asked.path, asked.query));
        let fault = self.fault.lock().unwrap().clone();
        let text = |status: u16, text: &str| {
            let length = text.len();
            format!(
                "HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
            )
        };
        let answer = match fault {
            Fault::Status(status, said) => text(status, &said),
            Fault::Echo(status) => text(status, &format!("you sent {authorization:?}")),
            Fault::Page => {
                "HTTP/1.1 200 X\r\nContent-Type: text/html\r\nContent-Length: 4\r\nConnection: close\r\n\r\n<p/>"
                    .to_owned()
            }
            Fault::Redirect(to) if asked.method == "GET" && !asked.path.contains("/moved/") => {
                let to = format!("{to}{}?{}", asked.path, asked.query);
                format!("HTTP/1.1 301 X\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            }
            _ if !self.lets_in(authorization.as_deref()) => text(401, "no such token"),
            fault => {
                self.git(&asked, &fault, stream);
                return;
            }
        };
        let _ = stream.write_all(answer.as_bytes());
        let _ = stream.flush();
    }

    fn lets_in(&self, authorization: Option<&str>) -> bool {
        let Some(token) = self.token.lock().unwrap().clone() else { return true };
        let decoded = authorization.and_then(|value| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
            String::from_utf8(bytes).ok()
        });
        decoded.is_some_and(|pair| pair.split_once(':').is_some_and(|(_, password)| password == token))
    }

    /// Runs `git http-backend` as a web server does.
    fn git(&self, asked: &Asked, fault: &Fault, stream: &mut impl Write) {
        let mut command = Command::new("git");
        command.arg("http-backend").env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("GIT_PROJECT_ROOT", &self.root).env("GIT_HTTP_EXPORT_ALL", "1").env("REMOTE_USER", "tester");
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
        command.env("REQUEST_METHOD", &asked.method).env("QUERY_STRING", &asked.query);
        command.env("PATH_INFO", asked.path.strip_prefix("/moved").unwrap_or(&asked.path));
        command.env("KUBECURE_TEST_BANNER", self.banner.lock().unwrap().as_str());
        for (header, name) in [("content-type", "CONTENT_TYPE"), ("content-encoding", "HTTP_CONTENT_ENCODING")] {
            if let Some(value) = asked.headers.get(header) {
                command.env(name, value);
            }
        }
        command.env("CONTENT_LENGTH", asked.body.len().to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (mut input, body) = (child.stdin.take().unwrap(), asked.body.clone());
        let feeding = std::thread::spawn(move || drop(input.write_all(&body)));
        let mut output = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
        let _ = (feeding.join(), child.wait());
        let head = output.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
        let (headers, body) = output.split_at(head);
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(*self.ahead.lock().unwrap());
        answer(stream, &String::from_utf8_lossy(headers), body.to_vec(), fault, now);
    }
}

/// The answer of the backend as HTTP, with the fault in it.
fn answer(stream: &mut impl Write, headers: &str, mut body: Vec<u8>, fault: &Fault, now: jiff::Timestamp) {
    let status = headers.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let rest: String = headers
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("Status:"))
        .fold(String::new(), |all, line| all + line + "\r\n");
    let is_pack = body.windows(4).any(|window| window == b"PACK");
    let length = body.len();
    match fault {
        Fault::Truncate(bytes) if is_pack => body.truncate(*bytes),
        Fault::Corrupt if is_pack => {
            let at = body.windows(4).position(|window| window == b"PACK").unwrap() + 40;
            body[at] ^= 0x55;
        }
        _ => {}
    }
    let length = if matches!(fault, Fault::Truncate(_)) { body.len() } else { length };
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap();
    let head =
        format!("HTTP/1.1 {status}\r\n{rest}Date: {date}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
    if let Fault::Stall(bytes) = fault
        && is_pack
    {
        let _ = stream.write_all(&body[..(*bytes).min(body.len())]);
        let _ = stream.flush();
        // Longer than any test waits.
        std::thread::sleep(Duration::from_secs(120));
        return;
    }
    let _ = stream.write_all(&body);
    let _ = stream.flush();
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Asked { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}

/// A proxy that leads everybody to one server, and notes where they wanted to go.
pub struct Proxy {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub fn start(server: &str) -> Self {
        let to = server.rsplit('/').next().unwrap().replace("localhost", "127.0.0.1");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = asked.clone();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let (to, noted) = (to.clone(), noted.clone());
                std::thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap_or(0) == 1 {
                        head.push(byte[0]);
                    }
                    let first = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
                    noted.lock().unwrap().push(first);
                    let mut server = std::net::TcpStream::connect(to).unwrap();
                    client.write_all(b"HTTP/1.1 200 X\r\n\r\n").unwrap();
                    let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut into);
                        let _ = into.shutdown(std::net::Shutdown::Write);
                    });
                    let _ = std::io::copy(&mut server, &mut client);
                    let _ = client.shutdown(std::net::Shutdown::Write);
                });
            }
        });
        Self { url, asked }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Runs git, and says what it printed.
pub fn git(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "safe.directory=*", "-c", "init.defaultBranch=main"]).args(words);
    for (name, value) in [
        ("GIT_AUTHOR_NAME", "A Person"),
        ("GIT_AUTHOR_EMAIL", "person@shop.example"),
        ("GIT_COMMITTER_NAME", "A Person"),
        ("GIT_COMMITTER_EMAIL", "person@shop.example"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
    ] {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {words:?}: {text}");
    text.trim().to_owned()
}
