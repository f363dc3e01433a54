/**
 * The versions of the tables in a database, by their owners.
 *
 * @module
 */

/**
 * The schemas that `user_version` counts, in the order of the first releases.
 *
 * The list never grows: later versions are rows of `schema_versions`, one for each owner, so that a
 * release without a feature still opens the database.
 */
export const COUNTED = ["jobs", "jobs", "gryt", "access"] as const;

/** Returns the version of each owner's tables. @param all Returns all rows of a query. */
export function storedVersions(
  all: (sql: string) => readonly Readonly<Record<string, unknown>>[],
): Map<string, number> {
  const counted = Number(all("PRAGMA user_version")[0]?.["user_version"] ?? 0);
  const versions = new Map<string, number>();
  for (const name of COUNTED.slice(0, counted)) versions.set(name, (versions.get(name) ?? 0) + 1);
  if (all("SELECT 1 FROM sqlite_schema WHERE name = 'schema_versions'").length > 0) {
    for (const { name, version } of all("SELECT name, version FROM schema_versions")) {
      versions.set(String(name), Number(version));
    }
  }
  return versions;
}
