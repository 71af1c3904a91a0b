// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads that have to be signed: what is checked before one gets its name.
//!
//! A model needs a signature by one of the signers, given with the upload or stored beside it as
//! `NAME.minisig` before. A signature itself needs to be one of theirs, whatever it belongs to, so that
//! nobody else can store anything under such a name.

use std::fs::File;
use std::io::{self, Read as _};

use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::signature::Signature;
use crate::store::catalog::Catalog;
use crate::store::claim::{Claim, NewBytes};
use crate::store::failure::unreadable;

impl Catalog {
    /// What can be told before the bytes arrive: whether there is a signature, and by a signer.
    ///
    /// # Errors
    /// `Integrity` if not; those of the file system.
    pub(crate) fn expect_signature(
        &self,
        name: &ModelName,
        given: Option<&Signature>,
    ) -> Result<()> {
        // A signature for another file is a mistake wherever it is sent.
        if let Some(given) = given {
            given.check_name(&format!("'{name}'"), name.as_str())?;
        }

        if self.options.signers.is_empty() || Signature::is_name(name) {
            return Ok(());
        }
        self.signature(name, given).map(drop)
    }

    /// Whether bytes may become the model that they claim to be; returns the signature that belongs to
    /// them, as far as that is known.
    ///
    /// # Errors
    /// `Integrity` if they need a signature and have none that is right; those of the file system.
    pub(crate) fn check_signature(
        &self,
        claim: &Claim<'_>,
        bytes: &mut impl NewBytes,
    ) -> Result<Option<Signature>> {
        let Claim {
            name, signature, ..
        } = *claim;
        let what = format!("'{name}'");
        if let Some(given) = signature {
            given.check_name(&what, name.as_str())?;
        }

        let signers = &self.options.signers;
        if signers.is_empty() {
            return Ok(signature.cloned());
        }

        let unreadable = |error| unreadable(name, error);
        let mut content = bytes.content().map_err(unreadable)?;

        // A signature may be stored before its model. Its trusted comment proves the signer without
        // the bytes, and says whose signature it is.
        if Signature::is_name(name) {
            let signature = read_signature(&content).map_err(unreadable)??;
            signature.verify_comment(&what, signers)?;
            if let Some(model) = Signature::model_of(name) {
                signature.check_name(&format!("'{model}'"), model.as_str())?;
            }
            return Ok(None);
        }

        // The signature is verified over the stored bytes, as readers will get them.
        let counting = self.signature(name, signature)?;
        counting.verify(&what, signers, &mut content)?;
        counting.check_name(&what, name.as_str())?;
        Ok(Some(counting))
    }

    /// The signature that counts for an upload; it claims to be by a signer.
    fn signature(&self, name: &ModelName, given: Option<&Signature>) -> Result<Signature> {
        let signature = match given {
            Some(given) => given.clone(),
            None => self.stored_signature(name)?,
        };

        // The key is checked before the bytes: that costs nothing and needs no read of the model.
        signature.signer(&format!("'{name}'"), &self.options.signers)?;

        if signature.is_legacy() {
            // It would take all of the model into the memory of a small device.
            let text =
                format!("'{name}' has a legacy signature, which this server does not accept");
            return Err(Error::new(ErrorKind::Integrity, text)
                .hint("sign it again, with 'skep sign' or 'minisign -S -H'"));
        }

        Ok(signature)
    }

    fn stored_signature(&self, name: &ModelName) -> Result<Signature> {
        let place = Signature::name_for(name)?;
        let unreadable = |error| unreadable(&place, error);
        let Some((file, _)) = self.layout.open_model(&place).map_err(unreadable)? else {
            let text =
                format!("'{name}' is not signed, and this server accepts signed models only");
            return Err(Error::new(ErrorKind::Integrity, text).hint(format!(
                "use 'skep put --sign KEY', or store '{place}' first; in HTTP: the field Skep-Signature"
            )));
        };

        read_signature(&file).map_err(unreadable)?
    }
}

/// Reads a signature file; the outer error is that of the file system.
pub(crate) fn read_signature(file: &File) -> io::Result<Result<Signature>> {
    let mut bytes = Vec::new();
    // One byte more than such a file may have tells one that is too long.
    file.take(Signature::BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(Signature::from_bytes(&bytes))
}
