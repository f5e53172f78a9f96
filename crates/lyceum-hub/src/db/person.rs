//! All that the hub has of one person: told to her, or forgotten.

use lyceum_store::{Tx, on};
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, Row};

/// By what rows are found.
#[derive(Debug, Clone, Copy)]
enum By {
    Id,
    Name,
    /// Her name as a whole text of the detail of a row.
    Detail,
}

/// What is told, in columns without secrets; where it stands; by what it is found.
const TOLD: &[(&str, &[&str], &str, By)] = &[
    (
        "account",
        &[
            "name",
            "display_name",
            "admin",
            "home",
            "created_at",
            "last_activity_at",
            "blocked_at",
        ],
        "users WHERE id = $1",
        By::Id,
    ),
    (
        "password",
        &["changed_at"],
        "local_accounts WHERE user_name = $1",
        By::Name,
    ),
    (
        "mail",
        &["address", "given_by", "verified_at"],
        "mail_addresses WHERE user_name = $1",
        By::Name,
    ),
    (
        "groups",
        &["name"],
        "groups WHERE id IN (SELECT group_id FROM group_members WHERE user_id = $1) ORDER BY name",
        By::Id,
    ),
    (
        "identities",
        &[
            "issuer",
            "subject",
            "created_at",
            "seen_at",
            "groups",
            "admin",
        ],
        "identities WHERE user_id = $1 ORDER BY issuer",
        By::Id,
    ),
    (
        "second_factor",
        &["since"],
        "second_factors WHERE user_id = $1",
        By::Id,
    ),
    (
        "second_factor_events",
        &["at", "what", "doer", "address"],
        "second_factor_events WHERE user_id = $1 ORDER BY at",
        By::Id,
    ),
    (
        "posix",
        &["uid", "gid", "group_name", "gids"],
        "posix_people WHERE user_id = $1",
        By::Id,
    ),
    (
        "sessions",
        &[
            "created_at",
            "seen_at",
            "expires_at",
            "address",
            "agent",
            "method",
        ],
        "sessions WHERE user_id = $1 ORDER BY created_at",
        By::Id,
    ),
    (
        "tokens",
        &[
            "note",
            "scopes",
            "created_at",
            "last_used_at",
            "expires_at",
            "oauth_client",
        ],
        "tokens WHERE user_id = $1 ORDER BY created_at",
        By::Id,
    ),
    (
        "servers",
        &[
            "name",
            "display_name",
            "state",
            "user_options",
            "created_at",
            "started_at",
            "stopped_at",
            "last_activity_at",
        ],
        "servers WHERE user_id = $1 ORDER BY name",
        By::Id,
    ),
    (
        "exams",
        &["seat", "made_at", "used_at", "used_address", "revoked_at"],
        "sitting_codes WHERE user_name = $1 ORDER BY made_at",
        By::Name,
    ),
    (
        "done_by_others_with_servers",
        &["at", "server", "what", "doer"],
        "deeds WHERE user_id = $1 ORDER BY at",
        By::Id,
    ),
    (
        "log_about_her",
        &["at", "doer", "address", "what", "detail", "times"],
        "audit WHERE about_id = $1 ORDER BY at",
        By::Id,
    ),
    (
        "sign_up",
        &["note", "asked_at", "expires_at"],
        "sign_ups WHERE user_name = $1",
        By::Name,
    ),
    (
        "log_of_sign_ups_under_her_name",
        &["at", "address", "what", "detail"],
        "audit WHERE what = 'sign_up_asked' AND REPLACE(detail, $1, '') <> detail ORDER BY at",
        By::Detail,
    ),
    // Whom else it was about is theirs.
    (
        "log_of_what_she_did",
        &["at", "address", "what", "times"],
        "audit WHERE doer = $1 ORDER BY at",
        By::Name,
    ),
];

/// Everything under its title, each a list of rows; `id`: of her account, if there is one.
pub async fn told(tx: &mut Tx, id: Option<&str>, name: &str) -> sqlx::Result<Map<String, Value>> {
    let mut all = Map::new();
    let detail = in_detail(name);
    for (title, columns, rest, by) in TOLD {
        let by = match by {
            By::Id => id,
            By::Name => Some(name),
            By::Detail => Some(&*detail),
        };
        let rows = match by {
            Some(by) => rows(tx, columns, rest, by).await?,
            None => Vec::new(),
        };
        all.insert((*title).to_owned(), Value::from(rows));
    }
    Ok(all)
}

/// As a whole text stands in the detail of a row: within a longer one its quotes would be written otherwise.
fn in_detail(text: &str) -> String {
    format!(":{}", Value::from(text))
}

/// The names that somebody had before others renamed her, as far as the log still knows.
pub async fn earlier_names(tx: &mut Tx, id: &str, name: &str) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT DISTINCT about_name FROM audit WHERE about_id = $1 AND about_name <> $2 ORDER BY about_name"
    )
    .bind(id)
    .bind(name)
    .fetch_all(c)
    .await
    })
}

