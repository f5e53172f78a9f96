//! What invigilators look at: sittings, who has come, and sheets to print.
//!
//! A code lets in as somebody, so only those make sittings who may do all. Whom they name as invigilators
//! see who has come, take codes back, and until the end make new ones for the people of that sitting, and
//! nobody else.

use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use data_encoding::BASE64;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};
use lyceum_model::clock::Millis;
use lyceum_model::say;
use lyceum_web::page::contexts::admin::Area;
use lyceum_web::page::contexts::sittings::{
    PlaceRow, Sheet as SheetShown, SheetsPage, SittingForm, SittingPage, SittingRow, SittingsPage,
};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde::Deserialize;

use super::admin;
use super::fields::Fields;
use super::{frame, html, redirect, seat};
use crate::api::shares::full;
use crate::audit::Doer;
use crate::sittings::{self, By, NotNow, Sheet, Sitting, Which, Wish, Wrong, qr};
use crate::visit::SignedIn;
use crate::{Hub, db, giving};

pub(super) const LIST: &str = "/hub/sittings";
const ONE: &str = "/hub/sitting/{sitting}";

/// Where one is looked after.
pub(super) fn url(hub: &Hub, id: &str) -> String {
    hub.at(&ONE.replace("{sitting}", id))
}

pub(super) fn routes() -> Routes<Hub> {
    let anon = "sends anonymous visitors to the log-in page";
    Routes::default()
        .public(Method::GET, LIST, anon, list)
        .scoped(Method::POST, LIST, make)
        .public(Method::GET, ONE, anon, one)
        .scoped(Method::POST, ONE, act)
}

/// A browser of somebody who looks after sittings.
struct Visit<'a> {
    hub: &'a Hub,
    caller: &'a Caller,
    info: &'a RequestInfo,
    headers: &'a HeaderMap,
}

impl<'a> Visit<'a> {
    fn new(
        hub: &'a Hub,
        caller: &'a Caller,
        info: &'a RequestInfo,
        headers: &'a HeaderMap,
    ) -> ApiResult<Self> {
        if !caller.is_session() {
            return Err(ApiError::forbidden(say!("refused.for_browsers_not_api")));
        }
        Ok(Self {
            hub,
            caller,
            info,
            headers,
        })
    }

    fn may_make(&self) -> bool {
        giving::holds_all(self.caller)
    }

    fn looks_after(&self, sitting: &Sitting) -> ApiResult<bool> {
        let id = &self.caller.person()?.id;
        Ok(self.may_make() || sitting.invigilators.iter().any(|one| one.id == *id))
    }

    fn html(
        &self,
        status: StatusCode,
        name: &str,
        page: &impl serde::Serialize,
    ) -> ApiResult<Response> {
        html(self.hub, self.headers, status, name, page)
    }

    fn area(&self) -> Area {
        admin::area_above(self.hub, self.caller, self.info, self.headers, "sittings")
    }

    fn zone(&self) -> TimeZone {
        self.hub.settings().theme.zone().clone()
    }

    fn row(&self, sitting: &Sitting, places: u64, came: u64) -> SittingRow {
        let now = self.hub.now();
        let state = match (now.0 < sitting.begins.0, now.0 < sitting.ends.0) {
            (true, _) => "coming",
            (false, true) => "running",
            (false, false) => "over",
        };
        SittingRow {
            id: sitting.id.clone(),
            url: self.url(&sitting.id),
            title: sitting.title.clone(),
            course: sitting.course.clone(),
            begins: sitting.begins.0,
            ends: sitting.ends.0,
            state,
            came,
            places,
        }
    }

    fn url(&self, id: &str) -> String {
        url(self.hub, id)
    }
}

#[derive(Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
}

impl Done {
    /// Words of our own only: the address can come from anywhere.
    fn word(&self) -> Option<&'static str> {
        ["taken_back", "ends", "removed"]
            .into_iter()
            .find(|word| *word == self.done)
    }
}

async fn list(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(done): Query<Done>,
) -> ApiResult<Response> {
    let visit = Visit::new(&hub, &caller, &info, &headers)?;
    let form = SittingForm {
        zone: zone_name(&visit.zone()),
        ..SittingForm::default()
    };
    show_list(&visit, StatusCode::OK, form, done.word()).await
}

