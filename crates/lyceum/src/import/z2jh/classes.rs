//! Which authenticators JupyterHub has, and what each can be told. Names only, as of JupyterHub 6.1,
//! oauthenticator 17.4, ldapauthenticator 2.0, nativeauthenticator 1.3, firstuseauthenticator 1.1,
//! tmpauthenticator 1.0 and ltiauthenticator 1.6, with those that are out of use.

/// Which translation is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    OAuth(&'static Class),
    Ldap,
    Platform,
    OldPlatform,
    Passwords(&'static Class),
}

impl Kind {
    pub(super) fn class(self) -> &'static Class {
        match self {
            Self::OAuth(class) | Self::Passwords(class) => class,
            Self::Ldap => find("LDAPAuthenticator").expect("it is one of them"),
            Self::Platform => find("LTI13Authenticator").expect("it is one of them"),
            Self::OldPlatform => find("LTI11Authenticator").expect("it is one of them"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) name: &'static str,
    /// From the nearest on.
    pub(super) parents: &'static [&'static str],
    /// What `authenticator_class` may say besides the name and the name with its module.
    pub(super) words: &'static [&'static str],
    pub(super) traits: &'static [&'static str],
}

pub(super) fn find(name: &str) -> Option<&'static Class> {
    CLASSES.iter().find(|class| class.name == name)
}

