#include "sample.h"

uint64_t hash(const void *bytes, size_t length) {
  const unsigned char *at = bytes;
  uint64_t value = 14695981039346656037u;
  for (size_t index = 0; index < length; index++) {
    value = (value ^ at[index]) * 1099511628211u;
  }
  return value;
}
