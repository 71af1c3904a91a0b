// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A server: the real binary, with the client and curl as its callers.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;

use super::process::{Outcome, Place, Process, run, run_with};
use super::syscalls::traced;

const SERVE: [&str; 4] = ["serve", "127.0.0.1", "--port", "0"];

/// A server: the real binary on a free port of the loopback device.
pub(crate) struct Served {
    pub(crate) place: Place,
    pub(crate) process: Process,
    pub(crate) url: String,
    pub(crate) fp: Option<String>,
    pub(crate) dir: PathBuf,
}

impl Served {
    /// Starts a server in directories of its own.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(&Place::new(), arguments)
    }

    /// Starts a server in directories that are there already.
    pub(crate) fn start_in(place: &Place, arguments: &[&str]) -> Self {
        Self::ready(place, Process::start(place.skep(&SERVE).args(arguments)))
    }

    /// The same under strace, whose log [`super::syscalls::calls`] reads.
    pub(crate) fn start_traced(place: &Place, arguments: &[&str]) -> Self {
        let arguments = [&SERVE, arguments].concat();
        let mut command = traced(place, &arguments);
        Self::ready(place, Process::start(&mut command))
    }

    /// Waits for the first line of a server that was started in these directories.
    pub(crate) fn ready(place: &Place, process: Process) -> Self {
        let started = Self::try_ready(place, process);
        started.unwrap_or_else(|outcome| panic!("the server did not start: {}", outcome.stderr))
    }

    /// The same for one that may refuse to start.
    pub(crate) fn try_ready(place: &Place, process: Process) -> Result<Self, Outcome> {
        let Some(line) = process.line() else {
            return Err(process.finish());
        };
        let word = |key: &str| {
            line.split(' ')
                .find_map(|word| word.strip_prefix(key))
                .map(str::to_owned)
        };
        let url = line.split(' ').nth(2).unwrap_or_default().to_owned();
        assert!(line.starts_with("skep ready http"), "{line}");
        let dir = PathBuf::from(word("dir=").unwrap());
        Ok(Self {
            place: place.clone(),
            process,
            url,
            fp: word("fp="),
            dir,
        })
    }

    /// The client with the home and in the working directory of the server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&self.place, arguments)
    }

    /// The client with another home and working directory.
    pub(crate) fn command_of(&self, place: &Place, arguments: &[&str]) -> Command {
        let mut command = place.skep(arguments);
        command.env("SKEP_SERVER", &self.url);
        command
    }

    /// Runs the client.
    pub(crate) fn skep(&self, arguments: &[&str]) -> Outcome {
        run(&mut self.command(arguments))
    }

    pub(crate) fn password(&self) -> String {
        let text = fs::read_to_string(self.place.home().join("password")).unwrap();
        text.trim_end().to_owned()
    }

    /// Names of what lies in the model directory, without the hidden folder.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != ".skep").collect();
        names.sort();
        names
    }

    /// How many unfinished uploads there are.
    pub(crate) fn parts(&self) -> usize {
        self.part_sizes().len()
    }

    /// How long the unfinished uploads are.
    pub(crate) fn part_sizes(&self) -> Vec<u64> {
        let parts = fs::read_dir(self.dir.join(".skep/parts")).unwrap();
        // A part may go while one looks.
        parts
            .filter_map(|part| Some(part.ok()?.metadata().ok()?.len()))
            .collect()
    }

    /// Ends the server with SIGTERM.
    pub(crate) fn stop(self) -> Outcome {
        self.process.signal(Signal::TERM);
        self.process.finish()
    }

    /// Calls the server with curl, showing the password.
    pub(crate) fn curl(&self, path: &str, arguments: &[&str]) -> Answer {
        let field = format!("authorization: Bearer {}", self.password());
        self.curl_as(path, &[&["-H", field.as_str()], arguments].concat(), &[])
    }

    /// Calls the server with curl as nobody in particular; the input is what `@-` and `-T -` mean.
    pub(crate) fn curl_as(&self, path: &str, arguments: &[&str], input: &[u8]) -> Answer {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let head = self.place.path(&format!("head-{number}.txt"));
        let mut command = self.place.command("curl");
        command
            .args(["-q", "-s", "-S", "-k", "--path-as-is", "--globoff", "-D"])
            .arg(&head);
        command.args(arguments).arg(format!("{}{path}", self.url));
        let outcome = run_with(&mut command, input);
        let head = fs::read_to_string(head).unwrap_or_default();
        // An interim answer (100 Continue) has a head of its own.
        let head = head
            .trim_end()
            .rsplit("\r\n\r\n")
            .next()
            .unwrap_or_default()
            .to_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        Answer {
            status,
            head: head.to_ascii_lowercase(),
            body: outcome.stdout,
            code: outcome.code,
        }
    }
}

/// An answer of a server, as curl saw it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
    /// The exit code of curl.
    pub(crate) code: i32,
}

impl Answer {
    /// Asserts the status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "curl {}: {}{}",
            self.code,
            self.head,
            self.text()
        );
        self
    }

    /// The value of a field, in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}
