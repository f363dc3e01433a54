/**
 * The runner's part of artifacts.
 *
 * @module
 */
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { ArtifactReader } from "@lib/features/artifacts/artifact_reader.ts";
import { artifactRoutes } from "@lib/features/artifacts/artifact_routes.ts";

/** Returns the part. */
export function part({ config, maskOf }: RunnerServices): RunnerPart {
  const { stateDir } = config().of(PROGRAM);
  return {
    routes: artifactRoutes(new ArtifactReader(stateDir), maskOf),
    async maskKept(job, mask, signal) {
      const { maskKeptNames } = await import("@lib/features/artifacts/kept_names.ts");
      await maskKeptNames(stateDir, job, { mask, signal });
    },
  };
}