async fn rows(
    tx: &mut Tx,
    columns: &[&str],
    rest: &str,
    by: &str,
) -> sqlx::Result<Vec<Map<String, Value>>> {
    // As text, which both engines give of any type.
    let as_text: Vec<String> = columns
        .iter()
        .map(|column| format!("CAST({column} AS TEXT) AS {column}"))
        .collect();
    let sql = format!("SELECT {} FROM {rest}", as_text.join(", "));
    let rows: Vec<Vec<Option<String>>> = on!(tx, |c| {
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(by).fetch_all(c).await;
        rows.and_then(|rows| {
            let row = rows.iter().map(|row| {
                let values = (0..columns.len()).map(|at| row.try_get(at));
                values.collect::<sqlx::Result<_>>()
            });
            row.collect::<sqlx::Result<_>>()
        })
    })?;
    let row = |values: Vec<Option<String>>| {
        let pairs = columns.iter().zip(values);
        let pairs = pairs.map(|(column, value)| ((*column).to_owned(), shown(column, value)));
        pairs.collect::<Map<String, Value>>()
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Moments as people read them.
fn shown(column: &str, value: Option<String>) -> Value {
    let is_moment = column.ends_with("_at") || matches!(column, "at" | "since");
    let Some(value) = value else {
        return Value::Null;
    };
    match value.parse().ok().filter(|_| is_moment) {
        Some(millis) => lyceum_model::clock::Millis(millis).to_iso().into(),
        None => value.into(),
    }
}

/// What outlasts her account says no longer who she was; `id`: of her account, if there was one. Says how
/// many rows did. To be called when the account is gone.
pub async fn forget(
    tx: &mut Tx,
    id: Option<&str>,
    name: &str,
    pseudonym: &str,
) -> sqlx::Result<u64> {
    let mut changed = 0;
    for (sql, by) in [
        // Details hold addresses, browsers, further names.
        (
            "UPDATE audit SET about_name = $2, address = NULL, detail = '{}' WHERE about_id = $1",
            id,
        ),
        (
            "UPDATE posix_uids SET owner_name = $2, mark = NULL WHERE owner = $1",
            id,
        ),
    ] {
        if let Some(by) = by {
            changed += set(tx, sql, by, pseudonym).await?;
        }
    }
    let (by, to) = (in_detail(name), in_detail(pseudonym));
    for sql in [
        // What she asked for before she had an account tells who she is in her words, and where she was.
        "UPDATE audit SET detail = '{\"name\"' || $2 || '}', address = NULL \
         WHERE what = 'sign_up_asked' AND REPLACE(detail, $1, '') <> detail",
        // What is about others names her by the way.
        "UPDATE audit SET detail = REPLACE(detail, $1, $2) WHERE REPLACE(detail, $1, '') <> detail",
    ] {
        changed += set(tx, sql, &by, &to).await?;
    }
    for (sql, by) in [
        (
            "UPDATE audit SET doer = $2, address = NULL WHERE doer = $1",
            name,
        ),
        // Of earlier accounts of hers, which had the name.
        (
            "UPDATE audit SET about_name = $2, address = NULL, detail = '{}' WHERE about_name = $1",
            name,
        ),
        ("UPDATE deeds SET doer = $2 WHERE doer = $1", name),
        (
            "UPDATE second_factor_events SET doer = $2 WHERE doer = $1",
            name,
        ),
        // The number stays taken: files may still have it.
        (
            "UPDATE posix_uids SET owner_name = $2, mark = NULL WHERE owner_name = $1 \
             AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = posix_uids.owner)",
            name,
        ),
        (
            "UPDATE sitting_codes SET user_name = $2, used_address = NULL WHERE user_name = $1",
            name,
        ),
        // What she did for others.
        ("UPDATE sittings SET made_by = $2 WHERE made_by = $1", name),
        (
            "UPDATE invitations SET made_by = $2 WHERE made_by = $1",
            name,
        ),
        (
            "UPDATE password_links SET made_by = $2 WHERE made_by = $1",
            name,
        ),
        (
            "UPDATE posix_uids SET given_by = $2 WHERE given_by = $1",
            name,
        ),
        (
            "UPDATE mail_addresses SET given_by = $2 WHERE given_by = $1",
            name,
        ),
    ] {
        changed += set(tx, sql, by, pseudonym).await?;
    }
    let asked = on!(tx, |c| sqlx::query(
        "DELETE FROM sign_ups WHERE user_name = $1"
    )
    .bind(name)
    .execute(c)
    .await
    .map(|done| done.rows_affected()))?;
    Ok(changed + asked)
}

async fn set(tx: &mut Tx, sql: &'static str, by: &str, to: &str) -> sqlx::Result<u64> {
    on!(tx, |c| sqlx::query(sql)
        .bind(by)
        .bind(to)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}
