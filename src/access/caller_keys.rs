// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The public keys of a server's callers: finds whose secret was shown, and whose key has signed.

use std::path::{Path, PathBuf};

use crate::access::principal::Principal;
use crate::access::secrets::tokens::{Token, file};
use crate::access::secrets::{
    CallerKey, DerivedKey, Lock, Password, RememberedKeys, TokenKey, Tokens,
};
use crate::clock;
use crate::digest::Digest;
use crate::error::Result;
use crate::watched_file::WatchedFile;

/// The owner of a server and its tokens.
pub(crate) struct CallerKeys {
    home: PathBuf,
    /// That of the password, if it was made here; one that was given proves nothing in the clear.
    owner: Option<CallerKey>,
    tokens: WatchedFile<Tokens>,
    remembered: RememberedKeys,
}

/// Whose secret it is.
pub(crate) enum KeyHolder {
    Known(Principal),
    /// A token that the home keeps as its format 1 did: to be upgraded by this key, over TLS only.
    OfFormat1(Token, CallerKey),
    Nobody,
}

impl CallerKeys {
    /// The keys in a home, as they are at any moment, and that of a password.
    ///
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub(crate) fn new(home: &Path, password: &Password) -> Result<Self> {
        let owner = DerivedKey::of(password.text().as_bytes());

        Ok(Self {
            home: home.to_owned(),
            owner: owner.map(|key| *key.public()),
            tokens: WatchedFile::new(file(home), |path, text| Ok(Tokens::read(path, text))),
            remembered: RememberedKeys::new()?,
        })
    }

    /// Whose made secret this is. What was shown a moment ago costs one HMAC; of the others, only those that
    /// were made here cost the derivation of a key.
    ///
    /// # Errors
    /// `Busy` while the tokens cannot be read.
    pub(crate) fn holder(&self, secret: &[u8]) -> Result<KeyHolder> {
        let Some(key) = self.remembered.of(secret) else {
            return Ok(KeyHolder::Nobody);
        };

        if let Some(principal) = self.principal(&key)? {
            self.remembered.remember(secret, key);
            return Ok(KeyHolder::Known(principal));
        }

        let tokens = self.tokens.now()?;
        if !tokens.have_digests() {
            return Ok(KeyHolder::Nobody);
        }

        let old = tokens.find(&TokenKey::Digest(Lock::new(secret)));
        let old = old.filter(|token| !tokens.is_over(token, clock::now()));
        Ok(old.map_or(KeyHolder::Nobody, |token| {
            KeyHolder::OfFormat1(token.clone(), key)
        }))
    }

    /// Who holds this key now. Owner and tokens are all compared, so that the time does not tell which one
    /// it was.
    ///
    /// # Errors
    /// `Busy` while the tokens cannot be read; the owner is known all the same.
    pub(crate) fn principal(&self, key: &CallerKey) -> Result<Option<Principal>> {
        let of_token = self.tokens.now().map(|tokens| {
            tokens
                .find(&TokenKey::Public(*key))
                .filter(|token| !tokens.is_over(token, clock::now()))
                .map(Token::principal)
        });

        if self.owner == Some(*key) {
            return Ok(Some(Principal::owner()));
        }

        of_token
    }

    /// The holder of the token of this name, if there is one that is still good.
    ///
    /// # Errors
    /// `Busy` while the tokens cannot be read.
    pub(crate) fn of_name(&self, name: &str) -> Result<Option<Principal>> {
        let tokens = self.tokens.now()?;
        let is_good = |token: &&Token| token.name == name && !tokens.is_over(token, clock::now());
        Ok(tokens.iter().find(is_good).map(Token::principal))
    }

    /// What tells the token of this name from others that had the name before, or will have it.
    ///
    /// # Errors
    /// `Busy` while the tokens cannot be read.
    pub(crate) fn mark_of(&self, name: &str) -> Result<Option<[u8; 32]>> {
        let tokens = self.tokens.now()?;
        let token = tokens.iter().find(|token| token.name == name);
        let mark = |token: &Token| *Digest::of(token.key.to_string().as_bytes()).as_bytes();
        Ok(token.map(mark))
    }

    /// Replaces what the home keeps of a token by its public key.
    pub(crate) fn upgrade(&self, token: &Token, key: CallerKey) {
        match Tokens::upgrade(&self.home, token, key) {
            Ok(()) => log::info!(
                "the token {} is kept as its public key from now on",
                token.name
            ),
            // It goes on to be good over TLS, and the next time tries again.
            Err(error) => log::warn!(
                "the token {} is still kept as a digest: {error}",
                token.name
            ),
        }
    }
}
