//! `kubecure edit`: fields of one object of one file, by hand; only their bytes change, or nothing does.
#![expect(clippy::disallowed_methods, reason = "the file that is edited is read and written here")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use serde_json::Value;

use super::kind::is_kind;
use super::output::CliError;
use crate::report::plain;
use crate::yaml::{Action, Edit, FieldPath, Outline, Reason, Refused, edit, outline};

/// What `kubecure edit` takes.
#[derive(Debug, clap::Args)]
pub struct EditArgs {
    /// The YAML or JSON file
    file: PathBuf,
    /// The object to edit, also in a List: KIND/NAME or KIND/NAMESPACE/NAME
    #[arg(long, value_name = "KIND[/NAMESPACE]/NAME")]
    object: Option<ObjectName>,
    /// The document to edit by its number, from 0, where the file has no such object
    #[arg(long, value_name = "N", conflicts_with = "object")]
    doc: Option<usize>,
    #[command(flatten)]
    operations: Operations,
    /// Print the change as a unified diff and write nothing
    #[arg(long)]
    diff: bool,
}

/// How an object is called on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ObjectName {
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl std::str::FromStr for ObjectName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, namespace, name) = match parts.as_slice() {
            [kind, name] => (kind, None, name),
            [kind, namespace, name] => (kind, Some((*namespace).to_owned()), name),
            _ => return Err("KIND/NAME or KIND/NAMESPACE/NAME was expected"),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err("kind, namespace and name must not be empty");
        }
        Ok(Self { kind: (*kind).to_owned(), namespace, name: (*name).to_owned() })
    }
}

/// The edits in the order of the command line, across the flags.
#[derive(Clone, Debug, Default, PartialEq)]
struct Operations(Vec<Edit>);

/// Flag, what it takes, what it does.
const FLAGS: [(&str, &str, &str); 5] = [
    ("set", "PATH=VALUE", "Give a field that exists another value"),
    ("add", "PATH=VALUE", "Add a field that does not exist; missing parents are made"),
    ("append", "PATH=VALUE", "Add an item at the end of the list at PATH"),
    ("insert", "PATH[N]=VALUE", "Add an item to a list before the one with number N"),
    ("remove", "PATH", "Remove a field or an item"),
];

impl clap::Args for Operations {
    fn augment_args(command: Command) -> Command {
        let arg = |&(flag, value_name, help): &(&'static str, &'static str, &'static str)| {
            Arg::new(flag)
                .long(flag)
                .value_name(value_name)
                .help(help)
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .value_parser(move |text: &str| operation(flag, text))
        };
        let group = ArgGroup::new("operation").args(FLAGS.map(|(flag, ..)| flag)).required(true).multiple(true);
        command.args(FLAGS.iter().map(arg)).group(group)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Operations {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut all = Vec::new();
        for (flag, ..) in FLAGS {
            let indices = matches.indices_of(flag).into_iter().flatten();
            all.extend(indices.zip(matches.get_many::<Edit>(flag).into_iter().flatten().cloned()));
        }
        all.sort_by_key(|(index, _)| *index);
        Ok(Self(all.into_iter().map(|(_, edit)| edit).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// One flag's text. The value is JSON where it reads as JSON, else text.
fn operation(flag: &str, text: &str) -> Result<Edit, String> {
    let path = |text: &str| text.parse::<FieldPath>().map_err(|error| error.to_string());
    if flag == "remove" {
        return Ok(Edit { path: path(text)?, action: Action::Remove });
    }
    let at = equals_sign(text).ok_or("PATH=VALUE was expected, and there is no `=` after the path")?;
    let value = &text[at + 1..];
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    let action = match flag {
        "set" => Action::Set(value),
        "add" => Action::Add(value),
        "append" => Action::Append(value),
        _ => Action::Insert(value),
    };
    Ok(Edit { path: path(&text[..at])?, action })
}

/// The first `=` that is not in brackets or quotes of the path.
fn equals_sign(text: &str) -> Option<usize> {
    let (mut in_brackets, mut in_quotes, mut is_escaped) = (false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if in_quotes => is_escaped = true,
            '"' if in_brackets => in_quotes = !in_quotes,
            _ if in_quotes => {}
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            '=' if !in_brackets => return Some(at),
            _ => {}
        }
    }
    None
}

/// Why nothing was done, and what to do next.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    sentence: String,
    hint: String,
}

impl Problem {
    fn new(sentence: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), hint: hint.into() }
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        Self::usage(problem.sentence).hint(problem.hint)
    }
}

/// Edits the file; the answer is the exit code.
pub fn run(args: &EditArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    let name = args.file.display();
    let text = read(&args.file)?;
    let new = edited(args, &text)?;
    let said = if new == text {
        format!("{name}: unchanged, it says so already\n")
    } else if args.diff {
        let (old_name, new_name) = (format!("a/{name}"), format!("b/{name}"));
        let diff = similar::TextDiff::from_lines(text.as_str(), new.as_str());
        diff.unified_diff().header(&plain::inline(&old_name), &plain::inline(&new_name)).to_string()
    } else {
        replace(&args.file, &new).map_err(|error| {
            CliError::usage(format!("{name} cannot be written: {error:#}"))
                .hint("the file is as it was; its folder must be writable, too")
        })?;
        let count = args.operations.0.len();
        format!("{name}: {count} {} made\n", if count == 1 { "edit" } else { "edits" })
    };
    super::print(out, &said)
}

/// The text of a file; of nothing that could keep us waiting.
fn read(file: &Path) -> Result<String, Problem> {
    let cannot = |why: &str, hint: &str| Problem::new(format!("{} cannot be read: {why}", file.display()), hint);
    match fs::metadata(file) {
        Ok(meta) if meta.is_dir() => return Err(cannot("it is a folder", "give one of the files in it")),
        Ok(meta) if !meta.is_file() => return Err(cannot("it is no file", "save what it says to a file first")),
        _ => {}
    }
    fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => cannot("it is not UTF-8", "text files in UTF-8 can be edited"),
        std::io::ErrorKind::PermissionDenied => cannot(&error.to_string(), "chmod u+r gives its owner the right"),
        _ => cannot(&error.to_string(), "check the path"),
    })
}

