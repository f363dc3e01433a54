#include "sample.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) {
  const struct map_entry *left = a, *right = b;
  return strcmp(left->key, right->key);
}

void sort_entries(struct map_entry *entries, size_t count) {
  qsort(entries, count, sizeof *entries, compare);
}
