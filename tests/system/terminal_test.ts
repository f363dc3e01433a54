import assert from "node:assert/strict";
import { bootSuite, SUITE_USER, type SuiteInMachine } from "../support/suite_in_machine.ts";

const HOME = `/home/${SUITE_USER}`;
const RUNNER = `${HOME}/.local/bin/cicd-runner`;

/** A person's terminal, in tmux. */
function tmux(t: SuiteInMachine) {
  const run = (...args: readonly string[]) => t.run(["tmux", "-f", "/dev/null", ...args]);
  const screen = () => run("capture-pane", "-p");
  return {
    run,
    screen,
    open: () => run("new-session", "-d", "-x", "100", "-y", "30", "env PS1='own> ' bash --norc"),
    type: (...keys: readonly string[]) => run("send-keys", ...keys),
    async shows(text: string): Promise<string> {
      let shown = "";
      try {
        return await t.machine.waitFor(`the terminal to show ${text}`, async () => {
          shown = await screen();
          return shown.includes(text) ? shown : undefined;
        }, { timeoutMs: 30_000 });
      } catch (cause) {
        throw new Error(`The terminal does not show ${text}:\n${shown}`, { cause });
      }
    },
  };
}

/** The units of terminals, and of one that waits to become the next. */
async function allUnits(t: SuiteInMachine): Promise<readonly string[]> {
  const flags = ["--all", "--plain", "--no-legend"];
  const list = await t.systemctl("list-units", ...flags, "cicd-terminal-*");
  return list.split("\n").flatMap((line) => line.split(" ")[0] || []);
}

async function terminalUnits(t: SuiteInMachine): Promise<readonly string[]> {
  const units = await allUnits(t);
  const names = await Promise.all(units.map((unit) => t.show(unit, "Description")));
  return units.filter((_, at) => names[at]?.startsWith("Terminal ") === true);
}

async function spareUnit(t: SuiteInMachine): Promise<string> {
  return await t.machine.waitFor("the next terminal", async () => {
    const units = await allUnits(t);
    const names = await Promise.all(units.map((unit) => t.show(unit, "Description")));
    return units.find((_, at) => names[at] === "Spare terminal of web");
  });
}

async function joined(t: SuiteInMachine): Promise<number> {
  return (await t.journal()).match(/Terminal joined/g)?.length ?? 0;
}

Deno.test("attach runs vim in a real terminal, through a resize, a killed runner and a killed agent, and enters a held job", async () => {
  await using t = await bootSuite();
  const person = tmux(t);
  await person.open();
  await person.type(`${RUNNER} attach web -- vi -u NONE grüße.txt; echo "exit $?"`, "Enter");
  await person.shows("[New File]");
  await person.type("i", "Grüße, 漢字", "Enter", "second");
  const before = await person.shows("second");
  assert.match(before, /^Grüße, 漢字$/m);
  const [unit = ""] = await terminalUnits(t);
  assert.match(unit, /^cicd-terminal-web-[0-9a-f]{12}\.service$/);
  assert.equal(await t.show(unit, "Slice"), "cicd-web.slice");
  assert.deepEqual((await t.pidsOf(`cicd.slice/cicd-web.slice/${unit}`)).length, 1);

  await person.run("resize-window", "-x", "120", "-y", "40");
  await t.machine.waitFor(
    "vim to have 40 lines",
    async () => (await person.screen()).match(/^~/gm)?.length === 37,
  );

  let joins = 1;
  for (const killed of ["cicd-runner.service", "cicd-agent@web.service"]) {
    const intact = await person.screen();
    await t.systemctl("kill", "--signal=KILL", killed);
    joins++;
    await t.machine.waitFor("attach to be back", async () => await joined(t) === joins);
    await t.machine.waitFor("the screen", async () => await person.screen() === intact);
    // It is the same vim.
    await person.type("x");
    await person.shows(`second${"x".repeat(joins - 1)}`);
    assert.deepEqual(await terminalUnits(t), [unit]);
  }

  await person.type("Escape", ":wq", "Enter");
  await person.shows("exit 0");
  assert.equal(await t.read(`${HOME}/grüße.txt`), "Grüße, 漢字\nsecondxx\n");
  await t.machine.waitFor("the unit to go", async () => (await terminalUnits(t)).length === 0);
  assert.match(await t.journal(), /Terminal ended/);
  // What was typed into a terminal that was raw would not be shown.
  await person.type("echo sane", "Enter");
  assert.match(await person.shows("own> echo sane"), /sane/);

  // A failed job is held, entered, looked at and left, joined again, and released.
  await person.type("clear", "Enter");
  const fails = "echo why >report; exit 3";
  await person.type(
    `${RUNNER} run -p web --workspace --hold-on-failure 1h -- sh -c '${fails}'; echo "exit $?"`,
    "Enter",
  );
  await person.shows("exit 3");
  await person.type(`clear; ${RUNNER} attach last -- bash --norc`, "Enter");
  await person.shows("bash-");
  await person.type("cat report; echo $CICD_JOB_ID", "Enter");
  const inside = await person.shows("why");
  assert.match(inside, /^why$/m);
  await person.type("C-p", "C-q");
  const left = await person.shows("own>");
  // It stays on the screen, and what comes next is below.
  assert.match(left, /^why\n[^]*^cicd-runner: detached; .* returns\nown>/m);
  await person.type(`clear; ${RUNNER} attach last --session $(${RUNNER} terminals | `, "");
  await person.type("awk 'NR == 2 {print $1}')", "Enter");
  await person.shows("why");
  await person.type("exit 5", "Enter");
  await person.shows("own>");
  await person.type("echo code $?", "Enter");
  await person.shows("code 5");
  await person.type(`clear; ${RUNNER} release last`, "Enter");
  await person.shows("is no longer held");
  await t.machine.waitFor("all units to go", async () => {
    const units = ["cicd-terminal-*", "cicd-hold-*", "cicd-job-*"];
    return (await t.systemctl("list-units", "--all", "--plain", "--no-legend", ...units)) === "";
  });
});

