// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A program at a terminal of its own, with somebody who reads what it shows and types.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::support::process::{DEADLINE, until};

/// A program, and the terminal that it was started at. Its standard output is no terminal.
pub(crate) struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    line: OwnedFd,
    child: Killed,
}

impl Terminal {
    /// Starts a program, to which `setsid` (util-linux) gives the terminal.
    pub(crate) fn start(program: &Command, columns: u16) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let line = rustix::fs::open(name, flags, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&line, size).unwrap();

        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "--wait"])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(program.get_current_dir().unwrap())
            .stdin(Stdio::from(line.try_clone().unwrap()))
            .stdout(Stdio::null())
            .stderr(Stdio::from(line.try_clone().unwrap()));
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = Killed(command.spawn().unwrap());

        let keyboard = File::from(keyboard);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut source, shown) = (keyboard.try_clone().unwrap(), Arc::clone(&screen));
        // It ends with EIO, once nobody has the other end any more.
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = source.read(&mut buffer) {
                shown.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            keyboard,
            screen,
            reader,
            line,
            child,
        }
    }

    /// Waits until it has shown some words and hides what is typed.
    #[track_caller]
    pub(crate) fn asks(&self, words: &str) {
        until(|| {
            let screen = self.screen.lock().unwrap();
            String::from_utf8_lossy(&screen).contains(words) && !self.echoes()
        });
    }

    /// Waits until it has shown some words.
    #[track_caller]
    pub(crate) fn shows(&self, words: &str) {
        until(|| {
            let screen = self.screen.lock().unwrap();
            String::from_utf8_lossy(&screen).contains(words)
        });
    }

    /// Whether the terminal shows what is typed.
    pub(crate) fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.line).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end of the program: its exit code, whether the terminal echoes as before, and all
    /// that it has shown.
    pub(crate) fn ends(mut self) -> (i32, bool, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < DEADLINE, "it does not end");
            std::thread::yield_now();
        };
        let echoes = self.echoes();

        drop(self.line);
        self.reader.join().unwrap();
        let screen = self.screen.lock().unwrap();
        let shown = String::from_utf8_lossy(&screen).into_owned();
        (status.code().unwrap_or(-1), echoes, shown)
    }
}

/// A child that is not left behind.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
