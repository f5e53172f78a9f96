//! Sign-in by the directory of an organisation (LDAP version 3, RFC 4511 and RFC 4513), Active Directory
//! among them.
//!
//! A person is proved by a bind with her password; who she is and what her groups are is read from her
//! entry. `template` writes what people type into names and filters, `connection` asks, `server` chooses
//! whom, `start_tls` goes over to TLS, `entry` and `dn` read what is answered; [`crate::claims`] makes an
//! identity of it.
//!
//! Invariant: an entry counts only if the very password that was typed has opened it. A name that was
//! bound and a filter that found may mean two people.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure};
use async_trait::async_trait;
use lyceum_model::causes;
use lyceum_model::id::new_secret;
use lyceum_model::identity::{Adopts, Identity};
use lyceum_model::secret::Secret;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::Authenticator;
use crate::attempt::{Attempt, Refused};
use crate::claims::{Claims, Mapping, NameFrom, Numbers, Rule};

mod connection;
mod dn;
mod entry;
mod server;
mod start_tls;
mod template;

use connection::{Connection, Lost, OfOne, Place, shown};
pub use dn::Dn;
use entry::Entry;
use server::{Server, in_order};
pub use template::{Template, check_attribute};

/// No person is in more groups than that.
const GROUPS_MAX: usize = 1_000;
/// Enough to see that a name means more than one entry.
const TWO: i32 = 2;
/// Claims beside the attributes of an entry; no attribute is called so.
const GROUPS: &str = "(groups)";
const DISPLAY_NAME: &str = "(display name)";
const GIDS: &str = "(gids)";
const OWN_GROUP: &str = "(own group)";
/// Holds for each entry there is.
const ANY: &str = "(objectClass=*)";

/// One directory, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct LdapConfig {
    /// Tells it from other directories; part of everybody's mark. May be empty.
    pub id: String,
    pub title: String,
    /// `ldaps://…` or `ldap://…`, in the order in which they are asked.
    pub servers: Vec<String>,
    /// Whether connections to `ldap://…` go over to TLS before anything is said.
    pub start_tls: bool,
    /// Authorities besides the system's, in PEM form.
    pub authorities: Option<Vec<u8>>,
    /// Below which people are found.
    pub base: String,
    /// With `{username}`. `None`: whoever a template of `bind` names.
    pub filter: Option<Template>,
    /// What to bind as, with `{username}`. None: whoever the filter finds.
    pub bind: Vec<Template>,
    /// Who reads. `None`: the person herself, or nobody in particular before she is known.
    pub reader: Option<Reader>,
    pub names: Attributes,
    /// `None`: groups are left alone.
    pub groups: Option<Groups>,
    /// Who may come in this way; the claims are attributes. `None`: whom other lists name.
    pub allow: Option<Rule>,
    /// `None`: the directory does not say.
    pub admins: Option<Rule>,
    pub adopts: Adopts,
    /// How long one server may take for one sign-in.
    pub timeout: Duration,
    /// As many sign-ins may be under way at once.
    pub connections: usize,
}

/// The account that looks people up.
#[derive(Debug, Clone, PartialEq)]
pub struct Reader {
    pub name: String,
    pub password: Secret,
}

/// What is where in an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Attributes {
    pub username: String,
    pub display_name: String,
    /// What stays when everything else of a person changes, and is given to nobody else.
    pub mark: String,
    /// Her numbers for files. `None`: they are not asked for.
    pub uid: Option<String>,
    pub gid: Option<String>,
    /// Her address of mail, as far as it may be taken for hers.
    pub mail: Option<String>,
}

impl Attributes {
    fn all(&self) -> impl Iterator<Item = &String> {
        let more = [&self.uid, &self.gid, &self.mail].into_iter().flatten();
        [&self.username, &self.display_name, &self.mark]
            .into_iter()
            .chain(more)
    }
}

