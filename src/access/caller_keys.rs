// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The public keys of a server's callers: finds whose secret was shown, and whose key has signed.

use std::path::Path;

use crate::access::principal::Principal;
use crate::access::secrets::tokens::{Token, file};
use crate::access::secrets::{
    CallerKey, DerivedKey, Lock, Password, RememberedKeys, TokenKey, Tokens,
};
use crate::clock;
use crate::error::Result;
use crate::watched_file::WatchedFile;

/// The owner of a server and its tokens.
pub(crate) struct CallerKeys {
    home: std::path::PathBuf,
    owner: OwnerKey,
    tokens: WatchedFile<Tokens>,
    remembered: RememberedKeys,
}

/// By what the owner is recognised.
enum OwnerKey {
    /// The password was made here.
    Public(CallerKey),
    /// The password was given, and proves nothing in the clear.
    Digest(Lock),
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
        let password = password.text().as_bytes();
        let owner = match DerivedKey::of(password) {
            Some(key) => OwnerKey::Public(*key.public()),
            None => OwnerKey::Digest(Lock::new(password)),
        };

        Ok(Self {
            home: home.to_owned(),
            owner,
            tokens: WatchedFile::new(file(home), |path, text| Ok(Tokens::read(path, text))),
            remembered: RememberedKeys::new()?,
        })
    }

    /// Whose secret this is. What was shown a moment ago costs one HMAC; of the others, only those that
    /// were made here cost the derivation of a key.
    pub(crate) fn holder(&self, secret: &[u8]) -> KeyHolder {
        let Some(key) = self.remembered.of(secret) else {
            return match &self.owner {
                OwnerKey::Digest(lock) if Lock::new(secret) == *lock => {
                    KeyHolder::Known(Principal::owner())
                }
                _ => KeyHolder::Nobody,
            };
        };

        if let Some(principal) = self.principal(&key) {
            self.remembered.remember(secret, key);
            return KeyHolder::Known(principal);
        }

        let tokens = self.tokens.now();
        if !tokens.have_digests() {
            return KeyHolder::Nobody;
        }

        let old = tokens.find(&TokenKey::Digest(Lock::new(secret)));
        match old.filter(|token| !tokens.is_over(token, clock::now())) {
            Some(token) => KeyHolder::OfFormat1(token.clone(), key),
            None => KeyHolder::Nobody,
        }
    }

    /// Who holds this key now. Owner and tokens are all compared, so that the time does not tell which one
    /// it was.
    pub(crate) fn principal(&self, key: &CallerKey) -> Option<Principal> {
        let tokens = self.tokens.now();
        let of_token = tokens
            .find(&TokenKey::Public(*key))
            .filter(|token| !tokens.is_over(token, clock::now()))
            .map(Token::principal);

        match &self.owner {
            OwnerKey::Public(owner) if owner == key => Some(Principal::owner()),
            _ => of_token,
        }
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
