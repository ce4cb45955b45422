use std::fs;

use super::*;
use crate::case::EditedFile;

const DAY: &str = "2026-11-23T23:48:00Z";

fn now() -> crate::case::Timestamp {
    DAY.parse().unwrap()
}

/// A bare repository with these files, and the folder that holds both.
fn seeded(files: &[(&str, &str)]) -> (tempfile::TempDir, Repo) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let at = dir.path().join("from").join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }
    let repo = seed(&dir.path().join("repo.git"), &Origin::of(&dir.path().join("from"), None).unwrap(), now()).unwrap();
    (dir, repo)
}

fn edit(path: &str, before: &str, after: &str) -> Vec<EditedFile> {
    vec![EditedFile { path: path.to_owned(), before: before.into(), after: after.to_owned() }]
}

const MESSAGE: &str = "shop/web: raise\n\nWhy.\n\nKubeCure-Fix: 0123456789abcdef\n";

fn commit(repo: &Repo, branch: &str, files: &[EditedFile], message: &str) -> Result<Landed> {
    let base = repo.commit_id(Some("main")).unwrap();
    repo.commit_on_branch(&NewCommit { branch, files, message }, base, &Author::kubecure(now()))
}

/// A commit by a person, on a branch or on main.
fn person(repo: &Repo, branch: &str, path: &str, text: &str, message: &str) -> Oid {
    let ada = Author { name: "Ada".to_owned(), email: "ada@example.com".to_owned(), at: now() }.signature().unwrap();
    let parent = repo.inner.find_commit(repo.tip(branch).unwrap().unwrap()).unwrap();
    let mut update = git2::build::TreeUpdateBuilder::new();
    update.upsert(path, repo.inner.blob(text.as_bytes()).unwrap(), FileMode::Blob);
    let tree = update.create_updated(&repo.inner, &parent.tree().unwrap()).unwrap();
    let tree = repo.inner.find_tree(tree).unwrap();
    repo.inner.commit(Some(&format!("refs/heads/{branch}")), &ada, &ada, message, &tree, &[&parent]).unwrap()
}

#[test]
fn a_commit_is_read_like_a_folder() {
    let (dir, repo) = seeded(&[
        ("apps/a.yaml", "a: 1\n"),
        ("x/b.yml", "b: 1\n"),
        (".kubecure/policy.yaml", "p: 1\n"),
        ("README.md", "x"),
    ]);
    let all = repo.manifests(None, "").unwrap();
    let lying = folder::read(&dir.path().join("from")).unwrap();
    assert_eq!(all.files, lying.files);
    assert_eq!(all.commit, Some(repo.commit_id(Some("main")).unwrap().to_string()));
    let some = repo.manifests(Some("main"), "apps/").unwrap();
    assert_eq!(some.files.keys().collect::<Vec<_>>(), [".kubecure/policy.yaml", "apps/a.yaml"]);
    let error = repo.manifests(None, "none").unwrap_err().to_string();
    assert!(error.contains("no folder \"none\"") && error.contains("Hint:"), "{error}");
    let error = repo.manifests(Some("v9"), "").unwrap_err().to_string();
    assert!(error.contains("no revision \"v9\"") && error.contains("Hint:"), "{error}");
}

#[test]
fn what_a_generator_takes_is_read_from_a_commit_like_from_a_folder() {
    let says = "configMapGenerator: [{name: a, files: [app.conf, ../up.txt, ../../out.txt, gone.txt]}]\n";
    let files = [("app/kustomization.yaml", says), ("app/app.conf", "x"), ("app/b.conf", "x"), ("up.txt", "u")];
    let (_dir, repo) = seeded(&files);
    let raw = repo.manifests(None, "").unwrap();
    assert_eq!(raw.files.keys().collect::<Vec<_>>(), ["app/app.conf", "app/kustomization.yaml", "up.txt"]);
}

