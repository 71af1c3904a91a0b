// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tells who a caller is: the password, the tokens and the chosen password put together, with the
//! lockout in front of what can be guessed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::caller_keys::{CallerKeys, KeyHolder};
use super::certificate::CertificateRoles;
use super::credentials::Credentials;
use super::guess_queue::GuessQueue;
use super::lockout::{Caller, Lockout, LockoutOptions, locked_out, seconds};
use super::message_signature::{Nonces, ReceivedSignature, SignedRequest, accept_signature};
use super::principal::Principal;
use super::tickets::Tickets;
use crate::access::secrets::tokens::Token;
use crate::access::secrets::{CallerKey, Password, SlowLock, chosen_password, is_token};
use crate::address::TrustedProxies;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::Peer;
use crate::waiting::Rank;
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
    /// Who is believed about whom it calls for.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Requests a minute of one principal or address; 0 for any number.
    pub(crate) request_rate_max: u32,
}

/// What is known of a secret at once.
enum Finding {
    Known(Principal),
    /// Only these locks can tell, by a long computation.
    MayBeChosen(Vec<Arc<SlowLock>>),
    /// The right token, whose line in the home is to be replaced.
    ToBeUpgraded(Token, CallerKey),
    Wrong,
}

/// What credentials are worth at first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recognized {
    Known(Rank),
    /// That needs a long computation.
    Slow,
    /// That needs a look at the whole request.
    MayBe,
    Wrong,
}

/// All that opens the doors of one server.
pub(crate) struct Guard {
    options: AccessOptions,
    pub(super) keys: CallerKeys,
    /// The password of this server, if it may be words of a person.
    given: Arc<SlowLock>,
    chosen: WatchedFile<SlowLock>,
    nonces: Nonces,
    pub(super) tickets: Tickets,
    lockout: Lockout,
    queue: GuessQueue,
}

