#include "check.h"
#include "sample.h"

#include <string.h>

int main(void) {
  struct map map = {0};
  CHECK(json_read("[]", &map) == -1);
  for (int round = 0; round < 200000; round++) {
    struct buffer buffer = {0}, again = {0};
    CHECK(buffer_print(&buffer, "{\"memory\": 2.5, \"cpu\": %d}", round % 64));
    CHECK(json_read(buffer.bytes, &map) == 2 && json_write(&map, &again));
    CHECK(map.count == 2 && *map_get(&map, "cpu") == round % 64);
    CHECK(strncmp(again.bytes, "{\"cpu\":", 7) == 0);
    buffer_free(&buffer);
    buffer_free(&again);
  }
  map_free(&map);
  return 0;
}
