#include "sample.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *space(const char *at) {
  while (isspace((unsigned char)*at)) at++;
  return at;
}

int json_read(const char *text, struct map *map) {
  const char *at = space(text);
  if (*at != '{') return -1;
  int members = 0;
  at = space(at + 1);
  while (*at == '"') {
    char key[128];
    const char *end = strchr(at + 1, '"');
    if (end == NULL || (size_t)(end - at) > sizeof key) return -1;
    size_t length = (size_t)(end - at - 1);
    memcpy(key, at + 1, length);
    key[length] = '\0';
    at = space(end + 1);
    if (*at != ':') return -1;
    char *rest;
    double value = strtod(at + 1, &rest);
    if (rest == at + 1 || !map_put(map, key, value)) return -1;
    members++;
    at = space(rest);
    if (*at == ',') at = space(at + 1);
  }
  return *at == '}' ? members : -1;
}

bool json_write(const struct map *map, struct buffer *buffer) {
  struct map_entry *sorted = calloc(map->count + 1, sizeof *sorted);
  if (sorted == NULL) return false;
  size_t count = 0;
  for (size_t index = 0; index < map->space; index++) {
    if (map->entries[index].key != NULL) sorted[count++] = map->entries[index];
  }
  sort_entries(sorted, count);
  bool done = buffer_print(buffer, "{");
  for (size_t index = 0; done && index < count; index++) {
    const char *comma = index == 0 ? "" : ",";
    done = buffer_print(buffer, "%s\"%s\":%g", comma, sorted[index].key, sorted[index].value);
  }
  free(sorted);
  return done && buffer_print(buffer, "}");
}
