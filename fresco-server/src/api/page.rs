//! Pages of a list.

use crate::http::problem::Problem;

/// Things of a page, unless said otherwise.
const PAGE: u32 = 20;
/// Things of a page at most.
const LARGEST_PAGE: u32 = 100;

/// The page that somebody asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageOf {
    page: u32,
    limit: u32,
}

/// Where a page stands among all.
pub(crate) struct Paged {
    pub(crate) total: u64,
    pub(crate) page: u32,
    pub(crate) pages: u64,
}

impl PageOf {
    pub(crate) fn asked(page: Option<u32>, limit: Option<u32>) -> Result<Self, Problem> {
        let (page, limit) = (page.unwrap_or(1), limit.unwrap_or(PAGE));
        if page == 0 {
            return Err(Problem::field("page", "Pages count from 1."));
        }
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(Problem::field(
                "limit",
                format!("A page has 1 to {LARGEST_PAGE} entries."),
            ));
        }
        Ok(Self { page, limit })
    }

    pub(crate) fn offset(self) -> u64 {
        u64::from(self.page - 1) * u64::from(self.limit)
    }

    pub(crate) fn limit(self) -> u64 {
        self.limit.into()
    }

    pub(crate) fn with(self, total: u64) -> Paged {
        Paged { total, page: self.page, pages: total.div_ceil(self.limit.into()) }
    }
}
