import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { fromFileUrl } from "@lib/core/file_url.ts";
import { lockState } from "@lib/foundations/store/state_lock.ts";
import { pause } from "../support/runner_process.ts";

const MAIN = fromFileUrl(new URL("../../cmd/runner/main.ts", import.meta.url).href);
/** Exit codes after which the units do not start the runner again. */
const NOT_RETRIED = [64, 77, 78];
const STARTS_WITHIN_MS = 30_000;

/** A state directory, and a runner that is started by a connection to its socket. */
class Activated implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "refused-" });
  readonly stateDir = `${this.directory}/state`;
  readonly db = `${this.stateDir}/runner.db`;
  readonly #socket = `${this.directory}/r.sock`;

  constructor() {
    Deno.mkdirSync(this.stateDir, { mode: 0o700 });
    Deno.mkdirSync(`${this.directory}/xdg`, { mode: 0o700 });
    Deno.writeTextFileSync(`${this.directory}/config.yaml`, `state_dir: ${this.stateDir}\n`);
  }

  /** Sends two requests, of which the first starts the runner; returns them and its end. */
  async ask() {
    const process = new Deno.Command("systemd-socket-activate", {
      args: [
        `--listen=${this.#socket}`,
        ...[Deno.execPath(), "run", "--quiet", "--allow-all", MAIN, "daemon"],
        `--config=${this.directory}/config.yaml`,
        `--runtime-dir=${this.directory}/run`,
      ],
      env: { HOME: this.directory, XDG_RUNTIME_DIR: `${this.directory}/xdg` },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: this.#socket } });
    const problem = async () => {
      const deadline = Date.now() + STARTS_WITHIN_MS;
      while (true) {
        try {
          const response = await fetch("http://localhost/v1/status", { client });
          return await response.json();
        } catch (error) {
          if (Date.now() > deadline) throw error;
          await pause(50);
        }
      }
    };
    const problems = await Promise.all([problem(), problem()]);
    const { code, stderr } = await process.output();
    return { problems, code, stderr: new TextDecoder().decode(stderr) };
  }

  /** Returns the ids, without paths, of the problems that `doctor` finds. */
  async doctor(): Promise<readonly string[]> {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-all", MAIN, "doctor", "--json"]
        .concat(`--config=${this.directory}/config.yaml`, `--socket=${this.#socket}`),
      env: { HOME: this.directory, XDG_RUNTIME_DIR: `${this.directory}/xdg` },
      stdin: "null",
    }).output();
    const { checks } = JSON.parse(new TextDecoder().decode(stdout));
    return checks.filter(({ status }: { readonly status: string }) => status === "problem")
      .map(({ id }: { readonly id: string }) => id.split(":", 1)[0]);
  }

  async [Symbol.asyncDispose]() {
    await Deno.chmod(this.stateDir, 0o700);
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** What is in a state directory, except for the lock. */
function contentOf(directory: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...Deno.readDirSync(directory)]
      .filter(({ isFile, name }) => isFile && !name.endsWith(".lock"))
      .map((
        { name },
      ) => [name, Buffer.from(Deno.readFileSync(`${directory}/${name}`)).toString("hex")]),
  );
}

const CASES: readonly {
  readonly name: string;
  readonly code: string;
  readonly detail: RegExp;
  /** The check of `doctor` that finds it while no runner is up. */
  readonly doctor: string | undefined;
  readonly spoil: (t: Activated) => void;
}[] = [
  {
    name: "a database of random bytes",
    code: "store_corrupt",
    detail: /is damaged .* restore a backup/,
    doctor: "database",
    spoil: ({ db }) => Deno.writeFileSync(db, crypto.getRandomValues(new Uint8Array(50_000))),
  },
  {
    name: "a database that was emptied",
    code: "store_corrupt",
    detail: /missing or empty, but had 12 changes/,
    doctor: "database",
    spoil({ db }) {
      Deno.writeTextFileSync(db, "");
      Deno.writeTextFileSync(`${db}.mark`, "0000000000000012\n");
    },
  },
  {
    name: "a state directory of mode 0500",
    code: "store_unusable",
    detail: /its mode is 0500, not 0700/,
    doctor: "state_dir",
    spoil: ({ stateDir }) => Deno.chmodSync(stateDir, 0o500),
  },
  {
    name: "a log of the database that cannot be read",
    code: "store_unusable",
    detail: /runner\.db-wal is not a file; make its directory/,
    doctor: "database",
    spoil: ({ db }) => Deno.mkdirSync(`${db}-wal`),
  },
  {
    name: "a lock file that cannot be written",
    code: "store_unusable",
    detail: /Cannot use lock file/,
    doctor: undefined,
    spoil: ({ stateDir }) => Deno.mkdirSync(`${stateDir}/cicd-runner.lock`),
  },
];

for (const { name, code, detail, doctor, spoil } of CASES) {
  Deno.test(`${name} is answered to every caller, and not tried again`, async () => {
    await using t = new Activated();
    spoil(t);
    const before = contentOf(t.stateDir);
    const { problems, code: exitCode, stderr } = await t.ask();
    for (const problem of problems) {
      assert.equal(problem.code, code);
      assert.match(problem.detail, detail);
    }
    assert(NOT_RETRIED.includes(exitCode), `${exitCode}: ${stderr}`);
    assert.match(stderr, detail);
    assert.deepEqual(contentOf(t.stateDir), before);
    if (doctor !== undefined) assert((await t.doctor()).includes(doctor));
  });
}

Deno.test("a start that fails for now is answered too, and tried again slowly", async () => {
  await using t = new Activated();
  using _other = lockState(t.stateDir);
  const startedAt = Date.now();
  const { problems, code } = await t.ask();
  for (const problem of problems) assert.equal(problem.code, "store_locked");
  assert.equal(code, 75);
  assert(Date.now() - startedAt >= 4_000);
});
