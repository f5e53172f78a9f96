//! Reading what clients send, piece by piece as it comes, so that a large upload is never whole in
//! memory: [`form`] takes the body apart, [`files`] the JSON of its field `files`, [`base64`] the
//! contents in it; or [`parts`], where each field is a file. They do no IO and know nothing of who sends.

pub mod base64;
pub mod files;
pub mod form;
pub mod parts;
