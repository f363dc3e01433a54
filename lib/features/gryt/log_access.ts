/**
 * Gryt jobs for who follows their logs.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { checkApiKey } from "@lib/features/gryt/api_key.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import { findGrytJob } from "@lib/features/gryt/find_job.ts";
import type { ApiPorts, GrytLogs } from "@lib/api/ports.ts";

/** Makes the port for the logs of Gryt jobs. */
export function grytLogs(
  ports: Pick<ApiPorts, "store" | "access">,
  gryt: GrytService,
): GrytLogs {
  return {
    assertKey(request, origin) {
      if (checkApiKey(request.headers.get("x-api-key"), gryt.settings().apiKey) === "right") return;
      if (origin.kind !== "local") {
        ports.access.countFailure(origin.address, "the key is not the key of Gryt's API");
      }
      throw new CicdError(
        "unauthorized",
        "Cannot show logs: X-API-Key is not the key of Gryt's API",
      );
    },
    jobOf: (id) => findGrytJob(ports, gryt, id),
  };
}
