/**
 * Finds out which hardening a machine allows.
 *
 * @module
 */
import type { InstallPorts, Owner } from "@lib/features/install/steps.ts";
import type { UnitFile } from "@lib/features/install/unit_files.ts";

const PROBE = "cicd-toolkit-probe.service";

const PROBE_TEXT = `[Service]
Type=oneshot
ExecStart=/usr/bin/env test -w "%h/.local/state/cicd-toolkit"
`;

/** Deadline for removing the probe; it is removed also after an abort. */
const CLEAN_UP_MS = 10_000;

/**
 * Returns whether a unit with this drop-in starts here and can write the state directory.
 *
 * Some distributions forbid user namespaces, some containers hide files, and a unit that insists
 * does not start there. So a probe that only checks the state directory, which must exist, is
 * started with the drop-in. It is written below the runtime directory, as the owner, and is removed
 * again.
 */
export async function hardeningWorks(
  { run }: InstallPorts,
  { asOwner, runtimeDir, stateDir, home }: Owner,
  { candidate, signal }: { readonly candidate: UnitFile; readonly signal: AbortSignal },
): Promise<boolean> {
  // The drop-ins can name no other state directory.
  if (stateDir !== `${home}/.local/state/cicd-toolkit`) return false;
  const unit = `${runtimeDir}/systemd/user/${PROBE}`;
  const asOwned = async (argv: readonly string[], stdin?: string, own = signal) =>
    (await run([...asOwner, ...argv], own, stdin))?.code === 0;
  try {
    return await asOwned(["mkdir", "-p", `${unit}.d`]) &&
      await asOwned(["tee", unit], PROBE_TEXT) &&
      await asOwned(["tee", `${unit}.d/${candidate.name}`], candidate.text) &&
      await asOwned(["systemctl", "--user", "daemon-reload"]) &&
      await asOwned(["systemctl", "--user", "start", PROBE]);
  } finally {
    const late = AbortSignal.timeout(CLEAN_UP_MS);
    await asOwned(["systemctl", "--user", "reset-failed", PROBE], undefined, late);
    await asOwned(["rm", "-rf", unit, `${unit}.d`], undefined, late);
    await asOwned(["systemctl", "--user", "daemon-reload"], undefined, late);
  }
}
