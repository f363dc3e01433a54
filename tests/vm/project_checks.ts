/**
 * Limits of a project as a whole.
 *
 * @module
 */
import { type Check, verdict } from "./check.ts";
import {
  AGENT,
  api,
  edit,
  ended,
  figure,
  type JobSeen,
  mib,
  oomKills,
  PROJECT_SLICE,
  read,
  record,
  submit,
  unitOf,
  until,
  untilRunning,
} from "./guest.ts";

const MIB = 2 ** 20;
const HELD_MIB = 150;

/** Holds memory of its own, and says so; nothing of it is page cache. */
const HOLD = `open my $zero, "<", "/dev/zero" or die;
sysread($zero, my $held, ${HELD_MIB} << 20) == ${HELD_MIB} << 20 or die "short";
sleep 12;
`;

/** Two jobs, each of which is within its own limit. */
async function holdTwice(): Promise<readonly JobSeen[]> {
  const job = { command: ["perl", "-e", HOLD], limits: { memory: "200M" } };
  const ids = [await submit(job), await submit(job)];
  return await Promise.all(ids.map((id) => ended(id)));
}

/** Waits until the kernel has a limit of the project's slice as the unit says it. */
async function untilSlice(file: string, value: string): Promise<void> {
  const path = `${PROJECT_SLICE}/${file}`;
  await until(`${value} in ${path}`, async () => await read(path) === value);
}

/** The project's limits as `GET /v1/projects/web` shows them, as JSON. */
async function shownLimits(): Promise<string> {
  const project = await api("/v1/projects/web");
  const { agent } = typeof project === "object" && project !== null && "agent" in project
    ? project
    : { agent: undefined };
  const limits = typeof agent === "object" && agent !== null && "limits" in agent
    ? agent.limits
    : null;
  return JSON.stringify(limits);
}

/** Two jobs that fit alone, but not together. */
export const projectMemoryCheck: Check = {
  name: "project-memory",
  async carryOut(tell) {
    const keeper = await submit({ script: "sleep 600" });
    await untilRunning(keeper);
    await edit(AGENT, "[Service]\nMemoryMax=256M\n");
    await untilSlice("memory.max", String(256 * MIB));
    tell("the slice is bounded; two jobs");
    const jobs = await holdTwice();
    await api(`/v1/jobs/${keeper}/cancel`, {});
    await ended(keeper);
    const killed = jobs.filter(({ state }) => state === "failed");
    const [victim] = killed;
    const kept = jobs.filter(({ state }) => state === "succeeded");
    const figures = victim === undefined ? new Map<string, string>() : await record(victim.id);
    const kills = figure(figures, "memory_oom_kill");
    return {
      rows: [{
        limit: "`MemoryMax=` of the project",
        set:
          `256M by \`systemctl --user edit ${AGENT}\`; two jobs of ${HELD_MIB}M, 200M allowed each`,
        kernel: `killed ${killed.length} of 2: memory.events oom_kill ${kills}, memory.peak ${
          mib(figure(figures, "memory_peak"))
        }`,
        result: `${victim === undefined ? "no job failed" : verdict(victim)}; the other: ${
          kept.map(({ state }) => state).join(", ")
        }`,
        ok: killed.length === 1 && kept.length === 1 && kills > 0 &&
          victim?.reason === "oom_killed" &&
          /the project or the machine ran out/.test(victim.message ?? ""),
      }],
    };
  },
};

/** Checks that changes by `systemctl --user edit` reach the kernel and the project's page. */
export const projectEditCheck: Check = {
  name: "project-edit",
  async carryOut(tell) {
    const keeper = await submit({ script: "sleep 600" });
    await untilRunning(keeper);
    await edit(AGENT, "[Service]\nMemoryMax=512M\nCPUQuota=150%\nTasksMax=300\n");
    await untilSlice("memory.max", String(512 * MIB));
    await untilSlice("cpu.max", "150000 100000");
    await untilSlice("pids.max", "300");
    const shown = await shownLimits();
    tell("the same two jobs again");
    const before = await oomKills();
    const jobs = await holdTwice();
    const kills = await oomKills() - before;
    await edit(AGENT, "[Service]\n");
    await untilSlice("memory.max", "max");
    const kept = await read(`${PROJECT_SLICE}/${unitOf(keeper)}/cgroup.procs`);
    await api(`/v1/jobs/${keeper}/cancel`, {});
    await ended(keeper);
    return {
      rows: [
        {
          limit: "the same, edited while a job runs",
          set: "MemoryMax=512M, CPUQuota=150%, TasksMax=300",
          kernel: "memory.max 536870912, cpu.max 150000 100000, pids.max 300 of `cicd-web.slice`",
          result: `the project shows ${shown}`,
          ok: shown ===
            JSON.stringify({ cpu: 1.5, memory_bytes: 512 * MIB, tasks: 300 }),
        },
        {
          limit: "`MemoryMax=` of the project",
          set: "512M; the same two jobs",
          kernel: `memory.events oom_kill ${kills} below \`cicd-web.slice\``,
          result: jobs.map(({ state }) => state).join(", "),
          ok: kills === 0 && jobs.every(({ state }) => state === "succeeded"),
        },
        {
          limit: "the same, taken away",
          set: "an empty drop-in",
          kernel: "memory.max max of `cicd-web.slice`",
          result: "the job that ran throughout still does",
          ok: kept !== undefined && kept !== "",
        },
      ],
    };
  },
};
