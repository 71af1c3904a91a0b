// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Processes that skep starts: nothing is inherited, everything is bounded, and nothing stays behind.

use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use skep::ErrorKind;
use skep::child::{Child, ChildOutcome, Confinement, End, Order, sweep};

use crate::support::process::until;

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(600);

fn order(program: &str, arguments: &[&str]) -> Order {
    let mut order = Order::new(program, "trial");
    order.setup.arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
    order.setup.environment = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    order.deadline = LONG;
    order
}

fn shell(script: &str) -> Order {
    order("sh", &["-c", script])
}

fn start(order: &Order) -> Child {
    Child::start_by(Path::new(env!("CARGO_BIN_EXE_skep")), order).unwrap()
}

fn run(order: &Order) -> ChildOutcome {
    start(order).wait(None).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a process is there and not a zombie that nobody has waited for.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    !state.is_empty() && !state.starts_with('Z')
}

#[test]
fn a_program_gets_its_input_and_its_end_is_told() {
    let mut order = shell("cat; echo told >&2; exit 7");
    order.input = b"some bytes".repeat(50_000);
    order.output_bytes_max = 1 << 20;
    let outcome = run(&order);
    assert_eq!(outcome.end, End::Exited(7));
    assert!(
        outcome.stdout == order.input,
        "{} bytes",
        outcome.stdout.len()
    );
    assert_eq!(text(&outcome.stderr), "told\n");
    assert_eq!(run(&shell("kill -9 $$")).end, End::Signalled(9));
}

#[test]
fn nothing_is_inherited() {
    // The test runner has variables, and descriptors beyond the first three.
    let kept = fs::File::open("/dev/null").unwrap();
    let outcome = run(&shell("env; ls /proc/self/fd | tr '\\n' ' '; pwd"));
    drop(kept);
    let shown = text(&outcome.stdout);
    let names: Vec<_> = shown
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    for (name, _) in names {
        assert!(
            ["PATH", "PWD", "SKEP_CHILD", "_", "SHLVL", "OLDPWD"].contains(&name),
            "{shown}"
        );
    }
    // ls has the folder open besides.
    assert!(
        shown.contains("0 1 2 3 \n") || shown.contains("0 1 2 3 "),
        "{shown}"
    );
    assert!(!shown.contains("0 1 2 3 4"), "{shown}");
}

#[test]
fn what_cannot_be_started_says_why() {
    for program in ["no-such-program", "/no/such/program"] {
        let error = start(&order(program, &[])).wait(None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains(program), "{error}");
    }
    let mut lost = shell("true");
    lost.setup.directory = Some("/no/such/folder".into());
    let error = start(&lost).wait(None).unwrap_err();
    assert!(error.message().contains("/no/such/folder"), "{error}");
}

#[test]
fn output_without_end_is_bounded_and_counted() {
    let mut order = shell("head -c 3000000 /dev/zero; head -c 100 /dev/zero >&2");
    order.output_bytes_max = 1000;
    let outcome = run(&order);
    assert_eq!(outcome.end, End::Exited(0));
    assert_eq!((outcome.stdout.len(), outcome.stderr.len()), (1000, 100));
    assert_eq!(outcome.lost, 2_999_000);
}

#[test]
fn a_deadline_ends_also_what_ignores_a_request() {
    let mut order = shell("trap '' TERM; echo ready; while :; do sleep 600; done");
    order.deadline = Duration::from_millis(300);
    order.grace = Duration::from_millis(100);
    let child = start(&order);
    let id = child.id().to_string();
    assert_eq!(child.wait(None).unwrap().end, End::TooLong);
    assert!(!runs(&id));
}

#[test]
fn a_stop_ends_the_wait() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let child = start(&shell("exec sleep 600"));
    ours.write_all(b"x").unwrap();
    assert_eq!(child.wait(Some(theirs.as_fd())).unwrap().end, End::Stopped);
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn what_leaves_the_group_is_ended_too() {
    // It holds no pipe, has a group and a session of its own, and its parent is gone.
    let script = "setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $!";
    let outcome = run(&shell(script));
    assert_eq!(outcome.end, End::Exited(0));
    let pid = text(&outcome.stdout);
    until(|| !runs(&pid));
}

#[test]
fn what_a_killed_server_left_is_found_by_its_mark() {
    let mut left = shell("exec sleep 600");
    left.owner = format!("owner-{}", std::process::id());
    let child = start(&left);
    let id = child.id().to_string();
    until(|| fs::read(format!("/proc/{id}/comm")).is_ok_and(|name| name == b"sleep\n"));

    assert_eq!(sweep("owner-of-nothing").unwrap(), 0);
    assert!(runs(&id));
    assert_eq!(sweep(&left.owner).unwrap(), 1);
    assert_eq!(child.wait(None).unwrap().end, End::Signalled(9));
}

#[test]
fn a_child_that_is_dropped_is_ended() {
    let child = start(&shell("exec sleep 600"));
    let id = child.id().to_string();
    drop(child);
    assert!(!runs(&id));
}

#[test]
fn limits_and_priority_hold() {
    let folder = tempfile::tempdir().unwrap();
    let mut order = shell("head -c 5000 /dev/zero > file; wc -c < file; nice");
    order.setup.directory = Some(folder.path().to_owned());
    order.setup.limits.file_bytes = Some(1024);
    order.setup.nice = 5;
    let outcome = run(&order);
    let shown = text(&outcome.stdout);
    let words: Vec<_> = shown.split_whitespace().collect();
    assert_eq!(words[0], "1024", "{shown}");
    assert!(words[1].parse::<i32>().unwrap() >= 5, "{shown}");
}

#[test]
#[cfg_attr(not(has_landlock), ignore = "this kernel has no landlock")]
fn a_confined_program_reaches_only_what_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    fs::create_dir(folder.path().join("open")).unwrap();
    let script = format!(
        "cd {}; cat secret; echo x > open/file; cat open/file",
        folder.path().display()
    );
    let mut order = shell(&script);
    let system = ["/bin", "/usr", "/lib", "/lib64", "/etc/ld.so.cache"];
    let there = system.iter().filter(|path| Path::new(path).exists());
    order.setup.confinement = Some(Confinement {
        read: there.map(Into::into).collect(),
        write: vec![folder.path().join("open")],
    });
    let outcome = run(&order);
    assert_eq!(text(&outcome.stdout), "x\n", "{}", text(&outcome.stderr));
}

#[test]
#[ignore = "it is the process that the next test kills"]
fn starts_a_child_and_waits() {
    let child = start(&shell("echo $$; exec sleep 600"));
    println!("child {}", child.id());
    child.wait(None).unwrap();
}

#[test]
fn a_child_ends_with_whoever_started_it() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    let name = "node::child::starts_a_child_and_waits";
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let id = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("child ").map(|(_, id)| id.to_owned()))
        .unwrap();
    until(|| fs::read(format!("/proc/{id}/comm")).is_ok_and(|name| name == b"sleep\n"));

    parent.kill().unwrap();
    parent.wait().unwrap();
    until(|| !runs(&id));
}
