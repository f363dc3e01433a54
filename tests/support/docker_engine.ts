/**
 * A Docker Engine of its own for a test run, with tiny images and without any network.
 *
 * @module
 */
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { systemClock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import { Engine } from "@lib/foundations/docker/engine.ts";
import { pingEngine } from "@lib/foundations/docker/ping.ts";
import { findProgram, type Program, whyMissing, whyNoMounts } from "./host_programs.ts";

/** Programs that the suite needs, and Debian's package for each. */
const PROGRAMS: readonly Program[] = [
  ["dockerd", "docker.io"],
  ["containerd", "containerd"],
  ["tini", "tini"],
  ["busybox", "busybox-static"],
];

/** Time limit for a daemon to start and to stop. */
const PATIENCE_MS = 60_000;

/** The images that {@linkcode DockerEngine.importBusybox} makes. */
export const BUSYBOX = "cicd-test/busybox:1";

/** Configuration of an image. */
export interface ImageSettings {
  /** Lines of a Dockerfile that an import takes: `USER 1000`, `ENTRYPOINT ["/bin/echo"]`. */
  readonly changes?: readonly string[];
}

/** A daemon that listens on a Unix socket. */
export interface DockerEngine extends AsyncDisposable {
  readonly socket: string;
  /** For `containers.host` and `DOCKER_HOST`. */
  readonly host: string;
  /** A client; disposed with the daemon. */
  readonly client: Engine;
  /** Makes an image of busybox under a name such as `cicd-test/busybox:1`. */
  importBusybox(name?: string, settings?: ImageSettings): Promise<void>;
  /** Names of all containers, alive or not. */
  containers(): Promise<readonly string[]>;
  /**
   * Resolves when there are only these containers: the one of a job is removed after its end.
   *
   * @throws {Error} With the names of the others if they are not removed in time.
   */
  left(names?: readonly string[]): Promise<void>;
  /** Kills the daemon without a word and starts it again. */
  restart(): Promise<void>;
}

/**
 * Says why no engine can be started here.
 *
 * @returns One line for people, or `undefined` if one can be.
 */
export async function whyNoEngine(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return `this is ${Deno.build.os}, and containers need Linux`;
  if (Deno.uid() !== 0) return "only root can start a container engine; run the tests as root";
  return await whyMissing(PROGRAMS) ?? await whyNoMounts();
}

/** Starts a daemon with its own state; stopping it leaves nothing behind. */
export async function startDockerEngine(): Promise<DockerEngine> {
  const directory = await Deno.makeTempDir({ prefix: "cicd-dockerd-" });
  const socket = `${directory}/docker.sock`;
  const address = { kind: "unix", path: socket } as const;
  let daemon = await startDaemon(directory, socket);
  const client = new Engine(address);
  const containers = async () => {
    const all = await client.listContainers([], AbortSignal.timeout(PATIENCE_MS));
    return all.flatMap(({ names }) => names);
  };
  return {
    socket,
    host: `unix://${socket}`,
    client,
    importBusybox: (name = BUSYBOX, settings = {}) => importBusybox(socket, name, settings),
    containers,
    async left(names = []) {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      while (true) {
        const others = (await containers()).filter((name) => !names.includes(name));
        if (others.length === 0) return;
        if (signal.aborted) throw new Error(`containers were not removed: ${others.join(", ")}`);
        await systemClock.sleep(10);
      }
    },
    async restart() {
      await stopDaemon(daemon, "SIGKILL");
      // It took its helper along, whose pid may count as alive until somebody reaps it.
      await Deno.remove(`${directory}/exec/containerd/containerd.pid`);
      daemon = await startDaemon(directory, socket);
    },
    async [Symbol.asyncDispose]() {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      try {
        for (const { id } of await client.listContainers([], signal)) {
          await client.removeContainer(id, signal);
        }
      } finally {
        client[Symbol.dispose]();
        await stopDaemon(daemon, "SIGTERM");
        await unmountBelow(directory);
        await Deno.remove(directory, { recursive: true });
      }
    },
  };
}

async function startDaemon(directory: string, socket: string): Promise<Deno.ChildProcess> {
  const log = await Deno.open(`${directory}/log`, { create: true, append: true });
  const daemon = new Deno.Command("dockerd", {
    args: [
      ...["--data-root", `${directory}/data`, "--exec-root", `${directory}/exec`],
      ...["--pidfile", `${directory}/pid`, "--host", `unix://${socket}`],
      // A container of the tests has loopback at most, and the machine keeps its firewall.
      ...["--bridge", "none", "--iptables=false", "--ip6tables=false"],
      ...["--log-level", "warn"],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  // Its words are for whoever looks why a test failed.
  void daemon.stderr.pipeTo(log.writable).catch(ignore("what it says at its end is lost"));
  const signal = AbortSignal.timeout(PATIENCE_MS);
  let over = false;
  void daemon.status.then(() => over = true);
  while (true) {
    try {
      await pingEngine({ kind: "unix", path: socket }, { signal });
      return daemon;
    } catch {
      if (over || signal.aborted) {
        throw new Error(`dockerd did not start: ${await Deno.readTextFile(`${directory}/log`)}`);
      }
      await systemClock.sleep(20, { signal });
    }
  }
}

async function stopDaemon(daemon: Deno.ChildProcess, how: "SIGTERM" | "SIGKILL"): Promise<void> {
  try {
    daemon.kill(how);
  } catch (error) {
    // It has ended by itself already.
    if (!(error instanceof TypeError)) throw error;
  }
  const late = setTimeout(() => daemon.kill("SIGKILL"), PATIENCE_MS);
  await daemon.status;
  clearTimeout(late);
}

async function unmountBelow(directory: string): Promise<void> {
  const mounts = (await Deno.readTextFile("/proc/self/mounts")).split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${directory}/`));
  for (const path of mounts.reverse()) {
    await new Deno.Command("umount", { args: ["-l", path], stderr: "null" }).output();
  }
}

/** Makes an image of one program that is all programs. */
async function importBusybox(
  socket: string,
  name: string,
  { changes = [] }: ImageSettings,
): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "cicd-busybox-" });
  try {
    for (const path of ["bin", "etc", "tmp"]) await Deno.mkdir(`${root}/${path}`);
    await Deno.chmod(`${root}/tmp`, 0o1777);
    const busybox = await findProgram("busybox");
    assert(busybox !== undefined, "busybox is not installed");
    await Deno.copyFile(busybox, `${root}/bin/busybox`);
    await Deno.chmod(`${root}/bin/busybox`, 0o755);
    for (const applet of (await output("busybox", "--list")).split("\n")) {
      if (applet !== "" && applet !== "busybox") {
        await Deno.symlink("busybox", `${root}/bin/${applet}`);
      }
    }
    await Deno.writeTextFile(
      `${root}/etc/passwd`,
      "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n",
    );
    await Deno.chmod(root, 0o755);
    const tar = await new Deno.Command("tar", {
      args: ["--owner=0", "--group=0", "-C", root, "-cf", "-", "."],
      stdout: "piped",
    }).output();
    assert(tar.success, "tar made no image");
    const [repo = "", tag = "latest"] = name.split(":");
    const query = new URLSearchParams([
      ...Object.entries({ fromSrc: "-", repo, tag }),
      ...changes.map((change) => ["changes", change]),
    ]);
    await post(socket, `/images/create?${query}`, tar.stdout);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

function post(socketPath: string, path: string, body: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      socketPath,
      path,
      method: "POST",
      headers: { "content-type": "application/x-tar", "content-length": body.length },
    }, async (answer) => {
      let text = "";
      for await (const chunk of answer) text += chunk;
      if (answer.statusCode === 200 && !text.includes('"error"')) resolve();
      else reject(new Error(`the engine said ${answer.statusCode}: ${text}`));
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function output(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(program, { args, stdout: "piped" }).output();
  return new TextDecoder().decode(stdout);
}
