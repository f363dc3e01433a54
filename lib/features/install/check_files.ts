/**
 * Checks who may use the suite's files, and the room there is for them.
 *
 * @module
 */
import { formatSize } from "@lib/core/size.ts";
import { type Check, fine, problem, skipped, warning } from "@lib/features/install/checks.ts";
import type { DiskFacts, DoctorFacts, GuardedPath } from "@lib/features/install/facts.ts";

const GROUP_AND_OTHERS = 0o077;
const WRITE_FOR_OTHERS = 0o022;

const ROLES: Readonly<Record<GuardedPath["role"], string>> = {
  config_dir: "Configuration directory",
  config_file: "Configuration file",
  state_dir: "State directory",
  socket: "Socket",
  key_file: "Key file",
};

/** Checks modes, owners and free space. */
export function checkFiles(facts: DoctorFacts): readonly Check[] {
  return [
    ...facts.paths.map((guarded) => checkPath(guarded, facts.uid)),
    checkDisk(facts.disk),
  ];
}

function checkPath({ role, facts }: GuardedPath, uid: number): Check {
  const { path } = facts;
  const id = `${role}:${path}`;
  const title = ROLES[role];
  if (facts.kind === "missing") {
    return skipped(
      id,
      title,
      `${path} does not exist${role === "config_file" ? " (not needed)" : ""}`,
    );
  }
  const { mode } = facts;
  const shown = `0${mode.toString(8).padStart(3, "0")}`;
  const wanted = role === "config_dir" || role === "state_dir" ? "0700" : "0600";
  // A file that root provides for everyone is as trusted as the machine.
  const rootMay = role === "config_dir" || role === "config_file";
  if (facts.uid !== uid && !(rootMay && facts.uid === 0)) {
    return problem(
      id,
      title,
      `${path} belongs to uid ${facts.uid}, not to you (uid ${uid})`,
      `sudo chown ${uid} ${path}`,
    );
  }
  if ((mode & GROUP_AND_OTHERS) === 0) return fine(id, title, `${path} is for its owner alone`);
  const fix = `chmod ${wanted} ${path}`;
  if (!rootMay) {
    return problem(id, title, `${path} has mode ${shown}: other users can use it`, fix);
  }
  if ((mode & WRITE_FOR_OTHERS) !== 0) {
    return problem(
      id,
      title,
      `${path} has mode ${shown}: other users can change what the runner does`,
      fix,
    );
  }
  return facts.uid === 0
    ? fine(id, title, `${path} is provided by root`)
    : warning(id, title, `${path} has mode ${shown}: other users can read it`, fix);
}

function checkDisk({ path, freeBytes, floorBytes }: DiskFacts): Check {
  const title = "Disk";
  if (freeBytes === undefined) return skipped("disk", title, `the room at ${path} is not known`);
  const free = `${formatSize(freeBytes)} free at ${path}`;
  const floor = formatSize(floorBytes);
  const fix = "free some space, or lower retention.min_free_disk or the retention times";
  if (freeBytes < floorBytes) {
    return problem("disk", title, `${free}; new jobs are refused below ${floor}`, fix);
  }
  if (freeBytes < floorBytes * 2) {
    return warning("disk", title, `${free}; new jobs will be refused below ${floor}`, fix);
  }
  return fine("disk", title, free);
}
