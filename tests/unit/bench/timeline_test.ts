import assert from "node:assert/strict";
import { drawTimeline } from "../../../bench/timeline/draw.ts";
import { functionOffsets } from "../../../bench/timeline/elf_symbols.ts";
import { findTimeline, type TracedJob } from "../../../bench/timeline/points.ts";
import { renderTimeline } from "../../../bench/timeline/render.ts";
import { fieldOf, parseTrace, resultOf } from "../../../bench/timeline/trace_events.ts";

const ID = "0199";
const [CLIENT, RUNNER, AGENT, SYSTEMD, JOB, RECORDER] = [1, 20, 30, 40, 50, 60];
const GROUP = `dst_path=/user.slice/cicd-job-${ID}-1.service`;
const CALL = 'head=0x100016c text="l"';

type Line = readonly [tid: number, text: string];

/** What the kernel records of a warm job, one event each 10 µs. */
const WARM: readonly Line[] = [
  [CLIENT, "tracing_mark_write: request"],
  [RUNNER, "sys_recvfrom -> 0x20"],
  [RUNNER, "sys_recvfrom -> 0x94"],
  [RUNNER, `cgroup_attach_task: dst_root=0 dst_path=/cicd-runner.service pid=${RUNNER} comm=x`],
  [RUNNER, "sys_fsync(fd: 0x19)"],
  [RUNNER, "sys_fsync -> 0x0"],
  [RUNNER, 'send: (0x7f) count=603 head=0x20 text="PUT /attempts/0199/1 HTTP/1.1\r\n"'],
  [AGENT, "sys_recvfrom -> 0x25b"],
  [RUNNER, 'send: (0x7f) count=267 head=0x50 text="HTTP/1.1 201 Created\r\n\r\n"'],
  [CLIENT, "tracing_mark_write: accepted"],
  [AGENT, `open64: (0x7f) path="/home/dev/jobs/${ID}/1/result.draft"`],
  [AGENT, `rename: (0x7f) path="/home/dev/jobs/${ID}/1/attempt.json"`],
  [AGENT, `send: (0x7f) count=228 ${CALL}`],
  [SYSTEMD, "sys_recvmsg -> 0x18"],
  [AGENT, `send: (0x7f) count=3008 ${CALL}`],
  [SYSTEMD, "sys_recvmsg -> 0x18"],
  [SYSTEMD, 'write: (0x7f) count=2257 text="# This is a transient unit file, created\n# Do not"'],
  [SYSTEMD, `sched_process_fork: comm=systemd pid=${SYSTEMD} child_comm=systemd child_pid=${JOB}`],
  [SYSTEMD, `open64: (0x7f) path="/sys/fs/cgroup/cicd-job-${ID}-1.service/cgroup.procs"`],
  [SYSTEMD, `cgroup_attach_task: dst_root=0 ${GROUP} pid=${JOB} comm=systemd`],
  [JOB, `cgroup_attach_task: dst_root=0 ${GROUP} pid=${JOB} comm=(sh)`],
  [JOB, `sched_process_exec: filename=/bin/sh pid=${JOB} old_pid=${JOB}`],
  [JOB, 'write: (0x7f) count=1 text="\n"'],
  [JOB, `sched_process_exit: comm=sh pid=${JOB} prio=120`],
  [SYSTEMD, `sched_process_fork: comm=systemd pid=${SYSTEMD} child_pid=${RECORDER}`],
  [SYSTEMD, `cgroup_attach_task: dst_root=0 ${GROUP} pid=${RECORDER} comm=systemd`],
  [SYSTEMD, `sched_process_wait: comm=systemd pid=${JOB} prio=120`],
  [RECORDER, `sched_process_exec: filename=/bin/sh pid=${RECORDER} old_pid=${RECORDER}`],
  [RECORDER, 'write: (0x7f) count=96 text="record=3\nexit_status=0\n"'],
  [RECORDER, `sched_process_exit: comm=sh pid=${RECORDER} prio=120`],
  [SYSTEMD, `sched_process_wait: comm=systemd pid=${RECORDER} prio=120`],
  [SYSTEMD, "sendmsg: (0x7f) head=0x101046c"],
  [AGENT, "sys_recvfrom -> 0x157"],
  [AGENT, `open64: (0x7f) path="/home/dev/jobs/${ID}/1/result"`],
  [AGENT, `rename: (0x7f) path="/home/dev/jobs/${ID}/1/outcome.json"`],
  [AGENT, 'send: (0x7f) count=232 head=0x69 text="e8\r\n{"kind":"ended","outcome":{}}\r\n"'],
  [RUNNER, "sys_recvfrom -> 0xe8"],
  [RUNNER, "sys_fsync -> 0x0"],
  [RUNNER, 'send: (0x7f) count=157 head=0x50 text="HTTP/1.1 200 OK\r\n\r\n"'],
  [CLIENT, "tracing_mark_write: ended"],
];

