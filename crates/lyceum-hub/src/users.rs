//! People: how an identity becomes a row.

use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use lyceum_model::identity::Identity;
use lyceum_model::name::UserName;
use lyceum_store::Tx;

use crate::db;
use crate::db::users::User;
use crate::jobs::revocations;

/// Makes a person if there is none of that name. The home is named once and for ever; the name of a
/// deleted person never leads to the old home, since each home carries its id.
pub async fn ensure(tx: &mut Tx, name: &UserName, now: Millis) -> sqlx::Result<User> {
    if let Some(user) = db::users::find(tx, name).await? {
        return Ok(user);
    }
    let id = new_id(now);
    let user = User {
        home: home_name(name, &id),
        id,
        name: name.clone(),
        display_name: None,
        admin: false,
        created_at: now.0,
        last_activity_at: None,
        blocked_at: None,
    };
    db::users::insert(tx, &user).await?;
    // Two browsers may bring the same new person at the same moment: one row, whoever made it.
    Ok(db::users::find(tx, name).await?.unwrap_or(user))
}

/// After a good sign-in: the row, brought up to date with what the source vouches for.
pub async fn admit(tx: &mut Tx, identity: &Identity, now: Millis) -> sqlx::Result<User> {
    let mut user = ensure(tx, &identity.name, now).await?;
    if let Some(name) = &identity.display_name
        && user.display_name.as_ref() != Some(name)
    {
        db::users::set_display_name(tx, &user.id, name).await?;
        user.display_name = Some(name.clone());
    }
    let admin = identity.admin.unwrap_or(user.admin);
    if admin != user.admin {
        db::users::set_admin(tx, &user.id, admin).await?;
        revocations::announce(tx, identity.name.as_str(), now).await?;
        user.admin = admin;
    }
    db::users::touch(tx, &user.id, now).await?;
    Ok(user)
}

/// A folder name: readable, lower case, unique by the id's random end.
fn home_name(name: &UserName, id: &str) -> String {
    let mut words: String = name
        .as_str()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '-'
            }
        })
        .collect();
    words.truncate(40);
    let words = words.trim_matches(['.', '-']);
    format!("{words}-{}", &id[id.len().saturating_sub(8)..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_safe_and_differ() {
        let name = |text: &str| UserName::parse(text).expect("a good name");
        let id = "01kb0000000000000000abcdefgh";
        assert_eq!(home_name(&name("ada"), id), "ada-abcdefgh");
        assert_eq!(home_name(&name("a+b@x.org"), id), "a-b-x.org-abcdefgh");
        assert!(home_name(&name(&"a".repeat(128)), id).len() < 60);
    }
}
