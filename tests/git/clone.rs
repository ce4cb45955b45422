//! The clone folder: broken in every way that a disk, a kill or a person can break it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use kubecure::adapters::git::remote::Trouble;
use kubecure::adapters::ground::Base;

use crate::bed::{Bed, NEVER, WEB, files, until};
use crate::server::git;

/// The pack and index files of a clone.
fn packs(clone: &Path) -> Vec<std::path::PathBuf> {
    let all = files(&clone.join("objects"));
    let found: Vec<_> =
        all.into_iter().filter(|path| path.extension().is_some_and(|e| e == "pack" || e == "idx")).collect();
    assert!(!found.is_empty());
    found
}

fn writable(path: &Path) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
}

#[test]
fn a_clone_that_is_broken_is_made_anew() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 12] = [
        ("packs cut short", |clone| {
            for path in packs(clone) {
                writable(&path);
                let half = fs::metadata(&path).unwrap().len() / 2;
                fs::File::options().write(true).open(path).unwrap().set_len(half).unwrap();
            }
        }),
        ("packs of nothing", |clone| packs(clone).iter().for_each(|path| fs::remove_file(path).unwrap())),
        ("packs of rubbish", |clone| {
            for path in packs(clone).iter().filter(|path| path.extension().unwrap() == "pack") {
                writable(path);
                let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
                fs::write(path, vec![7; length]).unwrap();
            }
        }),
        ("no HEAD", |clone| fs::remove_file(clone.join("HEAD")).unwrap()),
        ("HEAD to nowhere", |clone| fs::write(clone.join("HEAD"), "ref: refs/heads/none\n").unwrap()),
        ("no configuration", |clone| fs::write(clone.join("config"), "").unwrap()),
        ("no objects", |clone| fs::remove_dir_all(clone.join("objects")).unwrap()),
        ("a file in its place", |clone| {
            fs::remove_dir_all(clone).unwrap();
            fs::write(clone, "x").unwrap();
        }),
        ("nothing in its place", |clone| fs::remove_dir_all(clone).unwrap()),
        ("another repository in its place", |clone| {
            fs::remove_dir_all(clone).unwrap();
            git(clone.parent().unwrap(), &["init", "-q", "--bare", "repo.git"]);
        }),
        ("a branch that a killed process has locked", |clone| {
            fs::create_dir_all(clone.join("refs/heads")).unwrap();
            fs::write(clone.join("refs/heads/main.lock"), "").unwrap();
        }),
        ("a shallow end that is not there", |clone| fs::remove_file(clone.join("shallow")).unwrap()),
    ];
    let bed = Bed::new();
    let mut mirror = bed.mirror();
    mirror.fetch().unwrap();
    for (number, (what, damage)) in damages.iter().enumerate() {
        drop(mirror);
        damage(&bed.clone_folder().join("repo.git"));
        let commit = bed.commit(&[("count.yaml", &format!("# {what} {number}\n"))]);
        // Once as a new process finds it, and read to the last byte.
        let base = bed.base(NEVER).unwrap_or_else(|error| panic!("{what}: {error:#}"));
        let ground = base.ground().unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert_eq!(base.status().commit.as_deref(), Some(commit.as_str()), "{what}");
        assert_eq!(&*ground.sources.files["web.yaml"].text, WEB, "{what}");
        assert_eq!(base.status().error, None, "{what}");
        drop(base);
        mirror = wait_for(&bed);
        git(&bed.clone_folder().join("repo.git"), &["fsck", "--strict"]);
    }
}

/// The folder is free once the thread of the last process has ended.
fn wait_for(bed: &Bed) -> kubecure::adapters::git::mirror::Mirror {
    let mut mirror = bed.mirror();
    mirror.fetch().unwrap();
    mirror
}

#[test]
fn a_clone_that_breaks_under_a_running_process_is_made_anew_and_its_ground_stays() {
    let bed = Bed::new();
    let base = bed.base(NEVER).unwrap();
    let clone = bed.clone_folder().join("repo.git");
    fs::remove_dir_all(clone.join("objects")).unwrap();
    assert!(base.ground().is_ok());
    let commit = bed.commit(&[("new.yaml", "# new\n")]);
    base.call();
    until("it is mended", || base.status().commit.as_deref() == Some(&commit));
    git(&clone, &["fsck", "--strict"]);
}

