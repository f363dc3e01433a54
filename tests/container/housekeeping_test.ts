import assert from "node:assert/strict";
import { newJobId } from "@lib/core/ids.ts";
import { Engine } from "@lib/foundations/docker/engine.ts";
import { parseEngineHost } from "@lib/foundations/docker/find_engine.ts";
import { removeForeign } from "@lib/features/containers/remove_foreign.ts";
import { recordImageUse } from "@lib/features/containers/image_use.ts";
import { jobLabels } from "@lib/features/containers/job_labels.ts";
import { imageSource, orphanSource } from "@lib/features/containers/cleaning.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { plainContainer, useDockerEngine } from "../support/container_suite.ts";
import { makeJob, projectName } from "../support/job_fixtures.ts";
import { RunnerBench } from "../support/runner_process.ts";

const HOUR_MS = 3_600_000;
const docker = useDockerEngine();
const signal = AbortSignal.timeout(300_000);

/** Makes a container that runs. */
async function makeContainer(
  name: string,
  labels: Readonly<Record<string, string>>,
  image = "cicd-test/busybox:1",
) {
  const { client } = docker.engine;
  const body = plainContainer({ Image: image, Cmd: ["sleep", "600"], Labels: labels });
  await client.createContainer(name, body, signal);
  await client.startContainer(name, signal);
}

Deno.test("cicd-runner clean removes only images that jobs brought and none uses", async () => {
  const { engine } = docker;
  const names = ["old:1", "fresh:1", "mine:1", "renamed:1", "needed:1"];
  for (const name of names) {
    // Different images: the same content would be one image with five names.
    await engine.importBusybox(`cicd-test/${name}`, { changes: [`ENV NAME=${name}`] });
  }
  const idOf = async (name: string) => {
    const image = await engine.client.inspectImage(`cicd-test/${name}`, signal);
    assert(image !== undefined, name);
    return image.id;
  };
  await using bench = new RunnerBench({
    config: `containers:\n  host: ${docker.host}\nclean:\n  images_unused_for: 2h\n`,
  });
  Deno.mkdirSync(bench.stateDir);
  const record = async (name: string, options: { pulled: boolean; hoursAgo: number }) => {
    const id = await idOf(name);
    const reference = `cicd-test/${name}`;
    recordImageUse(bench.stateDir, {
      id,
      reference,
      project: "web",
      pulled: options.pulled,
      usedAt: Date.now(),
    });
    const at = new Date(Date.now() - options.hoursAgo * HOUR_MS);
    Deno.utimeSync(`${bench.stateDir}/images/${id.replace(":", "-")}`, at, at);
  };
  await record("old:1", { pulled: true, hoursAgo: 3 });
  await record("fresh:1", { pulled: true, hoursAgo: 1.5 });
  await record("mine:1", { pulled: false, hoursAgo: 3 });
  await record("needed:1", { pulled: true, hoursAgo: 3 });
  await engine.importBusybox("cicd-test/needed:1", { changes: ["ENV NAME=newer"] });
  await bench.start();
  const { body } = await bench.json("POST", "/v1/housekeeping");
  const items: readonly Record<string, unknown>[] = body.items;
  assert.deepEqual(
    items.map(({ kind, name, cause, outcome }) => [kind, name, cause, outcome]).sort(),
    [
      ["image", "cicd-test/needed:1", "age", "removed"],
      ["image", "cicd-test/old:1", "age", "removed"],
    ],
  );
  // The record spoke of the image that lost its name to a newer one, which stays.
  const left = (await engine.client.listImages(signal)).flatMap(({ tags }) => tags).sort();
  assert.deepEqual(left, [
    "cicd-test/busybox:1",
    "cicd-test/fresh:1",
    "cicd-test/mine:1",
    "cicd-test/needed:1",
    "cicd-test/renamed:1",
  ]);
  assert.deepEqual((await bench.json("POST", "/v1/housekeeping")).body.items, []);
});

