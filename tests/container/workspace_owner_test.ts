/**
 * The files of a job belong to the user of its container, and to the account again afterwards.
 */
import assert from "node:assert/strict";
import { runCommand } from "@lib/foundations/process/run_command.ts";
import { ownerStep } from "@lib/features/containers/workspace_owner.ts";
import { runAsEngineRoot } from "@lib/features/containers/engine_helper.ts";
import { lookUpUser } from "@lib/features/containers/container_account.ts";
import { recordImageUse } from "@lib/features/containers/image_use.ts";
import { Stage, TOKEN } from "../support/container_stage.ts";
import { CLOSED } from "../support/container_bench.ts";
import { BUSYBOX, type DockerEngine, startDockerEngine } from "../support/docker_engine.ts";
import { deadline } from "../support/executor_contract.ts";
import { makeOutcome } from "../support/job_fixtures.ts";
import { openWorkspace } from "../support/workspace.ts";

const BY_ID = "cicd-test/by-id:1";
const BY_NAME = "cicd-test/by-name:1";

/** Git of this machine, as the image has none. */
const PROGRAMS = [["/usr", "/usr"], ["/usr/lib", "/lib"], ["/usr/lib64", "/lib64"]] as const;
const RULES = [
  "defaults: { setup_timeout: 60s }",
  "projects: { web: { containers: { allow: [user, mounts], mounts: [/usr] } } }",
].join("\n");

/** Writes to everything that was there before the job, and leaves files that are private. */
const SCRIPT = [
  "set -e; umask 077",
  "echo as $(id -u):$(id -g)",
  "find /workspace $HOME ! -user 1000 -o ! -group 1000",
  "cd src/app && git diff-index --quiet HEAD && git status --short && cd ../..",
  "echo more >>src/app/in && chmod 700 src/app/in && touch -d @0 src/app && ls src/app/*",
  "echo more >>made/of/request && rm made/of/request",
  "cat store/deep/saved 2>/dev/null || echo no cache",
  "if [ -e store ]; then rm -r store; fi",
  "mkdir -p store/deep out/closed && echo kept >store/deep/saved && echo closed >out/closed/a",
  "echo home >$HOME/mine",
].join("\n");

