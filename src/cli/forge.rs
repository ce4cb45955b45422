//! `--forge` in, which forge it is and how it is reached out.
#![expect(clippy::disallowed_methods, reason = "a verb reads the environment once, at the edge")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::git::GitArgs;
use super::output::CliError;
use crate::adapters::forge::address::{Address, BadAddress, Kind};
use crate::adapters::forge::api::Manner;
use crate::adapters::forge::connect;
use crate::adapters::forge::github::app::App;
use crate::adapters::forge::hosted::Hosted;
use crate::adapters::git::remote::{Access, Door, Limits, Minted, Secret};
use crate::case::RepoUrl;
use crate::settings::{ForgeKind, ForgeSettings};

const WORDS: &str = "gitea:URL, github:URL, gitlab:URL, auto, branch or local:DIR was expected";

/// The forge, as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A folder.
    Local(PathBuf),
    /// Branches alone.
    Branch,
    /// What the settings of the repository say, or its host.
    Auto,
    /// One with an API, at an address of its own if it has one.
    Hosted { kind: Kind, base: Option<String> },
}

impl Named {
    /// Reads what stands behind `--forge`.
    pub fn read(name: &str) -> Result<Self, CliError> {
        match name {
            "branch" => return Ok(Self::Branch),
            "auto" => return Ok(Self::Auto),
            _ if name.starts_with("local:") => return super::cure::forge_folder(name).map(Self::Local),
            _ => {}
        }
        let (word, base) = name.split_once(':').map_or((name, None), |(word, base)| (word, Some(base.to_owned())));
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word);
        let kind = kind.or_else(|| (word == "forgejo").then_some(Kind::Gitea));
        match (kind, base) {
            (Some(kind), base) if base.as_deref() != Some("") => Ok(Self::Hosted { kind, base }),
            // What was given may hold a token: it is not repeated.
            _ => Err(CliError::usage(format!("--forge names no forge; {WORDS}"))
                .hint("--forge auto, where the name of the repository's host tells")),
        }
    }

    /// Where it is, if it has an API. `settings` are what the repository says, if that is known.
    pub fn address(&self, repo: &RepoUrl, settings: Option<&ForgeSettings>) -> Result<Option<Address>, CliError> {
        match self {
            Self::Local(_) | Self::Branch => Ok(None),
            Self::Hosted { kind, base } => Address::new(*kind, base.as_deref(), repo).map(Some).map_err(bad),
            Self::Auto => settings.map_or_else(|| of_host(repo), |settings| of_settings(settings, repo)).map(Some),
        }
    }
}

/// What the name of the repository's host tells.
fn of_host(repo: &RepoUrl) -> Result<Address, CliError> {
    let kind = Kind::of_host(repo.host()).ok_or_else(|| {
        CliError::usage(format!("the host of {repo} does not tell which forge it is"))
            .hint("--forge gitea (or github, gitlab), or `forge:` in a Settings file of .kubecure/")
    })?;
    Address::new(kind, None, repo).map_err(bad)
}

/// A repository may say which forge it is on, and not that another host gets the token.
fn of_settings(settings: &ForgeSettings, repo: &RepoUrl) -> Result<Address, CliError> {
    let kind = match settings.kind {
        ForgeKind::Github => Kind::Github,
        ForgeKind::Gitlab => Kind::Gitlab,
        ForgeKind::Gitea => Kind::Gitea,
        ForgeKind::Local => {
            return Err(CliError::usage(
                "the settings of the repository say that its forge is a folder, and it is a URL",
            )
            .hint("`forge: {kind: gitea}` (or github, gitlab) in .kubecure/, or --forge"));
        }
    };
    let address = Address::new(kind, settings.base_url.as_deref(), repo).map_err(bad)?;
    if host(&address.base).as_deref() != Some(repo.host()) {
        return Err(CliError::usage(format!(
            "the settings of the repository name the forge {}, which is another host than the repository's",
            address.base
        ))
        .hint(format!("--forge {}:{}, if it may get the token", kind.word(), address.base)));
    }
    Ok(address)
}

