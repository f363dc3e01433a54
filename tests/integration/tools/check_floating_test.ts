import assert from "node:assert/strict";
import { findFloating } from "../../../tools/lint/check_floating.ts";

/** Lines of the source on which a promise floats. */
async function floatingLines(source: string): Promise<number[]> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${directory}/lib`);
    await Deno.writeTextFile(
      `${directory}/lib/work.ts`,
      "export async function work(): Promise<number> { return await Promise.resolve(1); }\n" +
        "export function plain(): number { return 1; }\n",
    );
    const file = `${directory}/source.ts`;
    await Deno.writeTextFile(file, source);
    // The checker knows Deno by a few lines here; the real ones take seconds.
    const denoTypes = "declare namespace Deno { function mkdir(path: string): Promise<void>; }";
    const found = findFloating([file], { project: directory, denoTypes });
    return found.map(({ line }) => line);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("findFloating() finds promises that nobody waits for", async () => {
  const source = `import { work, plain } from "@lib/work.ts";
declare const maybe: (() => Promise<void>) | undefined;
declare const thenable: () => PromiseLike<number>;
work();
Deno.mkdir("x");
maybe?.();
thenable();
[1, 2].map(() => work());
plain() === 1 && work();
plain() === 1 ? plain() : work();
work().finally(plain);
(work());
function inner() {
  work();
}
inner();
`;
  assert.deepEqual(await floatingLines(source), [4, 5, 6, 7, 8, 9, 10, 11, 12, 14]);
});

Deno.test("findFloating() passes what is awaited, kept, returned or marked", async () => {
  const source = `import { work, plain } from "@lib/work.ts";
await work();
await Promise.all([work(), work()]);
void work();
plain();
let kept = work();
kept = work();
function given() {
  return work();
}
const run = () => work();
[1].forEach(plain);
new Map<string, Promise<number>>().clear();
console.log(kept, given, run);
`;
  assert.deepEqual(await floatingLines(source), []);
});

Deno.test("findFloating() refuses a file whose imports it cannot resolve", async () => {
  await assert.rejects(floatingLines('import { x } from "@lib/gone.ts"; x();'), /gone\.ts/);
});
