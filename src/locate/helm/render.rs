//! A template and what it is given in, its text out: bounded in steps, in depth and in size.

use serde_json::Value;

use super::functions;
use super::template::{self, Arg, Defined, Node, Pipe};

const MAX_STEPS: usize = 400_000;
const MAX_DEPTH: usize = 48;
const MAX_TEXT: usize = 4 << 20;

/// A run of the templates of a chart.
pub(super) struct Run<'d> {
    pub defined: &'d Defined,
    steps: usize,
    written: usize,
    depth: usize,
}

/// Variables, the innermost last.
type Scope = Vec<(String, Value)>;

impl<'d> Run<'d> {
    pub fn new(defined: &'d Defined) -> Self {
        Self { defined, steps: 0, written: 0, depth: 0 }
    }

    /// What some parts give of a value.
    pub fn text(&mut self, nodes: &[Node], dot: &Value) -> Result<String, String> {
        if self.depth >= MAX_DEPTH {
            return Err("its templates include each other without an end".to_owned());
        }
        self.depth += 1;
        let mut out = String::new();
        let mut scope = vec![("$".to_owned(), dot.clone())];
        let done = self.nodes(nodes, dot, &mut scope, &mut out);
        self.depth -= 1;
        done.map(|()| out)
    }

    /// What a template of a name gives.
    pub fn include(&mut self, name: &str, dot: &Value) -> Result<String, String> {
        let defined = self.defined;
        let nodes = defined.get(name).ok_or_else(|| format!("there is no template `{name}`"))?;
        self.text(nodes, dot)
    }