async fn show_list(
    visit: &Visit<'_>,
    status: StatusCode,
    form: SittingForm,
    done: Option<&'static str>,
) -> ApiResult<Response> {
    let mut tx = visit.hub.db().read().await?;
    let all = db::sittings::list(&mut tx, sittings::LIST_MAX).await?;
    let tallies = db::sittings::tallies(&mut tx).await?;
    drop(tx);
    let mut rows = Vec::new();
    for sitting in all.into_iter().map(Sitting::from) {
        if visit.looks_after(&sitting)? {
            let tally = tallies.iter().find(|(id, ..)| *id == sitting.id);
            let (places, came) = tally.map_or((0, 0), |(_, places, came)| (*places, *came));
            rows.push(visit.row(&sitting, number(places), number(came)));
        }
    }
    let may_make = visit.may_make();
    if rows.is_empty() && !may_make {
        return Err(ApiError::forbidden(say!("refused.for_admins")));
    }
    let page = SittingsPage {
        page: frame(visit.hub, Some(visit.caller), visit.info),
        area: may_make.then(|| visit.area()),
        sittings: rows,
        may_make,
        form,
        done,
    };
    visit.html(status, "sittings.html", &page)
}

fn number(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

async fn make(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    form: Fields,
) -> ApiResult<Response> {
    let visit = Visit::new(&hub, &caller, &info, &headers)?;
    if !visit.may_make() {
        return Err(ApiError::forbidden(say!("person.admins_only")));
    }
    match made(&visit, &form).await? {
        Ok((sitting, sheets)) => show_sheets(&visit, &sitting, sheets),
        Err(wrong) => {
            let lang = super::language(&hub, &headers);
            let form = SittingForm {
                title: form.get("title").to_owned(),
                course: form.get("course").to_owned(),
                begins: form.get("begins").to_owned(),
                ends: form.get("ends").to_owned(),
                networks: form.get("networks").to_owned(),
                invigilators: form.get("invigilators").to_owned(),
                people: form.get("people").to_owned(),
                error: Some(wrong.why.sentence(lang)),
                wrong: Some(wrong.field),
                zone: zone_name(&visit.zone()),
            };
            show_list(&visit, StatusCode::BAD_REQUEST, form, None).await
        }
    }
}

async fn made(visit: &Visit<'_>, form: &Fields) -> ApiResult<Result<(Sitting, Vec<Sheet>), Wrong>> {
    let zone = visit.zone();
    let wish = || {
        let at = |field: &'static str| {
            moment(form.get(field), &zone).ok_or_else(|| Wrong {
                field,
                why: say!("sitting.time"),
            })
        };
        let wish = Wish {
            title: form.get("title").to_owned(),
            course: Some(form.get("course").to_owned()),
            begins: at("begins")?,
            ends: at("ends")?,
            networks: form.names("networks"),
            invigilators: form.names("invigilators"),
            people: form.get("people").to_owned(),
        };
        wish.check(visit.hub.now())
    };
    let checked = match wish() {
        Ok(checked) => checked,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let doer = Doer::of(visit.caller);
    sittings::made_by(visit.hub, &checked, By::maker(&doer)).await
}

/// What is typed means the site's zone.
fn moment(text: &str, zone: &TimeZone) -> Option<Millis> {
    let civil: DateTime = text.parse().ok()?;
    let zone = if zone.is_unknown() {
        &TimeZone::UTC
    } else {
        zone
    };
    let at = civil.to_zoned(zone.clone()).ok()?;
    Some(Millis(at.timestamp().as_millisecond()))
}

/// As a field takes it.
fn typed(at: Millis, zone: &TimeZone) -> String {
    let zone = if zone.is_unknown() {
        &TimeZone::UTC
    } else {
        zone
    };
    let at = Timestamp::from_millisecond(at.0).unwrap_or_default();
    let at = at.to_zoned(zone.clone()).datetime();
    let at = at.round(Unit::Minute).unwrap_or(at);
    at.strftime("%Y-%m-%dT%H:%M").to_string()
}

fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().unwrap_or("UTC").to_owned()
}

async fn find(visit: &Visit<'_>, id: &str) -> ApiResult<Sitting> {
    let mut tx = visit.hub.db().read().await?;
    let sitting = db::sittings::find(&mut tx, id).await?.map(Sitting::from);
    match sitting {
        Some(sitting) if visit.looks_after(&sitting)? => Ok(sitting),
        _ => Err(ApiError::not_found()),
    }
}

async fn one(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(done): Query<Done>,
) -> ApiResult<Response> {
    let visit = Visit::new(&hub, &caller, &info, &headers)?;
    let sitting = find(&visit, &id).await?;
    show_one(&visit, &sitting, StatusCode::OK, done.word(), None).await
}

