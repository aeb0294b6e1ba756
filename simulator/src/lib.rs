//! The simulated telephone system: a program with a disk, a clock and faults. What it is told are causes; what COM shows follows from them.

pub mod accounts;
pub mod causes;
pub mod causes_check;
pub mod clock;
pub mod disk;
pub mod inputs;
pub mod log;
pub mod machine;
#[cfg(test)]
mod testing;
