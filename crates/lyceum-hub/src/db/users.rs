//! People as rows.

mod listed;

use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_store::{Tx, on};

pub use listed::Listed;

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct User {
    pub id: String,
    #[sqlx(try_from = "String")]
    pub name: UserName,
    pub display_name: Option<String>,
    pub admin: bool,
    pub home: String,
    pub created_at: i64,
    pub last_activity_at: Option<i64>,
    pub blocked_at: Option<i64>,
}

#[cfg(test)]
impl User {
    /// Somebody of this name, in no row.
    pub(crate) fn named(name: UserName) -> Self {
        Self {
            id: format!("id of {name}"),
            home: name.to_string(),
            name,
            display_name: None,
            admin: false,
            created_at: 0,
            last_activity_at: None,
            blocked_at: None,
        }
    }
}

const COLUMNS: &str =
    "id, name, display_name, admin, home, created_at, last_activity_at, blocked_at";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, display_name, admin, home, created_at, last_activity_at, blocked_at FROM users ",
            $rest
        )
    };
}

pub async fn find(tx: &mut Tx, name: &UserName) -> sqlx::Result<Option<User>> {
    on!(tx, |c| sqlx::query_as(select!("WHERE name = $1"))
        .bind(name.as_str())
        .fetch_optional(c)
        .await)
}

pub async fn get(tx: &mut Tx, id: &str) -> sqlx::Result<Option<User>> {
    on!(tx, |c| sqlx::query_as(select!("WHERE id = $1"))
        .bind(id)
        .fetch_optional(c)
        .await)
}

/// Leaves it alone when somebody of that name came first, and tells whether it was written.
pub async fn insert(tx: &mut Tx, user: &User) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO users (id, name, display_name, admin, home, created_at, course) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (name) DO NOTHING"
    )
    .bind(&user.id)
    .bind(user.name.as_str())
    .bind(&user.display_name)
    .bind(user.admin)
    .bind(&user.home)
    .bind(user.created_at)
    .bind(user.name.course().map(|course| course.to_string()))
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0)
    })
}

/// Her home, and all that goes by her id, stays hers.
pub async fn set_name(tx: &mut Tx, id: &str, name: &UserName) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE users SET name = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(name.as_str())
    .execute(c)
    .await
    .map(|_| ()))
}

/// With her go sessions, tokens, codes and places in groups. Her servers have to be gone.
pub async fn delete(tx: &mut Tx, id: &str) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query("DELETE FROM users WHERE id = $1")
        .bind(id)
        .execute(c)
        .await
        .map(|done| done.rows_affected() > 0))
}

pub async fn set_admin(tx: &mut Tx, id: &str, admin: bool) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE users SET admin = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(admin)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Kept out since then; nothing: not kept out.
pub async fn set_blocked(tx: &mut Tx, id: &str, at: Option<i64>) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE users SET blocked_at = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(at)
    .execute(c)
    .await
    .map(|_| ()))
}

pub async fn set_display_name(tx: &mut Tx, id: &str, name: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE users SET display_name = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(name)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Moves the last activity forward, never back.
pub async fn touch(tx: &mut Tx, id: &str, at: Millis) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "UPDATE users SET last_activity_at = $2 WHERE id = $1 AND (last_activity_at IS NULL OR last_activity_at < $2)"
    )
    .bind(id)
    .bind(at.0)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// How a list of people is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Name,
    NameDown,
    Activity,
    ActivityDown,
    Created,
    CreatedDown,
    /// By how many servers are not at rest.
    Running,
    RunningDown,
}

/// As `servers_state`, the index, finds them.
macro_rules! not_at_rest {
    () => {
        "s.state IN ('queued', 'starting', 'ready', 'stopping')"
    };
}

use not_at_rest;

macro_rules! running {
    () => {
        concat!(
            "(SELECT COUNT(*) FROM servers s WHERE s.user_id = users.id AND ",
            not_at_rest!(),
            ")"
        )
    };
}

impl Sort {
    fn sql(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::NameDown => "name DESC",
            Self::Activity => "COALESCE(last_activity_at, 0), created_at, name",
            Self::ActivityDown => "COALESCE(last_activity_at, 0) DESC, created_at, name",
            Self::Created => "created_at, name",
            Self::CreatedDown => "created_at DESC, name DESC",
            Self::Running => concat!(running!(), ", name"),
            Self::RunningDown => concat!(running!(), " DESC, name"),
        }
    }
}

