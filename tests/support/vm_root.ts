/**
 * The root file system of the emulated machine: a stock Debian with its own
 * kernel and rootless Podman, and a small initial RAM disk.
 *
 * @module
 */
import { ensureMachineRoot, machineRootPath, type RootRecipe } from "./machine_root.ts";

/** The user whose suite it is; the first of the machine. */
export const VM_USER = "dev";

/** Where the second disk is mounted in the machine. */
export const VM_PAYLOAD = "/suite";

/** Loads what the disk needs and hands over; Debian's own takes ten times as long to emulate. */
const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for round in 1 2 3; do
  for module in /modules/*.ko; do /bin/busybox insmod "$module" 2>/dev/null; done
done
while [ ! -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /root
exec /bin/busybox switch_root /root /lib/systemd/systemd
`;

const MODULES = "virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci " +
  "virtio_blk";

/** Starts the checks once the machine is up, and turns it off after them. */
const SERVICE = `[Unit]
Description=The checks of the VM suite
After=multi-user.target systemd-logind.service
RequiresMountsFor=${VM_PAYLOAD}
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
User=${VM_USER}
WorkingDirectory=/home/${VM_USER}
Environment=HOME=/home/${VM_USER} XDG_RUNTIME_DIR=/run/user/1000
ExecStart=/bin/sh ${VM_PAYLOAD}/start
ExecStopPost=+/bin/sync
TTYPath=/dev/ttyS1
StandardOutput=tty
StandardError=journal+console
TimeoutStartSec=infinity
`;

/** A hook that writes a file of the root. */
function write(path: string, text: string): string {
  return `mkdir -p "$(dirname "$1${path}")"; cat >"$1${path}" <<'END-OF-FILE'\n${text}END-OF-FILE`;
}

const RECIPE: RootRecipe = {
  suite: "bookworm",
  packages: [
    ...["systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "udev", "kmod"],
    ...["curl", "git", "procps", "psmisc", "ca-certificates"],
    // The second satisfies what the first depends on, and makes nothing that takes time.
    ...["linux-image-cloud-amd64", "tiny-initramfs", "busybox-static"],
    ...["podman", "crun", "uidmap", "slirp4netns", "fuse-overlayfs"],
  ],
  hooks: [
    `chroot "$1" useradd --uid 1000 --user-group --create-home --shell /bin/bash ${VM_USER}`,
    `mkdir -p "$1/var/lib/systemd/linger"; touch "$1/var/lib/systemd/linger/${VM_USER}"`,
    // Without it the journal is volatile, and a user cannot read his own.
    'mkdir -p "$1/var/log/journal"',
    'for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-tmpfiles-clean.timer e2scrub_reap.service getty.target serial-getty@ttyS0.service; do ln -sf /dev/null "$1/etc/systemd/system/$unit"; done',
    'rm -f "$1/etc/resolv.conf"; echo limits >"$1/etc/hostname"; echo "127.0.0.1 localhost limits" >"$1/etc/hosts"',
    `mkdir "$1${VM_PAYLOAD}"`,
    write(
      "/etc/fstab",
      `/dev/vda / ext4 defaults 0 0\n/dev/vdb ${VM_PAYLOAD} ext4 ro 0 0\n`,
    ),
    // What rootless Podman needs, and may not load itself.
    write("/etc/modules-load.d/podman.conf", "overlay\nfuse\ntun\n"),
    write("/etc/systemd/system/vm-suite.service", SERVICE),
    'mkdir -p "$1/etc/systemd/system/multi-user.target.wants"; ln -s ../vm-suite.service "$1/etc/systemd/system/multi-user.target.wants/"',
    write("/tmp/initrd/init", INIT),
    `cd "$1/tmp/initrd"; mkdir bin proc sys dev root modules; chmod 755 init; cp "$1/bin/busybox" bin/; for module in ${MODULES}; do find "$1/lib/modules" -name "$module.ko" -exec cp {} modules/ ';'; done; chroot "$1" /bin/sh -c 'cd /tmp/initrd && /bin/busybox find . | /bin/busybox cpio -o -H newc | gzip' >"$1/boot/vm-initrd"; rm -rf "$1/tmp/initrd"`,
    'ln "$1"/boot/vmlinuz-* "$1/boot/vm-kernel"',
    'rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/* "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb',
  ],
};

/** The root, and what boots it. */
export interface VmRoot {
  readonly path: string;
  readonly kernel: string;
  readonly initrd: string;
}

/** Checks that the root exists already. */
export async function hasVmRoot(): Promise<boolean> {
  const path = await machineRootPath(RECIPE);
  return await Deno.stat(path).then(() => true, () => false);
}

/** Makes the root unless it is there; takes a minute and a Debian mirror. */
export async function ensureVmRoot(signal: AbortSignal): Promise<VmRoot> {
  const path = await ensureMachineRoot(signal, RECIPE);
  return { path, kernel: `${path}/boot/vm-kernel`, initrd: `${path}/boot/vm-initrd` };
}
