//! The list of people; one or many are made.

use std::collections::HashSet;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::page::contexts::admin::{AddForm, Invitations, PersonRow, UsersPage};
use lyceum_web::{ApiError, ApiResult, Caller};

use super::{Tally, Visit, csv, invitations, sign_ups, user_url};
use crate::api::users::change;
use crate::api::{find_person, groups, require_everywhere};
use crate::db::servers::of_users;
use crate::db::users::{Among, Busy, Search, Sort, User};
use crate::pages::fields::Fields;
use crate::pages::list::{Asked, ListQuery};
use crate::{Hub, db};

pub(super) const LIST: &str = "/hub/admin/users";
pub(super) const FILE: &str = "/hub/admin/users.csv";

pub(super) async fn show(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let invited = Invitations::default();
    page(&visit, &query, StatusCode::OK, AddForm::default(), invited).await
}

/// What a list of people can show this visitor, and be asked for.
#[derive(Clone, Copy)]
pub(super) struct Sees {
    pub(super) created: bool,
    pub(super) activity: bool,
    pub(super) servers: bool,
    pub(super) blocked: bool,
}

impl Sees {
    /// In a list that is made by this scope.
    pub(super) fn of(visit: &Visit, list: ScopeName) -> Self {
        Self {
            created: visit.covers(list, ScopeName::ReadUsers),
            activity: visit.covers(list, ScopeName::ReadUsersActivity),
            servers: visit.covers(list, ScopeName::ReadServers),
            blocked: visit.covers(list, ScopeName::AdminUsers),
        }
    }

    pub(super) fn columns(self) -> Vec<(&'static str, bool)> {
        let columns = [
            (true, "name"),
            (self.created, "created"),
            (self.activity, "last_activity"),
            (self.servers, "running"),
        ];
        let shown = columns.into_iter().filter(|(shown, _)| *shown);
        shown.map(|(_, key)| (key, true)).collect()
    }
}

fn asked(visit: &Visit, query: &ListQuery, sees: Sees) -> Asked {
    let columns: Vec<&str> = sees.columns().into_iter().map(|(key, _)| key).collect();
    let mut asked = Asked::read(visit.hub.base(), LIST, query, &columns);
    if sees.servers {
        let options = &["all", "active", "ready", "inactive"];
        asked = asked.filter("state", &query.state, options);
    }
    let roles: &[&str] = match sees.blocked {
        true => &["all", "admin", "blocked"],
        false => &["all", "admin"],
    };
    asked.filter("role", &query.role, roles)
}

pub(super) fn sort((column, down): (&str, bool)) -> Sort {
    match (column, down) {
        ("name", true) => Sort::NameDown,
        ("created", false) => Sort::Created,
        ("created", true) => Sort::CreatedDown,
        ("last_activity", false) => Sort::Activity,
        ("last_activity", true) => Sort::ActivityDown,
        ("running", false) => Sort::Running,
        ("running", true) => Sort::RunningDown,
        _ => Sort::Name,
    }
}

/// What is looked for, among those whom the visitor may see.
fn search<'a>(asked: &'a Asked, among: &Option<Among>) -> Search<'a> {
    Search {
        filter: &asked.q,
        among: among.clone(),
        busy: match asked.value("state") {
            "active" => Some(Busy::Active),
            "ready" => Some(Busy::Ready),
            "inactive" => Some(Busy::Inactive),
            _ => None,
        },
        admin: (asked.value("role") == "admin").then_some(true),
        blocked: (asked.value("role") == "blocked").then_some(true),
        ..Search::default()
    }
}

