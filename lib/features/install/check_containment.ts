/**
 * Checks how jobs are contained where no service manager does.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { type Check, checkOf } from "@lib/features/install/checks.ts";
import type { DoctorFacts } from "@lib/features/install/facts.ts";
import { findContainment } from "@lib/spine/executors/containment.ts";

/** Configuration and ports of {@linkcode checkContainment}. */
interface ContainmentSubject {
  readonly executor: "auto" | "unit" | "direct";
  readonly contain: Parameters<typeof findContainment>[0];
  readonly options: Parameters<typeof findContainment>[1];
}

/** Tries how jobs are contained; nothing to say where they are units. */
export async function checkContainment(
  { manager }: Pick<DoctorFacts, "manager">,
  { executor, contain, options }: ContainmentSubject,
): Promise<readonly Check[]> {
  const isDirect = executor === "direct" ||
    (executor === "auto" && manager.kind !== "answers");
  if (!isDirect) return [];
  const check = checkOf("containment", "Containment");
  try {
    const { way, why = "" } = await findContainment(contain, options);
    switch (way) {
      case "pid":
        return [check.ok("jobs run in a PID namespace; nothing survives them")];
      case "user":
        return [check.ok(
          "jobs run in a PID and a user namespace; nothing survives them, and set-uid programs " +
            "such as sudo do not work in them",
        )];
      case "marker": {
        if (Deno.build.os !== "linux") {
          return [check.warning(
            "jobs are found by process group; a process that leaves it and its parent outlives its job",
            "give a job an image, or run it on Linux, if that matters",
          )];
        }
        const effect = `jobs are found by session and variables: ${why}`;
        return [
          contain === "marker" ? check.ok(effect) : check.warning(
            `${effect}; a process that drops both outlives its job`,
            "allow user namespaces (kernel.unprivileged_userns_clone, user.max_user_namespaces, " +
              "kernel.apparmor_restrict_unprivileged_userns), or set direct.contain: marker",
          ),
        ];
      }
    }
  } catch (error) {
    if (!(error instanceof CicdError)) throw error;
    return [check.problem(
      messageOf(error),
      "allow user namespaces, or set direct.contain: auto in the configuration",
    )];
  }
}
