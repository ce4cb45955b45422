//! Over ssh: a real sshd on loopback, where the machine has one.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kubecure::adapters::git::remote::{Access, Trouble};
use kubecure::adapters::ground::{Base, RemoteBase};
use kubecure::case::Receipt;

use crate::bed::{Bed, NEVER, plan, pull, until};

struct Sshd {
    folder: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

impl Sshd {
    /// `None`, and the reason printed, where there is none to start.
    fn start() -> Option<Self> {
        let program = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"].map(PathBuf::from);
        let Some(program) = program.into_iter().find(|path| path.exists()) else {
            println!("skipped: no sshd on this machine (apt-get install openssh-server)");
            return None;
        };
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|done| done.stdout == b"0\n");
        if is_root && !Path::new("/run/sshd").is_dir() && std::fs::create_dir("/run/sshd").is_err() {
            println!("skipped: sshd needs the folder /run/sshd, and it cannot be made");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for key in ["host", "client", "stranger"] {
            let at = folder.path().join(key);
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at).status();
            assert!(made.unwrap().success());
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::copy(at("client.pub"), at("authorized")).unwrap();
        let host = std::fs::read_to_string(at("host.pub")).unwrap();
        std::fs::write(at("known"), format!("[127.0.0.1]:{port} {host}")).unwrap();
        let wrong = std::fs::read_to_string(at("stranger.pub")).unwrap();
        std::fs::write(at("unknown"), format!("[127.0.0.1]:{port} {wrong}")).unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPermitRootLogin yes\nPidFile none\nLogLevel ERROR\n",
            at("host"),
            at("authorized")
        );
        std::fs::write(at("config"), config).unwrap();
        let child =
            Command::new(program).args(["-D", "-e", "-f", &at("config")]).stderr(Stdio::null()).spawn().unwrap();
        let sshd = Self { folder, child, port };
        until("sshd answers", || TcpStream::connect(("127.0.0.1", sshd.port)).is_ok());
        Some(sshd)
    }

    fn access(&self, key: &str, known: &str) -> Access {
        let at = |name: &str| Some(self.folder.path().join(name));
        Access { ssh_key_file: at(key), ssh_known_hosts_file: at(known), ..Access::default() }
    }

    fn url(&self, bed: &Bed, repository: &str) -> String {
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        format!("ssh://{}@127.0.0.1:{}{}", user.trim(), self.port, bed.server.path(repository).display())
    }
}

#[test]
fn a_repository_is_read_and_pushed_to_over_ssh() {
    let Some(sshd) = Sshd::start() else { return };
    let bed = Bed { access: sshd.access("client", "known"), ..Bed::new() };
    let url = sshd.url(&bed, "shop.git");
    let base = RemoteBase::start(bed.remote(&url), plan(NEVER), bed.clones.path()).unwrap();
    let clone = bed.clone_folder().join("repo.git");
    assert_eq!(crate::server::git(&clone, &["rev-list", "--count", "HEAD"]), "3", "shallow, too");
    let commit = bed.commit(&[("new.yaml", "# new\n")]);
    base.call();
    until("it is fetched", || base.status().commit.as_deref() == Some(&commit));
    let request = pull("aaaaaaaa11111111", "128Mi");
    let opened = base.forge().unwrap().publish(&request).unwrap();
    assert!(matches!(opened, Receipt::Opened { .. }), "{opened:?}");
    assert!(matches!(base.forge().unwrap().publish(&request).unwrap(), Receipt::Exists { .. }));
    assert_eq!(bed.branches().len(), 1);
    bed.on_server(&["fsck", "--strict"]);
    let looked = bed.remote(&url).look().unwrap();
    assert_eq!((looked.default_branch.as_deref(), looked.push), (Some("main"), Ok(())));
}

#[test]
fn what_ssh_refuses_is_told_as_what_it_means() {
    let Some(sshd) = Sshd::start() else { return };
    let bed = Bed::new();
    let trouble = |key: &str, known: &str, repository: &str| {
        let clones = tempfile::tempdir().unwrap();
        let remote = kubecure::adapters::git::remote::Remote::new(
            kubecure::case::RepoUrl::parse(&sshd.url(&bed, repository)).unwrap(),
            sshd.access(key, known),
            bed.limits,
        );
        let depth = kubecure::adapters::git::remote::Depth(3);
        kubecure::adapters::git::mirror::Mirror::new(remote, None, depth, clones.path()).fetch().unwrap_err()
    };
    let host_key = trouble("client", "unknown", "shop.git");
    assert!(matches!(host_key, Trouble::HostKey { .. }), "{host_key:?}");
    let refused = trouble("stranger", "known", "shop.git");
    assert!(matches!(refused, Trouble::Refused { .. }), "{refused:?}");
    let absent = trouble("client", "known", "none.git");
    assert!(matches!(absent, Trouble::NotFound { .. }), "{absent:?}");
    let no_key = trouble("none", "known", "shop.git");
    assert!(matches!(no_key, Trouble::BadFile { .. }), "{no_key:?}");
}

#[test]
fn an_sshd_that_is_away_is_unreachable() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let bed = Bed::new();
    let trouble = bed.mirror_of(&format!("ssh://git@{closed}/srv/shop.git")).fetch().unwrap_err();
    assert!(matches!(trouble, Trouble::Unreachable { .. } | Trouble::NoSsh), "{trouble:?}");
}
