/**
 * The agent's part of artifacts.
 *
 * @module
 */
import { ARTIFACTS } from "@lib/features/artifacts/keys.ts";
import { lazyStep } from "@lib/spine/jobs/step.ts";
import type { AgentPart, AgentServices } from "@lib/api/feature.ts";

/** Returns the part. */
export function part({ config, env, clock }: AgentServices): AgentPart {
  return {
    steps: [
      lazyStep({
        name: "artifacts",
        doing: "keeping artifacts",
        needed: ({ artifacts }) => artifacts !== undefined,
        does: "after",
        async load() {
          const { artifactStep } = await import("@lib/features/artifacts/artifact_step.ts");
          const { s3Upload } = await import("@lib/features/artifacts/s3_upload.ts");
          return artifactStep({
            limits: () => config().of(ARTIFACTS),
            upload() {
              const { s3 } = config().of(ARTIFACTS);
              return s3 && s3Upload(s3, { env: (name) => env[name], clock });
            },
          });
        },
      }),
    ],
  };
}
