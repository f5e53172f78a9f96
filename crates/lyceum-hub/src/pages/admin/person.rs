//! One person: what is hers, why she may do what, and what may be done with her.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::name::ServerName;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::page::contexts::admin::{
    AdminServer, GroupRow, PasswordLink, PersonMay, PersonPage, PersonRow, PersonTokens, RoleRow,
};
use lyceum_web::{ApiError, ApiResult, Credential};

use super::{
    Tally, Visit, audit, group_url, mail_address, numbers, password_link, people,
    second_factor_off, servers, user_url,
};
use crate::api::groups;
use crate::api::users::change;
use crate::db::search::tokens;
use crate::db::servers::Server;
use crate::db::users::User;
use crate::grants::{ADMIN, Grants, USER, default_roles};
use crate::pages::fields::Fields;
use crate::pages::list::{ListQuery, number};
use crate::pages::tokens::row as token_row;
use crate::sessions::{self, Which};
use crate::{db, proxy};

/// Of her tokens; the list of all tokens has the others.
const TOKENS_SHOWN: i64 = 50;

pub(super) async fn show(
    visit: Visit,
    Path(name): Path<String>,
    Query(query): Query<ListQuery>,
) -> ApiResult<Response> {
    let user = people::find(&visit, &name).await?;
    page(&visit, &user, &query, Extra::default()).await
}

/// What came of a wish and stands on the page that answers it.
#[derive(Default)]
struct Extra {
    link: Option<PasswordLink>,
    problem: Option<Saying>,
}

impl Extra {
    fn problem(why: Saying) -> Self {
        Self {
            problem: Some(why),
            ..Self::default()
        }
    }
}

