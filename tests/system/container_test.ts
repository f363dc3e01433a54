/**
 * Container jobs of an ordinary account: the installed build under its own `systemd --user`, with
 * an engine that root runs beside it.
 */
import assert from "node:assert/strict";
import { existsSync } from "@lib/foundations/files/records.ts";
import { BUSYBOX } from "../support/docker_engine.ts";
import { startRegistry } from "../support/image_registry.ts";
import {
  type JobSeen,
  parseJob,
  postArgs,
  type SuiteInMachine,
} from "../support/suite_in_machine.ts";
import { bootSuiteWithEngine } from "../support/suite_with_engine.ts";

const RUNNER = "cicd-runner.service";
const AGENT = "cicd-agent@web.service";
const LINES = 1_200;
/** Counts for two seconds and more, and says with its exit code that it came to its own end. */
const COUNT = [
  `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo line $i`,
  "[ $((i % 60)) != 0 ] || sleep 0.1; done; exit 7",
].join("; ");

Deno.test("container jobs run for an ordinary account with the system's engine", async (t) => {
  await using stage = await bootSuiteWithEngine(
    "idle_exit: 2s\nagent_idle_exit: 2s\nprojects: { web: { containers: { allow: [user] } } }\n",
  );
  const { suite, engine, stateDir, repository } = stage;
  const job = (more: Readonly<Record<string, unknown>>) => ({
    project: "web",
    image: BUSYBOX,
    ...more,
  });
  const follow = async (more: Readonly<Record<string, unknown>>) => {
    const { stdout } = await suite.curl("/v1/jobs?follow=1", ...postArgs(job(more)));
    const id = / job=(\S+)\s*$/.exec(stdout)?.[1] ?? "";
    const { stdout: seen } = await suite.curl(`/v1/jobs/${id}`);
    return { id, log: stdout, seen: parseJob(seen) };
  };

  const ask = async (...args: readonly string[]) =>
    await suite.machine.exec(["/home/dev/.local/bin/cicd-runner", ...args], { user: "dev" });

  await t.step("a job has its checkout and its limits, and gives its artifacts back", async () => {
    const { id, log, seen } = await follow({
      git: { url: repository.url, sha: repository.sha },
      script: [
        "echo begun as $(id -u):$(id -g) in $PWD",
        "./build.sh",
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true",
        "touch $HOME/mine && exit 3",
      ].join("\n"),
      limits: { memory: "64M", cpu: 0.5, tasks: 50 },
      artifacts: { paths: ["out/**"], when: "always" },
    });
    assert.match(log, /^\[setup\] .*\nbegun as 1000:1000 in \/workspace\n67108864\n/s);
    assert.deepEqual([seen.state, seen.exit_code], ["failed", 3], log);
    const { stdout: whole } = await suite.curl(`/v1/jobs/${id}/artifacts/out/a.txt`);
    assert.equal(whole, "from git\n");
    const { stdout: part } = await suite.curl(`/v1/jobs/${id}/artifacts/out/a.txt`, "-r", "5-7");
    assert.equal(part, "git");
    assert.equal(await foreign(suite, stateDir), "");
    await engine.left();
  });

  await t.step("a job of another user owns its files, and then the account does", async () => {
    for (const cached of ["none", "kept"]) {
      const { id, log, seen } = await follow({
        container: { user: "1234:1234" },
        git: { url: repository.url, sha: repository.sha, path: "src/app" },
        files: { "made/of/request": "" },
        caches: [{ name: "store", paths: ["store"] }],
        workdir: "src/app",
        script: [
          "set -e; umask 077; cd /workspace",
          "find . $HOME ! -user 1234 -o ! -group 1234",
          "cat store/deep/saved 2>/dev/null || echo none",
          "echo more >>src/app/build.sh; echo more >>made/of/request; touch $HOME/mine",
          "mkdir -p store/deep out; echo kept >store/deep/saved; echo closed >out/a",
        ].join("\n"),
        artifacts: { paths: ["out/**"], when: "always" },
      });
      assert.equal(seen.state, "succeeded", log);
      assert.deepEqual(ownLines(log).filter((line) => !line.startsWith("cicd-result")), [cached]);
      assert.equal((await suite.curl(`/v1/jobs/${id}/artifacts/out/a`)).stdout, "closed\n");
      assert.equal(await foreign(suite, stateDir), "");
    }
    await engine.left();
  });

  await t.step("the log arrives while the job runs", async () => {
    const script = "echo one; while ! [ -e go ]; do sleep 0.05; done; echo two";
    await using curl = await suite.stream("/v1/jobs?follow=1", ...postArgs(job({ script })));
    const reader = curl.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("one\n")) text += (await reader.read()).value ?? assert.fail(text);
    await suite.machine.waitFor(
      "the agent to say that a job runs",
      async () => /^Project web: 1 running/.test(await suite.show(AGENT, "StatusText")),
    );
    await suite.run(["sh", "-c", `cd ${stateDir}/projects/web/workspaces/1 && touch go`]);
    for (let next = await reader.read(); next.value !== undefined; next = await reader.read()) {
      text += next.value;
    }
    assert.match(text, /two\ncicd-result state=succeeded exit_code=0 /);
    const isIdle = async () =>
      /Status: "Project web: idle \(unit\)"/.test(await suite.systemctl("status", AGENT));
    await suite.machine.waitFor("the agent to say that it is idle", isIdle);
  });

  await t.step(
    "a job that exceeds its memory limit is killed, and its result says so",
    async () => {
      const script = "a=x; while :; do a=$a$a; done";
      const { seen } = await follow({ script, limits: { memory: "32M" } });
      assert.deepEqual([seen.state, seen.reason], ["failed", "oom_killed"]);
      assert.match(seen.message ?? "", /its 32M limit/);
    },
  );

  await t.step("a cancelled job leaves nothing", async () => {
    const script = "trap '' TERM; echo here; sleep 1000 & wait; sleep 1000";
    const { id } = await suite.submit(job({ script, grace: "200ms" }));
    await logHolds(suite, id, "here\n");
    assert.equal((await engine.containers()).length, 1);
    await suite.curl(`/v1/jobs/${id}/cancel`, "-X", "POST");
    assert.equal((await suite.ended(id)).state, "cancelled");
    await engine.left();
  });

  const accidents = [
    ["the agent is killed", ["kill", "--signal=KILL", AGENT]],
    ["the runner is killed", ["kill", "--signal=KILL", RUNNER]],
    ["both are restarted", ["restart", RUNNER, AGENT]],
  ] as const;
  for (const [what, args] of accidents) {
    await t.step(`a job goes on while ${what}, once and with its whole log`, async () => {
      const { id } = await suite.submit(job({ script: COUNT }));
      await logHolds(suite, id, "line 180\n");
      const before = await suite.show(AGENT, "MainPID");
      await suite.systemctl(...args);
      const seen = await suite.ended(id);
      assert.deepEqual(
        [seen.state, seen.exit_code, seen.attempt],
        ["failed", 7, 1],
        seen.message ?? "",
      );
      assert.deepEqual(ownLines(await suite.log(id)), counted());
      await engine.left();
      if (args.some((arg) => arg === AGENT)) {
        assert.notEqual(await suite.show(AGENT, "MainPID"), before);
      }
    });
  }

  await t.step("a job that arrives after both have left when idle wakes them", async () => {
    for (const unit of [AGENT, RUNNER]) {
      const isOff = async () => await suite.show(unit, "ActiveState") === "inactive";
      await suite.machine.waitFor(`${unit} to exit`, isOff);
    }
    const { seen } = await follow({ command: ["true"] });
    assert.equal(seen.state, "succeeded");
  });

  await t.step("doctor finds the engine", async () => {
    const { stdout } = await ask("doctor");
    assert.match(stdout, /Container engine.*\n?.*Docker \d.* at unix:\/\/\/var\/run\/docker\.sock/);
  });

  await t.step(
    "what jobs left as root goes through the engine: by the agent, and by cleaning",
    async () => {
      // By an agent that was killed before it had removed it.
      await suite.systemctl("stop", AGENT);
      await using agents = await leaveAsRoot(stateDir, "agents");
      assert.equal((await follow({ command: ["true"] })).seen.state, "succeeded");
      await suite.machine.waitFor("the agent to remove it", agents.isGone);
      await using runners = await leaveAsRoot(stateDir, "runners");
      const { items, remains } = JSON.parse((await ask("clean", "--json")).stdout);
      assert.deepEqual(items.map(({ name, outcome }: Record<string, unknown>) => [name, outcome]), [
        ["web/workspaces/.gone-runners", "removed"],
      ]);
      assert.equal(remains.count, 0);
      assert.ok(await runners.isGone());
      assert.equal(await foreign(suite, stateDir), "");
    },
  );

  await t.step("housekeeping removes an unused image that a job brought", async () => {
    await using registry = await startRegistry();
    const { log } = await follow({ image: registry.image, command: ["/none"] });
    assert.match(log, /team\/tiny/);
    assert.equal(await suite.systemctl("is-active", "cicd-clean.timer"), "active");
    const images = async () => {
      const all = await engine.client.listImages(AbortSignal.timeout(10_000));
      return all.flatMap(({ tags }) => tags).sort();
    };
    assert.deepEqual(await images(), [registry.image, BUSYBOX].sort());
    await suite.systemctl("start", "cicd-clean.service");
    assert.deepEqual(await images(), [registry.image, BUSYBOX].sort());
    await suite.run(["sh", "-c", `touch --date='20 days ago' ${stateDir}/images/*`]);
    await suite.systemctl("start", "cicd-clean.service");
    assert.deepEqual(await images(), [BUSYBOX]);
    const journal = ["journalctl", "--user", "--quiet", "-t", "cicd-clean", "-o", "cat"];
    assert.match(await suite.run(journal), /^image +1 .*\nRemoved 1 thing /m);
  });

  await t.step("no program found anything to warn about", async () => {
    await suite.machine.run(["journalctl", "--sync"]);
    const ours = ["cicd-runner", "cicd-agent", "cicd-agent-web", "cicd-clean"].map((id) =>
      `--identifier=${id}`
    );
    const argv = ["journalctl", "--user", "--quiet", "--priority=warning", "--output=cat"];
    assert.equal(await suite.run([...argv, ...ours]), "");
  });

  await t.step("what not even the engine can remove is listed by clean and doctor", async () => {
    await using left = await leaveAsRoot(stateDir, "stuck", "chattr +i");
    const { stdout, stderr, code } = await ask("clean", "--json");
    assert.equal(code, 1, stderr);
    const { remains: { count, items: [only] } } = JSON.parse(stdout);
    assert.equal(count, 1);
    assert.equal(only.path, "projects/web/workspaces/.gone-stuck");
    assert.match(only.reason, /rm: cannot remove .*: Operation not permitted; by the engine: /);
    assert.match(
      (await ask("doctor")).stdout,
      /^warn Removal after jobs: 1 thing .*\.gone-stuck /m,
    );
    assert.equal(await left.isGone(), false);
  });

  await t.step("without an engine, and with one it may not use, a job says so", async () => {
    await stage.showEngine(false);
    // It has an open connection, for which the socket's name does not matter.
    await suite.systemctl("stop", AGENT);
    const absent = await follow({ command: ["true"] });
    assert.equal(absent.seen.state, "failed");
    assert.match(absent.log, /\[setup\] .*engine/);
    await stage.showEngine(true);
    await stage.allowGroup(false);
    await suite.systemctl("stop", AGENT);
    const refused = await follow({ command: ["true"] });
    assert.match(refused.log, /may not use the engine's socket; is it in the engine's group\?/);
    await stage.allowGroup(true);
    assert.equal((await follow({ command: ["true"] })).seen.state, "succeeded");
  });
});

