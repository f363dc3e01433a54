# Changed by every round of the measurement.
EDITION = 0
