package report

// Edition is changed by every round of the measurement.
var Edition = 0
