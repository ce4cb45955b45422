//! An end in time, whatever hangs.

use std::process::Command;
use std::time::Duration;

use super::cluster::{Namespace, Running, apply, deployment, hold_forge, kubeconfig, pull_requests, repository, until};

/// As long as the process has after a signal; a quarter of a second is for a busy machine.
const IN_TIME: Duration = Duration::from_millis(5250);

#[test]
fn work_that_waits_for_a_forge_that_hangs_is_left_and_found_again() {
    let Some(config) = kubeconfig() else { return };
    let (temp, namespace) = (tempfile::tempdir().unwrap(), Namespace::new("hang"));
    repository(&temp.path().join("repo"), &namespace.0, &["one"]);
    let mut running = Running::start(&config, temp.path(), "a", &namespace.0, &[]);
    until("it is ready", || running.page("/readyz").starts_with("HTTP/1.1 200"));
    let door = hold_forge(temp.path());
    apply(&deployment(&namespace.0, "one"));
    until("it waits for the forge", || running.log().contains(r#""note":"request""#));
    let turned = |page: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix("kubecure_turn_duration_seconds_count ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let before = turned(&running.page("/metrics"));
    until("the loop turns all the same", || turned(&running.page("/metrics")) > before);
    running.signal("TERM");
    assert!(running.ends_within(IN_TIME), "{}", running.log());
    let log = running.log();
    assert!(log.contains(r#""message":"stopping""#) && log.contains(r#""unfinished":1"#), "{log}");
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
    assert_eq!(pull_requests(temp.path()), [""; 0]);
    drop(door);
    let again = Running::start(&config, temp.path(), "b", &namespace.0, &[]);
    until("the next run finds it again", || pull_requests(temp.path()) == ["one"]);
    drop(again);
}

#[test]
fn a_loop_that_hangs_ends_in_time_as_well() {
    let Some(config) = kubeconfig() else { return };
    let (temp, namespace) = (tempfile::tempdir().unwrap(), Namespace::new("loop"));
    repository(&temp.path().join("repo"), &namespace.0, &["one"]);
    let mut running = Running::start(&config, temp.path(), "a", &namespace.0, &[]);
    until("it is ready", || running.page("/readyz").starts_with("HTTP/1.1 200"));
    // Who opens a pipe that nobody writes to waits for ever, as on a disk that is away.
    let git = temp.path().join("forge/repo.git");
    let head = std::fs::read_to_string(git.join("HEAD")).unwrap();
    for file in [head.trim().trim_start_matches("ref: "), "HEAD"] {
        let _ = std::fs::remove_file(git.join(file));
        assert!(Command::new("mkfifo").arg(git.join(file)).status().unwrap().success());
    }
    let age = |page: &str, of: &str| {
        let age = page.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix("_age_seconds "));
        age.map_or(0.0, |age| age.parse::<f64>().unwrap())
    };
    until("who reads it hangs", || {
        let page = running.page("/metrics");
        age(&page, "kubecure_turn") > 17.0 || age(&page, "kubecure_repository") > 17.0
    });
    running.signal("TERM");
    assert!(running.ends_within(IN_TIME), "{}", running.log());
}