/// The new text of the file.
fn edited(args: &EditArgs, text: &str) -> Result<String, Problem> {
    let name = args.file.display();
    let (document, root) = match (&args.object, args.doc) {
        (Some(object), _) => find(&args.file, text, object)?,
        (None, Some(document)) => (document, FieldPath::root()),
        (None, None) => {
            let example = outline(text).ok().and_then(|all| all.first().map(title)).unwrap_or("KIND/NAME".to_owned());
            let sentence = format!("it is not said which object of {name} is meant");
            return Err(Problem::new(
                sentence,
                format!("add `--object {example}`, or `--doc 0` for the first document"),
            ));
        }
    };
    let edits: Vec<Edit> =
        args.operations.0.iter().map(|edit| Edit { path: root.clone().join(&edit.path), ..edit.clone() }).collect();
    edit(text, document, &edits).map_err(|refused| {
        let Refused { line, column, reason } = &refused;
        Problem::new(format!("{name}:{line}:{column}: {reason}"), hint(reason))
    })
}

/// Document and path of an object.
fn find(file: &Path, text: &str, wanted: &ObjectName) -> Result<(usize, FieldPath), Problem> {
    let name = file.display();
    let all = outline(text).map_err(|error| {
        let hint = if text.contains("{{") { hint(&Reason::Template) } else { hint(&Reason::Unreadable(String::new())) };
        Problem::new(format!("{name}:{}:{}: {}", error.line, error.column, error.reason), hint)
    })?;
    let is_called = |object: &&Outline| is_kind(&wanted.kind, &object.kind) && object.name == wanted.name;
    let fits = |object: &&Outline| wanted.namespace.is_none() || object.namespace == wanted.namespace;
    let called: Vec<&Outline> = all.iter().filter(is_called).collect();
    let mut found: Vec<&Outline> = called.iter().copied().filter(fits).collect();
    if found.is_empty() {
        // A file that leaves the namespace to kustomize does not contradict.
        found = called.into_iter().filter(|object| object.namespace.is_none()).collect();
    }
    let wanted_title = [Some(wanted.kind.as_str()), wanted.namespace.as_deref(), Some(wanted.name.as_str())];
    let wanted_title = wanted_title.into_iter().flatten().collect::<Vec<_>>().join("/");
    match found.as_slice() {
        [one] => Ok((one.document, one.root.clone())),
        [] => {
            let has: Vec<String> = all.iter().take(5).map(title).collect();
            let more =
                if all.len() > has.len() { format!(" and {} more", all.len() - has.len()) } else { String::new() };
            let hint = match has.as_slice() {
                [] => "the file has no object with a kind; `--doc N` takes a document by its number".to_owned(),
                has => format!("the file has {}{more}", has.join(", ")),
            };
            Err(Problem::new(format!("{name} has no {wanted_title}"), hint))
        }
        several => {
            let each = several.iter().map(|one| format!("{} in document {}", title(one), one.document));
            let sentence =
                format!("{wanted_title} is not one object of {name}: {}", each.collect::<Vec<_>>().join(" and "));
            Err(Problem::new(
                sentence,
                "name the namespace: `--object KIND/NAMESPACE/NAME`, or take one with `--doc N`",
            ))
        }
    }
}

