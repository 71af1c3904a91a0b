// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The lines that wait to be written, so that nobody who logs waits for whoever reads the log.
//!
//! A command writes its few lines itself. A server has a thread that writes: a pipe that nobody reads,
//! a terminal that was stopped or a slow disk then cost lines, which are counted, and nothing else.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::Level;

use crate::clock;
use crate::logging::log_line::{LineForm, LogLine};
use crate::logging::target::Target;
use crate::threads::{self, lock};

/// Lines between those who log and the target.
pub(crate) struct LogQueue {
    state: Mutex<QueueState>,
    /// There is something for the thread to do.
    more: Condvar,
    /// The thread has written what it had.
    written: Condvar,
}

struct QueueState {
    /// Where lines go as long as there is no thread that writes.
    direct: Option<Target>,
    /// A target that the thread has to change to.
    next: Option<Target>,
    lines: VecDeque<LogLine>,
    /// Bytes of the texts of `lines`.
    bytes: usize,
    /// Lines that found no room, all of them after those in `lines`.
    lost: u64,
    /// How lines looked when the last one was lost.
    lost_form: Option<LineForm>,
    /// Lines are to be written at once.
    is_urgent: bool,
    is_writing: bool,
    /// Nobody waits for the thread any more.
    is_ended: bool,
}

impl QueueState {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.lost == 0 && self.next.is_none()
    }

    /// Whether all that was logged is written.
    fn is_done(&self) -> bool {
        self.is_empty() && !self.is_writing
    }

    /// After a line was lost, those that come later are lost as well until the thread has taken what is
    /// here, so that one line can say how many.
    fn has_room(&self, line: &LogLine) -> bool {
        self.lost == 0
            && self.lines.len() < LINES_MAX
            && self.bytes.saturating_add(line.text.len()) <= BYTES_MAX
    }

    /// Takes all lines, and a last one for those that were lost.
    fn take(&mut self) -> Vec<LogLine> {
        let mut lines = Vec::from(std::mem::take(&mut self.lines));
        let lost = std::mem::take(&mut self.lost);
        if let Some(form) = self.lost_form.take() {
            lines.push(LogLine::of_loss(lost, clock::now(), form));
        }

        self.bytes = 0;
        self.is_urgent = false;
        self.is_writing = true;
        lines
    }
}

impl LogQueue {
    /// A queue without a thread, whose lines go to standard error at once.
    pub(crate) const fn new() -> Self {
        Self {
            state: Mutex::new(QueueState {
                direct: Some(Target::Terminal),
                next: None,
                lines: VecDeque::new(),
                bytes: 0,
                lost: 0,
                lost_form: None,
                is_urgent: false,
                is_writing: false,
                is_ended: false,
            }),
            more: Condvar::new(),
            written: Condvar::new(),
        }
    }

    /// Has lines go to a target by way of a thread, which is started with the first one.
    ///
    /// # Errors
    /// If the system has no thread to give; the old target then stays.
    pub(crate) fn redirect(&'static self, target: Target) -> io::Result<()> {
        let mut state = lock(&self.state);
        let had_thread = state.direct.is_none();
        state.next = Some(target);
        if had_thread {
            drop(state);
            self.more.notify_one();
            return Ok(());
        }

        // The thread waits for this lock, so no line passes by another.
        let started = threads::spawn("log", || self.write_all());
        match started {
            Ok(_) => state.direct = None,
            Err(_) => state.next = None,
        }

        started.map(drop)
    }

    /// Changes the target of a queue without a thread; with one, nothing happens.
    pub(crate) fn change_direct(&self, change: impl FnOnce(&mut Target)) {
        if let Some(target) = &mut lock(&self.state).direct {
            change(target);
        }
    }

