//! The lines of one incident, word for word: what a log pipeline parses.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use kubecure::adapters::forge::Forge;
use kubecure::adapters::forge::local::LocalForge;
use kubecure::adapters::recorded::Recorded;
use kubecure::adapters::{folder, snapshot};
use kubecure::case::{Snapshot, Timestamp};
use kubecure::controller::{self, Ground, News, Plan, Station, Woken};
use kubecure::detect::Focus;
use kubecure::locate;
use kubecure::report::log::Log;
use kubecure::report::log::lines::{Format, Lines};
use kubecure::review::policy::Policies;
use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt;

use super::{golden, root};

/// A recording that is watched: nothing changes, and time stands still.
struct Still {
    recording: PathBuf,
    repository: PathBuf,
    forge: PathBuf,
}

fn noon() -> Timestamp {
    "2026-11-27T12:00:00Z".parse().unwrap()
}

impl Station for Still {
    type World = Recorded;
    type Reader<'s> = Log;

    fn now(&self) -> Timestamp {
        noon()
    }

    async fn wake(&self, _: SignedDuration, _: SignedDuration) -> Woken {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        Woken::Look
    }

    async fn sleep(&self, _: SignedDuration) {}

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        Some(Arc::new(snapshot::read(&self.recording).unwrap().snapshot))
    }

    fn missing(&self) -> String {
        String::new()
    }

    fn ground(&self) -> anyhow::Result<Arc<Ground>> {
        let files = folder::read(&self.repository)?;
        let sources = Arc::new(locate::index("example", files.commit, files.files, files.skipped));
        Ok(Arc::new(Ground { sources, policies: Policies::built_in(), invalid: None }))
    }

    fn world(&self, _: Arc<Snapshot>, ground: &Ground) -> anyhow::Result<Recorded> {
        let forge = LocalForge::open(&self.forge, Some(&self.repository), noon())?;
        let base = forge.repo().manifests(None, "")?;
        let sources = locate::index(&ground.sources.name, base.commit, base.files, base.skipped);
        Ok(Recorded::new(snapshot::read(&self.recording)?, sources, Some(Box::new(forge) as Box<dyn Forge>)))
    }

    fn leads(&self) -> bool {
        true
    }

    fn reader(&self) -> Log {
        Log
    }

    fn told(&self, _: News<'_>) {}
}

/// What a pass over the example shop logs.
fn logged(temp: &Path) -> String {
    let (page, recording) = (Arc::new(Mutex::new(String::new())), root().join("tests/recordings/shop"));
    let to = page.clone();
    let lines = Lines::new(Format::Json, noon, move |line: &str| to.lock().unwrap().push_str(line));
    let station = Still { recording, repository: root().join("example-gitops-repo"), forge: temp.join("forge") };
    let plan = Plan { cluster: "demo".to_owned(), focus: Focus::default(), once: true, settle_scale: 0.0 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
        runtime.block_on(controller::run(&station, &plan))
    });
    let text = page.lock().unwrap().clone();
    text.replace(&temp.display().to_string(), "DIR")
}

#[test]
fn an_incident_is_told_from_its_beginning_to_its_pull_request_under_one_id() {
    let temp = tempfile::tempdir().unwrap();
    let log = logged(temp.path());
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |incident: &str| -> String {
        let mine = lines.iter().filter(|line| line["incident"] == incident);
        let told = mine.map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n";
        // Its number says how many were worked before it.
        let numbered = regex::Regex::new(r"#\d+ (DIR/forge/pulls)/\d+").unwrap();
        numbered.replace_all(&told, "#N $1/N").into_owned()
    };
    golden(&root().join("tests/golden/log.jsonl"), &of("oom-killed/deployment/shop/web"));
    let strays = lines.iter().filter(|line| line["incident"].is_null() && line["note"].is_string());
    assert_eq!(strays.count(), 0, "a note without its incident");
    let incidents: std::collections::BTreeSet<&str> =
        lines.iter().filter_map(|line| line["incident"].as_str()).collect();
    assert!(incidents.len() > 5, "{incidents:?}");
    for incident in incidents {
        let notes: Vec<&str> =
            lines.iter().filter(|line| line["incident"] == incident).filter_map(|line| line["note"].as_str()).collect();
        assert_eq!((notes.first(), notes.last()), (Some(&"opened"), Some(&"receipt")), "{incident}: {notes:?}");
    }
}
