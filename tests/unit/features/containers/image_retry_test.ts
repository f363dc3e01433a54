import assert from "node:assert/strict";
import { prepareImage } from "@lib/features/containers/image_step.ts";
import { EngineError } from "@lib/foundations/docker/engine_error.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import { newJobId } from "@lib/core/ids.ts";
import { makeContainer, makeSpec } from "../../../support/job_fixtures.ts";

/** Pulls an image with an engine that fails with these words, one after the other. */
async function pull(failures: readonly string[]) {
  const said: string[] = [];
  const left = [...failures];
  const signal = new AbortController().signal;
  const spec = { ...makeSpec(), container: { ...makeContainer(), pull: "always" as const } };
  const ref = { project: spec.project, jobId: newJobId(), number: 1 };
  let pulls = 0;
  const engine = {
    inspectImage: () => Promise.resolve(undefined),
    pullImage() {
      pulls++;
      const words = left.shift();
      return words === undefined
        ? Promise.resolve()
        : Promise.reject(new EngineError("executor_failed", `Cannot pull image "x": ${words}`));
    },
  };
  const done = await prepareImage({
    ...{ ref, spec, directory: attemptDirectory("/state", ref), secrets: new Map() },
    say: (line) => void said.push(line),
    setEnv: () => {},
    setCommit: () => {},
  }, {
    engines: { engine: () => Promise.resolve(engine), forget: () => {} },
    stateDir: "/state",
    rules: () => ({ allow: [], mounts: [], networks: [], images: [], network: "none" }),
    clock: { now: () => 0, sleep: () => Promise.resolve() },
  }, signal).then(() => "used", (error: Error) => error.message);
  return { done, pulls, retries: said.filter((line) => line.includes("; trying again in")) };
}

Deno.test("prepareImage() repeats a pull that may pass, and says so", async () => {
  for (
    const words of [
      "received unexpected HTTP status: 503 Service Unavailable",
      "toomanyrequests: You have reached your pull rate limit",
      'Get "https://r.example/v2/": dial tcp 10.0.0.1:443: i/o timeout',
      "read tcp 10.0.0.2:443: connection reset by peer",
      "unexpected EOF",
    ]
  ) {
    const { done, pulls, retries } = await pull([words, words]);
    assert.match(done, /removed right after the pull/);
    assert.equal(pulls, 3, words);
    assert.equal(retries.length, 2);
    assert.match(retries[0] ?? "", /^Cannot pull image "x": .* \(2 of 4\)$/);
  }
  const { done, pulls } = await pull(Array.from({ length: 9 }, () => "unexpected EOF"));
  assert.match(done, /unexpected EOF/);
  assert.equal(pulls, 4);
});

Deno.test("prepareImage() does not repeat a pull that was refused", async () => {
  for (
    const words of [
      "manifest for r.example/x:1 not found: manifest unknown",
      "unauthorized: authentication required",
      "pull access denied for x, repository does not exist",
      "no space left on device",
    ]
  ) {
    const { pulls, retries } = await pull([words]);
    assert.equal(pulls, 1, words);
    assert.deepEqual(retries, []);
  }
});
