//! Long lists, as other parts have them too.

pub(super) use lyceum_web::page::list::{Asked, ListQuery, number};