/// An object as `--object` takes it.
fn title(object: &Outline) -> String {
    match &object.namespace {
        Some(namespace) => format!("{}/{namespace}/{}", object.kind, object.name),
        None => format!("{}/{}", object.kind, object.name),
    }
}

/// What to do about a refusal.
fn hint(reason: &Reason) -> &'static str {
    match reason {
        Reason::Unreadable(_) => "repair the file first; it is checked as a whole",
        Reason::NoDocument { .. } | Reason::EmptyDocument => {
            "documents are counted from 0, empty ones too; `--object` finds by name"
        }
        Reason::Template | Reason::TemplateValue => {
            "edit the values that the template is rendered from, or edit it by hand"
        }
        Reason::Conflict => "finish the merge first",
        Reason::DuplicateKey => "remove one of the two keys first",
        Reason::Encrypted => "edit it with `sops`",
        Reason::NotFound(_) => "`--add` adds what does not exist; list items are `list[0]` or `list[name=x]`",
        Reason::Exists(_) => "`--set` changes what exists",
        Reason::NotAList(_) | Reason::NotAContainer(_) => "check the path, or `--set` the whole value",
        Reason::NotAnIndex(_) => "write `--insert 'list[0]=VALUE'`, or `--append 'list=VALUE'`",
        Reason::OutOfRange { .. } => "`--append` adds an item after the last",
        Reason::Alias { .. } | Reason::Merged(_) => {
            "edit the place that the anchor stands at, or write the value out first"
        }
        Reason::Anchored { .. } | Reason::AnchorUsed(_) => {
            "write the value out where the alias stands first, or edit it by hand"
        }
        Reason::EndOfFile => "end the file with a line break first",
        Reason::Tagged { .. } | Reason::Unsupported(_) | Reason::Unproven(_) => "edit it by hand",
    }
}

