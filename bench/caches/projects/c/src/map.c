#include "sample.h"

#include <stdlib.h>
#include <string.h>

static struct map_entry *find(struct map_entry *entries, size_t space, const char *key) {
  size_t at = (size_t)(hash(key, strlen(key)) % space);
  while (entries[at].key != NULL && strcmp(entries[at].key, key) != 0) at = (at + 1) % space;
  return &entries[at];
}

static bool grow(struct map *map) {
  size_t space = map->space == 0 ? 16 : map->space * 2;
  struct map_entry *entries = calloc(space, sizeof *entries);
  if (entries == NULL) return false;
  for (size_t index = 0; index < map->space; index++) {
    if (map->entries[index].key == NULL) continue;
    *find(entries, space, map->entries[index].key) = map->entries[index];
  }
  free(map->entries);
  map->entries = entries;
  map->space = space;
  return true;
}

bool map_put(struct map *map, const char *key, double value) {
  if ((map->count + 1) * 4 > map->space * 3 && !grow(map)) return false;
  struct map_entry *entry = find(map->entries, map->space, key);
  if (entry->key == NULL) {
    size_t length = strlen(key) + 1;
    char *copy = malloc(length);
    if (copy == NULL) return false;
    entry->key = memcpy(copy, key, length);
    map->count++;
  }
  entry->value = value;
  return true;
}

const double *map_get(const struct map *map, const char *key) {
  if (map->space == 0) return NULL;
  struct map_entry *entry = find(map->entries, map->space, key);
  return entry->key == NULL ? NULL : &entry->value;
}

void map_free(struct map *map) {
  for (size_t index = 0; index < map->space; index++) free(map->entries[index].key);
  free(map->entries);
  *map = (struct map){0};
}