impl Guard {
    /// A guard that knows this password, and the tokens and the chosen password in `home`, as they are
    /// at any moment.
    ///
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub(crate) fn new(home: &Path, password: &Password, options: AccessOptions) -> Result<Self> {
        let given = if password.is_made() {
            SlowLock::default()
        } else {
            SlowLock::of(password)?
        };

        Ok(Self {
            keys: CallerKeys::new(home, password)?,
            given: Arc::new(given),
            chosen: WatchedFile::new(chosen_password::file(home), |_, text| SlowLock::read(text)),
            nonces: Nonces::new()?,
            tickets: Tickets::new()?,
            queue: GuessQueue::new(&options.lockout),
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
    /// `Unauthenticated` for wrong credentials; `TooManyRequests` for those of a caller that is locked
    /// out, which are not looked at if they can be guessed; `Forbidden` for a secret in the clear; `Busy`
    /// if too many are verified.
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

        match self.look_up_shown(peer, secret)? {
            Finding::Known(principal) => {
                self.prove(peer);
                Ok(Some(principal))
            }
            Finding::MayBeChosen(_) | Finding::ToBeUpgraded(..) => Ok(None),
            Finding::Wrong => Err(self.wrong(peer)),
        }
    }

    /// What is known of credentials without a long computation, or a change of the home; nothing is counted,
    /// and no nonce is used up.
    pub(crate) fn recognize(&self, peer: &Peer, shown: &Credentials) -> Recognized {
        let Credentials::Secret(secret) = shown else {
            return Recognized::MayBe;
        };

        match self.look_up_shown(peer, secret) {
            Ok(Finding::Known(principal)) => Recognized::Known(principal.rank()),
            Ok(Finding::MayBeChosen(_) | Finding::ToBeUpgraded(..)) => Recognized::Slow,
            Ok(Finding::Wrong) | Err(_) => Recognized::Wrong,
        }
    }

    /// Refuses to look at a secret that everybody on the way could read. It is not counted: whoever
    /// listens must not learn whether it was right.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(super) fn check_line(&self, peer: &Peer) -> Result<()> {
        if peer.tls.is_some() || peer.is_local() || self.options.plain_passwords {
            return Ok(());
        }

        let text = "this connection is not encrypted, so passwords and tokens are not accepted";
        Err(Error::new(ErrorKind::Forbidden, text).hint(
            "use https://, or sign the request, as skep does; change this secret: it could be read on \
             its way",
        ))
    }

    /// Who knows this secret. It may wait for its turn in the queue of guesses.
    ///
    /// # Errors
    /// As [`Guard::identify`].
    pub(crate) fn secret(&self, peer: &Peer, secret: &[u8]) -> Result<Principal> {
        match self.look_up(peer, secret)? {
            Finding::Known(principal) => {
                self.prove(peer);
                Ok(principal)
            }
            Finding::ToBeUpgraded(token, key) => {
                self.keys.upgrade(&token, key);
                Ok(token.principal())
            }
            Finding::MayBeChosen(locks) => self.guess(peer, secret, &locks),
            Finding::Wrong => Err(self.wrong(peer)),
        }
    }

    /// What is known of a secret in a field of a request; otherwise as [`Guard::look_up`].
    fn look_up_shown(&self, peer: &Peer, secret: &[u8]) -> Result<Finding> {
        self.check_line(peer)?;
        self.look_up(peer, secret)
    }

    /// What is known of a secret without a long computation. Nothing is counted.
    fn look_up(&self, peer: &Peer, secret: &[u8]) -> Result<Finding> {
        match self.keys.holder(secret)? {
            KeyHolder::Known(principal) => return Ok(Finding::Known(principal)),
            KeyHolder::OfFormat1(token, key) if peer.tls.is_some() => {
                return Ok(Finding::ToBeUpgraded(token, key));
            }
            KeyHolder::OfFormat1(..) => return Err(of_format_1()),
            KeyHolder::Nobody => {}
        }

        // What follows can be guessed, so nobody who is locked out gets that far.
        self.check(peer)?;
        if is_token(secret) {
            return Ok(Finding::Wrong);
        }

        let mut locks = vec![Arc::clone(&self.given), self.chosen.now()?];
        locks.retain(|lock| lock.is_set());
        Ok(if locks.iter().any(|lock| lock.is_known(secret)) {
            Finding::Known(Principal::owner())
        } else if locks.is_empty() {
            Finding::Wrong
        } else {
            Finding::MayBeChosen(locks)
        })
    }

    /// Who has signed this request.
    ///
    /// # Errors
    /// `Unauthenticated` for a signature that is wrong, does not cover enough, or has no nonce of this
    /// server that is still good; `TooManyRequests` for a wrong one of a caller that is locked out.
    pub(crate) fn signer(
        &self,
        peer: &Peer,
        shown: &ReceivedSignature,
        request: &SignedRequest<'_>,
    ) -> Result<Principal> {
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

        // A key that nobody has costs no verification.
        let holder = self.keys.principal(&shown.key)?;
        let is_signed = holder.is_some() && shown.is_of(request)?;
        let Some(principal) = holder.filter(|_| is_signed) else {
            self.check(peer)?;
            self.fail(peer);
            return Err(refused("the signature is wrong, or nobody has its key").hint(OTHER_WAYS));
        };

        // Only a right signature uses up the nonce, so that a listener cannot spoil it with wrong
        // ones.
        if self.nonces.take(nonce) {
            self.prove(peer);
            Ok(principal)
        } else {
            Err(over())
        }
    }

    /// Tries a secret as a password that somebody chose.
    fn guess(&self, peer: &Peer, secret: &[u8], locks: &[Arc<SlowLock>]) -> Result<Principal> {
        let caller = self.counted(peer);
        let failures = caller.map_or(0, |caller| self.lockout.failures(caller));

        // `Busy` says nothing about the secret, so it leaves before the attempt is counted.
        let turn = self.queue.enter(caller, failures)?;
        // Others of the same address may have failed meanwhile.
        self.check(peer)?;

        if locks.iter().any(|lock| lock.opens(secret)) {
            self.prove(peer);
            return Ok(Principal::owner());
        }

        // Counted before the next one has its turn.
        if let Some(caller) = caller {
            self.queue.count(caller);
        }
        let error = self.wrong(peer);
        drop(turn);
        Err(error)
    }

    /// Counts a wrong secret, unless its caller is locked out already, and words the refusal.
    fn wrong(&self, peer: &Peer) -> Error {
        if let Err(error) = self.check(peer) {
            return error;
        }

        self.fail(peer);
        refused("the password is wrong, and there is no such token")
    }

    /// Keeps in mind that whoever comes from there had right credentials.
    fn prove(&self, peer: &Peer) {
        if let Some(caller) = self.counted(peer) {
            self.queue.prove(caller);
        }
    }

    /// Whom wrong secrets are counted for; `None` for who is exempt.
    fn counted(&self, peer: &Peer) -> Option<Caller> {
        let is_exempt = |address: SocketAddr| self.lockout.is_exempt(address.ip());
        (!peer.address.is_some_and(is_exempt)).then(|| Caller::of(peer))
    }

    /// Who has shown a certificate, which the edge has verified.
    pub(crate) fn certified(&self, peer: &Peer) -> Option<Principal> {
        let tls = peer.tls.as_ref().filter(|tls| tls.certificate.is_some())?;
        let name = tls.name.as_deref();
        Some(self.options.certificate_roles.principal(name))
    }

    /// Refuses a caller that is locked out.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(crate) fn check(&self, peer: &Peer) -> Result<()> {
        self.left(peer).map_or(Ok(()), |left| Err(locked_out(left)))
    }

