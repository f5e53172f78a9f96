//! What is asked for by mail, looked up and written once nobody waits for it.

use std::net::IpAddr;

use lyceum_auth::addresses::{self, MailAddress};
use lyceum_auth::{Refused, links, local};
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_store::Tx;
use lyceum_web::page::Lang;

use super::{Letter, MailConfig, deliver};
use crate::audit::{self, Act, Doer, What};
use crate::{Hub, db};

const NEW_PASSWORD: &str = "/hub/new-password";
const CONFIRM: &str = "/hub/mail";
const FORGOTTEN: &str = "/hub/forgotten";
const SIGN_UP: &str = "/hub/sign-up";

/// Something to send, if there is somebody to send it to.
#[derive(Debug)]
pub enum Errand {
    /// Somebody has forgotten her password, and has typed her name or her address.
    Forgotten {
        typed: String,
        /// Where she is who asks.
        from: IpAddr,
        lang: Lang,
    },
    /// This address shall be hers.
    Prove {
        name: UserName,
        address: MailAddress,
        /// What her password was then: one that is set meanwhile ends what the one before asked for.
        password: Option<String>,
        lang: Lang,
    },
    /// Whoever reads this address wants an account.
    SignUp { address: MailAddress, lang: Lang },
    /// Her address is another one now; the one before is told.
    Moved {
        name: UserName,
        before: MailAddress,
        lang: Lang,
    },
}

/// Does it. What fails is told in the log: whoever has asked has gone on.
pub(super) async fn run(hub: Hub, errand: Errand) {
    let Some(config) = hub.mail() else {
        return;
    };
    if let Err(error) = attend(&hub, &config, &errand).await {
        tracing::error!(
            error = lyceum_model::causes::told(error.as_ref()),
            errand = errand.word(),
            "a letter was not sent"
        );
    }
}

impl Errand {
    fn word(&self) -> &'static str {
        match self {
            Self::Forgotten { .. } => "forgotten",
            Self::Prove { .. } => "prove",
            Self::SignUp { .. } => "sign-up",
            Self::Moved { .. } => "moved",
        }
    }
}

async fn attend(hub: &Hub, config: &MailConfig, errand: &Errand) -> anyhow::Result<()> {
    match errand {
        Errand::Forgotten { typed, from, lang } => forgotten(hub, config, typed, *from, lang).await,
        Errand::Prove {
            name,
            address,
            password,
            lang,
        } => {
            let asked = (name, password.as_deref());
            prove(hub, config, asked, address, lang).await
        }
        Errand::SignUp { address, lang } => sign_up(hub, config, address, lang).await,
        Errand::Moved { name, before, lang } => {
            let site = site(hub);
            let (name, site) = (name.as_str(), site.as_str());
            let subject = say!("letter.moved", site = site);
            let text = [
                say!("letter.moved_what", name = name, site = site),
                say!("letter.moved_means"),
            ];
            let text = text.map(|piece| piece.sentence(lang));
            send(hub, config, before, subject.in_lang(lang), &text).await
        }
    }
}

/// A link to each account that is meant. Nobody hears which there are but their owners.
async fn forgotten(
    hub: &Hub,
    config: &MailConfig,
    typed: &str,
    from: IpAddr,
    lang: &Lang,
) -> anyhow::Result<()> {
    let mut tx = hub.db().read().await?;
    let mut names: Vec<UserName> = UserName::parse(typed).into_iter().collect();
    if let Ok(address) = MailAddress::parse(typed) {
        let more = addresses::names(&mut tx, &address).await?;
        names.extend(more.into_iter().filter(|name| name.as_str() != typed));
    }
    let mut found = Vec::new();
    for name in names {
        if let Some(address) = reach(hub, &mut tx, &name).await? {
            found.push((name, address));
        }
    }
    drop(tx);
    for (name, address) in found {
        if may_send(hub, &format!("password {name}")).await? {
            new_password(hub, config, (&name, &address), from, lang).await?;
        }
    }
    Ok(())
}

/// Whether somebody comes in by a password of this place, and may.
pub(crate) async fn comes_by_password(
    hub: &Hub,
    tx: &mut Tx,
    name: &UserName,
) -> anyhow::Result<bool> {
    if hub.sign_in().accounts().is_none() || !local::is_there(tx, name).await? {
        return Ok(false);
    }
    let Some(user) = db::users::find(tx, name).await? else {
        return Ok(false);
    };
    Ok(!user.name.is_of_course()
        && !db::identities::lead_to(tx, &user.id).await?
        && !hub.shuts_out(tx, &user).await?)
}

/// The address of such a one.
async fn reach(hub: &Hub, tx: &mut Tx, name: &UserName) -> anyhow::Result<Option<MailAddress>> {
    if !comes_by_password(hub, tx, name).await? {
        return Ok(None);
    }
    let known = addresses::find(tx, name).await?;
    Ok(known.and_then(|known| MailAddress::parse(&known.address).ok()))
}

