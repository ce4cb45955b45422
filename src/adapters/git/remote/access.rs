//! Credentials in, what one operation may use out. Files are read for each operation: rotation needs no restart.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Trouble;
use super::trouble::Login;
use crate::redact::Redactor;
use crate::report::plain;

/// A file of credentials or certificates is not larger.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Characters of a server's text that are kept.
const MAX_SAID: usize = 300;
/// Whom a token belongs to, where nobody says: what GitHub wants, and GitLab, Gitea and Forgejo take.
const USER: &str = "x-access-token";

/// Where credentials come from. Its `Debug` tells no token.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Whose the token is; any name will do for most servers.
    pub user: Option<String>,
    /// A token that was given once and for all.
    pub token: Option<Secret>,
    /// A file that holds the token now. Wins over `token`.
    pub token_file: Option<PathBuf>,
    /// What makes tokens. Wins over both.
    pub minted: Option<Minted>,
    /// The private key for ssh; else whatever ssh has.
    pub ssh_key_file: Option<PathBuf>,
    /// The host keys that ssh trusts; else its own.
    pub ssh_known_hosts_file: Option<PathBuf>,
    /// Certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// What makes a token whenever one is needed: a GitHub App.
#[derive(Clone)]
pub struct Minted(pub Arc<dyn Fn() -> Result<Secret, Trouble> + Send + Sync>);

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Minted(…)")
    }
}

/// Text that nobody sees.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// `None` for one that is empty but for white space.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What one operation has: everything read, nothing shown.
pub(in crate::adapters) struct Keys {
    /// `Basic …`, for HTTP.
    pub authorization: Option<Secret>,
    pub ssh_key_file: Option<PathBuf>,
    pub ssh_known_hosts_file: Option<PathBuf>,
    /// PEM.
    pub ca: Option<Vec<u8>>,
    token: Option<Secret>,
    /// Whether a file was named for it that is not there.
    absent: bool,
}

impl Access {
    /// Reads what is to be used now.
    pub(super) fn keys(&self) -> Result<Keys, Trouble> {
        // A file that is not there is no token, and no error: a pod mounts one that may be left out.
        let absent = self.token_file.as_ref().is_some_and(|file| !file.exists());
        let token = match &self.token_file {
            _ if self.minted.is_some() => self.minted.as_ref().map(|minted| (minted.0)()).transpose()?,
            Some(file) if !absent => Some(token_in(file)?),
            Some(_) => None,
            None => self.token.clone(),
        };
        let basic = |token: &Secret| {
            let user = self.user.as_deref().unwrap_or(USER);
            Secret(format!("Basic {}", STANDARD.encode(format!("{user}:{}", token.0))))
        };
        if let Some(file) = &self.ssh_key_file {
            // Ssh would say only that nobody lets it in.
            read("key file", file)?;
        }
        Ok(Keys {
            authorization: token.as_ref().map(basic),
            ssh_key_file: self.ssh_key_file.clone(),
            ssh_known_hosts_file: self.ssh_known_hosts_file.clone(),
            ca: self.ca_file.as_ref().map(|file| read("CA file", file)).transpose()?,
            token,
            absent,
        })
    }
}

impl Keys {
    /// The value of the header, for the request alone.
    pub fn header(&self) -> Option<&str> {
        self.authorization.as_ref().map(|secret| secret.0.as_str())
    }

    /// The token itself, for a forge's API.
    pub fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|secret| secret.0.as_str())
    }

    /// With what HTTP is tried.
    pub fn login(&self) -> Login {
        match (&self.token, self.absent) {
            (Some(_), _) => Login::Token,
            (None, true) => Login::NoFile,
            (None, false) => Login::Nothing,
        }
    }

    /// What a server or a program said: one line, short, and without our credentials or any other's.
    pub fn said(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in [&self.token, &self.authorization].into_iter().flatten() {
            let bare = secret.0.strip_prefix("Basic ").unwrap_or(&secret.0);
            text = text.replace(bare, "[redacted]");
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let line = words.join(" ");
        let redacted = Redactor::new().redact(&line).text.into_owned();
        let cut: String = redacted.chars().take(MAX_SAID).collect();
        let more = if redacted.chars().count() > MAX_SAID { "…" } else { "" };
        format!("{}{more}", plain::inline(&cut))
    }
}

fn token_in(file: &Path) -> Result<Secret, Trouble> {
    let bad = |why: &str| Trouble::BadFile { what: "token file", file: file.to_owned(), why: why.to_owned() };
    let text = String::from_utf8(read("token file", file)?).map_err(|_| bad("it is no text"))?;
    let token = Secret::new(&text).ok_or_else(|| bad("it is empty"))?;
    if token.0.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(bad("it holds more than one word, and a token is one"));
    }
    Ok(token)
}

fn read(what: &'static str, file: &Path) -> Result<Vec<u8>, Trouble> {
    let bad = |why: String| Trouble::BadFile { what, file: file.to_owned(), why };
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(|error| bad(error.to_string()))?;
    opened.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| bad(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(bad(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "glpat-ABCdef0123456789xyz";

    fn access() -> Access {
        Access { token: Secret::new(TOKEN), ..Access::default() }
    }

    #[test]
    fn nothing_shows_a_token_and_a_servers_echo_of_it_is_masked() {
        let access = access();
        let keys = access.keys().unwrap();
        assert!(!format!("{access:?}").contains(TOKEN));
        let encoded = STANDARD.encode(format!("{USER}:{TOKEN}"));
        assert_eq!(keys.header().unwrap(), format!("Basic {encoded}"));
        let said = keys.said(&format!("bad token {TOKEN}\nheader Basic {encoded}\x1b[2J {}", "x".repeat(500)));
        assert!(!said.contains(TOKEN) && !said.contains(&encoded) && !said.contains(['\n', '\x1b']), "{said}");
        assert!(said.chars().count() <= MAX_SAID + 1, "{said}");
    }

    #[test]
    fn a_token_file_is_read_for_each_operation() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let access = Access { token_file: Some(file.clone()), ..access() };
        assert!(access.keys().is_ok_and(|keys| keys.login() == Login::NoFile && keys.header().is_none()));
        for token in ["first\n", "second"] {
            fs::write(&file, token).unwrap();
            assert_eq!(access.keys().unwrap().token.unwrap().0, token.trim());
        }
        for broken in ["", "  \n", "two words", "two\nlines"] {
            fs::write(&file, broken).unwrap();
            let Err(trouble) = access.keys() else { panic!("{broken:?} is no token") };
            assert!(!trouble.to_string().contains("words\""), "{trouble}");
        }
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(access.keys().is_err());
    }
}
