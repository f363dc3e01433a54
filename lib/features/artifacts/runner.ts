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
  return { routes: artifactRoutes(new ArtifactReader(config().of(PROGRAM).stateDir), maskOf) };
}