    /// What a text that is a template itself gives.
    pub fn tpl(&mut self, text: &str, dot: &Value) -> Result<String, String> {
        let mut own = Defined::new();
        let nodes = template::parse(text, &mut own)?;
        if own.is_empty() { self.text(&nodes, dot) } else { Err("a text given to `tpl` defines templates".to_owned()) }
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err("its templates take too many steps".to_owned()) } else { Ok(()) }
    }

    fn write(&mut self, out: &mut String, text: &str) -> Result<(), String> {
        self.written += text.len();
        if self.written > MAX_TEXT {
            return Err("its templates write too much".to_owned());
        }
        out.push_str(text);
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value, scope: &mut Scope, out: &mut String) -> Result<(), String> {
        for node in nodes {
            self.step()?;
            match node {
                Node::Text(text) => self.write(out, text)?,
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot, scope)?;
                    if pipe.names.is_empty() {
                        self.write(out, &functions::print(&value)?)?;
                    }
                }
                Node::If(branches, other) => self.branches(branches, other, dot, scope, out)?,
                Node::With(pipe, body, other) => {
                    let height = scope.len();
                    let value = self.pipe(pipe, dot, scope)?;
                    let (body, dot) = if functions::truth(&value) { (body, &value) } else { (other, dot) };
                    self.nodes(body, dot, scope, out)?;
                    scope.truncate(height);
                }
                Node::Range(pipe, body, other) => self.range(pipe, body, other, dot, scope, out)?,
                Node::Template(name, pipe) => {
                    let dot = pipe.as_ref().map_or(Ok(Value::Null), |pipe| self.pipe(pipe, dot, scope))?;
                    let text = self.include(name, &dot)?;
                    self.write(out, &text)?;
                }
            }
        }
        Ok(())
    }

    fn branches(
        &mut self,
        branches: &[(Pipe, Vec<Node>)],
        other: &[Node],
        dot: &Value,
        scope: &mut Scope,
        out: &mut String,
    ) -> Result<(), String> {
        let height = scope.len();
        let mut body = other;
        for (test, then) in branches {
            if functions::truth(&self.pipe(test, dot, scope)?) {
                body = then;
                break;
            }
        }
        self.nodes(body, dot, scope, out)?;
        scope.truncate(height);
        Ok(())
    }

    fn range(
        &mut self,
        pipe: &Pipe,
        body: &[Node],
        other: &[Node],
        dot: &Value,
        scope: &mut Scope,
        out: &mut String,
    ) -> Result<(), String> {
        let bare = Pipe { names: Vec::new(), ..pipe.clone() };
        let items: Vec<(Value, Value)> = match self.pipe(&bare, dot, scope)? {
            Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| (Value::from(at), item)).collect(),
            Value::Object(map) => functions::sorted(&map).into_iter().map(|(k, v)| (k.into(), v.clone())).collect(),
            Value::Null => Vec::new(),
            Value::Number(number) => {
                let count = number.as_u64().filter(|count| *count < 10_000).ok_or("a `range` counts too far")?;
                (0..count).map(|at| (Value::from(at), Value::from(at))).collect()
            }
            _ => return Err("a `range` is over what is no list and no map".to_owned()),
        };
        let height = scope.len();
        if items.is_empty() {
            self.nodes(other, dot, scope, out)?;
        }
        for (key, item) in items {
            match pipe.names.as_slice() {
                [] => {}
                [name] => scope.push((name.clone(), item.clone())),
                [first, second, ..] => {
                    scope.push((first.clone(), key));
                    scope.push((second.clone(), item.clone()));
                }
            }
            self.nodes(body, &item, scope, out)?;
            scope.truncate(height);
        }
        scope.truncate(height);
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value, scope: &mut Scope) -> Result<Value, String> {
        let mut given: Option<Value> = None;
        for command in &pipe.commands {
            given = Some(self.command(command, given, dot, scope)?);
        }
        let value = given.unwrap_or(Value::Null);
        for name in &pipe.names {
            if pipe.assigns {
                let held = scope.iter_mut().rev().find(|(held, _)| held == name);
                held.ok_or_else(|| format!("there is no variable {name}"))?.1 = value.clone();
            } else {
                scope.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        words: &[Arg],
        given: Option<Value>,
        dot: &Value,
        scope: &mut Scope,
    ) -> Result<Value, String> {
        self.step()?;
        let Some((Arg::Word(name), rest)) = words.split_first() else {
            return match (words, &words[0]) {
                ([Arg::Field(path), rest @ ..], _) if path.last().is_some_and(|last| last == "Has") => {
                    let asked = rest.first().map(|arg| self.arg(arg, dot, scope)).transpose()?.or(given);
                    Ok(functions::has_api(asked.as_ref()))
                }
                ([Arg::Var(_, path), rest @ ..], _) if path.last().is_some_and(|last| last == "Has") => {
                    let asked = rest.first().map(|arg| self.arg(arg, dot, scope)).transpose()?.or(given);
                    Ok(functions::has_api(asked.as_ref()))
                }
                ([one], _) if given.is_none() => self.arg(one, dot, scope),
                _ => Err("a method is called that is not followed".to_owned()),
            };
        };
        if matches!(name.as_str(), "and" | "or") {
            let mut last = Value::Null;
            for arg in rest {
                last = self.arg(arg, dot, scope)?;
                if functions::truth(&last) == (name == "or") {
                    return Ok(last);
                }
            }
            return Ok(given.unwrap_or(last));
        }
        if matches!(name.as_str(), "merge" | "mergeOverwrite" | "mustMerge" | "mustMergeOverwrite")
            && !matches!(rest.first(), Some(Arg::Paren(..)))
        {
            return Err(format!("`{name}` changes a map that others read"));
        }
        let mut args = Vec::new();
        for arg in rest {
            args.push(self.arg(arg, dot, scope)?);
        }
        args.extend(given);
        match (name.as_str(), args.as_slice()) {
            ("include", [Value::String(name), dot]) => self.include(name, dot).map(Value::from),
            ("tpl", [Value::String(text), dot]) => self.tpl(text, dot).map(Value::from),
            (name, args) => functions::call(name, args),
        }
    }

    fn arg(&mut self, arg: &Arg, dot: &Value, scope: &mut Scope) -> Result<Value, String> {
        match arg {
            Arg::Literal(value) => Ok(value.clone()),
            Arg::Field(path) => fields(dot, path),
            Arg::Var(name, path) => {
                let held = scope.iter().rev().find(|(held, _)| held == name);
                fields(&held.ok_or_else(|| format!("there is no variable {name}"))?.1, path)
            }
            Arg::Paren(pipe, path) => {
                let value = self.pipe(pipe, dot, scope)?;
                // A key that is missing in what parentheses give is nothing, and no accident.
                if value.is_null() && !path.is_empty() { Ok(Value::Null) } else { fields(&value, path) }
            }
            Arg::Word(name) => self.command(&[Arg::Word(name.clone())], None, dot, scope),
        }
    }
}

fn fields(of: &Value, path: &[String]) -> Result<Value, String> {
    let mut at = of;
    for (depth, name) in path.iter().enumerate() {
        at = match at {
            Value::Object(map) => map.get(name).unwrap_or(&Value::Null),
            _ => return Err(format!("`{}` is asked of what has no fields", path[..=depth].join("."))),
        };
    }
    Ok(at.clone())
}
