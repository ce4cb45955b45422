//! An image reference, read as the runtime reads it.

/// `registry.example:5000/shop/api:v1@sha256:...`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The registry's host; `docker.io` when the name says none.
    pub host: String,
    /// Without host, tag and digest: `shop/api`, `library/nginx`.
    pub repository: String,
    pub tag: Option<String>,
    pub digest: Option<String>,
}

impl Image {
    /// Reads a reference without judging it: an invalid one is what this is for.
    pub fn parse(text: &str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        // A colon after the last slash begins a tag; before it, a port.
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[slash..].find(':') {
            Some(at) => (&rest[..slash + at], Some(rest[slash + at + 1..].to_owned())),
            None => (rest, None),
        };
        let (host, repository) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
                (first.to_owned(), path.to_owned())
            }
            Some(_) => ("docker.io".to_owned(), name.to_owned()),
            None => ("docker.io".to_owned(), format!("library/{name}")),
        };
        Self { host, repository, tag, digest }
    }

    /// Whether two references name the same repository of the same registry.
    pub fn same_repository(&self, other: &Self) -> bool {
        self.host == other.host && self.repository == other.repository
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_expanded_and_ports_are_no_tags() {
        let parsed = |text| {
            let i = Image::parse(text);
            (i.host, i.repository, i.tag.unwrap_or_default(), i.digest.is_some())
        };
        assert_eq!(parsed("nginx"), ("docker.io".into(), "library/nginx".into(), String::new(), false));
        assert_eq!(
            parsed("localhost:5000/shop/api:v1"),
            ("localhost:5000".into(), "shop/api".into(), "v1".into(), false)
        );
        assert_eq!(parsed("shop/api:v1"), ("docker.io".into(), "shop/api".into(), "v1".into(), false));
        assert_eq!(parsed("r.example/a/b@sha256:00"), ("r.example".into(), "a/b".into(), String::new(), true));
        assert_eq!(parsed("r.example:5000/a"), ("r.example:5000".into(), "a".into(), String::new(), false));
    }
}
