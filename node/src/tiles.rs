//! The log's tree over HTTPS, for auditors' own tools, in the layout of C2SP tlog-tiles: `/log/checkpoint`, `/log/tile/<L>/<N>[.p/<W>]` and
//! `/log/tile/entries/<N>[.p/<W>]`. Read only, over HTTP/2, and for those alone who may read the log.
//!
//! An entry of a bundle is the 32-byte commitment that a leaf is the hash of, never the event.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tlog_tiles::Tile;

use crate::{listen::Caller, node::Node, policy::User, pool::blocking, rules::Action};

/// Height of tiles in paths as the library reads them; C2SP leaves it out.
const HEIGHT: &str = "8";

/// What is served beside the operator's calls.
pub(crate) fn routes(node: Arc<Node>) -> Router {
    Router::new()
        .route("/log/checkpoint", get(checkpoint))
        .route("/log/key", get(key))
        .route("/log/tile/{*path}", get(tile))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&node), authorise))
        .with_state(node)
}

async fn authorise(State(node): State<Arc<Node>>, request: Request, next: axum::middleware::Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let permitted = caller
        .check_now()
        .and_then(|()| User::of(&caller.certificate, &node.config))
        .and_then(|user| node.permit(&user, Action::ReadLog));
    match permitted {
        Ok(_) => next.run(request).await,
        Err(error) => (StatusCode::FORBIDDEN, format!("{error}\n")).into_response(),
    }
}

async fn checkpoint(State(node): State<Arc<Node>>) -> Response {
    let mut response = text(node.store.log().checkpoint());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn key(State(node): State<Arc<Node>>) -> Response {
    text(format!("{}\n", node.store.log().verifying_key()))
}

async fn tile(State(node): State<Arc<Node>>, Path(path): Path<String>) -> Response {
    // what the library would not take: a level that no tree has, a tile of nothing
    let level = path.split('/').next().unwrap_or_default();
    if !(level == "entries" || matches!(level.parse(), Ok(0..=5_u8))) || path.ends_with(".p/0") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let path = match path.strip_prefix("entries/") {
        Some(rest) => format!("tile/{HEIGHT}/data/{rest}"),
        None => format!("tile/{HEIGHT}/{path}"),
    };
    let Ok(tile) = Tile::from_path(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let width = tile.width() as usize;
    let read = blocking(move || {
        let log = node.store.log();
        if !tile.is_data() {
            return log.tile(tile.level(), tile.level_index(), width);
        }
        let commitments = log.bundle(tile.level_index(), width)?;
        // each entry behind its length, a big-endian uint16
        Ok(commitments.map(|commitments| {
            commitments
                .iter()
                .flat_map(|commitment| [&[0, 32][..], &commitment.0].concat())
                .collect()
        }))
    })
    .await;
    match read {
        Ok(Ok(Some(bytes))) => {
            let mut response = Response::new(Body::from(bytes));
            let headers = response.headers_mut();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
            headers.insert(
                header::CACHE_CONTROL,
                HeaderValue::from_static("private, max-age=31536000, immutable"),
            );
            response
        }
        Ok(Ok(None)) => StatusCode::NOT_FOUND.into_response(),
        Ok(Err(error)) => {
            tracing::error!(%error, "a tile of the log cannot be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn text(text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
