/**
 * The points of a job's way, found in a trace by what happens.
 *
 * A point that is not there is named as missing, and so is what can only be found behind it.
 *
 * @module
 */
import {
  about,
  by,
  file,
  Finder,
  type Found,
  is,
  isSynced,
  reads,
  says,
  sendsMessage,
} from "./finder.ts";
import { fieldOf, type TraceEvent } from "./trace_events.ts";

/** Where something happens. */
export type Place = "client" | "runner" | "agent" | "systemd" | "kernel" | "job" | "recorder";

/** A point of a timeline. */
export interface Point {
  readonly what: string;
  readonly who: Place;
  /** Since the first byte. */
  readonly atUs: number;
}

/** A job's way in the order of time. */
export interface Timeline {
  readonly points: readonly Point[];
  /** What was not found. */
  readonly missing: readonly string[];
}

/** What is known about a traced job. */
export interface TracedJob {
  readonly events: readonly TraceEvent[];
  readonly jobId: string;
  /** Bytes of the request. */
  readonly requestBytes: number;
  /** Threads by program. */
  readonly threads: Readonly<Record<"runner" | "agent" | "systemd", ReadonlySet<number>>>;
  /** Whether the request started both programs. */
  readonly isCold: boolean;
}

/** The client's words in the trace. */
export const MARKS = { request: "request", accepted: "accepted", ended: "ended" } as const;

/** Where a process is moved into a control group. */
const PROCS = "/cgroup.procs";

type Step = readonly [what: string, who: Place, found: Found];

/** Finds the points of a job. */
export function findTimeline(job: TracedJob): Timeline {
  const trace = new Finder(job.events);
  const request = trace.mark(MARKS.request);
  const steps: readonly Step[] = [
    ["writes the first byte", "client", request],
    ...(job.isCold ? startSteps(trace, job, "runner") : []),
    ...(job.isCold ? startSteps(trace, job, "agent") : []),
    ...jobSteps(trace, job),
  ];
  return {
    points: steps.flatMap(([what, who, event]) =>
      event === undefined || request === undefined
        ? []
        : [{ what, who, atUs: event.atUs - request.atUs }]
    ).toSorted((a, b) => a.atUs - b.atUs),
    missing: steps.flatMap(([what, who, event]) => event === undefined ? [`${who} ${what}`] : []),
  };
}

/** A socket starts a program. */
function startSteps(trace: Finder, job: TracedJob, who: "runner" | "agent"): readonly Step[] {
  const threads = job.threads[who];
  const bundle = who === "runner" ? "daemon.js" : "agent.js";
  const forked = trace.first(
    trace.mark(MARKS.request),
    is("sched_process_fork"),
    by(job.threads.systemd),
    (event) => threads.has(Number(fieldOf(event, "child_pid"))),
  );
  const pid = pidOf(forked, "child_pid");
  const execs = trace.all(forked, is("sched_process_exec"), about(pid));
  const loads = trace.first(execs.at(-1), by(threads), file(`/${bundle}`));
  // The configuration, or where there is none, the lock: nothing but the product opens these.
  const runs = trace.first(loads, by(threads), file("/config.yaml", `/cicd-${who}.lock`));
  return [
    [`forks the ${who}, whose socket has a connection`, "systemd", forked],
    ["asks to move it", "systemd", trace.first(forked, by(job.threads.systemd), file(PROCS))],
    [
      "has moved it into its control group",
      "kernel",
      trace.first(forked, is("cgroup_attach_task"), about(pid)),
    ],
    ["exec of the launcher, in its name spaces", who, execs[0]],
    ["exec of the runtime", who, execs.at(-1)],
    [`the runtime opens ${bundle}`, who, loads],
    ["JavaScript runs: opens its first file", who, runs],
    ...(who === "runner"
      ? [["opens the database", who, trace.first(runs, by(threads), file("/runner.db"))] as const]
      : []),
    ["listens", who, trace.first(runs, by(threads), is("enter listen"))],
    ["says READY=1", who, trace.first(runs, by(threads), says("READY=1"))],
  ];
}

