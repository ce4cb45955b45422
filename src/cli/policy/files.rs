//! Paths as a user gives them in, the text of the policy files there out.
#![expect(clippy::disallowed_methods, reason = "a verb of the command line reads the files that it is given")]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::review::policy::PolicyFile;

/// The folder of a repository that holds its policy.
const FOLDER: &str = ".kubecure";
/// More than that is no folder of policies.
const MAX_FILES: usize = 1000;

/// Files by the path that they are called by, with their text.
pub(super) struct Files(pub(super) Vec<(String, String)>);

impl Files {
    /// Files, folders, and repositories with a `.kubecure/`; without any, the `.kubecure/` of the current folder.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut files = Self(Vec::new());
        let default = [PathBuf::from(FOLDER)];
        for path in if paths.is_empty() { default.as_slice() } else { paths } {
            let inside = path.join(FOLDER);
            let path = if inside.is_dir() { &inside } else { path };
            if path.is_dir() {
                files.folder(path)?;
            } else if path.exists() {
                files.file(path)?;
            } else {
                bail!(
                    "{} is not there\nHint: give the folder of a repository that has a {FOLDER}/, or the files themselves",
                    path.display()
                );
            }
        }
        files.0.sort();
        files.0.dedup();
        Ok(files)
    }

    /// The `.kubecure/` of a repository; nothing when it has none.
    pub(super) fn of_repository(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            bail!("{} is no folder\nHint: --repo takes the work tree of a repository", path.display());
        }
        let mut files = Self(Vec::new());
        let folder = path.join(FOLDER);
        if folder.is_dir() {
            files.folder(&folder)?;
        }
        // The path within the repository is what a policy file is called, wherever the work tree lies.
        for (name, _) in &mut files.0 {
            if let Ok(relative) = Path::new(name.as_str()).strip_prefix(path) {
                *name = shown(relative);
            }
        }
        files.0.sort();
        Ok(files)
    }

    pub(super) fn as_policy_files(&self) -> Vec<PolicyFile<'_>> {
        self.0.iter().map(|(path, text)| PolicyFile { path, text }).collect()
    }

    pub(super) fn text(&self, path: &str) -> &str {
        self.0.iter().find(|(name, _)| name == path).map_or("", |(_, text)| text)
    }

    /// Every YAML and JSON file under a folder. Links are not followed: Git has none that lead out.
    fn folder(&mut self, folder: &Path) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("failed to list {}", folder.display()))?;
            let kind = entry.file_type()?;
            let path = entry.path();
            let is_data = path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|data| end == *data));
            if kind.is_dir() {
                self.folder(&path)?;
            } else if kind.is_file() && is_data {
                self.file(&path)?;
            }
            if self.0.len() > MAX_FILES {
                bail!("{} holds more than {MAX_FILES} files\nHint: give the folder {FOLDER}/ itself", folder.display());
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
        self.0.push((shown(path), text));
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}
