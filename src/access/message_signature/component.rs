// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The parts of a request that a signature can cover (RFC 9421 section 2), and their values.

/// A request as a signature sees it.
#[derive(Clone, Debug)]
pub(crate) struct SignedRequest<'a> {
    /// As it was sent, `HEAD` as such.
    pub(crate) method: &'a str,
    /// Whether TLS carries it.
    pub(crate) is_encrypted: bool,
    /// The value of `Host`.
    pub(crate) host: &'a str,
    /// Path and query as they are sent.
    pub(crate) target: &'a str,
    /// All fields in their order, their names in lower case.
    pub(crate) fields: Vec<(&'a str, &'a str)>,
    /// Whether there is content, or may be.
    pub(crate) has_content: bool,
}

impl SignedRequest<'_> {
    /// The value of a component; `None` for one that the request does not have or that is not known here.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let query_at = self.target.find('?').unwrap_or(self.target.len());
        let (path, query) = self.target.split_at(query_at);

        match name {
            "@method" => Some(self.method.to_owned()),
            "@authority" => Some(self.authority()),
            "@scheme" => Some(self.scheme().to_owned()),
            "@request-target" => Some(self.target.to_owned()),
            "@target-uri" => Some(format!("{}://{}{}", self.scheme(), self.host, self.target)),
            "@path" => Some(path.to_owned()),
            // Without a query, the value is the question mark alone (RFC 9421 section 2.2.7).
            "@query" if query.is_empty() => Some("?".to_owned()),
            "@query" => Some(query.to_owned()),
            derived if derived.starts_with('@') => None,
            field => self.field(field),
        }
    }

    /// The value of a field: those of all its lines, one after the other (RFC 9421 section 2.1).
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let lines = self.fields.iter().filter(|(field, _)| *field == name);
        let values: Vec<_> = lines
            .map(|(_, value)| value.trim_matches([' ', '\t']))
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    fn scheme(&self) -> &'static str {
        if self.is_encrypted { "https" } else { "http" }
    }

    /// The host in lower case, without the port that the scheme has anyway (RFC 9421 section 2.2.3).
    fn authority(&self) -> String {
        let host = self.host.to_ascii_lowercase();
        let port = if self.is_encrypted { ":443" } else { ":80" };
        host.strip_suffix(port).map(str::to_owned).unwrap_or(host)
    }
}
