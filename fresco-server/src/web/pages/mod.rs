//! The pages, a file for each group.

mod change;
mod dashboard;
mod home;
mod instances;
mod log;
mod new_instance;
mod sign_in;

use crate::web::Pages;

/// All of them.
pub(super) fn add(pages: Pages) -> Pages {
    let pages = sign_in::add(home::add(pages));
    let pages = instances::add(new_instance::add(dashboard::add(pages)));
    change::add(log::add(pages))
}
