//! The HTTP kit: what every part that answers browsers and programs has in common.
//!
//! [`page`]: how a page is made (templates, messages, theme, the style sheet and the script).

pub mod page;
