/**
 * Metrics of the machine, and of who uses it.
 *
 * @module
 */
import type { HostView } from "@lib/features/host/host_view.ts";
import { RESOURCES } from "@lib/foundations/host/host_sample.ts";
import type { Metric, Sample } from "@lib/foundations/metrics/metric.ts";

/** Makes the metrics of a look at the machine; a figure that is not measured has no sample. */
export function hostMetrics(view: HostView, now: number): readonly Metric[] {
  return [...machineMetrics(view, now), ...userMetrics(view)];
}

type Labels = Readonly<Record<string, string>>;
type Value = readonly [labels: Labels, value: number | undefined];

function metric(
  type: Metric["type"],
  name: string,
  help: string,
  values: readonly Value[],
  labelNames: readonly string[] = [],
): Metric {
  const samples = values.flatMap(([labels, value]): readonly Sample[] =>
    value === undefined || !Number.isFinite(value) ? [] : [{ labels, value }]
  );
  return { name, help, type, labelNames, samples };
}

const single = (value: number | undefined): readonly Value[] => [[{}, value]];

function machineMetrics({ sample, cgroups }: HostView, now: number): readonly Metric[] {
  const { cpu, load, memory, disks, network, pressure, uptimeSeconds } = sample;
  const disk = (pick: (disk: typeof disks[number]) => number) =>
    disks.map((each): Value => [{ use: each.use }, pick(each)]);
  const nets = (pick: (each: typeof network[number]) => number) =>
    network.map((each): Value => [{ interface: each.name }, pick(each)]);
  return [
    metric("gauge", "cicd_host_cpus", "Processors of the machine", single(cpu?.count)),
    metric(
      "counter",
      "cicd_host_cpu_seconds",
      "Time that all processors together spent in a mode",
      Object.entries(cpu?.seconds ?? {}).map(([mode, seconds]) => [{ mode }, seconds]),
      ["mode"],
    ),
    ...[1, 5, 15].map((minutes, index) =>
      metric(
        "gauge",
        `cicd_host_load${minutes}`,
        `Load average of the last ${minutes} minutes`,
        single(load[index]),
      )
    ),
    metric("gauge", "cicd_host_memory_size_bytes", "Memory", single(memory.total)),
    metric(
      "gauge",
      "cicd_host_memory_available_bytes",
      "Memory that programs can still get",
      single(memory.available),
    ),
    metric("gauge", "cicd_host_swap_size_bytes", "Swap space", single(memory.swapTotal)),
    metric("gauge", "cicd_host_swap_free_bytes", "Unused swap space", single(memory.swapFree)),
    metric(
      "gauge",
      "cicd_host_filesystem_size_bytes",
      "Size of a file system that the runner needs",
      disk(({ totalBytes }) => totalBytes),
      ["use"],
    ),
    metric(
      "gauge",
      "cicd_host_filesystem_free_bytes",
      "Bytes that this account may still write there",
      disk(({ freeBytes }) => freeBytes),
      ["use"],
    ),
    metric(
      "gauge",
      "cicd_host_filesystem_files",
      "Files that the file system can hold; 0: it has no such limit",
      disk(({ files }) => files),
      ["use"],
    ),
    metric(
      "gauge",
      "cicd_host_filesystem_free_files",
      "Files that can still be made there",
      disk(({ freeFiles }) => freeFiles),
      ["use"],
    ),
    metric(
      "counter",
      "cicd_host_pressure_seconds",
      "Time in which some or all tasks waited for a resource (PSI)",
      RESOURCES.flatMap((resource): readonly Value[] => [
        [{ resource, kind: "some" }, pressure[resource]?.someSeconds],
        [{ resource, kind: "full" }, pressure[resource]?.fullSeconds],
      ]),
      ["resource", "kind"],
    ),
    metric(
      "counter",
      "cicd_host_network_receive_bytes",
      "Bytes received; interfaces of containers are left out",
      nets(({ receivedBytes }) => receivedBytes),
      ["interface"],
    ),
    metric(
      "counter",
      "cicd_host_network_transmit_bytes",
      "Bytes sent",
      nets(({ sentBytes }) => sentBytes),
      ["interface"],
    ),
    metric(
      "counter",
      "cicd_host_network_errors",
      "Packets that were damaged or could not be sent",
      nets(({ receiveErrors, sendErrors }) => receiveErrors + sendErrors),
      ["interface"],
    ),
    metric(
      "gauge",
      "cicd_host_boot_time_seconds",
      "When the machine was booted",
      single(Math.round(now / 1_000 - uptimeSeconds)),
    ),
    metric(
      "gauge",
      "cicd_host_cgroup_controller",
      "1 if a controller can limit jobs of this account",
      cgroups.controllers.map((controller) => [
        { controller },
        cgroups.delegated.includes(controller) ? 1 : 0,
      ]),
      ["controller"],
    ),
  ];
}

function userMetrics({ runner, agents, projects, jobs }: HostView): readonly Metric[] {
  const of = <Each extends { readonly project: string }>(
    all: readonly Each[],
    pick: (each: Each) => number | undefined,
  ) => all.map((each): Value => [{ project: each.project }, pick(each)]);
  const project = (
    type: Metric["type"],
    name: string,
    help: string,
    pick: (each: typeof projects[number]) => number | undefined,
  ) => metric(type, `cicd_project_${name}`, help, of(projects, pick), ["project"]);
  return [
    metric(
      "counter",
      "process_cpu_seconds",
      "Processor time of the runner",
      single(runner.cpuSeconds),
    ),
    metric("gauge", "cicd_agents", "Agents that live", single(agents.length)),
    metric(
      "gauge",
      "cicd_agent_resident_memory_bytes",
      "Resident memory of a project's agent",
      of(agents, ({ memoryBytes }) => memoryBytes),
      ["project"],
    ),
    metric(
      "counter",
      "cicd_agent_cpu_seconds",
      "Processor time of a project's agent since it was started",
      of(agents, ({ cpuSeconds }) => cpuSeconds),
      ["project"],
    ),
    project(
      "counter",
      "cpu_seconds",
      "Processor time of a project's jobs since its slice was made",
      ({ cpuSeconds }) => cpuSeconds,
    ),
    project(
      "counter",
      "cpu_throttled_seconds",
      "Time in which a project's CPU limit held its jobs back",
      ({ throttledSeconds }) => throttledSeconds,
    ),
    project(
      "gauge",
      "memory_bytes",
      "Memory of a project's jobs, page cache included",
      ({ memoryBytes }) => memoryBytes,
    ),
    project(
      "gauge",
      "memory_limit_bytes",
      "Memory limit of all jobs of a project together",
      ({ memoryLimitBytes }) => memoryLimitBytes,
    ),
    project("gauge", "tasks", "Processes and threads of a project's jobs", ({ tasks }) => tasks),
    project(
      "counter",
      "oom_kills",
      "Processes of a project that the kernel killed because memory ran out",
      ({ oomKills }) => oomKills,
    ),
    metric(
      "counter",
      "cicd_project_pressure_seconds",
      "Time in which some task of a project waited for a resource (PSI)",
      projects.flatMap((each) =>
        RESOURCES.map((resource): Value => [
          { project: each.project, resource },
          each.pressure[resource]?.someSeconds,
        ])
      ),
      ["project", "resource"],
    ),
    metric(
      "gauge",
      "cicd_running_memory_bytes",
      "Memory of the jobs at work that are measured",
      single(jobs.reduce((sum, { use }) => sum + (use.memoryBytes ?? 0), 0)),
    ),
  ];
}
