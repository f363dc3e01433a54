/**
 * Judges whether the runner answers.
 *
 * @module
 */
import { type Check, fine, problem, warning } from "@lib/features/install/checks.ts";
import type { DoctorFacts } from "@lib/features/install/facts.ts";

/** Judges the runner's answer. */
export function judgeRunner({ runner, manager, version }: DoctorFacts): Check {
  const title = "Runner";
  if (runner.kind === "silent") {
    return problem(
      "runner",
      title,
      `the runner does not answer: ${runner.why}`,
      manager.kind === "answers"
        ? "systemctl --user enable --now cicd-runner.socket"
        : "start it with: cicd-runner daemon",
    );
  }
  if (runner.version !== undefined && runner.version !== version) {
    return warning(
      "runner",
      title,
      `the runner is version ${runner.version}, this program ${version}`,
      manager.kind === "answers"
        ? "systemctl --user try-restart cicd-runner.service 'cicd-agent@*.service'"
        : "restart it",
    );
  }
  return fine("runner", title, `the runner answers, version ${runner.version ?? "unknown"}`);
}
