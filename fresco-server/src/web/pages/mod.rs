//! The pages, a file for each group.

mod admin;
mod change;
mod dashboard;
mod home;
mod instances;
mod legal;
mod list;
mod log;
mod new_instance;
mod recovery;
mod settings;
mod sign_in;
mod sign_up;
mod status;

use crate::web::Pages;

/// All of them.
pub(super) fn add(pages: Pages) -> Pages {
    let groups = [
        home::add,
        legal::add,
        status::add,
        sign_in::add,
        recovery::add,
        sign_up::add,
        dashboard::add,
        new_instance::add,
        instances::add,
        change::add,
        log::add,
        settings::add,
        admin::add,
    ];
    groups.into_iter().fold(pages, |pages, add: fn(Pages) -> Pages| add(pages))
}
