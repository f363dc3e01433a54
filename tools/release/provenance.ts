/**
 * How a release was made: an in-toto statement with the predicate of SLSA provenance 1.
 *
 * @module
 */
import type { Checksums } from "./checksums.ts";

/** Something that went into a release. */
export interface Material {
  /** Such as `git+https://…` or a package URL. */
  readonly uri: string;
  /** Digests by algorithm: `sha256`, `gitCommit`. */
  readonly digest: Readonly<Record<string, string>>;
}

/** The parts of {@linkcode formatProvenance}. */
export interface ProvenanceOptions {
  /** The files that were made. */
  readonly subjects: Checksums;
  /** The version, and the layout of each target. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly materials: readonly Material[];
  readonly builder: Builder;
}

/** The maker of a release. */
export interface Builder {
  /** A URI. */
  readonly id: string;
  /** URI of the run; absent on a machine that has none. */
  readonly invocation?: string;
}

/** Formats the statement. It has no times: the same release made again gives the same bytes. */
export function formatProvenance(options: ProvenanceOptions): string {
  const { subjects, parameters, materials, builder } = options;
  const statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [...subjects].sort(([a], [b]) => a < b ? -1 : 1)
      .map(([name, sha256]) => ({ name, digest: { sha256 } })),
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: "urn:cicd-toolkit:release-task:v1",
        externalParameters: parameters,
        resolvedDependencies: materials,
      },
      runDetails: {
        builder: { id: builder.id },
        ...builder.invocation === undefined
          ? {}
          : { metadata: { invocationId: builder.invocation } },
      },
    },
  };
  return JSON.stringify(statement, null, 2) + "\n";
}

/** Returns the builder: the workflow that runs this, or a person's machine. */
export function builderOf(env: (name: string) => string | undefined): Builder {
  const [server, repository, workflow, run] = [
    env("GITHUB_SERVER_URL"),
    env("GITHUB_REPOSITORY"),
    env("GITHUB_WORKFLOW_REF"),
    env("GITHUB_RUN_ID"),
  ];
  if (server === undefined || repository === undefined || workflow === undefined) {
    return { id: "urn:cicd-toolkit:local" };
  }
  const attempt = env("GITHUB_RUN_ATTEMPT") ?? "1";
  return {
    id: `${server}/${workflow}`,
    ...run === undefined
      ? {}
      : { invocation: `${server}/${repository}/actions/runs/${run}/attempts/${attempt}` },
  };
}
