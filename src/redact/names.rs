//! The name before a value in, what it says about the value out.

/// What a name says about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A secret, whatever it looks like.
    Secret,
    /// A secret if it looks like one.
    Perhaps,
    /// `Authorization`: a scheme and a secret.
    Authorization,
    /// `Cookie`, `Set-Cookie`.
    Cookie,
    Ordinary,
}

/// Words that end in one of these name a secret, also run together: `dbpassword`.
const ENDS: &[&str] =
    &["password", "passwords", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "passcode"];
const SECRETS: &[&str] = &["pass", "pw", "credential", "credentials", "creds", "jwt", "otp", "psk", "pat"];
/// What makes a `key` one that locks something.
const KEYS: &[&str] =
    &["api", "access", "private", "secret", "encryption", "signing", "master", "account", "shared", "auth", "license"];
const PERHAPS: &[&str] = &[
    "auth",
    "sig",
    "signature",
    "session",
    "sessionid",
    "sid",
    "code",
    "nonce",
    "key",
    "bearer",
    "cookie",
    "csrf",
    "xsrf",
];
/// A name that ends so speaks about a secret and is none: `secretName`, `token_expiry`, `password-file`.
const ABOUT: &[&str] = &[
    "name",
    "names",
    "ref",
    "refs",
    "path",
    "paths",
    "file",
    "files",
    "dir",
    "url",
    "uri",
    "endpoint",
    "type",
    "kind",
    "mode",
    "policy",
    "seconds",
    "expiry",
    "expiration",
    "expires",
    "expired",
    "ttl",
    "timeout",
    "count",
    "length",
    "len",
    "size",
    "limit",
    "limits",
    "enabled",
    "disabled",
    "required",
    "optional",
    "valid",
    "version",
    "id",
    "index",
    "hash",
    "algorithm",
    "alg",
    "format",
    "field",
    "header",
    "prefix",
    "suffix",
    "status",
    "provider",
    "manager",
    "store",
    "class",
    "namespace",
    "namespaces",
    "reviews",
    "requests",
    "audience",
    "audiences",
    "issuer",
    "controller",
    "policies",
    "error",
    "age",
    "rotation",
    "usage",
    "used",
    "total",
    "rotated",
    "volume",
    "vol",
    "mount",
    "at",
    "in",
    "info",
    "projection",
];

/// What the name of a field, variable, flag or header says about its value.
pub(super) fn classify(name: &str) -> Name {
    if name.len() > 200 {
        return Name::Ordinary;
    }
    let words = words(name);
    let Some(last) = words.last().map(String::as_str) else { return Name::Ordinary };
    let previous = words.len().checked_sub(2).map_or("", |i| words[i].as_str());
    match last {
        "authorization" => return Name::Authorization,
        "cookie" if words.len() == 1 || previous == "set" => return Name::Cookie,
        "id" if previous == "session" => return Name::Perhaps,
        _ if ABOUT.contains(&last) => return Name::Ordinary,
        _ => {}
    }
    let is_secret = |word: &str| SECRETS.contains(&word) || ENDS.iter().any(|end| word.ends_with(end));
    let is_key = words.windows(2).any(|pair| pair[1] == "key" && KEYS.contains(&pair[0].as_str()));
    // `serviceAccountToken: true` and the like are told by their values.
    if is_key || words.iter().any(|word| is_secret(word)) {
        return Name::Secret;
    }
    if PERHAPS.contains(&last) { Name::Perhaps } else { Name::Ordinary }
}

/// `dbPassword`, `DB_PASSWORD`, `db-password`, `db.password`: `db`, `password`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = '_';
    for c in name.chars() {
        let is_start = last.is_ascii_lowercase() && c.is_ascii_uppercase();
        if c.is_alphabetic() {
            if is_start || !last.is_alphabetic() || words.is_empty() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(c.to_ascii_lowercase());
            }
        }
        last = c;
    }
    words
}
