//! Who is in a course, as the platform tells it (1EdTech Names and Role Provisioning Services 2.0), and the
//! token by which it is asked (Security Framework, 4.1).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lyceum_model::id::new_secret;
use lyceum_model::secret::Secret;
use lyceum_model::who::CourseRole;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{Lti, role};
use crate::http::{Proof, may_be_asked};
use crate::oidc::is_subject;

const SCOPE: &str = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly";
const KIND: &str = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long a proof of ours is good, in seconds.
const PROOF_LIFE: i64 = 60;
const PAGES_MAX: usize = 200;
const MEMBERS_MAX: usize = 20_000;
/// So many people on a page: some platforms else tell all at once, which may be more than is read.
const PAGE: &str = "500";
/// For all pages together.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who is in a course, by the platform's marks for people, and what they are in it.
pub type Roster = BTreeMap<String, Option<CourseRole>>;

#[derive(Deserialize)]
struct Token {
    access_token: Secret,
    token_type: String,
}

#[derive(Deserialize)]
struct Page {
    context: PageContext,
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct PageContext {
    id: String,
}

#[derive(Deserialize)]
struct Member {
    user_id: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    status: Option<String>,
}

impl Lti {
    /// Whether it can be asked who is in its courses.
    pub fn tells_rosters(&self) -> bool {
        self.config.token_url.is_some() && self.tool.is_some()
    }

    /// What it is asked for leave to do.
    pub fn scopes(&self) -> &'static [&'static str] {
        match self.tells_rosters() {
            true => &[SCOPE],
            false => &[],
        }
    }

    /// Who is in this course. Whatever is odd in an answer makes all of it count for nothing.
    pub async fn roster(&self, client: &str, context: &str, url: &Url) -> anyhow::Result<Roster> {
        let asking = self.pages(client, context, url);
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(roster) => roster,
            Err(_) => bail!("it took longer than {} s", PATIENCE.as_secs()),
        }
    }

    async fn pages(&self, client: &str, context: &str, url: &Url) -> anyhow::Result<Roster> {
        ensure!(
            self.config.client_ids.contains(client),
            "`client_ids` no longer has the one by which it was told of"
        );
        let token = self.token(client).await?;
        let mut roster = Roster::new();
        let mut next = Some(in_pages(url));
        let mut pages = 0;
        while let Some(page) = next.take() {
            pages += 1;
            ensure!(pages <= PAGES_MAX, "it has more than {PAGES_MAX} pages");
            ensure!(
                page.origin() == url.origin() && self.may_tell(&page),
                "a page of it is at another site"
            );
            let answer = (self.http)
                .get_as(&page, Proof::Bearer(&token), KIND)
                .await?;
            ensure!(answer.status.is_success(), "it answered {}", answer.status);
            let told: Page = answer.json()?;
            ensure!(told.context.id == context, "it is that of another course");
            for member in told.members {
                ensure!(is_subject(&member.user_id), "it names somebody by no mark");
                let is_in = member.status.is_none_or(|status| status == "Active");
                let role = role::in_course(&member.roles, &self.config.roles);
                let role = role.filter(|_| is_in);
                // Whoever is told twice, as of two groups of a course, is the most of it.
                let known = roster.entry(member.user_id).or_default();
                *known = most([*known, role]);
            }
            ensure!(
                roster.len() <= MEMBERS_MAX,
                "it has more than {MEMBERS_MAX} people"
            );
            next = match answer.next_page()? {
                Some(next) => Some(page.join(next).context("its next page is at no address")?),
                None => None,
            };
        }
        // Whoever launched is in it.
        ensure!(!roster.is_empty(), "it says that nobody is in the course");
        Ok(roster)
    }

    /// A platform elsewhere must not send us to a program of this machine.
    pub(super) fn may_tell(&self, url: &Url) -> bool {
        let is_here = !self.config.issuer.starts_with("https://");
        may_be_asked(url).is_ok() && (is_here || url.scheme() == "https")
    }

    async fn token(&self, client: &str) -> anyhow::Result<Secret> {
        let (Some(tool), Some(url)) = (&self.tool, &self.config.token_url) else {
            bail!("where it gives out tokens is not known; write `token_url`");
        };
        let now = self.clock.now().0 / 1_000;
        let assertion = tool
            .sign(&json!({
                "iss": client, "sub": client,
                "aud": self.config.token_audience.as_deref().unwrap_or(url.as_str()),
                "iat": now, "exp": now + PROOF_LIFE, "jti": new_secret(),
            }))
            .await?;
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", &assertion),
            ("scope", SCOPE),
        ];
        let answer = self.http.post_form(url, Proof::None, &fields).await?;
        ensure!(
            answer.status.is_success(),
            "asked for a token it answered {}; does it know this site's keys?",
            answer.status
        );
        let token: Token = answer.json()?;
        ensure!(
            token.token_type.eq_ignore_ascii_case("bearer"),
            "it gives tokens of another kind"
        );
        Ok(token.access_token)
    }
}

/// Where the first page is, asked for in pages unless its address says itself how large they are.
fn in_pages(url: &Url) -> Url {
    let mut url = url.clone();
    if !url.query_pairs().any(|(name, _)| name == "limit") {
        url.query_pairs_mut().append_pair("limit", PAGE);
    }
    url
}

/// The most of what somebody is.
fn most(roles: [Option<CourseRole>; 2]) -> Option<CourseRole> {
    let mut all = CourseRole::ALL.into_iter();
    all.find(|role| roles.contains(&Some(*role)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_is_asked_for_in_pages() {
        let check = |url: &str, expect: &str| {
            let url = Url::parse(url).unwrap();
            assert_eq!(in_pages(&url).as_str(), expect);
        };
        check("https://x/members", "https://x/members?limit=500");
        check("https://x/m?a=b%20c", "https://x/m?a=b%20c&limit=500");
        check("https://x/m?limit=10", "https://x/m?limit=10");
    }

    #[test]
    fn whoever_is_told_twice_is_the_most_of_it() {
        let (teacher, student) = (Some(CourseRole::Teacher), Some(CourseRole::Student));
        for (one, other, expect) in [
            (None, None, None),
            (None, student, student),
            (student, teacher, teacher),
        ] {
            assert_eq!(most([one, other]), expect);
            assert_eq!(most([other, one]), expect);
        }
    }
}
