/**
 * Looks at the machine and at who uses it: runner, agents, projects, jobs.
 *
 * @module
 */
import type { RunnerServices } from "@lib/api/feature.ts";
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { type Cgroups, type CgroupUse, findCgroups } from "@lib/foundations/host/cgroups.ts";
import { type HostSample, sampleHost } from "@lib/foundations/host/host_sample.ts";
import { type MachineFiles, machineFiles } from "@lib/foundations/host/machine_files.ts";
import { measureProcess, measureTrees, type TreeUse } from "@lib/foundations/host/process_trees.ts";
import { jobUnitName, projectSliceName, SUITE_SLICE } from "@lib/foundations/systemd/unit_name.ts";
import { isSupervisor, readHead, readSupervisor } from "@lib/spine/executors/supervision.ts";
import { attemptDirectory, projectsIn } from "@lib/spine/jobs/attempt_directory.ts";
import type { Job } from "@lib/spine/jobs/model.ts";

/** A project and what all its jobs use together. */
export interface ProjectUse extends CgroupUse {
  readonly project: ProjectName;
}

/** An agent that lives. */
export interface AgentUse extends TreeUse {
  readonly project: ProjectName;
  readonly pid: number;
}

/** A job at work and what it uses, as far as that is measured. */
export interface JobUse {
  readonly id: JobId;
  readonly project: ProjectName;
  readonly attempt: number;
  readonly cpuLimit: number | undefined;
  readonly memoryLimitBytes: number | undefined;
  readonly use: Partial<Pick<CgroupUse, "cpuSeconds" | "memoryBytes" | "tasks">>;
}

/** Everything at one moment. */
export interface HostView {
  readonly sample: HostSample;
  readonly cgroups: Pick<Cgroups, "version" | "controllers" | "delegated">;
  readonly runner: { readonly residentBytes: number; readonly cpuSeconds: number | undefined };
  readonly agents: readonly AgentUse[];
  readonly projects: readonly ProjectUse[];
  readonly jobs: readonly JobUse[];
}

/** The parts of the runner that a look needs. */
export type ViewPorts = Pick<RunnerServices, "store" | "config" | "configuredProjects">;

/** The most projects and agents that are looked at, by name. */
const MAX_PROJECTS = 100;
/** The most jobs that are looked at, oldest first. */
const MAX_JOBS = 256;

/** Takes a sample of the machine alone. */
function lookAtMachine(
  { config }: Pick<ViewPorts, "config">,
  files: MachineFiles = machineFiles,
): HostSample {
  const { stateDir, runtimeDir } = config().of(PROGRAM);
  return sampleHost(files, { state: stateDir, runtime: runtimeDir, temporary: TEMPORARY });
}

const TEMPORARY = "/tmp";

/** Looks at everything; nothing is remembered. */
export function lookAtAll(ports: ViewPorts, files: MachineFiles = machineFiles): HostView {
  const { store, config, configuredProjects } = ports;
  const { stateDir } = config().of(PROGRAM);
  const cgroups = findCgroups(files);
  const working = store.inFlight().slice(0, MAX_JOBS);
  const names = new Set<ProjectName>([
    ...working.map(({ spec }) => spec.project),
    ...configuredProjects(),
    ...store.counts().map(({ project }) => project),
  ]);
  const slices = new Set(cgroups.namesIn(SUITE_SLICE));
  const projects = [...names].flatMap((project): readonly ProjectUse[] => {
    const slice = projectSliceName(project);
    if (!slices.has(slice)) return [];
    const use = cgroups.useOf(`${SUITE_SLICE}/${slice}`);
    return use === undefined ? [] : [{ project, ...use }];
  }).slice(0, MAX_PROJECTS);
  return {
    sample: lookAtMachine(ports, files),
    cgroups,
    runner: {
      residentBytes: Deno.memoryUsage().rss,
      cpuSeconds: measureProcess(files, Deno.pid)?.cpuSeconds,
    },
    agents: projectsIn(stateDir).slice(0, MAX_PROJECTS).flatMap((project) =>
      agentOf(files, stateDir, project)
    ),
    projects,
    jobs: jobsOf(files, { cgroups, stateDir, working }),
  };
}

/** The lock file of an agent names its process; the jobs of the project could have changed it. */
function agentOf(files: MachineFiles, stateDir: string, project: ProjectName): readonly AgentUse[] {
  const lock = readHead(`${stateDir}/projects/${project}/cicd-agent.lock`, 32).trim();
  const pid = /^[1-9]\d{0,9}$/.test(lock) ? Number(lock) : 0;
  if (pid === 0) return [];
  const words = files.read(`/proc/${pid}/cmdline`).split("\0");
  if (!words.some((word) => word === project || word === `--session-id=${project}`)) return [];
  const use = measureProcess(files, pid);
  return use === undefined ? [] : [{ project, pid, ...use }];
}

function jobsOf(
  files: MachineFiles,
  { cgroups, stateDir, working }: {
    readonly cgroups: Cgroups;
    readonly stateDir: string;
    readonly working: readonly Job[];
  },
): readonly JobUse[] {
  const uses = working.map((job) => ({ job, use: unitUse(cgroups, job) }));
  const others = uses.flatMap(({ job, use }) => {
    const pid = use === undefined ? supervisorOf(stateDir, job) : undefined;
    return pid === undefined ? [] : [[job.id, pid] as const];
  });
  const pidOf = new Map(others);
  const trees = measureTrees(files, new Set(pidOf.values()));
  return uses.map(({ job, use }) => ({
    id: job.id,
    project: job.spec.project,
    attempt: job.attempt,
    cpuLimit: job.spec.limits.cpu,
    memoryLimitBytes: job.spec.limits.memoryBytes ?? use?.memoryLimitBytes,
    use: use ?? trees.get(pidOf.get(job.id) ?? 0) ?? {},
  }));
}

function unitUse(cgroups: Cgroups, { id, attempt, spec }: Job): CgroupUse | undefined {
  if (spec.container !== undefined || cgroups.version === 0) return undefined;
  const unit = jobUnitName({ jobId: id, number: attempt });
  return cgroups.useOf(`${SUITE_SLICE}/${projectSliceName(spec.project)}/${unit}`);
}

function supervisorOf(stateDir: string, { id, attempt, spec }: Job): number | undefined {
  if (spec.container !== undefined) return undefined;
  const ref = { project: spec.project, jobId: id, number: attempt };
  const { path } = attemptDirectory(stateDir, ref);
  const record = readSupervisor(path);
  return record !== undefined && isSupervisor(record, path) ? record.pid : undefined;
}