fn host(base: &str) -> Option<String> {
    RepoUrl::parse(&format!("{base}/a/b")).ok().map(|url| url.host().to_owned())
}

fn bad(bad: BadAddress) -> CliError {
    CliError::usage(bad.message).hint(bad.hint)
}

impl GitArgs {
    /// The API of a forge, with everything that it takes to reach it. Nothing is asked yet.
    pub fn hosted(&self, address: &Address, repo: &RepoUrl) -> Hosted {
        let manner = Manner { gap: Duration::from_millis(self.forge_gap), ..Manner::default() };
        connect(address, Door::new(self.forge_access(address, repo), Limits::default()), manner)
    }

    /// What makes tokens, where a GitHub App is named.
    pub(super) fn app(&self, address: &Address) -> Option<Minted> {
        let (id, key) = (self.github_app?, self.github_app_key_file.clone()?);
        let access = Access { ca_file: self.git_ca_file.clone(), ..Access::default() };
        let door = Door::new(access, Limits::default());
        let app = App::new(id, key, self.github_installation, address.clone(), door);
        (address.kind == Kind::Github).then(|| Minted(Arc::new(move || app.token())))
    }

    /// The token for the API: its own, or that for Git where both go to one host.
    fn forge_access(&self, address: &Address, repo: &RepoUrl) -> Access {
        let of = |name: &str| std::env::var(name).ok().and_then(|token| Secret::new(&token));
        let own = of("KUBECURE_FORGE_TOKEN")
            .or_else(|| (address.kind == Kind::Github).then(|| of("KUBECURE_GITHUB_TOKEN")).flatten());
        let ca_file = self.git_ca_file.clone();
        let none = Access { ca_file, minted: self.app(address), ..Access::default() };
        match (&self.forge_token_file, own) {
            (Some(file), own) => Access { token_file: Some(file.clone()), token: own, ..none },
            (None, Some(own)) => Access { token: Some(own), ..none },
            (None, None) if host(&address.base).as_deref() == Some(repo.host()) => {
                Access { token_file: self.git_token_file.clone(), token: of("KUBECURE_GIT_TOKEN"), ..none }
            }
            (None, None) => none,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo() -> RepoUrl {
        RepoUrl::parse("https://git.example.com/shop/app").unwrap()
    }

    #[test]
    fn a_forge_is_named_and_what_is_none_is_not_repeated() {
        let hosted = |kind, base: Option<&str>| Named::Hosted { kind, base: base.map(ToOwned::to_owned) };
        assert_eq!(Named::read("gitea").unwrap(), hosted(Kind::Gitea, None));
        assert_eq!(Named::read("forgejo:https://h").unwrap(), hosted(Kind::Gitea, Some("https://h")));
        assert_eq!(Named::read("github").unwrap(), hosted(Kind::Github, None));
        assert_eq!(Named::read("auto").unwrap(), Named::Auto);
        for none in ["", "gitea:", "bitbucket:https://h", "https://me:hunter2@h/a/b"] {
            let error = Named::read(none).unwrap_err();
            assert!(!error.message.contains("hunter2"), "{}", error.message);
        }
    }

    #[test]
    fn a_repository_names_its_forge_and_no_other_host() {
        let settings =
            |base: Option<&str>| ForgeSettings { kind: ForgeKind::Gitea, base_url: base.map(ToOwned::to_owned) };
        let address = |base| Named::Auto.address(&repo(), Some(&settings(base)));
        assert_eq!(address(None).unwrap().unwrap().base, "https://git.example.com");
        let api = address(Some("https://git.example.com/api/v1")).unwrap().unwrap();
        assert_eq!(api.base, "https://git.example.com");
        assert!(address(Some("https://evil.example/api/v1")).unwrap_err().message.contains("another host"));
        assert!(Named::Auto.address(&repo(), None).is_err(), "git.example.com tells nothing");
        let github = RepoUrl::parse("git@github.com:shop/app.git").unwrap();
        assert_eq!(Named::Auto.address(&github, None).unwrap().unwrap().kind, Kind::Github);
    }
}
