//! A repository's URL in, its parts out: typed, comparable, and never a credential in it.
//!
//! What is accepted: `https://`, `http://` to this machine, `ssh://`, `git@host:path` and `file://`. A URL that carries
//! a password or a token is refused, and nothing of it but its host is told: URLs end up in logs and process lists.

use std::fmt;

/// Longer is no URL of a repository.
const MAX: usize = 2048;

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    Https,
    /// Only to this machine: nothing else may see a token in the clear.
    Http,
    Ssh,
    File,
}

impl Scheme {
    fn word(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }

    fn usual_port(self) -> Option<u16> {
        match self {
            Self::Https => Some(443),
            Self::Http => Some(80),
            Self::Ssh => Some(22),
            Self::File => None,
        }
    }
}

/// Where a repository is. Its `Display` and its `Debug` leave out who asks.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoUrl {
    scheme: Scheme,
    /// Who asks, for ssh.
    user: Option<String>,
    /// Lower case; of `IPv6` without brackets; empty for a file.
    host: String,
    /// Where it is not the usual one.
    port: Option<u16>,
    /// Without a slash at its end. It begins with one, but for `git@host:path`.
    path: String,
}

/// Why a text is no URL of a repository: a sentence and a hint. Holds no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl {
    pub message: String,
    pub hint: &'static str,
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nHint: {}", self.message, self.hint)
    }
}

impl std::error::Error for BadUrl {}

impl RepoUrl {
    /// Whether a text means a URL, and not a folder: by its looks, so that a broken URL gets a URL's error.
    pub fn looks_like_one(text: &str) -> bool {
        text.contains("://") || scp(text).is_some()
    }

    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        let text = text.trim();
        if text.len() > MAX {
            return Err(bad(format!("a URL of {} bytes is none of a repository", text.len()), KNOWN));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '\'' | '"' | '\\' | '`')) {
            return Err(bad(format!("{} has a character that no URL has", shown(text)), KNOWN));
        }
        match text.split_once("://") {
            Some((scheme, rest)) => Self::with_scheme(scheme, rest, text),
            None => match scp(text) {
                Some((authority, path)) => Self::scp(authority, path, text),
                None => Err(bad(format!("{} is no URL of a repository", shown(text)), KNOWN)),
            },
        }
    }

    fn with_scheme(scheme: &str, rest: &str, text: &str) -> Result<Self, BadUrl> {
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            "ssh" | "git+ssh" | "ssh+git" => Scheme::Ssh,
            "file" => Scheme::File,
            _ => return Err(bad(format!("{} is reached in a way that is not known", shown(text)), KNOWN)),
        };
        if rest.contains(['?', '#']) {
            return Err(bad(format!("{} goes on with a ? or #, and a repository's URL does not", shown(text)), PLAIN));
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if scheme == Scheme::File {
            return Self::file(authority, path, text);
        }
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        // A password with a slash in it ends the authority early: then the path has the `@`.
        let is_secret = |user: &str| scheme != Scheme::Ssh || user.contains(':');
        if user.is_some_and(is_secret) || (user.is_none() && path.contains('@') && address.contains(':')) {
            return Err(bad(format!("{} carries a credential", shown(text)), CREDENTIAL));
        }
        let (host, port) = address_of(address).ok_or_else(|| no_host(text))?;
        if scheme == Scheme::Http && !is_loopback(&host) {
            return Err(bad(
                format!("{} would send a token in the clear; http:// is for this machine alone", shown(text)),
                "https:// reaches other machines",
            ));
        }
        let path = path_of(path, text)?;
        if scheme == Scheme::Ssh && path.contains('%') {
            return Err(bad(format!("{} is ambiguous: a % in the path of ssh", shown(text)), "git@host:path takes it"));
        }
        let user = user.map(|user| user_of(user, text)).transpose()?;
        let port = port.filter(|port| Some(*port) != scheme.usual_port());
        Ok(Self { scheme, user, host, port, path })
    }

    fn file(authority: &str, path: &str, text: &str) -> Result<Self, BadUrl> {
        if !matches!(authority, "" | "localhost") {
            return Err(bad(
                format!("{} names a machine or a relative path, and file:// takes neither", shown(text)),
                "file:///srv/git/repo.git, with three slashes",
            ));
        }
        let path = path_of(path, text)?;
        Ok(Self { scheme: Scheme::File, user: None, host: String::new(), port: None, path })
    }

    fn scp(authority: &str, path: &str, text: &str) -> Result<Self, BadUrl> {
        // `me:password@host:path`: what stands before the first colon is no host.
        if path.contains('@') {
            return Err(bad(format!("{} carries a credential", shown(text)), CREDENTIAL));
        }
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user_of(user, text)?), address),
            None => (None, authority),
        };
        let (host, _) = address_of(address).ok_or_else(|| no_host(text))?;
        let path = path_of(path, text)?;
        Ok(Self { scheme: Scheme::Ssh, user, host, port: None, path })
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Who asks, for ssh.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Lower case, without brackets; empty for a file.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where it is not the usual one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The path on the server, or of the folder.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether two URLs mean one repository, as Argo CD and Flux would have it: whatever the case, `.git` at the end,
    /// and whether by https or ssh. Ports tell two servers apart only where both are reached the same way.
    pub fn is_same_repository(&self, other: &Self) -> bool {
        let key = |url: &Self| {
            let path = url.path.trim_matches('/').to_lowercase();
            (url.host.clone(), path.strip_suffix(".git").map(ToOwned::to_owned).unwrap_or(path))
        };
        let same_port = self.scheme != other.scheme || self.port == other.port;
        key(self) == key(other) && same_port && (self.scheme == Scheme::File) == (other.scheme == Scheme::File)
    }

    /// Its parts that tell it from every other, without who asks: two texts that are equal here are one repository.
    pub fn canonical(&self) -> String {
        self.to_string()
    }

    /// `host:port`, as a URL has it; nothing for a file.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        self.port.map_or(host.clone(), |port| format!("{host}:{port}"))
    }
}

