// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Processes that skep starts: nothing is inherited, everything is bounded, and nothing stays behind.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use skep::ErrorKind;
use skep::child::{
    Child, ChildInput, ChildOutcome, Confinement, End, Enforcement, Launcher, Order, OutputLine,
    OutputName, launch, sweep,
};

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

fn launcher() -> Launcher {
    Launcher::at(env!("CARGO_BIN_EXE_skep"))
}

fn start(order: &Order) -> Child {
    Child::start(&launcher(), order).unwrap()
}

/// Why an order was refused.
fn refused(order: &Order) -> skep::Error {
    let error = Child::start(&launcher(), order).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    error
}

/// Runs until the first line of standard output, hands that over, and then stops.
fn stop_after_a_line(order: &Order, mut seen: impl FnMut(&str)) -> ChildOutcome {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut is_first = true;
    let mut tell = |line: OutputLine<'_>| {
        if std::mem::take(&mut is_first) {
            seen(&text(line.bytes));
            ours.write_all(b"x").unwrap();
        }
    };
    let child = start(order);
    child.wait_with(Some(theirs.as_fd()), &mut tell).unwrap()
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
    let input = b"some bytes".repeat(50_000);
    order.input = ChildInput::Bytes(input.clone());
    order.output_bytes_max = 1 << 20;
    let outcome = run(&order);
    assert_eq!(outcome.end, End::Exited(7));
    assert!(outcome.stdout == input, "{} bytes", outcome.stdout.len());
    assert_eq!(text(&outcome.stderr), "told\n");
    assert_eq!(run(&shell("kill -9 $$")).end, End::Signalled(9));
}

#[test]
fn nothing_is_inherited() {
    // std opens files so that an exec closes them; this one stays open.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inherited");
    let kept = fs::File::create(&path).unwrap();
    rustix::io::fcntl_setfd(&kept, rustix::io::FdFlags::empty()).unwrap();

    // The supervisor stays as long as the program, and must not keep it open either.
    let script = "env; echo; ls /proc/self/fd | tr '\\n' ' '; echo; ls -l /proc/$PPID/fd; pwd";
    let outcome = run(&shell(script));
    drop(kept);

    let shown = text(&outcome.stdout);
    let (variables, rest) = shown.split_once("\n\n").unwrap();
    for name in variables.lines().filter_map(|line| line.split('=').next()) {
        assert!(
            ["PATH", "PWD", "SKEP_CHILD", "_", "SHLVL", "OLDPWD"].contains(&name),
            "{shown}"
        );
    }
    // ls has the folder open besides.
    assert_eq!(rest.lines().next(), Some("0 1 2 3 "), "{shown}");
    assert!(rest.contains("socket:"), "{shown}");
    assert!(!rest.contains("inherited"), "{shown}");
}

#[test]
fn what_cannot_be_started_says_why() {
    for program in ["no-such-program", "/no/such/program"] {
        let error = refused(&order(program, &[]));
        assert!(error.message().contains(program), "{error}");
    }
    let mut lost = shell("true");
    lost.setup.directory = Some("/no/such/folder".into());
    let error = refused(&lost);
    assert!(error.message().contains("/no/such/folder"), "{error}");
}

#[test]
fn a_program_cannot_say_that_it_was_not_started() {
    let words = "skep launcher: the process was not started: it was";
    let outcome = run(&shell(&format!("echo '{words}' >&2; exit 125")));
    assert_eq!(outcome.end, End::Exited(125));
    assert!(text(&outcome.stderr).contains(words));
}

#[test]
fn a_program_is_found_by_its_absolute_path_or_in_its_own_path() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    for (place, mode) in [(&first, 0o644), (&second, 0o755)] {
        fs::create_dir(place).unwrap();
        let file = place.join("tool");
        fs::write(&file, "#!/bin/sh\necho $0\n").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }
    let path = |value: String| vec![("PATH".to_owned(), value)];

    // What may not be run is passed over, as are folders that depend on a working directory, whether it
    // is ours or its own.
    let from_ours = format!("{}{}", "../".repeat(40), second.display());
    let mut tool = order("tool", &[]);
    tool.setup.directory = Some(folder.path().to_owned());
    let relative = format!("{from_ours}:second:.:");
    tool.setup.environment = path(relative.clone());
    let error = refused(&tool);
    assert!(
        error.message().contains("no program tool in PATH"),
        "{error}"
    );

    let list = format!("{relative}:{}:{}", first.display(), second.display());
    tool.setup.environment = path(list);
    let expected = format!("{}\n", second.join("tool").display());
    assert_eq!(text(&run(&tool).stdout), expected);

    // The C library would look into /bin.
    let mut without_path = shell("true");
    without_path.setup.environment.clear();
    let error = refused(&without_path);
    assert!(error.message().contains("no PATH"), "{error}");

    for program in ["second/tool", "./tool", "../tool", ""] {
        tool.setup.program = program.into();
        let error = refused(&tool);
        assert!(error.message().contains("absolute path"), "{error}");
    }
}

