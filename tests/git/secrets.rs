//! A token is planted, and everything that is said and written is searched for it: on success and on every failure.

use base64::Engine;

use crate::bed::files;
use crate::run::{Shop, TOKEN};
use crate::server::{Fault, Server};

/// The token, and every dress that it wears on the wire.
fn dresses() -> Vec<String> {
    let encode = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    vec![TOKEN.to_owned(), encode(format!("x-access-token:{TOKEN}")), encode(TOKEN.to_owned())]
}

fn searched(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for dress in dresses() {
        assert!(!text.contains(&dress), "{what} holds the token: {text}");
    }
}

#[test]
fn no_token_is_ever_said_or_written() {
    let shop = Shop::new(true);
    let other = Server::start();
    let token_file = shop.folder.path().join("token");
    std::fs::write(&token_file, TOKEN).unwrap();
    let faults = [
        Fault::None,
        Fault::Down,
        Fault::Status(401, "no".to_owned()),
        Fault::Echo(401),
        Fault::Echo(403),
        Fault::Echo(500),
        Fault::Redirect(other.url.clone()),
        Fault::Truncate(100),
        Fault::Corrupt,
        Fault::Page,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        shop.bed.server.fault(Fault::None);
        shop.bed.commit(&[("count.yaml", &format!("# {number}\n"))]);
        shop.bed.server.fault(fault.clone());
        for verb in ["run", "doctor"] {
            let mut command = shop.kubecure(verb);
            command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
            if verb == "run" {
                command.arg("--once");
            }
            if number % 2 == 0 {
                command.env_remove("KUBECURE_GIT_TOKEN").arg("--git-token-file").arg(&token_file);
            }
            let output = command.output().unwrap();
            assert!(output.stdout.len() + output.stderr.len() > 100, "{verb} says something with {fault:?}");
            searched(&format!("stdout of {verb} with {fault:?}"), &output.stdout);
            searched(&format!("stderr of {verb} with {fault:?}"), &output.stderr);
        }
    }
    let kept = files(shop.bed.clones.path());
    assert!(kept.len() > 5);
    for file in kept {
        searched(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
    assert!(other.asked().is_empty(), "{:?}", other.asked());
    // It was really in use: the server lets nobody else in.
    assert_eq!(shop.bed.branches().len(), 1);
}

#[test]
fn a_password_in_a_url_is_not_repeated_wherever_it_comes_from() {
    let shop = Shop::new(true);
    let url = format!("https://me:{TOKEN}@git.example.com/shop.git");
    for verb in ["run", "doctor"] {
        let mut by_environment = std::process::Command::new(assert_cmd::cargo::cargo_bin("kubecure"));
        by_environment.env_clear().env("KUBECURE_REPO", &url).args([verb, "--forge", "branch"]);
        let mut by_flag = std::process::Command::new(assert_cmd::cargo::cargo_bin("kubecure"));
        by_flag.env_clear().args([verb, "--forge", "branch", "--repo", &url]);
        for command in [&mut by_environment, &mut by_flag] {
            let output = command.arg("--clone-dir").arg(shop.bed.clones.path()).output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            searched("stderr", &output.stderr);
        }
        let mut help = std::process::Command::new(assert_cmd::cargo::cargo_bin("kubecure"));
        let output =
            help.env_clear().env("KUBECURE_REPO", &url).env("KUBECURE_GIT_TOKEN", TOKEN).args([verb, "--help"]);
        searched("the help", &output.output().unwrap().stdout);
    }
}