Deno.test("a job owns its checkout, files, caches and home, whoever its container's user is", async () => {
  await using t = await Stage.open(RULES);
  await t.engine.importBusybox(BY_ID, { changes: ["USER 1000"] });
  await t.engine.importBusybox(BY_NAME, { changes: ["USER user:user"] });
  const repository = await t.git.repository("web.git");
  const sha = await repository.commit({
    files: { in: "from git\n", "deep/in": "1", link: { kind: "symlink", target: "/etc/passwd" } },
  });
  const cases = [[BY_ID], [BUSYBOX, "1000:1000"], [BUSYBOX, "user"], [BUSYBOX, "1000"]] as const;
  for (const [index, [image, user]] of cases.entries()) {
    const { id, log, job } = await t.follow({
      project: "web",
      image,
      container: {
        ...(user === undefined ? {} : { user }),
        mounts: PROGRAMS.map(([source, target]) => ({ source, target, read_only: true })),
      },
      git: { url: repository.url, sha, token_secret: "GIT_TOKEN", path: "src/app" },
      files: { "made/of/request": "of the request\n" },
      caches: [{ name: "store", paths: ["store"] }],
      secrets: { GIT_TOKEN: TOKEN },
      script: SCRIPT,
      artifacts: { paths: ["out/**"], when: "always" },
    });
    assert.equal(job.state, "succeeded", `${log}${job.message}`);
    const own = log.split("\n").filter((line) => line !== "" && !/^(\[setup|cicd-)/.test(line));
    const cached = index === 0 ? "no cache" : "kept";
    const there = ["src/app/in", "src/app/link", "", "src/app/deep:", "in"].filter((x) => x !== "");
    assert.deepEqual(own, ["as 1000:1000", ...there, cached], log);
    assert.equal(await t.curl(`/v1/jobs/${id}/artifacts/out/closed/a`), "closed\n");
    const { uid } = await Deno.stat("/etc/passwd");
    assert.equal(uid, 0);
    // Each had the same slot, and left it.
    const slots = [...Deno.readDirSync(`${t.runner.stateDir}/projects/web/workspaces`)];
    assert.deepEqual(slots.filter(({ name }) => !/^(1|\.gone-.*)$/.test(name)), []);
  }
  await t.engine.left();
});

Deno.test("ownerStep() changes owners through the engine for an ordinary account", async () => {
  await using engine = await startDockerEngine();
  await using workspace = await openWorkspace();
  const { stateDir, directory } = workspace;
  await prepareImages(engine, stateDir);
  const account = { uid: 1234, gid: 1234 };
  await workspace.write("a/b/file", "text");
  await Deno.symlink("/etc/passwd", `${directory.workspace}/a/link`);
  await runCommand(["chown", "-hR", "1234:1234", directory.workspace], { signal: deadline() });
  const step = (asked: () => Promise<typeof engine.client>) =>
    ownerStep({ engines: { engine: asked }, stateDir, account, run: runCommand });
  const { before, after } = step(() => Promise.resolve(engine.client));
  assert(before !== undefined && after !== undefined);
  const context = workspace.context({ container: { ...CLOSED, user: "user" } });
  const owners = () =>
    ["", "/a", "/a/b", "/a/b/file", "/a/link"].map((path) => {
      const { uid, gid } = Deno.lstatSync(`${directory.workspace}${path}`);
      return `${uid}:${gid}`;
    });
  await before(context, deadline());
  assert.deepEqual(owners(), Array(5).fill("1000:1000"));
  assert.equal(Deno.statSync(directory.home).uid, 1000);
  assert.equal(Deno.statSync("/etc/passwd").uid, 0);
  await after(context, makeOutcome(), deadline());
  assert.deepEqual(owners(), Array(5).fill("1234:1234"));
  assert.equal(Deno.statSync(directory.home).uid, 1234);
  // Nothing is left to do.
  const idle = step(() => Promise.reject(new Error("The engine is not asked")));
  await idle.after?.(context, makeOutcome(), deadline());
  await engine.left();
});

Deno.test("ownerStep() follows the ids of an engine that maps them", async () => {
  await using engine = await startDockerEngine();
  await using workspace = await openWorkspace();
  const { stateDir, directory } = workspace;
  await prepareImages(engine, stateDir);
  const facts = await engine.client.facts(deadline());
  const client = Object.assign(engine.client, {
    facts: () => Promise.resolve({ ...facts, root: { uid: 200_000, gid: 300_000 } }),
  });
  const { before } = ownerStep({
    engines: { engine: () => Promise.resolve(client) },
    ...{ stateDir, account: { uid: 0, gid: 0 }, run: runCommand },
  });
  for (const [user, owner] of [["user", "201000:301000"], [undefined, "200000:300000"]]) {
    const container = { ...CLOSED, ...(user === undefined ? {} : { user }) };
    await before?.(workspace.context({ container }), deadline());
    const { uid, gid } = Deno.statSync(directory.workspace);
    assert.equal(`${uid}:${gid}`, owner);
  }
});

Deno.test("lookUpUser() finds a name in the image, and leaves no container", async () => {
  await using engine = await startDockerEngine();
  await using workspace = await openWorkspace();
  const { stateDir } = workspace;
  await prepareImages(engine, stateDir);
  const find = (user: string) =>
    lookUpUser(engine.client, { image: BUSYBOX, user, stateDir }, deadline());
  assert.deepEqual(await find("user"), { uid: 1000, gid: 1000 });
  assert.deepEqual(await find("1000"), { uid: 1000, gid: 1000 });
  assert.deepEqual(await find("77"), { uid: 77, gid: 0 });
  assert.deepEqual(await find("user:5"), { uid: 1000, gid: 5 });
  assert.deepEqual(await find("nobody-here"), undefined);
  await engine.left();
});

Deno.test("runAsEngineRoot() lets no image of a job have a say", async () => {
  await using engine = await startDockerEngine();
  await using workspace = await openWorkspace();
  const { stateDir } = workspace;
  await prepareImages(engine, stateDir, ["ENV CHOSEN=yes", "VOLUME /chosen"]);
  const images = async () => (await engine.client.listImages(deadline())).length;
  const before = await images();
  const run = (condition: string) =>
    runAsEngineRoot(engine.client, ["/bin/sh", "-c", condition], {
      ...{ purpose: "test", mounts: [], capabilities: [], stateDir, signal: deadline() },
    });
  assert.equal(await run('[ -z "$CHOSEN" ]'), 0);
  assert.equal(await run("[ ! -e /chosen ]"), 0);
  assert.equal(await run("[ ! -s /etc/passwd ]"), 0);
  assert.equal(await run("exit 3"), 3);
  await engine.left();
  assert.equal(await images(), before);
});

async function prepareImages(
  engine: DockerEngine,
  stateDir: string,
  changes: readonly string[] = [],
): Promise<void> {
  await engine.importBusybox(BUSYBOX, { changes });
  const image = await engine.client.inspectImage(BUSYBOX, deadline());
  assert(image !== undefined);
  const use = { id: image.id, reference: BUSYBOX, project: "web", pulled: false };
  recordImageUse(stateDir, { ...use, usedAt: Date.now() });
}