/// `invited`: what came of a wish for an invitation.
pub(super) async fn page(
    visit: &Visit,
    query: &ListQuery,
    status: StatusCode,
    form: AddForm,
    invited: Invitations,
) -> ApiResult<Response> {
    let among = visit.among(ScopeName::ListUsers)?;
    let sees = Sees::of(visit, ScopeName::ListUsers);
    let mut asked = asked(visit, query, sees);
    let mut tx = visit.hub.db().read().await?;
    let total = search(&asked, &among).count(&mut tx).await?;
    asked.settle(total);
    let users = search(&asked, &among)
        .page(&mut tx, sort(asked.sort()), asked.offset, asked.limit)
        .await?;
    let rows = rows(&visit.hub, &mut tx, &visit.caller, sees, users).await?;
    let invitations = invitations::shown(visit, &mut tx).await?;
    let sign_ups = sign_ups::shown(visit, &mut tx).await?;
    drop(tx);
    let page = UsersPage {
        invitations: invitations.map(|shown| Invitations {
            open: shown.open,
            ..invited
        }),
        sign_ups,
        page: visit.page(),
        area: visit.area("users", query),
        list: asked.listing(rows, total, &sees.columns(), Some(FILE)),
        may_add: visit.sees_all(ScopeName::AdminUsers),
        may_block: visit.reaches(ScopeName::AdminUsers),
        may_group: visit.reaches(ScopeName::Groups),
        may_make_admins: visit.holds_all(),
        form,
    };
    visit.html(status, "admin_users.html", &page)
}

/// People as rows, as far as the visitor may see them.
pub(super) async fn rows(
    hub: &Hub,
    tx: &mut Tx,
    caller: &Caller,
    sees: Sees,
    users: Vec<User>,
) -> sqlx::Result<Vec<PersonRow>> {
    let ids: Vec<&str> = users.iter().map(|user| user.id.as_str()).collect();
    let servers = match sees.servers {
        true => of_users(tx, &ids, false).await?,
        false => Vec::new(),
    };
    let rows = users.into_iter().map(|user| {
        let running = servers.iter().filter(|server| server.user_id == user.id);
        PersonRow {
            running: running.count().try_into().unwrap_or(u64::MAX),
            url: hub.at(&user_url(user.name.as_str())),
            display_name: user.display_name.filter(|name| name != user.name.as_str()),
            admin: user.admin,
            blocked: user.blocked_at.is_some()
                && caller.may(ScopeName::AdminUsers, Target::User(&user.name)),
            created: sees.created.then_some(user.created_at),
            last_activity: user.last_activity_at.filter(|_| sees.activity),
            name: user.name.to_string(),
        }
    });
    Ok(rows.collect())
}

/// All that match, in the order of their names.
pub(super) async fn file(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let among = visit.among(ScopeName::ListUsers)?;
    let sees = Sees::of(&visit, ScopeName::ListUsers);
    let head = [
        "name",
        "display_name",
        "admin",
        "blocked",
        "created",
        "last_activity",
        "running",
    ];
    let (hub, caller) = (visit.hub.clone(), visit.caller.clone());
    csv::answer(
        "users.csv",
        &head,
        visit.still(),
        Some(String::new()),
        move |after| {
            let asked = asked(&visit, &query, sees);
            let (hub, caller, among) = (hub.clone(), caller.clone(), among.clone());
            async move {
                let Some(after) = after else {
                    return Ok(None);
                };
                let search = Search {
                    after: Some(&after),
                    ..search(&asked, &among)
                };
                let mut tx = hub.db().read().await?;
                let users = search.page(&mut tx, Sort::Name, 0, csv::PIECE).await?;
                let last = users.last().map(|user| user.name.to_string());
                let rows = rows(&hub, &mut tx, &caller, sees, users).await?;
                let lines = rows.into_iter().map(|row| {
                    csv::line([
                        row.name,
                        row.display_name.unwrap_or_default(),
                        csv::flag(row.admin),
                        csv::flag(row.blocked),
                        csv::moment(row.created),
                        csv::moment(row.last_activity),
                        row.running.to_string(),
                    ])
                });
                Ok(last.map(|last| (lines.collect(), Some(last))))
            }
        },
    )
    .await
}

