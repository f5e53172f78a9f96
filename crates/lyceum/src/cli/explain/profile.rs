//! `lyceum explain PERSON [--profile SLUG]`: what she chooses, and why it is or is not hers. A page tells
//! nobody of what is for others; whoever has a shell on the machine sees all of it.

use lyceum_hub::profiles::choose::{Chosen, choose};
use lyceum_hub::profiles::{Profile, Profiles};
use lyceum_model::who::Who;
use serde_json::Value;

use super::{Explain, Person};
use crate::failure::Failure;

/// What is chosen, if there is anything; why she may start it, or not; and what there is for others.
type Picked = (Option<Chosen>, Result<String, String>, Vec<String>);

impl Explain {
    pub(super) fn pick(&self, profiles: &Profiles, person: &Person) -> Result<Picked, Failure> {
        let mine = profiles.of(&person.name, &person.standing);
        let options = self.options();
        let others = match self.profile {
            None => of_others(profiles, &mine),
            Some(_) => Vec::new(),
        };
        if mine.is_empty() && self.profile.is_none() {
            let why = "none of the profiles is for her".to_owned();
            return Ok((None, Err(why), others));
        }
        let wrong = match choose(&mine, &options) {
            Ok(chosen) => {
                let slug = chosen.profile.as_deref().unwrap_or_default();
                let why = by_whom(profiles, slug, person);
                return Ok((Some(chosen), Ok(why), others));
            }
            Err(wrong) => wrong,
        };
        if let Ok(chosen) = choose(&profiles.all(), &options) {
            let slug = chosen.profile.as_deref().unwrap_or_default();
            let why = why_not_hers(profiles, slug, &options, person);
            return Ok((Some(chosen), Err(why), others));
        }
        let there = match mine.is_empty() {
            true => format!("none is for {}", person.name),
            false => format!("{} may use: {}", person.name, slugs(&mine)),
        };
        let all = slugs(&profiles.0);
        Err(Failure::new(format!("{}: {}", wrong.field, wrong.why))
            .hint(format!("{there}; in all there are: {all}")))
    }
}

fn slugs(profiles: &[Profile]) -> String {
    let slugs: Vec<&str> = profiles.iter().map(|one| one.slug.as_str()).collect();
    slugs.join(", ")
}

fn find<'a>(profiles: &'a Profiles, slug: &str) -> Option<&'a Profile> {
    profiles.0.iter().find(|one| one.slug == slug)
}

/// By which entry a profile of hers is hers.
fn by_whom(profiles: &Profiles, slug: &str, person: &Person) -> String {
    let audience = find(profiles, slug).and_then(|one| one.audience.as_ref());
    let by = audience.into_iter().flatten();
    match { by }.find(|who| who.is(&person.name, &person.standing)) {
        Some(who) => format!("by {who}"),
        None => "everybody may".to_owned(),
    }
}

/// Profiles that are for others only, or of which she lacks what they ask for.
fn of_others(profiles: &Profiles, mine: &[Profile]) -> Vec<String> {
    let is_hers = |one: &&Profile| mine.iter().any(|own| own.slug == one.slug);
    let others = profiles.0.iter().filter(|one| !is_hers(one));
    others
        .map(|one| match &one.audience {
            Some(audience) => format!("the profile {} is for {}", one.slug, names(audience)),
            None => format!("of the profile {} not all is for her", one.slug),
        })
        .collect()
}

/// What of a choice is for others.
fn why_not_hers(profiles: &Profiles, slug: &str, options: &Value, person: &Person) -> String {
    let for_others = |audience: &Option<Vec<Who>>| {
        let audience = audience.as_ref()?;
        let hers = audience
            .iter()
            .any(|who| who.is(&person.name, &person.standing));
        (!hers).then(|| names(audience))
    };
    let Some(profile) = find(profiles, slug) else {
        return format!("there is no profile {slug}");
    };
    if let Some(whom) = for_others(&profile.audience) {
        return format!("the profile {slug} is for {whom}");
    }
    for option in &profile.options {
        let name = options[&option.name].as_str();
        let chosen = option
            .choices
            .iter()
            .find(|one| Some(one.name.as_str()) == name);
        if let Some((choice, whom)) =
            chosen.and_then(|one| for_others(&one.audience).map(|whom| (&one.name, whom)))
        {
            return format!("{choice} of {} is for {whom}", option.name);
        }
    }
    let nothing = profile.options.iter().find(|option| {
        let hers = |one| for_others(one).is_none();
        option.unlisted.is_none() && !option.choices.iter().any(|one| hers(&one.audience))
    });
    match nothing {
        Some(option) => format!(
            "nothing of {} in the profile {slug} is for her",
            option.name
        ),
        None => format!("not all of the profile {slug} is for her"),
    }
}

fn names(audience: &[Who]) -> String {
    if audience.is_empty() {
        return "nobody".to_owned();
    }
    let names: Vec<String> = audience.iter().map(Who::to_string).collect();
    names.join(", ")
}
