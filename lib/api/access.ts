/**
 * What a route asks of its caller, and the one place where that is checked.
 *
 * @module
 */
import {
  type Caller,
  hasScope,
  LOCAL_CALLER,
  projectsOf,
  type Scope,
  seesProject,
} from "@lib/api/caller.ts";
import { CicdError } from "@lib/core/errors.ts";
import { parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import { findVisible } from "@lib/api/find_job.ts";
import type { ApiPorts } from "@lib/api/ports.ts";

export type { Caller, Scope } from "@lib/api/caller.ts";

/** What a route asks of its caller. */
export interface RouteAccess {
  /**
   * What a key must allow. With `none` nobody is asked for a key: the route is public, or looks
   * for itself.
   */
  readonly scope: Scope | "none";
  /**
   * The handler shows and changes only what belongs to the caller's projects. Without it, a key
   * that is confined to projects may use a route only if its path names a job or a project.
   */
  readonly narrows?: true;
}

/** A route as far as access goes. */
export interface GuardedRoute {
  /** With parameters as `:name`. */
  readonly path: string;
  readonly access: RouteAccess;
}

/** A request that has passed. */
export interface Admitted {
  readonly caller: Caller;
  /** The parameters of the path; a job's id is whole if the caller is confined to projects. */
  readonly params: Readonly<Record<string, string>>;
}

/** What is known of a request before its route is called. */
export interface Question {
  readonly headers: Headers;
  readonly params: Readonly<Record<string, string>>;
  readonly origin: Origin;
}

/**
 * Lets a request pass, or throws.
 *
 * What belongs to a project that the caller may not know of is as if it were not there.
 *
 * @throws {CicdError} `unauthorized`, `rate_limited`, `forbidden`, `job_not_found`,
 * `project_not_found`
 */
export function admit(ports: ApiPorts, route: GuardedRoute, question: Question): Admitted {
  const { headers, params, origin } = question;
  const { scope, narrows } = route.access;
  if (origin.kind === "local") return { caller: LOCAL_CALLER, params };
  if (scope === "none") return { caller: { kind: "anonymous", address: origin.address }, params };
  const caller = ports.access.authenticate(headers, origin.address);
  if (!hasScope(caller, scope)) {
    throw new CicdError(
      "forbidden",
      `Cannot do this with key "${caller.name}": it allows ${caller.scopes.join(", ")}, ` +
        `and this takes ${scope}`,
    );
  }
  if (caller.projects === undefined) return { caller, params };
  if (route.path.startsWith("/v1/jobs/:id")) {
    return { caller, params: { ...params, id: findVisible(ports, params, caller).id } };
  }
  if (route.path.startsWith("/v1/projects/:project")) {
    const project = parseProjectName(params["project"] ?? "");
    if (project === undefined || seesProject(caller, project)) return { caller, params };
    throw new CicdError("project_not_found", `Cannot find project "${project}"`);
  }
  if (narrows === true) return { caller, params };
  throw new CicdError(
    "forbidden",
    `Cannot do this with key "${caller.name}": it is confined to projects, and this is about all`,
  );
}

/** @throws {CicdError} `forbidden` if the caller may not submit jobs to `project`. */
export function assertMaySubmit(caller: Caller, project: ProjectName): void {
  if (seesProject(caller, project)) return;
  throw new CicdError(
    "forbidden",
    `Cannot submit to project "${project}": this key is for ${projectsOf(caller)?.join(", ")}`,
  );
}
