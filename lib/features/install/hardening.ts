/**
 * Tries which hardening a machine allows.
 *
 * Some distributions forbid user namespaces, some containers hide files, and a
 * unit that insists does not start there. So a unit that only looks whether it
 * can write the state folder is started with each drop-in.
 *
 * @module
 */
import type { InstallPorts } from "@lib/features/install/install_ports.ts";
import type { UnitFile } from "@lib/features/install/unit_files.ts";

const PROBE = "cicd-toolkit-probe.service";

const PROBE_TEXT = `[Service]
Type=oneshot
ExecStart=/usr/bin/env test -w "%h/.local/state/cicd-toolkit"
`;

/**
 * The drop-ins with which a unit starts here and can write the state folder.
 *
 * The state folder must exist. What it writes to try lies below the runtime
 * folder and is removed again.
 */
export async function workingHardening(
  ports: InstallPorts,
  candidates: readonly UnitFile[],
  signal: AbortSignal,
): Promise<readonly UnitFile[]> {
  const { runtimeDir, stateDir, home } = ports.subject;
  // The drop-ins name the folder as a unit file must: they know no other place.
  if (runtimeDir === undefined || stateDir !== `${home}/.local/state/cicd-toolkit`) return [];
  const working: UnitFile[] = [];
  for (const candidate of candidates) {
    if (await works(ports, `${runtimeDir}/systemd/user`, candidate, signal)) {
      working.push(candidate);
    }
  }
  return working;
}

async function works(
  { run, writeText, removeFile }: InstallPorts,
  folder: string,
  candidate: UnitFile,
  signal: AbortSignal,
): Promise<boolean> {
  const unit = `${folder}/${PROBE}`;
  const dropIn = `${unit}.d/${candidate.name}`;
  const systemctl = (...args: readonly string[]) => run(["systemctl", "--user", ...args], signal);
  try {
    await writeText(unit, PROBE_TEXT, signal);
    await writeText(dropIn, candidate.text, signal);
    await systemctl("daemon-reload");
    return (await systemctl("start", PROBE))?.code === 0;
  } finally {
    await systemctl("reset-failed", PROBE);
    await removeFile(dropIn, signal);
    await removeFile(unit, signal);
    await systemctl("daemon-reload");
  }
}