    /// Counts a wrong secret of a kind that is known elsewhere.
    pub(crate) fn fail(&self, peer: &Peer) {
        if let Some(caller) = self.counted(peer) {
            self.lockout.fail(caller);
        }
    }

    /// In how many seconds a caller that is locked out may come back.
    pub(crate) fn retry_after(&self, peer: &Peer) -> u64 {
        seconds(self.left(peer).unwrap_or(Duration::from_secs(1)))
    }

    fn left(&self, peer: &Peer) -> Option<Duration> {
        self.counted(peer)
            .and_then(|caller| self.lockout.left(caller))
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
                          a person chose ('skep passwd', SKEP_PASSWORD) works over https:// only";

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

    #[test]
    fn right_credentials_of_each_kind_speak_for_their_network() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        let chosen = Password::new("four words of mine").unwrap();
        keep_password(home.path(), &chosen).unwrap();
        let from = |network: u8| Peer {
            address: Some(([198, 51, network, 1], 5).into()),
            ..encrypted()
        };
        let shown = |secret: &Password| Credentials::read(&secret.basic());

        let wrong = Password::new("four words of others").unwrap();
        assert!(guard.identify(&from(0), &shown(&wrong)).is_err());
        assert!(guard.identify(&from(1), &shown(&owner)).is_ok());
        let at_once = guard.identify_at_once(&from(2), &shown(&owner));
        assert!(at_once.is_ok_and(|found| found.is_some()));
        assert!(guard.identify(&from(3), &shown(&chosen)).is_ok());
        let proved = |network| guard.queue.has_proved(Caller::of(&from(network)));
        assert_eq!([0, 1, 2, 3].map(proved), [false, true, true, true]);

        let nonce = nonce(&guard);
        assert!(!guard.queue.has_proved(Caller::of(&plain())));
        sign_in(&guard, &owner, Some(&nonce), |_| {}).unwrap();
        assert!(guard.queue.has_proved(Caller::of(&plain())));
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

        // Nor may anything be added that would change what it means.
        let added = |request: &mut SignedRequest<'_>| request.fields.push(("if-match", "*"));
        let error = sign_in(&guard, &owner, Some(&given), added).unwrap_err();
        assert!(error.message().contains("does not cover"), "{error}");

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
    fn a_signature_ends_when_it_says_so() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        let key = DerivedKey::of(owner.text().as_bytes()).unwrap();
        let mut request = SignedRequest {
            method: "GET",
            is_encrypted: false,
            host: "pi",
            target: "/v1/models",
            fields: vec![("host", "pi")],
            has_content: false,
        };
        let (input, signature) = sign(&key, &request, Some(&nonce(&guard)), None).unwrap();
        request.fields.push(("signature-input", &input));
        request.fields.push(("signature", &signature));
        let mut shown = ReceivedSignature::find(&request).unwrap().unwrap();

        shown.expires = Some(clock::seconds());
        let error = guard.signer(&plain(), &shown, &request).unwrap_err();
        assert!(error.message().contains("expired"), "{error}");

        // The nonce was not used up.
        shown.expires = Some(clock::seconds() + 1000);
        assert!(guard.signer(&plain(), &shown, &request).is_ok());
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

        // One that has ended is neither taken nor upgraded.
        let over = Password::generate_token().unwrap();
        let old = crate::digest::Digest::of(over.text().as_bytes());
        let lines = format!("pi read {digest} 5 -\nover read {old} 5 6\n");
        std::fs::write(&file, &lines).unwrap();
        let of_over = Credentials::read(&format!("Bearer {}", over.text()));
        assert!(guard.identify(&encrypted(), &of_over).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), lines);

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

    fn secret(guard: &Guard, peer: &Peer, text: &str) -> Result<Principal> {
        guard.secret(peer, text.as_bytes())
    }

