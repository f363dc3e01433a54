/**
 * Which addresses of the network belong to the public internet.
 *
 * @module
 */
import { isIP } from "node:net";

/**
 * Returns the check of a resolved address: true for a unicast address of the public internet.
 *
 * Everything with a meaning of its own is refused: private, local and reserved networks,
 * multicast, and IPv6 addresses that carry an IPv4 address (mapped, NAT64, 6to4, Teredo).
 */
export async function publicAddressCheck(): Promise<(address: string) => boolean> {
  const { default: ipaddr } = await import("ipaddr.js");
  return (address) => {
    // The library also reads `0x7f.1`, and a zone, which names a link of this machine.
    if (isIP(address) === 0 || address.includes("%")) return false;
    const parsed = ipaddr.parse(address);
    // Of IPv6 only 2000::/3 is global unicast; the rest is not assigned, or carries IPv4.
    return parsed.range() === "unicast" &&
      (!(parsed instanceof ipaddr.IPv6) || (parsed.parts[0] ?? 0) >> 13 === 1);
  };
}