/// One page of people whose name holds `filter`.
pub async fn list(
    tx: &mut Tx,
    filter: &str,
    sort: Sort,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Vec<User>> {
    let search = Search {
        filter,
        ..Search::default()
    };
    search.page(tx, sort, offset, limit).await
}

pub async fn count(tx: &mut Tx, filter: &str) -> sqlx::Result<i64> {
    let search = Search {
        filter,
        ..Search::default()
    };
    search.count(tx).await
}

/// What people are asked for by their servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// At least one is not at rest.
    Active,
    /// At least one answers.
    Ready,
    /// All are at rest.
    Inactive,
}

/// Which people are looked for.
#[derive(Debug, Default)]
pub struct Search<'a> {
    /// What the name holds.
    pub filter: &'a str,
    pub busy: Option<Busy>,
    /// Nobody but these and the members of these groups.
    pub among: Option<Among>,
    /// The members of this group only.
    pub group: Option<&'a str>,
    pub admin: Option<bool>,
    pub blocked: Option<bool>,
    /// Those whose names come after this one, for lists that are read piece by piece.
    pub after: Option<&'a str>,
}

/// Whom or whose things a list is narrowed down to.
#[derive(Debug, Clone, Default)]
pub struct Among {
    pub users: Vec<String>,
    pub groups: Vec<String>,
    /// Single servers, by their owners' names and their own; a list of people has none of these.
    pub servers: Vec<(String, String)>,
}

impl Search<'_> {
    pub async fn page(
        &self,
        tx: &mut Tx,
        sort: Sort,
        offset: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<User>> {
        let (first, then) = match sort {
            Sort::Running => (Busy::Inactive, Busy::Active),
            Sort::RunningDown => (Busy::Active, Busy::Inactive),
            _ => return self.piece(tx, self.busy, sort, offset, limit).await,
        };
        // Those with servers are few, and the others are in the order of their names: so nobody has
        // to be counted for whom there is nothing to count.
        let mut page = Vec::new();
        let mut offset = offset;
        for busy in [first, then] {
            let busy = match self.busy {
                Some(wanted) if (wanted == Busy::Inactive) == (busy == Busy::Inactive) => wanted,
                Some(_) => continue,
                None => busy,
            };
            let sort = match busy {
                Busy::Inactive => Sort::Name,
                Busy::Active | Busy::Ready => sort,
            };
            let left = limit - i64::try_from(page.len()).unwrap_or(limit);
            if left > 0 {
                page.extend(self.piece(tx, Some(busy), sort, offset, left).await?);
            }
            if page.is_empty() && self.busy.is_none() && offset > 0 {
                offset = (offset - self.count_of(tx, Some(busy)).await?).max(0);
            } else {
                offset = 0;
            }
        }
        Ok(page)
    }

    /// What finds a piece of the list: bound are what the name holds, how many, from which on, and
    /// names.
    pub fn statement(&self, sort: Sort) -> String {
        self.statement_of(self.busy, sort)
    }

    fn statement_of(&self, busy: Option<Busy>, sort: Sort) -> String {
        self.statement_from(4, busy, sort)
    }

    /// Names are bound from the place `first` on.
    fn statement_from(&self, first: usize, busy: Option<Busy>, sort: Sort) -> String {
        format!(
            "SELECT {COLUMNS} FROM users {} ORDER BY {} LIMIT $2 OFFSET $3",
            self.condition(first, busy),
            sort.sql()
        )
    }

    async fn piece(
        &self,
        tx: &mut Tx,
        busy: Option<Busy>,
        sort: Sort,
        offset: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<User>> {
        let sql = self.statement_of(busy, sort);
        on!(tx, |c| {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .bind(contains(self.filter))
                .bind(limit)
                .bind(offset);
            for name in self.names() {
                query = query.bind(name);
            }
            query.fetch_all(c).await
        })
    }

    pub async fn count(&self, tx: &mut Tx) -> sqlx::Result<i64> {
        self.count_of(tx, self.busy).await
    }

    async fn count_of(&self, tx: &mut Tx, busy: Option<Busy>) -> sqlx::Result<i64> {
        let condition = self.condition(2, busy);
        let sql = format!("SELECT COUNT(*) FROM users {condition}");
        on!(tx, |c| {
            let mut query =
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(contains(self.filter));
            for name in self.names() {
                query = query.bind(name);
            }
            query.fetch_one(c).await
        })
    }

    /// What is bound from the place of the condition on, in its order.
    fn names(&self) -> impl Iterator<Item = &str> {
        let among = self.among.iter();
        let among = among.flat_map(|among| among.users.iter().chain(&among.groups));
        let others = self.group.into_iter().chain(self.after);
        among.map(String::as_str).chain(others)
    }

    /// From `WHERE` on, if there is one. Holds no text of anybody's: names are bound, from the place
    /// `first` on.
    fn condition(&self, first: usize, busy: Option<Busy>) -> String {
        // The accounts of courses are no people.
        let mut sql = String::from(" AND course IS NULL");
        // Where any name will do none is looked at.
        if !self.filter.is_empty() {
            sql.push_str(" AND name LIKE $1 ESCAPE '!'");
        }
        // Found from the few servers that are not at rest, rather than looked up for everybody.
        sql.push_str(match busy {
            None => "",
            Some(Busy::Active) => concat!(
                " AND id IN (SELECT s.user_id FROM servers s WHERE ",
                not_at_rest!(),
                ")"
            ),
            Some(Busy::Inactive) => concat!(
                " AND id NOT IN (SELECT s.user_id FROM servers s WHERE ",
                not_at_rest!(),
                ")"
            ),
            Some(Busy::Ready) => {
                " AND id IN (SELECT s.user_id FROM servers s WHERE s.state = 'ready')"
            }
        });
        sql.push_str(match self.admin {
            None => "",
            Some(true) => " AND admin",
            Some(false) => " AND NOT admin",
        });
        sql.push_str(match self.blocked {
            None => "",
            Some(true) => " AND blocked_at IS NOT NULL",
            Some(false) => " AND blocked_at IS NULL",
        });
        let mut next = first;
        if let Some(Among { users, groups, .. }) = &self.among {
            let groups_first = first + users.len();
            sql.push_str(&format!(
                " AND (name IN ({}) OR id IN (SELECT m.user_id FROM group_members m JOIN groups g ON g.id = m.group_id WHERE g.name IN ({})))",
                places(first, users.len()),
                places(groups_first, groups.len()),
            ));
            next = groups_first + groups.len();
        }
        if self.group.is_some() {
            sql.push_str(&format!(
                " AND id IN (SELECT m.user_id FROM group_members m JOIN groups g ON g.id = m.group_id WHERE g.name = ${next})"
            ));
            next += 1;
        }
        if self.after.is_some() {
            sql.push_str(&format!(" AND name > ${next}"));
        }
        sql.replacen(" AND", "WHERE", 1)
    }
}

/// `$4, $5`; of none a value that nothing is.
pub(crate) fn places(first: usize, many: usize) -> String {
    if many == 0 {
        return "NULL".into();
    }
    let places: Vec<String> = (first..first + many).map(|at| format!("${at}")).collect();
    places.join(", ")
}

/// The groups of each of these people: ids of people with names of groups.
pub async fn groups_of(tx: &mut Tx, ids: &[&str]) -> sqlx::Result<Vec<(String, String)>> {
    let sql = format!(
        "SELECT m.user_id, g.name FROM group_members m JOIN groups g ON g.id = m.group_id \
         WHERE m.user_id IN ({}) ORDER BY g.name",
        places(1, ids.len())
    );
    on!(tx, |c| {
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(*id);
        }
        query.fetch_all(c).await
    })
}

