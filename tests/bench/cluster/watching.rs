//! A `kubecure run` as the benchmarks have it.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

/// The product.
pub const BINARY: &str = env!("CARGO_BIN_EXE_kubecure");

/// A `kubecure run` that is ended with the benchmark.
pub struct Watching {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    began: Instant,
}

impl Watching {
    /// Starts one; its settle times are multiplied.
    pub fn start(kubeconfig: &Path, folder: &Path, name: &str, settle: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = folder.join(format!("{name}.log"));
        let mut command = Command::new(BINARY);
        command.arg("run").arg("--kubeconfig").arg(kubeconfig).arg("--repo").arg(folder.join("repo"));
        command.arg("--forge").arg(format!("local:{}", folder.join("forge").display()));
        command.args(["--settle-scale", settle, "--listen", &address.to_string(), "--log-format", "json"]);
        command.env("RUST_LOG", "kubecure=debug").stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), address, log, began: Instant::now() }
    }

    pub fn page(&self, path: &str) -> String {
        let mut text = String::new();
        let Ok(mut stream) = TcpStream::connect(self.address) else { return text };
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let _ = stream.read_to_string(&mut text);
        text
    }

    /// Waits until it holds so many pods and has looked at them.
    pub async fn seen(&self, pods: usize) -> Duration {
        let line = "kubecure_watch_objects{kind=\"Pod\"} ";
        loop {
            let metrics = self.page("/metrics");
            let held = metrics.lines().find_map(|l| l.strip_prefix(line)).and_then(|n| n.parse::<f64>().ok());
            if held.is_some_and(|held| held >= pods as f64) && self.page("/readyz").starts_with("HTTP/1.1 200") {
                return self.began.elapsed();
            }
            assert!(self.began.elapsed() < Duration::from_secs(600), "{}", fs::read_to_string(&self.log).unwrap());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Now and at the most, in MB.
    pub fn memory(&self) -> String {
        format!("{:.1} MB (at most {:.1} MB)", self.megabytes("VmRSS:"), self.megabytes("VmHWM:"))
    }

    /// A line of the kernel's about the process.
    pub fn megabytes(&self, of: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(of)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
    }

    /// The sum of a metric over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.page("/metrics");
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// How often it has looked, and for how many seconds in all.
    pub fn turns(&self) -> (f64, f64) {
        let of = |part: &str| self.metric(&format!("kubecure_turn_duration_seconds_{part}"));
        (of("count"), of("sum"))
    }

    /// Seconds of a core that it has used.
    pub fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    /// When each incident was first seen.
    pub fn found(&self) -> HashMap<String, Timestamp> {
        let log = fs::read_to_string(&self.log).unwrap();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = lines.filter(|line| line["message"] == "found");
        found
            .map(|line| {
                (line["incident"].as_str().unwrap().to_owned(), line["timestamp"].as_str().unwrap().parse().unwrap())
            })
            .collect()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
