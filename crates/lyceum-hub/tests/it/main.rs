//! Stories about the hub, told through its proxy by a browser or a program.

mod life;
mod servers;
