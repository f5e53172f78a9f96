//! The SQL of this part: accounts with a password and links to new ones, addresses of mail, invitations and whoever asks for an account, failed sign-ins, ways back, second factors.

pub(crate) mod invitations;
pub(crate) mod local_accounts;
pub(crate) mod mail_addresses;
pub(crate) mod password_links;
pub(crate) mod second_factors;
pub(crate) mod sign_in_failures;
pub(crate) mod sign_in_returns;
pub(crate) mod sign_ups;
