// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table of the files of the home: name, mode, what each one holds, and who writes it. The manual
//! has the same table, and a test keeps both equal.

/// A file or a folder of the home. The texts are Markdown, since the manual has them, too.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HomeFile {
    /// The name, below the home.
    pub(crate) name: &'static str,
    /// Who may do what with it: only its owner, except for what is public anyway.
    pub(crate) mode: u32,
    /// What is in it.
    pub(crate) content: &'static str,
    /// Which commands write it.
    pub(crate) writer: &'static str,
    /// What happens without it.
    pub(crate) loss: &'static str,
}

pub(crate) const CONFIG: HomeFile = HomeFile {
    name: "config.toml",
    mode: 0o600,
    content: "settings (topic `settings`)",
    writer: "only you",
    loss: "the defaults apply",
};

pub(crate) const FORMAT: HomeFile = HomeFile {
    name: "format",
    mode: 0o600,
    content: "the number of the format of the home, `2`",
    writer: "whatever first writes to the home",
    loss: "written again",
};

pub(crate) const CERTIFICATE: HomeFile = HomeFile {
    name: "server.crt",
    mode: 0o644,
    content: "the certificate of the server",
    writer: "`skep serve`, at its first start and before the certificate ends",
    loss: "a new one is made with the same key, and clients notice nothing",
};

pub(crate) const KEY: HomeFile = HomeFile {
    name: "server.key",
    mode: 0o600,
    content: "the key that clients recognise the server by",
    writer: "`skep serve`, at its first start",
    loss: "the server does not start; with `server.crt` removed, too, it makes a new key, which every client has to trust anew",
};

pub(crate) const PASSWORD: HomeFile = HomeFile {
    name: "password",
    mode: 0o600,
    content: "the password made at the first start, in one line",
    writer: "`skep serve`, at its first start",
    loss: "a new one is made at the next start",
};

pub(crate) const CHOSEN_PASSWORD: HomeFile = HomeFile {
    name: "password.argon2",
    mode: 0o600,
    content: "the digest of the password that you chose",
    writer: "`skep passwd`",
    loss: "that password is not accepted any more",
};

pub(crate) const TOKENS: HomeFile = HomeFile {
    name: "tokens",
    mode: 0o600,
    content: "name, role, public key, creation time and expiry of each token, one line for each",
    writer: "`skep token`, and `skep serve` when it pairs a device",
    loss: "every token is invalid: pair again",
};

pub(crate) const INVITATIONS: HomeFile = HomeFile {
    name: "invitations",
    mode: 0o600,
    content: "SHA-256, role and expiry of each open invitation, one line for each",
    writer: "`skep invite`, and `skep serve` when one is used",
    loss: "open invitations are invalid",
};

pub(crate) const ADDRESSES: HomeFile = HomeFile {
    name: "addresses",
    mode: 0o600,
    content: "where each server of this home listens, for `skep invite`: process, system start, addresses, model directory",
    writer: "`skep serve`, at each start",
    loss: "written at the next start",
};

pub(crate) const CLOCK: HomeFile = HomeFile {
    name: "clock",
    mode: 0o600,
    content: "the latest time seen, in seconds since 1970",
    writer: "`skep serve`, once a day and at its end",
    loss: "written again",
};

pub(crate) const AUTHORITY: HomeFile = HomeFile {
    name: "ca",
    mode: 0o700,
    content: "the private authority",
    writer: "`skep ca init`",
    loss: "what it issued cannot be renewed or revoked",
};

pub(crate) const SERVERS: HomeFile = HomeFile {
    name: "servers",
    mode: 0o600,
    content: "paired servers, one line for each: name, URL, token, and where they are known the fingerprint and the other addresses, with commas between them. The first one is used where none is named",
    writer: "`skep pair`, and you",
    loss: "pair again",
};

pub(crate) const KNOWN_SERVERS: HomeFile = HomeFile {
    name: "known_servers",
    mode: 0o600,
    content: "fingerprints of known servers, one line for each: `host:port` and the fingerprint",
    writer: "every command that meets a new server and may trust it, `skep pair`, and you",
    loss: "each server counts as new",
};

