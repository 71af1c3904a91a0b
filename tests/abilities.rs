// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finds out, when the crate is built, what this machine has that some tests need: a test whose tool
//! is absent counts as ignored and not as passed.
//!
//! Each tool becomes `cfg(has_TOOL)`. Under `CI=true` every tool counts as present, so that a test fails
//! there for want of it. What no package can bring (a mount, an address) is measured everywhere.

#![allow(
    clippy::print_stdout,
    reason = "this is how a build script speaks to Cargo"
)]

use std::env;
use std::fs;
use std::net::{Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Programs that `scripts/setup` installs.
const PROGRAMS: &[&str] = &[
    "cc", "chromium", "cmp", "curl", "minisign", "mount", "openssl", "python3", "readelf",
    "setsid", "strace", "wget",
];

/// The versions of the genuine dearning package that `scripts/setup` fetches.
const DEARNING: &[&str] = &["1.2.3.post2", "1.2.6"];

fn main() {
    println!("cargo::rerun-if-changed=tests/abilities.rs");
    println!("cargo::rerun-if-env-changed=CI");
    println!("cargo::rerun-if-env-changed=PATH");
    let is_ci = env::var("CI").is_ok_and(|value| value == "true");
    let folders: Vec<PathBuf> = env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default();

    let is_there = |program: &str| folders.iter().any(|folder| folder.join(program).is_file());
    for program in PROGRAMS {
        tell(program, is_ci || is_there(program));
    }
    // A tool that is installed later appears in one of these.
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        println!("cargo::rerun-if-changed={}", folder.display());
    }

    tell("faketime", is_ci || has_faketime());
    tell("dearning", is_ci || has_dearning());
    tell("signatures", is_ci || has_signatures());
    tell("huggingface_hub", is_ci || has_huggingface_hub());
    tell("formats", is_ci || has_formats());
    // Without the program nobody knows whether something can be mounted, so its tests run and fail.
    tell("mounts", can_mount() || is_ci && !is_there("mount"));
    tell("ipv6", TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok());
    tell("link_local", has_link_local());
    tell("landlock", has_landlock());
}

fn tell(name: &str, has: bool) {
    println!("cargo::rustc-check-cfg=cfg(has_{name})");
    if has {
        println!("cargo::rustc-cfg=has_{name}");
    }
}

/// The library of Debian's package faketime.
fn has_faketime() -> bool {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .any(|file| file.exists())
}

/// The folder into which `scripts/setup` fetches genuine packages.
fn interop() -> Option<PathBuf> {
    // TARGET/PROFILE/build/NAME/out
    let out = env::var_os("OUT_DIR").map(PathBuf::from)?;
    out.ancestors().nth(4).map(|target| target.join("interop"))
}

/// The genuine implementation of HTTP Message Signatures.
fn has_signatures() -> bool {
    let folder = interop()
        .unwrap_or_default()
        .join("http-message-signatures");
    println!("cargo::rerun-if-changed={}", folder.display());
    folder.join("http_message_signatures").is_dir()
}

/// The genuine clients of the hub, of two generations.
fn has_huggingface_hub() -> bool {
    let folder = interop().unwrap_or_default().join("huggingface_hub");
    println!("cargo::rerun-if-changed={}", folder.display());
    ["0.36", "newest"]
        .iter()
        .all(|version| folder.join(version).join("huggingface_hub").is_dir())
}

/// The packages that make files of models.
fn has_formats() -> bool {
    let folder = interop().unwrap_or_default().join("formats");
    println!("cargo::rerun-if-changed={}", folder.display());
    folder.join("gguf").is_dir()
}

fn has_dearning() -> bool {
    let has = |folder: &Path| {
        println!("cargo::rerun-if-changed={}", folder.display());
        DEARNING
            .iter()
            .all(|version| folder.join(version).join("dearning/service.py").exists())
    };
    interop().is_some_and(|folder| has(&folder))
}

/// Whether file systems can be mounted here, which takes root and more.
fn can_mount() -> bool {
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let quiet = command.args(arguments).stdout(Stdio::null());
        quiet
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let probe = env::var("OUT_DIR").unwrap_or_default() + "/mount";
    let made = fs::create_dir_all(&probe).is_ok();
    made && run("mount", &["-t", "tmpfs", "tmpfs", &probe]) && run("umount", &["-l", &probe])
}

/// Whether an interface has a link-local address: scope 0x20 in proc(5), if_inet6.
fn has_link_local() -> bool {
    let table = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    table
        .lines()
        .any(|line| line.split_whitespace().nth(3) == Some("20"))
}

/// Whether the kernel can confine processes to parts of the file system. The list of its modules is
/// there only if securityfs is mounted; otherwise the system calls have to be enough.
fn has_landlock() -> bool {
    match fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(modules) => modules.split(',').any(|module| module.trim() == "landlock"),
        Err(_) => fs::read_to_string("/proc/kallsyms")
            .is_ok_and(|symbols| symbols.contains("sys_landlock_restrict_self")),
    }
}
