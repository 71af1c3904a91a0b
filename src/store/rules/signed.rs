// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads that have to be signed: what is checked before one gets its name.
//!
//! A model needs a signature by one of the signers, given with the upload or stored beside it as
//! `NAME.minisig` before. A signature itself needs to be one of theirs, whatever it belongs to, so that
//! nobody else can store anything under such a name.

use std::fs::File;
use std::io::{Read, Seek};

use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::signature::Signature;
use crate::store::catalog::Catalog;
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
        if self.options.signers.is_empty() || Signature::is_name(name) {
            return Ok(());
        }
        self.signature(name, given).map(drop)
    }

    /// Whether the finished bytes of an upload may become the model `name`.
    ///
    /// # Errors
    /// `Integrity` if they need a signature and have none that is right; those of the file system.
    pub(crate) fn check_signature(
        &self,
        name: &ModelName,
        given: Option<&Signature>,
        content: &mut File,
    ) -> Result<()> {
        let signers = &self.options.signers;
        if signers.is_empty() {
            return Ok(());
        }

        let unreadable = |error| unreadable(name, error);

        // The upload was just written, so its file stands at the end.
        content.rewind().map_err(unreadable)?;
        let what = format!("'{name}'");

        // A signature may be stored before its model. Its trusted comment proves the signer without
        // the bytes.
        if Signature::is_name(name) {
            let bytes = read_start(content).map_err(unreadable)?;
            return Signature::from_bytes(&bytes)?.verify_comment(&what, signers);
        }

        // The signature is verified over the stored bytes, as readers will get them.
        self.signature(name, given)?.verify(&what, signers, content)
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
                "use 'skep put --sign KEY', send the field Skep-Signature, or store '{place}' first"
            )));
        };

        let bytes = read_start(&file).map_err(unreadable)?;

        Signature::from_bytes(&bytes)
    }
}

/// All of a signature file, or one byte more than such a file may have.
fn read_start(file: &File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(Signature::BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