pub(crate) const UPLOADS: HomeFile = HomeFile {
    name: "uploads",
    mode: 0o700,
    content: "one file for each interrupted upload, removed when it is done or after 30 days",
    writer: "`skep put`",
    loss: "interrupted uploads start again",
};

pub(crate) const DIGESTS: HomeFile = HomeFile {
    name: "digests",
    mode: 0o700,
    content: "one file for each directory that was sent: size, times, inode and digest of its files",
    writer: "`skep put DIR`",
    loss: "files are read again to see whether they have changed",
};

pub(crate) const SIGNING_KEY: HomeFile = HomeFile {
    name: "sign.key",
    mode: 0o600,
    content: "the key that signs models",
    writer: "`skep keygen` without `-o`",
    loss: "nothing more can be signed with it; signatures stay good",
};

/// All of them, and those that other rooms write into folders of the home.
#[cfg(test)]
pub(crate) const FILES: &[HomeFile] = &[
    CONFIG,
    FORMAT,
    KEY,
    CERTIFICATE,
    PASSWORD,
    CHOSEN_PASSWORD,
    TOKENS,
    INVITATIONS,
    ADDRESSES,
    CLOCK,
    AUTHORITY,
    HomeFile {
        name: "ca/ca.key",
        mode: 0o600,
        content: "the key of the authority",
        writer: "`skep ca init`",
        loss: "nothing more can be issued or revoked",
    },
    HomeFile {
        name: "ca/ca.crt",
        mode: 0o644,
        content: "its certificate, for `--ca` and `--client-ca`",
        writer: "`skep ca init`",
        loss: "nothing more can be issued or revoked",
    },
    HomeFile {
        name: "ca/issued",
        mode: 0o600,
        content: "number, name and expiry of each certificate that was issued, and when it was revoked, one line for each",
        writer: "`skep ca issue`, `skep ca revoke`",
        loss: "nothing more can be issued or revoked",
    },
    HomeFile {
        name: "ca/crl.pem",
        mode: 0o644,
        content: "the list of what was revoked",
        writer: "`skep ca init`, `skep ca revoke`",
        loss: "a server that uses the authority does not start",
    },
    HomeFile {
        name: "ca/lock",
        mode: 0o600,
        content: "empty; keeps two processes from changing the authority at the same time",
        writer: "`skep ca`",
        loss: "made again",
    },
    SERVERS,
    KNOWN_SERVERS,
    UPLOADS,
    DIGESTS,
    SIGNING_KEY,
    HomeFile {
        name: "sign.pub",
        mode: 0o644,
        content: "the public key that belongs to it",
        writer: "`skep keygen` without `-o`",
        loss: "make a new pair of keys, or copy it from a device that verifies",
    },
    HomeFile {
        name: "NAME.lock",
        mode: 0o600,
        content: "empty; keeps two processes from changing the file NAME at the same time",
        writer: "whoever changes that file",
        loss: "made again",
    },
    HomeFile {
        name: "NAME.lock.held",
        mode: 0o600,
        content: "empty; the same where the file system knows no locks, and only while NAME is changed",
        writer: "whoever changes that file",
        loss: "nothing; one that a killed process left has to be removed",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the section that begins with this heading, without the head of the table.
    fn rows<'a>(manual: &'a str, heading: &str) -> Vec<&'a str> {
        let section = manual.split_once(heading).unwrap().1;
        let section = section.split("\n## ").next().unwrap();
        let table = section.lines().filter(|line| line.starts_with('|'));
        table.skip(2).collect()
    }

    #[test]
    fn the_manual_has_the_same_table() {
        let row = |file: &HomeFile| {
            let slash = if file.mode & 0o100 == 0 { "" } else { "/" };
            format!(
                "| `{}{slash}` | {:04o} | {} | {} | {} |",
                file.name, file.mode, file.content, file.writer, file.loss
            )
        };
        let expected: Vec<_> = FILES.iter().map(row).collect();
        let documented = rows(include_str!("../manual/files.md"), "## The home\n");
        assert_eq!(
            documented,
            expected,
            "src/manual/files.md needs these rows:\n{}",
            expected.join("\n")
        );
    }
}