async fn show_one(
    visit: &Visit<'_>,
    sitting: &Sitting,
    status: StatusCode,
    done: Option<&'static str>,
    error: Option<String>,
) -> ApiResult<Response> {
    let mut tx = visit.hub.db().read().await?;
    let all = db::sittings::codes_of(&mut tx, &sitting.id).await?;
    let now = sittings::now_at(&mut tx, &sitting.id).await?;
    drop(tx);
    let rows: Vec<PlaceRow> = (now.into_iter())
        .map(|row| {
            let before = all.iter().filter(|one| one.place == row.place).count() - 1;
            PlaceRow {
                place: row.place,
                state: match (row.revoked_at, row.used_at) {
                    (Some(_), _) => "back",
                    (None, Some(_)) => "came",
                    (None, None) => "waiting",
                },
                at: row.revoked_at.or(row.used_at),
                seat: row.seat,
                who: row.user_name,
                address: row.used_address.unwrap_or_default(),
                before: before.try_into().unwrap_or(0),
            }
        })
        .collect();
    let came = rows.iter().filter(|row| row.state == "came").count();
    let zone = visit.zone();
    let page = SittingPage {
        page: frame(visit.hub, Some(visit.caller), visit.info),
        sitting: visit.row(sitting, rows.len() as u64, came as u64),
        networks: sitting.networks.iter().map(ToString::to_string).collect(),
        invigilators: sitting
            .invigilators
            .iter()
            .map(|one| one.name.clone())
            .collect(),
        made_by: sitting.made_by.clone(),
        has_seats: rows.iter().any(|row| !row.seat.is_empty()),
        rows,
        may_remove: visit.may_make(),
        may_change: visit.may_make() || visit.hub.now().0 < sitting.ends.0,
        ends_text: typed(sitting.ends, &zone),
        zone: zone_name(&zone),
        done,
        error,
    };
    visit.html(status, "sitting.html", &page)
}

async fn act(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Path(id): Path<String>,
    form: Fields,
) -> ApiResult<Response> {
    let visit = Visit::new(&hub, &caller, &info, &headers)?;
    let sitting = find(&visit, &id).await?;
    let no_such = || ApiError::bad_request(say!("admin.no_such_action"));
    let place = || form.get("place").parse::<i64>().map_err(|_| no_such());
    let doer = Doer::of(&caller);
    let by = By {
        doer: &doer,
        is_maker: visit.may_make(),
    };
    let back = |done: &str| {
        let url = visit.url(&sitting.id);
        Ok(redirect(&hub.base(), &format!("{url}?done={done}")))
    };
    match form.get("do") {
        "take_back" => {
            sittings::taken_back_by(&hub, &sitting, place()?, by).await?;
            back("taken_back")
        }
        "renew" => {
            let which = Which::One(place()?);
            let sheets = sittings::renewed_by(&hub, &sitting, which, by).await?;
            show_sheets(&visit, &sitting, sheets)
        }
        "renew_unused" => {
            let sheets = sittings::renewed_by(&hub, &sitting, Which::Unused, by).await?;
            show_sheets(&visit, &sitting, sheets)
        }
        "ends" => {
            let ends = moment(form.get("ends"), &visit.zone());
            let set = match ends {
                Some(ends) => sittings::ended_by(&hub, &sitting, ends, by).await?,
                None => Err(NotNow::End),
            };
            match set {
                Ok(()) => return back("ends"),
                Err(NotNow::End) => {}
                Err(why) => return Err(why.into()),
            }
            let lang = super::language(&hub, &headers);
            let error = Some(say!("sitting.ends").sentence(lang));
            show_one(&visit, &sitting, StatusCode::BAD_REQUEST, None, error).await
        }
        "remove" if visit.may_make() => {
            sittings::removed_by(&hub, &sitting, by).await?;
            let url = hub.at(LIST);
            Ok(redirect(&hub.base(), &format!("{url}?done=removed")))
        }
        _ => Err(no_such()),
    }
}

fn show_sheets(visit: &Visit<'_>, sitting: &Sitting, sheets: Vec<Sheet>) -> ApiResult<Response> {
    let hub = visit.hub;
    let address = full(&hub.settings().origins, visit.info, seat::PATH);
    let shown: Vec<SheetShown> = (sheets.iter())
        .map(|sheet| {
            let code = sheet.code.shown();
            let picture = qr::picture(&format!("{address}#{code}")).unwrap_or_default();
            SheetShown {
                seat: sheet.seat.clone(),
                who: sheet.who.to_string(),
                code,
                qr: picture.path,
                qr_size: picture.size,
            }
        })
        .collect();
    let text = sittings::as_text(&sheets);
    let page = SheetsPage {
        page: frame(hub, Some(visit.caller), visit.info),
        sitting: visit.row(sitting, shown.len() as u64, 0),
        address,
        sheets: shown,
        file: format!("data:text/csv;base64,{}", BASE64.encode(text.as_bytes())),
    };
    visit.html(StatusCode::OK, "sheets.html", &page)
}
