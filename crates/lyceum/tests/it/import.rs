//! `lyceum import`: what other systems were told.

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::harness::Site;

const VALUES: &str = "proxy: {secretToken: old}
hub:
  config:
    JupyterHub: {authenticator_class: generic-oauth}
    GenericOAuthenticator:
      client_id: lyceum
      client_secret: seldom-seen
      oauth_callback_url: https://hub.example.edu/hub/oauth_callback
      authorize_url: https://login.example.edu/authorize
      token_url: https://login.example.edu/token
      userdata_url: https://login.example.edu/userinfo
      username_claim: preferred_username
      scope: [openid, profile]
      login_service: University
      enable_pkce: true
    Authenticator:
      admin_users: [root]
      allowed_users: [ada]
";

#[test]
fn values_become_a_configuration() {
    let site = Site::new();
    site.write("values.yaml", VALUES);
    let said = site.run(&["import", "z2jh", "values.yaml"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_snapshot!(said.out, @r#"
    public_url: https://hub.example.edu

    sign_in:
      - kind: oauth2
        title: University
        authorize_url: https://login.example.edu/authorize
        token_url: https://login.example.edu/token
        userdata_url: https://login.example.edu/userinfo
        client_secret_in: form
        client_id: lyceum
        client_secret: file:secrets/client_secret
        scopes: [openid, profile]
        username: claim:preferred_username
        mark: claim:sub

    people:
      admins: [root]
      allow: [ada]
      existing: true
    "#);
    assert_snapshot!(said.err, @r#"
    values.yaml:1: proxy: not read: not about who comes in
    values.yaml:4: hub.config.JupyterHub.authenticator_class: taken: sign_in[0].kind
    values.yaml:6: hub.config.GenericOAuthenticator.client_id: taken: sign_in[0].client_id
    values.yaml:7: hub.config.GenericOAuthenticator.client_secret: taken: sign_in[0].client_secret
    values.yaml:8: hub.config.GenericOAuthenticator.oauth_callback_url: taken: public_url
    values.yaml:9: hub.config.GenericOAuthenticator.authorize_url: taken: sign_in[0].authorize_url
    values.yaml:10: hub.config.GenericOAuthenticator.token_url: taken: sign_in[0].token_url
    values.yaml:11: hub.config.GenericOAuthenticator.userdata_url: taken: sign_in[0].userdata_url
    values.yaml:12: hub.config.GenericOAuthenticator.username_claim: taken: sign_in[0].username
    values.yaml:13: hub.config.GenericOAuthenticator.scope: taken: sign_in[0].scopes
    values.yaml:14: hub.config.GenericOAuthenticator.login_service: taken: sign_in[0].title
    values.yaml:15: hub.config.GenericOAuthenticator.enable_pkce: not needed: it always is
    values.yaml:17: hub.config.Authenticator.admin_users: taken: people.admins
    values.yaml:18: hub.config.Authenticator.allowed_users: taken: people.allow
    left to do: the first administrator: nobody is given an account of `people.admins` for bringing its name. Where names are given by the organisation, and to nobody twice, write `adopt_administrators: true` at the way in until they have come; or say with `admins` there who is one (docs/admin/sign-in.md, Whose account it is)
    left to do: `people.existing`: it is about accounts here; people of the old hub have none until they come or are made
    left to do: secrets/client_secret: put the secret there, or have it done by `--out FOLDER`
    "#);
    let said = site.run(&["import", "z2jh", "values.yaml", "--out", "made"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let secret = site.path("made/secrets/client_secret");
    assert_eq!(
        std::fs::read_to_string(&secret).expect("there"),
        "seldom-seen"
    );
    for file in [&secret, &site.path("made/lyceum.yaml")] {
        let mode = std::fs::metadata(file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let checked = site.run(&["config", "check", "made/lyceum.yaml"]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.out, checked.err);
    // What is there stays.
    let again = site.run(&["import", "z2jh", "values.yaml", "--out", "made"]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("File exists"), "{}", again.err);
}

#[test]
fn what_is_not_understood_is_no_configuration() {
    let site = Site::new();
    let text = VALUES.replace("allowed_users", "allowlist");
    site.write("values.yaml", &text);
    let said = site.run(&["import", "z2jh", "values.yaml", "--out", "made"]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert_snapshot!(said.out, @r#"
    values.yaml:18:7: `hub.config.Authenticator.allowlist`: no such trait is known here; did you mean `allowed_users`?
    "#);
    // What became of the rest is told all the same.
    let rest = "values.yaml:17: hub.config.Authenticator.admin_users: taken: people.admins";
    assert!(said.err.contains(rest), "{}", said.err);
    assert!(!site.path("made").exists());
    let said = site.run(&["import", "z2jh", "nowhere.yaml"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("nowhere.yaml: can't be read"),
        "{}",
        said.err
    );
}