/// How a person's groups are found.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// Groups elsewhere do not count: others may be free to make some there.
    pub base: String,
    /// The attribute that holds a group's name.
    pub name: String,
    /// The attribute that holds its number for files; only where they are found by a filter.
    pub gid: Option<String>,
    pub by: GroupsBy,
}

#[derive(Debug, Clone, PartialEq)]
pub enum GroupsBy {
    /// An attribute of the person holds the names of the entries of her groups.
    Attribute(String),
    /// Her groups are those that this finds, with `{dn}` and `{username}`.
    Filter(Template),
}

/// Sign-in at one directory.
pub struct Ldap {
    config: LdapConfig,
    /// Where the groups have to be.
    groups_base: Option<Dn>,
    mapping: Mapping,
    /// What is read of a person.
    wanted: Vec<String>,
    servers: Vec<Server>,
    places: Semaphore,
}

/// A person, as the directory has her.
struct Found {
    entry: Entry,
    /// `None`: nobody asked.
    groups: Option<Vec<Group>>,
}

struct Group {
    name: Option<String>,
    gid: Option<u32>,
}

impl Ldap {
    pub fn new(config: LdapConfig) -> anyhow::Result<Self> {
        let tls = Arc::new(crate::http::tls(config.authorities.as_deref())?);
        let servers = config.servers.iter();
        let servers = servers
            .map(|url| Server::new(url.clone(), config.start_tls, tls.clone()))
            .collect();
        let base = config.groups.as_ref().map(|groups| Dn::parse(&groups.base));
        let groups_base = match base {
            Some(None) => bail!("the `base` of the groups is no name of an entry"),
            base => base.flatten(),
        };
        Ok(Self {
            mapping: mapping(&config)?,
            wanted: wanted(&config),
            servers,
            places: Semaphore::new(config.connections),
            groups_base,
            config,
        })
    }

    /// Asks the first server that answers. Nobody: the name or the password is wrong.
    async fn ask(&self, attempt: &Attempt) -> Result<Option<Found>, Refused> {
        let place = timeout(self.config.timeout, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(Refused::Busy);
        };
        let mut problems = Vec::new();
        let others = self.servers.len() > 1;
        for server in in_order(&self.servers, Instant::now()) {
            match self.ask_one(server, attempt).await {
                Ok(found) => {
                    server.answered();
                    return Ok(found);
                }
                Err(problem) if problem.is::<OfOne>() => {
                    server.answered();
                    return Err(Refused::Internal(problem));
                }
                Err(problem) => {
                    server.failed(Instant::now());
                    let problem = causes::told(problem.as_ref());
                    // Of the only one the error below tells.
                    if others {
                        tracing::warn!(
                            server = server.url,
                            problem,
                            "a server of the directory is of no use"
                        );
                    }
                    problems.push(format!("{}: {problem}", server.url));
                }
            }
        }
        Err(Refused::Internal(anyhow!(
            "no server of the directory {:?} is of use: {}",
            self.config.title,
            problems.join("; ")
        )))
    }

    /// Whether each server could be asked: it is there, takes the account that reads, and has what people
    /// and groups are looked for below. Each by its address.
    pub async fn look(&self, limit: Duration) -> Vec<(&str, anyhow::Result<()>)> {
        let mut looks = Vec::new();
        for server in &self.servers {
            let found = match timeout(limit, self.look_at(server)).await {
                Ok(found) => found,
                Err(_) => Err(anyhow!("it did not answer within {} s", limit.as_secs())),
            };
            looks.push((server.url.as_str(), found));
        }
        looks
    }

    async fn look_at(&self, server: &Server) -> anyhow::Result<()> {
        let mut on = server.connect().await?;
        // People who name their own entries read there themselves.
        if self.config.reader.is_none() && !self.config.bind.is_empty() {
            return Ok(());
        }
        on.be_reader(self.reader()).await?;
        let groups = self.config.groups.as_ref().map(|groups| &groups.base);
        let bases = [&self.config.base].into_iter().chain(groups);
        for base in bases.filter(|base| !base.is_empty()) {
            // As at a log-in with a name that nobody has: the answer is that there is none.
            let nobody = format!("(cn=nobody-{})", new_secret());
            on.find(Place::Below(base), &nobody, &self.wanted, TWO)
                .await?;
        }
        Ok(())
    }