/// Puts the new text in the file's place at once: whoever reads it sees the old text or the new one. The file that a
/// link leads to is replaced, not the link.
fn replace(file: &Path, new: &str) -> anyhow::Result<()> {
    let file = fs::canonicalize(file)?;
    let folder = file.parent().context("the file is in no folder")?;
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    draft.write_all(new.as_bytes())?;
    draft.as_file().set_permissions(fs::metadata(&file)?.permissions())?;
    draft.as_file().sync_all()?;
    draft.persist(&file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        edit: EditArgs,
    }

    fn args(words: &[&str]) -> Result<EditArgs, clap::Error> {
        Line::try_parse_from(std::iter::once(&"edit").chain(words)).map(|line| line.edit)
    }

    const TWO: &str = "kind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {replicas: 1}\n---\nkind: List\nitems:\n  - kind: Deployment\n    metadata: {name: web, namespace: test}\n    spec: {replicas: 1}\n  - kind: ConfigMap\n    metadata: {name: c}\n    data: {}\n";

    fn on(text: &str, words: &[&str]) -> Result<String, Problem> {
        edited(&args(&[&["f.yaml"], words].concat()).unwrap(), text)
    }

    #[test]
    fn operations_keep_the_order_of_the_command_line() {
        let args =
            args(&["f", "--doc", "0", "--add", "a=1", "--set", "a=2", "--remove", "b", "--add", "b=x=y", "--set=c=-1"]);
        let set = |path: &str, value| Edit { path: path.parse().unwrap(), action: Action::Set(value) };
        let add = |path: &str, value| Edit { path: path.parse().unwrap(), action: Action::Add(value) };
        let remove = Edit { path: "b".parse().unwrap(), action: Action::Remove };
        assert_eq!(
            args.unwrap().operations.0,
            [add("a", json!(1)), set("a", json!(2)), remove, add("b", json!("x=y")), set("c", json!(-1))]
        );
    }

    #[test]
    fn a_path_ends_at_the_first_equals_sign_outside_of_brackets() {
        for (text, path, value) in [
            ("a=b", "a", json!("b")),
            ("a[name=x].b=\"5\"", "a[name=x].b", json!("5")),
            ("a[\"x=]\\\"=y\"].b=012", "a[\"x=]\\\"=y\"].b", json!("012")),
            ("a={\"b\": [1]}", "a", json!({"b": [1]})),
            ("a=", "a", json!("")),
        ] {
            let found = operation("set", text).unwrap();
            assert_eq!((found.path.to_string().as_str(), &found.action), (path, &Action::Set(value)), "{text}");
        }
        assert!(operation("set", "a[x=1]").is_err() && operation("set", "a..b=1").is_err());
        assert!(args(&["f", "--doc", "0"]).is_err() && args(&["f", "--object", "web", "--remove", "a"]).is_err());
    }

    #[test]
    fn objects_are_found_by_kind_and_name_in_documents_and_lists() {
        let set = ["--set", "spec.replicas=2"];
        let found = on(TWO, &[&["--object", "deployment/shop/web"], &set[..]].concat()).unwrap();
        assert_eq!(found, TWO.replacen("replicas: 1", "replicas: 2", 1));
        let found = on(TWO, &[&["--object", "Deployment/test/web"], &set[..]].concat()).unwrap();
        assert!(found.ends_with(&TWO[TWO.find("---").unwrap()..].replace("replicas: 1", "replicas: 2")));
        let found = on(TWO, &["--object", "configmap/any/c", "--add", "data.k=v"]).unwrap();
        assert!(found.ends_with("data:\n      k: v\n"));
    }

    #[test]
    fn what_is_not_clear_is_refused_with_the_next_step() {
        let set = ["--set", "spec.replicas=2"];
        let problem = on(TWO, &[&["--object", "Deployment/web"], &set[..]].concat()).unwrap_err();
        assert_eq!(
            problem.sentence,
            "Deployment/web is not one object of f.yaml: Deployment/shop/web in document 0 and Deployment/test/web in document 1"
        );
        let problem = on(TWO, &[&["--object", "Deployment/x"], &set[..]].concat()).unwrap_err();
        assert_eq!(problem.sentence, "f.yaml has no Deployment/x");
        assert_eq!(problem.hint, "the file has Deployment/shop/web, Deployment/test/web, ConfigMap/c");
        let problem = on(TWO, &set).unwrap_err();
        assert_eq!(problem.hint, "add `--object Deployment/shop/web`, or `--doc 0` for the first document");
        let problem = on(TWO, &["--doc", "0", "--set", "spec.replica=2"]).unwrap_err();
        assert_eq!(problem.sentence, "f.yaml:3:7: `spec.replica` does not exist");
    }

    #[test]
    fn files_are_replaced_at_once_and_links_stay_links() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.yaml");
        fs::write(&file, "a: 1 # c\n").unwrap();
        let name = file.to_str().unwrap();
        let run_with = |words: &[&str]| {
            let mut out = Vec::new();
            let code = run(&args(words).unwrap(), &mut out).unwrap();
            (code, String::from_utf8(out).unwrap().replace(name, "F"))
        };
        let (code, diff) = run_with(&[name, "--doc", "0", "--set", "a=2", "--diff"]);
        assert_eq!((code, diff.as_str()), (0, "--- a/F\n+++ b/F\n@@ -1 +1 @@\n-a: 1 # c\n+a: 2 # c\n"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "a: 1 # c\n");
        let refused = run(&args(&[name, "--doc", "0", "--set", "b=2"]).unwrap(), &mut Vec::new()).unwrap_err();
        assert!(refused.code == 2 && refused.hint.is_some(), "{refused}");
        #[cfg(unix)]
        let target = {
            use std::os::unix::fs::{PermissionsExt, symlink};
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            let link = folder.path().join("link.yaml");
            symlink(&file, &link).unwrap();
            link
        };
        #[cfg(not(unix))]
        let target = file.clone();
        let (code, said) = run_with(&[target.to_str().unwrap(), "--doc", "0", "--set", "a=2"]);
        assert!(code == 0 && said.ends_with("1 edit made\n"), "{said}");
        assert_eq!(
            run_with(&[name, "--doc", "0", "--set", "a=2"]),
            (0, "F: unchanged, it says so already\n".to_owned())
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "a: 2 # c\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert!(fs::symlink_metadata(&target).unwrap().is_symlink());
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        }
    }
}