async fn new_password(
    hub: &Hub,
    config: &MailConfig,
    (name, address): (&UserName, &MailAddress),
    from: IpAddr,
    lang: &Lang,
) -> anyhow::Result<()> {
    let mut tx = hub.db().write().await?;
    // What she was asked by may have gone meanwhile.
    if reach(hub, &mut tx, name).await?.as_ref() != Some(address) {
        return Ok(tx.rollback().await?);
    }
    let made = links::make_mailed(&mut tx, name, hub.now()).await?;
    if let Some(user) = db::users::find(&mut tx, name).await? {
        // Nobody knows who it was.
        let nobody = Doer::nobody().at(Some(from));
        let act = Act::new(&nobody, What::PasswordAsked).about(&user);
        audit::note(&mut tx, act, hub.now()).await?;
    }
    tx.commit().await?;
    tracing::info!(user = %name, "link for a password asked for by mail");
    let site = site(hub);
    let (user, site) = (name, site.as_str());
    let name = user.as_str();
    let subject = say!("letter.forgotten", site = site);
    let what = say!("letter.forgotten_what", name = name, site = site);
    let means = say!("letter.forgotten_means");
    let link = link(hub, NEW_PASSWORD, Some(("link", &made.secret)));
    let text = [what.sentence(lang), link, means.sentence(lang)];
    send(hub, config, address, subject.in_lang(lang), &text).await?;
    tracing::info!(%user, "link for a password sent by mail");
    Ok(())
}

async fn prove(
    hub: &Hub,
    config: &MailConfig,
    (name, then): (&UserName, Option<&str>),
    address: &MailAddress,
    lang: &Lang,
) -> anyhow::Result<()> {
    if !may_send(hub, &mailbox(address)).await? {
        return Ok(());
    }
    let mut tx = hub.db().write().await?;
    if !comes_by_password(hub, &mut tx, name).await? {
        return Ok(tx.rollback().await?);
    }
    if let Some(user) = db::users::find(&mut tx, name).await? {
        db::servers::lock_owner(&mut tx, &user.id).await?;
    }
    let sign_in = hub.sign_in();
    let now = match sign_in.accounts() {
        Some(accounts) => accounts.fingerprint_in(&mut tx, name).await?,
        None => None,
    };
    if now.as_deref() != then {
        return Ok(tx.rollback().await?);
    }
    let secret = addresses::ask_proof(&mut tx, name, address, hub.now()).await?;
    tx.commit().await?;
    let site = site(hub);
    let (name, site) = (name.as_str(), site.as_str());
    let subject = say!("letter.prove", site = site);
    let what = say!("letter.prove_what", name = name, site = site);
    let means = say!("letter.prove_means");
    let link = link(hub, CONFIRM, Some(("link", &secret)));
    let text = [what.sentence(lang), link, means.sentence(lang)];
    send(hub, config, address, subject.in_lang(lang), &text).await
}

/// A link to an account, or that there is one: only whoever reads the address hears which.
async fn sign_up(
    hub: &Hub,
    config: &MailConfig,
    address: &MailAddress,
    lang: &Lang,
) -> anyhow::Result<()> {
    let sign_in = hub.sign_in();
    let takes = (sign_in.accounts())
        .is_some_and(|accounts| accounts.sign_up().takes_domain(address.domain()));
    if !takes || !may_send(hub, &mailbox(address)).await? {
        return Ok(());
    }
    let site = site(hub);
    let site = site.as_str();
    let subject = say!("letter.sign_up", site = site).in_lang(lang);
    let mut tx = hub.db().write().await?;
    let names = addresses::names(&mut tx, address).await?;
    if !names.is_empty() {
        tx.rollback().await?;
        let names: Vec<&str> = names.iter().map(UserName::as_str).collect();
        let names = names.join(", ");
        let what = say!("letter.has_account", site = site, names = names.as_str());
        let text = [what.sentence(lang), link(hub, FORGOTTEN, None)];
        return send(hub, config, address, subject, &text).await;
    }
    let secret = addresses::ask_sign_up(&mut tx, address, hub.now()).await?;
    tx.commit().await?;
    let what = say!("letter.sign_up_what", site = site);
    let means = say!("letter.sign_up_means");
    let link = link(hub, SIGN_UP, Some(("mail", &secret)));
    let text = [what.sentence(lang), link, means.sentence(lang)];
    send(hub, config, address, subject, &text).await
}

/// What letters are counted by: what stands behind a `+` makes no other mailbox.
fn mailbox(address: &MailAddress) -> String {
    let text = address.to_string().to_lowercase();
    let (local, domain) = text.rsplit_once('@').unwrap_or((&text, ""));
    let local = local.split('+').next().unwrap_or(local);
    format!("mailbox {local}@{domain}")
}

/// Whether one more letter may go there; if not, those before it have to do.
async fn may_send(hub: &Hub, mailbox: &str) -> anyhow::Result<bool> {
    match hub.sign_in().begin_letter(mailbox).await {
        Ok(()) => Ok(true),
        Err(Refused::Internal(error)) => Err(error),
        Err(_) => {
            tracing::info!(mailbox, "letter not sent: there were enough of them lately");
            Ok(false)
        }
    }
}

fn site(hub: &Hub) -> String {
    hub.settings().site_name.clone()
}

/// By the address that the configuration says.
fn link(hub: &Hub, path: &str, secret: Option<(&str, &str)>) -> String {
    let url = hub.settings().origins.hub_url(path).unwrap_or_default();
    match secret {
        Some((key, secret)) => format!("{url}?{key}={secret}"),
        None => url,
    }
}

async fn send(
    hub: &Hub,
    config: &MailConfig,
    to: &MailAddress,
    subject: String,
    paragraphs: &[String],
) -> anyhow::Result<()> {
    let letter = Letter {
        to: to.clone(),
        from_name: site(hub),
        subject,
        text: format!("{}\n", paragraphs.join("\n\n")),
    };
    deliver(config, &letter).await
}
