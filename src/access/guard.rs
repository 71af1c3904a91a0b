// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tells who a caller is: the password, the tokens and the chosen password put together, with the
//! lockout in front of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::caller_keys::{CallerKeys, KeyHolder};
use super::certificate::CertificateRoles;
use super::credentials::Credentials;
use super::lockout::{Caller, Lockout, LockoutOptions, locked_out, seconds};
use super::message_signature::{ReceivedSignature, SignedRequest, accept_signature};
use super::nonce::Nonces;
use super::principal::Principal;
use crate::access::secrets::tokens::Token;
use crate::access::secrets::{CallerKey, Password, SlowLock, chosen_password};
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::Peer;
use crate::watched_file::WatchedFile;

/// What the settings say about access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessOptions {
    /// Whether everybody may list and fetch.
    pub(crate) anonymous_read: bool,
    /// Whether other devices may show secrets over lines that can be read.
    pub(crate) plain_passwords: bool,
    /// Whether the dearning API takes passwords over lines that can be read.
    pub(crate) plain_dearning: bool,
    /// Whether the password that everybody knows may be used on this device.
    pub(crate) insecure_default_password: bool,
    /// Names under which this server is called, besides those it knows of itself.
    pub(crate) host_names: Vec<String>,
    /// The roles of client certificates.
    pub(crate) certificate_roles: CertificateRoles,
    /// How much guessing is borne.
    pub(crate) lockout: LockoutOptions,
}

/// What is known of a secret at once.
enum Finding {
    Known(Principal),
    /// Only this lock can tell, by a long computation.
    MayBeChosen(Arc<SlowLock>),
    /// The right token, whose line in the home is to be replaced.
    ToBeUpgraded(Token, CallerKey),
}

/// All that opens the doors of one server.
pub(crate) struct Guard {
    options: AccessOptions,
    keys: CallerKeys,
    chosen: WatchedFile<SlowLock>,
    nonces: Nonces,
    lockout: Lockout,
}

impl Guard {
    /// A guard that knows a password with enough randomness, and the tokens and the chosen password
    /// in `home`, as they are at any moment.
    ///
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub(crate) fn new(home: &Path, password: &Password, options: AccessOptions) -> Result<Self> {
        Ok(Self {
            keys: CallerKeys::new(home, password)?,
            chosen: WatchedFile::new(chosen_password::file(home), |_, text| SlowLock::read(text)),
            nonces: Nonces::new()?,
            lockout: Lockout::new(options.lockout.clone()),
            options,
        })
    }

    /// What the settings say.
    pub(crate) fn options(&self) -> &AccessOptions {
        &self.options
    }

    /// Who shows these credentials.
    ///
    /// # Errors
    /// `TooManyRequests` for a caller that is locked out, whatever it shows, so that nothing can be
    /// learnt meanwhile; `Unauthenticated` for wrong credentials; `Forbidden` for a secret in the clear;
    /// `Busy` if too many are verified.
    pub(crate) fn identify(&self, peer: &Peer, shown: &Credentials) -> Result<Principal> {
        match shown {
            Credentials::Secret(secret) => {
                self.check_line(peer)?;
                self.secret(peer, secret)
            }
            Credentials::Unknown => {
                self.check(peer)?;
                Err(refused("the credentials cannot be read"))
            }
        }
    }

    /// The same, as far as it needs no long computation and no file is written: `None` for what may be a
    /// chosen password, which [`Guard::identify`] has to verify the first time that it is shown.
    ///
    /// # Errors
    /// As [`Guard::identify`].
    pub(crate) fn identify_at_once(
        &self,
        peer: &Peer,
        shown: &Credentials,
    ) -> Result<Option<Principal>> {
        let Credentials::Secret(secret) = shown else {
            return self.identify(peer, shown).map(Some);
        };

        self.check_line(peer)?;
        match self.look_up(peer, secret)? {
            Finding::Known(principal) => Ok(Some(principal)),
            Finding::MayBeChosen(_) | Finding::ToBeUpgraded(..) => Ok(None),
        }
    }

    /// Refuses to look at a secret that everybody on the way could read. It is not counted: whoever
    /// listens must not learn whether it was right.
    ///
    /// # Errors
    /// `Forbidden`.
    fn check_line(&self, peer: &Peer) -> Result<()> {
        if peer.tls.is_some() || peer.is_local() || self.options.plain_passwords {
            return Ok(());
        }

        let text = "this connection is not encrypted, so passwords and tokens are not accepted";
        Err(Error::new(ErrorKind::Forbidden, text).hint(
            "use https://, or sign the request, as skep does; change this secret: it could be read on \
             its way",
        ))
    }

