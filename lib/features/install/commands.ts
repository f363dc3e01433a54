/**
 * The commands about this installation, in the order of the help.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message, optionName } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { type Command, commandGroup, defineCommand } from "@lib/api/client/command.ts";
import { duration, filePath, toggle } from "@lib/foundations/cli/grammar_values.ts";

const doctor = defineCommand({
  name: "doctor",
  brief: message`Check this machine and installation for problems`,
  description: message`Changes nothing. Exits with 1 if there is a problem.`,
  examples: ["cicd-runner doctor"],
  flags: () => object({}),
  async run(_flags, context) {
    const { doctor } = await import("@lib/features/install/command_doctor.ts");
    return await doctor(context);
  },
});

const configCheck = defineCommand({
  name: "check",
  brief: message`Check the configuration`,
  description:
    message`Prints one problem a line, as file:line:column. Exits with 78 if there is any.`,
  examples: ["cicd-runner config check --config new.yaml"],
  flags: () => object({}),
  async run(_flags, context) {
    const { checkConfig } = await import("@lib/features/install/command_config.ts");
    return await checkConfig(context);
  },
});

const configShow = defineCommand({
  name: "show",
  brief: message`Print every setting in effect and its source`,
  examples: ["cicd-runner config show"],
  flags: () =>
    object({ env: toggle(["--show-env"], message`Show the values of jobs' variables too`) }),
  async run({ env }, context) {
    const { showConfig } = await import("@lib/features/install/command_config.ts");
    return await showConfig(context, env ? "shown" : "hidden");
  },
});

const install = defineCommand({
  name: "install",
  brief: message`Install the systemd user units, or bring them up to date`,
  examples: ["cicd-runner install --dry-run"],
  flags: () =>
    object({
      dryRun: dryRun(),
      noEnable: toggle(["--no-enable"], message`Install the units but do not enable them`),
      noLinger: toggle(["--no-linger"], message`Do not enable lingering`),
      noHardening: toggle(["--no-hardening"], message`Leave out the hardening drop-ins`),
      prefix: optional(option("--prefix", filePath("PATH"), {
        description:
          message`Directory whose ${"bin"} holds the programs; by default that of this one`,
      })),
      system: system(),
      user: user(),
    }),
  async run(flags, context) {
    const { install } = await import("@lib/features/install/command_install.ts");
    return await install(flags, context);
  },
});

const uninstall = defineCommand({
  name: "uninstall",
  brief: message`Stop the programs and remove their units; jobs go on`,
  examples: ["cicd-runner uninstall"],
  flags: () =>
    object({
      dryRun: dryRun(),
      purge: toggle(
        ["--purge"],
        message`Remove configuration, job history and logs too, and stop all jobs`,
      ),
      yes: toggle(["--yes"], message`Confirm ${optionName("--purge")}`),
      system: system(),
      user: user(),
    }),
  async run(flags, context) {
    const { uninstall } = await import("@lib/features/install/command_install.ts");
    return await uninstall(flags, context);
  },
});

const upgrade = defineCommand({
  name: "upgrade",
  brief: message`Upgrade the programs to a newer release; jobs go on`,
  description:
    message`Downloads and verifies the release, tries it, and goes back by itself if its runner does not take over the running jobs. Exits with 1 then.`,
  examples: ["cicd-runner upgrade --check", "cicd-runner upgrade --to 1.2.3"],
  flags: () =>
    object({
      to: optional(option("--to", string({ metavar: "VERSION" }), {
        description: message`This release, even an older one; default: the latest, if it is newer`,
      })),
      check: toggle(["--check"], message`Only say what there is`),
      from: optional(option("--from", string({ metavar: "URL" }), {
        description:
          message`Where the release's files are; may contain ${"{version}"}; default: where the installed release came from`,
      })),
      within: optional(option("--within", duration(), {
        description:
          message`Time for the new runner to answer and to take over the jobs; default: ${"60s"}`,
      })),
      recover: toggle(["--recover"], message`Only end an upgrade that was interrupted`),
      prefix: optional(option("--prefix", filePath("PATH"), {
        description: message`The installation to upgrade; default: that of this program`,
      })),
    }),
  async run(flags, context) {
    const { runUpgrade } = await import("@lib/features/install/command_upgrade.ts");
    return await runUpgrade(flags, context);
  },
});

const version = defineCommand({
  name: "version",
  brief: message`Print the version and the build`,
  examples: ["cicd-runner version --json"],
  flags: () => object({}),
  async run(_flags, context) {
    const { version } = await import("@lib/features/install/build_info.ts");
    return await version(context);
  },
});

/** The commands about this installation. */
export const commands: readonly Command[] = [
  doctor,
  commandGroup({
    name: "config",
    brief: message`Check or show the configuration`,
    examples: ["cicd-runner config check"],
    commands: [configCheck, configShow],
    noMatch: message`Choose one: config check, or config show.`,
  }),
  install,
  uninstall,
  upgrade,
  version,
];

function dryRun() {
  return toggle(["--dry-run"], message`Show what would be done`);
}

function system() {
  return toggle(["--system"], message`For all users of the machine; needs root`);
}

function user() {
  return optional(option("--user", string({ metavar: "NAME" }), {
    description: message`With ${optionName("--system")}: the user who runs the runner`,
  }));
}