#[test]
fn a_program_that_knows_no_verb_is_no_launcher() {
    for program in ["/bin/true", "/bin/cat"] {
        let error = Child::start(&Launcher::at(program), &shell("true"));
        let error = error.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains("no launcher"), "{error}");
        assert!(error.hint_text().unwrap().contains("child::launch"));
    }

    let usual = ["skep".into(), "serve".into()];
    assert!(matches!(launch(&usual), ControlFlow::Continue(_)));
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
fn output_is_read_while_a_program_ends() {
    // More than a pipe holds: without a reader it could not go on. A shell looks at its traps only
    // between commands, so they are short.
    let script =
        "trap 'head -c 1000000 /dev/zero; exit' TERM; echo ready; while :; do sleep 0.1; done";
    let mut order = shell(script);
    order.grace = Duration::from_secs(20);
    let outcome = stop_after_a_line(&order, |_| {});
    assert_eq!(outcome.end, End::Stopped);
    assert_eq!(outcome.lost + outcome.stdout.len() as u64, 1_000_006);
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn what_leaves_the_group_is_ended_too() {
    // It holds no pipe, has a group and a session of its own, and its parent is gone; the second one has
    // lost its environment, too.
    for command in ["setsid sleep 600", "env -i setsid sleep 600"] {
        let script = format!("{command} </dev/null >/dev/null 2>&1 & echo $!");
        let outcome = run(&shell(&script));
        assert_eq!(outcome.end, End::Exited(0));
        assert!(!runs(&text(&outcome.stdout)), "{command}");
    }
}

#[test]
fn what_loses_its_parent_is_waited_for_while_the_program_runs() {
    let outcome = stop_after_a_line(&shell("(true & echo $!); exec sleep 600"), |pid| {
        until(|| !Path::new("/proc").join(pid).exists());
    });
    assert_eq!(outcome.end, End::Stopped);
}

#[test]
fn a_request_to_end_does_not_end_a_supervisor() {
    let outcome = run(&shell(
        "for name in TERM INT HUP QUIT; do kill -$name $PPID; done; exit 3",
    ));
    assert_eq!(outcome.end, End::Exited(3));
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn a_program_whose_supervisor_is_killed_is_ended() {
    let script = "setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $$; echo $!; sleep 600";
    let mut pids = Vec::new();
    let mut tell = |line: OutputLine<'_>| {
        pids.push(text(line.bytes));
        if pids.len() == 2 {
            signal(&parent_of(&pids[0]), Signal::KILL);
        }
    };
    let error = start(&shell(script))
        .wait_with(None, &mut tell)
        .unwrap_err();
    assert!(error.to_string().contains("supervisor"), "{error}");
    for pid in pids {
        until(|| !runs(&pid));
    }
}

#[test]
fn what_a_killed_server_left_is_found_by_its_mark() {
    let mut left = shell("exec sleep 600");
    left.owner = format!("owner-{}", process::id());
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
fn a_limit_cannot_be_raised_again() {
    let mut order = shell("ulimit -Hn; ulimit -Sn");
    order.setup.limits.descriptors = Some(40);
    assert_eq!(text(&run(&order).stdout), "40\n40\n");
}

#[test]
fn a_limit_above_the_hard_limit_is_the_hard_limit() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let hard = limit.maximum.unwrap();
    let mut order = shell("ulimit -Hn; ulimit -Sn");
    order.setup.limits.descriptors = Some(hard + 1000);
    assert_eq!(text(&run(&order).stdout), format!("{hard}\n{hard}\n"));
}

#[test]
fn a_mask_and_a_session_are_its_own() {
    let mut order = shell("umask; cut -d' ' -f6 /proc/$$/stat; echo $$");
    order.setup.umask = Some(0o027);
    for own_session in [false, true] {
        order.setup.own_session = own_session;
        let shown = text(&run(&order).stdout);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0], "0027");
        assert_eq!(lines[1] == lines[2], own_session, "{shown}");
    }
    // A program in a session of its own is ended as any other.
    let mut order = shell("exec sleep 600");
    order.setup.own_session = true;
    order.deadline = Duration::from_millis(100);
    assert_eq!(run(&order).end, End::TooLong);
}

#[test]
fn input_comes_from_a_file_where_it_stands() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"no\nyes\n").unwrap();
    file.seek(SeekFrom::Start(3)).unwrap();
    let mut order = order("cat", &[]);
    let file = Arc::new(file);
    order.input = ChildInput::File(Arc::clone(&file));
    assert_eq!(text(&run(&order).stdout), "yes\n");
    assert_eq!((&*file).read(&mut [0]).unwrap(), 0);
}

