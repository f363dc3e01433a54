import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readArchivedFile } from "@lib/foundations/docker/archived_file.ts";

const LIMIT = 16 * 1024;

/** One entry of an archive; its size is said in octal, and may be a lie. */
function entry(type: string, { text = "", link = "", size = -1 } = {}): Buffer {
  const header = Buffer.alloc(512);
  header.write("passwd", 0);
  header.write((size < 0 ? text.length : size).toString(8).padStart(11, "0"), 124);
  header.write(type, 156);
  header.write(link, 157);
  return Buffer.concat([header, Buffer.alloc(Math.ceil(text.length / 512) * 512, text)]);
}

async function* inPieces(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100);
}

function read(...entries: readonly Buffer[]) {
  return readArchivedFile(inPieces(Buffer.concat([...entries, Buffer.alloc(1024)])), LIMIT);
}

Deno.test("readArchivedFile() reads a file, also behind records about it", async () => {
  const file = entry("0", { text: "root:x:0:0" });
  assert.deepEqual(await read(file), { kind: "file", text: "root:x:0:0" });
  const about = entry("x", { text: "20 mtime=1.5\n" });
  assert.deepEqual(await read(about, file), { kind: "file", text: "root:x:0:0" });
});

Deno.test("readArchivedFile() tells where a symlink leads", async () => {
  const link = entry("2", { link: "../run/passwd" });
  assert.deepEqual(await read(link), { kind: "link", target: "../run/passwd" });
});

Deno.test("readArchivedFile() takes nothing else, and nothing without end", async () => {
  assert.deepEqual(await read(entry("5")), { kind: "other" });
  assert.deepEqual(await read(), { kind: "other" });
  assert.deepEqual(await read(entry("0", { text: "x".repeat(LIMIT) })), { kind: "other" });
  assert.deepEqual(await read(entry("x", { size: 2 ** 30 }), entry("0")), { kind: "other" });
});
