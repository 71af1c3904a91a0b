// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A private authority: who is let in by certificate, and what those are told who are not.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::support::process::{Outcome, Place, noise, run, until};
use crate::support::served::Served;

/// A caller elsewhere, with the password of the server.
struct Caller<'a> {
    server: &'a Served,
    place: Place,
    flags: Vec<String>,
}

impl<'a> Caller<'a> {
    fn new(server: &'a Served, papers: Option<(&Place, &str)>) -> Self {
        let place = Place::new();
        let mut flags = Vec::new();
        if let Some((from, name)) = papers {
            for (flag, kind) in [("--client-cert", "crt"), ("--client-key", "key")] {
                let path = from.path(&format!("{name}/{name}.{kind}"));
                flags.extend([flag.to_owned(), path.to_str().unwrap().to_owned()]);
            }
        }
        Self {
            server,
            place,
            flags,
        }
    }

    fn call(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.server.command_of(&self.place, arguments);
        command
            .args(&self.flags)
            .args(["--pin", self.server.fp.as_deref().unwrap()]);
        run(command.env("SKEP_PASSWORD", self.server.password()))
    }
}

/// An authority with some certificates, in the home and the working directory of a place.
fn authority(names: &[&str]) -> Place {
    let place = Place::new();
    run(&mut place.skep(&["ca", "init", "-q"])).exits(0);
    for name in names {
        run(&mut place.skep(&["ca", "issue", name, "-q"])).exits(0);
    }
    place
}

fn client_ca(place: &Place) -> String {
    place.home().join("ca/ca.crt").to_str().unwrap().to_owned()
}

#[test]
fn each_certificate_has_its_outcome_and_its_words() {
    let (ours, other) = (authority(&["phone", "lost"]), authority(&["stranger"]));
    let server = Served::start_in(&ours, &["--client-ca", &client_ca(&ours)]);
    let right = Caller::new(&server, Some((&ours, "phone")));
    right.place.file("m", "x");
    right.call(&["put", "m"]).exits(0);
    right.call(&["get", "m", "-o", "copy"]).exits(0);
    let missing = Caller::new(&server, None);
    let wrong = Caller::new(&server, Some((&other, "stranger")));
    let lost = Caller::new(&server, Some((&ours, "lost")));
    lost.call(&["ls"]).exits(0);
    run(&mut ours.skep(&["ca", "revoke", "lost"])).exits(0);
    // The server looks at the list when somebody comes.
    until(|| lost.call(&["ls"]).code == 7);
    for (caller, words) in [
        (
            &missing,
            "it requires a client certificate; --client-cert and --client-key",
        ),
        (
            &wrong,
            "it does not know the authority that signed this certificate",
        ),
        (&lost, "this certificate was revoked"),
    ] {
        caller.call(&["ls"]).exits(7).says(words);
        // In the middle of an upload, too, where the refusal comes late.
        caller.place.file("large", noise(1, 8 << 20));
        caller
            .call(&["put", "large", "--no-progress"])
            .exits(7)
            .says(words);
    }
    right.call(&["ls"]).exits(0);
    assert_eq!(server.names(), ["m"]);
    let log = server.stop().exits(0).stderr;
    assert!(log.contains("did not get through TLS"), "{log}");
}

#[test]
fn without_the_list_of_what_was_revoked_nobody_is_let_in() {
    let ours = authority(&["phone"]);
    let ca = client_ca(&ours);
    fs::remove_file(ours.home().join("ca/crl.pem")).unwrap();
    let serve = ["serve", "127.0.0.1:0", "--client-ca", ca.as_str()];
    run(&mut ours.skep(&serve))
        .exits(2)
        .says("crl.pem cannot be read");
    // It is made of what is known of everything that was issued.
    run(&mut ours.skep(&["ca", "revoke", "phone"])).exits(0);
    let server = Served::start_in(&ours, &["--client-ca", ca.as_str()]);
    Caller::new(&server, Some((&ours, "phone")))
        .call(&["ls"])
        .exits(7)
        .says("revoked");
}

#[test]
fn a_certificate_is_enough_and_its_name_has_a_role() {
    let ours = authority(&["phone", "me@pi"]);
    let ca = client_ca(&ours);
    let flags = [
        "--client-ca",
        ca.as_str(),
        "--certificate-roles",
        "me@pi=write",
    ];
    let server = Served::start_in(&ours, &flags);
    for (name, code) in [("phone", 7), ("me@pi", 0)] {
        let caller = Caller::new(&server, Some((&ours, name)));
        caller.place.file("m", "x");
        let call = |arguments: &[&str]| {
            let mut command = server.command_of(&caller.place, arguments);
            command
                .args(&caller.flags)
                .args(["--pin", server.fp.as_deref().unwrap()]);
            run(&mut command)
        };
        call(&["ls"]).exits(0);
        call(&["put", "m"]).exits(code);
    }
}

