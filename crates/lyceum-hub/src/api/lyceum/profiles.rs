//! "What may I start?"

use axum::Json;
use axum::extract::State;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use crate::profiles::{Choice, Profile, ProfileOption};
use crate::{Hub, choosing, db};

/// The profiles that the caller may use, with their options, in the words that a start takes. Scope:
/// `start:servers` for oneself.
pub async fn list_profiles(State(hub): State<Hub>, caller: Caller) -> ApiResult<Json<Value>> {
    let person = caller.person()?;
    caller.require(ScopeName::StartServers, Target::User(&person.name))?;
    let mut tx = hub.db().read().await?;
    let owner = db::users::get(&mut tx, &person.id).await?;
    drop(tx);
    let owner = owner.ok_or_else(ApiError::not_found)?;
    let mine = choosing::profiles_of(&hub, &owner).await?;
    let mine: Vec<Value> = mine.iter().map(profile).collect();
    Ok(Json(json!({ "profiles": mine })))
}

fn profile(profile: &Profile) -> Value {
    json!({
        "slug": profile.slug,
        "display_name": profile.title,
        "description": profile.description,
        "default": profile.is_default,
        "options": profile.options.iter().map(option).collect::<Vec<Value>>(),
    })
}

fn option(option: &ProfileOption) -> Value {
    let choice = |choice: &Choice| {
        json!({
            "name": choice.name,
            "display_name": choice.title,
            "default": choice.is_default,
        })
    };
    json!({
        "name": option.name,
        "display_name": option.title,
        "choices": option.choices.iter().map(choice).collect::<Vec<Value>>(),
        "unlisted_choice": option.unlisted.as_ref().map(|unlisted| json!({
            "display_name": unlisted.title,
            "validation_message": unlisted.message,
        })),
    })
}