    async fn ask_one(&self, server: &Server, attempt: &Attempt) -> anyhow::Result<Option<Found>> {
        let talk = async {
            if let Some(mut kept) = server.take() {
                match self.find(&mut kept, attempt).await {
                    Ok(found) => {
                        server.keep(kept);
                        return Ok(found);
                    }
                    // Servers end connections that rest; that one ended says nothing of the server.
                    Err(problem) if problem.is::<Lost>() => {}
                    Err(problem) => return Err(problem),
                }
            }
            let mut new = server.connect().await?;
            let found = self.find(&mut new, attempt).await?;
            server.keep(new);
            Ok(found)
        };
        let limit = self.config.timeout;
        match timeout(limit, talk).await {
            Ok(found) => found,
            Err(_) => bail!("it did not answer within {} ms", limit.as_millis()),
        }
    }

    /// The person, if the password is hers.
    async fn find(&self, on: &mut Connection, attempt: &Attempt) -> anyhow::Result<Option<Found>> {
        let entry = match self.config.bind.is_empty() {
            true => self.look_up(on, attempt).await?,
            false => self.by_template(on, attempt).await?,
        };
        let Some(entry) = entry else {
            return Ok(None);
        };
        let groups = match &self.config.groups {
            Some(groups) => Some(self.groups_of(on, &entry, groups).await?),
            None => None,
        };
        Ok(Some(Found { entry, groups }))
    }

    /// Who is called so, and then whether the password opens that entry.
    async fn look_up(
        &self,
        on: &mut Connection,
        attempt: &Attempt,
    ) -> anyhow::Result<Option<Entry>> {
        on.be_reader(self.reader()).await?;
        let place = Place::Below(&self.config.base);
        let Some(entry) = self.entry(on, place, attempt).await? else {
            // As much work as for a name that there is, so that the time tells little.
            let nobody = format!("cn=nobody-{},{}", new_secret(), self.config.base);
            on.proves(&nobody, &attempt.password).await?;
            return Ok(None);
        };
        let is_hers = on.proves(&entry.dn, &attempt.password).await?;
        Ok(is_hers.then_some(entry))
    }

    /// Whether a name made of what was typed takes the password, and then whose entry that is.
    async fn by_template(
        &self,
        on: &mut Connection,
        attempt: &Attempt,
    ) -> anyhow::Result<Option<Entry>> {
        for template in &self.config.bind {
            let name = template.as_name(attempt.name.as_str());
            if !on.proves(&name, &attempt.password).await? {
                continue;
            }
            if self.config.reader.is_some() {
                on.be_reader(self.reader()).await?;
            }
            let place = match template.is_entry() {
                true => Place::At(&name),
                false => Place::Below(&self.config.base),
            };
            let Some(entry) = self.entry(on, place, attempt).await? else {
                tracing::info!(
                    name = %attempt.name,
                    "sign-in refused: the directory takes the password, but `filter` does not hold, or the entry can't be read"
                );
                return Ok(None);
            };
            // `ada@example.edu` may be one person, and `(sAMAccountName=ada)` another.
            let is_hers = template.is_entry() || on.proves(&entry.dn, &attempt.password).await?;
            return Ok(is_hers.then_some(entry));
        }
        Ok(None)
    }

    /// The one entry of that name.
    async fn entry(
        &self,
        on: &mut Connection,
        place: Place<'_>,
        attempt: &Attempt,
    ) -> anyhow::Result<Option<Entry>> {
        let filter = match &self.config.filter {
            Some(filter) => filter.as_filter(attempt.name.as_str(), ""),
            None => ANY.into(),
        };
        let mut found = on.find(place, &filter, &self.wanted, TWO).await?;
        if found.found.len() > 1 || !found.is_all {
            tracing::warn!(
                name = %attempt.name,
                "sign-in refused: `filter` finds more than one entry of this name"
            );
            return Ok(None);
        }
        Ok(found.found.pop())
    }

