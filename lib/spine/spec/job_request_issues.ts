/**
 * What is wrong with a job request, field by field.
 *
 * @module
 */
import * as v from "valibot";
import { formatDuration } from "@lib/core/duration.ts";
import type { FieldIssue } from "@lib/core/errors.ts";
import { argvProblem, ENV_NAME_MAX_BYTES, envProblem } from "@lib/core/exec_limits.ts";
import { didYouMean } from "@lib/core/nearest.ts";
import { formatSize } from "@lib/core/size.ts";
import { SECRET_MIN_BYTES, secretForms } from "@lib/foundations/secrets/secret_forms.ts";
import {
  type JobRequest,
  jobRequestSchema,
  limitsSchema,
  retriesSchema,
} from "@lib/spine/spec/job_request_schema.ts";
import { containerSchema, gitSchema } from "@lib/spine/spec/job_request_setup.ts";

/** Longest script. */
export const SCRIPT_MAX_BYTES = 4 * 1024 * 1024;
/** Longest time limit. */
const TIMEOUT_MAX_MS = 7 * 86_400_000;
const GRACE_MAX_MS = 3_600_000;
/** Longest wait before a retry. */
const DELAY_MAX_MS = 3_600_000;
/** Turns a validator's issue into a field's path and a sentence. */
export function toFieldIssue(issue: v.BaseIssue<unknown>): FieldIssue {
  const path = cut(v.getDotPath(issue) ?? "", ENV_NAME_MAX_BYTES);
  if (issue.type === "strict_object" && issue.expected === "never") {
    const key = String(issue.path?.at(-1)?.key ?? path);
    return { path, message: `is not a known field${didYouMean(key, knownFields(issue.path))}` };
  }
  if (issue.input === undefined) return { path, message: "is missing" };
  if (issue.type === "strict_object" || issue.type === "record") {
    return { path: path === "" ? "body" : path, message: "must be an object" };
  }
  return { path, message: cut(issue.message, MESSAGE_MAX_CHARS) };
}

/** A message may quote what was given, which may be long. */
const MESSAGE_MAX_CHARS = 400;

function cut(text: string, maxChars: number): string {
  return text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
}

/** The fields that stand where an unknown one was given. */
function knownFields(path: v.BaseIssue<unknown>["path"]): readonly string[] {
  switch (path?.length === 2 ? path[0].key : undefined) {
    case "container":
      return Object.keys(containerSchema.entries);
    case "git":
      return Object.keys(gitSchema.entries);
    case "limits":
      return Object.keys(limitsSchema.entries);
    case "retries":
      return Object.keys(retriesSchema.entries);
    default:
      return Object.keys(jobRequestSchema.entries);
  }
}

/** Names that the validator passes over in silence, as JavaScript gives them a meaning. */
export function unreadNames(value: unknown, request: JobRequest): readonly FieldIssue[] {
  const issues: FieldIssue[] = [];
  for (const field of ["env", "secrets", "labels", "files"] as const) {
    const given = typeof value === "object" && value !== null && field in value
      ? Object.getOwnPropertyDescriptor(value, field)?.value
      : undefined;
    if (typeof given !== "object" || given === null) continue;
    for (const name of ["__proto__", "prototype", "constructor"]) {
      if (Object.hasOwn(given, name) && !Object.hasOwn(request[field] ?? {}, name)) {
        issues.push({ path: `${field}.${name}`, message: "cannot be used as a name here" });
      }
    }
  }
  return issues;
}

