/// Changed by every round of the measurement.
pub const EDITION: u32 = 0;
