//! What is to be given or taken back, and to whom, as a body says it.

use lyceum_model::name::{ServerName, UserName};
use lyceum_model::saying::Saying;
use lyceum_model::scope::{Filter, Scope, ScopeName};
use lyceum_web::{ApiError, ApiResult};
use serde_json::Value;

use crate::Hub;
use crate::api::body::{self, Fields};
use crate::db::groups::Group;
use crate::db::shares::With;
use crate::db::users::User;

/// In which direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    Out,
    Back,
}

/// What is to be given, or taken back.
pub(super) struct Wish {
    pub(super) scopes: Option<Vec<ScopeName>>,
}

impl Wish {
    pub(super) fn read(
        hub: &Hub,
        fields: &Fields,
        others: &[&str],
        owner: &UserName,
        server: &ServerName,
        going: Going,
    ) -> ApiResult<Self> {
        let names: Vec<&str> = ["scopes"].iter().chain(others).copied().collect();
        body::known(fields, &names)?;
        let texts = body::texts(fields, "scopes")?.filter(|texts| !texts.is_empty());
        let own = Filter::Server {
            user: owner.clone(),
            server: server.clone(),
        };
        let vocabulary = &hub.settings().grants.vocabulary;
        let read = |text: &String| -> ApiResult<Option<ScopeName>> {
            let Scope { name, filter } = vocabulary
                .parse(text)
                .map_err(|error| ApiError::bad_request(Saying::quote(error.to_string())))?;
            match filter == Filter::All || filter == own {
                true => Ok(Some(name)),
                // To take away what was never given is no mistake.
                false if going == Going::Back => Ok(None),
                false => Err(ApiError::bad_request(Saying::quote(format!(
                    "scopes: {name} can be shared for the server {owner}/{server} only"
                )))),
            }
        };
        let scopes = texts.map(|texts| {
            let scopes = texts.iter().filter_map(|text| read(text).transpose());
            scopes.collect::<ApiResult<Vec<_>>>()
        });
        let mut scopes = scopes.transpose()?;
        if let Some(scopes) = &mut scopes {
            scopes.sort_unstable();
            scopes.dedup();
        }
        Ok(Self { scopes })
    }

    pub(super) fn or_access(&self) -> Vec<ScopeName> {
        let usual = || vec![ScopeName::AccessServers];
        self.scopes.clone().unwrap_or_else(usual)
    }
}

pub(super) enum Whom {
    User(String),
    Group(String),
}

impl Whom {
    pub(super) fn read(fields: &Fields) -> ApiResult<Self> {
        let text = |field| match fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(body::wrong(field, "a name")),
        };
        match (text("user")?, text("group")?) {
            (Some(user), None) => Ok(Self::User(user)),
            (None, Some(group)) => Ok(Self::Group(group)),
            _ => Err(ApiError::bad_request(Saying::quote(
                "Give a user or a group, and not both",
            ))),
        }
    }
}

pub(super) enum Partner {
    User(User),
    Group(Group),
}

impl Partner {
    pub(super) fn with(&self) -> With<'_> {
        match self {
            Self::User(user) => With::User(&user.id),
            Self::Group(group) => With::Group(&group.id),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::User(user) => user.name.as_str(),
            Self::Group(group) => &group.name,
        }
    }
}
