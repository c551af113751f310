//! The pages, a file for each group.

mod home;
mod instances;
mod legal;
mod recovery;
mod sign_in;
mod status;

use crate::web::Pages;

/// All of them.
pub(super) fn add(pages: Pages) -> Pages {
    let pages = status::add(legal::add(home::add(pages)));
    let pages = recovery::add(sign_in::add(pages));
    instances::add(pages)
}
