/**
 * File systems as the kernel lists them.
 *
 * @module
 */

/** A mounted file system. */
export interface Mount {
  readonly mountPoint: string;
  readonly device: string;
  readonly type: string;
}

/**
 * Returns the file systems of devices, each once; that of `/` if there are none, as in a container.
 */
export function mountsIn(mountinfo: string): readonly Mount[] {
  const mounts = new Map<string, Mount>();
  for (const line of mountinfo.split("\n")) {
    const [left = "", right = ""] = line.split(" - ", 2);
    const [, , , root, mountPoint] = left.split(" ");
    const [type, device] = right.split(" ");
    if (root !== "/" || !mountPoint || !type || !device?.startsWith("/")) continue;
    if (!mounts.has(device)) {
      mounts.set(device, { mountPoint: unescaped(mountPoint), device: unescaped(device), type });
    }
  }
  return mounts.size > 0
    ? [...mounts.values()].slice(0, MAX_DISKS)
    : [{ mountPoint: "/", device: "overlay", type: "overlay" }];
}

/** The kernel writes blanks as `\040`. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)));
}

/** The most file systems of one reading. */
const MAX_DISKS = 32;
