/**
 * Which projects take and start jobs, as the store keeps it.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";
import { text } from "@lib/spine/queue/job_row.ts";
import type { Database } from "@lib/foundations/store/database.ts";

/** Whether a project, or all of them, take and start jobs. */
export type IntakeMode = "open" | "paused" | "draining";

/** The key under which the mode of all projects together is kept. */
export const ALL_PROJECTS = "*";

/** The modes that are not `open`, by project. */
export function readIntakeModes(db: Database): ReadonlyMap<string, IntakeMode> {
  return new Map(
    db.all("SELECT project, mode FROM intake").map((row) => [
      text(row, "project"),
      parseMode(text(row, "mode")),
    ]),
  );
}

/** Keeps a mode for good. */
export function writeIntakeMode(
  db: Database,
  project: ProjectName | typeof ALL_PROJECTS,
  mode: IntakeMode,
): void {
  if (mode === "open") db.run("DELETE FROM intake WHERE project = ?", project);
  else {
    db.run(
      "INSERT INTO intake (project, mode) VALUES (?, ?) ON CONFLICT DO UPDATE SET mode = excluded.mode",
      project,
      mode,
    );
  }
}

function parseMode(value: string): IntakeMode {
  return value === "paused" || value === "draining" ? value : "open";
}
