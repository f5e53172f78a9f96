//! Where a secret comes from. The file of a configuration never holds one itself, so that it can
//! be shown, kept in version control and mounted from a ConfigMap.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lyceum_model::secret::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A secret is a line, a key or a certificate, never more than this.
const MAX_BYTES: u64 = 64 * 1024;

/// `file:PATH` (relative to the configuration file) or `env:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    File(PathBuf),
    Env(String),
}

/// Never repeats what was written: it may be the secret.
const PLAIN: &str = "a secret does not stand in this file; \
     put it in a file or a variable and write `file:PATH` or `env:NAME`";

impl SecretRef {
    /// Fetches a secret that may be other than text, as it is.
    pub fn resolve_bytes(&self, folder: &Path) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => read(&folder.join(path)),
            Self::Env(_) => self.resolve(folder).map(|text| text.expose().into()),
        }
    }

    /// Fetches the secret; surrounding line ends are not part of it.
    pub fn resolve(&self, folder: &Path) -> Result<Secret, String> {
        let text = match self {
            Self::Env(name) => std::env::var(name)
                .map_err(|_| format!("the environment variable `{name}` is not set"))?,
            Self::File(path) => String::from_utf8(read(&folder.join(path))?).map_err(|_| {
                format!("the file {} can't be read: it is not text", path.display())
            })?,
        };
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            return Err(format!("the secret at `{self}` is empty"));
        }
        Ok(Secret::new(text))
    }
}

/// A file's content, within bounds.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("the file {} can't be read: {error}", path.display()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!(
            "the file {} is too large for a secret",
            path.display()
        ));
    }
    Ok(bytes)
}

impl FromStr for SecretRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Self::File(path.into()));
        }
        let is_name = |name: &&str| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !name.as_bytes()[0].is_ascii_digit()
        };
        match text.strip_prefix("env:").filter(is_name) {
            Some(name) => Ok(Self::Env(name.into())),
            None => Err(PLAIN.into()),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = SecretRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`file:PATH` or `env:NAME`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretRef, E> {
                text.parse().map_err(E::custom)
            }
            // A numeric password is one too: it must not be repeated.
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretRef, E> {
                Err(E::custom(PLAIN))
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretRef, E> {
                Err(E::custom(PLAIN))
            }
        }
        from.deserialize_any(Text)
    }
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$",
            "description": "Where the secret is: `file:PATH` or `env:NAME`."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_refused_and_not_repeated() {
        for plain in [
            "hunter2",
            "postgres://a:hunter2@db/x",
            "env:",
            "env:hunter2 x",
            "file:",
            "env:2hunter2",
        ] {
            let error = plain.parse::<SecretRef>().expect_err("plain");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_secret_comes_from_a_file_without_its_line_end() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("key"), " s3cret \r\n").expect("written");
        let check = |text: &str| {
            text.parse::<SecretRef>()
                .expect("good")
                .resolve(folder.path())
        };
        assert_eq!(check("file:key"), Ok(Secret::new(" s3cret ")));
        let gone = check("file:gone").expect_err("no such file");
        assert!(gone.contains("gone can't be read"), "{gone}");
        std::fs::write(folder.path().join("empty"), "\n").expect("written");
        assert_eq!(
            check("file:empty"),
            Err("the secret at `file:empty` is empty".into())
        );
        std::fs::write(folder.path().join("big"), "x".repeat(70_000)).expect("written");
        assert!(check("file:big").is_err());
        assert_eq!(
            check("env:LYCEUM_TEST_NOT_SET"),
            Err("the environment variable `LYCEUM_TEST_NOT_SET` is not set".into())
        );
    }
}