Deno.test("orphanSource() removes running containers of attempts that are over, and no others", async () => {
  const address = parseEngineHost(docker.host);
  assert(address !== undefined);
  using engine = new Engine(address);
  const stateDir = "/state/of/this/test";
  const jobs = new Map<string, Job>();
  const add = async (job: Partial<Job>, stateDir = "/state/of/this/test") => {
    const id = newJobId();
    jobs.set(id, makeJob({ id, attempt: 1, ...job }));
    const name = `cicd-job-${id}-1`;
    await makeContainer(name, jobLabels(stateDir, { job: id, project: projectName(), attempt: 1 }));
    return name;
  };
  const over = await add({ state: "lost", finishedAt: Date.now() });
  const atWork = await add({ state: "running" });
  const ofOthers = await add({ state: "lost", finishedAt: Date.now() }, "/state/of/others");
  const now = () => Date.now() + HOUR_MS;
  const source = orphanSource(engine, { stateDir, read: (id) => jobs.get(id), now });
  const { things } = await source.find(signal);
  assert.deepEqual(things.map(({ name }) => name), [over]);
  for (const thing of things) await source.remove(thing, signal);
  assert.deepEqual([...await docker.engine.containers()].sort(), [atWork, ofOthers].sort());
  assert.deepEqual((await source.find(signal)).things, []);
});

Deno.test("imageSource() keeps an image that a container uses, also one made since it looked", async () => {
  const address = parseEngineHost(docker.host);
  assert(address !== undefined);
  using engine = new Engine(address);
  const stateDir = Deno.makeTempDirSync({ prefix: "images-" });
  const reference = "cicd-test/late:1";
  await docker.engine.importBusybox(reference, { changes: ["ENV NAME=late"] });
  const id = (await docker.engine.client.inspectImage(reference, signal))?.id ?? "";
  recordImageUse(stateDir, { id, reference, project: "web", pulled: true, usedAt: Date.now() });
  const now = () => Date.now() + 2 * HOUR_MS;
  const source = imageSource(engine, { stateDir, wantedImages: () => new Set(), now });
  const { things: [thing] } = await source.find(signal);
  assert(thing !== undefined);
  assert.equal(thing.inUse, false);
  await makeContainer("late", {}, reference);
  assert.equal((await source.find(signal)).things[0]?.inUse, true);
  assert.deepEqual(await source.remove(thing, signal), {
    kind: "kept",
    why: "a container uses it",
  });
  await engine.removeContainer("late", signal);
  assert.equal((await source.remove(thing, signal)).kind, "removed");
  assert.equal(await docker.engine.client.inspectImage(reference, signal), undefined);
  Deno.removeSync(stateDir, { recursive: true });
});

Deno.test("removeForeign() removes what other users own, follows no link, and leaves no container", async () => {
  const { client, containers } = docker.engine;
  const stateDir = await Deno.makeTempDir({ prefix: "cicd-foreign-" });
  try {
    const image = await client.inspectImage("cicd-test/busybox:1", signal);
    assert(image !== undefined);
    const use = { id: image.id, reference: "cicd-test/busybox:1", project: "web", pulled: false };
    recordImageUse(stateDir, { ...use, usedAt: Date.now() });
    Deno.mkdirSync(`${stateDir}/workspaces/kept`, { recursive: true });
    const made = await new Deno.Command("sh", {
      args: [
        "-c",
        "mkdir -p gone/a && cd gone/a && d=$(printf 'x\\377') && mkdir \"$d\" && " +
        'echo 1 >"$d/f" && ln -s ../../kept link && chmod 500 "$d" && chown -R 1234:1234 .',
      ],
      cwd: `${stateDir}/workspaces`,
    }).output();
    assert(made.success, new TextDecoder().decode(made.stderr));
    const before = await containers();
    await removeForeign(client, `${stateDir}/workspaces/gone`, { stateDir, signal });
    assert.deepEqual([...Deno.readDirSync(`${stateDir}/workspaces`)].map(({ name }) => name), [
      "kept",
    ]);
    assert.deepEqual(await containers(), before);
  } finally {
    await Deno.remove(stateDir, { recursive: true });
  }
});
