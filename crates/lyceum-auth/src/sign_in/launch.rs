//! The door for those who come from learning platforms ([`crate::lti`]).

use std::net::IpAddr;
use std::sync::Arc;

use lyceum_model::clock::Millis;
use lyceum_model::id::new_secret;
use lyceum_model::identity::Identity;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Proven, SignIn};
use crate::attempt::Refused;
use crate::lti::{Initiation, Launch, Lti, OldLti, Posted, Signed};

/// The word of the configuration.
const KIND: &str = "lti";
const OLD_KIND: &str = "lti11";
/// What launches that have counted are known by.
const COUNTED: &str = "lyceum lti11 launch 1";
const HELD: &str = "lti launch that waits";
const RESUMED: &str = "lyceum lti launch resumed 1";
/// How long somebody may look who is here before she goes on.
const HELD_LIFE: i64 = 600_000;

/// Somebody who has proved who she is, in a browser where somebody else is logged in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Held {
    pub identity: Identity,
    /// Where she wanted to go.
    pub next: String,
    pub method: String,
    /// In which session of somebody else's.
    session: String,
    chance: String,
    until: i64,
}

impl SignIn {
    /// With learning platforms from which people come; after [`SignIn::with_elsewhere`], whose journeys they
    /// make.
    #[must_use]
    pub fn with_platforms(mut self, platforms: Vec<Arc<Lti>>) -> Self {
        self.platforms = platforms.into();
        self
    }

    pub fn platforms(&self) -> &[Arc<Lti>] {
        &self.platforms
    }

    /// The one of this id.
    pub fn find_platform(&self, id: &str) -> Option<&Arc<Lti>> {
        self.platforms.iter().find(|platform| platform.id() == id)
    }

    /// A platform asks for a launch: where to send the browser. `browser`: a secret that it alone has;
    /// `back`: where the launch shall be posted. Nobody: there is no such platform.
    pub fn begin_launch(
        &self,
        id: &str,
        asked: &Initiation,
        browser: &str,
        back: &Url,
    ) -> Option<Result<Url, Refused>> {
        let platform = self.find_platform(id)?;
        let journeys = &self.away.as_ref()?.journeys;
        let out = platform.client_of(asked).map(|client| {
            let proofs = journeys.begin(&way(id, client), browser, "");
            platform.depart(asked, client, &proofs, back)
        });
        Some(out)
    }

    /// A browser brings a launch to the address of this platform.
    pub async fn launch(
        &self,
        id: &str,
        browser: &str,
        posted: &Posted,
        address: IpAddr,
    ) -> Result<(Proven, Launch), Refused> {
        let (Some(platform), Some(away)) = (self.find_platform(id), &self.away) else {
            return Err(Refused::Expired);
        };
        // Nothing is counted: nobody guesses a state, and whoever sits behind the same address must not be kept
        // out by somebody else's forms.
        let returned = away.journeys.peek(&posted.state, browser).await?;
        // Who left for one platform, as one of its clients, does not come back from another.
        let left = returned.and_then(|returned| {
            let mut clients = platform.clients();
            let client = clients.find(|client| way(id, client) == returned.method)?;
            Some((client, returned.proofs))
        });
        let Some((client, proofs)) = left else {
            tracing::info!(%address, kind = KIND, platform = id, "sign-in refused: no way back of this browser");
            return Err(Refused::Expired);
        };
        let launch = platform.arrive(client, &proofs, posted).await?;
        // Invariant: only what was signed is written down, so nobody makes rows to whom no platform gave a launch.
        // Of several at once one is the first.
        if away.journeys.end(&posted.state, browser).await?.is_none() {
            return Err(Refused::Expired);
        }
        let proven = Proven {
            identity: launch.identity.clone(),
            kind: KIND,
            names_people: platform.names_people(),
            grant: None,
        };
        Ok((proven, launch))
    }

    /// With platforms that have nothing newer than LTI 1.1.
    #[must_use]
    pub fn with_old_platforms(mut self, platforms: Vec<Arc<OldLti>>) -> Self {
        self.old_platforms = platforms.into();
        self
    }

    pub fn old_platforms(&self) -> &[Arc<OldLti>] {
        &self.old_platforms
    }

    /// The one of this id.
    pub fn find_old_platform(&self, id: &str) -> Option<&Arc<OldLti>> {
        let mut all = self.old_platforms.iter();
        all.find(|platform| platform.id() == id)
    }

    /// A browser brings a signed form to this address of a platform. `to`: without its query.
    pub async fn launch_signed(
        &self,
        id: &str,
        posted: &Signed,
        to: &str,
        address: IpAddr,
    ) -> Result<(Proven, Launch), Refused> {
        let (Some(platform), Some(away)) = (self.find_old_platform(id), &self.away) else {
            return Err(Refused::Expired);
        };
        // Nothing is counted: a signature is cheap to look at, secrets are too long to be guessed, and whoever
        // sits behind the same address must not be kept out by somebody else's forms.
        let proved = platform.prove(posted, to)?;
        // Invariant: only what was signed is written down, so nobody without a secret makes rows.
        let journeys = &away.journeys;
        let mark = format!("{id}\n{}", proved.mark);
        if !journeys.is_first(COUNTED, &mark, proved.until).await? {
            tracing::info!(%address, kind = OLD_KIND, platform = id, "sign-in refused: this launch was taken before");
            return Err(Refused::Expired);
        }
        let launch = proved.launch;
        let proven = Proven {
            identity: launch.identity.clone(),
            kind: OLD_KIND,
            names_people: platform.names_people(),
            grant: None,
        };
        Ok((proven, launch))
    }

    /// Whoever came is somebody else than who is logged in there: what a page of ours keeps until she says
    /// that she goes on. It is good in this session, once, and not for long.
    pub fn hold(
        &self,
        identity: &Identity,
        next: &str,
        method: &str,
        session: &str,
    ) -> Option<String> {
        let journeys = &self.away.as_ref()?.journeys;
        let held = Held {
            identity: identity.clone(),
            next: next.to_owned(),
            method: method.to_owned(),
            session: session.to_owned(),
            chance: new_secret(),
            until: journeys.now().plus(HELD_LIFE).0,
        };
        let text = serde_json::to_vec(&held).ok()?;
        Some(journeys.keys().seal(HELD, &text))
    }

    /// She goes on.
    pub async fn resume(&self, sealed: &str, session: &str) -> Result<Held, Refused> {
        let journeys = &self.away.as_ref().ok_or(Refused::Expired)?.journeys;
        let text = journeys.keys().open(HELD, sealed);
        let text = text.map_err(|_| Refused::Expired)?;
        let held: Held = serde_json::from_slice(&text).map_err(|_| Refused::Expired)?;
        let until = Millis(held.until);
        if held.session != session || journeys.now() >= until {
            return Err(Refused::Expired);
        }
        match journeys.is_first(RESUMED, &held.chance, until).await? {
            true => Ok(held),
            false => Err(Refused::Expired),
        }
    }
}

/// What a journey calls the way by which somebody left; no id of another way in has such a sign.
fn way(id: &str, client: &str) -> String {
    format!("{KIND}/{id}/{client}")
}