#[test]
fn an_expired_certificate_is_told_so() {
    let place = Place::new();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "an authority of others");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let ca = place.file("ca.pem", issuer.pem());
    fs::create_dir(place.path("old")).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["old".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2026, 10, 31);
    place.file(
        "old/old.crt",
        params.signed_by(&key, &issuer).unwrap().pem(),
    );
    place.file("old/old.key", key.serialize_pem());
    let server = Served::start_in(&place, &["--client-ca", ca.to_str().unwrap()]);
    let expired = Caller::new(&server, Some((&place, "old")));
    expired
        .call(&["ls"])
        .exits(7)
        .says("this certificate has expired");
}

#[test]
fn callers_may_come_without_one_where_that_is_said() {
    let ours = authority(&["phone"]);
    let ca = client_ca(&ours);
    let flags = [
        "--client-ca",
        ca.as_str(),
        "--allow-unauthenticated-clients",
    ];
    let server = Served::start_in(&ours, &flags);
    for papers in [None, Some((&ours, "phone"))] {
        Caller::new(&server, papers).call(&["ls"]).exits(0);
    }
    // Without an authority, nobody is asked.
    let server = Served::start(&[]);
    Caller::new(&server, Some((&ours, "phone")))
        .call(&["ls"])
        .exits(0);
}

#[test]
fn what_the_authority_issues_is_good_for_servers_too() {
    let ours = authority(&[]);
    run(&mut ours.skep(&["ca", "issue", "pi", "--for", "127.0.0.1"])).exits(0);
    let server = Served::start_in(&ours, &["--cert", "pi/pi.crt", "--key", "pi/pi.key"]);
    let password = server.password();
    let stranger = Place::new();
    let list = |ca: &str, url: &str| {
        let mut command = stranger.skep(&["ls", "--ca", ca, "--server", url]);
        run(command.env("SKEP_PASSWORD", &password))
    };
    list(&client_ca(&ours), &server.url).exits(0);
    let elsewhere = server.url.replace("127.0.0.1", "localhost");
    list(&client_ca(&ours), &elsewhere)
        .exits(7)
        .says("not for the name localhost");
    list(&client_ca(&authority(&[])), &server.url)
        .exits(7)
        .says("no authority that is trusted");
    list("none.pem", &server.url).exits(2).says("none.pem");
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "openssl is not installed")]
fn openssl_agrees_with_the_authority() {
    let ours = authority(&["phone", "lost"]);
    run(&mut ours.skep(&["ca", "revoke", "lost"])).exits(0);
    let crl = ours.home().join("ca/crl.pem");
    let verify = |name: &str| {
        let mut command = ours.command("openssl");
        command.args(["verify", "-crl_check", "-purpose", "sslclient", "-CAfile"]);
        command.arg(client_ca(&ours)).arg("-CRLfile").arg(&crl);
        run(command.arg(format!("{name}/{name}.crt")))
    };
    verify("phone").exits(0);
    verify("lost").exits(2).says("certificate revoked");
}

#[test]
fn the_authority_lists_what_it_did_and_keeps_its_key() {
    let ours = authority(&["phone"]);
    run(&mut ours.skep(&["ca", "init"]))
        .exits(11)
        .says("already");
    run(&mut ours.skep(&["ca", "issue", "phone"]))
        .exits(11)
        .says("-o");
    run(&mut ours.skep(&["ca", "issue", "../phone"]))
        .exits(2)
        .says("not a valid name");
    run(&mut ours.skep(&["ca", "issue", "pi", "--for", "a b"]))
        .exits(2)
        .says("host name");
    run(&mut ours.skep(&["ca", "issue", ""]))
        .exits(2)
        .says("not a valid name");
    // What was refused left no folder.
    assert!(!ours.path("pi").exists() && !ours.path("../phone").exists());
    run(&mut ours.skep(&["ca", "revoke", "nobody"])).exits(4);
    run(&mut ours.skep(&["ca", "revoke", "phone"])).exits(0);
    let list = run(&mut ours.skep(&["ca", "ls", "--json"])).exits(0).json();
    assert_eq!(list["issued"][0]["name"], "phone");
    assert_eq!(list["issued"][0]["state"], "revoked");
    let mode = |name: &str| {
        let metadata = fs::metadata(ours.home().join("ca").join(name)).unwrap();
        std::os::unix::fs::MetadataExt::mode(&metadata) & 0o777
    };
    assert_eq!(
        (mode("ca.key"), mode("."), mode("issued")),
        (0o600, 0o700, 0o600)
    );
    run(&mut Place::new().skep(&["ca", "issue", "pi"]))
        .exits(4)
        .says("skep ca init");
}

#[test]
fn keys_are_put_into_no_directory_of_another_user() {
    let place = authority(&[]);
    fs::create_dir(place.path("theirs")).unwrap();
    // Only root can give a directory away.
    if std::os::unix::fs::chown(place.path("theirs"), Some(4711), None).is_err() {
        return;
    }
    let issue = ["ca", "issue", "phone", "-o", "theirs"];
    let refused = run(&mut place.skep(&issue)).exits(2);
    refused
        .says("belongs to another user (uid 4711)")
        .says("name another directory with -o");
    assert_eq!(run(&mut place.skep(&["ca", "ls"])).exits(0).text(), "");
}
