import assert from "node:assert/strict";
import {
  ago,
  oneLine,
  outcome,
  painter,
  renderJobs,
  resultLine,
  runTime,
  workOf,
} from "@lib/api/client/format.ts";
import type { JobAnswer } from "@lib/api/client/jobs.ts";
import { show } from "@lib/features/jobs/commands/show.ts";
import { status } from "@lib/features/status/command_status.ts";
import { answer, fakeRunner, jobAnswer, printedBy } from "./_fakes.ts";

const now = Date.parse("2026-01-01T01:00:05Z");
const plain = painter(false);

Deno.test("ago() is coarse", () => {
  assert.equal(ago("2026-01-01T01:00:05Z", now), "now");
  assert.equal(ago("2026-01-01T01:00:00Z", now), "5s ago");
  assert.equal(ago("2026-01-01T00:00:00Z", now), "1h ago");
  assert.equal(ago("2025-12-29T21:58:00Z", now), "2d 3h ago");
  assert.equal(ago("2026-01-01T02:00:00Z", now), "now");
  assert.equal(ago("nonsense", now), "");
});

Deno.test("runTime() is the time so far while the job runs", () => {
  assert.equal(runTime(jobAnswer(), now), "2s");
  assert.equal(
    runTime(jobAnswer({ started_at: "2026-01-01T01:00:00Z", finished_at: null }), now),
    "5s",
  );
  assert.equal(runTime(jobAnswer({ started_at: null, finished_at: null }), now), "");
});

Deno.test("resultLine() gives state, exit code and usage", () => {
  const { id } = jobAnswer();
  assert.equal(
    resultLine(jobAnswer()),
    `job ${id} succeeded (exit code 0, 2s wall, 1.5s CPU, 1M memory peak)`,
  );
  const usage = {
    cpu_seconds: null,
    memory_peak_bytes: null,
    wall_seconds: null,
    cpu_throttled_seconds: null,
    containment: null,
  };
  assert.equal(
    resultLine(jobAnswer({
      state: "timed_out",
      reason: "timeout",
      exit_code: null,
      signal: "SIGKILL",
      message: "Ran\nlonger",
      usage,
    })),
    `job ${id} timed out (signal SIGKILL): Ran longer`,
  );
});

Deno.test("resultLine() does not repeat the exit code, and gives what else there is to say", () => {
  const failed = { state: "failed", exit_code: 2 } as const;
  const line = (message: string) => resultLine(jobAnswer({ ...failed, message }));
  assert.match(line("Exited with code 2"), / failed \(exit code 2, [^)]*\)$/);
  assert.match(line("Exited with code 2; a process was killed"), /\): Exited .* was killed$/);
});

Deno.test("outcome() says what the state does not", () => {
  assert.equal(outcome(jobAnswer()), "");
  assert.equal(outcome(jobAnswer({ state: "failed", exit_code: 3 })), "exit 3");
  assert.equal(outcome(jobAnswer({ state: "failed", reason: "oom_killed" })), "oom killed");
  assert.equal(
    outcome(jobAnswer({ state: "running", reason: null, cancelling: true })),
    "cancelling",
  );
});

Deno.test("workOf() is one line that can be read and cannot steer the terminal", () => {
  assert.equal(
    workOf({ spec: { command: ["sh", "-c", "echo 'a b'"] } }),
    `sh -c 'echo '\\''a b'\\'''`,
  );
  assert.equal(workOf({ spec: { script: "#!/bin/sh\n\n  make all\nmake more" } }), "make all");
  assert.ok(!/\p{Cc}/u.test(workOf({ spec: { command: ["\x1b]0;owned\x07", "a\nb"] } })));
  assert.equal(oneLine("a\r\n  b\x1b[2J"), "a b\u{fffd}[2J");
});

Deno.test("painter() leaves texts alone where there is no colour", () => {
  assert.equal(plain("bad", "x"), "x");
  assert.equal(painter(true)("bad", "x"), "\x1b[31mx\x1b[0m");
  assert.equal(painter(true)("bad", ""), "");
});

Deno.test("renderJobs() shortens ids as long as they differ", async () => {
  const ids = ["0192f3a4-0000-7000-8000-000000000001", "0192f3a4-0000-7000-9000-000000000001"];
  const lengthOf = async (shown: readonly string[]) => {
    const jobs = shown.map((id) => jobAnswer({ id }));
    const [, row = ""] = await renderJobs(jobs, { now, paint: plain, width: 200 });
    return row.indexOf(" ");
  };
  assert.equal(await lengthOf(ids.slice(1)), 11);
  assert.equal(await lengthOf(ids), 20);
  assert.equal(await lengthOf([...ids, ids[0] ?? ""]), 36);
});

