//! `doctor` on a repository by URL: each thing that is wrong has its line and its next step.

use serde_json::Value;

use crate::run::Shop;
use crate::server::{Fault, Proxy};

fn doctor(shop: &Shop, repo: &str, environment: &[(&str, &str)]) -> Value {
    let mut command = shop.kubecure_at("doctor", repo);
    let output = command.args(["-o", "json"]).envs(environment.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// State, text and next steps of a check.
fn check(said: &Value, about: &str) -> (String, String) {
    let all = said["checks"].as_array().unwrap();
    let found = all.iter().find(|check| check["check"] == about).unwrap_or_else(|| panic!("no {about}: {said:#}"));
    let next: Vec<&str> = found["next"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    (found["state"].as_str().unwrap().to_owned(), format!("{}\n{}", found["text"].as_str().unwrap(), next.join("\n")))
}

#[test]
fn a_repository_that_is_well_is_told_so_and_nothing_is_kept() {
    let shop = Shop::new(true);
    let said = doctor(&shop, &shop.bed.url(), &[]);
    for (about, text) in [
        ("git", "can be read; its default branch is main"),
        ("git push", "lets these credentials push"),
        ("git clock", "0 s"),
        ("repository", "the base branch main is at "),
        ("manifests", "2 objects in 2 files"),
        ("policy", "built-in default"),
        ("forge", "branches are pushed"),
    ] {
        let (state, says) = check(&said, about);
        assert_eq!(state, "ok", "{about}: {says}");
        assert!(says.contains(text), "{about}: {says}");
    }
    assert!(crate::bed::files(shop.bed.clones.path()).is_empty());
    assert!(shop.bed.branches().is_empty());
}

#[test]
fn what_is_wrong_has_its_next_step() {
    let shop = Shop::new(true);
    shop.bed.on_server(&["config", "http.receivepack", "false"]);
    let (state, says) = check(&doctor(&shop, &shop.bed.url(), &[]), "git push");
    assert_eq!(state, "fail", "{says}");
    assert!(
        says.contains("it can be read, and not pushed to") && says.contains("a token that may read and write"),
        "{says}"
    );
    shop.bed.server.clock_ahead(-600);
    let (state, says) = check(&doctor(&shop, &shop.bed.url(), &[]), "git clock");
    assert!(state == "warn" && says.contains("behind this machine") && says.contains("NTP"), "{says}");
    for (fault, text, next) in [
        (Fault::Down, "does not answer", "tried again"),
        (Fault::Status(401, "no".to_owned()), "refuses the token (it says: no)", "KUBECURE_GIT_TOKEN"),
        (Fault::Status(404, String::new()), "is not there", "git ls-remote"),
        (Fault::Page, "no Git server", "git clone"),
    ] {
        shop.bed.server.fault(fault);
        let (state, says) = check(&doctor(&shop, &shop.bed.url(), &[]), "git");
        assert_eq!(state, "fail", "{says}");
        assert!(says.contains(text) && says.contains(next), "{says}");
    }
    let (state, says) = check(&doctor(&shop, ".", &[]), "forge");
    assert!(state == "fail" && says.contains("--repo URL"), "{says}");
}

#[test]
fn a_proxy_of_the_environment_is_used_unless_the_host_is_left_out() {
    let shop = Shop::new(true);
    let proxy = Proxy::start(&shop.bed.server.url);
    let said =
        doctor(&shop, "https://git.shop.example/shop.git", &[("HTTPS_PROXY", &proxy.url), ("NO_PROXY", "127.0.0.1")]);
    assert_eq!(check(&said, "git").0, "ok", "{said:#}");
    assert!(proxy.asked().iter().all(|line| line == "CONNECT git.shop.example:443 HTTP/1.1"), "{:?}", proxy.asked());
    let before = proxy.asked().len();
    assert!(before > 0);
    let said = doctor(&shop, &shop.bed.url(), &[("HTTPS_PROXY", &proxy.url), ("NO_PROXY", "localhost,127.0.0.1")]);
    assert_eq!((check(&said, "git").0.as_str(), proxy.asked().len()), ("ok", before));
}
