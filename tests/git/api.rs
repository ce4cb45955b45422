//! An API server that shows a recording: its lists, watches in which nothing happens, its logs. It may be held shut.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kubecure::adapters::cluster::KINDS;
use serde_json::{Value, json};

use crate::bed::files;

pub struct Api {
    folder: PathBuf,
    objects: Vec<Value>,
    open: AtomicBool,
    url: String,
}

impl Api {
    /// Shows a recording; shut until [`Api::open`] if it is told so.
    pub fn start(folder: &Path, open: bool) -> Arc<Self> {
        let mut objects = Vec::new();
        for file in files(folder).iter().filter(|file| file.extension().is_some_and(|end| end == "json")) {
            let list: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
            objects.extend(list["items"].as_array().cloned().unwrap_or_else(|| vec![list.clone()]));
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let api = Arc::new(Self { folder: folder.to_owned(), objects, open: AtomicBool::new(open), url });
        let serving = api.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let api = serving.clone();
                std::thread::spawn(move || api.serve(stream));
            }
        });
        api
    }

    pub fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// A kubeconfig for it.
    pub fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let path = folder.join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts:\n- {{name: test, context: {{cluster: test, \
             user: test}}}}\nclusters:\n- {{name: test, cluster: {{server: \"{}\"}}}}\nusers:\n- {{name: test, user: \
             {{token: not-a-secret}}}}\n",
            self.url
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        loop {
            let (mut line, mut length) = (String::new(), 0);
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            loop {
                let mut header = String::new();
                if reader.read_line(&mut header).unwrap_or(0) == 0 || header.trim().is_empty() {
                    break;
                }
                if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let target = line.split(' ').nth(1).unwrap_or_default();
            if target.contains("sendInitialEvents") {
                let refused = "HTTP/1.1 422 X\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
                let _ = stream.write_all(refused.as_bytes());
                return;
            }
            if target.contains("watch=true") {
                let bookmark = "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"150\"}}}\n";
                let head = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
                let _ = write!(stream, "{head}{:x}\r\n{bookmark}\r\n", bookmark.len());
                // Until who asked goes away.
                let _ = reader.read_line(&mut String::new());
                return;
            }
            let (status, body) = self.answer(target);
            let date = jiff::fmt::rfc2822::DateTimePrinter::new();
            let date = date.timestamp_to_rfc9110_string(&jiff::Timestamp::now()).unwrap();
            let length = body.len();
            if write!(stream, "HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {length}\r\n\r\n{body}").is_err()
            {
                return;
            }
        }
    }

    fn answer(&self, target: &str) -> (u16, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path == "/version" {
            return (200, json!({"major": "1", "gitVersion": "v1.36.3"}).to_string());
        }
        if path.ends_with("/selfsubjectaccessreviews") {
            return (201, json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": true}}).to_string());
        }
        if let Some(log) = path.strip_suffix("/log") {
            return self.log(log, query);
        }
        let Some(kind) = KINDS.iter().find(|kind| path == kind.path(None)) else {
            return (404, json!({"kind": "Status", "code": 404, "message": "not found"}).to_string());
        };
        if !self.open.load(Ordering::Relaxed) {
            return (503, json!({"kind": "Status", "code": 503, "message": "not yet"}).to_string());
        }
        let is_one = |item: &&Value| item["kind"] == kind.kind && item["apiVersion"] == kind.api_version();
        let items: Vec<&Value> = self.objects.iter().filter(is_one).collect();
        let metadata = json!({"resourceVersion": "100"});
        let list = format!("{}List", kind.kind);
        (200, json!({"kind": list, "apiVersion": kind.api_version(), "metadata": metadata, "items": items}).to_string())
    }

    fn log(&self, path: &str, query: &str) -> (u16, String) {
        let parts: Vec<&str> = path.split('/').collect();
        let [.., namespace, _, pod] = parts[..] else { return (404, String::new()) };
        let container = query.split('&').find_map(|pair| pair.strip_prefix("container=")).unwrap_or_default();
        let previous = if query.contains("previous=true") { ".previous" } else { "" };
        let file = self.folder.join(format!("logs/{namespace}/{pod}/{container}{previous}.log"));
        match std::fs::read_to_string(file) {
            Ok(text) => (200, text),
            Err(_) => (400, json!({"kind": "Status", "code": 400, "message": "not found"}).to_string()),
        }
    }
}