/** What comes first if a program has to be started. */
function startOf(name: string, bundle: string, pid: number): readonly Line[] {
  return [
    [SYSTEMD, `sched_process_fork: comm=systemd pid=${SYSTEMD} child_pid=${pid}`],
    [SYSTEMD, `open64: (0x7f) path="/sys/fs/cgroup/${name}.service/cgroup.procs"`],
    [SYSTEMD, `cgroup_attach_task: dst_root=0 dst_path=/${name}.service pid=${pid} comm=systemd`],
    [pid, `sched_process_exec: filename=/usr/bin/env pid=${pid} old_pid=${pid}`],
    [pid, `sched_process_exec: filename=/lib/${name} pid=${pid} old_pid=${pid}`],
    [pid, `open64: (0x7f) path="/lib/${bundle}"`],
    [pid, `openat64: (0x7f) path="/home/dev/.config/cicd-toolkit/config.yaml"`],
    [pid, `open64: (0x7f) path="/state/${name}.lock"`],
    [pid, 'open64: (0x7f) path="/state/runner.db"'],
    [pid, "sys_listen(fd: 3, backlog: 0x200)"],
    [pid, 'sendto: (0x7f) count=19 text="READY=1\nSTATUS=0"'],
  ];
}

function traced(lines: readonly Line[], isCold = false): TracedJob {
  const text = lines.map(([tid, rest], index) =>
    `     some-name-x-${tid}     [001] DBZff 37.${String(100_000 + index * 10)}: ${rest}\n`
  ).join("");
  return {
    events: parseTrace(`# tracer: nop\n#\n${text}`),
    jobId: ID,
    requestBytes: 0x94,
    threads: {
      runner: new Set([RUNNER]),
      agent: new Set([AGENT]),
      systemd: new Set([SYSTEMD]),
    },
    isCold,
  };
}

Deno.test("parseTrace() keeps the line ends of what programs say, and names calls by their side", () => {
  const { events } = traced([
    [7, "sys_fsync(fd: 0x19)"],
    [7, "sys_fsync -> 0x10"],
    [8, 'send: (0x7f) count=3 text="a\r\nb\n"'],
    [9, "tracing_mark_write: ended"],
  ]);
  assert.deepEqual(events.map(({ tid, name }) => [tid, name]), [
    [7, "enter fsync"],
    [7, "exit fsync"],
    [8, "send"],
    [9, "tracing_mark_write"],
  ]);
  assert.deepEqual(events.map(({ atUs }) => atUs - 37_100_000), [0, 10, 20, 30]);
  const [, returned, sent, marked] = events;
  assert.ok(returned !== undefined && sent !== undefined);
  assert.equal(resultOf(returned), 16);
  assert.equal(fieldOf(sent, "count"), "3");
  assert.equal(fieldOf(sent, "text"), "a\r\nb\n");
  assert.equal(fieldOf(sent, "path"), "");
  assert.equal(marked?.text, "ended");
});

Deno.test("findTimeline() finds every point of a warm job", () => {
  const { points, missing } = findTimeline(traced(WARM));
  assert.deepEqual(missing, []);
  assert.equal(points[0]?.atUs, 0);
  assert.equal(points.at(-1)?.atUs, (WARM.length - 1) * 10);
  const at = new Map(points.map(({ who, what, atUs }) => [`${who} ${what}`, atUs / 10]));
  assert.equal(at.get("runner reads the request"), 2);
  assert.equal(at.get("agent sends StartTransientUnit"), 14);
  assert.equal(at.get("systemd reads it"), 15);
  assert.equal(at.get("kernel has moved it into its control group"), 19);
  assert.equal(at.get("recorder exits"), 29);
  assert.equal(at.get("runner the end is on the disk"), 37);
});

