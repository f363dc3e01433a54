#include "check.h"
#include "sample.h"

int main(void) {
  CHECK(hash("", 0) == 0xcbf29ce484222325u);
  CHECK(hash("a", 1) == 0xaf63dc4c8601ec8cu);
  CHECK(edition >= 0);
  return 0;
}