    /// Logs a line. Where there is a thread that writes, this waits for nothing.
    pub(crate) fn put(&self, line: LogLine) {
        let mut state = lock(&self.state);
        if let Some(target) = &mut state.direct {
            // A failure has no place where it could be reported.
            let _ = target.write(&line);
            return;
        }

        let was_empty = state.is_empty();
        let is_urgent = line.level == Level::Error;
        if state.has_room(&line) {
            state.bytes += line.text.len();
            state.lines.push_back(line);
        } else {
            state.lost += 1;
            state.lost_form = Some(line.form);
        }

        // Whoever comes first wakes the thread, which waits a moment for others: a wake for each line
        // would cost more than the line.
        let wakes = was_empty || (is_urgent && !state.is_urgent);
        state.is_urgent |= is_urgent;
        drop(state);

        if wakes {
            self.more.notify_one();
        }
    }

    /// Waits until all lines are written, for a bounded time; whether they are.
    pub(crate) fn flush(&self, wait: Duration) -> bool {
        let mut state = lock(&self.state);
        if state.direct.is_some() || state.is_done() {
            return true;
        }
        if state.is_ended {
            return false;
        }

        state.is_urgent = true;
        self.more.notify_one();

        let waited = self
            .written
            .wait_timeout_while(state, wait, |state| !state.is_done());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);

        state.is_done()
    }

    /// Writes what is left, for a bounded time, at the end of the process; whether all was written.
    pub(crate) fn finish(&self, wait: Duration) -> bool {
        let is_done = self.flush(wait);
        // What did not go once is not waited for a second time.
        lock(&self.state).is_ended |= !is_done;
        is_done
    }

    /// Whether a thread writes the lines.
    pub(crate) fn has_thread(&self) -> bool {
        lock(&self.state).direct.is_none()
    }

    /// The work of the thread.
    fn write_all(&self) {
        let mut target = Target::Terminal;
        // Lines that the target did not take.
        let mut failed = 0;

        loop {
            let lines = self.next(&mut target);
            let mut left = lines.as_slice();
            while !left.is_empty() {
                self.await_room(&mut target);

                if failed > 0 {
                    let loss = LogLine::of_loss(failed, clock::now(), left[0].form);
                    if target.write_piece(&[loss]).1.is_ok() {
                        failed = 0;
                    }
                    self.await_room(&mut target);
                }

                let (count, written) = target.write_piece(left);
                left = &left[count..];
                if written.is_err() {
                    failed += count as u64;
                }
            }
        }
    }

    /// Waits for lines, and changes the target if there is another.
    fn next(&self, target: &mut Target) -> Vec<LogLine> {
        let mut state = lock(&self.state);
        state.is_writing = false;
        if state.is_done() {
            self.written.notify_all();
        }

        state = wait_while(&self.more, state, |state| state.is_empty());

        // More will come soon, and is written along.
        let gathered = self
            .more
            .wait_timeout_while(state, GATHER_TIME, |state| !state.is_urgent);
        let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);

        if let Some(next) = state.next.take() {
            *target = next;
        }
        state.take()
    }

    /// Waits until the target takes lines, however long that is; a target that stands still can be
    /// changed for another meanwhile.
    fn await_room(&self, target: &mut Target) {
        while !target.has_room(ROOM_WAIT) {
            if let Some(next) = lock(&self.state).next.take() {
                *target = next;
            }
        }
    }
}

fn wait_while<'a>(
    condition: &Condvar,
    state: MutexGuard<'a, QueueState>,
    wait: impl FnMut(&mut QueueState) -> bool,
) -> MutexGuard<'a, QueueState> {
    condition
        .wait_while(state, wait)
        .unwrap_or_else(PoisonError::into_inner)
}

/// Lines and bytes of their texts that wait at most; the thread may hold as much again.
const LINES_MAX: usize = 4096;
const BYTES_MAX: usize = 512 * 1024;

/// How long the thread waits for more lines before it writes those that are there.
const GATHER_TIME: Duration = Duration::from_millis(10);

