/**
 * The ids of a container's user, as engines look them up.
 *
 * @module
 */
import { posix } from "node:path";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { CONFINED, DETACHED } from "@lib/features/containers/engine_helper.ts";
import { helperLabels } from "@lib/features/containers/job_labels.ts";

/** A user and its group. */
export interface AccountIds {
  readonly uid: number;
  readonly gid: number;
}

const ROOT: AccountIds = { uid: 0, gid: 0 };
/** Engines refuse greater ones. */
const MAX_ID = 2 ** 31 - 1;
/** Time to remove the container. */
const REMOVE_MS = 60_000;
/** Most links that are followed from one file. */
const MAX_LINKS = 8;

/** The methods of an engine that a look-up calls. */
type AccountEngine = Pick<Engine, "createContainer" | "readContainerFile" | "removeContainer">;

/** Files of the image that name its accounts. */
interface AccountFiles {
  readonly passwd: string;
  readonly group: string;
}

/**
 * Finds the ids of a user.
 *
 * @param user `name`, `id`, or either with `:group`; empty: root.
 * @param files Of the container; empty where it has none.
 * @returns `undefined` if the engine will not find it either.
 */
function idsOf(user: string, { passwd, group }: AccountFiles): AccountIds | undefined {
  const [name = "", groupName = ""] = user.split(":");
  const [, , uidText, gidText] = find(passwd, name === "" ? "0" : name) ?? [];
  const uid = idOf(uidText ?? (name === "" ? "0" : name));
  const gid = groupName === ""
    ? idOf(gidText ?? "0")
    : idOf(find(group, groupName)?.[2] ?? groupName);
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

/** Finds the first entry of a name or id; the id is the third field. */
function find(file: string, wanted: string): readonly string[] | undefined {
  return file.split("\n").map((line) => line.trim().split(":"))
    .find(([name, , id]) => name === wanted || (idOf(wanted) ?? -1) === idOf(id ?? ""));
}

function idOf(text: string): number | undefined {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : undefined;
  return id === undefined || id > MAX_ID ? undefined : id;
}

/**
 * Finds the ids of a user in an image.
 *
 * Names, and the group of a user without one, are in files of the image, which the engine shows of a
 * container only. None is ever started.
 */
export async function lookUpUser(
  engine: AccountEngine,
  { image, user, stateDir }: {
    readonly image: string;
    readonly user: string;
    readonly stateDir: string;
  },
  signal: AbortSignal,
): Promise<AccountIds | undefined> {
  if (/^(?:(?:root|0)(?::(?:root|0))?)?$/.test(user)) return ROOT;
  if (/^\d+:\d+$/.test(user)) return idsOf(user, { passwd: "", group: "" });
  return await lookInto(engine, { image, stateDir }, async (id) => {
    const passwd = await readText(engine, { id, path: "/etc/passwd" }, signal);
    const group = await readText(engine, { id, path: "/etc/group" }, signal);
    return idsOf(user, { passwd, group });
  }, signal);
}

/** Tells if an image has a file, or a link of its name. */
export async function imageHas(
  engine: AccountEngine,
  { path, ...image }: { readonly image: string; readonly stateDir: string; readonly path: string },
  signal: AbortSignal,
): Promise<boolean> {
  const read = async (id: string) => await engine.readContainerFile(id, path, signal);
  return await lookInto(engine, image, read, signal) !== undefined;
}

/** Calls back with a container of an image, which is removed after that. */
async function lookInto<T>(
  engine: AccountEngine,
  { image, stateDir }: { readonly image: string; readonly stateDir: string },
  look: (id: string) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const id = await engine.createContainer(`cicd-look-${crypto.randomUUID()}`, {
    Image: image,
    Entrypoint: ["/"],
    Cmd: [],
    Env: [],
    WorkingDir: "/",
    Labels: helperLabels(stateDir),
    ...DETACHED,
    HostConfig: { ...CONFINED, Mounts: [], CapAdd: [] },
  }, signal);
  try {
    return await look(id);
  } finally {
    await engine.removeContainer(id, AbortSignal.timeout(REMOVE_MS));
  }
}

async function readText(
  engine: AccountEngine,
  { id, path }: { readonly id: string; readonly path: string },
  signal: AbortSignal,
): Promise<string> {
  let current = path;
  for (let links = 0; links <= MAX_LINKS; links++) {
    const found = await engine.readContainerFile(id, current, signal);
    if (found?.kind === "file") return found.text;
    if (found?.kind !== "link") break;
    current = posix.resolve(posix.dirname(current), found.target);
  }
  return "";
}
