import assert from "node:assert/strict";
import { parse, parseAllDocuments } from "yaml";
import { envNameOf } from "@lib/foundations/config/key.ts";
import { catalogOf } from "@lib/foundations/config/config.ts";
import { LISTEN } from "@lib/foundations/config/program_keys.ts";
import { readConfig } from "@lib/foundations/config/read.ts";
import { GRYT } from "@lib/features/gryt/keys.ts";
import { SECTIONS } from "../../cmd/shared/config_sections.ts";

const signal = new AbortController().signal;
const DEPLOY = new URL("../../deploy", import.meta.url).pathname;

async function filesBelow(directory: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    if (isDirectory) found.push(...await filesBelow(`${directory}/${name}`));
    else found.push(`${directory}/${name}`);
  }
  return found.sort();
}

const text = (path: string) => Deno.readTextFileSync(`${DEPLOY}/${path}`);

/** Runs a checker of the platform's own, where it is installed. */
async function check(program: string, ...args: readonly string[]): Promise<string | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, {
      args: [...args],
      env: { DOCKER_GID: "999" },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    assert(success, decoder.decode(stderr));
    return decoder.decode(stdout);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.error(`SKIPPED: ${program} is not installed`);
    return undefined;
  }
}

Deno.test("every configuration in deploy/ is one that the runner takes", async () => {
  for (const name of ["compose", "kubernetes", "fly"]) {
    const path = `${DEPLOY}/${name}/config.yaml`;
    const { config } = await readConfig({
      sections: SECTIONS,
      path,
      env: { HOME: "/home/cicd" },
      signal,
    });
    assert.equal(config.of(LISTEN).address, "0.0.0.0:8080", name);
    assert.equal(config.of(GRYT).apiKey, "credential:agent_api_key", name);
  }
});

Deno.test("every unit that reloads checks the configuration first, so that a mistake fails it", async () => {
  const units = (await filesBelow(`${DEPLOY}/systemd`)).concat(
    await filesBelow(`${DEPLOY}/../units`),
  );
  const reloads = units.map((path) => Deno.readTextFileSync(path).match(/^ExecReload=.*$/gm) ?? [])
    .filter(({ length }) => length > 0);
  assert.equal(reloads.length, 3);
  for (const [check, signal] of reloads) {
    assert.match(check ?? "", /^ExecReload=\/usr\/bin\/env cicd-runner config check/);
    assert.equal(signal, "ExecReload=/bin/kill -HUP $MAINPID");
  }
});

Deno.test("every variable of the configuration that deploy/ sets exists", async () => {
  const known = new Set([...catalogOf(SECTIONS).keys.keys()].map(envNameOf));
  for (const path of await filesBelow(DEPLOY)) {
    for (const [name] of Deno.readTextFileSync(path).matchAll(/\bCICD_[A-Z_]+\b/g)) {
      // The name of an image, for Compose itself, and a directory, for the launchers.
      if (!["CICD_IMAGE", "CICD_TOOLKIT_CACHE"].includes(name)) {
        assert(known.has(name), `${path}: ${name}`);
      }
    }
  }
});

Deno.test("what deploy/ mounts and names is where the image has it", () => {
  const dockerfile = text("container/Dockerfile");
  const state = /XDG_STATE_HOME=(\S+)/.exec(dockerfile)?.[1] ?? "";
  assert(dockerfile.includes(`VOLUME ${state}\n`));
  const compose = parse(text("compose/compose.yaml"));
  assert(compose.services.runner.volumes.includes(`state:${state}`));
  const [, , deployment] = parseAllDocuments(text("kubernetes/runner.yaml")).map((one) =>
    one.toJS()
  );
  const { containers, volumes } = deployment.spec.template.spec;
  const mounts: { readonly name: string; readonly mountPath: string }[] =
    containers[0].volumeMounts;
  const names = volumes.map(({ name }: { readonly name: string }) => name);
  assert.deepEqual(mounts.map(({ name }) => name).sort(), names.sort());
  assert.equal(mounts.find(({ name }) => name === "state")?.mountPath, state);
  assert.match(text("fly/fly.toml"), new RegExp(`^destination = "${state}"$`, "m"));
});

Deno.test("the pod stays within what the strictest level of pod security allows", () => {
  const [, , deployment] = parseAllDocuments(text("kubernetes/runner.yaml")).map((one) =>
    one.toJS()
  );
  const { securityContext: pod, containers } = deployment.spec.template.spec;
  assert.equal(pod.runAsNonRoot, true);
  assert.equal(pod.seccompProfile.type, "RuntimeDefault");
  assert.deepEqual(containers[0].securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
});

Deno.test("whatever stops the runner is more patient than the runner with its jobs", () => {
  const compose = parse(text("compose/compose.yaml")).services.runner;
  assert.equal(compose.stop_grace_period, "11m");
  assert.equal(compose.environment.STOP_WAIT_SECONDS, "600");
  const [, , deployment] = parseAllDocuments(text("kubernetes/runner.yaml")).map((one) =>
    one.toJS()
  );
  const { terminationGracePeriodSeconds, containers } = deployment.spec.template.spec;
  assert(terminationGracePeriodSeconds > Number(containers[0].env[0].value));
  assert.match(text("fly/fly.toml"), /kill_timeout = "5m"[^]*STOP_WAIT_SECONDS = "270"/);
});

Deno.test("Compose reads its files, alone and with either engine", async () => {
  const base = `--file=${DEPLOY}/compose/compose.yaml`;
  for (const more of [[], ["compose.engine.yaml"], ["compose.host-engine.yaml"]]) {
    const files = more.map((name) => `--file=${DEPLOY}/compose/${name}`);
    await check("docker-compose", base, ...files, "config", "--quiet");
  }
});

Deno.test("Kustomize makes one manifest of the files, with the engine as a sidecar if asked", async () => {
  const plain = await check("kubectl", "kustomize", `${DEPLOY}/kubernetes`);
  if (plain === undefined) return;
  const kinds = (manifest: string) => parseAllDocuments(manifest).map((one) => one.toJS().kind);
  assert.deepEqual(kinds(plain).sort(), [
    "ConfigMap",
    "Deployment",
    "Namespace",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Service",
  ]);
  const directory = await Deno.makeTempDir({ prefix: "kustomize-" });
  try {
    for (const path of await filesBelow(`${DEPLOY}/kubernetes`)) {
      await Deno.copyFile(path, `${directory}/${path.slice(path.lastIndexOf("/") + 1)}`);
    }
    const file = `${directory}/kustomization.yaml`;
    const asked = Deno.readTextFileSync(file).replace(/^# (patches:)$/m, "$1")
      .replace(/^# ( {2}- path: engine)/m, "$1");
    Deno.writeTextFileSync(file, asked);
    const withEngine = await check("kubectl", "kustomize", directory) ?? "";
    const deployment = parseAllDocuments(withEngine).map((one) => one.toJS())
      .find(({ kind }) => kind === "Deployment");
    assert.equal(deployment.spec.template.spec.initContainers[0].name, "engine");
    const [runner] = deployment.spec.template.spec.containers;
    assert(runner.env.some(({ name }: { name: string }) => name === "CICD_CONTAINERS_HOST"));
    assert(runner.env.some(({ name }: { name: string }) => name === "STOP_WAIT_SECONDS"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
