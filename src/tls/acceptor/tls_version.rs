// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which versions of TLS a server speaks.

use std::str::FromStr;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

/// A version of TLS that a server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    #[default]
    OneTwo,
    OneThree,
}

impl TlsVersion {
    /// This version and those after it.
    pub(crate) fn and_later(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::OneTwo => vec![&TLS13, &TLS12],
            Self::OneThree => vec![&TLS13],
        }
    }
}

impl FromStr for TlsVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "1.2" => Ok(Self::OneTwo),
            "1.3" => Ok(Self::OneThree),
            _ => Err("write 1.2 or 1.3; older versions are not safe, and not spoken".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_speaks_no_version_older_than_it_is_told() {
        let oldest = |text: &str| text.parse::<TlsVersion>().map(TlsVersion::and_later);
        assert_eq!(oldest("1.3"), Ok(vec![&TLS13]));
        assert_eq!(oldest("1.2"), Ok(vec![&TLS13, &TLS12]));
        for bad in ["1.1", "1", "", "TLS1.3", "none"] {
            assert!(oldest(bad).is_err(), "{bad}");
        }
    }
}
