//! Local accounts: a name and a password kept here. They exist only if someone made them.

use async_trait::async_trait;
use lyceum_model::clock::Clock;
use lyceum_model::identity::Identity;
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use lyceum_store::{Db, Tx};

use crate::attempt::{Attempt, Refused};
use crate::config::{LocalConfig, SignUp};
use crate::password::{Busy, Hasher, PasswordError, check_new};
use crate::{Authenticator, addresses, db};

/// The accounts in the store. Cheap to clone.
#[derive(Clone)]
pub struct LocalAccounts {
    db: Db,
    clock: Clock,
    hasher: Hasher,
    title: String,
    shortest: usize,
    sign_up: SignUp,
}

/// A new password, as it is kept.
pub struct NewPassword(String);

impl NewPassword {
    /// One that was hashed before.
    pub(crate) fn kept(hash: String) -> Self {
        Self(hash)
    }

    pub(crate) fn hash(&self) -> &str {
        &self.0
    }
}

impl LocalAccounts {
    pub fn new(db: Db, clock: Clock, hasher: Hasher, config: &LocalConfig) -> Self {
        Self {
            db,
            clock,
            hasher,
            title: config.title.clone(),
            shortest: config.password_length,
            sign_up: config.sign_up.clone(),
        }
    }

    /// The same accounts, by another configuration.
    #[must_use]
    pub fn configured(&self, config: &LocalConfig) -> Self {
        Self {
            title: config.title.clone(),
            shortest: config.password_length,
            sign_up: config.sign_up.clone(),
            ..self.clone()
        }
    }

    /// Fewest characters of a new password.
    pub fn shortest(&self) -> usize {
        self.shortest
    }

    /// Whether people make accounts by invitations: they do wherever they come to accounts by themselves.
    pub fn takes_invitations(&self) -> bool {
        self.sign_up != SignUp::Closed
    }

    /// How people come to accounts that nobody made for them.
    pub fn sign_up(&self) -> &SignUp {
        &self.sign_up
    }

    /// Makes the account, or gives the one there is a new password.
    pub async fn set_password(
        &self,
        name: &UserName,
        password: Secret,
    ) -> Result<(), PasswordError> {
        let new = self.prepare(name, password).await?;
        let store = async {
            let mut tx = self.db.write().await?;
            self.put(&mut tx, name, &new).await?;
            tx.commit().await
        };
        store.await.map_err(anyhow::Error::from)?;
        Ok(())
    }

    /// Looks whether it may be hers, and hashes it, which takes its time: not within a transaction.
    pub async fn prepare(
        &self,
        name: &UserName,
        password: Secret,
    ) -> Result<NewPassword, PasswordError> {
        check_new(&password, name, self.shortest)?;
        match self.hasher.hash(password).await {
            Ok(hash) => Ok(NewPassword(hash?)),
            Err(Busy) => Err(PasswordError::Busy),
        }
    }

    /// Makes the account, or gives the one there is this password. Links that were made for her end, and so does
    /// what was asked for by the password before: an address that is not shown to be hers yet.
    pub async fn put(&self, tx: &mut Tx, name: &UserName, new: &NewPassword) -> sqlx::Result<()> {
        db::password_links::delete(tx, name).await?;
        db::mail_addresses::delete_proof(tx, name).await?;
        db::local_accounts::upsert(tx, name, &new.0, self.clock.now()).await
    }

    pub async fn exists(&self, name: &UserName) -> anyhow::Result<bool> {
        let mut tx = self.db.read().await?;
        let hash = db::local_accounts::find_hash(&mut tx, name).await?;
        Ok(hash.is_some())
    }

    /// Something that changes whenever the password does; `None` without an account.
    pub async fn fingerprint(&self, name: &UserName) -> anyhow::Result<Option<String>> {
        let mut tx = self.db.read().await?;
        Ok(self.fingerprint_in(&mut tx, name).await?)
    }

    /// The same, as a transaction sees it.
    pub async fn fingerprint_in(
        &self,
        tx: &mut Tx,
        name: &UserName,
    ) -> sqlx::Result<Option<String>> {
        let hash = db::local_accounts::find_hash(tx, name).await?;
        Ok(hash.map(|hash| lyceum_model::digest::Digest::of(hash.as_bytes()).to_hex()))
    }

    /// Removes the account; whether there was one. What the person made stays.
    pub async fn remove(&self, name: &UserName) -> anyhow::Result<bool> {
        let mut tx = self.db.write().await?;
        let removed = remove(&mut tx, name).await?;
        tx.commit().await?;
        Ok(removed)
    }
}

/// Somebody gets another name, and her account with her, if she has one. Not when there is an account
/// of that name: whoever knows its password would become her.
pub async fn rename(tx: &mut Tx, from: &UserName, to: &UserName) -> sqlx::Result<bool> {
    // A link is for the name that it was made for.
    db::password_links::delete(tx, from).await?;
    if !db::local_accounts::rename(tx, from, to).await? {
        return Ok(false);
    }
    addresses::rename(tx, from, to).await?;
    Ok(true)
}

/// Whether there is an account of this name.
pub async fn is_there(tx: &mut Tx, name: &UserName) -> sqlx::Result<bool> {
    let hash = db::local_accounts::find_hash(tx, name).await?;
    Ok(hash.is_some())
}

/// Somebody is gone, and with her the account.
pub async fn remove(tx: &mut Tx, name: &UserName) -> sqlx::Result<bool> {
    db::password_links::delete(tx, name).await?;
    addresses::remove(tx, name).await?;
    db::local_accounts::delete(tx, name).await
}

#[async_trait]
impl Authenticator for LocalAccounts {
    fn kind(&self) -> &'static str {
        "local"
    }

    fn title(&self) -> &str {
        &self.title
    }

    fn names_people(&self) -> bool {
        true
    }

    fn accounts(&self) -> Option<&LocalAccounts> {
        Some(self)
    }

    async fn sign_in(&self, attempt: &Attempt) -> Result<Identity, Refused> {
        let mut tx = self.db.read().await?;
        let stored = db::local_accounts::find_hash(&mut tx, &attempt.name).await?;
        // No connection is held while the hash waits its turn.
        drop(tx);
        let verified = self.hasher.verify(attempt.password.clone(), stored).await;
        match verified {
            Ok(Ok(true)) => Ok(Identity::named(attempt.name.clone())),
            Ok(Ok(false)) => Err(Refused::Credentials),
            Ok(Err(problem)) => Err(Refused::Internal(problem)),
            Err(Busy) => Err(Refused::Busy),
        }
    }
}
