//! What is told of a start on the way.

use lyceum_model::saying::Saying;
use lyceum_store::{Later, Tx, on};

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Step {
    pub seq: i64,
    pub at: i64,
    pub progress: i64,
    /// In English; see [`Step::saying`].
    pub message: String,
    pub saying: Option<String>,
}

impl Step {
    pub fn saying(&self) -> Saying {
        Saying::from_stored(&self.message, self.saying.as_deref())
    }
}

/// Steps of one start are few; a spawner that talks without end is cut here.
const STEPS_MAX: i64 = 200;

/// Left for the commit.
pub fn add_step(tx: &mut Tx, id: &str, generation: i64, at: i64, progress: u8, message: &Saying) {
    let text: String = message.to_string().chars().take(500).collect();
    tx.later(
        Later::new(
            "INSERT INTO server_steps (server_id, generation, seq, at, progress, message, saying) \
             SELECT $1, $2, COALESCE(MAX(seq), 0) + 1, $3, $4, $5, $7 FROM server_steps WHERE server_id = $1 AND generation = $2 \
             HAVING COALESCE(MAX(seq), 0) < $6",
        )
        .bind(id)
        .bind(generation)
        .bind(at)
        .bind(i64::from(progress))
        .bind(text)
        .bind(STEPS_MAX)
        .bind(message.to_stored()),
    );
}

pub async fn steps(tx: &mut Tx, id: &str, generation: i64, after: i64) -> sqlx::Result<Vec<Step>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT seq, at, progress, message, saying FROM server_steps WHERE server_id = $1 AND generation = $2 AND seq > $3 ORDER BY seq"
    )
    .bind(id)
    .bind(generation)
    .bind(after)
    .fetch_all(c)
    .await
    })
}

/// Earlier generations' steps are of no use once a new start is asked for. Left for the commit.
pub fn forget_steps(tx: &mut Tx, id: &str, before_generation: i64) {
    tx.later(
        Later::new("DELETE FROM server_steps WHERE server_id = $1 AND generation < $2")
            .bind(id)
            .bind(before_generation),
    );
}