    #[test]
    fn what_cannot_be_guessed_opens_whoever_guesses_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        let new = NewToken {
            name: "pi".to_owned(),
            role: Role::Write,
            end: None,
        };
        let token = Tokens::add(home.path(), new).unwrap();
        for _ in 0..10 {
            let error = identify(&guard, "Bearer x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        }
        let error = identify(&guard, "Bearer x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyRequests);

        assert!(identify(&guard, &owner.basic()).is_ok());
        assert!(identify(&guard, &format!("Bearer {}", token.text())).is_ok());
        let signed = |secret| sign_in(&guard, secret, Some(&nonce(&guard)), |_| {});
        assert_eq!(signed(&token).unwrap().name, "pi");
        let error = signed(&Password::generate().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyRequests);
    }

    #[test]
    fn a_given_password_is_guarded_as_a_chosen_one() {
        let home = tempfile::tempdir().unwrap();
        let given = Password::new("short").unwrap();
        let guard = Guard::new(home.path(), &given, AccessOptions::default()).unwrap();
        // It stands for no key, and a digest of it would be found out at once.
        assert!(guard.given.is_set());

        let shown = Credentials::read(&given.basic());
        let peer = Peer::default();
        assert_eq!(guard.recognize(&peer, &shown), Recognized::Slow);
        assert!(secret(&guard, &peer, "short").is_ok());
        assert_eq!(
            guard.recognize(&peer, &shown),
            Recognized::Known(Principal::owner().rank())
        );

        // A token that was removed costs no computation.
        let form = format!("skep_{}", "a".repeat(32));
        assert_eq!(
            guard.recognize(&peer, &Credentials::Secret(form.into_bytes())),
            Recognized::Wrong
        );

        // What can be guessed does not open while its caller is locked out, so that nothing is learnt.
        for _ in 0..10 {
            guard.fail(&peer);
        }
        let error = secret(&guard, &peer, "short").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyRequests);
    }

    #[test]
    fn strangers_of_many_addresses_neither_guess_on_nor_keep_the_owner_out() {
        let home = tempfile::tempdir().unwrap();
        let given = Password::new("four words of mine").unwrap();
        let mut options = AccessOptions::default();
        // Nothing is earned while the test runs.
        options.lockout.failures_max = 1;
        options.lockout.time = Duration::from_secs(900);
        let guard = Guard::new(home.path(), &given, options).unwrap();
        let at = |number: u8| Peer {
            address: Some(([192, 0, 2, number], 5).into()),
            ..Peer::default()
        };

        // The owner is known from now on, so that the bucket for all does not matter.
        assert!(secret(&guard, &at(250), "four words of mine").is_ok());
        let mut looked_at = 0;
        for number in 0..10 {
            let error = secret(&guard, &at(number), "wrong").unwrap_err();
            looked_at += u32::from(error.kind() == ErrorKind::Unauthenticated);
        }
        assert_eq!(looked_at, 10);
        let error = secret(&guard, &at(11), "wrong").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(secret(&guard, &at(250), "four words of mine").is_ok());
    }

    #[test]
    fn who_was_locked_out_while_waiting_learns_nothing() {
        let home = tempfile::tempdir().unwrap();
        let given = Password::new("four words of mine").unwrap();
        let mut options = AccessOptions::default();
        options.lockout.failures_max = 2;
        options.lockout.time = Duration::from_secs(900);
        let guard = Guard::new(home.path(), &given, options).unwrap();

        let turn = guard.queue.enter(None, 0).unwrap();
        std::thread::scope(|scope| {
            let mut asked = Vec::new();
            for (count, guess) in ["wrong", "other", "four words of mine"].iter().enumerate() {
                let guard = &guard;
                asked.push(scope.spawn(move || secret(guard, &Peer::default(), guess)));
                guard.queue.until_waiting(count + 1);
            }
            drop(turn);
            let kinds = asked
                .into_iter()
                .map(|one| one.join().unwrap().unwrap_err().kind());
            assert_eq!(
                kinds.collect::<Vec<_>>(),
                [
                    ErrorKind::Unauthenticated,
                    ErrorKind::Unauthenticated,
                    ErrorKind::TooManyRequests
                ]
            );
        });
    }

    #[test]
    fn nothing_is_counted_for_who_is_exempt() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let mut options = AccessOptions::default();
        options.lockout.exempt = vec!["192.0.2.0/24".parse().unwrap()];
        let guard = Guard::new(home.path(), &owner, options).unwrap();
        for _ in 0..30 {
            let error = identify(&guard, "Bearer x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        }
        let other = Peer {
            address: Some("198.51.100.1:5".parse().unwrap()),
            ..Peer::default()
        };
        for _ in 0..10 {
            assert!(secret(&guard, &other, "x").is_err());
        }
        let error = secret(&guard, &other, "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyRequests);
    }

    #[test]
    fn while_tokens_cannot_be_read_nobody_is_counted() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        std::fs::create_dir(crate::access::secrets::tokens::file(home.path())).unwrap();
        for _ in 0..30 {
            let error = identify(&guard, "Bearer abcdefghjkmnpqrstuvw").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Busy);
        }
        assert!(identify(&guard, &owner.basic()).is_ok());
        std::fs::remove_dir(crate::access::secrets::tokens::file(home.path())).unwrap();
        let error = loop {
            match identify(&guard, "Bearer abcdefghjkmnpqrstuvw").unwrap_err() {
                error if error.kind() == ErrorKind::Busy => std::thread::yield_now(),
                error => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
}
