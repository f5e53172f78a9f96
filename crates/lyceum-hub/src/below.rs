//! The hub below a path: what comes in loses the base here, once for all routes. What goes out is
//! made with it by [`BasePath`].

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use lyceum_model::base::BasePath;
use lyceum_model::say;
use lyceum_web::ApiError;
use tower::ServiceExt;

use crate::pages::redirect;

/// Puts all routes below the base. `OriginalUri` is what was asked for.
pub fn mount(base: BasePath, router: Router) -> Router {
    if base.is_root() {
        return router;
    }
    let router = Arc::new(router);
    Router::new().fallback(move |request: Request| {
        let (base, router) = (base.clone(), Arc::clone(&router));
        async move {
            match inside(&base, request) {
                Ok(request) => match Router::clone(&router).oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                },
                Err(response) => *response,
            }
        }
    })
}

fn inside(base: &BasePath, mut request: Request) -> Result<Request, Box<Response>> {
    let uri = request.uri().clone();
    let query = uri.query().map(|query| format!("?{query}"));
    let query = query.unwrap_or_default();
    let Some(path) = base.within(uri.path()) else {
        return Err(Box::new(outside(
            base,
            request.method(),
            uri.path(),
            &query,
        )));
    };
    let Ok(inner) = format!("{path}{query}").parse::<Uri>() else {
        return Err(Box::new(StatusCode::BAD_REQUEST.into_response()));
    };
    let asked = request.extensions().get::<OriginalUri>().is_none();
    if asked {
        request.extensions_mut().insert(OriginalUri(uri));
    }
    *request.uri_mut() = inner;
    Ok(request)
}

/// As JupyterHub: who looks is sent below the base, where it is explained.
fn outside(base: &BasePath, method: &Method, path: &str, query: &str) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let message = say!("refused.nothing_here");
        return ApiError::new(StatusCode::NOT_FOUND, message).into_response();
    }
    redirect(base, &base.at(&format!("/hub{path}{query}")))
}
