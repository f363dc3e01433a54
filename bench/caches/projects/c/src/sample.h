/* Containers, a hash and a reader of JSON. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const int edition;

/* Bytes that grow. */
struct buffer {
  char *bytes;
  size_t length, space;
};
bool buffer_add(struct buffer *buffer, const void *bytes, size_t length);
bool buffer_print(struct buffer *buffer, const char *format, ...);
void buffer_free(struct buffer *buffer);

/* FNV-1a. */
uint64_t hash(const void *bytes, size_t length);

/* A map from text to numbers. */
struct map_entry {
  char *key;
  double value;
};
struct map {
  struct map_entry *entries;
  size_t count, space;
};
bool map_put(struct map *map, const char *key, double value);
const double *map_get(const struct map *map, const char *key);
void map_free(struct map *map);

/* Sorts entries by their keys. */
void sort_entries(struct map_entry *entries, size_t count);

/* Reads a flat object of numbers; returns the number of its members, or -1. */
int json_read(const char *text, struct map *map);
/* Writes it with sorted keys. */
bool json_write(const struct map *map, struct buffer *buffer);

#endif
