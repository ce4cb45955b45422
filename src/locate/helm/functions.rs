//! The functions of Helm's templates, as far as they are followed. A name that is not here is an answer: `Declined`.

use base64::Engine as _;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::yaml;

/// Kinds of API that every cluster of today has.
const APIS: [&str; 9] = [
    "v1",
    "apps/v1",
    "batch/v1",
    "autoscaling/v1",
    "autoscaling/v2",
    "policy/v1",
    "networking.k8s.io/v1",
    "rbac.authorization.k8s.io/v1",
    "storage.k8s.io/v1",
];

pub(super) fn has_api(asked: Option<&Value>) -> Value {
    let asked = asked.and_then(Value::as_str).unwrap_or_default();
    let is_it = |api: &&str| asked.strip_prefix(*api).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    Value::Bool(APIS.iter().any(is_it))
}

pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// A value as a template writes it.
pub(super) fn print(value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        // A number of the values is a float to Helm, and a large one is written as 1e+06.
        Value::Number(number) if number.as_f64().is_none_or(|number| number.abs() >= 1e6) => {
            Err(format!("the number {number} is written in a way that is not followed"))
        }
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(is) => Ok(is.to_string()),
        _ => Err("a list or a map is written as Go writes it".to_owned()),
    }
}

/// Entries in the order of Go's templates.
pub(super) fn sorted(map: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut all: Vec<(String, &Value)> = map.iter().map(|(key, value)| (key.clone(), value)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

pub(super) fn call(name: &str, args: &[Value]) -> Result<Value, String> {
    let found = match name.strip_prefix("must").filter(|rest| rest.starts_with(char::is_uppercase)) {
        Some(rest) => one(&format!("{}{}", rest[..1].to_lowercase(), &rest[1..]), args)?,
        None => one(name, args)?,
    };
    found.ok_or_else(|| format!("the function `{name}` is not followed, or not with what it is given"))
}

fn one(name: &str, args: &[Value]) -> Result<Option<Value>, String> {
    if let found @ Some(_) = logic(name, args)? {
        return Ok(found);
    }
    if let found @ Some(_) = collections(name, args) {
        return Ok(found);
    }
    strings(name, args)
}

fn logic(name: &str, args: &[Value]) -> Result<Option<Value>, String> {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse::<i64>().unwrap_or(0),
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)).unwrap_or(0),
        _ => 0,
    };
    let compare = |a: &Value, b: &Value| match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    let same = |a: &Value, b: &Value| match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    };
    Ok(Some(match (name, args) {
        ("default", [other, value]) => if truth(value) { value } else { other }.clone(),
        ("default", [other]) => other.clone(),
        ("empty" | "not", [value]) => Value::Bool(!truth(value)),
        ("coalesce", all) => all.iter().find(|value| truth(value)).cloned().unwrap_or(Value::Null),
        ("ternary", [yes, no, test]) => if truth(test) { yes } else { no }.clone(),
        ("eq", [a, rest @ ..]) => Value::Bool(rest.iter().any(|b| same(a, b))),
        ("ne", [a, b]) => Value::Bool(!same(a, b)),
        ("lt" | "le" | "gt" | "ge", [a, b]) => {
            let Some(order) = compare(a, b) else { return Ok(None) };
            Value::Bool(match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        ("int" | "int64", [value]) => Value::from(number(value)),
        ("add" | "add1" | "sub" | "mul", all) => {
            let mut all = all.iter().map(number);
            let Some(first) = all.next() else { return Ok(None) };
            Value::from(match name {
                "add" => all.fold(first, i64::saturating_add),
                "add1" => first.saturating_add(1),
                "sub" => all.fold(first, i64::saturating_sub),
                _ => all.fold(first, i64::saturating_mul),
            })
        }
        ("required", [why, value]) => match value {
            Value::Null => return Err(format!("it fails: {}", print(why)?)),
            Value::String(text) if text.is_empty() => return Err(format!("it fails: {}", print(why)?)),
            value => value.clone(),
        },
        ("fail", [why]) => return Err(format!("it fails: {}", print(why)?)),
        ("lookup", _) => Value::Object(Map::new()),
        ("kindIs", [kind, value]) => Value::Bool(kind.as_str() == Some(kind_of(value))),
        ("kindOf", [value]) => Value::from(kind_of(value)),
        ("semverCompare", [Value::String(wanted), Value::String(version)]) => match semver(wanted, version) {
            Some(is) => Value::Bool(is),
            None => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

/// One comparison of versions; a constraint of several parts is not followed.
fn semver(wanted: &str, version: &str) -> Option<bool> {
    let wanted = wanted.trim();
    let at = wanted.find(|c: char| c.is_ascii_digit() || c == 'v')?;
    let (sign, wanted) = wanted.split_at(at);
    let parts = |text: &str| -> Option<Vec<u64>> {
        let text = text.trim_start_matches('v').split(['-', '+']).next()?;
        let mut parts: Vec<u64> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        parts.resize(3, 0);
        Some(parts)
    };
    let order = parts(version)?.cmp(&parts(wanted)?);
    Some(match sign.trim() {
        ">=" => order.is_ge(),
        ">" => order.is_gt(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        "=" | "" => order.is_eq(),
        _ => return None,
    })
}

fn collections(name: &str, args: &[Value]) -> Option<Value> {
    Some(match (name, args) {
        ("list" | "tuple", all) => Value::Array(all.to_vec()),
        ("dict", all) if all.len() % 2 == 0 => {
            let pairs = all.chunks(2).map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].clone())));
            Value::Object(pairs.collect::<Option<Map<_, _>>>()?)
        }
        ("get", [Value::Object(map), key]) => map.get(key.as_str()?).cloned().unwrap_or_else(|| Value::from("")),
        ("hasKey", [Value::Object(map), key]) => Value::Bool(map.contains_key(key.as_str()?)),
        ("len", [Value::Array(items)]) => Value::from(items.len()),
        ("len", [Value::Object(map)]) => Value::from(map.len()),
        ("len", [Value::String(text)]) => Value::from(text.len()),
        ("first", [Value::Array(items)]) => items.first().cloned().unwrap_or(Value::Null),
        ("last", [Value::Array(items)]) => items.last().cloned().unwrap_or(Value::Null),
        ("has", [value, Value::Array(items)]) => Value::Bool(items.contains(value)),
        ("append", [Value::Array(items), value]) => {
            Value::Array(items.iter().chain(std::iter::once(value)).cloned().collect())
        }
        ("concat", lists) => {
            let lists: Option<Vec<&Vec<Value>>> = lists.iter().map(Value::as_array).collect();
            Value::Array(lists?.into_iter().flatten().cloned().collect())
        }
        ("index", [of, keys @ ..]) => keys.iter().try_fold(of.clone(), |of, key| match (&of, key) {
            (Value::Object(map), Value::String(key)) => Some(map.get(key).cloned().unwrap_or(Value::Null)),
            (Value::Array(items), Value::Number(at)) => items.get(usize::try_from(at.as_u64()?).ok()?).cloned(),
            _ => None,
        })?,
        ("dig", [keys @ .., other, of @ Value::Object(_)]) => {
            let found = keys.iter().try_fold(of, |of, key| of.get(key.as_str()?));
            found.unwrap_or(other).clone()
        }
        ("omit" | "pick", [Value::Object(map), keys @ ..]) => {
            let is_said = |key: &String| keys.iter().any(|said| said.as_str() == Some(key));
            Value::Object(map.iter().filter(|(k, _)| is_said(k) == (name == "pick")).map(own).collect())
        }
        ("deepCopy", [value]) => value.clone(),
        ("merge" | "mergeOverwrite", [first, rest @ ..]) => rest.iter().fold(first.clone(), |into, from| {
            if name == "merge" { super::values::over(from, &into) } else { super::values::over(&into, from) }
        }),
        ("until", [Value::Number(count)]) => {
            Value::Array((0..count.as_u64().filter(|count| *count < 10_000)?).map(Value::from).collect())
        }
        _ => return None,
    })
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn strings(name: &str, args: &[Value]) -> Result<Option<Value>, String> {
    let text = |value: &Value| print(value);
    let size = |value: &Value| value.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| *size < 1000);
    let indent = |by: &Value, of: &Value| -> Result<Option<String>, String> {
        let Some(by) = size(by) else { return Ok(None) };
        let pad = " ".repeat(by);
        Ok(Some(format!("{pad}{}", text(of)?.replace('\n', &format!("\n{pad}")))))
    };
    Ok(Some(Value::from(match (name, args) {
        ("toYaml", [value]) => to_yaml(value),
        ("toJson" | "toRawJson", [value]) => value.to_string(),
        ("fromYaml", [Value::String(of)]) => {
            return Ok(yaml::documents(of).ok().map(|all| all.first().map_or(Value::Null, yaml::Document::value)));
        }
        ("quote", all) => {
            let all: Result<Vec<_>, _> = all.iter().filter(|value| !value.is_null()).map(text).collect();
            all?.into_iter().map(|text| Value::from(text).to_string()).collect::<Vec<_>>().join(" ")
        }
        ("squote", all) => {
            let all: Result<Vec<_>, _> = all.iter().filter(|value| !value.is_null()).map(text).collect();
            all?.into_iter().map(|text| format!("'{text}'")).collect::<Vec<_>>().join(" ")
        }
        ("indent", [by, of]) => match indent(by, of)? {
            Some(text) => text,
            None => return Ok(None),
        },
        ("nindent", [by, of]) => match indent(by, of)? {
            Some(text) => format!("\n{text}"),
            None => return Ok(None),
        },
        ("toString", [value]) => text(value)?,
        ("print", [one]) => text(one)?,
        ("print", all) if all.iter().all(Value::is_string) => all.iter().filter_map(Value::as_str).collect::<String>(),
        ("printf", [Value::String(format), rest @ ..]) => {
            return printf(format, rest).map(|text| text.map(Value::from));
        }
        ("lower", [of]) => text(of)?.to_lowercase(),
        ("upper", [of]) => text(of)?.to_uppercase(),
        ("trim", [of]) => text(of)?.trim().to_owned(),
        ("trunc", [by, of]) => match size(by) {
            Some(by) => text(of)?.chars().take(by).collect(),
            None => return Ok(None),
        },
        ("trimSuffix", [end, of]) => {
            let (of, end) = (text(of)?, text(end)?);
            of.strip_suffix(&end).unwrap_or(&of).to_owned()
        }
        ("trimPrefix", [start, of]) => {
            let (of, start) = (text(of)?, text(start)?);
            of.strip_prefix(&start).unwrap_or(&of).to_owned()
        }
        ("trimAll", [chars, of]) => {
            let chars = text(chars)?;
            text(of)?.trim_matches(|c| chars.contains(c)).to_owned()
        }
        ("contains", [part, of]) => return Ok(Some(Value::Bool(text(of)?.contains(&text(part)?)))),
        ("hasPrefix", [part, of]) => return Ok(Some(Value::Bool(text(of)?.starts_with(&text(part)?)))),
        ("hasSuffix", [part, of]) => return Ok(Some(Value::Bool(text(of)?.ends_with(&text(part)?)))),
        ("replace", [old, new, of]) => text(of)?.replace(&text(old)?, &text(new)?),
        ("join", [by, Value::Array(items)]) => items.iter().map(text).collect::<Result<Vec<_>, _>>()?.join(&text(by)?),
        ("splitList", [by, of]) => {
            return Ok(Some(text(of)?.split(text(by)?.as_str()).map(Value::from).collect()));
        }
        ("b64enc", [of]) => base64::engine::general_purpose::STANDARD.encode(text(of)?),
        ("sha256sum", [of]) => hexadecimal(&Sha256::digest(text(of)?.as_bytes())),
        _ => return Ok(None),
    })))
}

fn printf(format: &str, args: &[Value]) -> Result<Option<String>, String> {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match (chars.next(), chars.as_str()) {
            (Some('%'), _) => out.push('%'),
            (Some(verb @ ('s' | 'd' | 'v' | 'q' | 't')), _) => match (verb, args.next()) {
                ('s' | 'v', Some(Value::String(text))) => out.push_str(text),
                ('q', Some(Value::String(text))) => out.push_str(&Value::from(text.as_str()).to_string()),
                ('d' | 'v', Some(number @ Value::Number(_))) => out.push_str(&print(number)?),
                ('t' | 'v', Some(Value::Bool(is))) => out.push_str(&is.to_string()),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        }
    }
    Ok(args.next().is_none().then_some(out))
}

/// A value as YAML in blocks, its keys in order, without a newline at its end.
fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out.trim_end_matches('\n').to_owned()
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in sorted(map) {
                out.extend([pad.as_str(), &scalar(&Value::from(key)), ":"]);
                match value {
                    Value::Object(map) if !map.is_empty() => {
                        out.push('\n');
                        block(value, indent + 2, out);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        out.push('\n');
                        block(value, indent, out);
                    }
                    value => out.extend([" ", &scalar(value), "\n"]),
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                block(item, indent + 2, &mut inner);
                out.extend([pad.as_str(), "- ", inner.trim_start()]);
            }
        }
        value => out.extend([pad.as_str(), &scalar(value), "\n"]),
    }
}

fn scalar(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
        && yaml::plain_scalar(text).is_string();
    if is_plain { text.clone() } else { value.to_string() }
}

/// Towards zero, as Go converts it.
fn whole(number: f64) -> Option<i64> {
    format!("{:.0}", number.trunc()).parse().ok()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}
