//! The pages.

use super::health::{Health, NotReady};
use super::page::Page;
use crate::limits::{PAGE_WAIT_MAX, PAGES_MAX};
use crate::metrics::{Metrics, Serving};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What the pages are about.
#[derive(Debug)]
pub(crate) struct Site {
    health: Health,
    metrics: Arc<Metrics>,
    /// Set once the broker is past its start.
    serving: OnceLock<Serving>,
    /// Pages of metrics that may be at work.
    places: Arc<Semaphore>,
}

impl Site {
    pub(crate) fn new(health: Health, metrics: Arc<Metrics>) -> Self {
        Self {
            health,
            metrics,
            serving: OnceLock::new(),
            places: Arc::new(Semaphore::new(PAGES_MAX)),
        }
    }

    /// From now on the metrics show the broker's state too.
    pub(crate) fn serve(&self, serving: Serving) {
        let first = self.serving.set(serving).is_ok();
        assert!(first, "a broker starts to serve once");
    }
}

const PATHS: &str = "/metrics, /livez and /readyz";

pub(super) fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(site)
}

fn text(status: StatusCode, text: impl Into<Body>) -> Response {
    typed(status, "text/plain; charset=utf-8", text)
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        // An old answer to "are you ready" is a wrong one.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (status, headers, body.into()).into_response()
}

async fn index() -> Response {
    let page = "<!doctype html>\n\
                <meta charset=\"utf-8\">\n\
                <title>laminarmq</title>\n\
                <h1>laminarmq</h1>\n\
                <ul>\n\
                <li><a href=\"/metrics\">/metrics</a>: numbers for Prometheus</li>\n\
                <li><a href=\"/livez\">/livez</a>: does the process work?</li>\n\
                <li><a href=\"/readyz\">/readyz</a>: does it serve clients?</li>\n\
                </ul>\n";
    typed(StatusCode::OK, "text/html; charset=utf-8", page)
}

async fn livez(State(site): State<Arc<Site>>) -> Response {
    health("live", site.health.live())
}

async fn readyz(State(site): State<Arc<Site>>) -> Response {
    health("ready", site.health.ready())
}

fn health(word: &str, state: Result<(), NotReady>) -> Response {
    match state {
        Ok(()) => text(StatusCode::OK, format!("{word}\n")),
        Err(why) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not {word}: {why}\n"),
        ),
    }
}

async fn metrics(State(site): State<Arc<Site>>) -> Response {
    let place = timeout(PAGE_WAIT_MAX, Arc::clone(&site.places).acquire_owned()).await;
    let Ok(place) = place else {
        let busy = "too many scrapes at the same time; try again\n";
        return text(StatusCode::SERVICE_UNAVAILABLE, busy);
    };
    let place = place.expect("the semaphore is never closed");
    let groups = match site.serving.get() {
        Some(serving) => serving.look_at_groups().await,
        None => None,
    };
    // With very many partitions this takes a while, which the tasks of the connections should not wait for.
    let rendered = tokio::task::spawn_blocking(move || {
        let ready = site.health.ready().is_ok();
        let serving = site.serving.get();
        site.metrics.render(ready, serving, groups.as_deref())
    });
    match rendered.await {
        Ok(page) => typed(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            Body::new(Page::new(page, place)),
        ),
        // It panicked, which was reported there, or the runtime ends.
        Err(_) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be gathered; see the log\n",
        ),
    }
}

async fn method_not_allowed(method: Method) -> Response {
    text(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not allowed here: there is only something to GET\n"),
    )
}

async fn not_found(method: Method, uri: Uri) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return method_not_allowed(method).await;
    }
    // The path comes from the peer and goes back as plain text, in its escaped form, and not all of it.
    let path: String = uri.path().chars().take(100).collect();
    text(
        StatusCode::NOT_FOUND,
        format!("there is no {path} here; there are {PATHS}\n"),
    )
}
