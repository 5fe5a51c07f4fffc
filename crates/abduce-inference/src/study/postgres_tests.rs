//! The suite of all storages on a real server, where one is installed.

#![allow(clippy::print_stderr, clippy::unwrap_used)] // helpers of tests

use super::tests::{many_workers, suite};
use super::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A server of its own, in a folder of its own, without network.
struct Server {
    folder: tempfile::TempDir,
    bin: PathBuf,
}

impl Server {
    /// `None`, with the reason printed, where no server is installed.
    fn up() -> Option<Self> {
        let Some(bin) = bin() else {
            eprintln!("skipped: no PostgreSQL server here");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        let server = Self { folder, bin };
        if is_root() {
            // The server refuses to be run by root.
            assert!(Command::new("chown").arg("nobody").arg(server.folder.path()).status().unwrap().success());
        }
        server.run("initdb", &["-A", "trust", "-U", "abduce", "--no-sync", "-D", &server.data()]);
        let options = format!("-c listen_addresses= -c unix_socket_directories={} -c fsync=off", server.folder.path().display());
        server.run("pg_ctl", &["-w", "-D", &server.data(), "-l", "/dev/null", "-o", &options, "start"]);
        Some(server)
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, args: &[&str]) {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let out = command.args(args).current_dir("/tmp").stdout(Stdio::null()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    fn open(&self, study: &str, patience: Patience) -> PostgresRecord {
        PostgresRecord::connect(&self.config(), "the server", study, patience).unwrap()
    }

    fn config(&self) -> ::postgres::Config {
        let mut config = ::postgres::Config::new();
        config.host_path(self.folder.path()).user("abduce").dbname("postgres");
        config
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-m", "immediate", "-D", &self.data(), "stop"]);
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n")
}

/// Folder of the newest server that is installed.
fn bin() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|v| v.path().join("bin")).collect();
    found.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    found.retain(|bin: &PathBuf| Path::new(bin).join("initdb").exists());
    found.sort();
    found.into_iter().next()
}

#[test]
fn a_database_is_a_storage() {
    let Some(server) = Server::up() else { return };
    suite(&|_, patience| Box::new(server.open("one", patience)));

    // Another study in the same database knows nothing of it.
    assert_eq!(server.open("two", Patience::default()).refresh().unwrap(), &StudyState::default());
    many_workers(&|_| Box::new(server.open("three", Patience::default())), 60);

    // What a file says, moved line by line, says the same in the database, and forgotten is forgotten.
    let mut log = PostgresLog::connect(&server.config(), "the server", "three").unwrap();
    assert!(log.exists().unwrap());
    log.forget().unwrap();
    assert!(!log.exists().unwrap());

    // A user that dies while it holds the lock stops nobody.
    let mut dying = PostgresLog::connect(&server.config(), "the server", "four").unwrap();
    dying.lock().unwrap();
    drop(dying);
    server.open("four", Patience::default()).begin(&StudyHeader::new("s", "h")).unwrap();

    // Without a server there is an error that names the place.
    let mut nowhere = server.config();
    nowhere.dbname("none").connect_timeout(Duration::from_secs(5));
    let error = PostgresRecord::connect(&nowhere, "the server", "one", Patience::default()).unwrap_err();
    assert!(error.to_string().starts_with("the server: "), "{error}");
}
