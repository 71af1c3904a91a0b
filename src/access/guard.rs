// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tells who a caller is: the password, the tokens and the chosen password put together, with the
//! lockout in front of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::certificate::CertificateRoles;
use super::challenge_answer::ChallengeAnswer;
use super::credentials::Credentials;
use super::lockout::{Caller, Lockout, LockoutOptions, locked_out, seconds};
use super::nonce::Nonces;
use super::principal::Principal;
use crate::access::challenge_answer::{SCHEME, SignedRequest};
use crate::access::secrets::{Lock, Password, SlowLock, Tokens, chosen_password, tokens};
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::Peer;
use crate::watched_file::WatchedFile;

/// What the settings say about access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessOptions {
    /// Whether everybody may list and fetch.
    pub(crate) anonymous_read: bool,
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
}

/// What credentials are worth at first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recognized {
    Known,
    /// That needs a long computation, or a look at the whole request.
    MayBe,
    Wrong,
}

/// All that opens the doors of one server.
pub(crate) struct Guard {
    options: AccessOptions,
    owner: Lock,
    tokens: WatchedFile<Tokens>,
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
            owner: Lock::new(password.text().as_bytes()),
            tokens: WatchedFile::new(tokens::file(home), |path, text| {
                Ok(Tokens::read(path, text))
            }),
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

    /// Who shows these credentials with this request.
    ///
    /// # Errors
    /// `TooManyRequests` for a caller that is locked out, whatever it shows, so that nothing can be
    /// learnt meanwhile; `Unauthenticated` for wrong credentials; `Busy` if too many are verified.
    pub(crate) fn identify(
        &self,
        peer: &Peer,
        shown: &Credentials,
        signed: SignedRequest<'_>,
    ) -> Result<Principal> {
        match shown {
            Credentials::Secret(secret) => self.secret(peer, secret),
            _ => self.without_secret(peer, shown, signed),
        }
    }

    /// The same, as far as it needs no long computation: `None` for what may be a chosen password, which
    /// [`Guard::identify`] has to verify the first time that it is shown.
    ///
    /// # Errors
    /// As [`Guard::identify`].
    pub(crate) fn identify_at_once(
        &self,
        peer: &Peer,
        shown: &Credentials,
        signed: SignedRequest<'_>,
    ) -> Result<Option<Principal>> {
        let Credentials::Secret(secret) = shown else {
            return self.without_secret(peer, shown, signed).map(Some);
        };

        match self.look_up(peer, secret)? {
            Finding::Known(principal) => Ok(Some(principal)),
            Finding::MayBeChosen(_) => Ok(None),
        }
    }

    fn without_secret(
        &self,
        peer: &Peer,
        shown: &Credentials,
        signed: SignedRequest<'_>,
    ) -> Result<Principal> {
        self.check(peer)?;
        match shown {
            Credentials::Answer(answer) => self.answer(peer, answer, signed),
            // No secret was shown, so neither of these counts as a guess.
            Credentials::Wish => Err(refused("this request needs an answer to the challenge")),
            _ => Err(refused("the credentials cannot be read")),
        }
    }

    /// Who knows this secret.
    ///
    /// # Errors
    /// As [`Guard::identify`].
    pub(crate) fn secret(&self, peer: &Peer, secret: &[u8]) -> Result<Principal> {
        match self.look_up(peer, secret)? {
            Finding::Known(principal) => Ok(principal),
            // `Busy` says nothing about the secret, so it leaves before the attempt is counted.
            Finding::MayBeChosen(chosen) if chosen.opens(secret)? => Ok(Principal::owner()),
            Finding::MayBeChosen(_) => Err(self.count_guess(peer)),
        }
    }

