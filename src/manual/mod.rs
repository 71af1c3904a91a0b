// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The manual: one Markdown file for each topic, which rustdoc shows and the command line prints.

/// One topic of the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name, one word in lower case, as in `skep::manual::settings`.
    pub name: &'static str,
    /// What it is about, in one line.
    pub summary: &'static str,
    /// The whole text, in Markdown, in lines of ASCII characters.
    pub text: &'static str,
}

/// Names a topic and its summary once: its module, its text and its row follow from that.
macro_rules! topics {
    ($($name:ident: $summary:literal,)*) => {
        /// All topics, in the order in which the README links them.
        pub const TOPICS: &[Topic] = &[$(Topic {
            name: stringify!($name),
            summary: $summary,
            text: include_str!(concat!(stringify!($name), ".md")),
        }),*];

        $(
            #[doc = include_str!(concat!(stringify!($name), ".md"))]
            pub mod $name {}
        )*
    };
}

topics! {
    settings: "every setting of the server and of the client, and where they are read from",
    transfers: "resuming, retrying, mirroring, signatures and old versions",
    http: "routes, conditions, resumable uploads and the dearning API",
    hub: "a server for the clients of Hugging Face",
    json: "what --json prints, command by command",
    security: "who is recognised how, who may do what, and how the server defends itself",
    files: "every file of the home and of a model directory",
    operations: "services, backup, moving, the log, limits, memory",
    embedding: "skep as a library: servers, nodes and clients in your own program",
    changes: "what changed from version to version",
}

/// The topic of this name.
pub fn find(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_found_by_their_names_and_can_be_printed_anywhere() {
        for topic in TOPICS {
            assert_eq!(find(topic.name), Some(topic));
            assert!(topic.text.starts_with("# "), "{}", topic.name);
            assert!(topic.text.is_ascii(), "{}", topic.name);
            assert!(topic.summary.len() <= 80, "{}", topic.name);
        }
        assert_eq!(find("poetry"), None);
    }
}
