//! Git over ssh: the system's `ssh` program, its input and output.
//!
//! The one program that KubeCure starts. It asks nobody anything, trusts known host keys alone, and gets nothing of the
//! environment but what it needs.

use std::io::{self, Read, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::Trouble;
use super::session::{Session, runtime};
use super::trouble::Login;

/// What `ssh` keeps of the environment.
const KEPT: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "TMPDIR"];
/// Bytes of its words that are kept.
const MAX_SAID: usize = 8 * 1024;
/// How long it has to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// One operation over ssh.
pub(super) struct Ssh {
    session: Arc<Session>,
}

impl Ssh {
    pub fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    fn start(&self, service: &str) -> Result<Pipe, Trouble> {
        let mut command = Command::new("ssh");
        command.args(arguments(&self.session, service)).env_clear();
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let nothing = || Trouble::Other { why: "ssh cannot be started".to_owned() };
        let (child, input, output, said) = self.session.wait(async {
            let mut child = command.spawn().map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Trouble::NoSsh,
                _ => Trouble::Other { why: format!("ssh cannot be started: {error}") },
            })?;
            let input = child.stdin.take().ok_or_else(nothing)?;
            let output = child.stdout.take().ok_or_else(nothing)?;
            let mut words = child.stderr.take().ok_or_else(nothing)?;
            let said = tokio::spawn(async move {
                let (mut kept, mut buffer) = (Vec::new(), [0; 1024]);
                while let Ok(count @ 1..) = words.read(&mut buffer).await {
                    // Read to the end, so that ssh never waits for a reader.
                    kept.extend_from_slice(&buffer[..count.min(MAX_SAID.saturating_sub(kept.len()))]);
                }
                String::from_utf8_lossy(&kept).into_owned()
            });
            Ok((child, input, output, said))
        })??;
        Ok(Pipe { session: self.session.clone(), child, input: Some(input), output, said: Some(said), began: false })
    }
}

impl SmartSubtransport for Ssh {
    fn action(&self, _: &str, service: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        // The others go on with the stream of these.
        let service = match service {
            Service::UploadPackLs | Service::UploadPack => "git-upload-pack",
            Service::ReceivePackLs | Service::ReceivePack => "git-receive-pack",
        };
        match self.start(service) {
            Ok(pipe) => Ok(Box::new(pipe)),
            Err(trouble) => Err(git2::Error::from_str(&self.session.fail(trouble).to_string())),
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// What ssh is told. The path has no quote in it, the host begins with no dash: `RepoUrl` sees to that.
fn arguments(session: &Session, service: &str) -> Vec<String> {
    let connect = session.limits.connect.as_secs().max(1);
    let mut all: Vec<String> = ["-T", "-a", "-x"].map(ToOwned::to_owned).to_vec();
    let mut option = |text: String| all.extend(["-o".to_owned(), text]);
    option("BatchMode=yes".to_owned());
    option("StrictHostKeyChecking=yes".to_owned());
    option(format!("ConnectTimeout={connect}"));
    option("ServerAliveInterval=15".to_owned());
    option("ServerAliveCountMax=2".to_owned());
    option("ClearAllForwardings=yes".to_owned());
    option("PermitLocalCommand=no".to_owned());
    option("ControlMaster=no".to_owned());
    option("ControlPath=none".to_owned());
    if let Some(file) = &session.keys.ssh_known_hosts_file {
        option(format!("UserKnownHostsFile=\"{}\"", file.display()));
    }
    if let Some(file) = &session.keys.ssh_key_file {
        option("IdentitiesOnly=yes".to_owned());
        option("IdentityAgent=none".to_owned());
        all.extend(["-i".to_owned(), file.display().to_string()]);
    }
    if let Some(port) = session.url.port() {
        all.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(user) = session.url.user() {
        all.extend(["-l".to_owned(), user.to_owned()]);
    }
    all.extend(["--".to_owned(), session.url.host().to_owned(), format!("{service} '{}'", session.url.path())]);
    all
}

/// A program that runs, and both its ends.
struct Pipe {
    session: Arc<Session>,
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    said: Option<tokio::task::JoinHandle<String>>,
    /// Whether anything came: before that an end is a refusal.
    began: bool,
}

impl Pipe {
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Trouble> {
        let read = self.session.wait(self.output.read(buffer))?;
        let count = read.map_err(|error| Trouble::Unreachable { host: self.host(), why: error.to_string() })?;
        if count == 0 && !self.began {
            return Err(self.refusal());
        }
        self.began = true;
        self.session.came(count)?;
        Ok(count)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let Some(input) = &mut self.input else { return Ok(()) };
        let written = self.session.wait(async {
            input.write_all(bytes).await?;
            input.flush().await
        })?;
        written.map_err(|_| self.refusal())
    }

    fn host(&self) -> String {
        self.session.url.authority()
    }

    /// Why it ended before it began, from its own words.
    fn refusal(&mut self) -> Trouble {
        self.input = None;
        let to_the_end = |said| self.session.wait(async { tokio::time::timeout(GRACE, said).await });
        let said = self.said.take().and_then(|said| to_the_end(said).ok());
        let said = said.and_then(Result::ok).and_then(Result::ok).unwrap_or_default();
        self.meaning(&said)
    }

    fn meaning(&self, said: &str) -> Trouble {
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let line = self.session.keys.said(said);
        if has(&["Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
            return Trouble::HostKey { said: line };
        }
        if has(&["Permission denied", "Too many authentication failures", "UNPROTECTED PRIVATE KEY", "invalid format"])
        {
            return Trouble::Refused { with: Login::Key, said: line };
        }
        let absent = ["not found", "does not exist", "does not appear to be a git repository", "no such"];
        if absent.iter().any(|word| said.to_lowercase().contains(word)) && !has(&["Could not resolve"]) {
            return Trouble::NotFound { url: self.session.url.to_string() };
        }
        let why = if line.is_empty() { "the connection ended at once".to_owned() } else { line };
        Trouble::Unreachable { host: self.host(), why }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).map_err(|trouble| self.session.fail(trouble))
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes).map_err(|trouble| self.session.fail(trouble))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Pipe {
    /// What the server still does with a push it may finish; what does not end is ended.
    fn drop(&mut self) {
        self.input = None;
        if let Some(runtime) = runtime() {
            runtime.block_on(async {
                if tokio::time::timeout(GRACE, self.child.wait()).await.is_err() {
                    // It is gone already, or it goes now.
                    let _ = self.child.kill().await;
                }
            });
        }
    }
}
