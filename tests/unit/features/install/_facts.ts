import type { DoctorFacts } from "@lib/features/install/facts.ts";

/** A user manager that answers and has every controller. */
export const MANAGER = {
  kind: "answers",
  version: "252.39",
  controllers: ["cpu", "memory", "pids"],
} as const;

/** The facts of a sound machine, but for `overrides`. */
export function factsWith(overrides: Partial<DoctorFacts>): DoctorFacts {
  return {
    user: "dev",
    uid: 1000,
    manager: MANAGER,
    lingers: true,
    runtimeDir: { kind: "found", path: "/run/user/1000", mode: 0o700, uid: 1000 },
    paths: [],
    disk: { path: "/state", freeBytes: 10 * 1024 ** 3, floorBytes: 1024 ** 3 },
    units: [],
    engine: { kind: "none" },
    git: "git version 2.39.5",
    gitLfs: undefined,
    runner: { kind: "answered", version: "1.0.0" },
    version: "1.0.0",
    ...overrides,
  };
}
