//! Styles, scripts and pictures, in the program itself.

use std::sync::Arc;

use poem::http::{Method, StatusCode, header};
use poem::web::{Data, Path};
use poem::{EndpointExt, Response, get, handler};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use crate::web::Pages;
use crate::web::layout::Site;

/// Their address names the version of all of them together, so one never changes. Of another version
/// somebody else is asked better, so that answer is kept by nobody.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Files;

/// The folder of this version.
pub(super) fn folder() -> String {
    let mut names: Vec<_> = Files::iter().collect();
    names.sort();
    let mut hash = Sha256::new();
    for name in names {
        let file = Files::get(&name).map(|file| file.metadata.sha256_hash());
        hash.update(file.unwrap_or_default());
    }
    let version: String =
        hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("/assets/{version}")
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[handler]
fn asset(Path((version, name)): Path<(String, String)>, site: Data<&Arc<Site>>) -> Response {
    match Files::get(&name) {
        Some(file) => {
            let answer = Response::builder().content_type(kind(&name));
            let same = site.assets.strip_prefix("/assets/") == Some(version.as_str());
            let answer = if same { answer.header(header::CACHE_CONTROL, FOR_EVER) } else { answer };
            answer.body(file.data.into_owned())
        }
        None => Response::builder().status(StatusCode::NOT_FOUND).finish(),
    }
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.at("/assets/{version}/{name}", vec![Method::GET], |web| {
        get(asset.data(Arc::clone(&web.site)))
    })
}
