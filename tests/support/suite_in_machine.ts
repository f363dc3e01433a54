/**
 * The suite, built and installed for one user of a test machine.
 *
 * What a person would do is done with `curl` and `systemctl` inside. What has
 * to be fast or well timed reaches into the machine from the host: requests
 * over the runner's socket, and the processes of a unit by its cgroup.
 *
 * @module
 */
import assert from "node:assert/strict";
import { UnixClient } from "@lib/foundations/http/unix_client.ts";
import {
  bootMachine,
  type Finished,
  type Machine,
  type MachineBind,
  type MachineProcess,
} from "./machine.ts";
import { readIfThere } from "./machine_host.ts";
import { releaseUnderTest } from "./release.ts";

/** Options for {@linkcode bootSuite}. */
export interface SuiteOptions {
  /** Text of `~/.config/cicd-toolkit/config.yaml`. */
  readonly config?: string;
  /** Settings by unit, such as `cicd-runner.service`, as drop-ins. */
  readonly dropIns?: Readonly<Record<string, string>>;
  /** Parts of the host that the machine sees besides the release. */
  readonly binds?: readonly MachineBind[];
  /** Where in the machine this project's checkout is to be seen, read-only. */
  readonly checkout?: string;
  /** Directory of the release to install. @default The one under test. */
  readonly release?: string;
  /** Does what an administrator would before anyone installs the suite. */
  readonly prepare?: (machine: Machine) => Promise<void>;
  /** Ends every wait; the machine still has to be disposed. */
  readonly signal?: AbortSignal;
}

/** A job as the API shows it, as far as the tests look at it. */
export interface JobSeen {
  readonly id: string;
  readonly project: string;
  readonly state: string;
  readonly reason: string | null;
  readonly message: string | null;
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly attempt: number;
  readonly finished_at: string | null;
  readonly usage: Readonly<Record<string, number | null>>;
  readonly attempts?: readonly { readonly number: number; readonly state: string }[];
}

/** An answer of the API. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** Options for {@linkcode SuiteInMachine.ask}. */
export interface AskOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** @default {60_000} */
  readonly timeoutMs?: number;
}

const RUNTIME = "/run/user/1000";
const SOCKET = `${RUNTIME}/cicd-runner.sock`;
const HOME = "/home/dev";
const MANAGER_GROUP = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";

/** The user whose suite it is. */
export const SUITE_USER = "dev";
/** Where the suite keeps its state. */
export const STATE_DIR = `${HOME}/.local/state/cicd-toolkit`;
/** Ends that do not change any more. */
export const TERMINAL_STATES: readonly string[] = [
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
  "lost",
];

/**
 * Boots a machine and installs the suite in it, as `install.sh` does it.
 *
 * The release is the one under test: see `release.ts`.
 */
export async function bootSuite(options: SuiteOptions = {}): Promise<SuiteInMachine> {
  const signal = options.signal ?? new AbortController().signal;
  await using stack = new AsyncDisposableStack();
  const release = options.release ?? await releaseUnderTest(stack, signal);
  const { binds = [], checkout, prepare } = options;
  const machine = stack.use(
    await bootMachine({
      binds: [{ host: release, machine: "/release" }, ...binds],
      ...(checkout === undefined ? {} : { checkout }),
      signal,
    }),
  );
  await prepare?.(machine);
  const suite = new SuiteInMachine(machine, stack.move());
  try {
    await suite.install(options);
    return suite;
  } catch (error) {
    await suite[Symbol.asyncDispose]();
    throw error;
  }
}

/** The installed suite. Disposing takes the machine with it. */
export class SuiteInMachine implements AsyncDisposable {
  readonly machine: Machine;
  readonly #owned: AsyncDisposable;
  #client: { readonly path: string; readonly client: UnixClient } | undefined;

  /** Use {@linkcode bootSuite}. */
  constructor(machine: Machine, owned: AsyncDisposable) {
    this.machine = machine;
    this.#owned = owned;
  }

  /** Installs the suite with its settings. */
  async install({ config, dropIns = {} }: SuiteOptions): Promise<void> {
    if (config !== undefined) await this.write(`${HOME}/.config/cicd-toolkit/config.yaml`, config);
    for (const [unit, text] of Object.entries(dropIns)) {
      await this.write(`${HOME}/.config/systemd/user/${unit}.d/90-test.conf`, text);
    }
    await this.run(["/release/install.sh", "--yes"], { timeoutMs: 60_000 });
  }

  /** Runs a program as the suite's user; it has to succeed. */
  run(argv: readonly string[], options: { readonly timeoutMs?: number } = {}): Promise<string> {
    return this.machine.run(argv, { user: SUITE_USER, ...options });
  }

  systemctl(...args: readonly string[]): Promise<string> {
    return this.run(["systemctl", "--user", ...args]);
  }

  /** A property of a unit of the user's manager. */
  show(unit: string, property: string): Promise<string> {
    return this.systemctl("show", `--property=${property}`, "--value", unit);
  }

