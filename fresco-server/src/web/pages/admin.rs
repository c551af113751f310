//! What admins look at, and do.

mod audit;
mod instances;
mod overview;
mod people;
mod person;

use crate::web::Pages;

pub(super) fn add(pages: Pages) -> Pages {
    person::add(people::add(audit::add(instances::add(overview::add(pages)))))
}
