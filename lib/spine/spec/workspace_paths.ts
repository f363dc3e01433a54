/**
 * What may be asked for in the workspace: artifacts, caches and files.
 *
 * @module
 */
import type { FieldIssue } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import { globProblem } from "@lib/foundations/files/glob.ts";
import { insidePathProblem } from "@lib/foundations/files/inside.ts";
import type { ArtifactSpec, CacheSpec, WorkspaceFile } from "@lib/spine/spec/job_spec.ts";

/** Bytes of all files of a job together. */
const MAX_FILES_BYTES = 8 * 1024 * 1024;

/** What is wrong with the artifacts of a job. */
export function artifactIssues({ paths }: ArtifactSpec): readonly FieldIssue[] {
  const issues = globIssues("artifacts.paths", paths);
  if (paths.every((path) => path.startsWith("!"))) {
    issues.push({ path: "artifacts.paths", message: "only takes away; add a glob without !" });
  }
  return issues;
}

/** What is wrong with the caches of a job. */
export function cacheIssues(caches: readonly CacheSpec[]): readonly FieldIssue[] {
  const issues: FieldIssue[] = [];
  for (const [index, { name, paths, keyFiles }] of caches.entries()) {
    const field = `caches.${index}`;
    const problem = cacheNameProblem(name);
    if (problem !== undefined) issues.push({ path: `${field}.name`, message: problem });
    if (caches.findIndex((other) => other.name === name) < index) {
      issues.push({ path: `${field}.name`, message: "stands twice; give each cache its own name" });
    }
    for (const [at, path] of paths.entries()) {
      const wrong = cachePathProblem(path);
      if (wrong !== undefined) issues.push({ path: `${field}.paths.${at}`, message: wrong });
    }
    issues.push(...overlaps(`${field}.paths`, paths));
    issues.push(...globIssues(`${field}.key_files`, keyFiles));
  }
  return issues;
}

/** Says what is wrong with a cache's name, which names a directory; `undefined` if nothing is. */
export function cacheNameProblem(name: string): string | undefined {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)
    ? undefined
    : "must be 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit";
}

/** What is wrong with the files of a job. */
export function fileIssues(files: readonly WorkspaceFile[]): readonly FieldIssue[] {
  const issues: FieldIssue[] = [];
  let bytes = 0;
  for (const { path, content } of files) {
    const field = `files.${path}`;
    const problem = filePathProblem(path);
    if (problem !== undefined) issues.push({ path: field, message: problem });
    const size = base64Bytes(content);
    if (size === undefined) issues.push({ path: field, message: "is not valid Base64" });
    else if (size > 0 && path.endsWith("/")) {
      issues.push({
        path: field,
        message: "ends in / and is a directory; leave its content empty",
      });
    }
    bytes += size ?? 0;
  }
  if (bytes > MAX_FILES_BYTES) {
    issues.push({
      path: "files",
      message: `are ${formatSize(bytes)} together; at most ${formatSize(MAX_FILES_BYTES)} may be`,
    });
  }
  const names = new Set(files.map(({ path }) => withoutEnd(path)));
  for (const { path } of files) {
    const outer = ancestorsOf(withoutEnd(path)).find((ancestor) =>
      names.has(ancestor) && !files.some((file) => file.path === `${ancestor}/`)
    );
    if (outer !== undefined) {
      issues.push({ path: `files.${path}`, message: `lies in "${outer}", which is a file here` });
    }
  }
  return issues;
}

function globIssues(field: string, globs: readonly string[]): FieldIssue[] {
  return globs.flatMap((glob, index) => {
    const message = globProblem(glob);
    return message === undefined ? [] : [{ path: `${field}.${index}`, message }];
  });
}

function cachePathProblem(path: string): string | undefined {
  const problem = insidePathProblem(path);
  if (problem !== undefined) return problem;
  if (/[*?[\]{}]/.test(path)) return "is a glob; name the files and directories themselves";
  return gitProblem(path);
}

function filePathProblem(path: string): string | undefined {
  return insidePathProblem(path) ?? gitProblem(path);
}

/** What lies there decides what git runs. */
function gitProblem(path: string): string | undefined {
  return path.split("/").some((part) => part.toLowerCase() === ".git")
    ? "lies in .git, which belongs to the checkout"
    : undefined;
}

function overlaps(field: string, paths: readonly string[]): FieldIssue[] {
  const names = paths.map(withoutEnd);
  return names.flatMap((name, index) => {
    const outer = names.find((other, at) =>
      at !== index && (name.startsWith(`${other}/`) || (name === other && at < index))
    );
    return outer === undefined
      ? []
      : [{ path: `${field}.${index}`, message: `lies in "${outer}", which is cached too` }];
  });
}

function ancestorsOf(path: string): readonly string[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/"));
}

function withoutEnd(path: string): string {
  return path.replace(/\/$/, "");
}

/** Bytes that a Base64 text stands for; `undefined` if it is none. */
function base64Bytes(text: string): number | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return text.length / 4 * 3 - padding;
}
