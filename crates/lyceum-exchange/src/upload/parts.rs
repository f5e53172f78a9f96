//! Files as the parts of a multipart form. The path of a file is the name of its part, or the name
//! that it has where somebody chose it.

use std::collections::VecDeque;

use super::files::{FILES_MAX, Mistake, Output};
use crate::tree::FilePath;

#[derive(Default)]
pub struct PartsReader {
    path: Option<FilePath>,
    /// This part is no file.
    skips: bool,
    files: usize,
    output: VecDeque<Output>,
    mistake: Option<Mistake>,
}

impl PartsReader {
    /// A part that is read over.
    pub fn skip(&mut self) {
        (self.skips, self.path) = (true, None);
    }

    pub fn begin(&mut self, name: &str) {
        self.skips = false;
        self.files += 1;
        self.path = FilePath::parse(name);
        if self.path.is_none() {
            self.wrong(Mistake::Path);
        } else if self.files > FILES_MAX {
            self.wrong(Mistake::TooMany);
        }
    }

    pub fn data(&mut self, bytes: &[u8]) {
        if self.mistake.is_none() && !self.skips && !bytes.is_empty() {
            self.output.push_back(Output::Content(bytes.to_vec()));
        }
    }

    pub fn end(&mut self) {
        if let Some(path) = self.path.take().filter(|_| self.mistake.is_none()) {
            self.output.push_back(Output::File(path));
        }
    }

    /// What has come out since this was last asked.
    pub fn take(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    pub fn finish(&self) -> Result<(), Mistake> {
        self.mistake.map_or(Ok(()), Err)
    }

    /// The first mistake counts.
    fn wrong(&mut self, mistake: Mistake) {
        self.mistake.get_or_insert(mistake);
        self.output.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_files() {
        let mut reader = PartsReader::default();
        reader.begin("d/a.ipynb");
        reader.data(b"he");
        reader.data(b"");
        reader.data(b"llo");
        reader.end();
        reader.begin("b");
        reader.end();
        reader.skip();
        reader.data(b"token");
        reader.end();
        let path = |text: &str| Output::File(FilePath::parse(text).expect("a path"));
        let content = |text: &[u8]| Output::Content(text.to_vec());
        let expect = [
            content(b"he"),
            content(b"llo"),
            path("d/a.ipynb"),
            path("b"),
        ];
        let told: Vec<Output> = std::iter::from_fn(|| reader.take()).collect();
        assert_eq!(told, expect);
        assert_eq!(reader.finish(), Ok(()));
        reader.begin("../a");
        reader.data(b"x");
        reader.end();
        reader.begin("c");
        reader.end();
        assert_eq!(reader.take(), None);
        assert_eq!(reader.finish(), Err(Mistake::Path));
    }

    #[test]
    fn there_is_an_end_to_how_many() {
        let mut reader = PartsReader::default();
        for n in 0..=FILES_MAX {
            assert_eq!(reader.finish(), Ok(()));
            reader.begin(&n.to_string());
            reader.end();
        }
        assert_eq!(reader.finish(), Err(Mistake::TooMany));
    }
}