/** What no single field can know. */
export function crossChecks(request: JobRequest): readonly FieldIssue[] {
  const issues: FieldIssue[] = [];
  const add = (path: string, message: string) => issues.push({ path, message });
  const { command, script, shell, env = {}, secrets = {}, timeout, grace, workdir } = request;
  if (command === undefined && script === undefined) {
    add("script", "is missing; give `script`, or `command` as a list of program and arguments");
  }
  if (command !== undefined && script !== undefined) {
    add("command", "stands beside `script`; give one");
  }
  if (command !== undefined && shell !== undefined) add("shell", "goes with `script` only");
  if (shell !== undefined && !shell.startsWith("/")) {
    add("shell", `is "${shell}"; give an absolute path such as /bin/bash`);
  }
  if (command !== undefined) {
    const problem = argvProblem(command);
    if (problem !== undefined) {
      add(problem.field === "" ? "command" : `command.${problem.field}`, problem.message);
    }
  }
  if (script !== undefined) issues.push(...scriptIssues(script));
  for (const [field, values] of [["env", env], ["secrets", secrets]] as const) {
    const problem = envProblem(values);
    if (problem !== undefined) {
      add(problem.field === "" ? field : `${field}.${problem.field}`, problem.message);
    }
  }
  for (const key of Object.keys(secrets)) {
    if (Object.hasOwn(env, key)) add(`secrets.${key}`, "stands in `env` too; give it once");
  }
  for (const key of secretForms(new Map(Object.entries(secrets))).unmasked) {
    add(
      `secrets.${key}`,
      `is shorter than ${SECRET_MIN_BYTES} bytes, so it could not be masked in logs; use a longer ` +
        "one, or `env` if it is no secret",
    );
  }
  if (timeout !== undefined && (timeout < 1 || timeout > TIMEOUT_MAX_MS)) {
    add("timeout", `is ${formatDuration(timeout)}; give 1ms to ${formatDuration(TIMEOUT_MAX_MS)}`);
  }
  if (grace !== undefined && grace > GRACE_MAX_MS) {
    add(
      "grace",
      `is ${formatDuration(grace)}; at most ${formatDuration(GRACE_MAX_MS)} are allowed`,
    );
  }
  if (request.retries?.delay !== undefined && request.retries.delay > DELAY_MAX_MS) {
    add("retries.delay", `is too long; at most ${formatDuration(DELAY_MAX_MS)} are allowed`);
  }
  if (request.cancel_in_progress === true && request.concurrency_group === undefined) {
    add("cancel_in_progress", "needs `concurrency_group`");
  }
  issues.push(...setupIssues(request));
  if (
    workdir !== undefined && (/[\p{Cc}\p{Cs}]/u.test(workdir) || workdir.split("/").includes(".."))
  ) {
    add("workdir", "contains '..' or a control character");
  }
  return issues;
}

/** What is around the job must fit together; whether it is allowed is judged later. */
function setupIssues(request: JobRequest): readonly FieldIssue[] {
  const issues: FieldIssue[] = [];
  const { image, pull, network, container, limits, secrets = {}, git } = request;
  if (image === undefined) {
    const needy = { pull, network, container, "limits.disk": limits?.disk };
    for (const [path, value] of Object.entries(needy)) {
      if (value !== undefined) issues.push({ path, message: "goes with `image` only" });
    }
  }
  const named = {
    "git.token_secret": git?.token_secret,
    "container.registry.password_secret": container?.registry?.password_secret,
  };
  for (const [path, name] of Object.entries(named)) {
    if (name !== undefined && !Object.hasOwn(secrets, name)) {
      issues.push({ path, message: `names "${name}", which is not among \`secrets\`` });
    }
  }
  return issues;
}

function scriptIssues(script: string): readonly FieldIssue[] {
  if (script.trim() === "") return [{ path: "script", message: "is empty" }];
  if (script.includes("\0")) return [{ path: "script", message: "contains a NUL character" }];
  if (!script.isWellFormed()) return [{ path: "script", message: "is no valid Unicode text" }];
  const bytes = new TextEncoder().encode(script).byteLength;
  return bytes > SCRIPT_MAX_BYTES
    ? [{
      path: "script",
      message:
        `is ${formatSize(bytes)} long; at most ${formatSize(SCRIPT_MAX_BYTES)} are allowed, ` +
        "put the text into a file and run that",
    }]
    : [];
}
