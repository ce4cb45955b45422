//! What the user and the repository say in, which forge it is and where out.

use crate::case::{RepoUrl, Scheme};

/// Whose API a forge speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Github,
    Gitlab,
    /// Forgejo speaks the same.
    Gitea,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Github, Self::Gitlab, Self::Gitea];

    /// As `--forge` has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Gitea => "gitea",
        }
    }

    /// The kind that a host's name tells.
    pub fn of_host(host: &str) -> Option<Self> {
        let first = host.split('.').next().unwrap_or_default();
        match host {
            "github.com" => Some(Self::Github),
            "gitlab.com" => Some(Self::Gitlab),
            "codeberg.org" | "gitea.com" => Some(Self::Gitea),
            _ => match first {
                "github" => Some(Self::Github),
                "gitlab" => Some(Self::Gitlab),
                "gitea" | "forgejo" => Some(Self::Gitea),
                _ => None,
            },
        }
    }
}

/// A repository on a forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub kind: Kind,
    /// The forge itself, without a slash at its end: `https://git.example.com`
    pub base: String,
    /// `shop/app`
    pub project: String,
}

/// Why there is none: a sentence and a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAddress {
    pub message: String,
    pub hint: String,
}

impl Address {
    /// The forge at `base`, or else where the repository is.
    pub fn new(kind: Kind, base: Option<&str>, repo: &RepoUrl) -> Result<Self, BadAddress> {
        let word = kind.word();
        let bad = |message: String, hint: String| BadAddress { message, hint };
        let hint = format!("--forge {word}:https://git.example.com, the forge's own address");
        let base = match base {
            Some(base) => itself(base),
            None => usual(repo)
                .ok_or_else(|| bad(format!("where the API of {repo} is does not follow from it"), hint.clone()))?,
        };
        // The same rules as for a repository: no credential in it, and nothing in the clear but to this machine.
        let probe = RepoUrl::parse(&format!("{base}/a/b"))
            .map_err(|error| bad(error.message.replace("/a/b", ""), error.hint.to_owned()))?;
        if !matches!(probe.scheme(), Scheme::Https | Scheme::Http) {
            return Err(bad(format!("the address of a forge begins with https://, and {base} does not"), hint));
        }
        let below = probe.path().strip_suffix("/a/b").unwrap_or_default().trim_matches('/').to_owned();
        let path = repo.path().trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let project = path.strip_prefix(&below).map_or(path, |rest| rest.trim_start_matches('/')).to_owned();
        let parts = project.split('/').filter(|part| !part.is_empty()).count();
        let fits = if kind == Kind::Gitlab { parts >= 2 } else { parts == 2 };
        if !fits || repo.scheme() == Scheme::File {
            return Err(bad(
                format!("{repo} is no repository of a forge; its owner and its name were expected"),
                "--repo https://git.example.com/OWNER/NAME.git; --forge branch needs no more than Git".to_owned(),
            ));
        }
        Ok(Self { kind, base, project })
    }

    /// The page of the repository.
    pub fn page(&self) -> String {
        format!("{}/{}", self.base, self.project)
    }
}

/// The forge, where somebody gave the address of its API.
fn itself(base: &str) -> String {
    let base = base.trim_end_matches('/');
    if base == "https://api.github.com" {
        return "https://github.com".to_owned();
    }
    let api = ["/api/v1", "/api/v3", "/api/v4"].iter().find_map(|end| base.strip_suffix(end));
    api.unwrap_or(base).to_owned()
}

/// Where a forge is that has its pages where its Git is.
fn usual(repo: &RepoUrl) -> Option<String> {
    match repo.scheme() {
        Scheme::Https => Some(format!("https://{}", repo.authority())),
        Scheme::Http => Some(format!("http://{}", repo.authority())),
        // The port of ssh says nothing of the pages.
        Scheme::Ssh => Some(format!("https://{}", repo.host())),
        Scheme::File => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(kind: Kind, base: Option<&str>, repo: &str) -> Result<(String, String), String> {
        let found = Address::new(kind, base, &RepoUrl::parse(repo).unwrap());
        found.map(|found| (found.base, found.project)).map_err(|bad| format!("{} / {}", bad.message, bad.hint))
    }

    #[test]
    fn a_forge_is_where_its_repository_is_unless_it_is_said() {
        let of = |repo: &str| address(Kind::Gitea, None, repo).unwrap();
        let pair = |base: &str, project: &str| (base.to_owned(), project.to_owned());
        assert_eq!(of("https://git.example.com/shop/app.git"), pair("https://git.example.com", "shop/app"));
        assert_eq!(of("git@git.example.com:shop/app.git"), pair("https://git.example.com", "shop/app"));
        assert_eq!(of("ssh://git@git.example.com:2222/shop/app"), pair("https://git.example.com", "shop/app"));
        assert_eq!(of("http://127.0.0.1:3000/bot/shop"), pair("http://127.0.0.1:3000", "bot/shop"));
        let below = address(Kind::Gitea, Some("https://example.com/git/"), "https://example.com/git/shop/app");
        assert_eq!(below.unwrap(), pair("https://example.com/git", "shop/app"));
        assert_eq!(address(Kind::Gitlab, None, "https://h.example/a/b/c").unwrap().1, "a/b/c");
    }

    #[test]
    fn what_is_no_forge_is_refused_and_no_credential_is_repeated() {
        for (kind, base, repo) in [
            (Kind::Gitea, None, "https://h.example/a/b/c"),
            (Kind::Github, None, "https://h.example/a"),
            (Kind::Gitea, None, "file:///srv/a/b"),
            (Kind::Gitea, Some("http://git.example.com"), "https://git.example.com/a/b"),
            (Kind::Gitea, Some("ssh://git.example.com"), "https://git.example.com/a/b"),
            (Kind::Gitea, Some("https://me:hunter2@git.example.com"), "https://git.example.com/a/b"),
        ] {
            let why = address(kind, base, repo).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn a_host_tells_its_kind_or_nothing() {
        assert_eq!(Kind::of_host("github.com"), Some(Kind::Github));
        assert_eq!(Kind::of_host("gitlab.example.com"), Some(Kind::Gitlab));
        assert_eq!(Kind::of_host("codeberg.org"), Some(Kind::Gitea));
        assert_eq!(Kind::of_host("git.example.com"), None);
        assert_eq!(Kind::of_host("evil-github.com"), None);
    }
}