  /** Calls the API as people do; `args` go to `curl`. */
  curl(path: string, ...args: readonly string[]): Promise<Finished> {
    return this.machine.exec(this.#curl(path, args), { user: SUITE_USER, timeoutMs: 60_000 });
  }

  /** As {@linkcode curl}, for answers that are read while they arrive. */
  stream(path: string, ...args: readonly string[]): Promise<MachineProcess> {
    return this.machine.spawn(this.#curl(path, args), { user: SUITE_USER });
  }

  /**
   * Calls the API from the host.
   *
   * @throws If there is no answer.
   */
  async ask(method: string, path: string, options: AskOptions = {}): Promise<Answer> {
    const signal = AbortSignal.timeout(options.timeoutMs ?? 60_000);
    using response = await this.#connected().send({
      method,
      path,
      headers: {
        ...(options.body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      signal,
    });
    return {
      status: response.status,
      headers: response.headers,
      text: await response.text(64 * 1024 * 1024),
    };
  }

  /** Submits a job, which has to be accepted. */
  async submit(body: Readonly<Record<string, unknown>>, key?: string): Promise<JobSeen> {
    const headers = key === undefined ? {} : { "idempotency-key": key };
    const { status, text } = await this.ask("POST", "/v1/jobs", { body, headers });
    assert.ok(status === 201 || status === 200, `${status}: ${text}`);
    return parseJob(text);
  }

  async job(id: string): Promise<JobSeen> {
    const { status, text } = await this.ask("GET", `/v1/jobs/${id}`);
    assert.equal(status, 200, text);
    return parseJob(text);
  }

  /** Waits until a job is in one of the states. */
  async until(id: string, states: readonly string[], timeoutMs = 60_000): Promise<JobSeen> {
    return await this.machine.waitFor(`job ${id} to be ${states.join(" or ")}`, async () => {
      const job = await this.job(id);
      return states.includes(job.state) ? job : undefined;
    }, { timeoutMs });
  }

  /** Waits until a job has ended, by the API's long poll. */
  async ended(id: string, timeoutMs = 60_000): Promise<JobSeen> {
    const path = `/v1/jobs/${id}/wait?timeout=${Math.ceil(timeoutMs / 1_000)}`;
    const { status, text } = await this.ask("GET", path, { timeoutMs: timeoutMs + 5_000 });
    assert.equal(status, 200, `job ${id} has not ended: ${text}`);
    return parseJob(text);
  }

  /** The whole log of a job. */
  async log(id: string): Promise<string> {
    const { status, text } = await this.ask("GET", `/v1/jobs/${id}/logs`);
    assert.equal(status, 200, text);
    return text;
  }

  /** Processes of a unit of the user's manager, as the host numbers them. */
  async pidsOf(groupBelowManager: string): Promise<readonly number[]> {
    const path = this.machine.hostPath(`${MANAGER_GROUP}/${groupBelowManager}/cgroup.procs`);
    const text = await readIfThere(path) ?? "";
    return text.split("\n").filter((line) => line !== "").map(Number);
  }

  /** Reads a file of the machine; `undefined` if there is none. */
  read(path: string): Promise<string | undefined> {
    return readIfThere(this.machine.hostPath(path));
  }

  /** Writes a file of the suite's user. */
  async write(path: string, text: string): Promise<void> {
    const script = 'umask 077; mkdir -p "${1%/*}" && cat >"$1"';
    await this.machine.run(["sh", "-c", script, "write", path], { user: SUITE_USER, stdin: text });
  }

  /** Journal messages of both programs, at `priority` or above. */
  async journal(priority = "debug"): Promise<string> {
    const units = ["cicd-runner.service", "cicd-agent@*.service"].map((unit) =>
      `--user-unit=${unit}`
    );
    await this.machine.run(["journalctl", "--sync"]);
    // Asked by another account, root included, `--user-unit` is about that account's own units.
    return await this.run([
      "journalctl",
      "--quiet",
      "--output=cat",
      `--priority=${priority}`,
      ...units,
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client?.client[Symbol.dispose]();
    await this.#owned[Symbol.asyncDispose]();
  }

  #curl(path: string, args: readonly string[]): readonly string[] {
    const fixed = ["-sS", "-N", "--max-time", "50", "--unix-socket", SOCKET];
    return ["curl", ...fixed, ...args, `http://localhost${path}`];
  }

  /** The machine's root has another name after each boot. */
  #connected(): UnixClient {
    const path = this.machine.hostPath(SOCKET);
    if (this.#client?.path !== path) {
      this.#client?.client[Symbol.dispose]();
      this.#client = { path, client: new UnixClient(path) };
    }
    return this.#client.client;
  }
}

/** Arguments of `curl` that post JSON. */
export function postArgs(body: unknown): readonly string[] {
  return ["-H", "Content-Type: application/json", "--data-binary", JSON.stringify(body)];
}

/** Reads a job as the API shows it. */
export function parseJob(text: string): JobSeen {
  return JSON.parse(text) as JobSeen;
}
