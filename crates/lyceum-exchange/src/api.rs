//! What programs ask of the exchange. [`ngshare`] is the surface that nbgrader's clients know.

pub mod ngshare;
mod refusal;
mod visitor;
