// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The real binary and other programs, run in directories of their own and never left behind.
//!
//! Nothing here sleeps: a server is ready when its first line arrives, and a program has ended when
//! its output has. One deadline bounds every wait.

use std::fs::{self, DirBuilder};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine; reached only if something hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Directories of one test: a home, and a working directory with files in it.
#[derive(Clone)]
pub(crate) struct Place(Arc<TempDir>);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(Arc::new(tempfile::tempdir().unwrap()));
        fs::create_dir(place.path("")).unwrap();
        // As skep makes it, whatever the umask is.
        DirBuilder::new().mode(0o700).create(place.home()).unwrap();
        place
    }

    /// What `SKEP_HOME` is.
    pub(crate) fn home(&self) -> PathBuf {
        self.0.path().join("home")
    }

    /// Writes a file into the home that only its owner can read.
    pub(crate) fn secret(&self, name: &str, text: &str) {
        let path = self.home().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A path in the working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("work").join(name)
    }

    /// Writes a file into the working directory.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// A program in the working directory, without any variable that could reach it from outside.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_ascii_lowercase();
            let is_ours = text.starts_with("skep_") || text.starts_with("dearning_");
            if is_ours || text.starts_with("xdg_") || text.ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command
            .env("SKEP_HOME", self.home())
            .env("HOME", self.0.path());
        command.current_dir(self.path("")).stdin(Stdio::null());
        command
    }

    /// The skep binary with arguments.
    pub(crate) fn skep(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_skep"));
        command.args(arguments);
        command
    }
}

/// A running program, killed and waited for when it is dropped.
pub(crate) struct Process {
    child: Child,
    first_line: Receiver<String>,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    stderr_line: Receiver<String>,
}

/// How a program ended, and what it printed.
pub(crate) struct Outcome {
    /// The exit code, or the negative number of the signal that ended it.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let spawned = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (send_line, first_line) = channel();
        let (send_stdout, stdout_bytes) = channel();
        let (send_stderr, stderr_bytes) = channel();
        let (send_stderr_line, stderr_line) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if stdout
                .read_until(b'\n', &mut bytes)
                .is_ok_and(|count| count > 0)
            {
                let _ = send_line.send(String::from_utf8_lossy(&bytes).trim_end().to_owned());
            }
            drop(send_line);
            let _ = stdout.read_to_end(&mut bytes);
            let _ = send_stdout.send(bytes);
        });
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut before = 0;
            while stderr
                .read_until(b'\n', &mut bytes)
                .is_ok_and(|count| count > 0)
            {
                let line = String::from_utf8_lossy(&bytes[before..]).into_owned();
                before = bytes.len();
                let _ = send_stderr_line.send(line);
            }
            drop(send_stderr_line);
            let _ = send_stderr.send(bytes);
        });
        Self {
            child,
            first_line,
            stdout: stdout_bytes,
            stderr: stderr_bytes,
            stderr_line,
        }
    }

    /// The first line on standard output.
    pub(crate) fn line(&self) -> Option<String> {
        self.first_line.recv_timeout(DEADLINE).ok()
    }

    /// Waits for a line on standard error that has some words.
    #[track_caller]
    pub(crate) fn await_stderr(&self, words: &str) {
        while let Ok(line) = self.stderr_line.recv_timeout(DEADLINE) {
            if line.contains(words) {
                return;
            }
        }
        panic!("no '{words}' on standard error");
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Stops it (SIGSTOP) while all its threads wait for something.
    pub(crate) fn interrupt(&self) {
        until(|| self.are_all('S'));
        self.signal(Signal::STOP);
        until(|| self.are_all('T'));
    }

    /// Whether all threads are in this state: `S` for sleeping, `T` for stopped (proc(5)).
    fn are_all(&self, state: char) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        tasks.map(|task| task.unwrap().path()).all(|task| {
            let text = fs::read_to_string(task.join("stat")).unwrap_or_default();
            // The name in front of the state may have any character in it.
            let rest = text.rsplit(") ").next();
            rest.is_some_and(|rest| rest.starts_with(state))
        })
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// The other end of its standard input, if that is a pipe.
    pub(crate) fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Outcome {
        let stdout = self
            .stdout
            .recv_timeout(DEADLINE)
            .expect("it has to end in time");
        let stderr = self
            .stderr
            .recv_timeout(DEADLINE)
            .expect("it has to end in time");
        let status = ended(&mut self.child);
        let code = status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or(0));
        Outcome {
            code,
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Outcome {
    Process::start(command).finish()
}

/// Runs a program to its end, with bytes on its standard input.
pub(crate) fn run_with(command: &mut Command, input: &[u8]) -> Outcome {
    let mut process = Process::start(command.stdin(Stdio::piped()));
    let (mut stdin, input) = (process.stdin(), input.to_owned());
    // A program that has seen enough closes its input early.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let outcome = process.finish();
    writer.join().unwrap();
    outcome
}

impl Outcome {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            code,
            "stdout: {}\nstderr: {}",
            self.text(),
            self.stderr
        );
        self
    }

    /// Asserts that standard error has some words.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(
            self.stderr.contains(words),
            "no '{words}' in: {}",
            self.stderr
        );
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}", self.text());
        })
    }
}

/// Asserts that standard error is one line.
#[track_caller]
pub(crate) fn one_line(outcome: &Outcome) {
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
}

/// How a program ends, for which it has some time.
#[track_caller]
pub(crate) fn ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// Waits for what has no event of its own, such as a file that another process removes.
#[track_caller]
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "it does not come");
        std::thread::yield_now();
    }
}

/// A file system at `disk` in the working directory, unmounted when it goes out of use.
pub(crate) struct Mounted(Place);

impl Mounted {
    /// Mounts one with the arguments of `mount`.
    pub(crate) fn new(place: &Place, arguments: &[&str]) -> Self {
        let outcome = run(place
            .command("mount")
            .args(arguments)
            .arg(place.path("disk")));
        outcome.exits(0);
        Self(place.clone())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run(self.0.command("umount").arg("-l").arg(self.0.path("disk")));
    }
}

/// Bytes that do not repeat soon, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The digest of bytes as skep prints it, computed without skep.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}
