//! The text of a template in, its parts out.
//!
//! Own, because an engine that is bounded in steps, that gives maps in Go's order, and in which `include` and `tpl` are
//! no special case is what the proof by rendering needs.

use std::collections::BTreeMap;

use serde_json::Value;

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    /// Branches in order, then what else.
    If(Vec<(Pipe, Vec<Node>)>, Vec<Node>),
    With(Pipe, Vec<Node>, Vec<Node>),
    Range(Pipe, Vec<Node>, Vec<Node>),
    Template(String, Option<Pipe>),
}

/// Commands, each of which gets what the one before it gives.
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    /// Variables that get the value.
    pub names: Vec<String>,
    /// Whether they are there already.
    pub assigns: bool,
    pub commands: Vec<Vec<Arg>>,
}

/// A word of a command.
#[derive(Clone, Debug)]
pub(super) enum Arg {
    /// Fields of the dot; none for the dot itself.
    Field(Vec<String>),
    Var(String, Vec<String>),
    Paren(Box<Pipe>, Vec<String>),
    Word(String),
    Literal(Value),
}

/// Templates by name.
pub(super) type Defined = BTreeMap<String, Vec<Node>>;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Arg(String),
    Text(String),
    Open,
    /// Closing, with the fields that hang on it.
    Close(Vec<String>),
    Pipe,
    Declare,
    Assign,
    Comma,
}

enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// Nesting of a template's blocks and parentheses.
const DEEPEST: usize = 60;

/// Reads a template; what it defines goes to `defined`.
pub(super) fn parse(text: &str, defined: &mut Defined) -> Result<Vec<Node>, String> {
    let pieces = pieces(text)?;
    let mut parser = Parser { pieces: pieces.into_iter().peekable(), defined };
    let (nodes, end) = parser.block(0)?;
    match end {
        None => Ok(nodes),
        Some(_) => Err("a template has an `end` too many".to_owned()),
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut all = Vec::new();
    let (mut rest, mut trim) = (text, false);
    while let Some(at) = rest.find("{{") {
        let mut before = if trim { rest[..at].trim_start() } else { &rest[..at] };
        let mut inside = &rest[at + 2..];
        if let Some(after) = inside.strip_prefix('-').filter(|after| after.starts_with(char::is_whitespace)) {
            (before, inside) = (before.trim_end(), after);
        }
        all.push(Piece::Text(before.to_owned()));
        let is_comment = inside.trim_start().starts_with("/*");
        let end = if is_comment { inside.find("*/").map(|at| at + 2) } else { Some(0) };
        let end = end.and_then(|from| Some(from + closing(&inside[from..])?)).ok_or("a `{{` is not closed")?;
        let body = &inside[..end];
        trim = body.ends_with('-') && body[..body.len() - 1].ends_with(char::is_whitespace) || body.ends_with("*/-");
        let body = if trim { &body[..body.len() - 1] } else { body };
        if !is_comment {
            all.push(Piece::Action(tokens(body)?));
        }
        rest = &inside[end + 2..];
    }
    all.push(Piece::Text(if trim { rest.trim_start() } else { rest }.to_owned()));
    Ok(all)
}

/// Where the `}}` of an action is, outside of its strings.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut quote) = (0, None);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(b'"'), b'\\') => at += 1,
            (Some(open), byte) if open == byte => quote = None,
            (None, byte @ (b'"' | b'`')) => quote = Some(byte),
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '(' => push(&mut all, Token::Open, 1),
            '|' => push(&mut all, Token::Pipe, 1),
            ',' => push(&mut all, Token::Comma, 1),
            ':' if rest.starts_with(":=") => push(&mut all, Token::Declare, 2),
            '=' => push(&mut all, Token::Assign, 1),
            ')' => {
                let hangs = word_end(&rest[1..]);
                let fields = if rest[1..].starts_with('.') { fields(&rest[1..=hangs])? } else { Vec::new() };
                let len = if fields.is_empty() { 1 } else { 1 + hangs };
                push(&mut all, Token::Close(fields), len)
            }
            '"' => {
                let end = string_end(rest).ok_or("a string is not closed")?;
                let text = serde_json::from_str(&rest[..end]).map_err(|_| "a string is not read".to_owned())?;
                push(&mut all, Token::Text(text), end)
            }
            '`' => {
                let end = rest[1..].find('`').ok_or("a string is not closed")?;
                push(&mut all, Token::Text(rest[1..=end].to_owned()), end + 2)
            }
            _ => match word_end(rest) {
                0 => return Err(format!("`{first}` is not followed in a template")),
                end => push(&mut all, Token::Arg(rest[..end].to_owned()), end),
            },
        };
        rest = rest[len..].trim_start();
    }
    Ok(all)
}

fn push(all: &mut Vec<Token>, token: Token, len: usize) -> usize {
    all.push(token);
    len
}

fn string_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

fn word_end(text: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '$' | '_' | '-' | '+');
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

/// `.a.b` as its names.
fn fields(text: &str) -> Result<Vec<String>, String> {
    if text == "." || text.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = text.trim_start_matches('.').split('.').map(ToOwned::to_owned).collect();
    if names.iter().any(String::is_empty) { Err(format!("`{text}` is not a field")) } else { Ok(names) }
}

struct Parser<'d, I: Iterator<Item = Piece>> {
    pieces: std::iter::Peekable<I>,
    defined: &'d mut Defined,
}

