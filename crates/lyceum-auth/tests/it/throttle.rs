//! The throttle over time, on a clock that moves when told.

use std::net::IpAddr;

use lyceum_auth::{Refused, Throttle};
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::name::UserName;
use lyceum_store::on;

use crate::db::TestDb;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;

struct Story {
    clock: Clock,
    throttle: Throttle,
}

impl Story {
    fn new(test: &TestDb) -> Self {
        let clock = Clock::manual(Millis(1_795_000_000_000));
        let throttle = Throttle::new(test.db().clone(), clock.clone());
        Self { clock, throttle }
    }

    /// A wrong guess; how many seconds to wait if it was not let through.
    async fn fail(&self, name: &str, address: impl Into<IpAddr>) -> Result<(), u32> {
        let name = UserName::parse(name).unwrap();
        match self.throttle.begin(&name, address.into()).await {
            Ok(_counted) => Ok(()),
            Err(Refused::TooMany { retry_after }) => Err(retry_after),
            Err(other) => panic!("{other:?}"),
        }
    }

    /// A right password.
    async fn succeed(&self, name: &str, address: impl Into<IpAddr>) -> Result<(), u32> {
        let name = UserName::parse(name).unwrap();
        match self.throttle.begin(&name, address.into()).await {
            Ok(counted) => {
                self.throttle.succeeded(counted).await.unwrap();
                Ok(())
            }
            Err(Refused::TooMany { retry_after }) => Err(retry_after),
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn rows(test: &TestDb) -> i64 {
    let mut tx = test.db().read().await.unwrap();
    on!(tx, |c| sqlx::query_scalar(
        "SELECT COUNT(*) FROM sign_in_failures"
    )
    .fetch_one(c)
    .await)
    .unwrap()
}

const HOME: [u8; 4] = [192, 0, 2, 1];
const ELSEWHERE: [u8; 4] = [198, 51, 100, 7];

#[tokio::test]
async fn waits_double_and_asking_does_not_prolong_them() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        for _ in 0..5 {
            story.fail("ada", HOME).await.unwrap();
        }
        for wait in [1, 2, 4, 8] {
            for _ in 0..3 {
                assert_eq!(story.fail("ada", HOME).await, Err(wait));
            }
            assert_eq!(story.succeed("ada", HOME).await, Err(wait), "even if right");
            story.clock.advance(i64::from(wait) * SECOND);
            story.fail("ada", HOME).await.unwrap();
        }
        // Somebody else there, and she elsewhere, notice nothing.
        story.succeed("ben", HOME).await.unwrap();
        story.succeed("ada", ELSEWHERE).await.unwrap();
    }
}

#[tokio::test]
async fn a_right_password_clears_slips() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        for _ in 0..4 {
            for _ in 0..4 {
                story.fail("ada", HOME).await.unwrap();
            }
            story.succeed("ada", HOME).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_window_moves_on() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        for _ in 0..5 {
            story.fail("ada", HOME).await.unwrap();
        }
        story.clock.advance(10 * MINUTE);
        story.fail("ada", HOME).await.unwrap();
        assert_eq!(story.fail("ada", HOME).await, Err(1));
        story.clock.advance(60 * MINUTE);
        for _ in 0..5 {
            story.fail("ada", HOME).await.unwrap();
        }
    }
}

#[tokio::test]
async fn under_attack_the_owner_still_gets_in() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        for host in 0..60 {
            story.fail("ada", [203, 0, 113, host]).await.unwrap();
        }
        // Each of the attacker's hosts has had its guess.
        assert_eq!(story.fail("ada", [203, 0, 113, 9]).await, Err(60));
        assert_eq!(story.fail("ada", [203, 0, 113, 59]).await, Err(60));
        for _ in 0..10 {
            story.succeed("ada", HOME).await.unwrap();
        }
        // She has one slip, then waits longer than usual.
        story.fail("ada", HOME).await.unwrap();
        assert_eq!(story.succeed("ada", HOME).await, Err(60));
        story.clock.advance(60 * SECOND);
        story.succeed("ada", HOME).await.unwrap();
    }
}

#[tokio::test]
async fn a_lecture_hall_signs_in_from_one_address() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        for minute in 0..3 {
            for student in 0..300 {
                let name = format!("s{minute}-{student}");
                // One in ten mistypes first.
                if student % 10 == 0 {
                    story.fail(&name, HOME).await.unwrap();
                }
                story.succeed(&name, HOME).await.unwrap();
            }
            story.clock.advance(MINUTE);
        }
    }
}