/// `POST /hub/admin/users/add`: one name or many.
pub(super) async fn add(visit: Visit, form: Fields) -> ApiResult<Response> {
    require_everywhere(&visit.caller, ScopeName::AdminUsers)?;
    let names = form.names("names");
    let refuse = async |why: Saying| {
        let form = AddForm {
            text: form.get("names").to_owned(),
            error: Some(why.sentence(visit.lang())),
        };
        let (query, status) = (ListQuery::default(), StatusCode::BAD_REQUEST);
        page(&visit, &query, status, form, Invitations::default()).await
    };
    if names.is_empty() {
        return refuse(say!("admin.no_names")).await;
    }
    let mut wanted: Vec<UserName> = Vec::new();
    let mut known = HashSet::new();
    for text in &names {
        match change::new_name(text) {
            Ok(name) if !known.insert(name.clone()) => {}
            Ok(name) => wanted.push(name),
            Err(error) => {
                let text: String = text.chars().take(60).collect();
                return refuse(say!("admin.bad_name", text = text, why = error.saying())).await;
            }
        }
    }
    let admin = form.has("admin");
    let made = change::make_all(&visit.hub, &visit.caller, &wanted, admin).await?;
    if made.is_empty() {
        return refuse(say!("admin.all_there")).await;
    }
    let tally = Tally {
        done: made.len(),
        ..Tally::default()
    };
    Ok(visit.back(&form, LIST, "added", &tally))
}

/// `POST /hub/admin/users/do`: the same for each that was chosen.
pub(super) async fn act(visit: Visit, form: Fields) -> ApiResult<Response> {
    let mut tally = Tally::default();
    let (hub, caller) = (&visit.hub, &visit.caller);
    let done = match form.get("do") {
        "block" => "blocked",
        "unblock" => "unblocked",
        "join" => "joined",
        _ => return Err(ApiError::bad_request(say!("admin.no_such_action"))),
    };
    for name in form.all("chosen") {
        tally.note(match done {
            "joined" => {
                let names = [name.to_owned()];
                let group = form.get("group");
                groups::move_people(hub, caller, group, &names, true)
                    .await
                    .map(|_| ())
            }
            _ => block(hub, caller, name, done == "blocked").await,
        });
    }
    let tally = tally.settle()?;
    Ok(visit.back(&form, LIST, done, &tally))
}

async fn block(hub: &Hub, caller: &Caller, name: &str, blocked: bool) -> ApiResult<()> {
    let mut tx = hub.db().read().await?;
    let user = find_person(&mut tx, caller, &[ScopeName::AdminUsers], name).await?;
    drop(tx);
    change::block(hub, caller, &user, blocked).await
}

/// Somebody whose page it is.
pub(super) async fn find(visit: &Visit, name: &str) -> ApiResult<User> {
    const SEEING: &[ScopeName] = &[ScopeName::ListUsers, ScopeName::ReadUsersName];
    let mut tx = visit.hub.db().read().await?;
    let user = find_person(&mut tx, &visit.caller, SEEING, name).await?;
    visit.caller.require_any(SEEING, Target::User(&user.name))?;
    Ok(user)
}

/// For those who look at many: whether the visitor may see this one's page.
pub(super) fn page_of(visit: &Visit, name: &UserName) -> Option<String> {
    let may = visit
        .caller
        .may(ScopeName::ReadUsersName, Target::User(name));
    // The account of a course has no page: it is nobody.
    (may && !name.is_of_course()).then(|| visit.hub.at(&user_url(name.as_str())))
}

/// The first few of a list that is made by a scope, in this order.
pub(super) async fn first(
    visit: &Visit,
    tx: &mut Tx,
    scope: ScopeName,
    sort: Sort,
    many: i64,
) -> ApiResult<Vec<PersonRow>> {
    let search = db::users::Search {
        among: visit.among(scope)?,
        ..Search::default()
    };
    let users = search.page(tx, sort, 0, many).await?;
    let sees = Sees::of(visit, scope);
    Ok(rows(&visit.hub, tx, &visit.caller, sees, users).await?)
}
