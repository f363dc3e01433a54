import assert from "node:assert/strict";

const MODULE = new URL("../../cmd/shared/idle_memory.ts", import.meta.url).href;
const PIECES = 1_024;
const PIECE_BYTES = 64 * 1024;

/** Frees all but the last piece of 64 MiB: libc gives nothing back while the last is in use. */
const PROGRAM = `
  import { collectorWhenIdle } from "${MODULE}";
  const { symbols: libc } = Deno.dlopen("libc.so.6", {
    malloc: { parameters: ["usize"], result: "pointer" },
    memset: { parameters: ["pointer", "i32", "usize"], result: "pointer" },
    free: { parameters: ["pointer"], result: "void" },
  });
  const ownKiB = () =>
    Number(/^Private_Dirty:\\s+(\\d+)/m.exec(Deno.readTextFileSync("/proc/self/smaps_rollup"))[1]);
  const pieces = Array.from({ length: ${PIECES} }, () => libc.malloc(${PIECE_BYTES}n));
  for (const piece of pieces) libc.memset(piece, 1, ${PIECE_BYTES}n);
  for (const piece of pieces.slice(0, -1)) libc.free(piece);
  const before = ownKiB();
  collectorWhenIdle({ now: () => 0 })(10_000);
  console.log(JSON.stringify([before, ownKiB()]));
`;

Deno.test("an idle program gives back what the runtime has freed", async () => {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--v8-flags=--expose-gc", PROGRAM],
    cwd: new URL("../../", import.meta.url),
  }).output();
  const [before, after] = JSON.parse(new TextDecoder().decode(stdout) || "[]");
  const error = new TextDecoder().decode(stderr);
  const mostKiB = PIECES * PIECE_BYTES / 1024 / 2;
  assert.ok(before - after > mostKiB, `${before} KiB before, ${after} after; ${error}`);
});