#[tokio::test]
async fn one_password_on_many_accounts_is_slowed_down() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        for account in 0..300 {
            story.fail(&format!("a{account}"), HOME).await.unwrap();
        }
        assert_eq!(story.fail("b", HOME).await, Err(1));
        assert!(story.succeed("b", ELSEWHERE).await.is_ok());
        // In ten minutes of trying four times a second: about one in two seconds.
        let mut guesses = 0;
        for account in 0..2_400 {
            story.clock.advance(250);
            if story.fail(&format!("c{account}"), HOME).await.is_ok() {
                guesses += 1;
            }
        }
        assert!((200..=330).contains(&guesses), "{guesses}");
        // Neighbours wait for seconds.
        let wait = story.succeed("neighbour", HOME).await.err().unwrap_or(0);
        assert!(wait <= 8, "{wait}");
    }
}

#[tokio::test]
async fn what_one_source_alone_could_decide_counts_for_the_account_and_not_for_the_address() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        let half = async |name: &str| {
            let name = UserName::parse(name).unwrap();
            let counted = story.throttle.begin(&name, HOME.into()).await.ok()?;
            story.throttle.half_decided(counted).await.unwrap();
            Some(())
        };
        for person in 0..320 {
            assert!(half(&format!("s{person}")).await.is_some(), "{person}");
        }
        for _ in 0..5 {
            assert!(half("ada").await.is_some());
        }
        assert!(half("ada").await.is_none());
        assert_eq!(story.succeed("ada", HOME).await, Err(1));
        story.clock.advance(SECOND);
        story.succeed("ada", HOME).await.unwrap();
        story.succeed("ben", HOME).await.unwrap();
    }
}

#[tokio::test]
async fn many_at_once_gain_nothing() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        let ada = UserName::parse("ada").unwrap();
        let mut attempts = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (throttle, ada) = (story.throttle.clone(), ada.clone());
            attempts.spawn(async move { throttle.begin(&ada, HOME.into()).await.is_ok() });
        }
        let through = attempts.join_all().await;
        assert_eq!(through.into_iter().filter(|through| *through).count(), 5);
    }
}

#[tokio::test]
async fn an_ipv6_network_is_one_guesser() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        let host = |text: &str| text.parse::<IpAddr>().unwrap();
        for last in 0..5 {
            let address = host(&format!("2001:db8:1:2::{last}"));
            story.fail("ada", address).await.unwrap();
        }
        assert_eq!(
            story.fail("ada", host("2001:db8:1:2:ffff::1")).await,
            Err(1)
        );
        story.fail("ada", host("2001:db8:1:3::1")).await.unwrap();
    }
}

#[tokio::test]
async fn rows_go_away() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        story.succeed("ada", HOME).await.unwrap();
        assert_eq!(rows(&test).await, 0, "a success leaves nothing");
        let ada = UserName::parse("ada").unwrap();
        let counted = story.throttle.begin(&ada, HOME.into()).await.unwrap();
        story.throttle.undecided(counted).await.unwrap();
        assert_eq!(rows(&test).await, 0, "nor does what was not decided");
        story.fail("ada", HOME).await.unwrap();
        assert_eq!(rows(&test).await, 3);
        story.clock.advance(23 * 60 * MINUTE);
        story.fail("ben", HOME).await.unwrap();
        assert_eq!(story.throttle.purge().await.unwrap(), 0);
        story.clock.advance(2 * 60 * MINUTE);
        assert_eq!(story.throttle.purge().await.unwrap(), 2);
        assert_eq!(rows(&test).await, 3);
    }
}

#[tokio::test]
async fn nothing_readable_is_kept() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        story.fail("hunter2.my.password", HOME).await.unwrap();
        let mut tx = test.db().read().await.unwrap();
        let subjects: Vec<String> = on!(tx, |c| sqlx::query_scalar(
            "SELECT subject FROM sign_in_failures"
        )
        .fetch_all(c)
        .await)
        .unwrap();
        assert_eq!(subjects.len(), 3);
        for subject in subjects {
            assert!(!subject.contains("hunter2") && subject.len() == 64);
        }
    }
}

/// Whoever guesses at ways back keeps nobody at her address from bringing one that is ours.
#[tokio::test]
async fn guesses_at_ways_back_hold_up_no_good_one() {
    for test in TestDb::both().await {
        let story = Story::new(&test);
        let mut guesses = 0;
        while story.throttle.begin_unnamed(HOME.into()).await.is_ok() {
            guesses += 1;
        }
        assert_eq!(guesses, 300);
        let mut made_up = 0;
        while story.throttle.begin_return(HOME.into()).await.is_ok() {
            made_up += 1;
        }
        assert_eq!(made_up, 300, "what is made up waits, too");
    }
}
