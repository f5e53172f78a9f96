//! The door for those who come from learning platforms ([`crate::lti`]).

use std::net::IpAddr;
use std::sync::Arc;

use url::Url;

use super::{Proven, SignIn};
use crate::attempt::Refused;
use crate::lti::{Initiation, Launch, Lti, Posted};

/// The word of the configuration.
const KIND: &str = "lti";

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
        let counted = self.throttle.begin_unnamed(address).await?;
        // What we sealed for this very browser is no guess, however often she reloads the page.
        if away.journeys.wish(&posted.state, browser).is_some() {
            self.settle(self.throttle.no_guess(counted).await);
        }
        let returned = away.journeys.end(&posted.state, browser).await?;
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
        let proven = Proven {
            identity: launch.identity.clone(),
            kind: KIND,
            names_people: platform.names_people(),
            grant: None,
        };
        Ok((proven, launch))
    }
}

/// What a journey calls the way by which somebody left; no id of another way in has such a sign.
fn way(id: &str, client: &str) -> String {
    format!("{KIND}/{id}/{client}")
}
