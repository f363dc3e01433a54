/**
 * The unit files of this version, and the changes that install them.
 *
 * @module
 */

/** A unit file of this version. */
export interface UnitFile {
  readonly name: string;
  readonly text: string;
}

/** The units that a version ships, as they are installed. */
export const UNIT_NAMES = [
  "cicd-runner.socket",
  "cicd-runner.service",
  "cicd-runner@.service",
  "cicd-agent@.socket",
  "cicd-agent@.service",
  "cicd.slice",
  "cicd-clean.service",
  "cicd-clean.timer",
] as const;

/** The units that run a program, whose PATH may need another directory. */
const PROGRAM_UNITS = [
  "cicd-runner.service",
  "cicd-runner@.service",
  "cicd-agent@.service",
  "cicd-clean.service",
];

/** The units that get the hardening drop-ins. */
const HARDENED_UNITS = ["cicd-runner.service", "cicd-agent@.service", "cicd-clean.service"];

/** Hardening that is tried first, as not every machine allows it. */
export const HARDENING_NAMES = ["50-namespaces.conf", "60-kernel-logs.conf"] as const;

const PATH_DROP_IN = "10-path.conf";
const UNIT_PATH = "%h/.local/bin:/opt/cicd-toolkit/bin:/usr/local/bin:/usr/bin:/bin";

/** One change on disk. */
export type UnitAction =
  | { readonly kind: "write"; readonly path: string; readonly text: string }
  | { readonly kind: "remove"; readonly path: string };

/** The input of {@linkcode planUnits}. */
export interface UnitPlanInput {
  /** Receives the units. */
  readonly unitDir: string;
  readonly units: readonly UnitFile[];
  /** The hardening drop-ins that work on this machine; `undefined`: those that are there stay. */
  readonly hardening: readonly UnitFile[] | undefined;
  /** The directory of the programs; `undefined`: the units find them by themselves. */
  readonly binDir: string | undefined;
  /** The owner's home; `undefined`: there are several owners. */
  readonly home: string | undefined;
  /** Texts of the files that are there now, by path. */
  readonly present: ReadonlyMap<string, string>;
}

/** Returns whether a unit's text is of some version of ours, rather than written by hand. */
export function isOwnUnit(text: string): boolean {
  return /^Description=cicd-toolkit\b/m.test(text);
}

/** Returns whether a directory holds drop-ins of our units, or of the slice of a project. */
export function isDropInDirectory(name: string): boolean {
  return /^cicd-(?:runner|agent|clean)(?:@[^/]*)?\.(?:service|socket|timer)\.d$|^cicd(?:-.*)?\.slice\.d$/
    .test(name);
}

/** Returns every path that an installation may have written below `unitDir`. */
export function ownedPaths(unitDir: string): readonly string[] {
  return [
    ...UNIT_NAMES.map((name) => `${unitDir}/${name}`),
    ...PROGRAM_UNITS.map((name) => `${unitDir}/${name}.d/${PATH_DROP_IN}`),
    ...HARDENED_UNITS.flatMap((unit) =>
      HARDENING_NAMES.map((name) => `${unitDir}/${unit}.d/${name}`)
    ),
  ];
}

/**
 * Returns the changes that lead from the present files to this version.
 *
 * @throws {RangeError} If a unit file cannot hold `binDir`.
 */
export function planUnits(input: UnitPlanInput): readonly UnitAction[] {
  const { unitDir, units, hardening, binDir, home, present } = input;
  const wanted = new Map(units.map(({ name, text }) => [`${unitDir}/${name}`, text]));
  for (const unit of HARDENED_UNITS) {
    for (const { name, text } of hardening ?? []) wanted.set(`${unitDir}/${unit}.d/${name}`, text);
  }
  if (binDir !== undefined && !UNIT_PATH.replace("%h", home ?? "%h").split(":").includes(binDir)) {
    for (const unit of PROGRAM_UNITS) {
      wanted.set(`${unitDir}/${unit}.d/${PATH_DROP_IN}`, pathDropIn(binDir));
    }
  }
  const actions: UnitAction[] = [];
  for (const path of ownedPaths(unitDir)) {
    const text = wanted.get(path);
    if (text === undefined) {
      const isKept = hardening === undefined && HARDENING_NAMES.some((name) => path.endsWith(name));
      if (present.has(path) && !isKept) actions.push({ kind: "remove", path });
    } else if (present.get(path) !== text) {
      actions.push({ kind: "write", path, text });
    }
  }
  return actions;
}

/** Returns the drop-in that lets the units find their programs in `binDir`. */
function pathDropIn(binDir: string): string {
  if (!/^\/[A-Za-z0-9/._@+~ -]*$/.test(binDir)) {
    throw new RangeError(
      `Cannot name the directory "${binDir}" in a unit file: it contains a special character`,
    );
  }
  return `[Service]\nEnvironment="PATH=${binDir}:${UNIT_PATH}"\n`;
}
