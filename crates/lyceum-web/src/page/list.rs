//! Long lists: what is asked of one, and the links that ask for the same a little different. All of
//! it is in the URL. The pieces of templates for them are in `lists.html`.

use std::borrow::Cow;

use super::contexts::admin::{Choice, Column, Listing};
use lyceum_model::base::BasePath;
use serde::Deserialize;

/// Rows on one page, if nothing else is asked for.
const USUAL: i64 = 50;
const MOST: i64 = 200;
/// Characters of a search.
const LONGEST: usize = 128;

/// The query of any page with a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    pub q: String,
    pub sort: String,
    pub state: String,
    pub role: String,
    pub kind: String,
    /// Where a name is looked for, if there are several places.
    pub side: String,
    /// Of a group.
    pub name: String,
    pub offset: Option<i64>,
    pub limit: Option<i64>,
    /// What a form has done that led here, and for how many.
    pub done: String,
    pub n: Option<u64>,
    pub refused: Option<u64>,
}

/// What is asked of a list. What makes no sense is as good as not said.
pub struct Asked {
    base: BasePath,
    path: Cow<'static, str>,
    kept: Vec<(&'static str, String)>,
    filters: Vec<Choice>,
    pub q: String,
    /// The column, and whether it goes down.
    sort: (&'static str, bool),
    first_sort: (&'static str, bool),
    pub offset: i64,
    pub limit: i64,
}

impl Asked {
    /// `columns` are those it can be sorted by; the first is usual, with `-` before it downwards.
    pub fn read(
        base: BasePath,
        path: impl Into<Cow<'static, str>>,
        query: &ListQuery,
        columns: &[&'static str],
    ) -> Self {
        let parted = |text: &str| text.starts_with('-');
        let first = columns.first().copied().unwrap_or_default();
        let first_sort = (first.trim_start_matches('-'), parted(first));
        let wanted = query.sort.trim_start_matches('-');
        let found = columns
            .iter()
            .map(|column| column.trim_start_matches('-'))
            .find(|column| *column == wanted);
        Self {
            base,
            path: path.into(),
            kept: Vec::new(),
            filters: Vec::new(),
            q: clean(&query.q),
            sort: found.map_or(first_sort, |column| (column, parted(&query.sort))),
            first_sort,
            offset: query.offset.unwrap_or(0).max(0),
            limit: query.limit.unwrap_or(USUAL).clamp(1, MOST),
        }
    }

    /// Something that each link has to hand on.
    #[must_use]
    pub fn keep(mut self, key: &'static str, value: &str) -> Self {
        self.kept.push((key, value.to_owned()));
        self
    }

    /// One way to narrow it down; the first option is the usual one.
    #[must_use]
    pub fn filter(
        mut self,
        name: &'static str,
        given: &str,
        options: &'static [&'static str],
    ) -> Self {
        let value = options.iter().find(|option| **option == given);
        let value = value.or(options.first()).copied().unwrap_or_default();
        self.filters.push(Choice {
            name,
            value: value.to_owned(),
            options: options.to_vec(),
        });
        self
    }

    /// What one of the filters says; nothing if this list has none of that name.
    pub fn value(&self, name: &str) -> &str {
        let found = self.filters.iter().find(|filter| filter.name == name);
        found.map_or("", |filter| &filter.value)
    }

    pub fn sort(&self) -> (&'static str, bool) {
        self.sort
    }

    /// Behind the end of the list is its last page.
    pub fn settle(&mut self, total: i64) {
        if self.offset >= total {
            self.offset = (total - 1).max(0) / self.limit * self.limit;
        }
    }

    /// The rows of this page, of all that match, in their order.
    pub fn page_of<Row: Clone>(&mut self, all: &[Row]) -> Vec<Row> {
        self.settle(i64::try_from(all.len()).unwrap_or(i64::MAX));
        let [offset, limit] = [self.offset, self.limit].map(|n| usize::try_from(n).unwrap_or(0));
        all.iter().skip(offset).take(limit).cloned().collect()
    }

    fn url(&self, path: &str, sort: (&str, bool), offset: i64) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in &self.kept {
            query.append_pair(key, value);
        }
        if !self.q.is_empty() {
            query.append_pair("q", &self.q);
        }
        for filter in &self.filters {
            if filter
                .options
                .first()
                .is_none_or(|first| filter.value != *first)
            {
                query.append_pair(filter.name, &filter.value);
            }
        }
        if sort != self.first_sort {
            query.append_pair("sort", &sort_text(sort));
        }
        if self.limit != USUAL {
            query.append_pair("limit", &self.limit.to_string());
        }
        if offset > 0 {
            query.append_pair("offset", &offset.to_string());
        }
        let query = query.finish();
        match query.is_empty() {
            true => self.base.at(path),
            false => self.base.at(&format!("{path}?{query}")),
        }
    }

    /// The page as its template has it. `columns` are those that are shown, and whether it can be
    /// sorted by them; `csv` is where the whole list is.
    pub fn listing<Row>(
        &self,
        rows: Vec<Row>,
        total: i64,
        columns: &[(&'static str, bool)],
        csv: Option<&str>,
    ) -> Listing<Row> {
        let (by, down) = self.sort;
        let shown = i64::try_from(rows.len()).unwrap_or(self.limit);
        let columns = columns.iter().map(|(key, sortable)| Column {
            key,
            url: sortable.then(|| self.url(&self.path, (key, *key == by && !down), 0)),
            up: *sortable && *key == by && !down,
            down: *sortable && *key == by && down,
        });
        let mut kept: Vec<(String, String)> = Vec::new();
        for (key, value) in &self.kept {
            kept.push(((*key).to_owned(), value.clone()));
        }
        if self.sort != self.first_sort {
            kept.push(("sort".into(), sort_text(self.sort)));
        }
        if self.limit != USUAL {
            kept.push(("limit".into(), self.limit.to_string()));
        }
        let (offset, sort) = (self.offset, self.sort);
        Listing {
            total: number(total),
            offset: number(offset),
            query: self.q.clone(),
            action: self.base.at(&self.path),
            here: self.url(&self.path, sort, offset),
            kept,
            columns: columns.collect(),
            filters: self.filters.clone(),
            previous: (offset > 0)
                .then(|| self.url(&self.path, sort, (offset - self.limit).max(0))),
            next: (offset + shown < total).then(|| self.url(&self.path, sort, offset + self.limit)),
            csv: csv.map(|path| self.url(path, self.first_sort, 0)),
            rows,
        }
    }
}

pub fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn sort_text((column, down): (&str, bool)) -> String {
    format!("{}{column}", if down { "-" } else { "" })
}

/// Without what no name holds.
fn clean(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.trim().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] = &["name", "created"];

    #[test]
    fn what_makes_no_sense_is_not_said() {
        let check = |sort: &str, offset: i64, limit: i64, expect: (&str, bool, i64, i64)| {
            let query = ListQuery {
                sort: sort.into(),
                offset: Some(offset),
                limit: Some(limit),
                ..ListQuery::default()
            };
            let mut asked = Asked::read(BasePath::default(), "/x", &query, COLUMNS);
            asked.settle(120);
            let (by, down) = asked.sort();
            assert_eq!((by, down, asked.offset, asked.limit), expect, "{sort}");
        };
        check("", 0, 50, ("name", false, 0, 50));
        check("-name", 50, 50, ("name", true, 50, 50));
        check("-created", -7, 0, ("created", true, 0, 1));
        check(
            "id; DROP TABLE users",
            i64::MAX,
            i64::MAX,
            ("name", false, 0, 200),
        );
        check("--created", i64::MIN, 7, ("created", true, 0, 7));
        check("created", i64::MAX, 50, ("created", false, 100, 50));
        assert_eq!(
            clean(&format!("\0 a\n{}", "é".repeat(500))).chars().count(),
            128
        );
    }

    #[test]
    fn links_keep_what_was_asked() {
        let query = ListQuery {
            q: "a&b".into(),
            sort: "-created".into(),
            state: "failed".into(),
            offset: Some(100),
            ..ListQuery::default()
        };
        let asked = Asked::read(BasePath::default(), "/x", &query, COLUMNS)
            .filter("state", &query.state, &["all", "failed"])
            .keep("name", "Bio & co");
        let list = asked.listing(
            vec![1; 50],
            170,
            &[("name", true), ("created", true)],
            Some("/x.csv"),
        );
        let common = "name=Bio+%26+co&q=a%26b&state=failed";
        let by = |rest: &str| Some(format!("/x?{common}{rest}"));
        assert_eq!(Some(list.here), by("&sort=-created&offset=100"));
        assert_eq!(list.previous, by("&sort=-created&offset=50"));
        assert_eq!(list.next, by("&sort=-created&offset=150"));
        assert_eq!(list.columns[0].url, by(""));
        assert_eq!(list.columns[1].url, by("&sort=created"));
        assert_eq!(list.csv, Some(format!("/x.csv?{common}")));
        assert!(list.columns[1].down && !list.columns[1].up && !list.columns[0].up);
    }
}
