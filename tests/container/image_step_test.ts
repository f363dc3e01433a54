import assert from "node:assert/strict";
import { prepareImage } from "@lib/features/containers/image_step.ts";
import { systemClock } from "@lib/core/clock.ts";
import { EngineSource } from "@lib/foundations/docker/engine_source.ts";
import { readImageUses } from "@lib/features/containers/image_use.ts";
import type { ContainerSpec } from "@lib/spine/spec/job_spec.ts";
import { StepFailure } from "@lib/spine/jobs/step.ts";
import { CLOSED, CLOSED_RULES, containerContract } from "../support/container_bench.ts";
import { useDockerEngine } from "../support/container_suite.ts";
import { BUSYBOX } from "../support/docker_engine.ts";
import { Bench, deadline, script } from "../support/executor_contract.ts";
import { startRegistry } from "../support/image_registry.ts";

const use = useDockerEngine();

interface Prepared {
  readonly lines: readonly string[];
  readonly uses: Awaited<ReturnType<typeof readImageUses>>;
}

/** Runs the step for one container; what it said and recorded is returned. */
async function prepare(
  container: Partial<ContainerSpec>,
  { secrets = {}, images = [], host = use.host }: {
    readonly secrets?: Readonly<Record<string, string>>;
    readonly images?: readonly string[];
    readonly host?: string;
  } = {},
): Promise<Prepared> {
  await using bench = new Bench(containerContract(use));
  using engines = new EngineSource(() => ({ host, env: {} }));
  const { ref, spec, directory } = bench.request(script("true"), {
    container: { ...CLOSED, ...container },
  });
  const lines: string[] = [];
  const context = {
    ref,
    spec,
    directory,
    secrets: new Map(Object.entries(secrets)),
    say: (line: string) => void lines.push(line),
    setEnv: () => {},
    setCommit: () => {},
  };
  await prepareImage(context, {
    engines,
    stateDir: bench.stateDir,
    rules: () => ({ ...CLOSED_RULES, images }),
    clock: systemClock,
  }, deadline());
  return { lines, uses: await readImageUses(bench.stateDir) };
}

function failure(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert(error instanceof StepFailure, String(error));
    assert.equal(error.reason, "image_unavailable");
    assert.match(error.message, pattern);
    return true;
  };
}

Deno.test("prepareImage() uses an image that is here without asking a registry", async () => {
  for (const pull of ["missing", "never"] as const) {
    const { lines, uses } = await prepare({ pull });
    assert.match(lines.join("\n"), /^Image cicd-test\/busybox:1 is sha256:[0-9a-f]{64} \(/);
    assert.deepEqual(uses.map(({ reference, pulled }) => ({ reference, pulled })), [
      { reference: BUSYBOX, pulled: false },
    ]);
  }
});

Deno.test("prepareImage() pulls what is missing, and says how far it is", async () => {
  await using registry = await startRegistry();
  const { lines, uses } = await prepare({ image: registry.image, pull: "missing" });
  assert.equal(lines[0], `Pulling image ${registry.image}`);
  assert.match(lines.at(-1) ?? "", /is sha256:/);
  assert.equal(uses[0]?.pulled, true);
  const asked = registry.requests.length;
  await prepare({ image: registry.image, pull: "missing" });
  assert.equal(registry.requests.length, asked);
  await prepare({ image: registry.image, pull: "always" });
  assert(registry.requests.length > asked);
});

Deno.test("prepareImage() pulls by digest", async () => {
  await using registry = await startRegistry();
  const { lines } = await prepare({ image: registry.pinned, pull: "missing" });
  assert.equal(lines[0], `Pulling image ${registry.pinned}`);
  const wrong = registry.pinned.replace(/[0-9a-f]{8}$/, "00000000");
  await assert.rejects(
    prepare({ image: wrong, pull: "missing" }),
    failure(/Cannot pull image .*manifest unknown/),
  );
});

Deno.test("prepareImage() opens a registry with a secret, and says so when that is wrong", async () => {
  const login = { username: "robot", password: "correct horse" };
  await using registry = await startRegistry({ login });
  const container = {
    image: registry.image,
    pull: "always",
    registry: { username: "robot", passwordSecret: "REGISTRY" },
  } as const;
  const { lines } = await prepare(container, { secrets: { REGISTRY: login.password } });
  assert(!lines.join("\n").includes(login.password));
  await assert.rejects(
    prepare(container, { secrets: { REGISTRY: "wrong horse" } }),
    (error) => failure(/Cannot pull image/)(error) && !String(error).includes("wrong horse"),
  );
  await assert.rejects(prepare(container), failure(/secret "REGISTRY".* is missing/));
});

Deno.test("prepareImage() says why an image is unavailable", async () => {
  const image = "cicd-test/absent:1";
  await assert.rejects(
    prepare({ image, pull: "never" }),
    failure(/is not here, and `pull` is never/),
  );
  await assert.rejects(
    prepare({ image: "127.0.0.1:9/absent:1", pull: "missing" }),
    failure(/Cannot pull/),
  );
  await assert.rejects(prepare({}, { images: ["alpine"] }), failure(/not among the images/));
  await assert.rejects(
    prepare({}, { host: "unix:///nowhere/docker.sock" }),
    failure(/the container engine is not running/),
  );
});