    /// Who knows this secret.
    ///
    /// # Errors
    /// As [`Guard::identify`].
    pub(crate) fn secret(&self, peer: &Peer, secret: &[u8]) -> Result<Principal> {
        match self.look_up(peer, secret)? {
            Finding::Known(principal) => Ok(principal),
            Finding::ToBeUpgraded(token, key) => {
                self.keys.upgrade(&token, key);
                Ok(token.principal())
            }
            // `Busy` says nothing about the secret, so it leaves before the attempt is counted.
            Finding::MayBeChosen(chosen) if chosen.opens(secret)? => Ok(Principal::owner()),
            Finding::MayBeChosen(_) => Err(self.count_guess(peer)),
        }
    }

    /// What is known of a secret without a long computation.
    fn look_up(&self, peer: &Peer, secret: &[u8]) -> Result<Finding> {
        self.check(peer)?;

        match self.keys.holder(secret) {
            KeyHolder::Known(principal) => return Ok(Finding::Known(principal)),
            KeyHolder::OfFormat1(token, key) if peer.tls.is_some() => {
                return Ok(Finding::ToBeUpgraded(token, key));
            }
            KeyHolder::OfFormat1(..) => return Err(of_format_1()),
            KeyHolder::Nobody => {}
        }

        // Last, because argon2 costs memory and time.
        let chosen = self.chosen.now();
        if chosen.is_known(secret) {
            Ok(Finding::Known(Principal::owner()))
        } else if chosen.is_set() {
            Ok(Finding::MayBeChosen(chosen))
        } else {
            Err(self.count_guess(peer))
        }
    }

    /// Who has signed this request.
    ///
    /// # Errors
    /// `Unauthenticated` for a signature that is wrong, does not cover enough, or has no nonce of this
    /// server that is still good; `TooManyRequests` for a caller that is locked out.
    pub(crate) fn signer(
        &self,
        peer: &Peer,
        shown: &ReceivedSignature,
        request: &SignedRequest<'_>,
    ) -> Result<Principal> {
        self.check(peer)?;

        // Whoever has no nonce of ours, or did not sign enough, has not guessed anything.
        let over = || refused("the signature's nonce has expired, or was used before");
        let nonce = shown.nonce.as_deref().ok_or_else(|| {
            refused("the signature has no nonce; the field Accept-Signature gives one")
        })?;
        let nonce = self.nonces.read(nonce).ok_or_else(over)?;
        shown.check_coverage(request)?;

        // A device that has no clock goes by the nonce alone, which is good for five minutes.
        if clock::is_trusted() && shown.expires.is_some_and(|end| end <= clock::seconds()) {
            return Err(refused("the signature has expired"));
        }

        let is_signed = shown.is_of(request)?;
        let principal = match self.keys.principal(&shown.key) {
            Some(principal) if is_signed => principal,
            _ => {
                self.lockout.fail(Caller::of(peer));
                return Err(
                    refused("the signature is wrong, or nobody has its key").hint(OTHER_WAYS)
                );
            }
        };

        // Only a right signature uses up the nonce, so that a listener cannot spoil it with wrong
        // ones.
        if self.nonces.take(nonce) {
            Ok(principal)
        } else {
            Err(over())
        }
    }

    /// Counts a wrong secret, and words the refusal.
    fn count_guess(&self, peer: &Peer) -> Error {
        self.lockout.fail(Caller::of(peer));
        refused("the password is wrong, and there is no such token")
    }

    /// Who has shown a certificate of this name, which the edge has verified.
    pub(crate) fn certificate(&self, name: Option<&str>) -> Principal {
        self.options.certificate_roles.principal(name)
    }

    /// Refuses a caller that is locked out.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(crate) fn check(&self, peer: &Peer) -> Result<()> {
        self.lockout
            .left(Caller::of(peer))
            .map_or(Ok(()), |left| Err(locked_out(left)))
    }

    /// Counts a wrong secret of a kind that is known elsewhere.
    pub(crate) fn fail(&self, peer: &Peer) {
        self.lockout.fail(Caller::of(peer));
    }

    /// In how many seconds a caller that is locked out may come back.
    pub(crate) fn retry_after(&self, peer: &Peer) -> u64 {
        seconds(
            self.lockout
                .left(Caller::of(peer))
                .unwrap_or(Duration::from_secs(1)),
        )
    }

    /// The value of an `Accept-Signature` field, with a new nonce; `None` if the system has no random
    /// numbers.
    pub(crate) fn signature_wish(&self) -> Option<String> {
        self.nonces
            .make()
            .ok()
            .map(|nonce| accept_signature(&nonce))
    }
}

