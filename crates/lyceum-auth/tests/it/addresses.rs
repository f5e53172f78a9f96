//! Addresses of mail, links that are sent there, and those who ask for accounts.

use lyceum_auth::addresses::{self, MailAddress};
use lyceum_auth::config::LocalConfig;
use lyceum_auth::password::Hasher;
use lyceum_auth::sign_ups::{self, Asked, MOST};
use lyceum_auth::{LocalAccounts, Refused, Throttle, links, local};
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use lyceum_store::Tx;

use crate::db::TestDb;

const NOW: Millis = Millis(1_795_000_000_000);
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn address(text: &str) -> MailAddress {
    MailAddress::parse(text).unwrap()
}

fn accounts(test: &TestDb) -> LocalAccounts {
    let clock = Clock::manual(NOW);
    let config = LocalConfig::default();
    LocalAccounts::new(test.db().clone(), clock, Hasher::new(1, 8), &config)
}

async fn address_of(tx: &mut Tx, who: &str) -> Option<String> {
    let known = addresses::find(tx, &name(who)).await.unwrap();
    known.map(|known| known.address)
}

#[tokio::test]
async fn a_link_shows_once_whose_an_address_is() {
    for test in TestDb::both().await {
        let mut tx = test.db().write().await.unwrap();
        let ada = name("ada");
        let ask = async |tx: &mut Tx, to: &str| {
            let asked = addresses::ask_proof(tx, &ada, &address(to), NOW).await;
            asked.unwrap()
        };
        let first = ask(&mut tx, "ada@example.edu").await;
        let second = ask(&mut tx, "lovelace@example.edu").await;
        let prove = async |tx: &mut Tx, secret: &str, now: Millis| {
            let proof = addresses::prove(tx, secret, now).await.unwrap();
            proof.map(|proof| proof.address.to_string())
        };
        assert_eq!(
            prove(&mut tx, &first, NOW).await,
            None,
            "a newer one ends it"
        );
        assert_eq!(prove(&mut tx, "", NOW).await, None);
        assert_eq!(address_of(&mut tx, "ada").await, None);
        let proved = prove(&mut tx, &second, NOW).await;
        assert_eq!(proved.as_deref(), Some("lovelace@example.edu"));
        assert_eq!(prove(&mut tx, &second, NOW).await, None, "once");
        let known = addresses::find(&mut tx, &ada).await.unwrap().unwrap();
        assert_eq!(known.verified_at, Some(NOW.0));
        let late = ask(&mut tx, "third@example.edu").await;
        assert_eq!(prove(&mut tx, &late, NOW.plus(DAY)).await, None, "too late");
    }
}

#[tokio::test]
async fn what_was_sent_to_another_address_is_good_for_nothing() {
    for test in TestDb::both().await {
        let accounts = accounts(&test);
        let ada = name("ada");
        let made = accounts.set_password(&ada, Secret::new("correct horse"));
        made.await.unwrap();
        let mut tx = test.db().write().await.unwrap();
        let put = async |tx: &mut Tx, to: &str| {
            addresses::put(tx, &ada, &address(to), "root", None)
                .await
                .unwrap();
        };
        put(&mut tx, "ada@example.edu").await;
        let mailed = links::make_mailed(&mut tx, &ada, NOW).await.unwrap();
        let handed = links::make(&mut tx, &ada, "root", NOW).await.unwrap();
        let good = async |tx: &mut Tx, secret: &str, now: Millis| {
            links::find(tx, secret, now).await.unwrap().is_some()
        };
        // Neither ends the other, and one is good for an hour.
        assert!(good(&mut tx, &mailed.secret, NOW).await);
        assert!(good(&mut tx, &handed.secret, NOW).await);
        assert!(!good(&mut tx, &mailed.secret, NOW.plus(HOUR)).await);
        assert!(good(&mut tx, &handed.secret, NOW.plus(HOUR)).await);
        put(&mut tx, "lovelace@example.edu").await;
        assert!(!good(&mut tx, &mailed.secret, NOW).await);
        assert!(good(&mut tx, &handed.secret, NOW).await);
        let mailed = links::make_mailed(&mut tx, &ada, NOW).await.unwrap();
        let taken = links::take(&mut tx, &mailed.secret, NOW).await.unwrap();
        assert_eq!(taken, Some(ada.clone()));
        let again = links::take(&mut tx, &mailed.secret, NOW).await.unwrap();
        assert_eq!(again, None);
        // It goes with her name, and ends with her.
        assert!(
            local::rename(&mut tx, &ada, &name("augusta"))
                .await
                .unwrap()
        );
        assert_eq!(address_of(&mut tx, "ada").await, None);
        let moved = address_of(&mut tx, "augusta").await;
        assert_eq!(moved.as_deref(), Some("lovelace@example.edu"));
        assert!(local::remove(&mut tx, &name("augusta")).await.unwrap());
        assert_eq!(address_of(&mut tx, "augusta").await, None);
    }
}

#[tokio::test]
async fn only_so_many_wait_and_not_for_ever() {
    for test in TestDb::both().await {
        let accounts = accounts(&test);
        let ada = name("ada");
        let new = accounts.prepare(&ada, Secret::new("lantern orbit gravel"));
        let new = new.await.unwrap();
        let mut tx = test.db().write().await.unwrap();
        let ask = async |tx: &mut Tx, who: &str, now: Millis| {
            sign_ups::ask(tx, &name(who), &new, "", now).await.unwrap()
        };
        for number in 0..MOST {
            let asked = ask(&mut tx, &format!("guest{number}"), NOW).await;
            assert!(matches!(asked, Asked::Waits(_)), "{number}: {asked:?}");
            if number == 0 {
                assert_eq!(ask(&mut tx, "guest0", NOW).await, Asked::Taken);
            }
        }
        assert_eq!(ask(&mut tx, "ada", NOW).await, Asked::Full);
        let waiting = sign_ups::waiting(&mut tx, NOW).await.unwrap();
        assert_eq!(waiting.len(), MOST);
        let first = (waiting.iter()).find(|waits| waits.user_name == "guest0");
        let first = &first.unwrap().id;
        let taken = sign_ups::take(&mut tx, first, NOW).await.unwrap();
        assert_eq!(taken.map(|(name, _)| name), Some(name("guest0")));
        let again = sign_ups::take(&mut tx, first, NOW).await.unwrap();
        assert!(again.is_none());
        let late = NOW.plus(14 * DAY);
        let other = (waiting.iter()).find(|waits| waits.user_name != "guest0");
        let other = other.unwrap();
        assert!(sign_ups::waiting(&mut tx, late).await.unwrap().is_empty());
        let taken = sign_ups::take(&mut tx, &other.id, late).await.unwrap();
        assert!(taken.is_none());
        assert!(matches!(
            ask(&mut tx, "guest1", late).await,
            Asked::Waits(_)
        ));
    }
}

#[tokio::test]
async fn three_letters_an_hour_go_to_one_mailbox() {
    for test in TestDb::both().await {
        let clock = Clock::manual(NOW);
        let throttle = Throttle::new(test.db().clone(), clock.clone());
        let letter = async |mailbox: &str| throttle.begin_letter(mailbox).await;
        for _ in 0..3 {
            letter("ada").await.unwrap();
        }
        assert!(matches!(letter("ada").await, Err(Refused::TooMany { .. })));
        letter("ben").await.unwrap();
        clock.advance(HOUR);
        letter("ada").await.unwrap();
    }
}
