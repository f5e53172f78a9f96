//! Local accounts: made, changed, removed, and what verifying costs.

use std::net::IpAddr;

use lyceum_auth::attempt::{Attempt, Refused};
use lyceum_auth::config::LocalConfig;
use lyceum_auth::password::{Hasher, PasswordError};
use lyceum_auth::{Authenticator, LocalAccounts};
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use lyceum_store::on;

use crate::db::TestDb;

fn accounts(test: &TestDb, hasher: &Hasher) -> LocalAccounts {
    let clock = Clock::manual(Millis(1_000_000));
    LocalAccounts::new(
        test.db().clone(),
        clock,
        hasher.clone(),
        &LocalConfig::default(),
    )
}

fn attempt(name: &str, password: &str) -> Attempt {
    let address = IpAddr::from([192, 0, 2, 1]);
    Attempt::new(name, Secret::new(password), address).unwrap()
}

#[tokio::test]
async fn an_account_is_made_changed_and_removed() {
    for test in TestDb::both().await {
        let accounts = accounts(&test, &Hasher::default());
        let ada = UserName::parse("ada").unwrap();
        assert!(!accounts.exists(&ada).await.unwrap());

        let set = async |password: &str| accounts.set_password(&ada, Secret::new(password)).await;
        set("correct horse").await.unwrap();
        assert!(accounts.exists(&ada).await.unwrap());
        let identity = accounts.sign_in(&attempt("Ada", "correct horse")).await;
        assert_eq!(identity.unwrap().name, ada);

        set("battery staple").await.unwrap();
        let old = accounts.sign_in(&attempt("ada", "correct horse")).await;
        assert!(matches!(old, Err(Refused::Credentials)));
        accounts
            .sign_in(&attempt("ada", "battery staple"))
            .await
            .unwrap();

        assert!(accounts.remove(&ada).await.unwrap());
        assert!(!accounts.remove(&ada).await.unwrap());
        let gone = accounts.sign_in(&attempt("ada", "battery staple")).await;
        assert!(matches!(gone, Err(Refused::Credentials)));
    }
}

#[tokio::test]
async fn what_cannot_be_a_password_is_not_hashed() {
    for test in TestDb::both().await {
        let hasher = Hasher::default();
        let accounts = accounts(&test, &hasher);
        let ada = UserName::parse("ada").unwrap();
        let set = async |password: String| accounts.set_password(&ada, Secret::new(password)).await;
        let short = set("1234567".into()).await;
        assert!(matches!(short, Err(PasswordError::TooShort(8))));
        let long = set("x".repeat(1025)).await;
        assert!(matches!(long, Err(PasswordError::TooLong)));
        assert_eq!(hasher.runs(), 0);
        assert!(!accounts.exists(&ada).await.unwrap());
    }
}

#[tokio::test]
async fn an_unknown_name_costs_as_much_as_a_wrong_password() {
    for test in TestDb::both().await {
        let hasher = Hasher::default();
        let accounts = accounts(&test, &hasher);
        let ada = UserName::parse("ada").unwrap();
        let made = accounts.set_password(&ada, Secret::new("correct horse"));
        made.await.unwrap();
        for name in ["ada", "nobody"] {
            let before = hasher.runs();
            let refused = accounts.sign_in(&attempt(name, "battery staple")).await;
            let refused = refused.unwrap_err();
            assert!(matches!(refused, Refused::Credentials));
            assert_eq!(refused.to_string(), "The name or the password is wrong.");
            assert_eq!(hasher.runs() - before, 1, "{name}");
        }
    }
}

#[tokio::test]
async fn only_a_salted_hash_is_kept() {
    for test in TestDb::both().await {
        let accounts = accounts(&test, &Hasher::default());
        for name in ["ada", "ben"] {
            let name = UserName::parse(name).unwrap();
            let made = accounts.set_password(&name, Secret::new("correct horse"));
            made.await.unwrap();
        }
        let mut tx = test.db().read().await.unwrap();
        let hashes: Vec<String> = on!(tx, |c| sqlx::query_scalar(
            "SELECT password_hash FROM local_accounts ORDER BY user_name"
        )
        .fetch_all(c)
        .await)
        .unwrap();
        assert_eq!(hashes.len(), 2);
        assert_ne!(hashes[0], hashes[1]);
        for hash in hashes {
            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        }
    }
}