#[test]
fn lines_are_told_while_a_program_runs() {
    // The program ends only after its first line was taken in.
    let mut order = shell("echo first; read answer; echo $answer >&2; printf 'longer than that'");
    order.line_bytes_max = 6;
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    order.input = ChildInput::File(Arc::new(reader.into()));
    let mut answer = Some(fs::File::from(writer));

    let mut lines = Vec::new();
    let mut tell = |line: OutputLine<'_>| {
        lines.push((line.output, text(line.bytes), line.is_cut));
        if let Some(mut answer) = answer.take() {
            answer.write_all(b"second\n").unwrap();
        }
    };
    let child = start(&order);
    drop(order);
    let outcome = child.wait_with(None, &mut tell).unwrap();
    assert_eq!(outcome.end, End::Exited(0));
    lines.sort_by(|one, other| one.1.cmp(&other.1));
    let expected = [
        (OutputName::Stdout, "first", false),
        (OutputName::Stdout, "longer", true),
        (OutputName::Stderr, "second", false),
    ];
    assert_eq!(
        lines,
        expected.map(|(name, text, cut)| (name, text.to_owned(), cut))
    );
}

#[test]
fn what_the_kernel_enforces_of_a_confinement_is_told() {
    let mut order = shell("true");
    assert_eq!(run(&order).enforcement, None);

    order.setup.confinement = Some(Confinement {
        read: vec!["/".into()],
        write: Vec::new(),
    });
    let child = start(&order);
    let told = child.enforcement();
    assert_eq!(
        told != Some(Enforcement::Unsupported),
        cfg!(has_landlock),
        "{told:?}"
    );
    assert_eq!(child.wait(None).unwrap().enforcement, told);
    assert!(told.is_some());
}

#[test]
#[cfg_attr(not(has_landlock), ignore = "this kernel has no landlock")]
fn a_confined_program_reaches_only_what_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    fs::create_dir(folder.path().join("open")).unwrap();
    fs::create_dir(folder.path().join("shown")).unwrap();
    fs::write(folder.path().join("shown/text"), "shown\n").unwrap();
    let script = format!(
        "cd {}; cat secret; echo x > open/file; cat open/file; \
         cat shown/text; echo y > shown/text; echo y > shown/new; rm shown/text",
        folder.path().display()
    );
    let mut order = shell(&script);
    let system = ["/bin", "/usr", "/lib", "/lib64", "/etc/ld.so.cache"];
    let there = system.iter().filter(|path| Path::new(path).exists());
    let shown = folder.path().join("shown");
    order.setup.confinement = Some(Confinement {
        read: there.map(Into::into).chain([shown.clone()]).collect(),
        write: vec![folder.path().join("open")],
    });
    let outcome = run(&order);
    let told = text(&outcome.stderr);
    assert_eq!(text(&outcome.stdout), "x\nshown\n", "{told}");

    // What may be read cannot be changed.
    assert_eq!(fs::read_to_string(shown.join("text")).unwrap(), "shown\n");
    assert_eq!(fs::read_dir(shown).unwrap().count(), 1, "{told}");
}

#[test]
#[ignore = "it is the process that the next test kills"]
fn starts_a_child_and_waits() {
    let script = "env -i setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $$ $!; sleep 600";
    stop_after_a_line(&shell(script), |pids| {
        println!("child {pids}");
        loop {
            std::thread::park();
        }
    });
}

/// That process, and the numbers of its program and of what left the program.
fn started_elsewhere() -> (process::Child, [String; 2]) {
    let name = "node::child::starts_a_child_and_waits";
    let mut parent = process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .stdout(process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let pids = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("child ").map(|(_, pids)| pids.to_owned()))
        .unwrap();
    let (program, left) = pids.split_once(' ').unwrap();
    assert!(runs(program) && runs(left));
    (parent, [program.to_owned(), left.to_owned()])
}

fn signal(pid: &str, signal: Signal) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn parent_of(pid: &str) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.split_whitespace().nth(3).unwrap().to_owned()
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn a_child_ends_with_whoever_started_it() {
    let (mut parent, pids) = started_elsewhere();
    parent.kill().unwrap();
    parent.wait().unwrap();
    for pid in pids {
        until(|| !runs(&pid));
    }
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn a_program_ends_with_its_supervisor_even_if_nobody_looks_after_it() {
    let (mut parent, [program, left]) = started_elsewhere();
    signal(&parent.id().to_string(), Signal::STOP);
    signal(&parent_of(&program), Signal::KILL);
    until(|| !runs(&program));

    // This is the limit that the room names: it has neither a parent nor a mark.
    signal(&left, Signal::KILL);
    parent.kill().unwrap();
    parent.wait().unwrap();
}