async fn page(visit: &Visit, user: &User, query: &ListQuery, extra: Extra) -> ApiResult<Response> {
    let (hub, caller) = (&visit.hub, &visit.caller);
    let target = Target::User(&user.name);
    let may = |scope| caller.may(scope, target);
    let settings = hub.settings();
    let mut tx = hub.db().read().await?;
    let lists_let_in = hub.lists_let_in(&mut tx, &user.name, &user.id).await?;
    let shut_out = user.blocked_at.is_some() || !lists_let_in;
    let mut servers = servers_of(visit, &mut tx, user).await?;
    for row in &mut servers {
        // Nothing is started for her.
        row.may_start &= !shut_out;
    }
    let running = servers.iter().filter(|row| {
        use lyceum_web::page::contexts::ServerState::{Failed, Stopped};
        !matches!(row.server.state, Stopped | Failed)
    });
    let running = u64::try_from(running.count()).unwrap_or(u64::MAX);
    let names = db::groups::names_of(&mut tx, &user.id).await?;
    let password_link = password_link::may_make(visit, &mut tx, user).await?;
    let second_factor_off = second_factor_off::may(visit, &mut tx, user).await?;
    let mail = mail_address::shown(visit, &mut tx, user).await?;
    let numbers = numbers::shown(visit, &mut tx, user).await?;
    let sees_all = may(ScopeName::ReadUsers);
    let tokens = match may(ScopeName::ReadTokens) {
        true => Some(tokens_of(visit, &mut tx, user).await?),
        false => None,
    };
    let sessions = match may(ScopeName::AdminUsers) {
        true => {
            let this = match &caller.credential {
                Credential::Session { id, .. } => id.as_str(),
                Credential::Token { .. } => "",
            };
            let sessions = db::sessions::of_user(&mut tx, &user.id, hub.now().0).await?;
            let rows = sessions.into_iter().map(|one| sessions::row(one, this));
            Some(rows.collect())
        }
        false => None,
    };
    let audit = match may(audit::SCOPE) {
        true => Some(audit::latest(visit, &mut tx, user).await?),
        false => None,
    };
    drop(tx);
    let sees_groups = sees_all || may(ScopeName::ReadUsersGroups);
    let sees_roles = sees_all || may(ScopeName::ReadRolesUsers);
    // What concerns an administrator is for those who may do all that she may.
    let over_her = !user.admin || visit.holds_all();
    let herself = caller.is(&user.name);
    let status = match extra.problem {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    let page = PersonPage {
        page: visit.page(),
        area: visit.area("users", query),
        person: PersonRow {
            name: user.name.to_string(),
            display_name: (user.display_name.clone()).filter(|name| name != user.name.as_str()),
            admin: user.admin,
            blocked: user.blocked_at.is_some() && may(ScopeName::AdminUsers),
            created: sees_all.then_some(user.created_at),
            last_activity: user
                .last_activity_at
                .filter(|_| may(ScopeName::ReadUsersActivity)),
            running,
            url: visit.hub.at(&user_url(user.name.as_str())),
        },
        shut_out: !lists_let_in && may(ScopeName::AdminUsers),
        sees_activity: may(ScopeName::ReadUsersActivity),
        servers: (!servers.is_empty()).then_some(servers),
        may: PersonMay {
            change: may(ScopeName::AdminUsers) && over_her,
            make_admin: may(ScopeName::AdminUsers) && visit.holds_all() && !herself,
            block: may(ScopeName::AdminUsers) && over_her && !herself,
            delete: may(ScopeName::DeleteUsers) && over_her && !herself,
            groups: visit.reaches(ScopeName::Groups),
            tokens: may(ScopeName::Tokens),
            end_sessions: may(ScopeName::AdminUsers) && over_her,
            password_link,
            second_factor_off,
        },
        groups: sees_groups.then(|| names.iter().map(|name| group_row(visit, name)).collect()),
        // By which group she has a role tells that she is in it.
        roles: sees_roles.then(|| {
            let known = if sees_groups { names.as_slice() } else { &[] };
            roles(&settings.grants, user, known)
        }),
        tokens,
        sessions,
        audit,
        link: extra.link,
        mail,
        numbers,
        problem: extra.problem.map(|why| why.sentence(visit.lang())),
    };
    visit.html(status, "admin_user.html", &page)
}

/// Those of her servers that the visitor may see; the default one is there although it never ran.
async fn servers_of(visit: &Visit, tx: &mut Tx, user: &User) -> ApiResult<Vec<AdminServer>> {
    let mut servers = db::servers::of_user(tx, &user.id).await?;
    if !servers.iter().any(|server| server.name.is_default()) {
        servers.insert(0, Server::unborn(user, ServerName::default()));
    }
    let seen = servers.iter().filter(|server| {
        let target = Target::Server(&server.user_name, &server.name);
        visit.caller.may(ScopeName::ReadServers, target)
    });
    Ok(seen.map(|server| servers::row(visit, server)).collect())
}

/// The newest, and how many there are.
async fn tokens_of(visit: &Visit, tx: &mut Tx, user: &User) -> ApiResult<PersonTokens> {
    let search = tokens::Search {
        of: Some(&user.id),
        now: visit.hub.now().0,
        ..tokens::Search::default()
    };
    let total = search.count(tx).await?;
    let newest = search.page(tx, tokens::Sort::CreatedDown, 0, TOKENS_SHOWN);
    let lang = visit.lang();
    let rows = newest.await?.into_iter();
    Ok(PersonTokens {
        rows: rows.map(|found| token_row(found, &lang)).collect(),
        total: number(total),
    })
}

fn group_row(visit: &Visit, name: &str) -> GroupRow {
    let may = |scope| visit.caller.may(scope, Target::Group(name));
    GroupRow {
        name: name.to_owned(),
        members: None,
        url: match may(ScopeName::ReadGroupsName) {
            true => visit.hub.at(&group_url(name)),
            false => String::new(),
        },
        may_change: may(ScopeName::Groups),
    }
}

/// What a site says of a role. What JupyterHub says of its own, in English, is for its API.
fn description(grants: &Grants, role: &str) -> String {
    let said = (grants.roles.get(role)).map(|is| is.description.as_str());
    let is_theirs = |said: &&str| {
        let own = default_roles().into_iter();
        own.map(|(name, theirs, _)| (name, theirs))
            .any(|own| own == (role, *said))
    };
    said.filter(|said| !is_theirs(said))
        .unwrap_or_default()
        .to_owned()
}

/// Her roles and those of her groups, each with why she has it.
fn roles(grants: &Grants, user: &User, groups: &[String]) -> Vec<RoleRow> {
    let row = |role: &str, source: &'static str, group: Option<&str>| RoleRow {
        name: role.to_owned(),
        description: description(grants, role),
        source,
        group: group.map(str::to_owned),
    };
    let mut rows = Vec::new();
    for role in grants.roles_of_user(&user.name, user.admin) {
        let named = (grants.roles.get(role)).is_some_and(|is| is.users.contains(&user.name));
        rows.push(match role {
            USER => row(role, "everybody", None),
            ADMIN if user.admin => row(role, "admin", None),
            _ if named => row(role, "configuration", None),
            _ => continue,
        });
    }
    for group in groups {
        let roles = grants.roles_of_group(group).into_iter();
        rows.extend(roles.map(|role| row(role, "group", Some(group))));
    }
    rows
}

