/**
 * The commands about the runner and this installation: what may be given to each.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { type Message, message, optionName } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument, command, constant, option, passThrough } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import {
  type Completer,
  examples,
  filePath,
  projectName,
  toggle,
} from "@lib/foundations/cli/grammar_values.ts";

/** The commands about queues. */
export function queueCommands(completer: Completer) {
  const project = optional(argument(projectName(completer), {
    description: message`One project; without it, all of them`,
  }));
  return or(
    command(
      "status",
      object({
        command: constant("status"),
        watch: toggle(["-w", "--watch"], message`Keep it up to date until Ctrl-C`),
      }),
      {
        brief: message`Show the runner, its queue and the jobs at work`,
        footer: examples("cicd-runner status --watch"),
      },
    ),
    command("projects", object({ command: constant("projects") }), {
      brief: message`List projects and their queues`,
      footer: examples("cicd-runner projects"),
    }),
    command("pause", object({ command: constant("pause"), project }), {
      brief: message`Hold a queue: jobs are accepted and wait`,
      footer: examples("cicd-runner pause web"),
    }),
    command("resume", object({ command: constant("resume"), project }), {
      brief: message`Take and start jobs again`,
      footer: examples("cicd-runner resume web"),
    }),
    command(
      "drain",
      object({
        command: constant("drain"),
        project,
        wait: toggle(["-w", "--wait"], message`Return when no job is queued or at work any more`),
      }),
      {
        brief: message`Refuse new jobs; those accepted are run to their end`,
        footer: examples("cicd-runner drain --wait && sudo reboot"),
      },
    ),
  );
}

/** The commands about this installation. */
export function installationCommands() {
  const dryRun = toggle(["--dry-run"], message`Show what would be done`);
  const system = toggle(["--system"], message`For all users of the machine; as root`);
  const user = optional(option("--user", string({ metavar: "NAME" }), {
    description: message`With ${optionName("--system")}: whose runner it is about`,
  }));
  return or(
    command("doctor", object({ command: constant("doctor") }), {
      brief: message`Find out why the suite does not work here, or will not for long`,
      description: message`Changes nothing. Exits with 1 if there is a problem.`,
      footer: examples("cicd-runner doctor"),
    }),
    command(
      "config",
      or(
        command("check", object({ command: constant("config"), verb: constant("check") }), {
          brief: message`Say what is wrong with the configuration`,
          description:
            message`One problem a line, as file:line:column. Exits with 78 if there is any.`,
          footer: examples("cicd-runner config check --config new.yaml"),
        }),
        command(
          "show",
          object({
            command: constant("config"),
            verb: constant("show"),
            env: toggle(["--show-env"], message`Show the values of jobs' variables too`),
          }),
          {
            brief: message`Print every setting in effect and where it comes from`,
            footer: examples("cicd-runner config show"),
          },
        ),
        { errors: { noMatch: message`Say which: config check, or config show.` } },
      ),
      {
        brief: message`Check or show the configuration`,
        footer: examples("cicd-runner config check"),
      },
    ),
    command(
      "install",
      object({
        command: constant("install"),
        dryRun,
        noEnable: toggle(["--no-enable"], message`Install the units but do not enable them`),
        noLinger: toggle(["--no-linger"], message`Do not enable lingering`),
        noHardening: toggle(["--no-hardening"], message`Do not try the hardening drop-ins`),
        prefix: optional(option("--prefix", filePath("PATH"), {
          description: message`The programs are in its ${"bin"}; by default where this one is`,
        })),
        system,
        user,
      }),
      {
        brief: message`Install the systemd user units, or bring them up to date`,
        footer: examples("cicd-runner install --dry-run"),
      },
    ),
    command(
      "uninstall",
      object({
        command: constant("uninstall"),
        dryRun,
        purge: toggle(
          ["--purge"],
          message`Remove configuration, job history and logs too, and stop all jobs`,
        ),
        yes: toggle(["--yes"], message`Confirm ${optionName("--purge")}`),
        system,
        user,
      }),
      {
        brief: message`Stop the programs and remove their units; jobs go on`,
        footer: examples("cicd-runner uninstall"),
      },
    ),
    command("version", object({ command: constant("version") }), {
      brief: message`Print the version and what was built`,
      footer: examples("cicd-runner version --json"),
    }),
    daemonCommand(
      "daemon",
      message`Run the runner itself; every key of the configuration is a flag`,
      [
        "cicd-runner daemon --config ~/.config/cicd-toolkit/config.yaml",
        "cicd-runner daemon --socket /tmp/runner.sock --log-level debug",
      ],
    ),
    daemonCommand("agent", message`Run the agent of one project, as cicd-agent does`, [
      "cicd-runner agent --session-id web --config ~/.config/cicd-toolkit/config.yaml",
    ]),
  );
}

/** Here for the help only: `main.ts` starts these before the grammar is loaded. */
function daemonCommand<const Name extends "daemon" | "agent">(
  name: Name,
  brief: Message,
  lines: readonly string[],
) {
  return command(
    name,
    object({
      command: constant(name),
      flags: passThrough({ format: "greedy", description: message`See docs/configuration.md` }),
    }),
    { brief, footer: examples(...lines) },
  );
}
