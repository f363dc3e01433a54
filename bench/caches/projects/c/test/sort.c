#include "check.h"
#include "sample.h"

#include <string.h>

enum { ENTRIES = 1000000 };

int main(void) {
  struct map_entry *entries = calloc(ENTRIES, sizeof *entries);
  char(*keys)[16] = calloc(ENTRIES, sizeof *keys);
  CHECK(entries != NULL && keys != NULL);
  for (int index = 0; index < ENTRIES; index++) {
    snprintf(keys[index], sizeof keys[index], "%llx", (unsigned long long)hash(&index, sizeof index) >> 8);
    entries[index].key = keys[index];
  }
  sort_entries(entries, ENTRIES);
  for (int index = 1; index < ENTRIES; index++) {
    CHECK(strcmp(entries[index - 1].key, entries[index].key) <= 0);
  }
  free(keys);
  free(entries);
  return 0;
}
