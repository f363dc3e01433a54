/**
 * Admission: the one place where a request is checked against what its route
 * requires of the caller.
 *
 * @module
 */
import {
  type Caller,
  hasScope,
  type KeyCaller,
  LOCAL_CALLER,
  type Scope,
  seesProject,
} from "@lib/core/caller.ts";
import { CicdError } from "@lib/core/errors.ts";
import { parseProjectName, type ProjectName, projectNameProblem } from "@lib/core/ids.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { findVisible, type JobLookup, quoted } from "@lib/api/find_job.ts";

/** The rights a route requires. */
export interface RouteAccess {
  /** Scope of the key. `none`: no key is asked for; the route is public or checks by itself. */
  readonly scope: Scope | "none";
  /**
   * How a key that is restricted to projects is checked.
   *
   * `job`: the `:id` of the path must name a job of its projects. `project`: the `:project` of the
   * path must be one of them. `handler`: the handler shows and changes only what is theirs.
   * Absent: such a key is refused.
   */
  readonly by?: "job" | "project" | "handler";
}

/** Identifies callers from the network. */
export interface Authenticator {
  /** @throws {CicdError} `unauthorized`, or `rate_limited` with the time to wait. */
  authenticate(headers: Headers, address: string): KeyCaller;
  /**
   * Counts a request that failed another check, such as Gryt's own key.
   *
   * @throws {CicdError} `rate_limited` if too many came from `address`.
   */
  countFailure(address: string, why: string): void;
}

/** A request before its route is called. */
export interface Arrival {
  readonly headers: Headers;
  /** Named parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly origin: Origin;
}

/** The subject that a path names. */
export interface Subject {
  /** Of a route that is checked `by: "job"`. */
  readonly job?: Job;
  /** Of a route that is checked `by: "project"`. */
  readonly project?: ProjectName;
}

/** The checks before a handler, in the order in which they are called. */
export interface Admission {
  readonly params: Arrival["params"];
  /** @throws {CicdError} `unauthorized`, `rate_limited`, `forbidden` */
  identify(): Caller;
  /**
   * Finds the job or project that the path names; one that the caller may not see is not found.
   *
   * @throws {CicdError} `job_not_found`, `project_not_found`
   */
  resolve(caller: Caller): Subject;
}

/** Prepares the checks of a request. */
export function admission(
  access: RouteAccess,
  arrival: Arrival,
  { authenticator, jobs }: { readonly authenticator: Authenticator; readonly jobs: JobLookup },
): Admission {
  const { params } = arrival;
  return {
    params,
    identify: () => identify(access, arrival, authenticator),
    resolve(caller) {
      switch (access.by) {
        case "job":
          return { job: findVisible(jobs, params["id"] ?? "", caller) };
        case "project":
          return { project: visibleProject(params["project"] ?? "", caller) };
        default:
          return {};
      }
    },
  };
}

function identify(
  { scope, by }: RouteAccess,
  { headers, origin }: Arrival,
  authenticator: Authenticator,
): Caller {
  if (origin.kind === "local") return LOCAL_CALLER;
  if (scope === "none") return { kind: "anonymous", address: origin.address };
  const caller = authenticator.authenticate(headers, origin.address);
  if (!hasScope(caller, scope)) {
    throw new CicdError(
      "forbidden",
      `Cannot do this with key "${caller.name}": it allows ${caller.scopes.join(", ")}, ` +
        `and this takes ${scope}`,
    );
  }
  if (caller.projects !== undefined && by === undefined) {
    throw new CicdError(
      "forbidden",
      `Cannot do this with key "${caller.name}": it is restricted to projects, and this ` +
        "concerns all of them",
    );
  }
  return caller;
}

function visibleProject(text: string, caller: Caller): ProjectName {
  const project = parseProjectName(text);
  if (project !== undefined && seesProject(caller, project)) return project;
  const why = project === undefined ? `: the name ${projectNameProblem(text)}` : "";
  throw new CicdError("project_not_found", `Cannot find project ${quoted(text)}${why}`);
}
