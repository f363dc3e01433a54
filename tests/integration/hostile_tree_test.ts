/**
 * Directories that a job fills in order to stop the programs that clean up after it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { treeBytes } from "@lib/foundations/store/disk_space.ts";

const LEVELS = 60_000;

/** Makes nested directories, deeper than any path can name. */
async function nest(path: string, levels: number): Promise<void> {
  const code = `import os, sys
os.chdir(sys.argv[1])
for _ in range(int(sys.argv[2])):
    os.mkdir("d")
    os.chdir("d")
`;
  const made = await new Deno.Command("python3", { args: ["-c", code, path, `${levels}`] })
    .output();
  assert.ok(made.success, new TextDecoder().decode(made.stderr));
}

Deno.test("removeTree() and treeBytes() survive 60,000 nested directories", async () => {
  const path = Deno.makeTempDirSync({ prefix: "deep-" });
  await nest(path, LEVELS);
  let turns = 0;
  const timer = setInterval(() => turns++, 10);
  try {
    const bytes = await treeBytes(path, AbortSignal.timeout(60_000));
    assert.ok(bytes >= 0);
    await removeTree(path);
  } finally {
    clearInterval(timer);
  }
  assert.throws(() => Deno.lstatSync(path), Deno.errors.NotFound);
  assert.ok(turns > 10, `the event loop turned ${turns} times`);
});

Deno.test("removeTree() removes read-only directories and links, and follows no link", async () => {
  const path = Deno.makeTempDirSync({ prefix: "deep-" });
  const kept = Deno.makeTempDirSync({ prefix: "kept-" });
  try {
    Deno.writeTextFileSync(`${kept}/file`, "kept");
    Deno.mkdirSync(`${path}/-rf/inner`, { recursive: true });
    Deno.symlinkSync(kept, `${path}/-rf/inner/link`);
    Deno.chmodSync(`${path}/-rf/inner`, 0o500);
    await removeTree(`${path}/-rf`);
    assert.deepEqual([...Deno.readDirSync(path)], []);
    await removeTree(`${path}/missing`);
    Deno.symlinkSync(kept, `${path}/link`);
    await removeTree(`${path}/link`);
    assert.equal(Deno.readTextFileSync(`${kept}/file`), "kept");
  } finally {
    await removeTree(path);
    await removeTree(kept);
  }
});