    async fn groups_of(
        &self,
        on: &mut Connection,
        entry: &Entry,
        groups: &Groups,
    ) -> anyhow::Result<Vec<Group>> {
        let filter = match &groups.by {
            GroupsBy::Attribute(attribute) => {
                let told = self.groups_told(entry, attribute, &groups.name);
                let told = told.map_err(|problem| problem.context(OfOne))?;
                let named = told.into_iter().map(|name| Group {
                    name: Some(name),
                    gid: None,
                });
                return Ok(named.collect());
            }
            GroupsBy::Filter(filter) => filter,
        };
        // As the directory writes it: what was typed may be another way to say it.
        let username = entry.texts(&self.config.names.username).next();
        let filter = filter.as_filter(username.unwrap_or_default(), &entry.dn);
        if self.config.reader.is_some() {
            on.be_reader(self.reader()).await?;
        }
        let wanted: Vec<String> = ([&groups.name].into_iter().chain(&groups.gid))
            .cloned()
            .collect();
        let most = i32::try_from(GROUPS_MAX)?;
        let found = on.find(Place::Below(&groups.base), &filter, &wanted, most);
        let found = found.await?;
        // Of half her groups she would be taken out.
        if !found.is_all || found.found.len() > GROUPS_MAX {
            let problem = "she is in more groups than the directory gives at once, or than 1000";
            return Err(anyhow!(problem).context(OfOne));
        }
        let groups = found.found.iter().map(|entry| Group {
            name: name_of(entry, &groups.name),
            gid: (groups.gid.as_ref()).and_then(|gid| number_of(entry, gid)),
        });
        Ok(groups.collect())
    }

    /// The groups that an attribute of hers names. What can't be read could be one that counts, so there
    /// is no leaving out.
    fn groups_told(
        &self,
        entry: &Entry,
        attribute: &str,
        name: &str,
    ) -> anyhow::Result<Vec<String>> {
        ensure!(
            !entry.is_cut_short(attribute),
            "the directory gives her groups in pieces, or there are very many; find them by `filter`"
        );
        let mut groups = Vec::new();
        for value in entry.values(attribute) {
            let text = String::from_utf8_lossy(value);
            let dn = std::str::from_utf8(value).ok().and_then(Dn::parse);
            let Some(dn) = dn else {
                bail!(
                    "her {attribute:?} has what is no name of an entry: {}",
                    shown(&text)
                );
            };
            let base = self.groups_base.as_ref();
            if !base.is_some_and(|base| dn.is_within(base)) {
                continue;
            }
            let Some(own_name) = dn.own_name(name) else {
                bail!(
                    "{} is not called by {name:?}; give the attribute as `name` by which groups are called, or find them by `filter`",
                    shown(&text)
                );
            };
            groups.push(own_name.to_owned());
        }
        ensure!(
            groups.len() <= GROUPS_MAX,
            "she is in more groups than {GROUPS_MAX}"
        );
        Ok(groups)
    }

    fn reader(&self) -> Option<(&str, &Secret)> {
        let reader = self.config.reader.as_ref()?;
        Some((&reader.name, &reader.password))
    }