impl<I: Iterator<Item = Piece>> Parser<'_, I> {
    /// Parts up to an `end` or `else`, with the words of that.
    fn block(&mut self, depth: usize) -> Result<(Vec<Node>, Option<Vec<Token>>), String> {
        if depth > DEEPEST {
            return Err("blocks of a template nest too deeply".to_owned());
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let words = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(words) => words,
            };
            let key = match words.first() {
                Some(Token::Arg(word)) => word.clone(),
                _ => String::new(),
            };
            let rest = words.get(1..).unwrap_or_default();
            match key.as_str() {
                "end" | "else" => return Ok((nodes, Some(words))),
                "if" => nodes.push(self.branches(pipe(rest, 0)?, depth)?),
                "with" | "range" => {
                    let of = pipe(rest, 0)?;
                    let (body, other) = self.with_else(depth)?;
                    nodes.push(if key == "with" { Node::With(of, body, other) } else { Node::Range(of, body, other) });
                }
                "define" | "block" => {
                    let [Token::Text(name), dot @ ..] = rest else { return Err("a `define` has no name".to_owned()) };
                    let (body, _) = self.block(depth + 1)?;
                    self.defined.insert(name.clone(), body);
                    if key == "block" {
                        nodes.push(Node::Template(name.clone(), Some(pipe(dot, 0)?)));
                    }
                }
                "template" => {
                    let [Token::Text(name), dot @ ..] = rest else { return Err("a `template` has no name".to_owned()) };
                    let dot = if dot.is_empty() { None } else { Some(pipe(dot, 0)?) };
                    nodes.push(Node::Template(name.clone(), dot));
                }
                "break" | "continue" => return Err(format!("`{key}` is not followed in a template")),
                _ => nodes.push(Node::Action(pipe(&words, 0)?)),
            }
        }
        Ok((nodes, None))
    }

    fn branches(&mut self, first: Pipe, depth: usize) -> Result<Node, String> {
        let (mut branches, mut test) = (Vec::new(), first);
        loop {
            let (body, end) = self.block(depth + 1)?;
            branches.push((test, body));
            match end.as_deref() {
                Some([Token::Arg(word), Token::Arg(next), rest @ ..]) if word == "else" && next == "if" => {
                    test = pipe(rest, 0)?;
                }
                Some([Token::Arg(word)]) if word == "else" => {
                    let (other, _) = self.block(depth + 1)?;
                    return Ok(Node::If(branches, other));
                }
                Some([Token::Arg(word)]) if word == "end" => return Ok(Node::If(branches, Vec::new())),
                _ => return Err("an `if` is not closed".to_owned()),
            }
        }
    }

    fn with_else(&mut self, depth: usize) -> Result<(Vec<Node>, Vec<Node>), String> {
        let (body, end) = self.block(depth + 1)?;
        match end.as_deref() {
            Some([Token::Arg(word)]) if word == "end" => Ok((body, Vec::new())),
            Some([Token::Arg(word)]) if word == "else" => Ok((body, self.block(depth + 1)?.0)),
            _ => Err("a `with` or `range` is not closed".to_owned()),
        }
    }
}

fn pipe(words: &[Token], depth: usize) -> Result<Pipe, String> {
    if depth > DEEPEST {
        return Err("parentheses of a template nest too deeply".to_owned());
    }
    let declares = words.iter().take(4).position(|word| matches!(word, Token::Declare | Token::Assign));
    let assigns = declares.is_some_and(|at| words[at] == Token::Assign);
    let (names, words) = match declares {
        Some(at) => {
            let name = |word: &Token| match word {
                Token::Arg(name) if name.starts_with('$') => Some(name.clone()),
                _ => None,
            };
            (words[..at].iter().filter_map(name).collect(), &words[at + 1..])
        }
        None => (Vec::new(), words),
    };
    let mut commands = vec![Vec::new()];
    let mut at = 0;
    while at < words.len() {
        let arg = match &words[at] {
            Token::Pipe => {
                commands.push(Vec::new());
                at += 1;
                continue;
            }
            Token::Open => {
                let end = close(words, at).ok_or("a parenthesis is not closed")?;
                let Token::Close(fields) = &words[end] else { return Err("a parenthesis is not closed".to_owned()) };
                let inner = Arg::Paren(Box::new(pipe(&words[at + 1..end], depth + 1)?), fields.clone());
                at = end;
                inner
            }
            Token::Text(text) => Arg::Literal(Value::from(text.as_str())),
            Token::Arg(word) => self::arg(word)?,
            _ => return Err("an action of a template is not understood".to_owned()),
        };
        if let Some(command) = commands.last_mut() {
            command.push(arg);
        }
        at += 1;
    }
    if commands.iter().any(Vec::is_empty) {
        Err("an action of a template says nothing".to_owned())
    } else {
        Ok(Pipe { names, assigns, commands })
    }
}

fn close(words: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate().skip(open) {
        match word {
            Token::Open => depth += 1,
            Token::Close(_) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn arg(word: &str) -> Result<Arg, String> {
    if let Some(name) = word.strip_prefix('$') {
        let (name, rest) = name.find('.').map_or((name, ""), |at| name.split_at(at));
        return Ok(Arg::Var(format!("${name}"), fields(rest)?));
    }
    if word.starts_with('.') {
        return Ok(Arg::Field(fields(word)?));
    }
    Ok(match word {
        "true" => Arg::Literal(Value::Bool(true)),
        "false" => Arg::Literal(Value::Bool(false)),
        "nil" => Arg::Literal(Value::Null),
        _ => match serde_json::from_str::<serde_json::Number>(word) {
            Ok(number) => Arg::Literal(Value::Number(number)),
            Err(_) => Arg::Word(word.to_owned()),
        },
    })
}
