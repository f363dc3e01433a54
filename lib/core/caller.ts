/**
 * Callers and their rights.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";

/** The rights of a key; `admin` includes the others. */
export const SCOPES = ["submit", "read", "terminal", "admin"] as const;

/** One of {@linkcode SCOPES}. */
export type Scope = typeof SCOPES[number];

/** The sender of a request. */
export type Caller =
  /** This account, over the Unix socket: everything is allowed. */
  | { readonly kind: "local" }
  | KeyCaller
  /** A caller without a key, on a route that requires none. */
  | { readonly kind: "anonymous"; readonly address: string };

/** A caller with a key. */
export interface KeyCaller {
  readonly kind: "key";
  /** The key's id; not a secret. */
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** The projects that the key is restricted to; absent: none. */
  readonly projects?: readonly ProjectName[];
}

/** The caller behind the Unix socket. */
export const LOCAL_CALLER: Caller = { kind: "local" };

/** Returns true if a caller has a scope. */
export function hasScope(caller: Caller, scope: Scope): boolean {
  if (caller.kind !== "key") return caller.kind === "local";
  return caller.scopes.includes(scope) || caller.scopes.includes("admin");
}

/** Returns the projects a caller is restricted to; `undefined` if it is not restricted. */
export function projectsOf(caller: Caller): readonly ProjectName[] | undefined {
  if (caller.kind === "anonymous") return [];
  return caller.kind === "key" ? caller.projects : undefined;
}

/** Returns true if a caller may see `project`. */
export function seesProject(caller: Caller, project: ProjectName): boolean {
  return projectsOf(caller)?.includes(project) ?? true;
}

/** Names the caller in a record: `by request`, `by key CI (0f…)`. */
export function shownCaller(caller: Caller): string {
  return caller.kind === "key" ? `by key ${caller.name} (${caller.id})` : "by request";
}

/** @throws {CicdError} `forbidden` if the caller may not submit jobs to `project`. */
export function assertMaySubmit(caller: Caller, project: ProjectName): void {
  if (seesProject(caller, project)) return;
  throw new CicdError(
    "forbidden",
    `Cannot submit to project "${project}": this key is for ${projectsOf(caller)?.join(", ")}`,
  );
}
