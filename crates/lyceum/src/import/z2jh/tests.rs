//! What becomes of values, told by values that people have.

use std::path::Path;

use lyceum_auth::config::SignUp;

use super::classes::CLASSES;
use super::{Translated, translate};
use crate::config::{Config, SignInMethod};
use crate::import::Fate;

fn good(text: &str) -> Translated {
    translate("values.yaml", text).unwrap_or_else(|refused| panic!("{}", refused.problems))
}

fn refused(text: &str, words: &[&str]) {
    let said = match translate("values.yaml", text) {
        Ok(translated) => panic!("{}", translated.text),
        Err(refused) => refused.problems.to_string(),
    };
    for words in words {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
}

/// As Lyceum reads what was made of it.
fn read(translated: &Translated) -> Result<Config, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let secrets = folder.path().join(super::SECRETS);
    std::fs::create_dir(&secrets).expect("made");
    for (name, secret) in &translated.secrets {
        std::fs::write(secrets.join(name), secret.expose()).expect("written");
    }
    let read = crate::config::parse("lyceum.yaml", &translated.text, Path::new(folder.path()));
    read.map(|loaded| loaded.config)
        .map_err(|problems| format!("{problems}\n{}", translated.text))
}

fn config(text: &str) -> Config {
    read(&good(text)).unwrap_or_else(|problems| panic!("{problems}"))
}

const GENERIC: &str = "
hub:
  config:
    JupyterHub: {authenticator_class: generic-oauth}
    GenericOAuthenticator:
      client_id: lyceum
      client_secret: not-for-logs
      oauth_callback_url: https://hub.example.edu/hub/oauth_callback
      authorize_url: https://login.example.edu/authorize
      token_url: https://login.example.edu/token
      userdata_url: https://login.example.edu/userinfo
      username_claim: preferred_username
      scope: [openid, profile]
      login_service: University
      auto_login: true
";

#[test]
fn a_provider_by_its_addresses() {
    let text = format!(
        "{GENERIC}      auth_state_groups_key: oauth_user.groups\n      manage_groups: true\n      allowed_groups: [students]\n      admin_groups: [it]\n    Authenticator:\n      admin_users: [root]\n      allowed_users: [ada, Ben]\n      blocked_users: [eve]\n"
    );
    let translated = good(&text);
    assert!(!translated.text.contains("not-for-logs"));
    let config = read(&translated).expect("good");
    assert_eq!(
        config
            .public_url
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("https://hub.example.edu/")
    );
    let [SignInMethod::OAuth2(way)] = &config.sign_in[..] else {
        panic!("{:?}", config.sign_in);
    };
    assert_eq!(
        (way.title.as_str(), way.client_id.as_str()),
        ("University", "lyceum")
    );
    assert_eq!(
        way.client_secret
            .as_ref()
            .map(|secret| secret.expose().to_owned())
            .as_deref(),
        Some("not-for-logs")
    );
    assert!(way.automatic);
    assert!(way.secret_in_form && way.mark == "sub" && way.mapping.allow.is_none());
    assert_eq!(way.mapping.groups.as_deref(), Some("groups"));
    let people = &config.people;
    let admit = |who: &str, groups: &[&str]| {
        let groups: Vec<String> = groups.iter().map(|one| (*one).to_owned()).collect();
        people.admit(
            &lyceum_model::name::UserName::parse(who).expect("good"),
            &groups,
        )
    };
    assert!(
        admit("ada", &[])
            && admit("ben", &[])
            && admit("cem", &["students"])
            && admit("dan", &["it"])
    );
    assert!(!admit("eve", &["students"]));
    // JupyterHub adds those whom an administrator made, where somebody is named.
    assert!(people.existing);
    assert!(config.grants.roles["admin"].groups.contains("it"));
    let fates = translated.report.entries();
    let of = |key: &str| {
        fates
            .iter()
            .find(|entry| entry.key.ends_with(key))
            .map(|entry| &entry.fate)
    };
    assert_eq!(
        of("client_id"),
        Some(&Fate::Taken("sign_in[0].client_id".into()))
    );
    assert!(matches!(of("manage_groups"), Some(Fate::NotNeeded(_))));
}

