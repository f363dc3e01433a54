/**
 * The `install.sh` that belongs to a release.
 *
 * @module
 */

/** The settings that a release's installer has, and that of a checkout has not. */
export interface InstallerSettings {
  /** Installed without `--version`. */
  readonly version: string;
  /** May contain `{version}`. */
  readonly baseUrl: string | undefined;
  /** As `minisign -P` takes it. */
  readonly publicKey: string | undefined;
}

/**
 * Fills in the settings.
 *
 * @throws {Error} If the text has no place for one, or a value cannot be in it.
 */
export function releaseInstaller(text: string, settings: InstallerSettings): string {
  const values = [
    ["default_version", settings.version],
    ["default_base_url", settings.baseUrl ?? ""],
    ["default_public_key", settings.publicKey ?? ""],
  ] as const;
  let filled = text;
  for (const [name, value] of values) {
    if (!/^[A-Za-z0-9:/._~{}+=-]*$/.test(value)) {
      throw new TypeError(`Cannot set "${name}" in install.sh to "${value}"`);
    }
    if (!filled.includes(`\n${name}=''\n`)) {
      throw new Error(`Cannot set "${name}" in install.sh: it has no such line`);
    }
    filled = filled.replace(`\n${name}=''\n`, () => `\n${name}='${value}'\n`);
  }
  return filled;
}
