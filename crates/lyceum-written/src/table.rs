//! Tables that people bring as files: CSV from a spreadsheet, an office or a learning platform.
//!
//! Nobody says how they were made, so it is found out: the encoding (UTF-8, UTF-16 with its mark, else
//! Windows-1252), what stands between the columns (`,` `;` tab), and whether the first line names them.
//! What is read is text; nothing in it is worked out, whatever it begins with.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// Larger than any list of people.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// More than any university has.
const MAX_ROWS: usize = 200_000;
const MAX_COLUMNS: usize = 256;
const BETWEEN: [u8; 3] = *b",;\t";
/// So many columns are named in a message.
const SHOWN: usize = 12;

/// The rows of a table, of each one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What it is called in the first line, if that names columns.
    pub name: Option<String>,
    pub cells: Vec<Cell>,
}

/// One that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub line: u64,
    pub text: String,
}

/// What columns with user names are called.
pub const NAMES: [&str; 9] = [
    "username",
    "user_name",
    "user name",
    "user",
    "login",
    "uid",
    "benutzername",
    "benutzerkennung",
    "kennung",
];

/// Reads the column that is called `wanted`, whatever its case; else one that is called as one of
/// `usual`; else the only one there is.
pub fn column(bytes: &[u8], wanted: Option<&str>, usual: &[&str]) -> Result<Column, String> {
    let mut found = Vec::new();
    let name = each(bytes, wanted, usual, &[], |row| {
        let line = row.line;
        match row.cells.into_iter().next().filter(|text| !text.is_empty()) {
            Some(text) => found.push(Cell { line, text }),
            None => return Err(format!("line {line}: nothing stands in that column")),
        }
        Ok(())
    })?;
    Ok(Column { name, cells: found })
}

/// A row of a table: what stands in the columns that were asked for, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub line: u64,
    /// Empty where nothing stands there.
    pub cells: Vec<String>,
}

/// Reads the column that [`column()`] would, and those called as in `beside`, row by row. What a cell may be
/// is the caller's business, whether it is empty, too.
pub fn rows(
    bytes: &[u8],
    wanted: Option<&str>,
    usual: &[&str],
    beside: &[&str],
) -> Result<Vec<Row>, String> {
    let mut found = Vec::new();
    each(bytes, wanted, usual, beside, |row| {
        found.push(row);
        Ok(())
    })?;
    Ok(found)
}

/// Hands on row by row; gives back what the first column is called, if it has a name.
fn each(
    bytes: &[u8],
    wanted: Option<&str>,
    usual: &[&str],
    beside: &[&str],
    mut take: impl FnMut(Row) -> Result<(), String>,
) -> Result<Option<String>, String> {
    let text = decode(bytes)?.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = Lines::of(&text);
    let rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter(&text))
        .from_reader(text.as_bytes())
        .into_records();
    let mut many = 0;
    let mut chosen: Option<(Vec<usize>, Option<String>)> = None;
    for row in rows {
        let row = row.map_err(|error| told(&error))?;
        let line = lines.number(&row);
        if row.iter().all(str::is_empty) {
            continue;
        }
        // A note, or somebody who was taken out: whichever column comes first.
        if row.get(0).is_some_and(|cell| cell.starts_with('#')) {
            continue;
        }
        if row.iter().any(|cell| cell.contains('\n')) {
            return Err(format!(
                "line {line}: a text goes on in the next line; is a quotation mark (\") missing that ends it?"
            ));
        }
        if row.len() > MAX_COLUMNS {
            return Err(format!(
                "line {line}: more than {MAX_COLUMNS} columns, which no list of people has"
            ));
        }
        if chosen.is_none() {
            let (at, name) = choose(&row, wanted, usual)?;
            let mut all = vec![at];
            for name in beside {
                let (at, _) = choose(&row, Some(name), &[])?;
                all.push(at);
            }
            let is_head = name.is_some();
            chosen = Some((all, name));
            if is_head {
                continue;
            }
        }
        if many == MAX_ROWS {
            return Err(format!("more than {MAX_ROWS} rows"));
        }
        many += 1;
        let columns = chosen.iter().flat_map(|(all, _)| all);
        let cells = columns.map(|at| row.get(*at).unwrap_or_default().to_owned());
        let cells = cells.collect();
        take(Row { line, cells })?;
    }
    let name = chosen.and_then(|(_, name)| name);
    match (wanted.or(beside.first().copied()), &name) {
        // There was no line at all.
        (Some(wanted), None) => Err(format!("it is empty, and has no column {wanted:?}")),
        _ => Ok(name),
    }
}

