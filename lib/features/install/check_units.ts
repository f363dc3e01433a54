/**
 * Checks the installed units, and the runner that they start.
 *
 * @module
 */
import { type Check, fine, problem, skipped, warning } from "@lib/features/install/checks.ts";
import type { DoctorFacts, UnitFacts, UnitInstance } from "@lib/features/install/facts.ts";

const TITLE = "Unit";

/** Checks every unit this version ships: installed, current, loaded and alive. */
export function checkUnits(facts: DoctorFacts): readonly Check[] {
  if (facts.manager.kind !== "answers") {
    return [skipped("units", "Units", "there is no user manager to ask about them")];
  }
  return facts.units.flatMap(checkUnit);
}

function checkUnit({ file, installedText, instances }: UnitFacts): readonly Check[] {
  const id = `unit:${file.name}`;
  if (installedText === undefined) {
    return [warning(id, TITLE, `${file.name} is not installed`, "cicd-runner install")];
  }
  const found = instances.flatMap((instance) => checkInstance(instance, file.name));
  if (installedText !== file.text) {
    return [
      warning(
        id,
        TITLE,
        `${file.name} is not the one of this version`,
        "cicd-runner install; what you want otherwise belongs into a drop-in " +
          `(systemctl --user edit ${file.name})`,
      ),
      ...found,
    ];
  }
  return found.length > 0 ? found : [fine(id, TITLE, `${file.name} is installed and current`)];
}

function checkInstance(instance: UnitInstance, fileName: string): readonly Check[] {
  const { name } = instance;
  const checks: Check[] = [];
  if (instance.activeState === "failed") {
    checks.push(problem(
      `failed:${name}`,
      TITLE,
      `${name} has failed: ${instance.result}`,
      failedFix(name, instance.result),
    ));
  }
  if (instance.needsReload) {
    checks.push(warning(
      `reload:${name}`,
      TITLE,
      `${name} changed on disk after systemd read it`,
      "systemctl --user daemon-reload",
    ));
  }
  if (instance.killMode === "process" || instance.killMode === "none") {
    checks.push(problem(
      `kill_mode:${name}`,
      TITLE,
      `${name} has KillMode=${instance.killMode}, which leaves processes behind`,
      `systemctl --user edit ${fileName}, and remove KillMode= from the drop-in`,
    ));
  }
  return checks;
}

function failedFix(name: string, result: string): string {
  // It has no socket, and nothing waits for it: the timer comes again.
  if (name === "cicd-clean.service") {
    return `journalctl --user -t cicd-clean -n 50; mend it, then systemctl --user start ${name}`;
  }
  const service = name.replace(/\.socket$/, ".service");
  const socket = name.replace(/\.service$/, ".socket");
  const look = `journalctl --user -u ${service} -n 50`;
  const again = `systemctl --user reset-failed ${service} ${socket} && ` +
    `systemctl --user start ${socket}`;
  return result === "resources" || result === "success" ? again : `${look}; mend it, then ${again}`;
}

/** Checks the runner's answer. */
export function checkRunner({ runner, manager, version }: DoctorFacts): Check {
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
