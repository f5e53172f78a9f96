//! Codes as they are typed: whether one lets in here and now, and how it is used up.

use std::net::IpAddr;

use lyceum_auth::otp::{Code, CodeKey};
use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_store::Tx;

use super::{Sitting, nowhere};
use crate::db;
use crate::db::sittings::Code as Row;
use crate::db::users::User;

/// Why a code of ours does not let in. Said only to whoever has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    Used {
        at: Millis,
    },
    TakenBack,
    Early {
        from: Millis,
    },
    Over {
        at: Millis,
    },
    /// From none of the sitting's networks.
    Elsewhere,
    /// In the room, but at another seat than the one it is for.
    OtherSeat {
        seat: String,
    },
}

/// A code of ours that was typed.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub code: String,
    pub sitting: Sitting,
    pub who: UserName,
    pub seat: String,
    /// The account is the sitting's own.
    pub is_numbered: bool,
}

/// Looks a code up. Nobody's: there is none such.
pub async fn look_up(
    tx: &mut Tx,
    key: &CodeKey,
    code: &Code,
    address: IpAddr,
    now: Millis,
) -> sqlx::Result<Option<Result<Ticket, Unfit>>> {
    let Some(row) = db::sittings::by_hash(tx, &key.hash(code)).await? else {
        return Ok(None);
    };
    let Some(sitting) = db::sittings::find(tx, &row.sitting_id).await? else {
        return Ok(None);
    };
    let sitting = Sitting::from(sitting);
    let Ok(who) = UserName::parse(&row.user_name) else {
        return Ok(None);
    };
    if let Some(unfit) = unfit(&sitting, &row, address, now) {
        return Ok(Some(Err(unfit)));
    }
    Ok(Some(Ok(Ticket {
        code: row.id,
        sitting,
        who,
        seat: row.seat,
        is_numbered: row.is_numbered,
    })))
}

fn unfit(sitting: &Sitting, row: &Row, address: IpAddr, now: Millis) -> Option<Unfit> {
    if row.revoked_at.is_some() {
        return Some(Unfit::TakenBack);
    }
    if let Some(at) = row.used_at {
        return Some(Unfit::Used { at: Millis(at) });
    }
    if now.0 >= sitting.ends.0 {
        return Some(Unfit::Over { at: sitting.ends });
    }
    if now.0 < sitting.begins.0 {
        let from = sitting.begins;
        return Some(Unfit::Early { from });
    }
    let networks = &sitting.networks;
    if !networks.is_empty() && !networks.iter().any(|network| network.contains(address)) {
        return Some(Unfit::Elsewhere);
    }
    let own = row.network.as_deref();
    let own = own.map(|text| text.parse().unwrap_or_else(|_| nowhere()));
    (own.is_some_and(|own| !own.contains(address))).then(|| Unfit::OtherSeat {
        seat: row.seat.clone(),
    })
}

impl Ticket {
    /// Holds the sitting, first of all in the transaction that begins the session ([`db::sittings::hold`]).
    /// No: it is gone.
    pub async fn hold(&self, tx: &mut Tx) -> sqlx::Result<bool> {
        let held = db::sittings::hold(tx, &self.sitting.id).await?;
        Ok(held.is_some())
    }

    /// When its sitting ends, as it is now: the end may have been moved since the code was looked up. None: it
    /// is gone.
    pub async fn ends(&self, tx: &mut Tx) -> sqlx::Result<Option<Millis>> {
        let sitting = db::sittings::find(tx, &self.sitting.id).await?;
        Ok(sitting.map(|sitting| Millis(sitting.ends_at)))
    }

    /// Uses the code up, in the transaction that begins the session. Of two at once one gets it; and nobody
    /// does after the end, or after it was taken back.
    pub async fn take(
        &self,
        tx: &mut Tx,
        user: &User,
        session: &str,
        address: IpAddr,
        now: Millis,
    ) -> sqlx::Result<bool> {
        let ends = self.ends(tx).await?;
        let is_still = user.name == self.who && ends.is_some_and(|ends| now.0 < ends.0);
        let (who, address) = (self.who.as_str(), address.to_string());
        Ok(is_still && db::sittings::take(tx, &self.code, who, now.0, &address, session).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_in_its_window_and_from_its_place() {
        let sitting = Sitting {
            id: "s".into(),
            title: "T".into(),
            course: None,
            begins: Millis(1_000),
            ends: Millis(2_000),
            networks: vec!["10.0.5.0/24".parse().expect("a network")],
            invigilators: Vec::new(),
            made_by: "root".into(),
        };
        let row = Row {
            id: "c".into(),
            sitting_id: "s".into(),
            place: 1,
            seat: "17".into(),
            user_name: "ada".into(),
            is_numbered: false,
            network: Some("10.0.5.17/32".into()),
            hash: String::new(),
            made_at: 0,
            used_at: None,
            used_address: None,
            session_id: None,
            revoked_at: None,
        };
        let here: IpAddr = "10.0.5.17".parse().expect("an address");
        let check = |row: &Row, address: &str, now: i64, expect: Option<Unfit>| {
            let address = address.parse().expect("an address");
            assert_eq!(unfit(&sitting, row, address, Millis(now)), expect);
        };
        check(&row, "10.0.5.17", 1_000, None);
        check(&row, "::ffff:10.0.5.17", 1_999, None);
        check(
            &row,
            "10.0.5.17",
            999,
            Some(Unfit::Early {
                from: Millis(1_000),
            }),
        );
        check(
            &row,
            "10.0.5.17",
            2_000,
            Some(Unfit::Over { at: Millis(2_000) }),
        );
        check(&row, "10.0.6.17", 1_500, Some(Unfit::Elsewhere));
        let seat = Unfit::OtherSeat { seat: "17".into() };
        check(&row, "10.0.5.18", 1_500, Some(seat));
        let used = Row {
            used_at: Some(1_100),
            ..row.clone()
        };
        check(
            &used,
            "10.0.6.17",
            1_500,
            Some(Unfit::Used { at: Millis(1_100) }),
        );
        let back = Row {
            revoked_at: Some(1_200),
            ..used
        };
        check(&back, "10.0.5.17", 1_500, Some(Unfit::TakenBack));
        // What is not understood lets nobody in.
        let odd = Row {
            network: Some("?".into()),
            ..row
        };
        assert!(unfit(&sitting, &odd, here, Millis(1_500)).is_some());
    }
}