#[test]
fn links_submodules_and_large_files_of_a_commit_are_named() {
    let (_dir, repo) = seeded(&[("a.yaml", "a: 1\n")]);
    let parent = repo.inner.find_commit(repo.tip("main").unwrap().unwrap()).unwrap();
    let mut update = git2::build::TreeUpdateBuilder::new();
    let blob = |bytes: &[u8]| repo.inner.blob(bytes).unwrap();
    update.upsert("out.yaml", blob(b"../../etc/passwd"), FileMode::Link);
    update.upsert("in.yaml", blob(b"a.yaml"), FileMode::Link);
    update.upsert("sub", parent.id(), FileMode::Commit);
    update.upsert("large.yaml", blob(&vec![b' '; 5 << 20]), FileMode::Blob);
    update.upsert("latin.yaml", blob(b"\xe9"), FileMode::Blob);
    let tree = update.create_updated(&repo.inner, &parent.tree().unwrap()).unwrap();
    let me = Author::kubecure(now()).signature().unwrap();
    repo.inner.commit(Some("HEAD"), &me, &me, "x", &repo.inner.find_tree(tree).unwrap(), &[&parent]).unwrap();
    let raw = repo.manifests(None, "").unwrap();
    assert_eq!(raw.files.len(), 1);
    let said: Vec<String> = raw.skipped.iter().map(|gap| format!("{}: {}", gap.what, gap.why)).collect();
    assert_eq!(
        said,
        [
            "in.yaml: a symlink to a.yaml, read at its target",
            "large.yaml: 5242880 bytes, more than the 4194304 that are read",
            "latin.yaml: not UTF-8, at byte 0",
            "out.yaml: a symlink that leads out of the repository, to ../../etc/passwd; not followed",
            "sub: a submodule; not entered",
        ]
    );
    let error = commit(&repo, "kubecure/a/b/c", &edit("in.yaml", "a.yaml", "x"), MESSAGE).unwrap_err().to_string();
    assert!(error.contains("in.yaml is a symlink"), "{error}");
}

#[test]
fn a_second_commit_of_the_same_change_is_none() {
    let (_dir, repo) = seeded(&[("a.yaml", "a: 1\n"), ("b.yaml", "b: 1\n")]);
    let files = edit("a.yaml", "a: 1\n", "a: 2\n");
    let first = commit(&repo, "kubecure/shop/web/x", &files, MESSAGE).unwrap();
    assert!(matches!(first, Landed::Created(_)));
    assert_eq!(commit(&repo, "kubecure/shop/web/x", &files, MESSAGE).unwrap(), Landed::Unchanged(first.tip()));
    // The base moves on without touching the file, and a count in the prose changes: still nothing to do.
    person(&repo, "main", "b.yaml", "b: 2\n", "b");
    let other_prose = MESSAGE.replace("Why.", "Why, seven times.");
    assert_eq!(commit(&repo, "kubecure/shop/web/x", &files, &other_prose).unwrap(), Landed::Unchanged(first.tip()));
    // Another value is another commit, on the base as it is now.
    let second = commit(&repo, "kubecure/shop/web/x", &edit("a.yaml", "a: 1\n", "a: 3\n"), MESSAGE).unwrap();
    assert!(matches!(second, Landed::Updated(_)));
    let read = repo.manifests(Some("kubecure/shop/web/x"), "").unwrap();
    assert_eq!((&*read.files["a.yaml"], &*read.files["b.yaml"]), ("a: 3\n", "b: 2\n"));
    assert_eq!(repo.commits_on("kubecure/shop/web/x").unwrap().len(), 1);
}

#[test]
fn what_must_not_be_written_is_refused_and_nothing_happens() {
    let (_dir, repo) = seeded(&[("a.yaml", "a: 1\n"), (".gitignore", "x\n")]);
    let refused = |branch: &str, files: Vec<EditedFile>| {
        let error = commit(&repo, branch, &files, MESSAGE).unwrap_err().to_string();
        assert_eq!(repo.inner.references().unwrap().count(), 1, "{error}");
        error
    };
    let good = || edit("a.yaml", "a: 1\n", "a: 2\n");
    for branch in
        ["main", "fix", "kubecure", "kubecure/", "kubecure/../main", "kubecure/a..b", "kubecure/a b", "kubecure/.git/x"]
    {
        assert!(refused(branch, good()).contains("is not a branch of KubeCure"), "{branch}");
    }
    let ours = "kubecure/shop/web/x";
    for path in ["/etc/passwd", "../a.yaml", ".git/config", ".gitignore", "x/../a.yaml"] {
        assert!(refused(ours, edit(path, "x\n", "y\n")).contains("is not a path that KubeCure edits"), "{path}");
    }
    assert!(refused(ours, edit("b.yaml", "", "y\n")).contains("not in the base commit"));
    assert!(refused(ours, edit("a.yaml", "a: 0\n", "y\n")).contains("is not the file that was read"));
    assert!(refused(ours, edit("a.yaml", "a: 1\n", "a: 1\n")).contains("changes nothing"));
}

