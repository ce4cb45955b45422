//! Operations of RFC 6902 on an object, as the library that kustomize uses makes them.

use super::layer::Refusal;
use super::tree::{Data, From, How, Scalar, Style, Tree};
use crate::yaml;

/// One operation.
pub(super) struct Operation {
    verb: Verb,
    path: Vec<String>,
    from: Vec<String>,
    value: Option<Tree>,
    at: From,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
}

/// The operations of a list.
pub(super) fn read(list: &Tree) -> Result<Vec<Operation>, String> {
    list.items().iter().map(operation).collect()
}

fn operation(says: &Tree) -> Result<Operation, String> {
    let text = |key: &str| says.some(key).map(Tree::text);
    let verb = match text("op") {
        Some("add") => Verb::Add,
        Some("remove") => Verb::Remove,
        Some("replace") => Verb::Replace,
        Some("move") => Verb::Move,
        Some("copy") => Verb::Copy,
        Some("test") => Verb::Test,
        Some(other) => return Err(format!("`{other}` is no operation")),
        None => return Err("an operation has no `op`".to_owned()),
    };
    let path = text("path").ok_or("an operation has no `path`")?;
    Ok(Operation {
        verb,
        path: pointer(path),
        from: pointer(text("from").unwrap_or_default()),
        value: says.get("value").map(worded),
        at: says.from.clone(),
    })
}

/// The steps of a JSON pointer.
fn pointer(text: &str) -> Vec<String> {
    text.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

/// A value as it is after the patch has been made JSON: `yes` is a bool there.
fn worded(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    match &mut tree.data {
        Data::Scalar(scalar) if scalar.style == Style::Plain => {
            let value = yaml::plain_scalar(&scalar.text);
            if !value.is_string() {
                *scalar = Scalar::plain(value.to_string());
            }
        }
        Data::Scalar(_) => {}
        Data::List(items) => items.iter_mut().for_each(|item| *item = worded(item)),
        Data::Map(entries) => entries.iter_mut().for_each(|(_, value)| *value = worded(value)),
    }
    tree
}

/// Makes the operations, in order.
pub(super) fn apply(object: &mut Tree, operations: &[Operation]) -> Result<(), Refusal> {
    operations.iter().try_for_each(|operation| {
        operation.apply(object).map_err(|why| operation.at.broken(format!("the operation cannot be made: {why}")))
    })
}

impl Operation {
    fn apply(&self, object: &mut Tree) -> Result<(), String> {
        let null = || Tree::scalar(Scalar::plain("null"), self.at.clone());
        let value = || self.value.clone().unwrap_or_else(null);
        match self.verb {
            Verb::Add => add(object, &self.path, value()),
            Verb::Remove => take(object, &self.path).map(|_| ()),
            Verb::Replace => replace(object, &self.path, value()),
            Verb::Move => {
                let value = take(object, &self.from)?;
                add(object, &self.path, value)
            }
            Verb::Copy => {
                let mut value = find(object, &self.from)?.clone();
                value.mark(&How::Made("it is a copy of another field"));
                add(object, &self.path, value)
            }
            Verb::Test => {
                let now = find(object, &self.path).ok().filter(|tree| !tree.is_null()).map(|tree| tree.value());
                let wanted = self.value.as_ref().filter(|tree| !tree.is_null()).map(Tree::value);
                if now == wanted { Ok(()) } else { Err("its test fails".to_owned()) }
            }
        }
    }
}

/// The index that a step means in a list of so many items.
fn index(step: &str, count: usize) -> Result<usize, String> {
    let index: i64 = step.parse().map_err(|_| format!("`{step}` is no index"))?;
    let from_end = i64::try_from(count).unwrap_or(i64::MAX);
    let index = if index < 0 { index + from_end } else { index };
    usize::try_from(index).ok().filter(|&index| index < count).ok_or_else(|| format!("there is no item {step}"))
}

fn child<'t>(at: &'t mut Tree, step: &str) -> Result<&'t mut Tree, String> {
    let missing = || format!("there is no `{step}`");
    match &mut at.data {
        Data::Map(entries) => entries.iter_mut().find(|(key, _)| key == step).map(|(_, value)| value),
        Data::List(items) => {
            let index = index(step, items.len())?;
            items.get_mut(index)
        }
        Data::Scalar(_) => None,
    }
    .ok_or_else(missing)
}

fn find<'t>(object: &'t mut Tree, path: &[String]) -> Result<&'t mut Tree, String> {
    path.iter().try_fold(object, |at, step| child(at, step))
}

/// What holds the last step of a path, and that step.
fn holder<'t, 'p>(object: &'t mut Tree, path: &'p [String]) -> Result<(&'t mut Tree, &'p str), String> {
    let (last, parents) = path.split_last().ok_or("it is for the object as a whole")?;
    let holder = find(object, parents)?;
    if matches!(holder.data, Data::Scalar(_)) {
        return Err(format!("nothing can hold `{last}`"));
    }
    Ok((holder, last))
}

fn add(object: &mut Tree, path: &[String], value: Tree) -> Result<(), String> {
    let (holder, last) = holder(object, path)?;
    match &mut holder.data {
        Data::List(items) if last == "-" => items.push(value),
        Data::List(items) => {
            let index = index(last, items.len() + 1)?;
            items.insert(index, value);
        }
        _ => holder.put(last, value),
    }
    Ok(())
}

fn replace(object: &mut Tree, path: &[String], value: Tree) -> Result<(), String> {
    let (holder, last) = holder(object, path)?;
    if matches!(holder.data, Data::Map(_)) {
        // A key that is not there is no error to this library.
        holder.put(last, value);
        return Ok(());
    }
    let old = child(holder, last)?;
    *old = value.after(old);
    Ok(())
}

fn take(object: &mut Tree, path: &[String]) -> Result<Tree, String> {
    let (holder, last) = holder(object, path)?;
    match &mut holder.data {
        Data::List(items) => {
            let index = index(last, items.len())?;
            Ok(items.remove(index))
        }
        _ => holder.remove(last).ok_or_else(|| format!("there is no `{last}`")),
    }
}
