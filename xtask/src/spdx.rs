//! Licence expressions as crates declare them (`MIT OR Apache-2.0`, also with
//! the old `/`), and whether a list of allowed licences satisfies one.

use anyhow::{Result, bail};

/// Whether the expression can be met with allowed licences only.
pub(crate) fn is_allowed(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader {
        words: &words,
        allowed,
    };
    let verdict = reader.any_of()?;
    match reader.words {
        [] => Ok(verdict),
        [word, ..] => bail!("licence expression `{expression}`: unexpected `{word}`"),
    }
}

struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    fn take(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    fn any_of(&mut self) -> Result<bool> {
        let mut verdict = self.all_of()?;
        while self.take("OR") {
            verdict |= self.all_of()?;
        }
        Ok(verdict)
    }

    fn all_of(&mut self) -> Result<bool> {
        let mut verdict = self.one()?;
        while self.take("AND") {
            verdict &= self.one()?;
        }
        Ok(verdict)
    }

    fn one(&mut self) -> Result<bool> {
        if self.take("(") {
            let verdict = self.any_of()?;
            if !self.take(")") {
                bail!("licence expression: a `)` is missing");
            }
            return Ok(verdict);
        }
        match *self.words {
            [licence, "WITH", exception, ..] => {
                self.words = &self.words[3..];
                Ok((self.allowed)(&format!("{licence} WITH {exception}")))
            }
            [licence, ..] if !matches!(licence, "AND" | "OR" | "WITH" | ")") => {
                self.words = &self.words[1..];
                Ok((self.allowed)(licence))
            }
            _ => bail!("licence expression: a licence is missing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn expressions_are_met_by_allowed_licences() {
        let allowed = |licence: &str| {
            matches!(
                licence,
                "MIT" | "Apache-2.0" | "Apache-2.0 WITH LLVM-exception"
            )
        };
        let check = |expression: &str, expect: bool| {
            assert_eq!(
                is_allowed(expression, &allowed).unwrap(),
                expect,
                "{expression}"
            );
        };
        check("MIT", true);
        check("GPL-3.0", false);
        check("GPL-3.0 OR MIT", true);
        check("GPL-3.0/MIT", true);
        check("GPL-3.0 AND MIT", false);
        check("MIT AND (GPL-3.0 OR Apache-2.0)", true);
        check("MIT OR GPL-3.0 AND ISC", true);
        check("(MIT OR GPL-3.0) AND ISC", false);
        check("Apache-2.0 WITH LLVM-exception", true);
        check("MIT WITH LLVM-exception", false);
    }

    #[test]
    fn broken_expressions_are_errors() {
        for broken in ["", "MIT OR", "(MIT", "MIT)", "MIT Apache-2.0", "AND MIT"] {
            assert!(is_allowed(broken, &|_| true).is_err(), "{broken}");
        }
    }
}