Deno.test("renderJobs() shows whole ids where nothing must be cut", async () => {
  const [titles, row] = await renderJobs([jobAnswer()], { now, paint: plain });
  assert.match(titles ?? "", /^ID +PROJECT +STATE +WHY +AGE +TIME +RUNS$/);
  assert.match(
    row ?? "",
    /^0192f3a4-0000-7000-8000-000000000001 +web +succeeded +1h ago +2s +make test$/,
  );
});

async function shown(job: Partial<JobAnswer>): Promise<string> {
  const { runner } = fakeRunner(() => answer(200, jobAnswer(job)));
  return (await printedBy(show, ["0192f3a4"], { runner, now })).join("\n");
}

Deno.test("show lists attempts when there were several", async () => {
  const attempt = { ...jobAnswer(), number: 1, log_bytes: 2048, state: "failed" };
  assert.ok(!(await shown({ attempts: [attempt] })).includes("ATTEMPT"));
  const twice = await shown({ attempts: [attempt, { ...attempt, number: 2 }] });
  assert.match(twice, /ATTEMPT +STATE +STARTED +TIME +LOG/);
  assert.match(twice, /2 +failed +1h ago +2s +2K/);
});

Deno.test("show prints image, commit, and what is kept", async () => {
  const job = jobAnswer();
  const text = await shown({
    reason: "checkout_failed",
    state: "failed",
    message: 'Cannot check out "https://example.org/a.git": there is no branch "nope"',
    limits: { ...job.limits, disk_bytes: 1024 },
    spec: {
      ...job.spec,
      image: "node:22\x1b[31m",
      network: "none",
      git: { url: "https://example.org/a.git", ref: "nope", sha: "abc" },
      artifacts: { paths: ["dist/**", "log"], when: "always" },
      caches: [{ name: "npm" }, { name: "tsc" }],
    },
  });
  assert.match(text, /^state +failed \(checkout failed\)$/m);
  assert.match(text, /^message +Cannot check out .* no branch "nope"$/m);
  assert.match(text, /^image +node:22\ufffd\[31m \(network none\)$/m);
  assert.match(text, /^git +https:\/\/example\.org\/a\.git \(nope at abc\)$/m);
  assert.match(text, /^artifacts +dist\/\*\*, log \(kept after: always\)$/m);
  assert.match(text, /^caches +npm, tsc$/m);
  assert.match(text, /^limits +.*1K disk/m);
});

const WEB = { project: "web", mode: "open", queued: 0, in_flight: 1, max_running: 4 };

Deno.test("status shows the limits of projects, and why the runner is not ready", async () => {
  const running = (project: string) => jobAnswer({ project, state: "running", finished_at: null });
  const agents: Readonly<Record<string, unknown>> = {
    web: { running: true, limits: { cpu: 1.5, memory_bytes: 2 * 1024 ** 3 } },
    api: { running: true, limits: {} },
    old: { running: false },
  };
  const { runner } = fakeRunner(({ path }) => {
    const project = /^\/v1\/projects\/(\w+)$/.exec(path)?.[1];
    if (project !== undefined) return answer(200, { ...WEB, project, agent: agents[project] });
    if (path === "/v1/status") {
      return answer(200, {
        build: "source",
        version: "1.2.3",
        pid: 1,
        started_at: "2026-01-01T00:00:00Z",
        agents: "systemd",
        state_dir: "/s",
        mode: "draining",
        queued: 2,
        in_flight: 1,
        max_running: 4,
        ready: false,
        reasons: ["the disk is full"],
      });
    }
    const jobs = path.includes("running") ? ["web", "api", "old"].map(running) : [];
    return answer(200, { jobs, next_cursor: null });
  });
  const lines = await printedBy(status, [], { runner, now });
  assert.match(
    lines[0] ?? "",
    /^cicd-runner 1\.2\.3 {2}not ready {2}draining {2}1 of 4 running, 2 queued/,
  );
  assert.equal(lines[1], "! the disk is full");
  assert.equal(lines[2], "web is limited to 1.5 CPU, 2G memory");
  assert.equal(lines[3], "");
  assert.ok(lines.some((line) => line.includes("old")));
});
