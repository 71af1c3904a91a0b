// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keeps pages of other sites from using what a browser knows of this server: a password that was typed
//! once, a client certificate, or the mere place in the network.
//!
//! Browsers tell where a request comes from (`Sec-Fetch-Site`, `Origin`; programs send neither). One from
//! elsewhere is refused before anything is counted or looked up, so that a page can neither change
//! anything nor have somebody locked out.

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Fields, Method};

/// Whether the method of a request alone can change nothing (RFC 9110 section 9.2.1).
pub(crate) fn is_safe(method: Method) -> bool {
    matches!(method, Method::Get | Method::Head | Method::Options)
}

/// Refuses a request that a page of another origin than `scheme://host` caused.
///
/// # Errors
/// `Forbidden`.
pub(crate) fn check(fields: &Fields, scheme: &str, host: Option<&str>) -> Result<()> {
    let is_from_elsewhere = |site: &str| !matches!(site.trim(), "same-origin" | "none");
    let is_elsewhere = |origin: &str| !is_origin(origin.trim(), scheme, host.unwrap_or_default());

    let sites = fields.values("sec-fetch-site").any(is_from_elsewhere);
    if sites || fields.values("origin").any(is_elsewhere) {
        let text = "this request comes from a page of another site";
        return Err(Error::new(ErrorKind::Forbidden, text)
            .hint("open the address itself, or send the request without a browser"));
    }

    Ok(())
}

/// Whether an origin (RFC 6454 section 6.2) is this scheme and this host; `null` is none.
fn is_origin(origin: &str, scheme: &str, host: &str) -> bool {
    let Some((of_origin, authority)) = origin.split_once("://") else {
        return false;
    };

    let port = if scheme == "https" { ":443" } else { ":80" };
    let bare = |authority: &str| {
        let authority = authority.trim().to_ascii_lowercase();
        authority
            .strip_suffix(port)
            .map(str::to_owned)
            .unwrap_or(authority)
    };

    of_origin.eq_ignore_ascii_case(scheme) && !host.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(fields: &[(&str, &str)]) -> bool {
        check(&fields.iter().copied().collect(), "https", Some("pi:8443")).is_ok()
    }

    #[test]
    fn what_no_page_of_another_site_can_send_passes() {
        for fields in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://pi:8443")],
            &[
                ("origin", "HTTPS://PI:8443"),
                ("sec-fetch-site", "same-origin"),
            ],
        ] {
            assert!(passes(fields), "{fields:?}");
        }
    }

    #[test]
    fn what_a_page_of_another_site_sends_is_refused() {
        for fields in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "anything")],
            &[("sec-fetch-site", "none"), ("origin", "null")],
            &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://pi:8443")],
            &[("origin", "https://pi")],
            &[("origin", "https://pi:8443.evil.example")],
            &[
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "same-origin"),
            ],
        ] {
            assert!(!passes(fields), "{fields:?}");
        }

        let origin = [("origin", "https://pi:443")].iter().copied().collect();
        assert!(check(&origin, "https", Some("pi")).is_ok());
        assert!(check(&origin, "https", None).is_err());
        let nothing = [("origin", "https://")].iter().copied().collect();
        assert!(check(&nothing, "https", Some("")).is_err());
    }
}
