//! Sealed text: what is kept secret even from who reads the database or a backup without its key.
//!
//! XChaCha20-Poly1305 under a key derived (BLAKE3) from the master key for each purpose, so that
//! text sealed for one purpose opens for no other. The id of the master key stands in the text:
//! after a change of keys the old one still opens what it sealed.
//!
//! Not here: hashes of tokens and sessions (`lyceum_model::digest`), passwords (auth).

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};

/// Bytes of a master key.
pub const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 24;
/// The first word of sealed text: the form it has.
const FORM: &str = "sealed1";

/// The master keys. They never show in `Debug`.
#[derive(Clone)]
pub struct Keys {
    /// The one that seals.
    current: Master,
    /// Ones that only open.
    old: Vec<Master>,
}

#[derive(Clone)]
struct Master {
    id: String,
    bytes: [u8; KEY_LEN],
}

/// Why sealed text does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("this is not sealed text")]
    NotSealed,
    #[error(
        "it was sealed with the key {sealed_with}, which is not here (the key in use is {ours}); \
         restore the key file that belongs to this database"
    )]
    WrongKey { sealed_with: String, ours: String },
    #[error("it was changed, or sealed for another purpose")]
    Damaged,
}

impl Keys {
    /// Reads the key file, or makes one that only its owner may read. Several processes may do so
    /// at once and all get the same key.
    pub fn load_or_create(path: &Path) -> anyhow::Result<Self> {
        if let Some(keys) = Self::load(path)? {
            return Ok(keys);
        }
        let mut bytes = [0; KEY_LEN];
        getrandom::fill(&mut bytes).context("the system's random source")?;
        Self::from_bytes(bytes).save(path)?;
        // Whoever came first has made the key; ours was not kept then.
        Self::load(path)?.with_context(|| format!("the key file {} vanished", path.display()))
    }

    /// Reads the key file; none when there is no file.
    pub fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("reading the key file {}", path.display()));
            }
        };
        let Ok(bytes) = <[u8; KEY_LEN]>::try_from(bytes) else {
            bail!(
                "the key file {} must have exactly {KEY_LEN} bytes; restore it from a backup",
                path.display()
            );
        };
        let mode = fs::metadata(path)?.permissions().mode();
        if mode & 0o007 != 0 {
            tracing::warn!(
                file = %path.display(),
                "everybody on this machine may read the key file; set its mode to 0600"
            );
        }
        Ok(Some(Self::from_bytes(bytes)))
    }

    /// Writes the key to a file that only its owner may read. One that is there is left alone.
    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let write = || -> io::Result<()> {
            // Made with mode 0600.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&self.current.bytes)?;
            file.as_file().sync_all()?;
            match file.persist_noclobber(path) {
                Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error.error);
                }
                _ => {}
            }
            fs::File::open(folder)?.sync_all()
        };
        write().with_context(|| format!("writing the key file {}", path.display()))
    }

    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self {
            current: Master::new(bytes),
            old: Vec::new(),
        }
    }

    /// Also opens what this older key sealed.
    #[must_use]
    pub fn with_old(mut self, bytes: [u8; KEY_LEN]) -> Self {
        self.old.push(Master::new(bytes));
        self
    }

    /// Names the key without giving it away.
    pub fn id(&self) -> &str {
        &self.current.id
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.current.bytes
    }

    /// A key of its own for `purpose`, for what is signed or hashed rather than sealed.
    pub fn derive(&self, purpose: &str) -> [u8; KEY_LEN] {
        self.current.derive("derived", purpose)
    }

    /// Seals text for `purpose`, a fixed string of the program.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> String {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).expect("the system's random source answers");
        let sealed = self
            .current
            .cipher(purpose)
            .encrypt(&XNonce::from(nonce), plain)
            .expect("it is shorter than 256 GiB");
        let mut body = nonce.to_vec();
        body.extend(sealed);
        format!(
            "{FORM}.{}.{}",
            self.current.id,
            BASE64URL_NOPAD.encode(&body)
        )
    }

    /// Opens what [`Keys::seal`] made for the same purpose.
    pub fn open(&self, purpose: &str, text: &str) -> Result<Vec<u8>, OpenError> {
        let mut words = text.split('.');
        let (Some(FORM), Some(id), Some(body), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(OpenError::NotSealed);
        };
        let body = BASE64URL_NOPAD
            .decode(body.as_bytes())
            .map_err(|_| OpenError::Damaged)?;
        let master = std::iter::once(&self.current)
            .chain(&self.old)
            .find(|master| master.id == id)
            .ok_or_else(|| OpenError::WrongKey {
                sealed_with: id.to_owned(),
                ours: self.current.id.clone(),
            })?;
        let (nonce, sealed) = body
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(OpenError::Damaged)?;
        master
            .cipher(purpose)
            .decrypt(&XNonce::from(*nonce), sealed)
            .map_err(|_| OpenError::Damaged)
    }
}

