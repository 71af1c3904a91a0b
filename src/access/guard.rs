// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tells who a caller is: the password, the tokens and the chosen password put together, with the
//! lockout in front of what can be guessed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::certificate::CertificateRoles;
use super::challenge_answer::ChallengeAnswer;
use super::credentials::Credentials;
use super::guess_queue::GuessQueue;
use super::lockout::{Caller, Lockout, LockoutOptions, locked_out, seconds};
use super::nonce::Nonces;
use super::principal::Principal;
use crate::access::challenge_answer::{SCHEME, SignedRequest};
use crate::access::secrets::{Lock, Password, SlowLock, Tokens, chosen_password, tokens};
use crate::address::TrustedProxies;
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
    /// Who is believed about whom it calls for.
    pub(crate) trusted_proxies: TrustedProxies,
}

/// What is known of a secret at once.
enum Finding {
    Known(Principal),
    /// Only these locks can tell, by a long computation.
    MayBeChosen(Vec<Arc<SlowLock>>),
    Wrong,
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
    /// The password of this server, if it has enough randomness to be kept so.
    owner: Option<Lock>,
    /// The password of this server, if it may be words of a person.
    given: Arc<SlowLock>,
    tokens: WatchedFile<Tokens>,
    chosen: WatchedFile<SlowLock>,
    nonces: Nonces,
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
        let text = password.text().as_bytes();
        let is_random = password.is_made() || tokens::has_form(text);
        let given = if is_random {
            SlowLock::default()
        } else {
            SlowLock::of(password)?
        };

        Ok(Self {
            owner: is_random.then(|| Lock::new(text)),
            given: Arc::new(given),
            tokens: WatchedFile::new(tokens::file(home), |path, text| {
                Ok(Tokens::read(path, text))
            }),
            chosen: WatchedFile::new(chosen_password::file(home), |_, text| SlowLock::read(text)),
            nonces: Nonces::new()?,
            queue: GuessQueue::new(&options.lockout),
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
    /// `Unauthenticated` for wrong credentials; `TooManyRequests` for those of a caller that is locked
    /// out, which are not looked at if they can be guessed; `Busy` if too many are verified.
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
            Finding::Wrong => Err(self.wrong(peer)),
        }
    }

    /// Whether only a long computation tells what these credentials are. Nothing is counted.
    pub(crate) fn needs_long_look(&self, peer: &Peer, shown: &Credentials) -> bool {
        match shown {
            Credentials::Secret(secret) => {
                matches!(self.look_up(peer, secret), Ok(Finding::MayBeChosen(_)))
            }
            _ => false,
        }
    }

    /// Whether these credentials are refused without a long computation. Nothing is counted.
    pub(crate) fn is_refused_at_once(&self, peer: &Peer, shown: &Credentials) -> bool {
        match shown {
            Credentials::Secret(secret) => {
                matches!(self.look_up(peer, secret), Err(_) | Ok(Finding::Wrong))
            }
            _ => false,
        }
    }

    fn without_secret(
        &self,
        peer: &Peer,
        shown: &Credentials,
        signed: SignedRequest<'_>,
    ) -> Result<Principal> {
        match shown {
            Credentials::Answer(answer) => self.answer(peer, answer, signed),
            // No secret was shown, so neither of these counts as a guess.
            Credentials::Wish => Err(refused("this request needs an answer to the challenge")),
            _ => Err(refused("the credentials cannot be read")),
        }
    }

    /// Who knows this secret. It may wait for its turn in the queue of guesses.
    ///
    /// # Errors
    /// As [`Guard::identify`].
    pub(crate) fn secret(&self, peer: &Peer, secret: &[u8]) -> Result<Principal> {
        match self.look_up(peer, secret)? {
            Finding::Known(principal) => Ok(principal),
            Finding::MayBeChosen(locks) => self.guess(peer, secret, &locks),
            Finding::Wrong => Err(self.wrong(peer)),
        }
    }

