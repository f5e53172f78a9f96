//! Launches by LTI 1.1.

use axum::body::Bytes;
use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use lyceum_auth::Refused;
use lyceum_auth::lti::Signed;
use lyceum_web::page::contexts::LtiOnwardPage;
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiResult, Caller};

use super::super::elsewhere::path;
use super::super::login::{is_foreign, let_in};
use super::super::{frame, html};
use super::{IN_FRAMES, Id, OLD, address, answer, by_old, id_of, is_framed};
use crate::Hub;

/// What a page of ours puts into a form that it posts once more.
const AGAIN: &str = "lyceum_again";
const TOKEN: &str = "_xsrf";

/// A launch by LTI 1.1. A platform's form brings no cookie of ours, so it is posted once more by a page of ours
/// before anything is looked at: only then it is known who is logged in here already. What the page of
/// another site posts as if it came from ours is posted once more, too.
pub(super) async fn launch(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    id: Id,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> ApiResult<Response> {
    let id = id_of(&id);
    let query = query.unwrap_or_default();
    let sign_in = hub.sign_in();
    let (Some(platform), Some(mut posted), Some(here)) = (
        sign_in.find_old_platform(id),
        Signed::parse(query.as_bytes(), &body),
        address(&hub, OLD, id),
    ) else {
        let expired = Err(Refused::Expired);
        return answer(&hub, caller.as_ref(), &info, &headers, by_old(id), expired).await;
    };
    let (token, again) = (posted.take(TOKEN), posted.take(AGAIN));
    let token = token.unwrap_or_default();
    let framed = is_framed(&headers);
    let is_ours = again.is_some() && !is_foreign(&hub, &headers, &info, &token);
    if framed || !is_ours {
        // A browser of which that is never known goes round no further.
        let again = match again.as_deref() {
            _ if framed => "1",
            None => "1",
            Some("1") => "2",
            Some(_) => {
                tracing::info!(platform = id, address = %info.address, "a launch is refused: it never comes from a page of this site");
                let expired = Err(Refused::Expired);
                return answer(&hub, caller.as_ref(), &info, &headers, by_old(id), expired).await;
            }
        };
        let mut fields = posted.fields_without(query.as_bytes());
        let page = frame(&hub, None, &info);
        fields.push((AGAIN.into(), again.into()));
        fields.push((TOKEN.into(), page.xsrf.clone()));
        let mark = if query.is_empty() { "" } else { "?" };
        let page = LtiOnwardPage {
            page,
            platform: platform.title().to_owned(),
            action: format!("{}{mark}{query}", hub.at(&path(OLD, id))),
            fields,
            new_window: framed,
            answer: false,
        };
        let mut response = html(&hub, &headers, StatusCode::OK, "lti_onward.html", &page)?;
        if framed {
            let policy = HeaderValue::from_static(IN_FRAMES);
            response
                .headers_mut()
                .insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        return Ok(response);
    }
    let launched = sign_in
        .launch_signed(id, &posted, here.as_str(), info.address)
        .await;
    let came = match launched {
        Ok((proven, launch)) => let_in(&hub, proven, info.address)
            .await
            .map(|identity| (identity, launch)),
        Err(refused) => Err(refused),
    };
    answer(&hub, caller.as_ref(), &info, &headers, by_old(id), came).await
}
