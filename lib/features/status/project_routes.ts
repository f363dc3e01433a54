/**
 * The routes of projects and queues: list, show, pause, drain, resume.
 *
 * @module
 */
import type * as v from "valibot";
import { projectListSchema, projectSchema, queueSchema } from "@lib/api/answers.ts";
import { projectDetailSchema } from "@lib/features/status/answers.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import { ALL_PROJECTS, type IntakeMode } from "@lib/spine/queue/queue_queries.ts";
import { type Caller, projectsOf, seesProject } from "@lib/core/caller.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { type AnyRoute, route } from "@lib/api/route.ts";

const CHANGES: readonly (readonly [string, IntakeMode, string, string])[] = [
  ["pause", "paused", "Pause", "Jobs are accepted but not started."],
  [
    "drain",
    "draining",
    "Drain",
    "New jobs are refused; accepted ones still run. Holds of failed jobs end.",
  ],
  ["resume", "open", "Resume", "Jobs are accepted and started."],
];

/** The queue and its projects. */
export type QueuePorts = Pick<
  RunnerServices,
  | "store"
  | "log"
  | "wakeQueue"
  | "configuredProjects"
  | "maxRunningOf"
  | "agentView"
  | "statesKnown"
  | "agentProblems"
>;

/** The routes of projects and of the queue as a whole. */
export function projectRoutes(ports: QueuePorts): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/v1/projects",
      access: { scope: "read", by: "handler" },
      summary: "List projects",
      description: "Projects in the configuration, and those with jobs on record.",
      answers: { 200: { description: "The projects, by name", schema: projectListSchema } },
      handle: async ({ caller, signal }, reply) => {
        await ports.statesKnown(signal);
        return reply.json(200, { projects: projects(ports, caller) });
      },
    }),
    route({
      method: "GET",
      path: "/v1/projects/:project",
      access: { scope: "read", by: "project" },
      summary: "Show a project, its agent and its limits",
      answers: { 200: { description: "The project", schema: projectDetailSchema } },
      handle: async ({ request, project }, reply) => {
        await ports.statesKnown(request.signal);
        const { running, detail } = await ports.agentView(project, request.signal);
        return reply.json(200, { ...shown(ports, project), agent: { running, ...detail } });
      },
    }),
    ...CHANGES.map(([verb, mode, name, description]) =>
      route({
        method: "POST",
        path: `/v1/projects/:project/${verb}`,
        access: { scope: "admin", by: "project" },
        summary: `${name} the queue of a project`,
        description,
        answers: { 200: { description: "The queue, stored durably", schema: projectSchema } },
        handle: ({ project }, reply) => {
          setMode(ports, project, mode);
          return reply.json(200, shown(ports, project));
        },
      })
    ),
    ...CHANGES.map(([verb, mode, name, description]) =>
      route({
        method: "POST",
        path: `/v1/queue/${verb}`,
        access: { scope: "admin" },
        summary: `${name} the queues of all projects`,
        description,
        answers: { 200: { description: "The queue, stored durably", schema: queueSchema } },
        handle: ({ caller }, reply) => {
          setMode(ports, ALL_PROJECTS, mode);
          return reply.json(200, queueView(ports, caller));
        },
      })
    ),
  ];
}

/** Shows the whole queue; to a caller who is restricted to projects, their part of it. */
export function queueView(
  ports: Pick<QueuePorts, "store" | "maxRunningOf" | "agentProblems">,
  caller: Caller,
): v.InferOutput<typeof queueSchema> {
  const mode = ports.store.intakeModes().get(ALL_PROJECTS) ?? "open";
  const own = projectsOf(caller);
  if (own === undefined) {
    return { mode, queued: ports.store.queuedCount(), in_flight: ports.store.inFlightCount() };
  }
  const counts = ports.store.counts();
  const each = own.map((project) => shown(ports, project, counts));
  return {
    mode,
    queued: each.reduce((sum, { queued }) => sum + queued, 0),
    in_flight: each.reduce((sum, { in_flight }) => sum + in_flight, 0),
  };
}

function setMode(ports: QueuePorts, project: ProjectName | "*", mode: IntakeMode): void {
  ports.store.setIntakeMode(project, mode);
  ports.log.info("Intake changed", { project, mode });
  if (mode === "draining") endHolds(ports, project);
  ports.wakeQueue();
}

/** Ends the holds of what is drained, which is about to stop. */
function endHolds({ store }: QueuePorts, project: ProjectName | "*"): void {
  for (const { id, attempt } of store.held(project === ALL_PROJECTS ? undefined : project)) {
    store.apply(id, { kind: "released", attempt });
  }
}

function projects(
  ports: QueuePorts,
  caller: Caller,
): readonly v.InferOutput<typeof projectSchema>[] {
  const names = new Set<ProjectName>(ports.configuredProjects());
  const counts = ports.store.counts();
  for (const { project } of counts) names.add(project);
  return [...names].filter((project) => seesProject(caller, project)).sort()
    .map((project) => shown(ports, project, counts));
}

function shown(
  ports: Pick<QueuePorts, "store" | "maxRunningOf" | "agentProblems">,
  project: ProjectName,
  counts = ports.store.counts(),
): v.InferOutput<typeof projectSchema> {
  let queued = 0;
  let inFlight = 0;
  for (const row of counts) {
    if (row.project !== project) continue;
    if (row.state === "queued") queued += row.count;
    if (row.state === "starting" || row.state === "running") inFlight += row.count;
  }
  return {
    project,
    mode: ports.store.intakeModes().get(project) ?? "open",
    queued,
    in_flight: inFlight,
    max_running: ports.maxRunningOf(project),
    agent_problem: ports.agentProblems().find((each) => each.project === project)?.reason ?? null,
  };
}