    /// What is known of a secret without a long computation.
    fn look_up(&self, peer: &Peer, secret: &[u8]) -> Result<Finding> {
        self.check(peer)?;

        // Password and tokens are both compared in any case, so that the time does not tell which
        // one matched.
        let lock = Lock::new(secret);
        let (is_owner, tokens) = (lock == self.owner, self.tokens.now());
        let of_token = tokens.principal(&lock, clock::now());
        if is_owner {
            return Ok(Finding::Known(Principal::owner()));
        }

        if let Some(principal) = of_token {
            return Ok(Finding::Known(principal));
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

    /// Counts a wrong secret, and words the refusal.
    fn count_guess(&self, peer: &Peer) -> Error {
        self.lockout.fail(Caller::of(peer));
        refused("the password is wrong, and there is no such token")
    }

    /// What is known of credentials without a long computation; nothing is counted, and no nonce is used up.
    pub(crate) fn recognize(&self, shown: &Credentials) -> Recognized {
        let Credentials::Secret(secret) = shown else {
            return Recognized::MayBe;
        };

        let lock = Lock::new(secret);
        let (tokens, chosen) = (self.tokens.now(), self.chosen.now());
        let of_token = tokens.principal(&lock, clock::now());
        if lock == self.owner || of_token.is_some() || chosen.is_known(secret) {
            Recognized::Known
        } else if chosen.is_set() {
            Recognized::MayBe
        } else {
            Recognized::Wrong
        }
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

    /// The value of a `WWW-Authenticate` field: all schemes, with a nonce for an answer to be made.
    pub(crate) fn challenge(&self) -> String {
        let ways = "Basic realm=\"skep\", charset=\"UTF-8\", Bearer realm=\"skep\"";
        match self.nonces.make() {
            Ok(nonce) => format!("{ways}, {SCHEME} realm=\"skep\", nonce=\"{nonce}\""),
            Err(_) => ways.to_owned(),
        }
    }

    fn answer(
        &self,
        peer: &Peer,
        answer: &ChallengeAnswer,
        signed: SignedRequest<'_>,
    ) -> Result<Principal> {
        let over = || refused("the challenge has expired, or was answered before");
        // Whoever has no nonce of ours has not guessed anything.
        let nonce = self.nonces.read(&answer.nonce).ok_or_else(over)?;
        let (tokens, now) = (self.tokens.now(), clock::now());

        // All tokens are compared, hence `last`: the time must not tell which one matched.
        let of_token = tokens
            .iter()
            .filter(|token| answer.is_of(&token.lock, signed))
            .last();

        let principal = match (answer.is_of(&self.owner, signed), of_token) {
            (true, _) => Some(Principal::owner()),
            (false, Some(token)) if !tokens.is_over(token, now) => Some(token.principal()),
            (false, _) => None,
        };

        let Some(principal) = principal else {
            let error = self.count_guess(peer);
            return Err(if self.chosen.now().is_set() {
                error.hint(NOT_CHOSEN)
            } else {
                error
            });
        };

        // Only a right answer uses up the nonce, so that a listener cannot spoil it with wrong
        // ones.
        if self.nonces.take(nonce, answer.count) {
            Ok(principal)
        } else {
            Err(over())
        }
    }
}

fn refused(text: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, text)
}

const NOT_CHOSEN: &str = "a password that was set with 'skep passwd' works over https:// only; over \
                          http:// use a token ('skep token new NAME')";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::challenge::Challenge;
    use crate::access::role::Role;
    use crate::access::secrets::NewToken;
    use crate::access::secrets::{keep as keep_password, remove as remove_password};

    fn identify(guard: &Guard, text: &str) -> Result<Principal> {
        let signed = SignedRequest {
            method: "GET",
            target: "/",
            digests: ["", ""],
        };
        let peer = Peer {
            address: Some("192.0.2.1:5".parse().unwrap()),
            ..Peer::default()
        };
        guard.identify(&peer, &Credentials::read(text), signed)
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
    fn an_answer_to_a_challenge_is_taken_once() {
        let home = tempfile::tempdir().unwrap();
        let owner = Password::generate().unwrap();
        let guard = Guard::new(home.path(), &owner, AccessOptions::default()).unwrap();
        let signed = SignedRequest {
            method: "GET",
            target: "/",
            digests: ["", ""],
        };
        assert!(identify(&guard, "Skep-HMAC").is_err());
        let challenge = Challenge::find(&guard.challenge()).unwrap();
        let answer = challenge.answer(&owner, 1, signed).unwrap();
        assert_eq!(identify(&guard, &answer).unwrap(), Principal::owner());
        assert!(identify(&guard, &answer).is_err(), "replayed");
        let answer = challenge.answer(&owner, 2, signed).unwrap();
        assert!(identify(&guard, &answer).is_ok());
        let chosen = Password::new("four words of mine").unwrap();
        keep_password(home.path(), &chosen).unwrap();
        let answer = challenge.answer(&chosen, 3, signed).unwrap();
        let error = identify(&guard, &answer).unwrap_err();
        assert!(error.hint_text().unwrap().contains("skep passwd"));
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