#[test]
fn nobody_is_let_in_by_being_left_out() {
    let translated = good(GENERIC);
    let config = read(&translated).expect("good");
    assert_eq!(
        config.people.allow,
        Some(Default::default()),
        "administrators alone"
    );
    assert!(
        translated
            .report
            .todo()
            .iter()
            .any(|what| what.contains("nobody but administrators"))
    );
    // The class of CVE-2020-26250: a list that is not called so.
    refused(
        &format!("{GENERIC}    Authenticator: {{allowlist: [ada]}}\n"),
        &[
            "values.yaml:16:21",
            "did you mean `allowed_users`?",
            "hub.config.Authenticator.allowlist",
        ],
    );
    refused(
        &format!("{GENERIC}      alowed_groups: [ada]\n"),
        &["did you mean `allowed_groups`?"],
    );
    refused(
        &format!("{GENERIC}    GenericOauthenticator: {{}}\n"),
        &["did you mean `GenericOAuthenticator`?"],
    );
    refused(
        &format!("{GENERIC}    Authenticator: {{username_pattern: '^s.*'}}\n"),
        &["keeps people out"],
    );
    refused(
        &format!("{GENERIC}      tls_verify: false\n"),
        &["can be anybody"],
    );
    refused(
        &format!("{GENERIC}      allowed_users: ada\n      whitelist: [ben]\n"),
        &["`allowed_users` says this too"],
    );
    refused(
        "hub: {config: {JupyterHub: {authenticator_class: my.Own}}}",
        &["no such authenticator"],
    );
    refused(
        "hub: {config: {JupyterHub: {authenticator_class: my.GitHubOAuthenticator}}}",
        &["module that is not known"],
    );
    refused(
        "hub: {extraConfig: {a: 'c.x = 1'}}",
        &["hub.extraConfig", "Python"],
    );
    refused(
        "hub: {config: {DummyAuthenticator: {}}}\nauth: {type: dummy}",
        &["which of them holds?"],
    );
    refused(
        "hub: {extraFiles: {a: {mountPath: /usr/local/etc/jupyterhub/jupyterhub_config.d/a.py, stringData: x}}}",
        &["hub.extraFiles", "Python"],
    );
    refused(
        "hub: {config: {JupyterHub: {authenticator_class: ldap}, LDAPAuthenticator: {valid_username_regex: '^staff-.*'}}}",
        &["valid_username_regex", "keeps people out"],
    );
    refused("hub: &a {config: {}}", &["anchors"]);
}

#[test]
fn everybody_where_that_is_said() {
    let config = config(&format!("{GENERIC}      allow_all: true\n"));
    assert!(config.people.allow.is_none() && !config.people.existing);
    let [SignInMethod::OAuth2(way)] = &config.sign_in[..] else {
        panic!("{:?}", config.sign_in);
    };
    assert!(way.mapping.allow.as_ref().is_some_and(|rule| rule.everyone));
}

