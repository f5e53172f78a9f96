//! An error with its causes, in one line.

use std::error::Error;

/// Each cause once: many errors end in the words of what caused them, and would be told twice.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let words = error.to_string();
        if !parts.last().is_some_and(|last| last.ends_with(&words)) {
            parts.push(words);
        }
        next = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Link {
        words: &'static str,
        source: Option<Box<Link>>,
    }

    #[test]
    fn what_an_error_has_said_its_cause_does_not_say_again() {
        let check = |words: &[&'static str], expect: &str| {
            let chain = words
                .iter()
                .rev()
                .fold(None, |source, words| Some(Box::new(Link { words, source })));
            assert_eq!(told(&*chain.expect("one")), expect);
        };
        check(&["no route"], "no route");
        check(&["refused", "refused"], "refused");
        check(
            &["connecting", "I/O error: refused", "refused"],
            "connecting: I/O error: refused",
        );
    }
}