impl fmt::Display for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == Scheme::Ssh && !self.path.starts_with('/') {
            return write!(f, "{}:{}", self.authority(), self.path);
        }
        write!(f, "{}://{}{}", self.scheme.word(), self.authority(), self.path)
    }
}

impl fmt::Debug for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepoUrl({self})")
    }
}

const KNOWN: &str = "https://host/group/repo.git, ssh://git@host/group/repo.git, git@host:group/repo.git or \
                     file:///srv/repo.git";
const PLAIN: &str = "give the URL that `git clone` takes";
const CREDENTIAL: &str = "take it out of the URL; a token comes from KUBECURE_GIT_TOKEN or --git-token-file FILE, a \
                          key for ssh from KUBECURE_SSH_KEY_FILE";

fn bad(message: String, hint: &'static str) -> BadUrl {
    BadUrl { message, hint }
}

fn no_host(text: &str) -> BadUrl {
    bad(format!("{} names no host that can be asked", shown(text)), KNOWN)
}

/// What of a text can be told, whatever it is: nothing before an `@`, nothing after a `?` or `#`.
fn shown(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let head = rest.split(['?', '#']).next().unwrap_or_default();
    let open = head.rsplit_once('@').map_or(head, |(_, open)| open);
    let open: String = open.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    let known =
        !scheme.is_empty() && scheme.len() <= 12 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+');
    let scheme = if known { format!("{scheme}://") } else { String::new() };
    format!("\"{scheme}{open}\"")
}

/// `git@host:path`, or `host:path`: a colon before any slash, and something on both sides.
fn scp(text: &str) -> Option<(&str, &str)> {
    // `[::1]:path` has colons in its host.
    let from = if text.rsplit_once('@').map_or(text, |(_, host)| host).starts_with('[') { text.find(']')? } else { 0 };
    let at = from + text[from..].find(':')?;
    let (authority, path) = (&text[..at], &text[at + 1..]);
    // `C:\repo` is a folder, and so is `./a:b`.
    let is_one = authority.len() > 1 && !authority.contains('/') && !path.is_empty() && !path.starts_with("//");
    is_one.then_some((authority, path))
}

fn user_of(user: &str, text: &str) -> Result<String, BadUrl> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if user.is_empty() || user.len() > 64 || user.starts_with('-') || !user.chars().all(plain) {
        return Err(bad(format!("{} carries something that is no name of a user", shown(text)), CREDENTIAL));
    }
    Ok(user.to_owned())
}

/// Host and port; a host that ssh would take for an option is none.
fn address_of(address: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<core::net::Ipv6Addr>().ok()?;
        (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        let (host, port) = address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_host = !host.is_empty() && host.len() <= 253 && host.chars().all(plain) && !host.starts_with(['-', '.']);
        (is_host.then_some(host)?, port)
    };
    let port = match port {
        None | Some("") => None,
        Some(port) => Some(port.parse::<u16>().ok().filter(|port| *port > 0)?),
    };
    Some((host.to_ascii_lowercase(), port))
}

fn path_of(path: &str, text: &str) -> Result<String, BadUrl> {
    let trimmed = path.trim_end_matches('/');
    let odd = trimmed.split('/').any(|part| matches!(part, "." | "..")) || trimmed.starts_with("//");
    if trimmed.is_empty() || odd || trimmed.starts_with('-') {
        return Err(bad(format!("{} names no repository on its host", shown(text)), KNOWN));
    }
    Ok(trimmed.to_owned())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<core::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