/// `POST /hub/admin/user/{user}`: what `do` says.
pub(super) async fn act(
    visit: Visit,
    Path(name): Path<String>,
    form: Fields,
) -> ApiResult<Response> {
    let user = people::find(&visit, &name).await?;
    let (hub, caller) = (&visit.hub, &visit.caller);
    let own = user_url(user.name.as_str());
    let query = ListQuery::default();
    match form.get("do") {
        "rename" => {
            caller.require(ScopeName::AdminUsers, Target::User(&user.name))?;
            let to = match change::new_name(form.get("to")) {
                Ok(to) => to,
                Err(error) => {
                    return page(&visit, &user, &query, Extra::problem(error.saying())).await;
                }
            };
            if to == user.name {
                return Ok(visit.back(&form, &own, "changed", &Tally::one()));
            }
            let mut tx = hub.db().write().await?;
            match change::alter(hub, &mut tx, caller, &user, Some(&to), None).await {
                Ok(_) => {}
                // A name that is taken, a server that runs: she can do something about it.
                Err(error) if error.status == StatusCode::BAD_REQUEST => {
                    drop(tx);
                    return page(&visit, &user, &query, Extra::problem(error.message)).await;
                }
                Err(error) => return Err(error),
            }
            tx.commit().await?;
            proxy::pass_on(hub).await;
            Ok(visit.back(&form, &user_url(to.as_str()), "changed", &Tally::one()))
        }
        word @ ("admin" | "no-admin") => {
            caller.require(ScopeName::AdminUsers, Target::User(&user.name))?;
            let admin = word == "admin";
            if !admin && caller.is(&user.name) {
                // There is always somebody left who may do this.
                return Err(ApiError::bad_request(say!("person.not_herself")));
            }
            let mut tx = hub.db().write().await?;
            change::alter(hub, &mut tx, caller, &user, None, Some(admin)).await?;
            tx.commit().await?;
            proxy::pass_on(hub).await;
            Ok(visit.back(&form, &own, "changed", &Tally::one()))
        }
        word @ ("block" | "unblock") => {
            let blocked = word == "block";
            change::block(hub, caller, &user, blocked).await?;
            let done = if blocked { "blocked" } else { "unblocked" };
            Ok(visit.back(&form, &own, done, &Tally::one()))
        }
        "delete" => {
            caller.require(ScopeName::DeleteUsers, Target::User(&user.name))?;
            if form.get("confirm") != user.name.as_str() {
                let why = say!("admin.not_confirmed", name = user.name.as_str());
                return page(&visit, &user, &query, Extra::problem(why)).await;
            }
            let name = Path(user.name.to_string());
            change::delete_user(State(hub.clone()), caller.clone(), name).await?;
            Ok(visit.back(&form, people::LIST, "deleted", &Tally::one()))
        }
        word @ ("join" | "leave") => {
            let names = [user.name.to_string()];
            let join = word == "join";
            groups::move_people(hub, caller, form.get("group"), &names, join).await?;
            let done = if join { "joined" } else { "left" };
            Ok(visit.back(&form, &own, done, &Tally::one()))
        }
        "end-session" => {
            let id = form.get("id");
            match sessions::end_of_other(hub, caller, &user, Which::One(id)).await? {
                0 => Err(ApiError::not_found()),
                _ => Ok(visit.back(&form, &own, "ended", &Tally::one())),
            }
        }
        "end-sessions" => {
            let done = sessions::end_of_other(hub, caller, &user, Which::All).await?;
            let tally = Tally {
                done,
                ..Tally::default()
            };
            Ok(visit.back(&form, &own, "ended", &tally))
        }
        "password-link" => {
            let link = Some(password_link::make(&visit, &user).await?);
            let extra = Extra {
                link,
                ..Extra::default()
            };
            page(&visit, &user, &query, extra).await
        }
        "mail" => match mail_address::give(&visit, &user, form.get("address")).await? {
            Ok(()) => Ok(visit.back(&form, &own, "changed", &Tally::one())),
            Err(why) => page(&visit, &user, &query, Extra::problem(why)).await,
        },
        "numbers" => match numbers::keep(&visit, &user, &form).await? {
            Ok(()) => Ok(visit.back(&form, &own, "changed", &Tally::one())),
            Err(why) => page(&visit, &user, &query, Extra::problem(why)).await,
        },
        "second-factor-off" => {
            second_factor_off::take_off(&visit, &user).await?;
            Ok(visit.back(&form, &own, "changed", &Tally::one()))
        }
        _ => Err(ApiError::bad_request(say!("admin.no_such_action"))),
    }
}
