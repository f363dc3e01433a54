import assert from "node:assert/strict";
import { compileSecrets, JobMasks } from "@lib/spine/logs/job_masks.ts";
import { makeJob, makeSpec } from "../../../support/job_fixtures.ts";

/** The most secrets that a job may have: 64 of 2 KiB, with characters that every encoder changes. */
function largeSecrets(count = 64, bytes = 2 * 1024): ReadonlyMap<string, string> {
  const line = (seed: number) =>
    Array.from({ length: 32 }, (_, at) => ((seed + 1) * (at + 7919) ** 2 % 36 ** 2).toString(36))
      .join(`"<'&`).slice(0, 63);
  return new Map(Array.from({ length: count }, (_, at) => [
    `S${at}`,
    Array.from({ length: bytes / 64 }, (_, number) => line(at * 1000 + number)).join("\n"),
  ]));
}

const jobWith = (names: readonly string[]) => makeJob({ spec: makeSpec({ secretNames: names }) });

Deno.test("compileSecrets() of the largest secrets lets other work go on", async () => {
  let longest = 0;
  const begun = performance.now();
  let last = begun;
  const over = new AbortController();
  const ticks = (async () => {
    while (!over.signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }
  })();
  for (const secrets of [largeSecrets(), largeSecrets(2, 64 * 1024)]) {
    const { bytes } = await compileSecrets(secrets);
    assert.ok(bytes < 48 * 1024 * 1024, `${bytes}`);
  }
  over.abort();
  await ticks;
  // One step of many hundred; other tests, which share the processors, lengthen both.
  const whole = last - begun;
  assert.ok(longest < whole / 4, `${longest} ms of ${whole} ms`);
});

Deno.test("JobMasks keeps patterns by their size, those last used longest", async () => {
  const compiled: string[] = [];
  const secrets = largeSecrets();
  const masks = new JobMasks(({ id }) => {
    compiled.push(id);
    return secrets;
  });
  const [one, two, three] = [jobWith(["A"]), jobWith(["A"]), jobWith(["A"])];
  const [first, same] = await Promise.all([masks.patternsOf(one), masks.patternsOf(one)]);
  assert.equal(first, same);
  const fit = Math.floor(64 * 1024 * 1024 / first.bytes);
  assert.equal(fit, 1);
  await masks.patternsOf(two);
  await masks.patternsOf(two);
  await masks.patternsOf(three);
  assert.deepEqual(compiled, [one.id, two.id, three.id]);
  await masks.patternsOf(one);
  assert.deepEqual(compiled, [one.id, two.id, three.id, one.id]);
});

Deno.test("JobMasks masks a text, and the beginning of a secret where the text was cut", async () => {
  const masks = new JobMasks(() => new Map([["TOKEN", "s3cr3t-t0ken"]]));
  const mask = await masks.maskOf(jobWith(["TOKEN"]));
  assert.equal(mask("denied: s3cr3t-t0ken is wrong"), "denied: ************ is wrong");
  assert.equal(mask('"s3cr3t-t…"; ü s3cr3t… s3c…'), '"********…"; ü ******… s3c…');
  assert.equal((await masks.maskOf(jobWith([])))("s3cr3t-t0ken"), "s3cr3t-t0ken");
});

Deno.test("JobMasks rejects if the secrets cannot be unsealed, each time", async () => {
  const masks = new JobMasks(() => {
    throw new TypeError("no key");
  });
  const job = jobWith(["TOKEN"]);
  await assert.rejects(masks.patternsOf(job), /no key/);
  await assert.rejects(masks.maskOf(job), /no key/);
});
