//! Which form of a text fits a number, by language: the rules of Unicode's CLDR for whole numbers.

/// The forms that a language has, in CLDR's order; each has `other`.
pub type Forms = &'static [&'static str];

const OTHER: Forms = &["other"];
const TWO: Forms = &["one", "other"];

/// The forms of a language, by its tag.
pub fn forms(tag: &str) -> Forms {
    match primary(tag) {
        "id" | "ja" | "ko" | "lo" | "ms" | "my" | "th" | "vi" | "yo" | "yue" | "zh" => OTHER,
        "be" | "pl" | "ru" | "uk" => &["one", "few", "many", "other"],
        "bs" | "cs" | "hr" | "lt" | "ro" | "sk" | "sr" => &["one", "few", "other"],
        "lv" => &["zero", "one", "other"],
        "he" => &["one", "two", "other"],
        "sl" => &["one", "two", "few", "other"],
        "ga" => &["one", "two", "few", "many", "other"],
        "ar" | "cy" => &["zero", "one", "two", "few", "many", "other"],
        _ => TWO,
    }
}

/// The form for a number; one of [`forms`].
pub fn form(tag: &str, n: i64) -> &'static str {
    let n = n.unsigned_abs();
    let (tens, hundreds) = (n % 10, n % 100);
    let teens = (11..=19).contains(&hundreds);
    match primary(tag) {
        "id" | "ja" | "ko" | "lo" | "ms" | "my" | "th" | "vi" | "yo" | "yue" | "zh" => "other",
        "am" | "as" | "bn" | "fa" | "fr" | "gu" | "hi" | "hy" | "kn" | "pa" | "zu" => match n {
            0 | 1 => "one",
            _ => "other",
        },
        "pt" if !tag.eq_ignore_ascii_case("pt-pt") => match n {
            0 | 1 => "one",
            _ => "other",
        },
        "be" | "ru" | "uk" => match (tens, hundreds) {
            (1, _) if hundreds != 11 => "one",
            (2..=4, _) if !(12..=14).contains(&hundreds) => "few",
            _ => "many",
        },
        "bs" | "hr" | "sr" => match (tens, hundreds) {
            (1, _) if hundreds != 11 => "one",
            (2..=4, _) if !(12..=14).contains(&hundreds) => "few",
            _ => "other",
        },
        "pl" => match n {
            1 => "one",
            _ if (2..=4).contains(&tens) && !(12..=14).contains(&hundreds) => "few",
            _ => "many",
        },
        "cs" | "sk" => match n {
            1 => "one",
            2..=4 => "few",
            _ => "other",
        },
        "lt" => match tens {
            1 if !teens => "one",
            2..=9 if !teens => "few",
            _ => "other",
        },
        "lv" => match tens {
            0 => "zero",
            _ if teens => "zero",
            1 => "one",
            _ => "other",
        },
        "ro" => match n {
            1 => "one",
            0 => "few",
            _ if (1..=19).contains(&hundreds) => "few",
            _ => "other",
        },
        "he" => match n {
            1 => "one",
            2 => "two",
            _ => "other",
        },
        "sl" => match hundreds {
            1 => "one",
            2 => "two",
            3 | 4 => "few",
            _ => "other",
        },
        "ga" => match n {
            1 => "one",
            2 => "two",
            3..=6 => "few",
            7..=10 => "many",
            _ => "other",
        },
        "ar" => match (n, hundreds) {
            (0, _) => "zero",
            (1, _) => "one",
            (2, _) => "two",
            (_, 3..=10) => "few",
            (_, 11..=99) => "many",
            _ => "other",
        },
        "cy" => match n {
            0 => "zero",
            1 => "one",
            2 => "two",
            3 => "few",
            6 => "many",
            _ => "other",
        },
        "is" | "mk" => match (tens, hundreds) {
            (1, _) if hundreds != 11 => "one",
            _ => "other",
        },
        _ => match n {
            1 => "one",
            _ => "other",
        },
    }
}

fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_by_number() {
        let check = |tag: &str, expect: &[(i64, &str)]| {
            for (n, form_of) in expect {
                assert_eq!(form(tag, *n), *form_of, "{tag} {n}");
                assert!(forms(tag).contains(form_of), "{tag}");
            }
        };
        check("en", &[(0, "other"), (1, "one"), (21, "other")]);
        check("fr", &[(0, "one"), (1, "one"), (2, "other")]);
        check("pt-BR", &[(0, "one"), (2, "other")]);
        check("pt-PT", &[(0, "other"), (1, "one")]);
        check("ja", &[(1, "other")]);
        check(
            "ru",
            &[
                (1, "one"),
                (11, "many"),
                (21, "one"),
                (22, "few"),
                (12, "many"),
            ],
        );
        check(
            "pl",
            &[
                (1, "one"),
                (21, "many"),
                (22, "few"),
                (12, "many"),
                (0, "many"),
            ],
        );
        check("cs", &[(1, "one"), (4, "few"), (5, "other")]);
        check(
            "lt",
            &[
                (1, "one"),
                (11, "other"),
                (12, "other"),
                (22, "few"),
                (20, "other"),
            ],
        );
        check(
            "lv",
            &[(0, "zero"), (11, "zero"), (21, "one"), (2, "other")],
        );
        check(
            "ro",
            &[
                (1, "one"),
                (0, "few"),
                (19, "few"),
                (20, "other"),
                (101, "few"),
            ],
        );
        check(
            "sl",
            &[(101, "one"), (2, "two"), (104, "few"), (5, "other")],
        );
        check(
            "ar",
            &[
                (0, "zero"),
                (2, "two"),
                (103, "few"),
                (11, "many"),
                (100, "other"),
            ],
        );
        check("cy", &[(6, "many"), (7, "other")]);
        check("ga", &[(6, "few"), (10, "many"), (11, "other")]);
    }

    /// Whatever a number is, its form is one that a file may have.
    #[test]
    fn every_form_is_among_those_of_its_language() {
        let tags = "en fr ru pl cs lt lv ro he sl ga ar cy is hr ja pt";
        for tag in tags.split(' ') {
            for n in 0..300 {
                assert!(forms(tag).contains(&form(tag, n)), "{tag} {n}");
            }
        }
    }
}
