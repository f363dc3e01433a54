#include "sample.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool buffer_add(struct buffer *buffer, const void *bytes, size_t length) {
  size_t needed = buffer->length + length + 1;
  if (needed > buffer->space) {
    size_t space = buffer->space < 64 ? 64 : buffer->space * 2;
    while (space < needed) space *= 2;
    char *grown = realloc(buffer->bytes, space);
    if (grown == NULL) return false;
    buffer->bytes = grown;
    buffer->space = space;
  }
  memcpy(buffer->bytes + buffer->length, bytes, length);
  buffer->length += length;
  buffer->bytes[buffer->length] = '\0';
  return true;
}

bool buffer_print(struct buffer *buffer, const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (length < 0 || (size_t)length >= sizeof text) return false;
  return buffer_add(buffer, text, (size_t)length);
}

void buffer_free(struct buffer *buffer) {
  free(buffer->bytes);
  *buffer = (struct buffer){0};
}
