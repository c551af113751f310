//! The pages, a file for each group.

mod home;
mod instances;
mod sign_in;
mod sign_up;

use crate::web::Pages;

/// All of them.
pub(super) fn add(pages: Pages) -> Pages {
    sign_up::add(instances::add(sign_in::add(home::add(pages))))
}
