use super::*;

fn url(text: &str) -> RepoUrl {
    RepoUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_way_to_reach_a_repository_is_read_and_shown_without_who_asks() {
    for (text, shown, host, port, path) in [
        (
            "https://Git.Example.com/Shop/app.git",
            "https://git.example.com/Shop/app.git",
            "git.example.com",
            None,
            "/Shop/app.git",
        ),
        ("https://git.example.com:443/a/", "https://git.example.com/a", "git.example.com", None, "/a"),
        (
            "https://git.example.com:8443/a/My%20App",
            "https://git.example.com:8443/a/My%20App",
            "git.example.com",
            Some(8443),
            "/a/My%20App",
        ),
        ("http://127.0.0.1:3000/a/b", "http://127.0.0.1:3000/a/b", "127.0.0.1", Some(3000), "/a/b"),
        ("http://[::1]:3000/a", "http://[::1]:3000/a", "::1", Some(3000), "/a"),
        (
            "ssh://git@git.example.com:2222/a/b.git",
            "ssh://git.example.com:2222/a/b.git",
            "git.example.com",
            Some(2222),
            "/a/b.git",
        ),
        ("git@git.example.com:a/b.git", "git.example.com:a/b.git", "git.example.com", None, "a/b.git"),
        ("git.example.com:~me/b", "git.example.com:~me/b", "git.example.com", None, "~me/b"),
        ("file:///srv/git/a.git", "file:///srv/git/a.git", "", None, "/srv/git/a.git"),
        ("file://localhost/srv/a", "file:///srv/a", "", None, "/srv/a"),
    ] {
        let read = url(text);
        assert_eq!(
            (read.to_string().as_str(), read.host(), read.port(), read.path()),
            (shown, host, port, path),
            "{text}"
        );
        assert!(RepoUrl::looks_like_one(text), "{text}");
        assert_eq!(format!("{read:?}"), format!("RepoUrl({shown})"));
        let again = url(shown);
        assert_eq!(again.canonical(), read.canonical(), "what is shown can be given");
    }
    assert_eq!(url("ssh://git@h/a").user(), Some("git"));
    assert_eq!(url("git@h:a").user(), Some("git"));
}

#[test]
fn a_credential_is_refused_and_not_repeated() {
    for text in [
        "https://hunter2@git.example.com/a",
        "https://me:hunter2@git.example.com/a",
        "https://me:hunter2/x@git.example.com/a",
        "https://:hunter2@git.example.com/a",
        "http://me:hunter2@127.0.0.1/a",
        "ssh://git:hunter2@git.example.com/a",
        "me:hunter2@git.example.com:a",
        "https://git.example.com/a?private_token=hunter2",
        "https://git.example.com/a#hunter2",
        "ftp://me:hunter2@git.example.com/a",
        "https://me:hunter2@git.example.com:notaport/a",
        "https://me:hunter2@/a",
        "https://me:hunter2 @git.example.com/a",
    ] {
        let error = RepoUrl::parse(text).expect_err(text);
        assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{text}: {error}");
    }
    let error = RepoUrl::parse("https://me:hunter2@git.example.com/a").unwrap_err();
    assert_eq!(error.message, "\"https://git.example.com/a\" carries a credential");
    assert!(error.hint.contains("--git-token-file"));
}

#[test]
fn what_is_no_repository_is_refused_with_what_would_be_one() {
    for text in [
        "",
        "https://",
        "https:///a",
        "https://host",
        "https://host/",
        "https://host/../etc",
        "https://-oProxyCommand=x/a",
        "ssh://-oProxyCommand=x/a",
        "-oProxyCommand=x:a",
        "git@host:-x",
        "ssh://host/a'b",
        "ssh://host/a%27",
        "http://git.example.com/a",
        "http://127.0.0.1.example.com/a",
        "git://host/a",
        "ext::sh -c x",
        "file://relative/a",
        "file:///",
        "https://host:0/a",
        "https://host:99999/a",
        "https://ho st/a",
        "https://host/a\nb",
    ] {
        let error = RepoUrl::parse(text).expect_err(text);
        assert!(!error.hint.is_empty() && !error.message.contains('\n'), "{error}");
    }
    assert!(RepoUrl::parse(&format!("https://host/{}", "a".repeat(3000))).is_err());
}

#[test]
fn a_folder_is_no_url() {
    for text in [".", "./a:b", "/srv/git", "repo", "C:\\repo", "../a"] {
        assert!(!RepoUrl::looks_like_one(text), "{text}");
    }
}

#[test]
fn one_repository_is_one_however_it_is_reached() {
    let same = |a: &str, b: &str| url(a).is_same_repository(&url(b));
    for other in [
        "https://git.example.com/shop/app",
        "https://GIT.example.com/Shop/App.git/",
        "ssh://git@git.example.com/shop/app.git",
        "ssh://git@git.example.com:2222/shop/app.git",
        "git@git.example.com:shop/app.git",
    ] {
        assert!(same("https://git.example.com/shop/app.git", other), "{other}");
    }
    for other in ["https://git.example.com/shop/app2", "https://git.example.org/shop/app", "file:///shop/app"] {
        assert!(!same("https://git.example.com/shop/app.git", other), "{other}");
    }
    assert!(!same("http://127.0.0.1:3000/a/b", "http://127.0.0.1:3001/a/b"));
}

proptest::proptest! {
    #[test]
    fn nothing_that_is_read_holds_a_password(secret in "[a-zA-Z0-9]{12}", user in "[a-z]{0,4}", rest in "[a-z@:/?#.%-]{0,12}") {
        for text in [
            format!("https://{user}:{secret}@{rest}host/a"),
            format!("https://{secret}@host/{rest}"),
            format!("ssh://{user}:{secret}@host{rest}/a"),
            format!("https://host/{rest}?{secret}"),
        ] {
            let told = match RepoUrl::parse(&text) {
                Ok(url) => format!("{url} {url:?} {:?}", url.user()),
                Err(error) => format!("{error} {error:?}"),
            };
            proptest::prop_assert!(!told.contains(&secret), "{} told {}", text, told);
        }
    }
}