#[test]
fn a_link_in_its_place_is_taken_away_and_what_it_leads_to_stays() {
    let bed = Bed::new();
    drop(wait_for(&bed));
    let (clone, other) = (bed.clone_folder().join("repo.git"), tempfile::tempdir().unwrap());
    let precious = other.path().join("precious");
    fs::rename(&clone, other.path().join("repo")).unwrap();
    fs::write(&precious, "mine").unwrap();
    std::os::unix::fs::symlink(other.path().join("repo"), &clone).unwrap();
    drop(wait_for(&bed));
    assert!(!clone.symlink_metadata().unwrap().is_symlink());
    assert!(precious.exists() && other.path().join("repo/HEAD").exists());
}

#[test]
fn what_a_killed_process_has_left_is_cleared_away_and_nothing_else() {
    let bed = Bed::new();
    drop(wait_for(&bed));
    let folder = bed.clone_folder();
    let (half, aside) = (folder.join("repo.git/objects/pack/pack_git2_ab12cd"), folder.join(".aside.x1"));
    fs::write(&half, "half a pack").unwrap();
    fs::create_dir_all(aside.join("repo.git")).unwrap();
    fs::write(folder.join("notes"), "a person's").unwrap();
    drop(wait_for(&bed));
    assert!(!half.exists() && !aside.exists() && folder.join("notes").exists());
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&folder).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "a repository may be private");
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let bed = Bed::new();
    let first = wait_for(&bed);
    let mut second = bed.mirror();
    assert!(matches!(second.fetch(), Err(Trouble::Locked { .. })));
    drop(first);
    second.fetch().unwrap();
}

#[test]
fn many_fetches_leave_no_heap_of_packs() {
    let bed = Bed::new();
    let mut mirror = bed.mirror();
    for number in 0..110 {
        bed.commit(&[("count.yaml", &format!("# {number}\n"))]);
        mirror.fetch().unwrap();
    }
    let clone = bed.clone_folder().join("repo.git");
    let count = packs(&clone).iter().filter(|path| path.extension().unwrap() == "pack").count();
    assert!(count < 60, "{count} packs");
    assert_eq!(git(&clone, &["rev-parse", "HEAD"]), bed.on_server(&["rev-parse", "main"]));
}

/// A small file system in memory, gone with the test.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_str().unwrap();
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs", at]).output();
        mounted.is_ok_and(|done| done.status.success()).then_some(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_named_the_ground_stays_and_it_goes_on_when_there_is_room() {
    let Some(small) = Small::mount("size=12m") else {
        println!("skipped: a small file system cannot be mounted here; that needs root");
        return;
    };
    let mut bed = Bed::new();
    bed.clones = tempfile::tempdir_in(small.0.path()).unwrap();
    let base = bed.base(Duration::from_millis(200)).unwrap();
    let known = base.status().commit;
    // More than there is room for, and nothing that can be made smaller.
    let mut state = 88_172_645_463_325_252_u64;
    let mut noise = |length: usize| -> String {
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("{state:016x}")
        };
        (0..length / 16).map(|_| next()).collect()
    };
    let texts: Vec<String> = (0..4).map(|_| noise(5_000_000)).collect();
    let names = ["one.txt", "two.txt", "three.txt", "four.txt"];
    let all: Vec<(&str, &str)> = names.into_iter().zip(texts.iter().map(String::as_str)).collect();
    let commit = bed.commit(&all);
    until("it is full", || base.status().error.is_some_and(|error| error.word == "disk-full"));
    let status = base.status();
    assert!(status.error.unwrap().text.contains("no room is left in the clone folder"));
    assert_eq!(status.commit, known);
    assert!(base.ground().is_ok());
    let left = files(&bed.clone_folder()).iter().filter(|path| path.display().to_string().contains("_git2_")).count();
    assert_eq!(left, 0, "half a pack takes no room");
    let at = small.0.path().to_str().unwrap();
    assert!(std::process::Command::new("mount").args(["-o", "remount,size=200m", at]).status().unwrap().success());
    until("there is room", || base.status().commit.as_deref() == Some(&commit));
    assert_eq!(base.status().error, None);
    drop(base);
}