    /// What is known of a secret without a long computation. Nothing is counted.
    fn look_up(&self, peer: &Peer, secret: &[u8]) -> Result<Finding> {
        // Password and tokens are both compared in any case, so that the time does not tell which
        // one matched.
        let lock = Lock::new(secret);
        let is_owner = self.owner == Some(lock);
        let of_token = self.of_token(&lock);
        if is_owner {
            return Ok(Finding::Known(Principal::owner()));
        }

        if let Some(principal) = of_token? {
            return Ok(Finding::Known(principal));
        }

        // What follows can be guessed, so nobody who is locked out gets that far.
        self.check(peer)?;
        if tokens::has_form(secret) {
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

    fn of_token(&self, lock: &Lock) -> Result<Option<Principal>> {
        Ok(self.tokens.now()?.principal(lock, clock::now()))
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
            return Ok(Principal::owner());
        }

        // Counted before the next one has its turn.
        if caller.is_some() {
            self.queue.count();
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

    /// Whom wrong secrets are counted for; `None` for who is exempt.
    fn counted(&self, peer: &Peer) -> Option<Caller> {
        let is_exempt = |address: SocketAddr| self.lockout.is_exempt(address.ip());
        (!peer.address.is_some_and(is_exempt)).then(|| Caller::of(peer))
    }

    /// What is known of credentials without a long computation; nothing is counted, and no nonce is used up.
    pub(crate) fn recognize(&self, peer: &Peer, shown: &Credentials) -> Recognized {
        let Credentials::Secret(secret) = shown else {
            return Recognized::MayBe;
        };

        match self.look_up(peer, secret) {
            Ok(Finding::Known(_)) => Recognized::Known,
            Ok(Finding::MayBeChosen(_)) => Recognized::MayBe,
            Ok(Finding::Wrong) | Err(_) => Recognized::Wrong,
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
        let (tokens, now) = (self.tokens.now()?, clock::now());

        // All tokens are compared, hence `last`: the time must not tell which one matched.
        let of_token = tokens
            .iter()
            .filter(|token| answer.is_of(&token.lock, signed))
            .last();

        let is_owner = self.owner.is_some_and(|owner| answer.is_of(&owner, signed));
        let principal = match (is_owner, of_token) {
            (true, _) => Some(Principal::owner()),
            (false, Some(token)) if !tokens.is_over(token, now) => Some(token.principal()),
            (false, _) => None,
        };

        let Some(principal) = principal else {
            let error = self.wrong(peer);
            let is_chosen = self.given.is_set() || self.chosen.now()?.is_set();
            return Err(if is_chosen {
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

const NOT_CHOSEN: &str = "a password that a person chose ('skep passwd', SKEP_PASSWORD) works over \
                          https:// only; over http:// use a token ('skep token new NAME')";

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
        let signed = SignedRequest {
            method: "GET",
            target: "/",
            digests: ["", ""],
        };
        let challenge = Challenge::find(&guard.challenge()).unwrap();
        let answer = challenge.answer(&token, 1, signed).unwrap();
        assert!(identify(&guard, &answer).is_ok());
    }

    #[test]
    fn a_given_password_is_guarded_as_a_chosen_one() {
        let home = tempfile::tempdir().unwrap();
        let given = Password::new("short").unwrap();
        let guard = Guard::new(home.path(), &given, AccessOptions::default()).unwrap();
        assert_eq!(
            guard.owner, None,
            "a digest of it would be found out at once"
        );

        let shown = Credentials::read(&given.basic());
        let peer = Peer::default();
        assert!(guard.needs_long_look(&peer, &shown));
        assert!(secret(&guard, &peer, "short").is_ok());
        assert!(!guard.needs_long_look(&peer, &shown), "found out already");

        // A token that was removed costs no computation.
        let form = format!("skep_{}", "a".repeat(32));
        assert!(!guard.needs_long_look(&peer, &Credentials::Secret(form.into_bytes())));

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
        std::fs::create_dir(tokens::file(home.path())).unwrap();
        for _ in 0..30 {
            let error = identify(&guard, "Bearer x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Busy);
        }
        assert!(identify(&guard, &owner.basic()).is_ok());
        std::fs::remove_dir(tokens::file(home.path())).unwrap();
        let error = loop {
            match identify(&guard, "Bearer x").unwrap_err() {
                error if error.kind() == ErrorKind::Busy => std::thread::yield_now(),
                error => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
}
