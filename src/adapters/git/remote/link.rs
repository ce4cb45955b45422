//! What a server prints after a push in, the link to a pull request out.
//!
//! Text of a server: bounded, and a link counts only where it leads to that same server.

use crate::case::RepoUrl;

/// Bytes that are listened to.
const MAX_HEARD: usize = 16 * 1024;
/// A longer link is none.
const MAX_LINK: usize = 500;

/// Listens for the link.
pub(super) struct Link {
    host: String,
    heard: Vec<u8>,
}

impl Link {
    pub fn new(url: &RepoUrl) -> Self {
        Self { host: url.host().to_owned(), heard: Vec::new() }
    }

    /// Some text of the server, cut anywhere.
    pub fn heard(&mut self, text: &[u8]) {
        let room = MAX_HEARD.saturating_sub(self.heard.len());
        self.heard.extend_from_slice(&text[..text.len().min(room)]);
    }

    /// The first link to the server itself, once a "request" was spoken of: that is how GitHub, GitLab, Gitea, Forgejo
    /// and Bitbucket say it.
    pub fn found(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.heard);
        let after = text.to_lowercase().find("request")?;
        let words = text.get(after..)?.split_whitespace();
        words.filter(|word| self.leads_here(word)).map(ToOwned::to_owned).next()
    }

    fn leads_here(&self, word: &str) -> bool {
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\' | '@');
        let rest = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://"));
        let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let host = authority.map(|authority| authority.rsplit_once(':').map_or(authority, |(host, _)| host));
        let same = host.is_some_and(|host| host.trim_matches(['[', ']']).eq_ignore_ascii_case(&self.host));
        same && word.len() <= MAX_LINK && word.chars().all(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        let mut link = Link::new(&RepoUrl::parse("https://git.example.com/a/b").unwrap());
        // As it comes: in pieces.
        text.as_bytes().chunks(7).for_each(|piece| link.heard(piece));
        link.found()
    }

    #[test]
    fn the_link_of_every_usual_server_is_found() {
        for (text, link) in [
            (
                "\nCreate a pull request for 'kubecure/x' on GitHub by visiting:\n     https://git.example.com/a/b/pull/new/kubecure/x\n\n",
                "https://git.example.com/a/b/pull/new/kubecure/x",
            ),
            (
                "\nTo create a merge request for kubecure/x, visit:\n  https://git.example.com/a/b/-/merge_requests/new?merge_request%5Bsource_branch%5D=kubecure%2Fx\n",
                "https://git.example.com/a/b/-/merge_requests/new?merge_request%5Bsource_branch%5D=kubecure%2Fx",
            ),
            (
                "\nCreate a new pull request for 'kubecure/x':\n  https://git.example.com:3000/a/b/pulls/new/kubecure/x\n",
                "https://git.example.com:3000/a/b/pulls/new/kubecure/x",
            ),
        ] {
            assert_eq!(found(text).as_deref(), Some(link));
        }
    }

    #[test]
    fn a_link_to_another_host_or_one_that_hides_something_is_none() {
        for text in [
            "see https://git.example.com/news",
            "create a pull request: https://evil.example.com/a",
            "create a pull request: https://git.example.com@evil.example.com/a",
            "create a pull request: https://git.example.com.evil.example.com/a",
            "create a pull request: https://git.example.com/a\x1b[2J",
            "create a pull request: javascript:alert(1)",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
        assert_eq!(found(&format!("request {} https://git.example.com/a", "x ".repeat(20_000))), None);
    }
}
