//! What programs ask of the exchange. [`ngshare`] is the surface that nbgrader's clients know,
//! [`native`] our own.

pub mod native;
pub mod ngshare;
pub(crate) mod refusal;
pub(crate) mod visitor;
