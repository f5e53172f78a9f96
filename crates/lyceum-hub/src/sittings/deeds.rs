//! What is done with sittings while the hub runs, each written into the log with who did it.

use lyceum_auth::otp::Code;
use lyceum_model::clock::Millis;
use lyceum_model::say;
use lyceum_store::Tx;
use lyceum_web::{ApiError, ApiResult};

use super::{Checked, NotNow, Place, Sheet, Sitting, Which, Wrong};
use crate::audit::{Act, Doer, What};
use crate::{Hub, db, proxy, second_factor};

/// Who does something to a sitting.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    pub doer: &'a Doer,
    /// Whether she makes sittings: after the end nobody else gives more time, or new codes.
    pub is_maker: bool,
}

impl<'a> By<'a> {
    pub fn maker(doer: &'a Doer) -> Self {
        let is_maker = true;
        Self { doer, is_maker }
    }

    /// As it is shown; nobody calls by a name of ours at the command line.
    pub(super) fn name(self) -> &'a str {
        match self.doer.name() {
            "" => "command line",
            name => name,
        }
    }

    pub(super) fn act(self, what: What, title: &str) -> Act<'a> {
        let act = Act::new(self.doer, what).with("exam", title);
        match self.doer.name() {
            "" => act.with("by", "command_line"),
            _ => act,
        }
    }
}

impl From<NotNow> for ApiError {
    fn from(why: NotNow) -> Self {
        match why {
            NotNow::Gone => Self::not_found(),
            NotNow::Over => Self::forbidden(say!("sitting.over")),
            NotNow::End => Self::bad_request(say!("sitting.ends")),
        }
    }
}

/// Makes one. Not for administrators by the configuration: whoever holds a code would be one; nor past
/// anybody's second step.
pub async fn made_by(
    hub: &Hub,
    wish: &Checked,
    by: By<'_>,
) -> ApiResult<Result<(Sitting, Vec<Sheet>), Wrong>> {
    let settings = hub.settings();
    let admins = &settings.admission.admins;
    if let Some(name) = wish.names().find(|name| admins.contains(*name)) {
        let why = say!("sitting.administrator", name = name.as_str());
        return Ok(Err(Wrong::at("people", why)));
    }
    if let Some(id) = wish.course().filter(|id| !hub.shelf().has_course(id)) {
        return Ok(Err(Checked::no_such_course(&id)));
    }
    let mut tx = hub.db().write().await?;
    for place in &wish.places {
        if has_second_step(hub, &mut tx, place).await? {
            tx.rollback().await?;
            let why = say!("sitting.second_step", name = place.who.as_str());
            return Ok(Err(Wrong::at("people", why)));
        }
    }
    let made = super::make(&mut tx, hub.code_key(), wish, by, hub.now()).await?;
    match &made {
        Ok((sitting, sheets)) => {
            tx.commit().await?;
            let codes = sheets.len();
            tracing::info!(
                by = by.name(),
                sitting = sitting.id,
                title = sitting.title,
                codes,
                "sitting made"
            );
        }
        Err(_) => tx.rollback().await?,
    }
    Ok(made)
}

async fn has_second_step(hub: &Hub, tx: &mut Tx, place: &Place) -> sqlx::Result<bool> {
    if place.is_numbered {
        return Ok(false);
    }
    Ok(match db::users::find(tx, &place.who).await? {
        Some(user) => second_factor::needed(hub, tx, &user).await?.is_some(),
        None => false,
    })
}

/// New codes, in place of those before.
pub async fn renewed_by(
    hub: &Hub,
    sitting: &Sitting,
    which: Which,
    by: By<'_>,
) -> ApiResult<Vec<Sheet>> {
    let mut tx = hub.db().write().await?;
    let key = hub.code_key();
    let sheets = super::renew(&mut tx, key, &sitting.id, which, by, hub.now()).await??;
    tx.commit().await?;
    proxy::pass_on(hub).await;
    let by = by.name();
    if let (Which::One(_), true) = (which, sheets.is_empty()) {
        return Err(ApiError::not_found());
    }
    for sheet in &sheets {
        tracing::info!(by, sitting = sitting.id, seat = sheet.seat, user = %sheet.who, "new code for a place of a sitting");
    }
    Ok(sheets)
}

pub async fn taken_back_by(
    hub: &Hub,
    sitting: &Sitting,
    place: i64,
    by: By<'_>,
) -> ApiResult<bool> {
    let mut tx = hub.db().write().await?;
    let was = super::take_back(&mut tx, &sitting.id, place, by, hub.now()).await?;
    tx.commit().await?;
    proxy::pass_on(hub).await;
    tracing::info!(
        by = by.name(),
        sitting = sitting.id,
        place,
        was,
        "code of a sitting taken back"
    );
    Ok(was)
}

/// Another end.
pub async fn ended_by(
    hub: &Hub,
    sitting: &Sitting,
    ends: Millis,
    by: By<'_>,
) -> ApiResult<Result<(), NotNow>> {
    let mut tx = hub.db().write().await?;
    let set = super::set_end(&mut tx, &sitting.id, ends, by, hub.now()).await?;
    if set.is_err() {
        tx.rollback().await?;
        return Ok(set);
    }
    tx.commit().await?;
    proxy::pass_on(hub).await;
    tracing::info!(
        by = by.name(),
        sitting = sitting.id,
        ends = ends.to_iso(),
        "another end of a sitting"
    );
    Ok(set)
}

pub async fn removed_by(hub: &Hub, sitting: &Sitting, by: By<'_>) -> ApiResult<()> {
    let mut tx = hub.db().write().await?;
    super::remove(&mut tx, &sitting.id, by, hub.now()).await?;
    tx.commit().await?;
    proxy::pass_on(hub).await;
    tracing::info!(
        by = by.name(),
        sitting = sitting.id,
        title = sitting.title,
        "sitting removed"
    );
    Ok(())
}

/// Sheets as a file, for whoever prints them by other means.
pub fn as_text(sheets: &[Sheet]) -> String {
    let lines = sheets.iter().map(|sheet| {
        let quoted = sheet.seat.replace('"', "\"\"");
        let code = Code::shown(&sheet.code);
        format!("\"{quoted}\",{},{code}\r\n", sheet.who)
    });
    format!("seat,user,code\r\n{}", lines.collect::<String>())
}
