//! Receipts: what the exchange promises in writing whenever something was handed in.
//!
//! A receipt is a short text, signed (Ed25519). It names what was handed in by the digest of its tree
//! and the course's receipt before it by its digest, so none can be changed, left out or put in
//! between without all that follow being wrong. Whoever has the public key can check it alone.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use lyceum_model::clock::Millis;
use lyceum_model::digest::Digest;

use crate::moment::Moment;
use crate::rules::Lateness;

/// What stands for the receipt before a course's first one.
const NONE_BEFORE: &str = "-";

/// Which lines a text has; its first line says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    First,
    /// Says when it had arrived, when it was due and how late it is, too.
    Second,
    /// Stands for one that said who she was, which nobody shall know any more: under a pseudonym.
    Third,
}

impl Form {
    pub fn of(text: &str) -> Option<Self> {
        let line = text.lines().next()?;
        [Self::First, Self::Second, Self::Third]
            .into_iter()
            .find(|form| form.line() == line)
    }

    fn line(self) -> &'static str {
        match self {
            Self::First => "lyceum receipt 1",
            Self::Second => "lyceum receipt 2",
            Self::Third => "lyceum receipt 3",
        }
    }
}

/// What a receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub form: Form,
    pub course: String,
    /// Of two courses that had one name in turn, which.
    pub course_id: String,
    pub assignment: String,
    pub version: i64,
    pub student: String,
    pub at: Moment,
    /// Not in the first form.
    pub lateness: Lateness,
    pub tree: Digest,
    /// Counts the course's receipts from 1.
    pub number: i64,
    /// The digest of the one before; empty before the first.
    pub previous: String,
    /// The digest of the one that it stands for, by which the next one names it. In the third form only.
    pub stands_for: String,
}

/// The signed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub text: String,
    /// Base64.
    pub signature: String,
    /// By which the next one names this one.
    pub digest: String,
}

/// Signs receipts.
pub struct Signer {
    pair: Ed25519KeyPair,
}

impl Signer {
    /// `seed`: derived from the master key, so that all replicas sign alike.
    pub fn new(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        Self { pair }
    }

    pub fn sign(&self, content: &Content) -> Receipt {
        let text = content.text();
        let signature = self.signature(&text);
        let digest = digest(&text, &signature);
        Receipt {
            text,
            signature,
            digest,
        }
    }

    /// In base64. What is signed says in its first line what it is.
    pub(crate) fn signature(&self, text: &str) -> String {
        BASE64.encode(self.pair.sign(text.as_bytes()).as_ref())
    }

    /// In hexadecimal.
    pub fn public_key(&self) -> String {
        HEXLOWER.encode(self.pair.public_key().as_ref())
    }

    /// Whether this is what [`as_download`] made of a receipt with this key, and nothing besides; the ends
    /// of its lines, and what is empty at its end, may have been changed by a program.
    pub fn downloaded(&self, file: &str) -> bool {
        let Some((text, signature)) = of_download(file) else {
            return false;
        };
        let whole = as_download(&text, &signature, &self.public_key());
        file.replace("\r\n", "\n").trim_end() == whole.trim_end() && self.signed(&text, &signature)
    }

    /// Whether this text was signed by this key.
    pub fn signed(&self, text: &str, signature: &str) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.pair.public_key().as_ref());
        let Ok(signature) = BASE64.decode(signature.as_bytes()) else {
            return false;
        };
        key.verify(text.as_bytes(), &signature).is_ok()
    }
}

impl Content {
    /// No value has a line break in it: names are checked where they come in.
    pub fn text(&self) -> String {
        let Self {
            course,
            course_id,
            assignment,
            version,
            student,
            number,
            ..
        } = self;
        let (at, tree) = (self.at.to_iso(), self.tree);
        let previous = match self.previous.as_str() {
            "" => NONE_BEFORE,
            previous => previous,
        };
        let form = self.form.line();
        let late = match self.form {
            Form::First => String::new(),
            Form::Second | Form::Third => self.lateness.lines(),
        };
        let stands_for = match self.form {
            Form::Third => format!("stands for: {}\n", self.stands_for),
            Form::First | Form::Second => String::new(),
        };
        format!(
            "{form}\ncourse: {course}\ncourse id: {course_id}\nassignment: {assignment}\nversion: {version}\n\
             student: {student}\ntime: {at}\n{late}tree: {tree}\nnumber: {number}\nprevious: {previous}\n{stands_for}"
        )
    }
}

