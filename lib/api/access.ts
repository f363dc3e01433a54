/**
 * Admission: the one place that checks a request against the access its route requires, and finds
 * the job or project it names.
 *
 * @module
 */
import {
  type Caller,
  hasScope,
  type KeyCaller,
  LOCAL_CALLER,
  projectsOf,
  type Scope,
  seesProject,
} from "@lib/core/caller.ts";
import { CicdError, type FieldIssue } from "@lib/core/errors.ts";
import {
  parseJobId,
  parseProjectName,
  type ProjectName,
  projectNameProblem,
} from "@lib/core/ids.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";

/** The rights a route requires. */
export interface RouteAccess {
  /** Scope of the key. `none`: no key is required; the route is public or checks by itself. */
  readonly scope: Scope | "none";
  /**
   * Check of a key that is restricted to projects.
   *
   * `job`: the `:id` of the path must name a job of its projects. `project`: the `:project` of the
   * path must be one of them. `handler`: the handler limits itself to them. Absent: such a key is
   * refused.
   */
  readonly by?: "job" | "project" | "handler";
}

/** Reads jobs by id. */
export type JobLookup = Pick<JobStore, "get" | "findByPrefix">;

/** Identifies callers from the network. */
export interface Authenticator {
  /** @throws {CicdError} `unauthorized`, or `rate_limited` with the time to wait. */
  authenticate(headers: Headers, address: string): KeyCaller;
  /**
   * Returns a signal that aborts with `unauthorized`, within seconds, when the key in the headers is
   * no longer valid; for answers that go on, such as a followed log.
   */
  invalidated(headers: Headers): AbortSignal;
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

/** The checks before a handler, in call order. */
export interface Admission {
  readonly params: Arrival["params"];
  /** @throws {CicdError} `unauthorized`, `rate_limited`, `forbidden` */
  identify(): Caller;
  /**
   * Finds the job or project that the path names, if the caller may see it.
   *
   * @throws {CicdError} `job_not_found`, `project_not_found`
   */
  resolve(caller: Caller): Subject;
  /** Returns the signal that ends the answers to an identified caller, if it has a key. */
  invalidated(): AbortSignal | undefined;
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
    invalidated: () =>
      needsKey(access, arrival) ? authenticator.invalidated(arrival.headers) : undefined,
    resolve(caller) {
      switch (access.by) {
        case "job":
          return { job: visibleJob(jobs, params["id"] ?? "", caller) };
        case "project":
          return { project: visibleProject(params["project"] ?? "", caller) };
        default:
          return {};
      }
    },
  };
}

function needsKey({ scope }: RouteAccess, { origin }: Arrival): boolean {
  return origin.kind !== "local" && scope !== "none";
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
        `and this requires ${scope}`,
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

/**
 * Finds a job by its id or a unique prefix of it; of an ambiguous one, the error lists candidates.
 *
 * For a caller that is restricted to projects, jobs of other projects do not exist: such a job is
 * not found, and does not make a prefix ambiguous.
 */
function visibleJob(jobs: JobLookup, text: string, caller: Caller): Job {
  const isPrefix = /^[0-9a-f-]{4,35}$/.test(text);
  const found = isPrefix ? jobs.findByPrefix(text, projectsOf(caller)) : [parseJobId(text)];
  const [id, another] = found;
  if (id === undefined) {
    const needed = "an id, or at least its first 4 characters, is needed";
    throw noJob(text, isPrefix ? "no id begins with that" : needed);
  }
  if (another !== undefined) {
    const issues = found.flatMap((one) => {
      const job = one === undefined ? undefined : jobs.get(one);
      if (job === undefined) return [];
      return [{ path: job.id, message: `${job.spec.project}, ${job.state}` }];
    });
    throw noJob(text, "several ids begin with that; give more of it", issues);
  }
  const job = jobs.get(id);
  if (job !== undefined && seesProject(caller, job.spec.project)) return job;
  throw noJob(id, "it never existed, or its record has been removed by retention");
}

function noJob(text: string, why: string, issues: readonly FieldIssue[] = []): CicdError {
  return new CicdError("job_not_found", `Cannot find job ${quoted(text)}: ${why}`, { issues });
}

/** Quotes text of a request in a message, shortened. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
