import assert from "node:assert/strict";
import { editDaemon, publish, type PublishOptions, replace } from "../support/published_release.ts";
import { releaseUnderTest } from "../support/release.ts";
import { bootSuite, STATE_DIR, SUITE_USER } from "../support/suite_in_machine.ts";

const CONFIG = `queue: { max_running: 20 }
projects: { web: { max_running: 10 }, api: { max_running: 10 } }
`;
const RUNNING = 20;
const QUEUED = 5;
const INSTALLED = "/home/dev/.local/lib/cicd-toolkit";
/** Another release to upgrade from; one that cannot do it is upgraded by the new one, unpacked. */
const BEFORE = Deno.env.get("CICD_TEST_BEFORE");
const CICD = BEFORE === undefined
  ? ["/home/dev/.local/bin/cicd-runner", "upgrade"]
  : ["/unpacked/bin/cicd-runner", "upgrade", "--prefix", "/home/dev/.local"];

const MIGRATED = `${STATE_DIR}/migrated`;
/** Migrates the database, which the release before refuses then, and does nothing more. */
const MIGRATES = `import { DatabaseSync } from "node:sqlite";
const db = new DatabaseSync("${STATE_DIR}/runner.db");
db.exec("ALTER TABLE jobs ADD COLUMN later TEXT");
db.exec("INSERT OR REPLACE INTO schema_versions VALUES ('jobs', 99)");
db.close();
Deno.writeTextFileSync("${MIGRATED}", "");
setInterval(() => {}, 1000);
`;

/** The gate takes the time for some steps only; `deno task test:upgrade` takes them all. */
const TAKES_ALL = Deno.env.get("CICD_TEST_UPGRADE") === "all";

type Damage = NonNullable<PublishOptions["damage"]>;

/** Releases that are no good, and what the upgrade says of each. */
const BROKEN: Readonly<
  Record<string, {
    readonly damage: Damage;
    readonly within?: string;
    readonly isInGate?: true;
    readonly why: RegExp;
  }>
> = {
  "does not start": {
    within: "3s",
    damage: (lib) => replace(`${lib}/daemon.js`, 'console.error("boom");\nDeno.exit(3);\n'),
    why: /the runner does not answer/,
  },
  "never gets ready": {
    within: "3s",
    damage: (lib) => replace(`${lib}/daemon.js`, MIGRATES),
    isInGate: true,
    why: /the runner does not answer/,
  },
  "answers with another version": {
    damage: (lib) => editDaemon(lib, '="0.9.9"', '="0.0.1"'),
    why: /answers as version 0\.0\.1, not 0\.9\.9/,
  },
  "does not find the agents of running jobs": {
    damage: (lib) => editDaemon(lib, "}/agents/${", "}/agentz/${"),
    why: /agent/,
  },
};

