//! Which services there are: those of the configuration, and those that were made by the API.
//!
//! The first are in the settings, the others in rows. The configuration wins where both name one.
//! What a service may do is in [`crate::standing`], its route in [`crate::proxy::news`].

use std::collections::BTreeMap;

use lyceum_model::name::is_free_name;
use lyceum_model::scope::Vocabulary;
use lyceum_store::Tx;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::db;
use crate::db::services::Row;
use crate::grants::{ADMIN, CLIENT_PREFIX, Grants, Service};
use crate::oauth;

/// A shorter one can be guessed.
const TOKEN_LEAST: usize = 16;
/// How much of a refused name an error repeats.
const SHOWN: usize = 60;

/// A service, and where it comes from.
#[derive(Debug, Clone)]
pub struct Known {
    pub name: String,
    pub service: Service,
    pub configured: bool,
}

impl Known {
    fn configured((name, service): (&str, &Service)) -> Self {
        Self {
            name: name.to_owned(),
            service: service.clone(),
            configured: true,
        }
    }

    /// Its roles, in order.
    pub fn roles<'a>(&self, grants: &'a Grants) -> std::collections::BTreeSet<&'a str> {
        let mut roles = grants.roles_of_service(&self.name);
        if self.service.admin {
            roles.insert(ADMIN);
        }
        roles
    }
}

/// What a row keeps of a service that was made by the API, as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    admin: bool,
    redirect_uri: Option<String>,
    allowed_scopes: Vec<String>,
    no_confirm: bool,
    display: bool,
    info: Map<String, Value>,
}

/// Puts a service into a row.
pub fn row_of(name: &str, service: &Service) -> Row {
    let made = Made {
        admin: service.admin,
        redirect_uri: service.redirect_uri.clone(),
        allowed_scopes: service.allowed_scopes.to_list(),
        no_confirm: service.no_confirm,
        display: service.display,
        info: service.info.clone(),
    };
    Row {
        name: name.to_owned(),
        url: service.url.clone(),
        made: Some(serde_json::to_string(&made).expect("our own types are JSON")),
        token_hash: service.token_hash.clone(),
        client_id: Some(service.client_id.clone()),
    }
}

/// None of a row that holds only a route, or what can't be read.
fn made_of(row: Row, vocabulary: &Vocabulary) -> Option<Known> {
    let made: Made = match serde_json::from_str(&row.made?) {
        Ok(made) => made,
        Err(error) => {
            tracing::error!(service = row.name, %error, "a damaged service in the database");
            return None;
        }
    };
    Some(Known {
        service: Service {
            url: row.url,
            admin: made.admin,
            token_hash: row.token_hash,
            client_id: row.client_id?,
            redirect_uri: made.redirect_uri,
            allowed_scopes: oauth::known_scopes(vocabulary, &made.allowed_scopes),
            no_confirm: made.no_confirm,
            display: made.display,
            info: made.info,
            managed: None,
        },
        name: row.name,
        configured: false,
    })
}

/// Of a row, unless the configuration has one of that name.
fn checked(row: Option<Row>, grants: &Grants) -> Option<Known> {
    let row = row.filter(|row| !grants.services.contains_key(&row.name))?;
    made_of(row, &grants.vocabulary)
}

pub async fn find(grants: &Grants, tx: &mut Tx, name: &str) -> sqlx::Result<Option<Known>> {
    if let Some(service) = grants.services.get(name) {
        return Ok(Some(Known::configured((name, service))));
    }
    Ok(checked(db::services::find(tx, name).await?, grants))
}

/// The one whose own token this is.
pub async fn by_token(grants: &Grants, tx: &mut Tx, hash: &str) -> sqlx::Result<Option<Known>> {
    if let Some(found) = grants.service_by_token(hash) {
        return Ok(Some(Known::configured(found)));
    }
    Ok(checked(db::services::by_token(tx, hash).await?, grants))
}

/// The one behind an OAuth client.
pub async fn by_client(grants: &Grants, tx: &mut Tx, id: &str) -> sqlx::Result<Option<Known>> {
    if !id.starts_with(CLIENT_PREFIX) {
        return Ok(None);
    }
    if let Some(found) = grants.service_by_client(id) {
        return Ok(Some(Known::configured(found)));
    }
    let made = checked(db::services::by_client(tx, id).await?, grants);
    Ok(made.filter(|known| known.service.is_client()))
}

/// All of them, by name.
pub async fn all(grants: &Grants, tx: &mut Tx) -> sqlx::Result<BTreeMap<String, Known>> {
    let rows = db::services::all(tx).await?;
    let made = rows
        .into_iter()
        .filter_map(|row| checked(Some(row), grants));
    let configured = grants.services.iter();
    let configured = configured.map(|(name, one)| Known::configured((name.as_str(), one)));
    let all = made.chain(configured);
    Ok(all.map(|known| (known.name.clone(), known)).collect())
}

pub fn check_name(name: &str) -> Result<(), String> {
    if is_free_name(name) && !name.contains(['/', '%', '?', '#', '\\']) {
        return Ok(());
    }
    let name: String = name.chars().take(SHOWN).collect();
    Err(format!(
        "{name:?}: the name of a service has 1 to 255 bytes, none of / % ? # \\, no control characters and no spaces at its ends"
    ))
}

pub fn check_token(secret: &str) -> Result<(), String> {
    let graphic = secret.bytes().all(|byte| byte.is_ascii_graphic());
    if graphic && secret.len() >= TOKEN_LEAST {
        return Ok(());
    }
    Err(format!(
        "a token has {TOKEN_LEAST} or more letters, digits and signs; `openssl rand -hex 32` makes one"
    ))
}

/// As the proxy takes it: a scheme, a host, a port.
pub fn check_address(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| {
        format!("{text:?} is not an address such as `http://10.0.0.5:9000` ({error})")
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("{text:?} must start with `http://` or `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address here has no user and no password".into());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "{text:?} must end after the host and port; the service gets the whole path, `/services/NAME/…`"
        ));
    }
    let origin = url.origin().ascii_serialization();
    match origin.parse::<lyceum_proxy::Target>() {
        Ok(_) => Ok(origin),
        Err(error) => Err(error),
    }
}

/// A path of this site, or a whole address elsewhere.
pub fn check_redirect(text: &str) -> Result<(), String> {
    let graphic = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains('\\');
    if graphic && text.starts_with('/') && !text.starts_with("//") {
        return Ok(());
    }
    let url = Url::parse(text).ok().filter(|_| graphic);
    let good = |url: &Url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.fragment().is_none()
    };
    if url.as_ref().is_some_and(good) {
        return Ok(());
    }
    Err(format!(
        "{text:?} is neither a path of this site, such as `/services/NAME/oauth_callback`, nor an address such as `https://grades.example.edu/back`"
    ))
}
