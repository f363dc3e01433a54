import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { TERMINALS } from "@lib/features/terminals/keys.ts";

/** @throws {CicdError} `forbidden` if a project may have no terminals. */
export function assertEnabled(config: RunnerServices["config"], project: ProjectName): void {
  if (config().ofProject(TERMINALS, project).isEnabled) return;
  throw new CicdError(
    "forbidden",
    `Cannot open a terminal in "${project}": the configuration switches them off ` +
      "(terminals.enabled)",
  );
}
