//! What a service that the hub runs is told, and what of it is kept out of logs.

use std::collections::BTreeMap;

use crate::grants::{Managed, Service, service_prefix};
use crate::origins::Origins;

/// Shorter values of the environment are words rather than secrets.
const SECRET_LEAST: usize = 6;

/// What JupyterHub tells the services that it runs.
pub(super) fn environment(
    api_url: &str,
    origins: &Origins,
    name: &str,
    service: &Service,
    managed: &Managed,
) -> BTreeMap<String, String> {
    let list = |scopes: &[String]| serde_json::to_string(scopes).expect("texts are JSON");
    let access = list(&[
        "access:services".to_owned(),
        format!("access:services!service={name}"),
    ]);
    let token = managed
        .token
        .as_ref()
        .map(|token| token.expose().to_owned());
    let token = token.unwrap_or_default();
    let base = origins.base();
    let prefix = service_prefix(base, name);
    let hub = origins.hub().unwrap_or_default();
    let host = match origins.are_apart() {
        true => hub,
        false => "",
    };
    let public = |path: &str| match hub {
        "" => String::new(),
        hub => format!("{hub}{path}"),
    };
    let mut env = BTreeMap::new();
    let mut tell = |key: &str, value: String| {
        env.insert(key.to_owned(), value);
    };
    tell("JUPYTERHUB_SERVICE_NAME", name.to_owned());
    tell("JUPYTERHUB_API_TOKEN", token.clone());
    tell("JPY_API_TOKEN", token);
    tell(
        "JUPYTERHUB_API_URL",
        api_url.trim_end_matches('/').to_owned(),
    );
    tell("JUPYTERHUB_BASE_URL", base.to_string());
    tell("JUPYTERHUB_HOST", host.to_owned());
    tell("JUPYTERHUB_CLIENT_ID", service.client_id.clone());
    tell("JUPYTERHUB_OAUTH_ACCESS_SCOPES", access.clone());
    tell("JUPYTERHUB_OAUTH_SCOPES", access);
    tell(
        "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES",
        list(&service.allowed_scopes.to_list()),
    );
    tell("JUPYTERHUB_PUBLIC_HUB_URL", public(&base.hub()));
    // It serves nobody in particular, and shares the hub's host with all that have none of their own.
    tell("JUPYTERHUB_USER", String::new());
    tell("JUPYTERHUB_SERVER_NAME", String::new());
    tell("JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED", "0".to_owned());
    if let Some(url) = &service.url {
        let redirect = service.redirect_uri.clone();
        let default = || format!("{host}{prefix}oauth_callback");
        tell(
            "JUPYTERHUB_OAUTH_CALLBACK_URL",
            redirect.unwrap_or_else(default),
        );
        tell("JUPYTERHUB_PUBLIC_URL", public(&prefix));
        tell("JUPYTERHUB_SERVICE_PREFIX", prefix);
        tell("JUPYTERHUB_SERVICE_URL", url.clone());
    }
    // What the configuration says is the last word, as in JupyterHub.
    env.extend(managed.environment.clone());
    env
}

/// What a service wrote, for the log: it may have printed its environment.
pub(super) fn without_secrets(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut values: Vec<&str> = env
        .values()
        .map(String::as_str)
        .filter(|value| value.len() >= SECRET_LEAST)
        .collect();
    // One may be a part of another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let mut text = text.to_owned();
    for value in values {
        text = text.replace(value, "***");
    }
    text
}

#[cfg(test)]
mod tests {
    use lyceum_model::secret::Secret;

    use super::*;

    #[test]
    fn what_a_service_was_told_is_not_told_on() {
        let env = [
            ("TOKEN", "s3cret-s3cret"),
            ("PASSWORD", "s3cret"),
            ("MODE", "on"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let told = without_secrets("on: s3cret-s3cret, s3cret!", &env.into());
        assert_eq!(told, "on: ***, ***!");
    }

    #[test]
    fn the_environment_is_what_services_rely_on() {
        let origins = Origins::one(Some("https://lab.example.edu".into()));
        let api = "http://127.0.0.1:8081/hub/api/";
        let service = Service {
            url: Some("http://127.0.0.1:9000".into()),
            client_id: "service-dash".into(),
            ..Service::default()
        };
        let managed = Managed {
            token: Some(Secret::new("s3cret")),
            environment: [("MODE", "on"), ("JUPYTERHUB_API_URL", "http://hub/hub/api")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Managed::default()
        };
        let told = |service: &Service| {
            let env = environment(api, &origins, "dash", service, &managed);
            let lines = env.iter().map(|(name, value)| format!("{name}={value}"));
            lines.collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(told(&service), @r#"
        JPY_API_TOKEN=s3cret
        JUPYTERHUB_API_TOKEN=s3cret
        JUPYTERHUB_API_URL=http://hub/hub/api
        JUPYTERHUB_BASE_URL=/
        JUPYTERHUB_CLIENT_ID=service-dash
        JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED=0
        JUPYTERHUB_HOST=
        JUPYTERHUB_OAUTH_ACCESS_SCOPES=["access:services","access:services!service=dash"]
        JUPYTERHUB_OAUTH_CALLBACK_URL=/services/dash/oauth_callback
        JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES=[]
        JUPYTERHUB_OAUTH_SCOPES=["access:services","access:services!service=dash"]
        JUPYTERHUB_PUBLIC_HUB_URL=https://lab.example.edu/hub/
        JUPYTERHUB_PUBLIC_URL=https://lab.example.edu/services/dash/
        JUPYTERHUB_SERVER_NAME=
        JUPYTERHUB_SERVICE_NAME=dash
        JUPYTERHUB_SERVICE_PREFIX=/services/dash/
        JUPYTERHUB_SERVICE_URL=http://127.0.0.1:9000
        JUPYTERHUB_USER=
        MODE=on
        "#);
        let pages = told(&service);
        let none = told(&Service {
            url: None,
            ..service
        });
        let without: Vec<&str> = pages
            .lines()
            .filter(|line| !none.lines().any(|other| other == *line))
            .map(|line| line.split_once('=').expect("a variable").0)
            .collect();
        assert_eq!(
            without,
            [
                "JUPYTERHUB_OAUTH_CALLBACK_URL",
                "JUPYTERHUB_PUBLIC_URL",
                "JUPYTERHUB_SERVICE_PREFIX",
                "JUPYTERHUB_SERVICE_URL"
            ]
        );
    }
}
