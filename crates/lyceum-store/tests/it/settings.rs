//! Settings, open and sealed.

use lyceum_model::clock::Millis;
use lyceum_model::secret::Secret;
use lyceum_store::secret::Keys;
use lyceum_store::settings;
use lyceum_testkit::TestDb;

#[tokio::test]
async fn settings_are_kept_and_changed() {
    for test in TestDb::both().await {
        let mut tx = test.db().write().await.unwrap();
        assert_eq!(settings::get(&mut tx, "a").await.unwrap(), None);
        settings::set(&mut tx, "a", "1", Millis(1)).await.unwrap();
        settings::set(&mut tx, "a", "2", Millis(2)).await.unwrap();
        assert_eq!(settings::get(&mut tx, "a").await.unwrap().unwrap(), "2");
        let made = || "3".to_owned();
        let kept = settings::get_or_create(&mut tx, "a", Millis(3), made).await;
        assert_eq!(kept.unwrap(), "2");
        let fresh = settings::get_or_create(&mut tx, "b", Millis(3), made).await;
        assert_eq!(fresh.unwrap(), "3");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_agree_on_what_was_first() {
    for test in TestDb::both().await {
        let mut makers = Vec::new();
        for n in 0..4 {
            let db = test.another().await;
            makers.push(tokio::spawn(async move {
                let mut tx = db.write().await.unwrap();
                let make = || format!("made by {n}");
                let value = settings::get_or_create(&mut tx, "a", Millis(0), make).await;
                tx.commit().await.unwrap();
                value.unwrap()
            }));
        }
        let mut values = Vec::new();
        for maker in makers {
            values.push(maker.await.unwrap());
        }
        values.dedup();
        assert_eq!(values.len(), 1, "{values:?}");
    }
}

#[tokio::test]
async fn sealed_settings_need_their_key_and_name() {
    for test in TestDb::both().await {
        let keys = Keys::from_bytes([1; 32]);
        let mut tx = test.db().write().await.unwrap();
        let secret = Secret::new("hunter2");
        let make = || secret.clone();
        let made = settings::get_or_create_sealed(&mut tx, &keys, "a", Millis(0), make).await;
        assert_eq!(made.unwrap(), secret);
        let read = settings::get_sealed(&mut tx, &keys, "a").await.unwrap();
        assert_eq!(read, Some(secret));
        let raw = settings::get(&mut tx, "a").await.unwrap().unwrap();
        assert!(!raw.contains("hunter2"));

        let other = Keys::from_bytes([2; 32]);
        let error = settings::get_sealed(&mut tx, &other, "a")
            .await
            .unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("key file that belongs"), "{error}");
        settings::set(&mut tx, "b", &raw, Millis(1)).await.unwrap();
        assert!(settings::get_sealed(&mut tx, &keys, "b").await.is_err());
        let new = Secret::new("new");
        settings::set_sealed(&mut tx, &keys, "b", &new, Millis(2))
            .await
            .unwrap();
        let read = settings::get_sealed(&mut tx, &keys, "b").await.unwrap();
        assert_eq!(read, Some(new));
    }
}
