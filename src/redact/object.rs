//! A Kubernetes object in, the same without secrets out: what a snapshot folder may hold.

use serde_json::{Map, Value};

use super::names::{Name, classify};
use super::{PLACEHOLDER, Redactor};

/// Fields of `metadata` that are identities: what they hold is never a secret, and findings hang on them.
const IDENTITY: &[&str] = &["name", "namespace", "uid", "labels", "ownerReferences", "creationTimestamp"];
/// Fields that select by value, as labels do.
const SELECTORS: &[&str] = &["selector", "matchLabels", "nodeSelector"];
/// Repeats of the whole object.
const REPEATS: &[&str] = &["kubectl.kubernetes.io/last-applied-configuration"];
const MOST_LEVELS: usize = 96;

/// Takes out what no rule reads, and masks what is secret. Says how many values were masked.
///
/// Of a ConfigMap the keys stay, with nothing behind them. A Secret must not get here; if it does, its keys stay.
pub fn object(kind: &str, object: &mut Value, redactor: &mut Redactor) -> usize {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| !REPEATS.contains(&key.as_str()));
        }
    }
    if kind == "Node"
        && let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
    {
        status.shift_remove("images");
    }
    if ["ConfigMap", "Secret"].contains(&kind) {
        for field in ["data", "binaryData", "stringData"] {
            for (_, value) in object.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten() {
                *value = Value::from("");
            }
        }
    }
    let mut walk = Walk { redactor, count: 0 };
    walk.map(object, &[], 0);
    walk.count
}

struct Walk<'r> {
    redactor: &'r mut Redactor,
    count: usize,
}

impl Walk<'_> {
    fn value(&mut self, value: &mut Value, level: usize) {
        match value {
            _ if level > MOST_LEVELS => *value = Value::Null,
            Value::String(text) => self.text(text),
            Value::Array(list) => self.list(list, level),
            Value::Object(_) => self.map(value, &[], level),
            _ => {}
        }
    }

    fn map(&mut self, value: &mut Value, skip: &[&str], level: usize) {
        let Some(map) = value.as_object_mut() else { return };
        self.pair(map);
        for (key, inner) in map.iter_mut() {
            match key.as_str() {
                key if skip.contains(&key) || SELECTORS.contains(&key) => {}
                "metadata" => self.map(inner, IDENTITY, level + 1),
                "annotations" => self.annotations(inner),
                _ => self.value(inner, level + 1),
            }
        }
    }

    /// `{name: DB_PASSWORD, value: x}`: a variable, a header.
    fn pair(&mut self, map: &mut Map<String, Value>) {
        let Some(name) = map.get("name").and_then(Value::as_str).map(ToOwned::to_owned) else { return };
        if let Some(Value::String(text)) = map.get_mut("value") {
            self.named(&name, text);
        }
    }

    fn annotations(&mut self, value: &mut Value) {
        for (name, inner) in value.as_object_mut().into_iter().flatten() {
            if let Value::String(text) = inner {
                let last = name.rsplit('/').next().unwrap_or(name).to_owned();
                self.named(&last, text);
            }
        }
    }

    /// A list of strings may be a command line: `--password`, `x`.
    fn list(&mut self, list: &mut [Value], level: usize) {
        let mut flag: Option<String> = None;
        for item in list {
            if let Value::String(text) = item {
                match flag.take() {
                    Some(name) => self.named(&name, text),
                    None => self.text(text),
                }
                let name = text.trim_start_matches('-');
                flag =
                    (text.starts_with('-') && !name.is_empty() && !text.contains(['=', ' '])).then(|| name.to_owned());
            } else {
                self.value(item, level + 1);
            }
        }
    }

    /// A value whose name may say that it is secret.
    fn named(&mut self, name: &str, text: &mut String) {
        if text.is_empty() || text.starts_with(PLACEHOLDER) {
            return;
        }
        let is_secret = match classify(name) {
            Name::Secret | Name::Authorization | Name::Cookie => !is_plain(text),
            // The redactor knows what a value looks like behind such a name.
            Name::Perhaps => self.redactor.redact(&format!("{name}={text}")).count > 0,
            Name::Ordinary => false,
        };
        if is_secret {
            self.count += 1;
            *text = self.redactor.placeholder(text);
        } else {
            self.text(text);
        }
    }

    fn text(&mut self, text: &mut String) {
        let redacted = self.redactor.redact(text);
        if redacted.count > 0 {
            self.count += redacted.count;
            *text = redacted.text.into_owned();
        }
    }
}

/// Values that switch something on, and references to other variables, give nothing away.
fn is_plain(text: &str) -> bool {
    ["true", "false"].contains(&text)
        || (text.starts_with("$(") && text.ends_with(')') && !text[2..text.len() - 1].contains('('))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn clean(kind: &str, mut value: Value) -> (Value, usize) {
        let count = object(kind, &mut value, &mut Redactor::new());
        (value, count)
    }

    #[test]
    fn a_config_map_keeps_its_keys_and_no_value() {
        let (map, _) = clean(
            "ConfigMap",
            json!({"metadata": {"name": "a", "managedFields": [1]}, "data": {"app.yaml": "db: hunter2"}, "binaryData": {"logo": "aGk="}}),
        );
        assert_eq!(map, json!({"metadata": {"name": "a"}, "data": {"app.yaml": ""}, "binaryData": {"logo": ""}}));
    }

    #[test]
    fn variables_flags_headers_and_annotations_lose_what_is_secret() {
        let (pod, count) = clean(
            "Pod",
            json!({"metadata": {"name": "token-service", "labels": {"token": "a-label"}, "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"password\":\"hunter2\"}", "shop.example/api-token": "s3cr3t-value", "shop.example/team": "web"}},
              "spec": {"nodeSelector": {"password": "no-secret"}, "containers": [{"name": "app", "image": "shop/web:1",
                "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": "fast"}, {"name": "USE_TOKEN", "value": "true"},
                        {"name": "DSN", "value": "postgres://shop:hunter2@db/shop"}],
                "command": ["run", "--password", "hunter2", "--api-token=hunter2", "--level", "debug"],
                "httpHeaders": [{"name": "Authorization", "value": "Bearer hunter2"}]}]}}),
        );
        let text = pod.to_string();
        assert!(!text.contains("hunter2") && !text.contains("s3cr3t-value"), "{text}");
        for stays in ["token-service", "a-label", "no-secret", "shop/web:1", "fast", "debug", "true", "\"web\""] {
            assert!(text.contains(stays), "{stays} is gone: {text}");
        }
        assert_eq!(count, 6);
    }

    #[test]
    fn what_the_kubelet_says_stays() {
        let status = json!({"status": {"containerStatuses": [{"name": "app", "imageID": "sha256:3f5c1a2b3f5c1a2b3f5c1a2b3f5c1a2b3f5c1a2b3f5c1a2b3f5c1a2b3f5c1a2b",
            "state": {"waiting": {"message": "couldn't find key password in Secret shop/app-secret"}}}]}});
        assert_eq!(clean("Pod", status.clone()), (status, 0));
    }

    #[test]
    fn images_of_a_node_are_left_out() {
        assert_eq!(
            clean("Node", json!({"status": {"images": [1], "phase": "x"}})).0,
            json!({"status": {"phase": "x"}})
        );
    }
}
