import assert from "node:assert/strict";
import { writeArtifactList } from "@lib/features/artifacts/artifact_list.ts";
import { ArtifactReader } from "@lib/features/artifacts/artifact_reader.ts";
import { collect } from "@lib/features/artifacts/collect.ts";
import { artifactRoutes } from "@lib/features/artifacts/artifact_routes.ts";
import { startHttpServer } from "@lib/foundations/http/server.ts";
import { UnixClient } from "@lib/foundations/http/unix_client.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import { noMask, openApi } from "../support/api_fixture.ts";
import { projectName } from "../support/job_fixtures.ts";

const MAIN = new URL("../../cmd/runner/main.ts", import.meta.url).pathname;
const NEVER = new AbortController().signal;

/** A server on a socket, with a job that has artifacts. */
async function serve(files: Readonly<Record<string, string>>) {
  const stateDir = await Deno.makeTempDir({ prefix: "cicd-dl-" });
  const routes = artifactRoutes(new ArtifactReader(stateDir), noMask);
  const api = openApi({ replaced: { artifacts: () => ({ routes }) } });
  const job = api.claim(api.add().id);
  const directory = attemptDirectory(stateDir, {
    project: projectName(),
    jobId: job.id,
    number: 1,
  });
  await Deno.mkdir(directory.artifacts, { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    const full = `${directory.workspace}/${path}`;
    await Deno.mkdir(full.slice(0, full.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(full, text, { mode: path.endsWith(".sh") ? 0o755 : 0o644 });
  }
  const bounds = { maxBytes: 1e9, maxFiles: 100 };
  const { workspace, artifacts: target } = directory;
  const mask = (text: string) => text;
  const list = await collect({ workspace, target, globs: ["**/*"], mask, ...bounds }, NEVER);
  await writeArtifactList(directory.artifactList, list);
  const socket = `${stateDir}/r.sock`;
  const server = await startHttpServer({
    keepFromChildren() {},
    listeners: [{ kind: "unix", path: socket }],
    limits: { maxConnections: 100, maxHeaderBytes: 16_384, headerTimeoutMs: 30_000 },
    handle: api.router.handle,
    onError: (what, error) => api.log.error(what, { error }),
  });
  return {
    stateDir,
    socket,
    directory,
    id: job.id,
    log: api.log,
    async cli(...args: string[]) {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", "--no-check", "-A", MAIN, ...args, "--socket", socket],
        cwd: stateDir,
      }).output();
      const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      return { code, stdout: decode(stdout), stderr: decode(stderr) };
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      api[Symbol.dispose]();
      await Deno.remove(stateDir, { recursive: true });
    },
  };
}

Deno.test("cicd-runner artifacts lists and downloads, and checks what arrives", async () => {
  await using t = await serve({
    "dist/app.js": "app",
    "dist/deep/x y+ü%.txt": "odd name",
    "run.sh": "#!/bin/sh\n",
  });
  const listed = await t.cli("artifacts", t.id.slice(0, 8));
  assert.equal(listed.code, 0, listed.stderr);
  assert.match(listed.stdout, /3B +[0-9a-f]{12} +dist\/app\.js/);
  const json = JSON.parse((await t.cli("artifacts", t.id, "--json")).stdout);
  assert.equal(json.files.length, 3);

  const got = await t.cli("artifacts", t.id, "--download", "out");
  assert.equal(got.code, 0, got.stderr);
  assert.equal(await Deno.readTextFile(`${t.stateDir}/out/dist/app.js`), "app");
  assert.equal(await Deno.readTextFile(`${t.stateDir}/out/dist/deep/x y+ü%.txt`), "odd name");
  assert.equal((await Deno.stat(`${t.stateDir}/out/run.sh`)).mode, 0o100755);

  const some = await t.cli("artifacts", t.id, "--download", "some", "**/*.js");
  assert.equal(some.code, 0, some.stderr);
  assert.deepEqual([...Deno.readDirSync(`${t.stateDir}/some`)].map(({ name }) => name), ["dist"]);
});

Deno.test("cicd-runner artifacts writes through no link, and keeps nothing damaged", async () => {
  await using t = await serve({ "dist/app.js": "app", "ok": "ok" });
  await Deno.mkdir(`${t.stateDir}/outside`);
  await Deno.mkdir(`${t.stateDir}/out`);
  await Deno.symlink(`${t.stateDir}/outside`, `${t.stateDir}/out/dist`);
  const linked = await t.cli("artifacts", t.id, "--download", "out");
  assert.equal(linked.code, 74);
  assert.match(linked.stderr, /"dist\/app.js" needs a directory where a symlink or a file is/);
  assert.deepEqual([...Deno.readDirSync(`${t.stateDir}/outside`)], []);

  await Deno.writeTextFile(`${t.directory.artifacts}/ok`, "ko");
  const damaged = await t.cli("artifacts", t.id, "ok", "--download", "new");
  assert.equal(damaged.code, 74);
  assert.match(damaged.stderr, /"ok" arrived damaged/);
  assert.deepEqual([...Deno.readDirSync(`${t.stateDir}/new`)], []);
});

Deno.test("an artifact is sent in ranges, as a header alone, and no descriptor stays open", async () => {
  await using t = await serve({ "large": "0123456789".repeat(200_000) });
  using client = new UnixClient(t.socket);
  const path = `/v1/jobs/${t.id}/artifacts/large`;
  const ask = (method: string, headers: Record<string, string> = {}) =>
    client.send({ method, path, headers, signal: NEVER });
  const open = () =>
    [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => {
      try {
        return Deno.readLinkSync(`/proc/self/fd/${name}`).endsWith("/artifacts/large");
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return false;
        throw error;
      }
    }).length;
  using part = await ask("GET", { range: "bytes=1999990-" });
  assert.equal(part.status, 206);
  assert.equal(await part.text(), "0123456789");
  using head = await ask("HEAD");
  assert.equal(head.headers["content-length"], "2000000");
  assert.equal(await head.text(), "");
  // Leaves in the middle.
  using left = await ask("GET");
  for await (const chunk of left.body) {
    assert(chunk.length > 0);
    break;
  }
  using whole = await ask("GET");
  assert.equal((await whole.text()).length, 2_000_000);
  const until = performance.now() + 5_000;
  while (open() > 0 && performance.now() < until) await new Promise((done) => setTimeout(done, 5));
  assert.equal(open(), 0);
});