impl Master {
    fn new(bytes: [u8; KEY_LEN]) -> Self {
        let id = blake3::derive_key("lyceum 2026 id of a master key", &bytes);
        Self {
            id: HEXLOWER.encode(&id[..6]),
            bytes,
        }
    }

    fn derive(&self, family: &str, purpose: &str) -> [u8; KEY_LEN] {
        blake3::derive_key(&format!("lyceum 2026 {family} {purpose}"), &self.bytes)
    }

    fn cipher(&self, purpose: &str) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(self.derive("sealed", purpose)))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.current.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_text_opens_for_its_purpose_alone() {
        let keys = Keys::from_bytes([1; 32]);
        let text = keys.seal("otp", b"secret");
        assert_ne!(text, keys.seal("otp", b"secret"), "a fresh nonce each time");
        assert_eq!(keys.open("otp", &text).unwrap(), b"secret");
        assert_eq!(keys.open("oidc", &text), Err(OpenError::Damaged));
        assert_eq!(keys.open("otp", &keys.seal("otp", b"")).unwrap(), b"");
    }

    #[test]
    fn a_wrong_key_is_named_and_an_old_one_still_opens() {
        let text = Keys::from_bytes([1; 32]).seal("otp", b"secret");
        let new = Keys::from_bytes([2; 32]);
        let error = new.open("otp", &text).unwrap_err();
        assert!(matches!(error, OpenError::WrongKey { .. }));
        assert!(error.to_string().contains(Keys::from_bytes([1; 32]).id()));
        let both = new.with_old([1; 32]);
        assert_eq!(both.open("otp", &text).unwrap(), b"secret");
        assert_ne!(
            both.seal("otp", b"x").split('.').nth(1),
            text.split('.').nth(1)
        );
    }

    #[test]
    fn changed_text_does_not_open() {
        let keys = Keys::from_bytes([1; 32]);
        let text = keys.seal("otp", b"secret");
        for at in text.rfind('.').unwrap() + 1..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(keys.open("otp", &changed), Err(OpenError::Damaged), "{at}");
        }
        for strange in [
            "",
            "secret",
            "sealed1",
            "sealed1.x",
            "sealed2.a.b",
            "sealed1.a.b.c",
        ] {
            assert_eq!(keys.open("otp", strange), Err(OpenError::NotSealed));
        }
        let short = format!("sealed1.{}.AAAA", keys.id());
        assert_eq!(keys.open("otp", &short), Err(OpenError::Damaged));
    }

    #[test]
    fn keys_do_not_print() {
        let keys = Keys::from_bytes([7; 32]);
        assert!(!format!("{keys:?}").contains("07"), "{keys:?}");
        assert_ne!(keys.derive("a"), keys.derive("b"));
    }

    #[test]
    fn a_key_file_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || Keys::load_or_create(&path).unwrap().id().to_owned())
            })
            .collect();
        let ids: Vec<String> = makers.into_iter().map(|m| m.join().unwrap()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(&path, b"short").unwrap();
        assert!(Keys::load_or_create(&path).is_err());
    }
}
