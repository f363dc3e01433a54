/**
 * The installed suite of an ordinary account, with a container engine that root runs beside it.
 *
 * The engine is the host's. What the two share is what they share on a real machine: the engine's
 * socket, which the group `docker` may use, and the state directory, at the same path for both.
 *
 * @module
 */
import { BUSYBOX, type DockerEngine, startDockerEngine } from "./docker_engine.ts";
import type { Machine } from "./machine.ts";
import { bootSuite, SUITE_USER, type SuiteInMachine } from "./suite_in_machine.ts";

/** Where the machine looks for the engine by itself. */
const SYSTEM_SOCKET = "/run/docker.sock";
/** Where the host's socket is in the machine. */
const ENGINE_SOCKET = "/run/engine.sock";
const DOCKER_GROUP = 990;
const CHECKOUT = "/checkout";

/** The suite, its engine, and a git server on the machine's loopback. */
export interface SuiteWithEngine extends AsyncDisposable {
  readonly suite: SuiteInMachine;
  readonly engine: DockerEngine;
  /** At the same path for the host and the machine; the account's own. */
  readonly stateDir: string;
  readonly repository: { readonly url: string; readonly sha: string };
  /** Has the engine where programs look for it, or nowhere. */
  showEngine(shown: boolean): Promise<void>;
  /** Lets the group `docker` use the engine, or only root. */
  allowGroup(allowed: boolean): Promise<void>;
}

/**
 * Starts all of it.
 *
 * @param config What the configuration says besides the state directory and the containers'
 * network.
 */
export async function bootSuiteWithEngine(config: string): Promise<SuiteWithEngine> {
  await using stack = new AsyncDisposableStack();
  const engine = stack.use(await startDockerEngine());
  await engine.importBusybox(BUSYBOX);
  const allowGroup = async (allowed: boolean) => {
    await Deno.chown(engine.socket, 0, DOCKER_GROUP);
    await Deno.chmod(engine.socket, allowed ? 0o660 : 0o600);
  };
  await allowGroup(true);
  const stateDir = await Deno.makeTempDir({ dir: "/var/lib", prefix: "cicd-test-state-" });
  stack.defer(() => Deno.remove(stateDir, { recursive: true }));
  await Deno.chown(stateDir, 1_000, 1_000);
  const writable = `[Service]\nReadWritePaths=${stateDir}\n`;
  const suite = stack.use(
    await bootSuite({
      config: `state_dir: ${stateDir}\ncontainers: { network: none }\n${config}`,
      dropIns: { "cicd-runner.service": writable, "cicd-agent@.service": writable },
      binds: [
        { host: engine.socket, machine: ENGINE_SOCKET },
        { host: stateDir, machine: stateDir, writable: true },
      ],
      checkout: CHECKOUT,
      prepare: joinDockerGroup,
    }),
  );
  const { machine } = suite;
  const server = stack.use(await machine.spawn(gitServer(), { user: SUITE_USER }));
  const lines = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const repository = JSON.parse((await lines.read()).value ?? "");
  const owned = stack.move();
  return {
    suite,
    engine,
    stateDir,
    repository,
    allowGroup,
    showEngine: async (shown) => {
      const change = shown ? ["ln", "-s", ENGINE_SOCKET, SYSTEM_SOCKET] : ["rm", SYSTEM_SOCKET];
      await machine.run(change);
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}

/** Does what an administrator does for an account that uses the engine. */
async function joinDockerGroup(machine: Machine): Promise<void> {
  await machine.run(["groupadd", `--gid=${DOCKER_GROUP}`, "docker"]);
  await machine.run(["usermod", "--append", "--groups=docker", SUITE_USER]);
  await machine.run(["systemctl", "restart", "user@1000.service"]);
  await machine.run(["ln", "-s", ENGINE_SOCKET, SYSTEM_SOCKET]);
}

function gitServer(): readonly string[] {
  const alone = ["--no-config", "--no-lock", "--cached-only", "--allow-all"];
  return ["deno", "run", ...alone, `${CHECKOUT}/tests/support/git_server_process.ts`];
}
