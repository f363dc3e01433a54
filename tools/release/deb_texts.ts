/**
 * The texts of the Debian package.
 *
 * @module
 */
import { LIB_PATH, THIRD_PARTY_LICENSES } from "../build/layout.ts";
import {
  DESCRIPTION,
  type Moment,
  NEEDS,
  PACKAGE,
  type PackageFacts,
  packageVersion,
} from "./package.ts";

/** Facts that the file `control` contains. */
export interface ControlFacts extends Pick<PackageFacts, "version" | "maintainer"> {
  /** `amd64` or `arm64`. */
  readonly architecture: string;
  readonly installedBytes: number;
}

/** Returns the file `control`. */
export function controlText(facts: ControlFacts): string {
  const { version, maintainer, architecture, installedBytes } = facts;
  const { summary, paragraphs } = DESCRIPTION;
  const list = (needs: readonly { readonly deb: string }[]) =>
    needs.map(({ deb }) => deb).join(", ");
  const text = paragraphs.map((lines) => lines.map((line) => ` ${line}\n`).join("")).join(" .\n");
  return `Package: ${PACKAGE}
Version: ${packageVersion(version)}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${Math.ceil(installedBytes / 1_024)}
Depends: ${list(NEEDS.requires)}
Recommends: ${list(NEEDS.recommends)}
Suggests: ${list(NEEDS.suggests)}
Section: devel
Priority: optional
Description: ${summary}
${text}`;
}

/** Returns the changelog, with the one entry of this release. */
export function changelogText(
  { version, date, maintainer }: Omit<PackageFacts, "target">,
): string {
  const at = new Date(date).toUTCString().replace("GMT", "+0000");
  return `${PACKAGE} (${packageVersion(version)}) unstable; urgency=medium

  * Release ${version}; the project's CHANGELOG.md has the changes.

 -- ${maintainer}  ${at}
`;
}

/**
 * Returns the copyright file in the format of Debian.
 *
 * @param license The text of the product's own licence.
 */
export function copyrightText(license: string): string {
  const holder = /^Copyright \(c\) (.*)$/m.exec(license)?.[1] ?? "cicd-toolkit contributors";
  const body = license.replace(/^[\s\S]*?\n\n(?=Permission)/, "").trimEnd().split("\n")
    .map((line) => line === "" ? " ." : ` ${line}`).join("\n");
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ${PACKAGE}
Comment: The programs contain packages from npm, each under its own licence;
 /usr/${LIB_PATH}/${THIRD_PARTY_LICENSES} has the texts, and
 cicd-toolkit.cdx.json beside this file the sources and checksums.

Files: *
Copyright: ${holder}
License: Expat

Files: usr/lib/cicd-toolkit/deno
Copyright: 2018-2026 the Deno authors
License: Expat

License: Expat
${body}
`;
}

/** Which calls of dpkg(1) are which moments. */
const CALLS: readonly (readonly [string, readonly (readonly [string, Moment])[]])[] = [
  ["postinst", [
    [`[ "$1" = configure ] && [ -z "$2" ]`, "after_install"],
    [`[ "$1" = configure ] && [ -n "$2" ]`, "after_upgrade"],
  ]],
  ["prerm", [[`[ "$1" = remove ]`, "before_remove"]]],
  ["postrm", [[`[ "$1" = remove ]`, "after_remove"]]],
];

/**
 * Returns the maintainer scripts by name.
 *
 * @param functions What each moment does, `package/scripts.sh`.
 */
export function maintainerScripts(functions: string): ReadonlyMap<string, string> {
  return new Map(CALLS.map(([name, calls]) => {
    const lines = calls.map(([test, moment]) => `if ${test}; then ${moment}; fi\n`);
    return [name, `${functions}\n${lines.join("")}`];
  }));
}

/** Findings of lintian that are meant, each with its reason. */
export const LINTIAN_OVERRIDES =
  `# The runtime is the file that Deno publishes: changed, nobody could compare its checksum.
cicd-toolkit: embedded-library *
cicd-toolkit: hardening-no-relro *
cicd-toolkit: spelling-error-in-binary *
cicd-toolkit: binary-has-unneeded-section *
# The terminal binding is the file that npm publishes, with the checksum in deno.lock.
cicd-toolkit: unstripped-binary-or-object *
# deb-systemd-invoke restarts no instances of a template, which the agents are.
cicd-toolkit: maintainer-script-calls-systemctl *
# The copyright file has our licence as Debian wants it; this is the file of every artefact.
cicd-toolkit: extra-license-file *
`;
