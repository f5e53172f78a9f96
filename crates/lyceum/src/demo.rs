//! What `up --demo` adds: a course, a teacher, two students, with passwords that are printed.
//!
//! Made once; the passwords are kept sealed, so that a later start can print them again. An account
//! whose password was changed since is left alone.

use std::path::Path;

use lyceum_hub::audit::{self, Act, Doer, What};
use lyceum_hub::users;
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use lyceum_store::settings;

use crate::compose::Ground;
use crate::failure::Failure;

/// Someone to log in as.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Account {
    pub name: String,
    pub password: String,
    pub role: &'static str,
}

const PEOPLE: [(&str, &str, &str); 3] = [
    ("grace", "teacher", "Grace Hopper"),
    ("ada", "student", "Ada Lovelace"),
    ("ben", "student", "Ben Ordinary"),
];

const COURSE: &str = "\
# A course of the demo. Change it and look at the home page again: it is read anew by itself.
title: Introduction to Signals
term: demo term
people:
  teachers: [grace]
  students: [ada, ben]
";

/// Writes the demo's course where there is none.
pub fn write_course(courses: &Path) -> Result<(), Failure> {
    let file = courses.join("signals-demo.yaml");
    if !file.exists() {
        let written = std::fs::create_dir_all(courses).and_then(|()| std::fs::write(&file, COURSE));
        written.map_err(|error| {
            Failure::io(
                format!("the demo course {} can't be written", file.display()),
                &error,
            )
        })?;
    }
    Ok(())
}

/// Makes the people who are missing and gives everybody's first password.
pub async fn people(ground: &Ground) -> Result<Vec<Account>, Failure> {
    let mut accounts = Vec::new();
    for (name, role, display_name) in PEOPLE {
        let made = account(ground, name, role, Some(display_name), false).await;
        accounts.extend(made.map_err(failed)?);
    }
    Ok(accounts)
}

/// The first administrator, made when there is none. `None`: there is one already, whose password
/// is not ours to know.
pub async fn first_admin(ground: &Ground) -> Result<Option<Account>, Failure> {
    let mut tx = ground
        .db
        .read()
        .await
        .map_err(|error| failed(error.into()))?;
    let known = settings::get(&mut tx, &setting("admin"))
        .await
        .map_err(|error| failed(error.into()))?
        .is_some();
    let any = lyceum_hub::db::users::any_admin(&mut tx)
        .await
        .map_err(|error| failed(error.into()))?;
    drop(tx);
    if any && !known {
        return Ok(None);
    }
    account(ground, "admin", "admin", None, true)
        .await
        .map_err(failed)
}

/// Makes an account where there is none. `None`: its password is not, or no longer, the first one.
async fn account(
    ground: &Ground,
    name: &str,
    role: &'static str,
    display_name: Option<&str>,
    admin: bool,
) -> anyhow::Result<Option<Account>> {
    let user_name = UserName::parse(name)?;
    let now = ground.clock.now();
    let fingerprint = ground.accounts.fingerprint(&user_name).await?;
    let mut tx = ground.db.write().await?;
    let ours = settings::get(&mut tx, &setting(name)).await?.is_some();
    if fingerprint.is_some() && !ours {
        return Ok(None);
    }
    let password =
        settings::get_or_create_sealed(&mut tx, &ground.keys, &setting(name), now, || {
            Secret::new(easy_password())
        })
        .await?;
    let noted = settings::get(&mut tx, &mark(name)).await?;
    let user = users::ensure(&mut tx, &user_name, now).await?;
    if fingerprint.is_none() {
        lyceum_hub::db::users::set_admin(&mut tx, &user.id, admin).await?;
        if admin {
            let nobody = Doer::nobody();
            let act = Act::new(&nobody, What::AdminGiven)
                .about(&user)
                .with("by", "command_line");
            audit::note(&mut tx, act, now).await?;
        }
        if let Some(display_name) = display_name {
            lyceum_hub::db::users::set_display_name(&mut tx, &user.id, display_name).await?;
        }
    }
    tx.commit().await?;
    if fingerprint.is_none() {
        ground
            .accounts
            .set_password(&user_name, password.clone())
            .await?;
    }
    // Noted last: when we were interrupted before that, the password is still the first one.
    let fingerprint = ground
        .accounts
        .fingerprint(&user_name)
        .await?
        .unwrap_or_default();
    match noted {
        Some(noted) if noted != fingerprint => return Ok(None),
        Some(_) => {}
        None => {
            let mut tx = ground.db.write().await?;
            settings::set(&mut tx, &mark(name), &fingerprint, now).await?;
            tx.commit().await?;
        }
    }
    Ok(Some(Account {
        name: name.into(),
        password: password.expose().to_owned(),
        role,
    }))
}

/// Where the fingerprint of the first password is noted.
fn mark(name: &str) -> String {
    format!("first-password-mark/{name}")
}

fn setting(name: &str) -> String {
    format!("first-password/{name}")
}

/// Sixty bits that can be typed from a screen without mistaking a letter.
pub fn easy_password() -> String {
    let id = lyceum_model::id::new_id(lyceum_model::clock::Millis(0));
    let chance = &id[id.len() - 12..];
    format!("{}-{}-{}", &chance[..4], &chance[4..8], &chance[8..])
}

fn failed(error: anyhow::Error) -> Failure {
    Failure::new(format!("the first accounts can't be made: {error:#}"))
}