/// How long the thread waits for room before it looks for another target.
const ROOM_WAIT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::mpsc::{Receiver, Sender, channel};

    use crate::logging::format::LogFormat;
    use crate::logging::log_line::Style;
    use crate::logging::log_options::LogOptions;

    const DEADLINE: Duration = Duration::from_secs(60);

    const FORM: LineForm = LineForm {
        style: Style::Plain,
        format: LogFormat::Line,
    };

    fn line(text: &str) -> LogLine {
        LogLine {
            at: std::time::SystemTime::UNIX_EPOCH,
            level: Level::Info,
            text: text.to_owned(),
            is_event: false,
            form: FORM,
        }
    }

    fn queue() -> &'static LogQueue {
        Box::leak(Box::new(LogQueue::new()))
    }

    /// A target that shows each line, and then stands still until it is told to go on or nobody is
    /// there to tell it.
    fn screen() -> (Target, Receiver<String>, Sender<()>) {
        let (shown, lines) = channel();
        let (go_on, wait) = channel();
        let write = move |line: &str| {
            let _ = shown.send(line.to_owned());
            let _ = wait.recv();
        };
        (Target::Screen(Box::new(write)), lines, go_on)
    }

    #[test]
    fn nobody_waits_for_a_target_that_stands_still_and_what_is_lost_is_counted() {
        let queue = queue();
        let (target, lines, go_on) = screen();
        queue.redirect(target).unwrap();
        queue.put(line("first"));
        assert_eq!(lines.recv_timeout(DEADLINE).unwrap(), "skep: info: first");

        for number in 0..LINES_MAX + 7 {
            queue.put(line(&number.to_string()));
        }
        assert!(!queue.flush(Duration::ZERO));

        drop(go_on);
        assert!(queue.flush(DEADLINE));
        queue.put(line("last"));
        assert!(queue.flush(DEADLINE));

        for number in 0..LINES_MAX {
            assert_eq!(lines.try_recv().unwrap(), format!("skep: info: {number}"));
        }
        let lost = lines.try_recv().unwrap();
        assert!(
            lost.starts_with("skep: warning: 7 lines of the log "),
            "{lost}"
        );
        assert_eq!(lines.try_recv().unwrap(), "skep: info: last");
        assert!(lines.try_recv().is_err());
    }

    #[test]
    fn long_lines_find_their_end_as_well() {
        let queue = queue();
        let (target, lines, go_on) = screen();
        queue.redirect(target).unwrap();
        queue.put(line("first"));
        lines.recv_timeout(DEADLINE).unwrap();

        let long = "x".repeat(BYTES_MAX / 4);
        for _ in 0..10 {
            queue.put(line(&long));
        }
        drop(go_on);
        assert!(queue.flush(DEADLINE));
        let whole = lines.try_iter().filter(|line| line.ends_with(&long));
        assert_eq!(whole.count(), 4);
    }

    #[test]
    fn the_end_does_not_wait_for_a_target_that_stands_still() {
        let queue = queue();
        let (target, lines, go_on) = screen();
        queue.redirect(target).unwrap();
        queue.put(line("first"));
        lines.recv_timeout(DEADLINE).unwrap();
        queue.put(line("second"));

        assert!(!queue.finish(Duration::from_millis(20)));
        // Neither the second time, however long it might wait.
        assert!(!queue.finish(Duration::MAX));
        drop(go_on);
    }

    #[test]
    fn a_pipe_that_nobody_reads_can_be_changed_for_another_target() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let options = LogOptions {
            file: Some(path),
            ..LogOptions::default()
        };

        // Nobody has opened the other end, and the pipe has less room than the queue.
        let queue = queue();
        queue.redirect(Target::open(&options).unwrap()).unwrap();
        let long = "x".repeat(1000);
        for _ in 0..400 {
            queue.put(line(&long));
        }
        assert!(!queue.flush(Duration::from_millis(20)));

        let (target, lines, go_on) = screen();
        drop(go_on);
        queue.redirect(target).unwrap();
        assert!(queue.flush(DEADLINE));
        let rest = lines.try_iter().count();
        assert!((300..400).contains(&rest), "{rest}");
    }

    #[test]
    fn a_command_writes_at_once() {
        let queue = queue();
        let (target, lines, go_on) = screen();
        drop(go_on);
        queue.change_direct(|direct| *direct = target);
        queue.put(line("word"));
        assert_eq!(lines.try_recv().unwrap(), "skep: info: word");
        assert!(queue.flush(Duration::ZERO) && !queue.has_thread());
    }
}
