/**
 * The console link in the runner; everything of it is loaded once a console is configured.
 *
 * @module
 */
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { type AnyRoute, route } from "@lib/api/route.ts";
import { type ConsoleAnswer, consoleSchema } from "@lib/features/console/answers.ts";
import type { ConsoleService } from "@lib/features/console/console_service.ts";
import { CONSOLE, isConsoleConfigured } from "@lib/features/console/keys.ts";

/** Makes the part. */
export function part(services: RunnerServices): RunnerPart {
  const { config, env, tasks, events } = services;
  const isConfigured = () => isConsoleConfigured(config().of(CONSOLE), env);
  let service: ConsoleService | undefined;
  const start = () => {
    if (service !== undefined || isStarting || !isConfigured()) return;
    isStarting = true;
    tasks.spawn("console", async (signal) => {
      const { ConsoleService } = await import("@lib/features/console/console_service.ts");
      service = new ConsoleService(services);
      await service.run(signal);
    });
  };
  let isStarting = false;
  const listening = events.listen((job, before) => service?.onChange(job, before));
  return {
    routes: [consoleRoute(() => service)],
    links: () => service === undefined ? [] : service.links(),
    start,
    reconfigured: () => service === undefined ? start() : service.reconfigured(),
    // Nobody would start the runner for the console.
    keepsRunning: isConfigured,
    async leave(signal) {
      await service?.stop(signal);
    },
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  };
}

function consoleRoute(service: () => ConsoleService | undefined): AnyRoute {
  return route({
    method: "GET",
    path: "/v1/console",
    access: { scope: "read" },
    summary: "Show the link to the fleet console",
    answers: { 200: { description: "The link", schema: consoleSchema } },
    handle: (_, reply) => reply.json(200, service()?.answer() ?? OFF),
  });
}

const OFF: ConsoleAnswer = {
  state: "off",
  detail: "",
  since: null,
  url: null,
  instance_id: null,
  registration: null,
  acknowledged_at: null,
  next_try_at: null,
  connections: 0,
  refused_frames: 0,
  unusable_frames: 0,
  waiting: 0,
  messages: {},
  refused_requests: 0,
  last_refusal: null,
  warnings: [],
};