Deno.test("findTimeline() finds how a cold job's programs start, in whatever order they do", () => {
  const [request = WARM[0], ...rest] = WARM;
  assert.ok(request !== undefined);
  const otherSync: Line = [RUNNER, "sys_fsync -> 0x0"];
  const lines = [
    request,
    ...startOf("cicd-agent", "agent.js", AGENT),
    ...startOf("cicd-runner", "daemon.js", RUNNER),
    ...rest.flatMap((line) => line[1].startsWith("sys_fsync(") ? [otherSync, line] : [line]),
  ];
  const { points, missing } = findTimeline(traced(lines, true));
  assert.deepEqual(missing, []);
  const place = (what: string) => points.findIndex((point) => point.what === what);
  assert.ok(place("the runtime opens agent.js") < place("the runtime opens daemon.js"));
  assert.ok(place("opens the database") < place("reads the request"));
  assert.ok(place("begins to commit the row") < place("the row and its attempt are on the disk"));
});

Deno.test("findTimeline() names what it does not find, and does not guess what is behind it", () => {
  const without = WARM.filter(([, text]) => !text.includes("count=603"));
  const { points, missing } = findTimeline(traced(without));
  assert.deepEqual(missing, [
    "runner sends the order to the agent (PUT)",
    "agent reads the order",
    "agent makes the first file of the attempt",
    "agent the attempt's record is written",
    "agent sends StartTransientUnit",
    "systemd reads it",
    "systemd writes the unit's file",
  ]);
  assert.equal(points.length + missing.length, findTimeline(traced(WARM)).points.length);
  assert.deepEqual(findTimeline(traced([])).points, []);
});

Deno.test("renderTimeline() and drawTimeline() show each point, its time and what is missing", () => {
  const timeline = {
    name: "warm job",
    untracedUs: 11_900,
    tracedUs: 12_345,
    points: [
      { what: "writes the first byte", who: "client", atUs: 0 },
      { what: "reads <it>", who: "systemd", atUs: 1_250 },
    ],
    missing: ["job exits"],
  } as const;
  const text = renderTimeline(timeline);
  assert.match(text, /12\.3 ms with the tracer, 11\.9 ms without/);
  assert.match(text, /\| +2 \| systemd --user \| reads <it> +\| +1250 \| +1250 \|/);
  assert.match(text, /Not found in the trace:\n\n- job exits/);
  const picture = drawTimeline(timeline);
  assert.match(picture, /reads &lt;it&gt;/);
  assert.match(picture, />1\.25 ms</);
  assert.equal(picture.match(/<circle /g)?.length, 2);
});

Deno.test("functionOffsets() finds functions by the segment that they are loaded from", () => {
  const library = tinyLibrary();
  assert.deepEqual([...functionOffsets(library, ["open64", "write"])], [
    ["open64", 0x500],
    ["write", 0x540],
  ]);
  assert.throws(() => functionOffsets(library, ["nothing"]), /no function "nothing"/);
  assert.throws(() => functionOffsets(new Uint8Array(128), ["write"]), /not an ELF file/);
});

/** A library with two functions; its code is at 0x500 in the file and at 0x1500 in memory. */
function tinyLibrary(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(0x600);
  const view = new DataView(bytes.buffer);
  const u64 = (at: number, value: number) => view.setBigUint64(at, BigInt(value), true);
  view.setUint32(0, 0x464c457f, true);
  view.setUint8(4, 2);
  u64(0x20, 0x40); // Segments.
  view.setUint16(0x36, 56, true);
  view.setUint16(0x38, 1, true);
  u64(0x28, 0x100); // Sections.
  view.setUint16(0x3a, 64, true);
  view.setUint16(0x3c, 2, true);
  view.setUint32(0x40, 1, true);
  u64(0x48, 0x500);
  u64(0x50, 0x1500);
  u64(0x60, 0x100);
  view.setUint32(0x104, 11, true); // Symbols, and the section of their names.
  u64(0x118, 0x200);
  u64(0x120, 48);
  view.setUint32(0x128, 1, true);
  u64(0x158, 0x300);
  bytes.set(new TextEncoder().encode("\0open64\0write\0"), 0x300);
  view.setUint32(0x200, 1, true);
  u64(0x208, 0x1500);
  view.setUint32(0x218, 8, true);
  u64(0x220, 0x1540);
  return bytes;
}
