//! Groups: the list, and one of them with who is in it.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{Filter, ScopeName, Target};
use lyceum_web::page::contexts::admin::{AddForm, GroupPage, GroupRow, GroupsPage};
use lyceum_web::{ApiError, ApiResult};

use super::{Tally, Visit, csv, group_url, members, number};
use crate::api::groups;
use crate::db;
use crate::db::search::groups::{Search, Sort};
use crate::pages::fields::Fields;
use crate::pages::list::{Asked, ListQuery};

pub(super) const LIST: &str = "/hub/admin/groups";
pub(super) const FILE: &str = "/hub/admin/groups.csv";
/// One group is named by the query: its name can hold what a path can't.
pub(super) const ONE: &str = "/hub/admin/group";

pub(super) async fn show(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    page(&visit, &query, StatusCode::OK, AddForm::default()).await
}

/// The groups that the visitor may list; nothing: all.
fn among(visit: &Visit) -> ApiResult<Option<Vec<String>>> {
    let reach = visit.caller.scopes.reach(ScopeName::ListGroups);
    if reach.is_empty() {
        return Err(crate::api::lacking(&[ScopeName::ListGroups]));
    }
    if reach.contains(&Filter::All) {
        return Ok(None);
    }
    let named = reach.into_iter().filter_map(|filter| match filter {
        Filter::Group(name) => Some(name),
        _ => None,
    });
    Ok(Some(named.collect()))
}

fn columns(sees_members: bool) -> Vec<(&'static str, bool)> {
    let mut columns = vec![("group", true)];
    if sees_members {
        columns.push(("members", true));
    }
    columns
}

async fn page(
    visit: &Visit,
    query: &ListQuery,
    status: StatusCode,
    form: AddForm,
) -> ApiResult<Response> {
    let among = among(visit)?;
    let sees_members = visit.covers(ScopeName::ListGroups, ScopeName::ReadGroups);
    let columns = columns(sees_members);
    let sorted: Vec<&str> = columns.iter().map(|(key, _)| *key).collect();
    let mut asked = Asked::read(visit.hub.base(), LIST, query, &sorted);
    let mut tx = visit.hub.db().read().await?;
    let search = |q| Search {
        filter: q,
        among: among.clone(),
        after: None,
    };
    let q = asked.q.clone();
    let total = search(&q).count(&mut tx).await?;
    asked.settle(total);
    let sort = match asked.sort() {
        ("members", false) => Sort::Members,
        ("members", true) => Sort::MembersDown,
        (_, false) => Sort::Name,
        (_, true) => Sort::NameDown,
    };
    let found = search(&q)
        .page(&mut tx, sort, asked.offset, asked.limit)
        .await?;
    drop(tx);
    let rows = found.into_iter().map(|found| GroupRow {
        url: visit.hub.at(&group_url(&found.name)),
        members: sees_members.then(|| number(found.members)),
        may_change: visit
            .caller
            .may(ScopeName::Groups, Target::Group(&found.name)),
        name: found.name,
    });
    let page = GroupsPage {
        page: visit.page(),
        area: visit.area("groups", query),
        list: asked.listing(rows.collect(), total, &columns, Some(FILE)),
        may_add: visit.reaches(ScopeName::AdminGroups),
        form,
    };
    visit.html(status, "admin_groups.html", &page)
}

pub(super) async fn file(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let among = among(&visit)?;
    let sees_members = visit.covers(ScopeName::ListGroups, ScopeName::ReadGroups);
    let asked = Asked::read(visit.hub.base(), LIST, &query, &["group"]);
    let (hub, q) = (visit.hub.clone(), asked.q);
    let first = Some(None::<String>);
    csv::answer(
        "groups.csv",
        &["group", "members"],
        visit.still(),
        first,
        move |after| {
            let (hub, q, among) = (hub.clone(), q.clone(), among.clone());
            async move {
                let Some(after) = after else {
                    return Ok(None);
                };
                let search = Search {
                    filter: &q,
                    among,
                    after: after.as_deref(),
                };
                let mut tx = hub.db().read().await?;
                let found = search.page(&mut tx, Sort::Name, 0, csv::PIECE).await?;
                let last = found.last().map(|group| group.name.clone());
                let lines = found.into_iter().map(|group| {
                    let members = match sees_members {
                        true => group.members.to_string(),
                        false => String::new(),
                    };
                    csv::line([group.name, members])
                });
                Ok(last.map(|last| (lines.collect(), Some(Some(last)))))
            }
        },
    )
    .await
}

