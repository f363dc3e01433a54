#include "check.h"
#include "sample.h"

#include <string.h>

int main(void) {
  struct buffer buffer = {0};
  for (int index = 0; index < 1000; index++) CHECK(buffer_print(&buffer, "%d,", index));
  CHECK(buffer.length == 3890 && strncmp(buffer.bytes, "0,1,2,", 6) == 0);
  buffer_free(&buffer);
  return 0;
}
