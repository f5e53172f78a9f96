//! The SQL of this part: accounts with a password, failed sign-ins.

pub(crate) mod local_accounts;
pub(crate) mod sign_in_failures;