/// Which column is meant, and its name if this first row names columns.
fn choose(
    first: &csv::StringRecord,
    wanted: Option<&str>,
    usual: &[&str],
) -> Result<(usize, Option<String>), String> {
    let find = |name: &str| {
        let same = |cell: &str| cell.to_lowercase() == name.to_lowercase();
        first.iter().position(same)
    };
    let columns = || {
        let names: Vec<String> = first
            .iter()
            .take(SHOWN)
            .map(|cell| format!("{:?}", short(cell)))
            .collect();
        names.join(", ")
    };
    let named = |at: usize| (at, first.get(at).map(str::to_owned));
    if let Some(wanted) = wanted {
        let found = find(wanted);
        return found.map(named).ok_or_else(|| {
            format!(
                "there is no column {wanted:?}; its first line has {}",
                columns()
            )
        });
    }
    if let Some(at) = usual.iter().find_map(|name| find(name)) {
        return Ok(named(at));
    }
    match first.len() {
        1 => Ok((0, None)),
        _ => Err(format!(
            "which column is meant? Its first line has {}",
            columns()
        )),
    }
}

/// What of somebody's text is shown again.
pub fn short(text: &str) -> String {
    text.chars().take(40).filter(|c| !c.is_control()).collect()
}

/// Counts lines: the reader tells where it began to look for a row, with whatever it skipped.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    number: u64,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            number: 1,
        }
    }

    /// Of rows in their order.
    fn number(&mut self, row: &csv::StringRecord) -> u64 {
        let from = row.position().map_or(0, csv::Position::byte);
        let from = usize::try_from(from).unwrap_or(self.text.len());
        while self.at < from {
            self.step();
        }
        // Empty lines before it.
        while self.text[self.at..].starts_with('\n') {
            self.step();
        }
        self.number
    }

    /// To the beginning of the next line.
    fn step(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
        self.number += 1;
    }
}

fn told(error: &csv::Error) -> String {
    match error.position() {
        Some(position) => format!("line {}: it can't be read as a table", position.line()),
        None => "it can't be read as a table".into(),
    }
}

fn decode(bytes: &[u8]) -> Result<String, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!(
            "it is larger than {} MiB, which no list of people is",
            MAX_BYTES / 1024 / 1024
        ));
    }
    let (encoding, mark) = Encoding::for_bom(bytes).unwrap_or((UTF_8, 0));
    let bytes = &bytes[mark..];
    let text = match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => text,
        None if mark > 0 => return Err("its characters can't be read; save it as UTF-8".into()),
        // As office programs of the west write it.
        None => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    };
    match text.contains('\0') {
        true => Err("it is not a text; save it as CSV".into()),
        false => Ok(text.into_owned()),
    }
}

