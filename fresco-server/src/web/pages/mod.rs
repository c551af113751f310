//! The pages, a file for each group.

mod admin;
mod home;
mod instances;
mod list;
mod settings;
mod sign_in;

use crate::web::Pages;

/// All of them.
pub(super) fn add(pages: Pages) -> Pages {
    let pages = instances::add(sign_in::add(home::add(pages)));
    admin::add(settings::add(pages))
}