/** From the request to the end that the client knows. */
function jobSteps(trace: Finder, job: TracedJob): readonly Step[] {
  const { runner, agent, systemd } = {
    runner: by(job.threads.runner),
    agent: by(job.threads.agent),
    systemd: by(job.threads.systemd),
  };
  const directory = `/jobs/${job.jobId}/1`;
  const read = trace.first(trace.mark(MARKS.request), runner, reads(job.requestBytes));
  const answered = trace.first(read, runner, says("HTTP/1.1 201"));
  const ordered = trace.first(read, runner, says("PUT /attempts/"));
  // A starting runner syncs other files too.
  const committed = trace.last(read, earliest(ordered, answered), runner, isSynced);
  const received = trace.first(
    ordered,
    agent,
    reads(Number(ordered === undefined ? NaN : fieldOf(ordered, "count"))),
  );

  const moved = trace.all(
    read,
    is("cgroup_attach_task"),
    (event) => fieldOf(event, "dst_path").endsWith(`/cicd-job-${job.jobId}-1.service`),
  );
  const program = pidOf(moved[0], "pid");
  const recorder = pidOf(moved.find((event) => pidOf(event, "pid") !== program), "pid");
  const forked = trace.first(read, systemd, is("sched_process_fork"), about(program, "child_pid"));
  const unit = trace.last(received, forked, systemd, says("# This is a transient unit file"));
  const asked = trace.last(received, unit ?? forked, agent, sendsMessage("call"));
  const executed = trace.first(forked, is("sched_process_exec"), about(program));
  const gone = trace.first(executed, is("sched_process_exit"), about(program));

  const recording = trace.first(gone, is("sched_process_fork"), about(recorder, "child_pid"));
  const recorded = trace.first(recording, is("sched_process_exit"), about(recorder));
  const reaped = trace.first(recorded, systemd, is("sched_process_wait"), about(recorder));
  const reopened = trace.first(recorded, agent, file(`${directory}/result`));
  const learned = trace.last(recorded, reopened, agent, reads());
  // The size of the chunk may be in the same segment.
  const told = trace.first(
    reopened,
    agent,
    is("send"),
    ({ text }) => text.includes('{"kind":"ended"'),
  );
  const heard = trace.first(told, runner, reads());
  const settled = trace.first(heard, runner, isSynced);
  return [
    ["reads the request", "runner", read],
    [
      "has moved itself within its group: holds the kernel's lock",
      "runner",
      trace.first(read, runner, is("cgroup_attach_task")),
    ],
    [
      "begins to commit the row",
      "runner",
      trace.last(read, committed, runner, is("enter fsync", "enter fdatasync")),
    ],
    ["the row and its attempt are on the disk", "runner", committed],
    ["sends the order to the agent (PUT)", "runner", ordered],
    ["writes the 201", "runner", answered],
    ["reads the 201", "client", trace.mark(MARKS.accepted)],
    ["reads the order", "agent", received],
    [
      "makes the first file of the attempt",
      "agent",
      trace.first(
        received,
        agent,
        is("open64", "openat64"),
        (event) => fieldOf(event, "path").includes(`${directory}/`),
      ),
    ],
    [
      "the attempt's record is written",
      "agent",
      trace.first(received, agent, is("rename"), file(`${directory}/attempt.json`)),
    ],
    ["sends StartTransientUnit", "agent", asked],
    ["reads it", "systemd", trace.first(asked, systemd, reads())],
    ["writes the unit's file", "systemd", unit],
    ["forks the executor of the job", "systemd", forked],
    ["asks to move it", "systemd", trace.first(forked, systemd, file(PROCS))],
    ["has moved it into its control group", "kernel", moved[0]],
    ["exec of the job's program", "kernel", executed],
    ["prints: its first own instruction", "job", trace.first(executed, is("write"), tid(program))],
    ["exits", "job", gone],
    [
      "reaps the job",
      "systemd",
      trace.first(gone, systemd, is("sched_process_wait"), about(program)),
    ],
    ["forks the recorder (ExecStopPost=)", "systemd", recording],
    [
      "exec of the recorder",
      "recorder",
      trace.first(recording, is("sched_process_exec"), about(recorder)),
    ],
    ["writes the record", "recorder", trace.first(recording, tid(recorder), says("record="))],
    ["exits", "recorder", recorded],
    ["reaps the recorder", "systemd", reaped],
    [
      "sends UnitRemoved",
      "systemd",
      trace.last(recorded, learned, systemd, sendsMessage("signal")),
    ],
    ["learns that the unit is gone", "agent", learned],
    ["reads the record", "agent", reopened],
    [
      "the outcome is written",
      "agent",
      trace.first(reopened, agent, is("rename"), file(`${directory}/outcome.json`)),
    ],
    ["tells the runner", "agent", told],
    ["reads the outcome", "runner", heard],
    ["the end is on the disk", "runner", settled],
    ["answers the wait", "runner", trace.first(heard, runner, says("HTTP/1.1 200"))],
    ["knows the exit code", "client", trace.mark(MARKS.ended)],
  ];
}

function earliest(...events: readonly Found[]): Found {
  return events.filter((event) => event !== undefined).toSorted((a, b) => a.atUs - b.atUs)[0];
}

function pidOf(event: Found, key: string): string {
  return event === undefined ? "" : fieldOf(event, key);
}

function tid(pid: string): (event: TraceEvent) => boolean {
  return (event) => pid !== "" && event.tid === Number(pid);
}
