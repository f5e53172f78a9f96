//! Keys that a pass phrase locks (PKCS #8 with PBES2, what OpenSSL writes since 1.1).

use std::{borrow::Cow, path::Path};

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument, der::pem::PemLabel};

use super::TlsError;
use crate::config::ProxySecret;

const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// The file's text with its key unlocked; any other as it is.
pub(super) fn unlock<'a>(
    path: &Path,
    bytes: &'a [u8],
    passphrase: Option<&ProxySecret>,
) -> Result<Cow<'a, [u8]>, TlsError> {
    let wrong = |why: &str| TlsError::File {
        path: path.into(),
        why: why.into(),
    };
    let Some(locked) = find(bytes) else {
        return Ok(bytes.into());
    };
    let Some(passphrase) = passphrase else {
        return Err(wrong(
            "the key is locked by a pass phrase and none was given; unlock it (openssl pkey -in … -out …)",
        ));
    };
    let (label, document) =
        SecretDocument::from_pem(locked).map_err(|_| wrong("the locked key can't be read"))?;
    EncryptedPrivateKeyInfoRef::validate_pem_label(label)
        .map_err(|_| wrong("the locked key can't be read"))?;
    let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| {
        wrong("the way the key is locked is not known; AES with PBKDF2 or scrypt is")
    })?;
    let key = info
        .decrypt(passphrase.expose())
        .map_err(|_| wrong("the pass phrase does not unlock the key"))?;
    let pem = key
        .to_pem("PRIVATE KEY", pkcs8::LineEnding::LF)
        .map_err(|_| wrong("the unlocked key can't be read"))?;
    Ok(pem.as_bytes().to_vec().into())
}

/// The locked key among whatever else the file holds.
fn find(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?;
    let from = text.find(BEGIN)?;
    let end = from + text[from..].find(END)? + END.len();
    Some(&text[from..end])
}
