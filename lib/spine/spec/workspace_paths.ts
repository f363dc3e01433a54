/**
 * Checks the paths of artifacts, caches and files in the workspace.
 *
 * @module
 */
import { type FieldIssue, issuesOf } from "@lib/core/errors.ts";
import { globProblem } from "@lib/foundations/files/glob.ts";
import { insidePathProblem } from "@lib/foundations/files/inside.ts";
import { base64Bytes, filesProblem } from "@lib/spine/spec/text_types.ts";
import type { ArtifactSpec, CacheSpec, WorkspaceFile } from "@lib/spine/spec/job_spec.ts";

/** Returns the issues of a job's artifacts. */
export function artifactIssues({ paths }: ArtifactSpec): readonly FieldIssue[] {
  const excludes = paths.every((path) => path.startsWith("!"));
  return issuesOf([
    ...globProblems("artifacts.paths", paths),
    ["artifacts.paths", excludes ? "only excludes; add a glob without !" : undefined],
  ]);
}

/** Returns the issues of a job's caches. */
export function cacheIssues(caches: readonly CacheSpec[]): readonly FieldIssue[] {
  return caches.flatMap(({ name, paths, keyFiles }, index) => {
    const field = `caches.${index}`;
    const again = caches.findIndex((other) => other.name === name) < index;
    return issuesOf([
      [`${field}.name`, cacheNameProblem(name)],
      [`${field}.name`, again ? "appears twice; give each cache its own name" : undefined],
      ...paths.map((path, at) => [`${field}.paths.${at}`, cachePathProblem(path)] as const),
      ...overlapProblems(paths).map((problem, at) => [`${field}.paths.${at}`, problem] as const),
      ...globProblems(`${field}.key_files`, keyFiles),
    ]);
  });
}

/** Returns the problem of a cache's name, which names a directory; `undefined` if there is none. */
export function cacheNameProblem(name: string): string | undefined {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)
    ? undefined
    : "must be 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit";
}

/** Returns the issues of a job's files. */
export function fileIssues(files: readonly WorkspaceFile[]): readonly FieldIssue[] {
  const sizes = files.map(({ content }) => contentBytes(content));
  const bytes = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  const tooLarge = filesProblem(bytes);
  const directories = new Set(files.filter(({ path }) => path.endsWith("/")).map(nameOf));
  const outers = files.map(nameOf).filter((name) => !directories.has(name));
  const outerOf = outerNames(outers.toSorted((a, b) => a.length - b.length));
  return issuesOf([
    ...files.flatMap(({ path }, index) => [
      [`files.${path}`, insidePathProblem(path) ?? gitProblem(path)] as const,
      [`files.${path}`, contentProblem(path, sizes[index])] as const,
    ]),
    ["files", tooLarge],
    ...files.map(({ path }) => {
      const outer = outerOf(withoutEnd(path));
      const problem = `is inside "${outer}", which is a file here`;
      return [`files.${path}`, outer === undefined ? undefined : problem] as const;
    }),
  ]);
}

function contentProblem(path: string, bytes: number | undefined): string | undefined {
  if (bytes === undefined) return "is not valid Base64";
  return bytes > 0 && path.endsWith("/")
    ? "ends in / and is a directory; leave its content empty"
    : undefined;
}

function globProblems(field: string, globs: readonly string[]) {
  return globs.map((glob, index) => [`${field}.${index}`, globProblem(glob)] as const);
}

function cachePathProblem(path: string): string | undefined {
  const problem = insidePathProblem(path);
  if (problem !== undefined) return problem;
  if (/[*?[\]{}]/.test(path)) return "is a glob; name the files and directories themselves";
  return gitProblem(path);
}

/** The files in .git decide which programs git runs. */
function gitProblem(path: string): string | undefined {
  return /(^|\/)\.git(\/|$)/i.test(path)
    ? "is inside .git, which belongs to the checkout"
    : undefined;
}

function overlapProblems(paths: readonly string[]): readonly (string | undefined)[] {
  const names = paths.map(withoutEnd);
  const outerOf = outerNames(names);
  return names.map((name, index) => {
    const outer = outerOf(name) ?? (names.indexOf(name) < index ? name : undefined);
    return outer === undefined ? undefined : `is inside "${outer}", which is cached too`;
  });
}

/** Returns a function that finds the first of some directories that holds a path. */
function outerNames(names: readonly string[]): (path: string) => string | undefined {
  const prefixes = names.map((name) => [name, `${name}/`] as const);
  return (path) => prefixes.find(([, prefix]) => path.startsWith(prefix))?.[0];
}

function nameOf({ path }: WorkspaceFile): string {
  return withoutEnd(path);
}

function withoutEnd(path: string): string {
  return path.endsWith("/") ? path.slice(0, -1) : path;
}

/** Returns the size of a decoded Base64 text; `undefined` if it is not valid. */
function contentBytes(text: string): number | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  return base64Bytes(text);
}