/// What stands most often between the first line's texts; a comma where there is nothing.
fn delimiter(text: &str) -> u8 {
    let is_said = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let first = text.lines().find(is_said).unwrap_or_default();
    let mut counts = [0_usize; 3];
    let mut quoted = false;
    for byte in first.bytes() {
        quoted ^= byte == b'"';
        if let Some(at) = BETWEEN.iter().position(|one| *one == byte && !quoted) {
            counts[at] += 1;
        }
    }
    let most = (0..3).rev().max_by_key(|at| counts[*at]);
    BETWEEN[most.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: [&str; 2] = ["username", "login"];

    fn cells(bytes: &[u8], wanted: Option<&str>) -> Result<Vec<(u64, String)>, String> {
        let read = column(bytes, wanted, &USUAL)?;
        let cells = read.cells.into_iter();
        Ok(cells.map(|cell| (cell.line, cell.text)).collect())
    }

    fn check(bytes: &[u8], wanted: Option<&str>, expect: &[(u64, &str)]) {
        let expect: Vec<(u64, String)> = (expect.iter())
            .map(|(line, text)| (*line, (*text).to_owned()))
            .collect();
        assert_eq!(cells(bytes, wanted).expect("a table"), expect);
    }

    #[test]
    fn names_are_found_however_the_file_was_made() {
        check(b"ada\nben\n", None, &[(1, "ada"), (2, "ben")]);
        check(
            b"Username\r\nada\r\n\r\nben",
            None,
            &[(2, "ada"), (4, "ben")],
        );
        check(
            b"# from the office\nName;Login\n\"Lovelace; Ada\";ada\n",
            None,
            &[(3, "ada")],
        );
        check(
            b"a,b\tc,FB02UID\n1,2\t3, ada \n",
            Some("fb02uid"),
            &[(2, "ada")],
        );
        check(
            "\u{feff}USERNAME,x\nada,=1+1\n".as_bytes(),
            None,
            &[(2, "ada")],
        );
        check(b"login\tx\nJ\xfcrgen\t1\n", None, &[(2, "Jürgen")]);
        let wide: Vec<u8> = "\u{feff}login;x\nada;1\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        check(&wide, None, &[(2, "ada")]);
        check(b"", None, &[]);
        check(
            b"# by hand\nada\n# not him\nben",
            None,
            &[(2, "ada"), (4, "ben")],
        );
        // Taken out, wherever the column with the names is.
        check(
            b"Name;Login\nLovelace;ada\n# raus;ben\n#Eve;eve\n",
            None,
            &[(2, "ada")],
        );
        check(b"login;x\n#ben;K\nada;L\n", None, &[(3, "ada")]);
    }

    #[test]
    fn columns_beside_the_names_come_along() {
        let read = |text: &str| {
            let rows = rows(text.as_bytes(), None, &USUAL, &["Role"])?;
            let rows = rows.into_iter().map(|row| (row.line, row.cells.join("|")));
            Ok::<_, String>(rows.collect::<Vec<_>>())
        };
        let expect = vec![
            (2, "ada|tutor".to_owned()),
            (3, "|x".into()),
            (4, "ben|".into()),
        ];
        let text = "role;x;login\ntutor;1;ada\nx;2\n;;ben\n";
        assert_eq!(read(text), Ok(expect));
        for (text, words) in [
            ("login,x\nada,1\n", "no column \"Role\""),
            ("ada\n", "no column \"Role\""),
            ("", "no column \"Role\""),
        ] {
            let said = read(text).expect_err(text);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let refused = |bytes: &[u8], wanted: Option<&str>, words: &str| {
            let said = cells(bytes, wanted).expect_err("a mistake");
            assert!(said.contains(words), "{said}");
        };
        refused(
            b"Surname,First name\nLovelace,Ada\n",
            None,
            "\"Surname\", \"First name\"",
        );
        refused(b"login,x\nada,1\n", Some("uid"), "no column \"uid\"");
        refused(b"", Some("uid"), "empty");
        // A hole in a list of people lets somebody in.
        refused(b"x,login\n1\n2,ben\n", None, "line 2: nothing stands");
        refused(b"login;x\n;1\n", None, "line 2: nothing stands");
        refused(
            b"x;login\nada;\"Ada\neve;Eve\n",
            None,
            "line 2: a text goes on",
        );
        refused(b"ada\0ben", None, "not a text");
        refused(&[b'a'; MAX_BYTES as usize + 1], None, "larger than 16 MiB");
        refused("x\n".repeat(MAX_ROWS + 1).as_bytes(), None, "rows");
        refused(
            ",".repeat(MAX_COLUMNS + 1).replace(",", "a,").as_bytes(),
            None,
            "columns",
        );
        refused(b"\xff\xfea", None, "UTF-8");
    }
}
