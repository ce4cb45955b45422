//! GitHub's published description, and whether a request is one that it knows.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::recorder::Asked;

/// Published on npm; fetched once and kept.
const PACKAGE: &str = "@octokit/openapi@23.0.2";
const FILE: &str = "package/generated/api.github.com.json";

pub struct Description(Value);

/// `None`, with a printed reason, where it cannot be fetched.
pub fn github() -> Option<&'static Description> {
    static ONE: OnceLock<Result<Description, String>> = OnceLock::new();
    match ONE.get_or_init(fetch) {
        Ok(description) => Some(description),
        Err(why) => {
            println!("skipped: GitHub's description cannot be had: {why}");
            None
        }
    }
}

fn fetch() -> Result<Description, String> {
    let words = |error: std::io::Error| error.to_string();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).ok_or("there is no HOME")?;
    let place = cache.join("kubecure/forge").join(PACKAGE.replace(['/', '@'], "-").trim_start_matches('-'));
    if !place.join(FILE).is_file() {
        std::fs::create_dir_all(cache.join("kubecure/forge")).map_err(words)?;
        let aside = tempfile::tempdir_in(cache.join("kubecure/forge")).map_err(words)?;
        let run = |program: &str, args: &[&str]| {
            let output = Command::new(program).args(args).current_dir(aside.path()).output().map_err(words)?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() {
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            } else {
                Err(said)
            }
        };
        let packed = run("npm", &["pack", "--silent", PACKAGE])?;
        let file = packed.lines().last().unwrap_or_default().to_owned();
        run("tar", &["xzf", &file, FILE])?;
        std::fs::remove_file(aside.path().join(&file)).map_err(words)?;
        if std::fs::rename(aside.keep(), &place).is_err() && !place.join(FILE).is_file() {
            return Err("it cannot be kept".to_owned());
        }
    }
    let text = std::fs::read_to_string(place.join(FILE)).map_err(words)?;
    serde_json::from_str(&text).map(Description).map_err(|error| error.to_string())
}

impl Description {
    /// An example of the description, to be answered with.
    pub fn example(&self, name: &str) -> Value {
        let example = &self.0["components"]["examples"][name]["value"];
        assert!(!example.is_null(), "the description has no example {name}");
        example.clone()
    }

    /// Why a request is none that GitHub knows; `base` stands before its path.
    pub fn judge(&self, asked: &Asked, base: &str) -> Result<(), String> {
        let path = asked.path.strip_prefix(base).ok_or("not below the API")?;
        let method = asked.method.to_lowercase();
        let operation = self.operation(path, &method).ok_or_else(|| format!("no operation {method} {path}"))?;
        let parameters: Vec<&Value> =
            operation["parameters"].as_array().into_iter().flatten().map(|p| self.resolved(p)).collect();
        for (name, value) in &asked.query {
            let known = parameters.iter().find(|parameter| parameter["in"] == "query" && parameter["name"] == **name);
            let known = known.ok_or_else(|| format!("{method} {path} has no parameter {name}"))?;
            if let Some(words) = self.resolved(&known["schema"])["enum"].as_array()
                && !words.iter().any(|word| word == value.as_str())
            {
                return Err(format!("{method} {path}: {name} is none of {words:?}"));
            }
        }
        let body = &operation["requestBody"];
        let schema = &body["content"]["application/json"]["schema"];
        match (asked.body.is_null(), schema.is_null()) {
            (true, _) if body["required"] == true => Err(format!("{method} {path} needs a body")),
            (false, true) => Err(format!("{method} {path} takes no body")),
            (true, _) => Ok(()),
            (false, false) => self.fits(schema, &asked.body, "body").map_err(|why| format!("{method} {path}: {why}")),
        }
    }

    fn operation(&self, path: &str, method: &str) -> Option<&Value> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &&String| {
            let pattern: Vec<&str> = template.split('/').collect();
            // A ref is the one parameter that holds slashes.
            let rest = pattern.last() == Some(&"{ref}") && parts.len() > pattern.len();
            (pattern.len() == parts.len() || rest)
                && pattern.iter().zip(&parts).all(|(want, is)| want.starts_with('{') || want == is)
        };
        let paths = self.0["paths"].as_object()?;
        let best = paths.keys().filter(fits).min_by_key(|template| template.matches('{').count())?;
        Some(&paths[best][method]).filter(|operation| !operation.is_null())
    }

    fn resolved<'v>(&'v self, value: &'v Value) -> &'v Value {
        match value["$ref"].as_str() {
            Some(pointer) => self.resolved(self.0.pointer(pointer.trim_start_matches('#')).unwrap_or(&Value::Null)),
            None => value,
        }
    }

    fn fits(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = self.resolved(schema);
        for word in ["oneOf", "anyOf"] {
            if let Some(all) = schema[word].as_array() {
                let tried: Vec<_> = all.iter().map(|one| self.fits(one, value, at)).collect();
                if !tried.iter().any(Result::is_ok) {
                    return tried.into_iter().next().unwrap_or(Ok(()));
                }
            }
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let is = |word: &&str| match *word {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            _ => value.is_null(),
        };
        if !types.is_empty() && !types.iter().any(is) {
            return Err(format!("{at} is no {types:?}"));
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            return Err(format!("{at} is none of {words:?}"));
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.is_object() && value[name].is_null() {
                return Err(format!("{at} lacks {name}"));
            }
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            self.fits(&schema["items"], item, &format!("{at}[{index}]"))?;
        }
        if let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
            for (name, field) in fields {
                let known = known.get(name).ok_or_else(|| format!("{at} knows no {name}"))?;
                self.fits(known, field, &format!("{at}.{name}"))?;
            }
        }
        Ok(())
    }
}

#[test]
fn the_judge_refuses_what_github_does_not_know() {
    let Some(description) = github() else { return };
    let asked = |method: &str, path: &str, body: Value| Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: std::collections::BTreeMap::default(),
        headers: std::collections::BTreeMap::default(),
        body,
    };
    let judge = |method: &str, path: &str, body: Value| description.judge(&asked(method, path, body), "");
    let label = |name: Value| serde_json::json!({"name": name, "color": "ffffff"});
    assert!(judge("POST", "/repos/a/b/labels", label("x".into())).is_ok());
    assert!(judge("POST", "/repos/a/b/labels", label(3.into())).is_err());
    assert!(judge("POST", "/repos/a/b/labels", serde_json::json!({"nom": "x"})).is_err());
    assert!(judge("POST", "/repos/a/b/lables", label("x".into())).is_err());
    assert!(judge("GET", "/repos/a/b/labels", label("x".into())).is_err());
}
