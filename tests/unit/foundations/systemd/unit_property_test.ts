import assert from "node:assert/strict";
import { marshal } from "@lib/foundations/systemd/dbus/marshal.ts";
import { unitProperty } from "@lib/foundations/systemd/unit_property.ts";

Deno.test("unitProperty gives sizes, counts and times the types systemd wants", () => {
  assert.deepEqual(unitProperty.memoryMax(1_024), {
    name: "MemoryMax",
    value: { signature: "t", value: 1_024n },
  });
  assert.equal(unitProperty.memoryMax(undefined).value.value, 2n ** 64n - 1n);
  assert.equal(unitProperty.cpuQuota(0.5).value.value, 500_000n);
  assert.equal(unitProperty.runtimeMax(1_500).value.value, 1_500_000n);
});

Deno.test("unitProperty.execStart() keeps every dollar from being expanded", () => {
  const { value } = unitProperty.execStart({ argv: ["/bin/sh", "-c", "echo $A ${B} $$"] });
  assert.deepEqual(value, {
    signature: "a(sasb)",
    value: [["/bin/sh", ["/bin/sh", "-c", "echo $$A $${B} $$$$"], false]],
  });
});

Deno.test("unitProperty.execStopPost() refuses what a daemon-reload would change", () => {
  for (const arg of ["$X", "a;b"]) {
    assert.throws(() => unitProperty.execStopPost({ argv: ["/x", arg] }), RangeError);
  }
});

Deno.test("unitProperty.terminal() starts a program without a watch for who else has its terminal", () => {
  assert.deepEqual(
    unitProperty.terminal("/dev/pts/7").map(({ name, value }) => [name, value.value]),
    [
      ["TTYPath", "/dev/pts/7"],
      ["StandardInput", "tty-fail"],
      ["StandardOutput", "tty"],
      ["StandardError", "tty"],
    ],
  );
});

Deno.test("every property can be marshalled", () => {
  const properties = [
    unitProperty.description("x"),
    unitProperty.standardInputNull(),
    unitProperty.umask(0o077),
    unitProperty.environment({ A: "1", B: "a b\nc" }),
    unitProperty.environmentFile("/x", true),
    unitProperty.assertPathAbsent("/x", "/y"),
    unitProperty.execStart({ argv: ["/x"], ignoreFailure: true }),
    unitProperty.limitCore(0),
  ];
  const list = properties.map(({ name, value }) => [name, value]);
  assert.doesNotThrow(() => marshal("a(sv)", [list]));
});
