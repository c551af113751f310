//! What somebody sets of their own account.

mod keys;
mod password;
mod profile;
mod sessions;

use crate::web::Pages;

pub(super) fn add(pages: Pages) -> Pages {
    keys::add(sessions::add(password::add(profile::add(pages))))
}
