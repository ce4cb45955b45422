//! A real Gitea on loopback, for as long as the tests run: built once for the same inputs, started once for all tests.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A Gitea, and its administrator's token.
pub struct Gitea {
    pub url: String,
    pub token: String,
}

/// The Gitea of all tests of this process; `None`, with a printed reason, where there can be none.
pub fn gitea() -> Option<&'static Gitea> {
    static ONE: OnceLock<Result<Gitea, String>> = OnceLock::new();
    match ONE.get_or_init(start) {
        Ok(gitea) => Some(gitea),
        Err(why) => {
            assert!(std::env::var_os("REQUIRE_FORGE").is_none(), "no Gitea: {why}");
            println!("skipped: no Gitea: {why}");
            None
        }
    }
}

/// Where it cannot be built or started, why.
fn start() -> Result<Gitea, String> {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forge");
    let built = Command::new(kit.join("build.sh")).output().map_err(|error| error.to_string())?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        return Err(said.lines().rev().take(3).collect::<Vec<_>>().join("; "));
    }
    let program = String::from_utf8_lossy(&built.stdout).trim().to_owned();
    let state = tempfile::Builder::new().prefix("kubecure-gitea.").tempdir().map_err(|error| error.to_string())?.keep();
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(|error| error.to_string())?.port();
    let url = format!("http://127.0.0.1:{port}");
    std::fs::write(state.join("app.ini"), settings(&state, Path::new(&program), port))
        .map_err(|error| error.to_string())?;
    let gitea = |words: &[&str]| {
        let mut command = Command::new(format!("{program}/gitea"));
        command.arg("--config").arg(state.join("app.ini")).arg("--work-path").arg(&state).args(words);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &state);
        command
    };
    let done = |words: &[&str]| {
        let output = gitea(words).output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            Err(format!("gitea {}: {}{text}", words[0], String::from_utf8_lossy(&output.stderr)))
        }
    };
    done(&["migrate"])?;
    let user = [
        "admin",
        "user",
        "create",
        "--admin",
        "--username",
        "bot",
        "--password",
        "not-a-secret-1",
        "--email",
        "bot@localhost.test",
        "--must-change-password=false",
    ];
    done(&user)?;
    let token = done(&[
        "admin",
        "user",
        "generate-access-token",
        "--username",
        "bot",
        "--token-name",
        "bed",
        "--scopes",
        "all",
        "--raw",
    ])?;
    let token = token.lines().last().unwrap_or_default().trim().to_owned();
    let log = std::fs::File::create(state.join("log.txt")).map_err(|error| error.to_string())?;
    let mut command = gitea(&["web"]);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(|error| error.to_string())?)
        .stderr(log)
        .process_group(0);
    let child = command.spawn().map_err(|error| error.to_string())?;
    outlive(&child, &state);
    let began = Instant::now();
    while get(&format!("{url}/api/healthz")).is_none() {
        if began.elapsed() > Duration::from_secs(60) {
            return Err(format!(
                "it does not answer: {}",
                std::fs::read_to_string(state.join("log.txt")).unwrap_or_default()
            ));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(Gitea { url, token })
}

/// A test process has no end that could be waited for: a shell waits for it instead, ends Gitea and clears away.
fn outlive(gitea: &Child, state: &Path) {
    let script = format!(
        "while kill -0 {me} 2>/dev/null; do sleep 0.5; done; kill {gitea}; sleep 1; kill -9 {gitea} 2>/dev/null; rm -rf '{state}'",
        me = std::process::id(),
        gitea = gitea.id(),
        state = state.display()
    );
    let mut watch = Command::new("sh");
    watch.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    // It ends after this process, so nobody here can wait for it.
    drop(std::thread::spawn(move || watch.status()));
}

fn settings(state: &Path, program: &Path, port: u16) -> String {
    let (state, program) = (state.display(), program.display());
    // As root Gitea wants to be told so, before the first section.
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    format!(
        "APP_NAME = test\nRUN_MODE = prod\nWORK_PATH = {state}\nI_AM_BEING_UNSAFE_RUNNING_AS_ROOT = {root}\n\
         [server]\nPROTOCOL = http\nHTTP_ADDR = 127.0.0.1\nHTTP_PORT = {port}\nROOT_URL = http://127.0.0.1:{port}/\n\
         LOCAL_ROOT_URL = http://127.0.0.1:{port}/\nSTATIC_ROOT_PATH = {program}\nAPP_DATA_PATH = {state}/data\n\
         DISABLE_SSH = true\nOFFLINE_MODE = true\nLFS_START_SERVER = false\n\
         [database]\nDB_TYPE = sqlite3\nPATH = {state}/gitea.db\nSQLITE_JOURNAL_MODE = WAL\nSQLITE_TIMEOUT = 5000\n\
         [security]\nINSTALL_LOCK = true\nSECRET_KEY = not-a-secret\nPASSWORD_HASH_ALGO = pbkdf2_v1\nINTERNAL_TOKEN = {token}\n\
         [oauth2]\nENABLED = false\nJWT_SECRET = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\
         [service]\nDISABLE_REGISTRATION = true\nNO_REPLY_ADDRESS = noreply.localhost\n[mailer]\nENABLED = false\n\
         [log]\nMODE = console\nLEVEL = warn\nROOT_PATH = {state}/log\n\
         [indexer]\nISSUE_INDEXER_TYPE = db\nREPO_INDEXER_ENABLED = false\n\
         [repository]\nROOT = {state}/repos\nDEFAULT_BRANCH = main\n[git]\nHOME_PATH = {state}/home\n\
         [actions]\nENABLED = false\n[session]\nPROVIDER = memory\n[cron.update_checker]\nENABLED = false\n",
        token = "not-a-secret-".repeat(5)
    )
}

impl Gitea {
    /// A new repository of the user `bot` with a first commit. Returns its name.
    pub fn repository(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shop{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.ask(
            "POST",
            "user/repos",
            &json!({"name": name, "private": true, "default_branch": "main", "auto_init": true}),
        );
        name
    }

    /// Asks its API as its administrator.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.try_as(&self.token, method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    pub fn get(&self, path: &str) -> Value {
        self.ask("GET", path, &Value::Null)
    }

    /// Asks its API with a token of one's own.
    pub fn try_as(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        request(&format!("{}/api/v1/{path}", self.url), method, &format!("token {token}"), body)
    }

    /// A token with these scopes alone.
    pub fn token_with(&self, name: &str, scopes: &[&str]) -> String {
        let basic = "Basic Ym90Om5vdC1hLXNlY3JldC0x"; // bot:not-a-secret-1
        let body = json!({"name": name, "scopes": scopes});
        let (status, answer) = request(&format!("{}/api/v1/users/bot/tokens", self.url), "POST", basic, &body);
        assert_eq!(status, 201, "{answer}");
        answer["sha1"].as_str().unwrap().to_owned()
    }
}

fn request(url: &str, method: &str, authorization: &str, body: &Value) -> (u16, Value) {
    let mut command = Command::new("curl");
    command.args(["-sS", "-X", method, "-w", "\n%{http_code}", "-H", "content-type: application/json", "-H"]);
    command.arg(format!("authorization: {authorization}"));
    if !body.is_null() {
        command.args(["--data-binary", "@-"]);
    }
    let mut child = command.arg(url).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let text = if body.is_null() { String::new() } else { body.to_string() };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let (answer, status) = output.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(answer).unwrap_or(Value::Null))
}

fn get(url: &str) -> Option<()> {
    let status = Command::new("curl").args(["-fsS", "-o", "/dev/null", url]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success()).then_some(())
}
