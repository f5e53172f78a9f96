//! What a class hands in: a notebook of one's own beside data that all were given, 323 KB together.
//! Made up of a row of numbers, so that it is the same in each run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;

/// The data that were handed out, the picture in the notebook, and what somebody writes, in bytes.
const DATA: usize = 200_000;
const PICTURE: usize = 75_000;
const OWN: usize = 22_000;

pub(super) struct Class {
    data: Arc<Vec<u8>>,
    /// As it stands in a notebook.
    picture: String,
}

/// Files by path.
pub(super) struct Submission(Vec<(&'static str, Arc<Vec<u8>>)>);

impl Class {
    pub(super) fn new() -> Self {
        let mut numbers = Numbers(7);
        let mut data = String::from("time,voltage,current\n");
        while data.len() < DATA {
            let (a, b) = (numbers.next() % 100_000, numbers.next() % 1_000);
            data += &format!("{}.{:03},{a},{b}\n", data.len() / 20, a % 1_000);
        }
        data.truncate(DATA);
        let picture: Vec<u8> = std::iter::repeat_with(|| numbers.byte())
            .take(PICTURE)
            .collect();
        Self {
            data: Arc::new(data.into_bytes()),
            picture: STANDARD.encode(picture),
        }
    }

    /// What one of them hands in in a round.
    pub(super) fn of(&self, round: usize, student: usize) -> Submission {
        let mut numbers = Numbers(1 + 1_000_003 * round as u64 + student as u64);
        let mut own = String::new();
        while own.len() < OWN {
            own += WORDS[numbers.index(WORDS.len())];
            own += if numbers.index(12) == 0 { ".\\n" } else { " " };
            if numbers.index(20) == 0 {
                own += &format!("{} ", numbers.next() % 10_000);
            }
        }
        own.truncate(OWN);
        Submission(vec![
            (
                "ps1.ipynb",
                Arc::new(self.notebook(own.trim_end_matches('\\')).into_bytes()),
            ),
            ("data/measured.csv", self.data.clone()),
        ])
    }

    pub(super) fn handed_out(&self) -> Submission {
        Submission(vec![
            (
                "ps1.ipynb",
                Arc::new(self.notebook("Write here.").into_bytes()),
            ),
            ("data/measured.csv", self.data.clone()),
        ])
    }

    fn notebook(&self, own: &str) -> String {
        format!(
            "{{\"cells\": [{{\"cell_type\": \"markdown\", \"metadata\": {{}}, \"attachments\": {{\"circuit.png\": {{\"image/png\": \"{}\"}}}}, \"source\": \"![](attachment:circuit.png)\"}}, {{\"cell_type\": \"markdown\", \"metadata\": {{\"nbgrader\": {{\"grade\": true, \"grade_id\": \"a1\", \"points\": 5, \"solution\": true}}}}, \"source\": \"{own}\"}}], \"metadata\": {{}}, \"nbformat\": 4, \"nbformat_minor\": 5}}",
            self.picture
        )
    }
}

/// One small file.
pub(super) fn note(text: &str) -> Submission {
    Submission(vec![("note.txt", Arc::new(text.as_bytes().to_vec()))])
}

/// One file of bytes that can't be made smaller.
pub(super) fn large(bytes: usize) -> Submission {
    let mut numbers = Numbers(11);
    let mut content = Vec::with_capacity(bytes + 8);
    while content.len() < bytes {
        content.extend_from_slice(&numbers.next().to_le_bytes());
    }
    content.truncate(bytes);
    Submission(vec![("large.bin", Arc::new(content))])
}

impl Submission {
    pub(super) fn size(&self) -> usize {
        self.0.iter().map(|(_, content)| content.len()).sum()
    }

    /// As the field `files` of nbgrader's client.
    pub(super) fn as_sent(&self) -> String {
        let files = self.0.iter().map(|(path, content)| {
            serde_json::json!({"path": path, "content": STANDARD.encode(content.as_slice())})
        });
        serde_json::Value::from(files.collect::<Vec<_>>()).to_string()
    }

    pub(super) fn first(&self) -> &[u8] {
        self.0.first().map_or(&[], |(_, content)| content)
    }

    pub(super) fn is(&self, files: &[(String, Vec<u8>)]) -> bool {
        let mut own: Vec<_> = self
            .0
            .iter()
            .map(|(path, content)| (*path, content.as_slice()))
            .collect();
        let mut given: Vec<_> = files
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_slice()))
            .collect();
        own.sort_unstable();
        given.sort_unstable();
        own == given
    }
}

/// Marsaglia's xorshift: the same numbers in each run.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    fn index(&mut self, below: usize) -> usize {
        ((self.next() >> 11) % below as u64) as usize
    }
}

const WORDS: [&str; 24] = [
    "the",
    "signal",
    "filter",
    "is",
    "of",
    "current",
    "a",
    "voltage",
    "because",
    "stable",
    "pole",
    "and",
    "response",
    "frequency",
    "we",
    "measured",
    "then",
    "noise",
    "spectrum",
    "at",
    "higher",
    "than",
    "expected",
    "phase",
];