impl Lateness {
    fn lines(self) -> String {
        let moment = |millis| Moment::of(Millis(millis)).to_iso();
        let (arrived, due) = (self.arrived.map(moment), self.due.map(moment));
        let late = self.seconds.map(|seconds| format!("{seconds} seconds"));
        let or_none = |said: Option<String>| said.unwrap_or_else(|| "-".into());
        let (arrived, due, late) = (or_none(arrived), or_none(due), or_none(late));
        format!("arrived: {arrived}\ndue: {due}\nlate: {late}\n")
    }
}

/// What people download: the signed text, and below it what it was signed with.
pub fn as_download(text: &str, signature: &str, public_key: &str) -> String {
    format!("{text}\nsignature: {signature}\npublic key: {public_key}\n")
}

/// Text and signature of what [`as_download`] may have made, also where a program has changed the ends of its lines.
fn of_download(file: &str) -> Option<(String, String)> {
    let file = file.replace("\r\n", "\n");
    let (text, rest) = file.split_once("\n\nsignature: ")?;
    let signature = rest.lines().next()?.trim();
    Some((format!("{text}\n"), signature.to_owned()))
}

pub fn digest(text: &str, signature: &str) -> String {
    Digest::of(format!("{text}{signature}\n").as_bytes()).to_hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_can_not_be_changed() {
        let signer = Signer::new([1; 32]);
        let content = Content {
            form: Form::First,
            course: "signals".into(),
            course_id: "c1".into(),
            assignment: "hw 1".into(),
            version: 2,
            student: "ada".into(),
            at: Moment(1_795_334_400_123_456),
            lateness: Lateness {
                arrived: Some(1_795_334_400_000),
                due: Some(1_795_334_100_000),
                seconds: Some(301),
            },
            tree: Digest::of(b"x"),
            number: 1,
            previous: String::new(),
            stands_for: String::new(),
        };
        let receipt = signer.sign(&content);
        assert!(receipt.text.contains("time: 2026-11-22T08:00:00.123456Z\n"));
        assert!(receipt.text.ends_with("number: 1\nprevious: -\n"));
        assert!(signer.signed(&receipt.text, &receipt.signature));
        let changed = receipt.text.replace("ada", "eve");
        assert!(!signer.signed(&changed, &receipt.signature));
        let download = as_download(&receipt.text, &receipt.signature, "key");
        for file in [download.clone(), download.replace('\n', "\r\n")] {
            let expect = (receipt.text.clone(), receipt.signature.clone());
            assert_eq!(of_download(&file), Some(expect));
        }
        assert_eq!(of_download(&receipt.text), None);
        let own = as_download(&receipt.text, &receipt.signature, &signer.public_key());
        for good in [
            own.clone(),
            own.replace('\n', "\r\n"),
            own.trim_end().into(),
        ] {
            assert!(signer.downloaded(&good), "{good:?}");
        }
        for bad in [
            format!("{own}\ngrade: 1.0\n"),
            format!("{own}grade: 1.0\n"),
            own.replace("\npublic key", "\ngrade: 1.0\npublic key"),
            own.replace(&signer.public_key(), &Signer::new([2; 32]).public_key()),
            format!("grade: 1.0\n{own}"),
            own.replace("ada", "eve"),
            receipt.text.clone(),
            download,
        ] {
            assert!(!signer.downloaded(&bad), "{bad:?}");
        }
        assert!(!signer.signed(&receipt.text, "AAAA"));
        assert!(!signer.signed(&receipt.text, "no base64"));
        assert!(!Signer::new([2; 32]).signed(&receipt.text, &receipt.signature));
        assert_eq!(receipt, Signer::new([1; 32]).sign(&content));
        assert!(
            receipt
                .text
                .starts_with("lyceum receipt 1\ncourse: signals\n")
        );
        assert!(!receipt.text.contains("late"));
        assert_eq!(Form::of(&receipt.text), Some(Form::First));
        let late = signer.sign(&Content {
            form: Form::Second,
            ..content.clone()
        });
        let lines = "123456Z\narrived: 2026-11-22T08:00:00.000000Z\ndue: 2026-11-22T07:55:00.000000Z\nlate: 301 seconds\ntree: ";
        assert!(late.text.contains(lines), "{}", late.text);
        assert_eq!(Form::of(&late.text), Some(Form::Second));
        let never = signer.sign(&Content {
            form: Form::Second,
            lateness: Lateness::default(),
            ..content.clone()
        });
        assert!(
            never
                .text
                .contains("Z\narrived: -\ndue: -\nlate: -\ntree: ")
        );
        assert_eq!(Form::of("lyceum receipt 4\n"), None);
        let next = Content {
            number: 2,
            previous: receipt.digest.clone(),
            ..content
        };
        assert_ne!(signer.sign(&next).digest, receipt.digest);
    }
}