/// Whether there is an administrator who may still come in.
pub async fn any_admin(tx: &mut Tx) -> sqlx::Result<bool> {
    let found: Option<(String,)> = on!(tx, |c| sqlx::query_as(
        "SELECT id FROM users WHERE admin AND blocked_at IS NULL LIMIT 1"
    )
    .fetch_optional(c)
    .await)?;
    Ok(found.is_some())
}

/// Whether she is an administrator by a role that was given here, at the command line, by another or at the
/// first start: not by what a place elsewhere says of her.
pub async fn was_made_admin(tx: &mut Tx, id: &str) -> sqlx::Result<bool> {
    let found: Option<(String,)> = on!(tx, |c| sqlx::query_as(
        "SELECT u.id FROM users u WHERE u.id = $1 AND u.admin \
         AND NOT EXISTS (SELECT 1 FROM identities i WHERE i.user_id = u.id AND i.admin)"
    )
    .bind(id)
    .fetch_optional(c)
    .await)?;
    Ok(found.is_some())
}

pub async fn admins(tx: &mut Tx) -> sqlx::Result<Vec<User>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE admin ORDER BY name LIMIT 1000"
    ))
    .fetch_all(c)
    .await)
}

/// A LIKE pattern for "holds this text", with the wildcards of the text itself made harmless.
pub(crate) fn contains(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    #[test]
    fn wildcards_are_text() {
        assert_eq!(super::contains("a_b%!"), "%a!_b!%!!%");
        assert_eq!(super::contains("Ada"), "%ada%");
    }
}