Deno.test({
  name: "upgrade keeps a release that takes over the jobs, and goes back from any other",
  // Executables cannot be edited.
  ignore: Deno.env.get("CICD_TEST_LAYOUT") === "executable",
  async fn(t) {
    await using stack = new AsyncDisposableStack();
    const signal = AbortSignal.timeout(600_000);
    const release = await releaseUnderTest(stack, signal);
    const out = await Deno.makeTempDir({ prefix: "cicd-upgrade-" });
    stack.defer(() => Deno.remove(out, { recursive: true }));
    await Deno.chmod(out, 0o755);
    const suite = stack.use(
      await bootSuite({
        config: CONFIG,
        binds: [
          { host: out, machine: "/published" },
          { host: release, machine: "/unpacked" },
        ],
        release: BEFORE ?? release,
        signal,
      }),
    );
    const upgrade = (name: string, ...args: readonly string[]) =>
      suite.machine.exec(
        [...CICD, "--from", `file:///published/${name}`, ...args],
        { user: SUITE_USER, timeoutMs: 180_000 },
      );
    const current = () => suite.run(["readlink", `${INSTALLED}/current`]);
    const first = await current();
    const jobs: { readonly id: string; readonly code: number }[] = [];
    for (let code = 1; code <= RUNNING + QUEUED; code++) {
      const script = `i=0; until [ -e ~/go ]; do i=$((i+1)); echo line $i; sleep 0.2; done
echo "lines $i"; exit ${code}`;
      const { id } = await suite.submit({ project: code % 2 === 0 ? "web" : "api", script });
      jobs.push({ id, code });
    }
    const states = async () => {
      const found = await Promise.all(jobs.map(({ id }) => suite.job(id)));
      return found.map(({ state, attempt }) => `${state} ${attempt}`).sort();
    };
    const expected = [
      ...Array.from({ length: QUEUED }, () => "queued 0"),
      ...Array.from({ length: RUNNING }, () => "running 1"),
    ];
    await suite.machine.waitFor(
      "the jobs",
      async () => (await states()).join() === expected.join(),
      { timeoutMs: 60_000 },
    );
    for (const [name, { damage, within = "10s", isInGate, why }] of Object.entries(BROKEN)) {
      if (!isInGate && !TAKES_ALL) continue;
      await t.step(`a release that ${name} is rolled back`, async () => {
        const place = name.replaceAll(" ", "-");
        await publish({ release, out: `${out}/${place}`, version: "0.9.9", damage, signal });
        const done = await upgrade(place, "--within", within);
        assert.equal(done.code, 1, done.stdout + done.stderr);
        assert.match(done.stdout, /^rolled back to 0\.1\.0: 0\.9\.9 is no good: /);
        assert.match(done.stdout, why);
        assert.match(done.stdout, /^0\.1\.0 is running again/m, done.stderr);
        assert.equal(await current(), first);
        assert.deepEqual(await states(), expected);
        assert.deepEqual(await left(), []);
      });
    }
    /** What an upgrade leaves behind. */
    async function left(): Promise<readonly string[]> {
      const places = ["/run/user/1000/systemd/user", "/home/dev/.config/systemd", INSTALLED];
      const names = [
        "(",
        "-name",
        "*upgrade*",
        "-o",
        "-name",
        "*.tmp*",
        "-o",
        "-name",
        "0.9.9-*",
        ")",
      ];
      // A place may be gone altogether.
      const options = { user: SUITE_USER };
      const { stdout: found } = await suite.machine.exec(["find", ...places, ...names], options);
      const timers = await suite.systemctl("list-units", "--plain", "--no-legend", "cicd-upgrade*");
      return [...found.split("\n"), ...timers.split("\n")].filter((line) =>
        line !== "" && !line.endsWith("/upgrade.lock")
      );
    }
    await t.step("one that is healthy stays", async () => {
      await publish({ release, out: `${out}/good`, version: "0.2.0", signal });
      const check = await upgrade("good", "--check");
      assert.equal(
        check.stdout,
        "installed: 0.1.0\navailable: 0.2.0 (newer) at file:///published/good\n",
      );
      const done = await upgrade("good");
      assert.equal(done.code, 0, done.stdout + done.stderr);
      assert.equal(done.stdout, "upgraded 0.1.0 to 0.2.0: the runner has taken over 20 jobs\n");
      assert.match(await current(), /^releases\/0\.2\.0-[0-9a-f]{12}$/);
      assert.equal(await suite.run(["readlink", `${INSTALLED}/previous`]), first);
      assert.deepEqual(await states(), expected);
      assert.deepEqual(await left(), []);
      const { text } = await suite.ask("GET", "/v1/status");
      assert.equal(JSON.parse(text).version, "0.2.0");
      const again = await upgrade("good");
      assert.equal(again.stdout, "0.2.0 is installed, and nothing newer is there\n");
    });
    await t.step("the jobs end as they should, with whole logs", async () => {
      await suite.run(["touch", "/home/dev/go"]);
      for (const { id, code } of jobs) {
        const job = await suite.until(id, ["failed", "succeeded", "lost", "cancelled"], 60_000);
        assert.deepEqual([job.state, job.exit_code, job.attempt], ["failed", code, 1]);
        const log = await suite.log(id);
        const lines = Number(/^lines (\d+)\n$/m.exec(log)?.[1]);
        const whole = Array.from({ length: lines }, (_, at) => `line ${at + 1}\n`).join("");
        assert.equal(log, `${whole}lines ${lines}\n`);
      }
    });
    if (!TAKES_ALL) return;
    await t.step("a power cut amid a trial brings the release before back", async () => {
      const out99 = `${out}/cut`;
      const damage: Damage = (lib) => replace(`${lib}/daemon.js`, MIGRATES);
      await publish({ release, out: out99, version: "0.9.9", damage, signal });
      await suite.run(["rm", "-f", MIGRATED]);
      const before = await current();
      const argv = [...CICD, "--from", "file:///published/cut", "--within", "100s"];
      const cut = await suite.machine.spawn(argv, { user: SUITE_USER });
      const hasMigrated = async () =>
        (await suite.machine.exec(["test", "-e", MIGRATED], { user: SUITE_USER })).code === 0;
      await suite.machine.waitFor("the migration", hasMigrated, { timeoutMs: 60_000 });
      await suite.machine.restart("power_cut");
      await cut[Symbol.asyncDispose]();
      assert.equal(await current(), before);
      await suite.machine.waitFor("the end of the trial", async () => (await left()).length === 0, {
        timeoutMs: 60_000,
      });
      const { text } = await suite.ask("GET", "/v1/status");
      assert.equal(JSON.parse(text).version, "0.2.0");
      const last = jobs.at(-1);
      assert.equal((await suite.job(last?.id ?? "")).exit_code, last?.code);
    });
  },
});
