/**
 * Whether a job that is well written is also allowed here.
 *
 * Judged before the job is accepted, so that whoever submits hears of it at
 * once. Each part judges its own again before it acts: the configuration may
 * have changed while the job waited.
 *
 * @module
 */
import type { FieldIssue } from "@lib/core/errors.ts";
import { containerIssues, type ContainerRules } from "@lib/spine/spec/container_policy.ts";
import { gitIssues, type GitRules } from "@lib/spine/spec/git_policy.ts";
import type { JobSpec } from "@lib/spine/jobs/model.ts";
import { artifactIssues, cacheIssues, fileIssues } from "@lib/spine/spec/workspace_paths.ts";

/** What the configuration allows the jobs of a project. */
export interface JobRules {
  readonly containers: ContainerRules;
  readonly git: GitRules;
}

/** Says what is wrong, by the fields of the job's request; empty if nothing is. */
export function policyIssues(spec: JobSpec, rules: JobRules): readonly FieldIssue[] {
  const { container, git, files, artifacts, caches } = spec;
  return [
    ...(container === undefined ? [] : containerIssues(container, rules.containers)),
    ...(git === undefined ? [] : gitIssues(git, rules.git)),
    ...(files === undefined ? [] : fileIssues(files)),
    ...(artifacts === undefined ? [] : artifactIssues(artifacts)),
    ...(caches === undefined ? [] : cacheIssues(caches)),
  ];
}
