/**
 * The texts of the Debian package.
 *
 * @module
 */

/** Facts that the texts contain. */
export interface DebFacts {
  readonly version: string;
  /** RFC 3339. */
  readonly date: string;
  /** `amd64` or `arm64`. */
  readonly architecture: string;
  readonly installedBytes: number;
}

const MAINTAINER = "cicd-toolkit contributors <cicd-toolkit@users.noreply.github.com>";

const DESCRIPTION = `CI/CD job runner for systemd user managers
 Accepts jobs on a socket, queues them, and runs each within its own limits:
 as a transient unit of the user's systemd, or as a container. The runner and
 the agents of its projects start on demand and exit when they are idle.
 .
 Nothing is enabled by the installation. A user who wants a runner enables it:
 systemctl --user enable --now cicd-runner.socket cicd-clean.timer`;

/** Returns a version in the order of Debian: a prerelease comes before its release. */
export function debianVersion(version: string): string {
  return version.replace("-", "~").replaceAll("-", ".");
}

/** Returns the file \`control\`. */
export function controlText(facts: DebFacts): string {
  return `Package: cicd-toolkit
Version: ${debianVersion(facts.version)}
Architecture: ${facts.architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${Math.ceil(facts.installedBytes / 1_024)}
Depends: libc6 (>= 2.35), libgcc-s1
Recommends: dbus-user-session, git, libpam-systemd, systemd
Suggests: docker.io | podman
Section: devel
Priority: optional
Description: ${DESCRIPTION}
`;
}

/** Returns the changelog, with the one entry of this release. */
export function changelogText({ version, date }: DebFacts): string {
  const at = new Date(date).toUTCString().replace("GMT", "+0000");
  return `cicd-toolkit (${debianVersion(version)}) unstable; urgency=medium

  * Release ${version}; the project's CHANGELOG.md has the changes.

 -- ${MAINTAINER}  ${at}
`;
}

/** A package in the bundles. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression. */
  readonly license: string | undefined;
}

/**
 * Returns the copyright file in the format of Debian.
 *
 * @param license The text of the product's own licence.
 */
export function copyrightText(license: string, bundled: readonly BundledPackage[]): string {
  const holder = /^Copyright \(c\) (.*)$/m.exec(license)?.[1] ?? "cicd-toolkit contributors";
  const body = license.replace(/^[\s\S]*?\n\n(?=Permission)/, "").trimEnd().split("\n")
    .map((line) => line === "" ? " ." : ` ${line}`).join("\n");
  const list = bundled.map(({ name, version, license }) =>
    `  ${name} ${version}: ${license ?? "no licence stated"}`
  );
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: cicd-toolkit
Comment: The programs contain these packages from npm, each under its own licence;
 cicd-toolkit.cdx.json beside this file has their sources and checksums.
 .
${list.join("\n")}

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

/** Findings of lintian that are meant, each with its reason. */
export const LINTIAN_OVERRIDES =
  `# The runtime is the file that Deno publishes: changed, nobody could compare its checksum.
cicd-toolkit: embedded-library *
cicd-toolkit: hardening-no-relro *
cicd-toolkit: spelling-error-in-binary *
cicd-toolkit: binary-has-unneeded-section *
# deb-systemd-invoke restarts no instances of a template, which the agents are.
cicd-toolkit: maintainer-script-calls-systemctl *
`;