/** Leaves a directory that only root may change, with a name that is not UTF-8. */
async function leaveAsRoot(stateDir: string, name: string, how = "true") {
  const path = `${stateDir}/projects/web/workspaces/.gone-${name}`;
  const sh = async (script: string) => {
    const { success } = await new Deno.Command("sh", { args: ["-ec", script, "sh", path] })
      .output();
    assert.ok(success, script);
  };
  await sh(
    `mkdir -p "$1/$(printf 'x\\377')/deep"; chmod -R 700 "$1"; touch -d yesterday "$1"; ${how} "$1"`,
  );
  return {
    isGone: () => Promise.resolve(!existsSync(path)),
    [Symbol.asyncDispose]: () => sh(`! [ -e "$1" ] || { chattr -i "$1"; rm -rf "$1"; }`),
  };
}

/** Files in the state directory that do not belong to the account. */
function foreign(suite: SuiteInMachine, stateDir: string): Promise<string> {
  return suite.machine.run([
    "find",
    stateDir,
    "(",
    "!",
    "-uid",
    "1000",
    "-o",
    "!",
    "-gid",
    "1000",
    ")",
  ]);
}

async function logHolds(suite: SuiteInMachine, id: JobSeen["id"], text: string): Promise<void> {
  const probe = async () => (await suite.log(id)).includes(text);
  await suite.machine.waitFor(`the log of ${id} to hold ${text}`, probe);
}

function ownLines(log: string): readonly string[] {
  return log.split("\n").filter((line) => line !== "" && !line.startsWith("[setup]"));
}

function counted(): readonly string[] {
  return Array.from({ length: LINES }, (_, at) => `line ${at + 1}`);
}