fn oidc(text: &str) -> lyceum_auth::oidc::OidcConfig {
    match &config(text).sign_in[..] {
        [SignInMethod::Oidc(way)] => (**way).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn providers_that_are_known() {
    let values = |class: &str, keys: &str| {
        format!(
            "hub:\n  config:\n    JupyterHub: {{authenticator_class: {class}}}\n    OAuthenticator: {{client_id: c, client_secret: s, oauth_callback_url: 'https://hub.example.edu/hub/oauth_callback'}}\n    {keys}\n"
        )
    };
    let google = oidc(&values(
        "google",
        "GoogleOAuthenticator: {hosted_domain: [example.edu], strip_domain: true, allow_all: true}",
    ));
    assert_eq!(google.issuer, "https://accounts.google.com");
    let allow = google.mapping.allow.expect("a rule");
    assert!(!allow.everyone && allow.domains.expect("domains").contains("example.edu"));
    let entra = oidc(&values(
        "oauthenticator.azuread.AzureAdOAuthenticator",
        "AzureAdOAuthenticator: {tenant_id: 4f1c2a7e-0000-4000-8000-0123456789ab, allow_all: true}",
    ));
    assert!(entra.issuer.contains("4f1c2a7e"));
    let gitlab = values(
        "gitlab",
        "GitLabOAuthenticator: {gitlab_url: 'https://git.example.edu', allowed_gitlab_groups: [uni]}",
    );
    assert_eq!(oidc(&gitlab).issuer, "https://git.example.edu");
    assert!(
        config(&gitlab)
            .people
            .allow
            .expect("a list")
            .groups
            .contains("uni")
    );
    let cilogon = oidc(&values(
        "cilogon",
        "CILogonOAuthenticator: {allowed_idps: {'https://idp.example.edu/shibboleth': {username_derivation: {username_claim: eppn, action: strip_idp_domain, domain: example.edu}, allow_all: true}}}",
    ));
    let allow = cilogon.mapping.allow.expect("a rule");
    assert!(allow.claims["idp"].contains("https://idp.example.edu/shibboleth"));
    assert!(allow.domains.expect("domains").contains("example.edu"));
    let globus = oidc(&values(
        "globus",
        "GlobusOAuthenticator: {identity_provider: example.edu, allow_all: true}",
    ));
    assert_eq!(globus.issuer, "https://auth.globus.org");
    assert_eq!(
        oidc(&values(
            "auth0",
            "Auth0OAuthenticator: {auth0_domain: uni, allow_all: true}"
        ))
        .issuer,
        "https://uni.auth0.com/"
    );
    let github = config(&values(
        "github",
        "GitHubOAuthenticator: {allowed_organizations: ['uni:staff'], allowed_users: [ada]}",
    ));
    let allow = github.people.allow.expect("a list");
    assert!(allow.groups.contains("uni:staff") && allow.people.len() == 1);
    // Looked at by its mail, a foreign place would be ours (GHSA-r7v4-jwx9-wx43).
    refused(
        &values(
            "cilogon",
            "CILogonOAuthenticator: {allowed_idps: {example.edu: {}}}",
        ),
        &["entity id"],
    );
    refused(
        &values(
            "google",
            "GoogleOAuthenticator: {allowed_google_groups: {a: [b]}}",
        ),
        &["Google's directory"],
    );
    refused(
        &values(
            "auth0",
            "Auth0OAuthenticator: {allow_unverified_email: true}",
        ),
        &["nobody's"],
    );
    refused(
        &values(
            "github",
            "GitHubOAuthenticator: {allowed_organizations: [uni, 'uni:staff']}",
        ),
        &["side by side"],
    );
    refused(
        &values("bitbucket", "Spawner: {}"),
        &["no such authenticator"],
    );
}

#[test]
fn a_directory() {
    let text = "
hub:
  config:
    JupyterHub: {authenticator_class: ldap}
    LDAPAuthenticator:
      server_address: ldap.example.edu
      lookup_dn: true
      user_search_base: ou=people,dc=example,dc=edu
      user_attribute: uid
      lookup_dn_search_user: cn=reader,dc=example,dc=edu
      lookup_dn_search_password: not-for-logs
      search_filter: (objectClass=person)
      allowed_groups: ['cn=staff,ou=groups,dc=example,dc=edu']
";
    let translated = good(text);
    assert!(!translated.text.contains("not-for-logs"));
    let config = read(&translated).expect("good");
    let [SignInMethod::Ldap(way)] = &config.sign_in[..] else {
        panic!("{:?}", config.sign_in);
    };
    assert!(way.start_tls && way.servers == ["ldap://ldap.example.edu"]);
    assert_eq!(
        way.groups.as_ref().map(|groups| groups.base.as_str()),
        Some("ou=groups,dc=example,dc=edu")
    );
    assert!(
        config
            .people
            .allow
            .expect("a list")
            .groups
            .contains("staff")
    );
    let bound = "hub: {config: {JupyterHub: {authenticator_class: ldapauthenticator.LDAPAuthenticator}, LDAPAuthenticator: {server_address: l.example.edu, tls_strategy: on_connect, bind_dn_template: ['uid={username},ou=p,dc=x'], allow_all: true}}}";
    let [SignInMethod::Ldap(way)] = &self::config(bound).sign_in[..] else {
        panic!("a directory");
    };
    assert_eq!(way.servers, ["ldaps://l.example.edu"]);
    assert!(way.allow.as_ref().is_some_and(|rule| rule.everyone));
}

#[test]
fn accounts_here_and_trying_out() {
    let native = config(
        "hub: {config: {JupyterHub: {authenticator_class: native}, NativeAuthenticator: {minimum_password_length: 10, check_common_password: true, open_signup: true}, Authenticator: {admin_users: [root]}}}",
    );
    let [SignInMethod::Local(local)] = &native.sign_in[..] else {
        panic!("{:?}", native.sign_in);
    };
    assert_eq!(local.password_length, 10);
    assert_eq!(local.sign_up, SignUp::Open);
    for (keys, expect) in [
        ("", SignUp::Approval),
        ("open_signup: false", SignUp::Approval),
        ("enable_signup: true", SignUp::Approval),
        ("enable_signup: false, open_signup: true", SignUp::Closed),
    ] {
        let text = format!(
            "hub: {{config: {{JupyterHub: {{authenticator_class: native}}, NativeAuthenticator: {{{keys}}}}}}}"
        );
        match &self::config(&text).sign_in[..] {
            [SignInMethod::Local(local)] => assert_eq!(local.sign_up, expect, "{keys}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(native.people.allow.is_none());
    // Who may come in is not said by a key that there is none of.
    let all = good(
        "hub: {config: {JupyterHub: {authenticator_class: native}, NativeAuthenticator: {open_signup: true}, Authenticator: {allow_all: true}}}",
    );
    let entries = all.report.entries();
    let of_all = entries
        .iter()
        .find(|entry| entry.key.ends_with("allow_all"));
    assert!(matches!(&of_all.expect("told").fate, Fate::NotNeeded(_)));
    let dummy = good(
        "hub: {config: {DummyAuthenticator: {password: not-for-logs}, Authenticator: {allowed_users: [ada]}}}",
    );
    assert!(!dummy.text.contains("not-for-logs"));
    let config = read(&dummy).expect("good");
    assert!(matches!(&config.sign_in[..], [SignInMethod::Dummy(_)]));
    assert!(config.people.allow.expect("a list").people.len() == 1);
    refused(
        "hub: {config: {JupyterHub: {authenticator_class: tmp}}}",
        &["no name"],
    );
}

#[test]
fn the_layout_of_before() {
    let text = "
auth:
  type: custom
  custom:
    className: oauthenticator.generic.GenericOAuthenticator
    config:
      login_service: Federation
      client_id: hub
      client_secret: not-for-logs
      token_url: https://sso.example.org/token
      userdata_url: https://sso.example.org/userinfo
      userdata_params: {state: state}
      username_key: preferred_username
      scope: [openid]
      oauth_callback_url: https://hub.example.org/hub/oauth_callback
      authorize_url: https://sso.example.org/auth
  admin: {users: [root]}
  whitelist: {users: [ada]}
";
    let config = config(text);
    let [SignInMethod::OAuth2(way)] = &config.sign_in[..] else {
        panic!("{:?}", config.sign_in);
    };
    assert!(way.userdata_url.query() == Some("state=state") && way.title == "Federation");
    assert!(
        config
            .people
            .allow
            .as_ref()
            .is_some_and(|allow| allow.people.len() == 1)
    );
    let google = oidc(
        "auth: {type: google, google: {clientId: c, clientSecret: s, callbackUrl: 'https://h.example.edu/hub/oauth_callback', hostedDomain: [example.edu], loginService: Uni}, whitelist: {users: [ada@example.edu]}}",
    );
    assert_eq!(google.title, "Uni");
    let ldap = self::config(
        "auth: {type: ldap, ldap: {server: {address: l.example.edu, ssl: true}, dn: {templates: ['uid={username},dc=x']}}, allowlist: {users: [ada]}}",
    );
    assert!(matches!(&ldap.sign_in[..], [SignInMethod::Ldap(_)]));
    refused(
        "auth: {type: google, google: {clientID: c}}",
        &["auth.google.clientID", "did you mean `clientId`?"],
    );
    refused(
        "auth: {whitelist: [ada], alowlist: {users: [ada]}}",
        &["did you mean `allowlist`?"],
    );
    refused(
        "auth: {type: google, blacklist: [eve]}",
        &["auth.blacklist", "keys are expected"],
    );
    refused("auth: {type: hmac}", &["no such authenticator"]);
}

#[test]
fn a_learning_platform() {
    let text = "hub: {config: {JupyterHub: {authenticator_class: ltiauthenticator.lti13.auth.LTI13Authenticator, }, LTI13Authenticator: {issuer: 'https://lms.example.edu', client_id: [a1, b2], authorize_url: 'https://lms.example.edu/auth', jwks_endpoint: 'https://lms.example.edu/keys', username_key: custom_login}, Authenticator: {allow_all: true}}}";
    let translated = good(text);
    let why = read(&translated).expect_err("something is left to do");
    assert!(
        why.contains("deployments") && why.contains("client_ids: [a1, b2]"),
        "{why}"
    );
    assert!(
        why.contains("claim:custom.login")
            && why.contains("keys_url: https://lms.example.edu/keys"),
        "{why}"
    );
}

#[test]
fn an_old_learning_platform() {
    let text = "hub: {config: {JupyterHub: {authenticator_class: lti11}, LTI11Authenticator: {consumers: {moodle: 0123456789abcdef0123, 'a: b': fedcba9876543210fedc}, username_key: lis_person_contact_email_primary, config_title: The old one}, Authenticator: {allow_all: true}}}";
    let translated = good(text);
    let secrets = &translated.secrets;
    assert_eq!(secrets.len(), 2);
    assert!(!translated.text.contains("0123456789abcdef0123"));
    for part in [
        "kind: lti11",
        "title: The old one",
        "moodle: file:secrets/lti-consumer-1",
        "claim:email",
    ] {
        assert!(
            translated.text.contains(part),
            "{part}: {}",
            translated.text
        );
    }
    // Whose mail it is somebody has to say.
    let why = read(&translated).expect_err("something is left to do");
    assert!(why.contains("mail_is_verified"), "{why}");
    let text = text.replace("lis_person_contact_email_primary", "custom_login");
    let mut translated = good(&text);
    let config = "claim:custom_login";
    assert!(translated.text.contains(config), "{}", translated.text);
    // Keys of one entry are one platform; whether these are, nobody has said.
    let mut todo = translated.report.todo().iter();
    assert!(todo.any(|one| one.contains("several keys")));
    let url = "public_url: https://hub.example.edu\n";
    translated.text.insert_str(0, url);
    let ways = read(&translated).expect("good").sign_in;
    let told = |way: &SignInMethod| match way {
        SignInMethod::OldLti(old) => (
            old.id.clone(),
            old.title.clone(),
            old.consumers.keys().cloned().collect::<Vec<_>>(),
            old.mapping.allow.is_some(),
        ),
        other => panic!("{other:?}"),
    };
    let expect = [
        ("", "The old one", "moodle"),
        ("platform-2", "The old one (2)", "a: b"),
    ];
    let expect = expect.map(|(id, title, key)| {
        let keys = vec![key.to_owned()];
        (id.to_owned(), title.to_owned(), keys, true)
    });
    assert_eq!(ways.iter().map(told).collect::<Vec<_>>(), expect);
    // One key is one platform, and nothing is left to do about it.
    let one = good(&text.replace(", 'a: b': fedcba9876543210fedc", ""));
    let mut todo = one.report.todo().iter();
    assert!(todo.all(|one| !one.contains("several keys")));
    assert_eq!(one.text.matches("kind: lti11").count(), 1);
}

/// Each trait there is has a fate; none is passed over, and none is unknown by mistake.
#[test]
fn every_trait_has_a_fate() {
    for class in &CLASSES {
        let Some(kind) = class.kind() else {
            continue;
        };
        for of in class.line() {
            for name in of.traits {
                for value in ["x", "true", "3", "[a]", "{a: b}"] {
                    let own = kind.class().name;
                    let text = format!(
                        "hub: {{config: {{JupyterHub: {{authenticator_class: {own}}}, {}: {{{name}: {value}}}}}}}",
                        of.name
                    );
                    let key = format!("hub.config.{}.{name}", of.name);
                    match translate("values.yaml", &text) {
                        Ok(translated) => assert!(
                            translated
                                .report
                                .entries()
                                .iter()
                                .any(|entry| entry.key == key),
                            "{own}: {key}: {value} was passed over"
                        ),
                        Err(refused) => {
                            let said = refused.problems.to_string();
                            let told = said.contains(&key) || said.contains("authenticator_class");
                            assert!(
                                told && !said.contains("no such trait"),
                                "{own}: {key}: {value}: {said}"
                            );
                        }
                    }
                }
            }
        }
    }
}
