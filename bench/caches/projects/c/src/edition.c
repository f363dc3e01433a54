#include "sample.h"

/* Changed by every round of the measurement. */
const int edition = 0;