/// `POST /hub/admin/groups/add`.
pub(super) async fn add(visit: Visit, form: Fields) -> ApiResult<Response> {
    let name = form.get("name");
    match groups::make(&visit.hub, &visit.caller, name, &form.names("users")).await {
        Ok(_) => Ok(visit.back(&form, &group_url(name), "group_added", &Tally::one())),
        Err(error) if matches!(error.status.as_u16(), 400 | 409) => {
            let form = AddForm {
                text: name.to_owned(),
                error: Some(error.message.sentence(visit.lang())),
            };
            let query = ListQuery::default();
            page(&visit, &query, StatusCode::BAD_REQUEST, form).await
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn one(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    group(&visit, &query.name, &query, None, AddForm::default()).await
}

async fn group(
    visit: &Visit,
    name: &str,
    query: &ListQuery,
    problem: Option<Saying>,
    form: AddForm,
) -> ApiResult<Response> {
    const SEEING: &[ScopeName] = &[ScopeName::ReadGroupsName, ScopeName::ReadGroups];
    visit.caller.require_any(SEEING, Target::Group(name))?;
    let may = |scope| visit.caller.may(scope, Target::Group(name));
    let mut tx = visit.hub.db().read().await?;
    let found = db::groups::find(&mut tx, name).await?;
    let found = found.ok_or_else(ApiError::not_found)?;
    let members = match may(ScopeName::ReadGroups) {
        true => Some(members::listing(visit, &mut tx, name, query).await?),
        false => None,
    };
    drop(tx);
    let settings = visit.hub.settings();
    let grants = &settings.grants;
    let properties = serde_json::from_str::<serde_json::Value>(&found.properties).ok();
    let properties = properties
        .filter(|value| value.as_object().is_some_and(|map| !map.is_empty()))
        .filter(|_| may(ScopeName::ReadGroups))
        .and_then(|value| serde_json::to_string_pretty(&value).ok());
    let sees_roles = may(ScopeName::ReadGroups) || may(ScopeName::ReadRolesGroups);
    let status = match problem.is_some() || form.error.is_some() {
        true => StatusCode::BAD_REQUEST,
        false => StatusCode::OK,
    };
    let page = GroupPage {
        page: visit.page(),
        area: visit.area("groups", query),
        name: name.to_owned(),
        roles: sees_roles.then(|| {
            let roles = grants.roles_of_group(name).into_iter();
            roles.map(str::to_owned).collect()
        }),
        properties,
        configured: grants.groups.contains_key(name) || !grants.roles_of_group(name).is_empty(),
        members,
        may_change: may(ScopeName::Groups),
        may_delete: may(ScopeName::DeleteGroups),
        problem: problem.map(|why| why.sentence(visit.lang())),
        form,
    };
    visit.html(status, "admin_group.html", &page)
}

/// `POST /hub/admin/group`: people come in or leave, or it is deleted.
pub(super) async fn act(visit: Visit, form: Fields) -> ApiResult<Response> {
    let (hub, caller) = (&visit.hub, &visit.caller);
    let name = form.get("name");
    let own = group_url(name);
    let query = ListQuery::default();
    match form.get("do") {
        "join" => {
            let names = form.names("users");
            if names.is_empty() {
                return Err(ApiError::bad_request(say!("admin.no_names")));
            }
            match groups::move_people(hub, caller, name, &names, true).await {
                Ok(_) => {
                    let tally = Tally {
                        done: names.len(),
                        ..Tally::default()
                    };
                    Ok(visit.back(&form, &own, "joined", &tally))
                }
                // Somebody is not there: what was typed can be mended.
                Err(error) if error.status == StatusCode::BAD_REQUEST => {
                    let form = AddForm {
                        text: form.get("users").to_owned(),
                        error: Some(error.message.sentence(visit.lang())),
                    };
                    group(&visit, name, &query, None, form).await
                }
                Err(error) => Err(error),
            }
        }
        "leave" => {
            let names: Vec<String> = form.all("chosen").map(str::to_owned).collect();
            if names.is_empty() {
                return Ok(visit.back(&form, &own, "left", &Tally::none_chosen()));
            }
            groups::move_people(hub, caller, name, &names, false).await?;
            let tally = Tally {
                done: names.len(),
                ..Tally::default()
            };
            Ok(visit.back(&form, &own, "left", &tally))
        }
        "delete" => {
            caller.require(ScopeName::DeleteGroups, Target::Group(name))?;
            if form.get("confirm") != name {
                let why = say!("admin.not_confirmed", name = name);
                return group(&visit, name, &query, Some(why), AddForm::default()).await;
            }
            let path = Path(name.to_owned());
            groups::delete_group(State(hub.clone()), caller.clone(), path).await?;
            Ok(visit.back(&form, LIST, "group_deleted", &Tally::one()))
        }
        _ => Err(ApiError::bad_request(say!("admin.no_such_action"))),
    }
}
