#include "check.h"
#include "sample.h"

enum { KEYS = 1000000 };

int main(void) {
  struct map map = {0};
  char key[16];
  for (int index = 0; index < KEYS; index++) {
    snprintf(key, sizeof key, "key %d", index);
    CHECK(map_put(&map, key, index));
  }
  for (int index = 0; index < KEYS; index++) {
    snprintf(key, sizeof key, "key %d", index);
    CHECK(*map_get(&map, key) == index);
  }
  CHECK(map.count == KEYS && map_get(&map, "none") == NULL);
  map_free(&map);
  return 0;
}
