import assert from "node:assert/strict";
import { findDenort } from "../../../../tools/build/denort.ts";

const HOST = "x86_64-unknown-linux-gnu";
const OTHER = "aarch64-unknown-linux-gnu";
const CACHED = `/cache/dl/release/v1.2.3/denort-${HOST}.zip`;

interface Machine {
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: readonly string[];
  readonly network?: "up" | "down" | "forbidden";
  readonly target?: string;
}

function find({ env = {}, files = [], network = "down", target = HOST }: Machine) {
  return findDenort("1.2.3", target, {
    env: (name) => ({ DENO_DIR: "/cache", ...env })[name],
    exists: (path) => Promise.resolve(files.includes(path)),
    host: HOST,
    ...(network === "forbidden" ? {} : { reachable: () => Promise.resolve(network === "up") }),
  });
}

Deno.test("findDenort() takes the given one, the cached one, or the network's, in this order", async () => {
  const env = { DENORT_BIN: "/denort" };
  const files = ["/denort", CACHED];
  assert.deepEqual(await find({ env, files }), { kind: "given", path: "/denort" });
  assert.deepEqual(await find({ files }), { kind: "cached", path: CACHED });
  assert.equal((await find({ network: "up" })).kind, "download");
});

Deno.test("findDenort() says why there is none", async () => {
  const down = await find({});
  assert(down.kind === "unavailable");
  assert.match(down.reason, /^denort-x86_64-.*\.zip is not cached, and https:.* is unreachable$/);
  const forbidden = await find({ network: "forbidden" });
  assert(forbidden.kind === "unavailable");
  assert.match(forbidden.reason, /is not cached, and the network is not used$/);
});

Deno.test("findDenort() looks for no other one if DENORT_BIN names a missing file", async () => {
  const found = await find({ env: { DENORT_BIN: "/gone" }, files: [CACHED], network: "up" });
  assert.deepEqual(found, {
    kind: "unusable",
    reason: 'DENORT_BIN names "/gone", which does not exist',
  });
});

Deno.test("findDenort() takes DENORT_BIN for no other platform than this one", async () => {
  const env = { DENORT_BIN: "/denort" };
  const found = await find({ env, files: ["/denort"], network: "up", target: OTHER });
  assert(found.kind === "unusable");
  assert.match(found.reason, /DENORT_BIN cannot be run here to check its version/);
});