/// The value of a `WWW-Authenticate` field: the ways to show a secret.
pub(crate) const CHALLENGE: &str = "Basic realm=\"skep\", charset=\"UTF-8\", Bearer realm=\"skep\"";

fn refused(text: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, text)
}

/// Over TLS, the line would be replaced, and the secret cannot be read on the way.
fn of_format_1() -> Error {
    refused("this token was made by an older skep, and is good over https:// only")
        .hint("use it once over https://, or make a new one: skep token new NAME")
}

const OTHER_WAYS: &str = "a token of an older skep has to be used over https:// once; a password that \
                          was set with 'skep passwd' works over https:// only";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::message_signature::{sign, wished_nonce};
    use crate::access::role::Role;
    use crate::access::secrets::{DerivedKey, NewToken, Tokens};
    use crate::access::secrets::{keep as keep_password, remove as remove_password};

    fn identify(guard: &Guard, text: &str) -> Result<Principal> {
        guard.identify(&encrypted(), &Credentials::read(text))
    }

    fn encrypted() -> Peer {
        Peer {
            tls: Some(crate::transport::TlsIdentity::default()),
            ..plain()
        }
    }

    fn plain() -> Peer {
        Peer {
            address: Some("192.0.2.1:5".parse().unwrap()),
            ..Peer::default()
        }
    }

    #[test]
    fn each_way_in_leads_to_its_principal_and_changes_count_at_once() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        assert_eq!(
            identify(&guard, &owner.basic()).unwrap(),
            Principal::owner()
        );
        let new = NewToken {
            name: "pi".to_owned(),
            role: Role::Write,
            end: None,
        };
        let token = Tokens::add(home.path(), new).unwrap();
        let bearer = format!("Bearer {}", token.text());
        let principal = identify(&guard, &bearer).unwrap();
        assert_eq!(
            (principal.name.as_str(), principal.rights),
            ("pi", Role::Write.rights())
        );
        Tokens::remove(home.path(), "pi").unwrap();
        assert!(identify(&guard, &bearer).is_err());
        let chosen = Password::new("four words of mine").unwrap();
        assert!(identify(&guard, &chosen.basic()).is_err());
        keep_password(home.path(), &chosen).unwrap();
        let owner = identify(&guard, &chosen.basic()).unwrap();
        assert_eq!(owner.rights, Role::Admin.rights());
        remove_password(home.path()).unwrap();
        assert!(identify(&guard, &chosen.basic()).is_err());
    }

    /// Signs a GET and shows it to a guard.
    fn sign_in(
        guard: &Guard,
        secret: &Password,
        nonce: Option<&str>,
        change: impl FnOnce(&mut SignedRequest<'_>),
    ) -> Result<Principal> {
        let key = DerivedKey::of(secret.text().as_bytes()).unwrap();
        let mut request = SignedRequest {
            method: "GET",
            is_encrypted: false,
            host: "pi",
            target: "/v1/models/m",
            fields: vec![("host", "pi"), ("range", "bytes=0-4")],
            has_content: false,
        };
        let (input, signature) = sign(&key, &request, nonce, None).unwrap();
        change(&mut request);
        request.fields.push(("signature-input", &input));
        request.fields.push(("signature", &signature));
        let shown = ReceivedSignature::find(&request).unwrap().unwrap();
        guard.signer(&plain(), &shown, &request)
    }

    fn nonce(guard: &Guard) -> String {
        wished_nonce(&guard.signature_wish().unwrap()).unwrap()
    }

    #[test]
    fn a_signature_is_good_once_and_for_what_was_signed() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        let given = nonce(&guard);

        // Somebody on the way changes the request, which does not spoil the nonce.
        let changed: [fn(&mut SignedRequest<'_>); 4] = [
            |request| request.method = "DELETE",
            |request| request.target = "/v1/models/other",
            |request| request.host = "other",
            |request| request.fields[1].1 = "bytes=5-9",
        ];
        for change in changed {
            let error = sign_in(&guard, &owner, Some(&given), change).unwrap_err();
            assert!(error.message().contains("signature is wrong"), "{error}");
        }

        let signed = || sign_in(&guard, &owner, Some(&given), |_| {});
        assert_eq!(signed().unwrap(), Principal::owner());
        let error = signed().unwrap_err();
        assert!(error.message().contains("used before"), "{error}");
        assert!(sign_in(&guard, &owner, Some("nonce"), |_| {}).is_err());
        assert!(sign_in(&guard, &owner, None, |_| {}).is_err());
        assert!(sign_in(&guard, &owner, Some(&nonce(&guard)), |_| {}).is_ok());
    }

    #[test]
    fn a_signature_is_as_good_as_its_token() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        let new = |name: &str, end| NewToken {
            name: name.to_owned(),
            role: Role::Read,
            end,
        };
        let token = Tokens::add(home.path(), new("pi", None)).unwrap();
        let over = Tokens::add(home.path(), new("over", Some(clock::now()))).unwrap();
        let signed = |secret: &Password| sign_in(&guard, secret, Some(&nonce(&guard)), |_| {});
        assert_eq!(signed(&token).unwrap().name, "pi");
        assert_eq!(signed(&token).unwrap().rights, Role::Read.rights());
        assert!(signed(&over).is_err(), "a token that has ended");
        Tokens::remove(home.path(), "pi").unwrap();
        assert!(signed(&token).is_err(), "a token that was removed");
        assert!(
            signed(&Password::generate_token().unwrap()).is_err(),
            "a stranger"
        );

        // Of format 1, the server has no key yet.
        let old = Password::generate_token().unwrap();
        let digest = crate::digest::Digest::of(old.text().as_bytes());
        let file = crate::access::secrets::tokens::file(home.path());
        std::fs::write(file, format!("old admin {digest} 5 -\n")).unwrap();
        assert!(signed(&old).is_err());
    }

    #[test]
    fn wrong_signatures_are_counted_and_replayed_ones_are_not() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        let given = nonce(&guard);
        for _ in 0..20 {
            let _ = sign_in(&guard, &owner, Some(&given), |_| {});
        }
        assert!(guard.check(&plain()).is_ok());

        let stranger = Password::generate().unwrap();
        for _ in 0..10 {
            let nonce = nonce(&guard);
            assert!(sign_in(&guard, &stranger, Some(&nonce), |_| {}).is_err());
        }
        assert!(guard.check(&plain()).is_err());
    }

    #[test]
    fn other_devices_show_no_secret_in_the_clear() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let shown = Credentials::read(&owner.basic());
        let mut guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        let far = plain();
        let error = guard.identify(&far, &shown).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        assert!(guard.identify_at_once(&far, &shown).is_err());

        // A wrong one gets the same answer, and is not counted.
        for _ in 0..20 {
            let error = guard
                .identify(&far, &Credentials::read("Bearer x"))
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Forbidden);
        }
        assert!(guard.identify(&encrypted(), &shown).is_ok());
        assert!(guard.identify(&Peer::default(), &shown).is_ok());
        guard.options.plain_passwords = true;
        assert!(guard.identify(&far, &shown).is_ok());
    }

    #[test]
    fn a_token_of_format_1_is_good_over_tls_only_until_it_is_upgraded() {
        let home = tempfile::tempdir().unwrap();
        let token = Password::generate_token().unwrap();
        let file = crate::access::secrets::tokens::file(home.path());
        let digest = crate::digest::Digest::of(token.text().as_bytes());
        std::fs::write(&file, format!("pi read {digest} 5 -\n")).unwrap();
        let owner = Password::generate().unwrap();
        let guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        let shown = Credentials::read(&format!("Bearer {}", token.text()));

        let error = guard.identify(&Peer::default(), &shown).unwrap_err();
        assert!(error.message().contains("older skep"), "{error}");
        // The thread that has all connections writes no file.
        assert_eq!(guard.identify_at_once(&encrypted(), &shown).unwrap(), None);
        assert!(
            std::fs::read_to_string(&file)
                .unwrap()
                .contains(&digest.to_string())
        );

        assert_eq!(guard.identify(&encrypted(), &shown).unwrap().name, "pi");
        assert!(
            !std::fs::read_to_string(&file)
                .unwrap()
                .contains(&digest.to_string())
        );
        for peer in [encrypted(), Peer::default()] {
            assert_eq!(
                guard.identify_at_once(&peer, &shown).unwrap().unwrap().name,
                "pi"
            );
        }

        // It is remembered now, and its end counts all the same.
        Tokens::remove(home.path(), "pi").unwrap();
        assert!(guard.identify(&encrypted(), &shown).is_err());
    }

    #[test]
    fn the_right_one_does_not_open_while_locked_out() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        for _ in 0..10 {
            let error = identify(&guard, "Bearer x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        }
        let error = identify(&guard, &owner.basic()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyRequests);
        assert!(
            guard
                .secret(&Peer::default(), owner.text().as_bytes())
                .is_ok()
        );
    }
}
