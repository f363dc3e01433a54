import assert from "node:assert/strict";
import { painter } from "@lib/api/client/format.ts";
import type { HostAnswer } from "@lib/features/host/client.ts";
import { renderTop } from "@lib/features/host/top/render_top.ts";
import { makeFrame, type TopLoad } from "@lib/features/host/top/top_frame.ts";
import { bar, sparkline } from "@lib/foundations/cli/bars.ts";
import { toJobView } from "@lib/features/jobs/job_view.ts";
import { makeJob, makeSpec } from "../../../support/job_fixtures.ts";

const JOB = makeJob({
  state: "running",
  attempt: 1,
  startedAt: 1_000,
  spec: makeSpec({ work: { kind: "command", argv: ["echo", "\x1b[2J\u202eevil\n"] } }),
});

/** A machine after `seconds`, of which one of two processors was busy, half of that with the job. */
function hostAfter(seconds: number): HostAnswer {
  return {
    at: new Date(seconds * 1_000).toISOString(),
    inventory: null,
    uptime_seconds: 3_600 + seconds,
    load: [1, 2, 3],
    cpu: {
      count: 2,
      busy_seconds: seconds,
      idle_seconds: seconds - seconds / 10,
      iowait_seconds: 0,
      steal_seconds: seconds / 10,
    },
    memory: {
      total_bytes: 1_000,
      available_bytes: 250,
      swap_total_bytes: 0,
      swap_free_bytes: 0,
    },
    disks: (["state", "runtime"] as const).map((use) => ({
      use,
      path: `/${use}\x1b]0;title\x07`,
      total_bytes: 100,
      free_bytes: 40,
      files: 0,
      free_files: 0,
    })),
    pressure: { cpu: null, memory: null, io: null },
    cgroup: { version: 2, controllers: [], delegated: [] },
    network: [{
      interface: "eth0",
      received_bytes: 1_024 * seconds,
      receive_errors: 0,
      sent_bytes: 0,
      send_errors: 0,
    }],
    runner: { resident_bytes: 1, cpu_seconds: 1 },
    agents: [],
    projects: [],
    jobs: [{
      id: JOB.id,
      project: "web",
      attempt: 1,
      cpu_seconds: seconds / 2,
      memory_bytes: 512,
      memory_limit_bytes: 1_024,
      tasks: 1,
      cpu_limit: 0.5,
    }],
  };
}

function loadAfter(seconds: number): TopLoad {
  const view = toJobView(JOB, { waiting: undefined });
  return {
    host: hostAfter(seconds),
    queue: {
      version: "1.0",
      mode: "open",
      queued: 1,
      in_flight: 1,
      max_running: 4,
      ready: false,
      reasons: ["the disk is \x1b[31mfull"],
    },
    projects: [{ project: "web", mode: "paused", queued: 1, in_flight: 1, max_running: 2 }],
    working: [view],
    queued: [{ ...view, state: "queued", waiting: "4 of 4 jobs are running" }],
  };
}

const NO_HISTORY = { cpu: [], memory: [], jobs: new Map() };

Deno.test("makeFrame() makes rates of two looks, and none of one", () => {
  const first = makeFrame(loadAfter(10), undefined);
  assert.equal(first.host.cpu, null);
  assert.equal(first.jobs[0]?.cpus, null);
  assert.equal(first.jobs[0]?.memory_limit_bytes, 1_024);
  const { host, jobs } = makeFrame(loadAfter(20), hostAfter(10));
  assert.equal(host.cpu, 0.5);
  assert.equal(host.steal?.toFixed(3), "0.050");
  assert.equal(host.memory, 0.75);
  assert.equal(host.received_bytes_per_second, 1_024);
  assert.equal(jobs[0]?.cpus, 0.5);
});

Deno.test("makeFrame() makes no rate of a counter that began anew", () => {
  const before = hostAfter(30);
  assert.equal(makeFrame(loadAfter(40), { ...before, jobs: [] }).jobs[0]?.cpus, null);
  const again = { ...loadAfter(40), host: { ...hostAfter(10), at: hostAfter(40).at } };
  assert.equal(makeFrame(again, before).jobs[0]?.cpus, null);
  assert.equal(makeFrame(again, before).host.received_bytes_per_second, null);
});

Deno.test("renderTop() shows nothing that a job could tell the terminal, in any width", async () => {
  for (const columns of [20, 44, 80, 200]) {
    const lines = await renderTop(makeFrame(loadAfter(20), hostAfter(10)), {
      history: { ...NO_HISTORY, cpu: [0, 0.5, 1] },
      jobs: loadAfter(20).working,
      queued: loadAfter(20).queued,
      now: 61_000,
      paint: painter(false),
      columns,
    });
    const text = lines.join("\n");
    assert.doesNotMatch(lines.join(""), /[\p{Cc}\u202a-\u202e]/u);
    // Tables keep a least width for their columns.
    for (const line of lines.slice(0, 6)) assert([...line].length <= columns, line);
    if (columns < 80) continue;
    assert.match(text, /^CPU {5}█{10}·{10} {2}50\.0% {2}▁▅█ {2}5\.0% stolen$/m);
    assert.match(text, /^Queue .* 1\/4 {2}1 queued$/m);
    assert.match(text, /^! the disk is .\[31mfull$/m);
    assert.match(text, /^web +paused +1\/2 +1 /m);
    assert.match(text, /running +0\.50\/0\.50 +512B +1K +1m /);
    assert.match(text, /4 of 4 jobs are running/);
    // One line for directories on one disk.
    assert.equal(lines.filter((line) => line.startsWith("Disk")).length, 1);
  }
});

Deno.test("bar() and sparkline() stay in their bounds", () => {
  assert.equal(bar(0, 4), "····");
  assert.equal(bar(0.5, 4), "██··");
  assert.equal(bar(0.53, 4), "██▏·");
  assert.equal(bar(9, 4), "████");
  assert.equal(bar(NaN, 4), "····");
  assert.equal(sparkline([0, 0.49, 1, 7, undefined, -1], 5), "▄██ ▁");
});
