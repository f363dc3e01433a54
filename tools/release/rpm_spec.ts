/**
 * The specification of the RPM.
 *
 * @module
 */
import {
  DESCRIPTION,
  DOC_PATH,
  LICENSE_PATHS,
  type Moment,
  NEEDS,
  PACKAGE,
  type PackageFacts,
  packageVersion,
} from "./package.ts";

/** Facts that the specification contains. */
export interface SpecFacts extends Omit<PackageFacts, "target"> {
  /** Files of the package, from its root. */
  readonly paths: readonly string[];
  /** The function of each moment, `package/scripts.sh`. */
  readonly functions: string;
}

/** Directories that no other package has. */
const OWN_PATHS = [`usr/lib/${PACKAGE}`, DOC_PATH];

/** Which calls of rpm(8) are which moments; its argument is how many versions are then installed. */
const CALLS: readonly (readonly [string, readonly (readonly [string, Moment])[]])[] = [
  ["post", [[`[ "$1" = 1 ]`, "after_install"], [`[ "$1" -gt 1 ]`, "after_upgrade"]]],
  ["preun", [[`[ "$1" = 0 ]`, "before_remove"]]],
  ["postun", [[`[ "$1" = 0 ]`, "after_remove"]]],
];

/** Returns the specification, whose macro `stage` is the directory of the files. */
export function specText(facts: SpecFacts): string {
  const { version, date, maintainer, paths, functions } = facts;
  const { summary, paragraphs } = DESCRIPTION;
  const need = (tag: string, needs: readonly { readonly rpm: string }[]) =>
    needs.map(({ rpm }) => `${tag}: ${rpm}\n`).join("");
  const scripts = CALLS.map(([name, calls]) => {
    const lines = calls.map(([test, moment]) => `if ${test}; then ${moment}; fi\n`);
    return `%${name}\n${plain(functions.replace(/^#!.*\n/, ""))}\n${lines.join("")}\n`;
  });
  return `Name: ${PACKAGE}
Version: ${packageVersion(version)}
Release: 1
Summary: ${plain(summary)}
License: MIT
Packager: ${plain(maintainer)}
Group: Development/Tools
AutoReqProv: no
${need("Requires", NEEDS.requires)}${need("Recommends", NEEDS.recommends)}${
    need("Suggests", NEEDS.suggests)
  }
%description
${plain(paragraphs.map((lines) => lines.join("\n")).join("\n\n"))}

%install
cp -al %{stage}/. %{buildroot}/

${scripts.join("")}%files
%defattr(-,root,root,-)
${directoriesOf(paths).map((path) => `%dir /${path}\n`).join("")}${
    paths.map((path) => `${LICENSE_PATHS.includes(path) ? "%license " : ""}/${path}\n`).join("")
  }
%changelog
* ${rpmDate(date)} ${plain(maintainer)} - ${packageVersion(version)}-1
- Release ${version}; the project's CHANGELOG.md has the changes.
`;
}

/** Keeps text from being read as macros. */
function plain(text: string): string {
  return text.replaceAll("%", "%%");
}

/** Returns the directories that belong to the package, sorted. */
function directoriesOf(paths: readonly string[]): readonly string[] {
  const found = new Set<string>();
  for (const path of paths) {
    const parts = path.split("/");
    for (let length = parts.length - 1; length > 0; length--) {
      const directory = parts.slice(0, length).join("/");
      if (OWN_PATHS.some((own) => directory === own || directory.startsWith(`${own}/`))) {
        found.add(directory);
      }
    }
  }
  return [...found].sort();
}

/** Returns the day as `Fri Jan 02 2026`. */
function rpmDate(date: string): string {
  const [weekday = "", day = "", month = "", year = ""] = new Date(date).toUTCString().split(" ");
  return `${weekday.replace(",", "")} ${month} ${day} ${year}`;
}
