//! How much is kept of what people hand in.

use lyceum_courses::Bytes;
use lyceum_exchange::quota::Quota;
use lyceum_testkit::TestDb;
use serde_json::{Value, json};

use crate::kit::{Asker, Stage, refused};

async fn stored(asker: &Asker) -> Value {
    let answer = asker.0.get("/hub/api/lyceum/exchange/courses/bio").await;
    answer.expect(200).json()["stored"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_course_and_a_person_have_so_much_room() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        let ben = stage.asks("ben").await;
        // Of teachers nothing counts.
        let large = "x".repeat(5_000);
        tess.post_files("assignment/bio/hw", &[("q", &large)])
            .await
            .expect(200);
        let small = "x".repeat(600);
        ada.submit("submission/bio/hw", &[("a", &small)]).await;
        stage.exchange.set_quota(Quota {
            course: Some(Bytes(1_500)),
            person: Some(Bytes(1_000)),
        });
        let send = async |asker: &Asker, bytes: usize| {
            let content = "y".repeat(bytes);
            asker
                .post_files("submission/bio/hw", &[("a", &content)])
                .await
        };
        // What was there before the quota counts; what was refused does not.
        for _ in 0..2 {
            refused(
                &send(&ada, 401).await,
                413,
                "You have handed in 600 bytes in this course; at most 1 kB are kept of one person, so files of \
                 400 bytes fit. Ask whoever teaches it",
            );
        }
        send(&ada, 400).await.expect(200);
        refused(
            &send(&ben, 501).await,
            507,
            "This course has 1 kB of what was handed in; at most 1.5 kB are kept, so files of 500 bytes fit. Tell \
             whoever teaches it",
        );
        send(&ben, 500).await.expect(200);
        // Full; told before the body is read.
        assert_eq!(send(&ada, 0).await.status, 413);
        assert_eq!(send(&ben, 0).await.status, 507);
        assert_eq!(
            stored(&ada).await,
            json!({ "own": { "bytes": 1000, "most": 1000 } })
        );
        assert_eq!(
            stored(&tess).await,
            json!({ "own": { "bytes": 0, "most": 1000 }, "course": { "bytes": 1500, "most": 1500 } })
        );
        stage.exchange.set_quota(Quota::default());
        send(&ada, 1).await.expect(200);
        let kept = stored(&tess).await;
        assert_eq!(kept["course"], json!({ "bytes": 1501, "most": null }));
    }
}