    /// Who an entry is.
    fn identity(&self, found: &Found) -> Result<Identity, Refused> {
        let entry = &found.entry;
        let mark = &self.config.names.mark;
        let Some(subject) = entry.mark(mark) else {
            return Err(Refused::Internal(anyhow!(
                "the entry {:?} has not one {mark:?} by which to know her again, or it may not be read",
                entry.dn
            )));
        };
        let mut claims = Claims::new();
        for attribute in &self.wanted {
            let values = entry.texts(attribute).map(Value::from).collect::<Vec<_>>();
            claims.insert(attribute.clone(), Value::Array(values));
        }
        // An organisation's own directory vouches for what it says.
        claims.insert("email_verified".into(), true.into());
        if let Some(name) = entry.texts(&self.config.names.display_name).next() {
            claims.insert(DISPLAY_NAME.into(), name.into());
        }
        if let Some(groups) = &found.groups {
            let names = groups.iter().filter_map(|group| group.name.clone());
            claims.insert(GROUPS.into(), names.collect::<Vec<_>>().into());
            let gids = groups.iter().filter_map(|group| group.gid);
            claims.insert(GIDS.into(), gids.collect::<Vec<_>>().into());
            let own = (self.config.names.gid.as_ref()).and_then(|gid| number_of(entry, gid));
            let is_own = |group: &&Group| own.is_some() && group.gid == own;
            if let Some(name) = groups.iter().find(is_own).and_then(|own| own.name.clone()) {
                claims.insert(OWN_GROUP.into(), name.into());
            }
        }
        // What one attribute says of somebody, another may say of somebody else.
        let attribute = mark.to_ascii_lowercase();
        let issuer = format!("ldap:{}:{attribute}", self.config.id);
        self.mapping.identity(&issuer, &subject, &claims)
    }
}

#[async_trait]
impl Authenticator for Ldap {
    fn kind(&self) -> &'static str {
        "ldap"
    }

    fn title(&self) -> &str {
        &self.config.title
    }

    fn names_people(&self) -> bool {
        self.config.allow.is_some()
    }

    async fn sign_in(&self, attempt: &Attempt) -> Result<Identity, Refused> {
        // What a directory would take for a bind of nobody, or read to a zero only.
        let password = attempt.password.expose();
        if password.is_empty() || password.contains('\0') {
            return Err(Refused::Credentials);
        }
        match self.ask(attempt).await? {
            Some(found) => self.identity(&found),
            None => Err(Refused::Credentials),
        }
    }
}

/// What a group is called: the one value of the attribute, or of several that by which its entry is called.
fn name_of(group: &Entry, attribute: &str) -> Option<String> {
    let names: Vec<&str> = group.texts(attribute).collect();
    match names[..] {
        [name] => Some(name.to_owned()),
        _ => Dn::parse(&group.dn)?.own_name(attribute).map(str::to_owned),
    }
}

fn number_of(entry: &Entry, attribute: &str) -> Option<u32> {
    let mut texts = entry.texts(attribute);
    let number = texts.next()?.trim().parse().ok()?;
    texts.next().is_none().then_some(number)
}

fn mapping(config: &LdapConfig) -> anyhow::Result<Mapping> {
    let username = format!("claim:{}", config.names.username);
    Ok(Mapping {
        numbers: Numbers {
            uid: config.names.uid.clone(),
            gid: config.names.gid.clone(),
            group: Some(OWN_GROUP.into()),
            gids: (config.groups.as_ref())
                .and_then(|groups| groups.gid.as_ref())
                .map(|_| GIDS.to_owned()),
        },
        mail: config.names.mail.clone(),
        username: NameFrom::parse(&username).map_err(|problem| anyhow!(problem))?,
        display_name: DISPLAY_NAME.into(),
        groups: config.groups.as_ref().map(|_| GROUPS.to_owned()),
        groups_only: None,
        allow: config.allow.clone(),
        admins: config.admins.clone(),
        adopts: config.adopts,
    })
}

/// The attributes that are asked for, each once.
fn wanted(config: &LdapConfig) -> Vec<String> {
    let mut wanted: BTreeSet<&String> = config.names.all().collect();
    if let Some(Groups {
        by: GroupsBy::Attribute(attribute),
        ..
    }) = &config.groups
    {
        wanted.insert(attribute);
    }
    let rules = config.allow.iter().chain(&config.admins);
    wanted.extend(rules.flat_map(|rule| BTreeMap::keys(&rule.claims)));
    wanted.into_iter().cloned().collect()
}