#[test]
fn a_commit_by_a_person_is_never_written_over() {
    let (_dir, repo) = seeded(&[("a.yaml", "a: 1\n")]);
    let branch = "kubecure/shop/web/x";
    commit(&repo, branch, &edit("a.yaml", "a: 1\n", "a: 2\n"), MESSAGE).unwrap();
    // The trailer alone does not make it ours.
    let theirs = person(&repo, branch, "a.yaml", "a: 5\n", MESSAGE);
    let error = commit(&repo, branch, &edit("a.yaml", "a: 1\n", "a: 3\n"), MESSAGE).unwrap_err().to_string();
    assert!(error.contains("has a commit by Ada"), "{error}");
    assert_eq!(repo.tip(branch).unwrap(), Some(theirs));
    assert!(
        repo.move_branch(branch, Some(repo.tip("main").unwrap().unwrap()), theirs)
            .unwrap_err()
            .to_string()
            .contains("was moved by somebody else")
    );
}

#[test]
fn a_squash_merge_is_found_by_its_trailer() {
    let (_dir, repo) = seeded(&[("a.yaml", "a: 1\n")]);
    assert!(repo.landed().unwrap().is_empty());
    let squash = person(
        &repo,
        "main",
        "a.yaml",
        "a: 2\n",
        "Fix (#12)\n\n* shop/web: raise\n\nKubeCure-Fix: 0123456789abcdef\n\nCo-authored-by: x\n",
    );
    assert_eq!(repo.landed().unwrap().get("0123456789abcdef"), Some(&squash.to_string()));
}

#[cfg(unix)]
#[test]
fn a_folder_is_committed_as_it_lies_there_and_twice_the_same() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    fs::create_dir_all(from.join("bin")).unwrap();
    fs::write(from.join("bin/run"), "#!/bin/sh\r\n").unwrap();
    fs::set_permissions(from.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(from.join("latin.txt"), b"\xe9").unwrap();
    std::os::unix::fs::symlink("latin.txt", from.join("link")).unwrap();
    let first = seed(&dir.path().join("1.git"), &Origin::of(&from, None).unwrap(), now()).unwrap();
    let second = seed(&dir.path().join("2.git"), &Origin::of(&from, None).unwrap(), now()).unwrap();
    assert_eq!(first.tip("main").unwrap(), second.tip("main").unwrap());
    let tree = first.inner.find_commit(first.tip("main").unwrap().unwrap()).unwrap().tree().unwrap();
    let mode = |path: &str| tree.get_path(Path::new(path)).unwrap().filemode();
    assert_eq!((mode("bin/run"), mode("latin.txt"), mode("link")), (0o100_755, 0o100_644, 0o120_000));
    assert!(
        seed(&dir.path().join("1.git"), &Origin::of(&from, None).unwrap(), now()).is_err(),
        "an existing repository is never made anew"
    );
}

#[test]
fn a_clean_work_tree_brings_its_history_and_an_edited_one_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let work = dir.path().join("work");
    fs::create_dir_all(work.join("apps")).unwrap();
    fs::write(work.join("apps/a.yaml"), "a: 1\n").unwrap();
    let inner = Repository::init(&work).unwrap();
    let mut index = inner.index().unwrap();
    index.add_path(Path::new("apps/a.yaml")).unwrap();
    index.write().unwrap();
    let tree = inner.find_tree(index.write_tree().unwrap()).unwrap();
    let ada = Author { name: "Ada".to_owned(), email: "ada@example.com".to_owned(), at: now() }.signature().unwrap();
    let head = inner.commit(Some("HEAD"), &ada, &ada, "first", &tree, &[]).unwrap();
    assert_eq!(open(&work.join("apps")).unwrap().prefix(), "apps");

    let clean = seed(&dir.path().join("clean.git"), &Origin::of(&work, None).unwrap(), now()).unwrap();
    assert_eq!(clean.tip("main").unwrap(), Some(head));
    assert_eq!(clean.base_branch().unwrap(), "main");
    let kept = fs::read_to_string(dir.path().join("clean.git/FETCH_HEAD")).unwrap_or_default();
    assert_eq!(kept, "", "no path of this machine stays in the repository");

    fs::write(work.join("apps/a.yaml"), "a: 7\n").unwrap();
    let edited = seed(&dir.path().join("edited.git"), &Origin::of(&work, None).unwrap(), now()).unwrap();
    assert_ne!(edited.tip("main").unwrap(), Some(head));
    assert_eq!(&*edited.manifests(None, "").unwrap().files["apps/a.yaml"], "a: 7\n");
}

#[test]
fn a_folder_outside_any_repository_is_an_error_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let error = open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("is not in a Git repository") && error.contains("Hint:"), "{error}");
}