Deno.test("the next terminal of a project takes a unit that waits, and is no different", async () => {
  await using t = await bootSuite();
  const person = tmux(t);
  await person.open();
  const script = `${HOME}/show.sh`;
  await t.write(
    script,
    `stty size; printf '<%s>' "$@"; echo
     size=$(stty size | cut -d' ' -f2)
     cat /proc/self/cgroup >"$HOME/group-$size"
     env | grep -v '^INVOCATION_ID=' | sort >"$HOME/env-$size"
     echo shown; read -r line; exit 7
    `,
  );
  const units: string[] = [];
  for (const columns of [90, 70]) {
    const spare = columns === 90 ? undefined : await spareUnit(t);
    await person.run("resize-window", "-x", String(columns), "-y", "30");
    await person.type("clear", "Enter");
    const words = `"it's" '"$HOME" \\ ü' ''`;
    await person.type(`${RUNNER} attach web -- sh ${script} ${words}; echo "exit $?"`, "Enter");
    const text = await person.shows("shown");
    assert.match(text, new RegExp(`^30 ${columns}$`, "m"));
    assert(text.includes(`<it's><"$HOME" \\ ü><>`), text);
    const group = await t.read(`${HOME}/group-${columns}`) ?? "";
    const unit = /cicd-web\.slice\/(cicd-terminal-web-[0-9a-f]{12}\.service)$/m.exec(group)?.[1];
    assert(unit !== undefined, group);
    if (spare !== undefined) assert.equal(unit, spare);
    await t.machine.waitFor("its name", async () => {
      return (await t.show(unit, "Description")) === `Terminal ${unit.slice(18, 30)} of web`;
    });
    units.push(unit);
    await person.type("Enter");
    await person.shows("exit 7");
    await t.machine.waitFor("the unit to go", async () => !(await allUnits(t)).includes(unit));
  }
  assert.equal(await t.read(`${HOME}/env-70`), await t.read(`${HOME}/env-90`));

  const left = await spareUnit(t);
  assert(!units.includes(left));
  await t.systemctl("kill", "--signal=KILL", "cicd-agent@web.service");
  await t.machine.waitFor("it to go with its agent", async () => {
    return !(await allUnits(t)).includes(left);
  });
  await person.type("clear", "Enter");
  await person.type(`${RUNNER} attach web -- sh ${script}; echo "exit $?"`, "Enter");
  await person.shows("shown");
  assert.doesNotMatch(await t.journal(), /Terminal lost|Cannot prepare/);
});
