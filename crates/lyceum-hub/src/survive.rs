//! A handler that panics costs one request a 500, not the whole connection its answer.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use lyceum_web::ApiError;

/// Layer: makes an ordinary failure of a panic. State shared between requests is safe to go on with:
/// transactions roll back when dropped, and our mutexes are taken in spite of poison.
pub async fn survive(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let what = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            ApiError::from(anyhow::anyhow!("a handler panicked: {what}")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_and_its_words_are_kept_inside() {
        async fn handler() -> &'static str {
            panic!("the inner cause");
        }
        let router = Router::new()
            .route("/", get(handler))
            .layer(from_fn(survive));
        let request = Request::new(Body::empty());
        let response = router.oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), 500);
        let body = to_bytes(response.into_body(), 10_000)
            .await
            .expect("a body");
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("\"status\":500"), "{text}");
        assert!(!text.contains("inner cause"), "{text}");
    }
}