impl Class {
    /// The class and its parents.
    pub(super) fn line(&'static self) -> impl Iterator<Item = &'static Self> {
        let parents = self.parents.iter().filter_map(|name| find(name));
        std::iter::once(self).chain(parents)
    }

    pub(super) fn kind(&'static self) -> Option<Kind> {
        match self.name {
            "Authenticator" | "LocalAuthenticator" | "OAuthenticator" => None,
            "LDAPAuthenticator" => Some(Kind::Ldap),
            "LTI13Authenticator" => Some(Kind::Platform),
            "LTI11Authenticator" => Some(Kind::OldPlatform),
            _ if self.parents.contains(&"OAuthenticator") => Some(Kind::OAuth(self)),
            _ => Some(Kind::Passwords(self)),
        }
    }
}

/// Sections of `hub.config` that are not about who comes in.
pub(super) const OTHERS: [&str; 14] = [
    "Application",
    "ConfigurableHTTPProxy",
    "CryptKeeper",
    "JupyterHub",
    "KubeIngressProxy",
    "KubeSpawner",
    "LocalProcessSpawner",
    "Proxy",
    "Service",
    "SimpleLocalProcessSpawner",
    "Spawner",
    "SystemdSpawner",
    "TraefikProxy",
    "UserNotebookSpawner",
];

const ALL: &[&str] = &["Authenticator"];
const OAUTH: &[&str] = &["OAuthenticator", "Authenticator"];

pub(super) const CLASSES: [Class; 21] = [
    Class {
        name: "Authenticator",
        parents: &[],
        words: &[],
        traits: &[
            "admin_users",
            "allow_all",
            "allow_existing_users",
            "allowed_users",
            "any_allow_config",
            "auth_refresh_age",
            "auth_refresh_strict",
            "auto_login",
            "auto_login_oauth2_authorize",
            "blocked_users",
            "delete_invalid_users",
            "enable_auth_state",
            "manage_groups",
            "manage_roles",
            "otp_prompt",
            "post_auth_hook",
            "reconcile_auth_state_hook",
            "refresh_pre_spawn",
            "refresh_pre_stop",
            "request_otp",
            "reset_managed_roles_on_startup",
            "username_map",
            "username_pattern",
            "whitelist",
            "admin_whitelist",
            "blacklist",
        ],
    },
    Class {
        name: "LocalAuthenticator",
        parents: ALL,
        words: &[],
        traits: &[
            "add_user_cmd",
            "admin_groups",
            "allowed_groups",
            "create_system_users",
            "group_whitelist",
            "uids",
        ],
    },
    Class {
        name: "PAMAuthenticator",
        parents: &["LocalAuthenticator", "Authenticator"],
        words: &["pam", "default"],
        traits: &[
            "check_account",
            "encoding",
            "executor_threads",
            "open_sessions",
            "pam_normalize_username",
            "service",
        ],
    },
    Class {
        name: "DummyAuthenticator",
        parents: ALL,
        words: &["dummy"],
        traits: &["password"],
    },
    Class {
        name: "SharedPasswordAuthenticator",
        parents: ALL,
        words: &["shared-password"],
        traits: &["admin_password", "password_groups", "user_password"],
    },
    Class {
        name: "NullAuthenticator",
        parents: ALL,
        words: &["null"],
        traits: &[],
    },
    Class {
        name: "NativeAuthenticator",
        parents: ALL,
        words: &["native"],
        traits: &[
            "allow_2fa",
            "allow_self_approval_for",
            "allowed_failed_logins",
            "ask_email_on_signup",
            "check_common_password",
            "delete_firstuse_db_after_import",
            "enable_signup",
            "firstuse_db_path",
            "import_from_firstuse",
            "minimum_password_length",
            "open_signup",
            "recaptcha_key",
            "recaptcha_secret",
            "seconds_before_next_try",
            "secret_key",
            "self_approval_email",
            "self_approval_server",
            "tos",
        ],
    },
    Class {
        name: "FirstUseAuthenticator",
        parents: ALL,
        words: &["firstuse"],
        traits: &[
            "check_passwords_on_startup",
            "create_users",
            "dbm_path",
            "min_password_length",
        ],
    },
    Class {
        name: "TmpAuthenticator",
        parents: ALL,
        words: &["tmp"],
        traits: &["login_service", "force_new_server", "process_user"],
    },
    Class {
        name: "LDAPAuthenticator",
        parents: ALL,
        words: &["ldap"],
        traits: &[
            "allowed_groups",
            "attributes",
            "auth_state_attributes",
            "bind_dn_template",
            "escape_userdn",
            "group_attributes",
            "group_search_filter",
            "lookup_dn",
            "lookup_dn_search_filter",
            "lookup_dn_search_password",
            "lookup_dn_search_user",
            "lookup_dn_user_dn_attribute",
            "search_filter",
            "server_address",
            "server_port",
            "tls_kwargs",
            "tls_strategy",
            "use_lookup_dn_username",
            "use_ssl",
            "user_attribute",
            "user_search_base",
            "valid_username_regex",
        ],
    },
    Class {
        name: "LTI11Authenticator",
        parents: ALL,
        words: &["lti", "lti11"],
        traits: &[
            "config_description",
            "config_icon",
            "config_title",
            "consumers",
            "uri_scheme",
            "username_key",
        ],
    },
    Class {
        name: "LTI13Authenticator",
        parents: ALL,
        words: &["lti13"],
        traits: &[
            "authorize_url",
            "client_id",
            "issuer",
            "jwks_algorithms",
            "jwks_endpoint",
            "tool_description",
            "tool_name",
            "uri_scheme",
            "username_key",
        ],
    },
    Class {
        name: "OAuthenticator",
        parents: ALL,
        words: &[],
        traits: &[
            "admin_groups",
            "allowed_groups",
            "allowed_scopes",
            "auth_state_groups_key",
            "authorize_url",
            "basic_auth",
            "client_id",
            "client_secret",
            "custom_403_message",
            "enable_pkce",
            "extra_authorize_params",
            "http_request_kwargs",
            "login_service",
            "logout_redirect_url",
            "modify_auth_state_hook",
            "oauth_callback_url",
            "refresh_user_hook",
            "scope",
            "token_params",
            "token_url",
            "userdata_from_id_token",
            "userdata_params",
            "userdata_token_method",
            "userdata_url",
            "username_claim",
            "validate_server_cert",
        ],
    },
    Class {
        name: "GenericOAuthenticator",
        parents: OAUTH,
        words: &["generic-oauth", "generic"],
        traits: &[
            "claim_groups_key",
            "extra_params",
            "tls_verify",
            "userdata_method",
            "username_key",
        ],
    },
    Class {
        name: "AzureAdOAuthenticator",
        parents: OAUTH,
        words: &["azuread"],
        traits: &["graph_url", "tenant_id", "user_groups_claim"],
    },
    Class {
        name: "GitHubOAuthenticator",
        parents: OAUTH,
        words: &["github"],
        traits: &[
            "allowed_organizations",
            "github_api",
            "github_client_id",
            "github_client_secret",
            "github_organization_whitelist",
            "github_url",
            "populate_teams_in_auth_state",
        ],
    },
    Class {
        name: "GitLabOAuthenticator",
        parents: OAUTH,
        words: &["gitlab"],
        traits: &[
            "allowed_gitlab_groups",
            "allowed_project_ids",
            "gitlab_api",
            "gitlab_api_version",
            "gitlab_group_whitelist",
            "gitlab_project_id_whitelist",
            "gitlab_url",
        ],
    },
    Class {
        name: "GoogleOAuthenticator",
        parents: OAUTH,
        words: &["google"],
        traits: &[
            "admin_google_groups",
            "allowed_google_groups",
            "google_api_url",
            "google_group_whitelist",
            "google_service_account_keys",
            "gsuite_administrator",
            "hosted_domain",
            "include_nested_groups",
            "strip_domain",
        ],
    },
    Class {
        name: "CILogonOAuthenticator",
        parents: OAUTH,
        words: &["cilogon"],
        traits: &[
            "additional_username_claims",
            "allowed_idps",
            "cilogon_host",
            "idp",
            "idp_whitelist",
            "idps",
            "shown_idps",
            "skin",
            "strip_idp_domain",
        ],
    },
    Class {
        name: "GlobusOAuthenticator",
        parents: OAUTH,
        words: &["globus"],
        traits: &[
            "admin_globus_groups",
            "allowed_globus_groups",
            "exclude_tokens",
            "globus_groups_url",
            "globus_local_endpoint",
            "identity_provider",
            "revocation_url",
            "revoke_tokens_on_logout",
            "username_from_email",
        ],
    },
    Class {
        name: "Auth0OAuthenticator",
        parents: OAUTH,
        words: &["auth0"],
        traits: &[
            "allow_unverified_email",
            "auth0_domain",
            "auth0_subdomain",
            "username_key",
        ],
    },
];
