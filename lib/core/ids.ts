/**
 * Names that become part of a path, a unit name or a key, checked once at the edge.
 *
 * @module
 */
import { v7 } from "uuid";

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A job's id: a UUIDv7 (RFC 9562) in lower case, so ids sort by time. */
export type JobId = Branded<"JobId">;
/** A project's name: safe as a path segment and as a unit's instance name. */
export type ProjectName = Branded<"ProjectName">;

/**
 * Longest project name. The agent's socket path, with a ten-digit uid in
 * `/run/user/…/cicd-toolkit/agents/`, must fit the 107 bytes of `sun_path`.
 */
export const PROJECT_NAME_MAX = 56;

/** Makes a new job id; later ids sort after earlier ones of this process. */
export function newJobId(): JobId {
  return v7() as JobId;
}

/** A UUIDv7 in lower case. */
export const JOB_ID_PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
const JOB_ID = new RegExp(`^${JOB_ID_PATTERN}$`);

/** Parses a job id; `undefined` if the text is not one. */
export function parseJobId(text: string): JobId | undefined {
  return JOB_ID.test(text) ? text as JobId : undefined;
}

/** Returns the problem of a project name; `undefined` if there is none. */
export function projectNameProblem(text: string): string | undefined {
  if (text === "") return "is empty; give a name such as web-app";
  if (text.length > PROJECT_NAME_MAX) {
    return `is ${text.length} characters long; at most ${PROJECT_NAME_MAX} are allowed`;
  }
  if (/^[-._]/.test(text)) {
    return "begins with a dash, dot or underscore; begin with a letter or digit";
  }
  if (text.includes("..")) return "contains '..'; use single dots only";
  if (!/^[A-Za-z0-9._-]+$/.test(text)) {
    return "contains a character other than letters, digits, '.', '_' and '-'";
  }
  return undefined;
}

/** Parses a project name; `undefined` if the text is not one. */
export function parseProjectName(text: string): ProjectName | undefined {
  return projectNameProblem(text) === undefined ? text as ProjectName : undefined;
}
