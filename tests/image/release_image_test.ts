import assert from "node:assert/strict";
import { parseDockerfile } from "../../tools/release/dockerfile.ts";
import { sha256Of } from "../../tools/release/checksums.ts";
import { imageName, makeImage, makeRoot } from "../../tools/release/image.ts";
import { DockerCli } from "../support/container_image.ts";
import { CLOSED, DeployedContainer } from "../support/deployed_container.ts";
import { startDockerEngine } from "../support/docker_engine.ts";
import { releaseUnderTest } from "../support/release.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const FACTS = {
  root: ROOT,
  version: "9.9.9",
  date: "2026-01-02T03:04:05.000Z",
  epoch: "1767323045",
  target: Deno.build.target,
  maintainer: "A Person <person@example.org>",
  mirror: Deno.env.get("CICD_TEST_MIRROR"),
};

async function output(program: string, ...args: readonly string[]): Promise<string> {
  const done = await new Deno.Command(program, { args: [...args], stdin: "null" }).output();
  assert.equal(done.code, 0, new TextDecoder().decode(done.stderr));
  return new TextDecoder().decode(done.stdout);
}

Deno.test("the image of a release is loaded, runs jobs as a sidecar, and stops when asked", async (t) => {
  await using stack = new AsyncDisposableStack();
  const signal = AbortSignal.timeout(1_800_000);
  const releaseDir = await releaseUnderTest(stack, signal);
  const directory = await Deno.makeTempDir({ prefix: "release-image-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const name = await makeImage({
    ...FACTS,
    releaseDir,
    stage: `${directory}/stage`,
    outDir: directory,
    signal,
  });
  assert.equal(name, imageName(Deno.build.target));
  const archive = `${directory}/${name}`;
  const engine = stack.use(await startDockerEngine());
  const docker = new DockerCli(engine.host);

  await t.step("docker loads it under its names", async () => {
    const said = await docker.run("load", "--quiet", `--input=${archive}`);
    assert.match(said, /cicd-toolkit:9\.9\.9/);
    assert.match(said, /cicd-toolkit:latest/);
    const format = "{{.Config.User}} {{.Config.Healthcheck.Test}} {{.Architecture}}";
    const facts = await docker.run("inspect", `--format=${format}`, "cicd-toolkit:9.9.9");
    assert.match(facts, /^cicd \[CMD curl .*\/health\] (?:amd64|arm64)$/);
  });

  await t.step("the sidecar runs a job without systemd, and ends on SIGTERM", async () => {
    await using container = new DeployedContainer(engine.host, "cicd-toolkit:9.9.9");
    await container.start(...CLOSED);
    const script = "id -u; git --version; exit 3";
    const job = ["cicd-runner", "run", "-p", "web", "--", "sh", "-c", script];
    const { code, stdout, stderr } = await container.exec(...job);
    assert.equal(code, 3, stderr);
    assert.match(stdout, /^1000\ngit version /m);
    const licences = "/opt/cicd-toolkit/lib/cicd-toolkit/THIRD_PARTY_LICENSES";
    assert.match((await container.exec("cat", licences)).stdout, /^valibot \d/m);
    assert.match((await container.exec("cicd-runner", "version")).stdout, /\d+\.\d+\.\d+/);
    await container.cli.run("kill", "--signal=TERM", container.name);
    assert.equal(await container.cli.run("wait", container.name), "0");
  });

  await t.step("each blob is what its name says, and the root is made again", async () => {
    const layout = `${directory}/layout`;
    await Deno.mkdir(layout);
    await output("tar", "-xf", archive, "-C", layout);
    const blobs = await output("sh", "-c", `cd ${layout}/blobs/sha256 && sha256sum *`);
    for (const line of blobs.trimEnd().split("\n")) {
      const [sum, file] = line.split(/ +/);
      assert.equal(sum, file);
    }
    const file = `${releaseDir}/deploy/container/Dockerfile`;
    const plan = parseDockerfile(await Deno.readTextFile(file));
    const root = `${directory}/root.tar`;
    await makeRoot(plan, root, { ...FACTS, signal });
    const [legacy] = JSON.parse(await Deno.readTextFile(`${layout}/manifest.json`));
    const { rootfs } = JSON.parse(await Deno.readTextFile(`${layout}/${legacy.Config}`));
    assert.equal(`sha256:${await sha256Of(root)}`, rootfs.diff_ids[0]);
  });
});
