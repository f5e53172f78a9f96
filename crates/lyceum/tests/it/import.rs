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
    assert_snapshot!(said.out, @"");
    assert_snapshot!(said.err, @"");
    let said = site.run(&["import", "z2jh", "values.yaml", "--out", "made"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let secret = site.path("made/secrets/client_secret");
    assert_eq!(std::fs::read_to_string(&secret).expect("there"), "seldom-seen");
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
    assert_snapshot!(said.out, @"");
    assert!(!site.path("made").exists());
    let said = site.run(&["import", "z2jh", "nowhere.yaml"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("nowhere.yaml: can't be read"), "{}", said.err);
}
