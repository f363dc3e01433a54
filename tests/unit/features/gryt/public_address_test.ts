import assert from "node:assert/strict";
import { BlockList } from "node:net";
import * as fc from "fast-check";
import { publicAddressCheck } from "@lib/features/gryt/callback_target.ts";

const isPublic = await publicAddressCheck();

Deno.test("publicAddressCheck() recognizes this machine, its networks and their disguises", () => {
  for (const address of ["1.1.1.1", "93.184.215.14", "172.32.0.1", "2606:4700::1111"]) {
    assert.equal(isPublic(address), true, address);
  }
  const own = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "198.19.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:1.1.1.1",
    "64:ff9b::7f00:1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "64:ff9b::101:101",
    "64:ff9b:1::1",
    "::ffff:0:1.1.1.1",
    "::1.1.1.1",
    "0:0:0:0:0:ffff:7f00:1",
    "fec0::1",
    "100::1",
    "3fff::1",
    "5f00::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2606:4700::1111%eth0",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.175.48.1",
    "2620:4f:8000::1",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "example.org",
    "0x7f.1",
    "2130706433",
    "0177.0.0.1",
    "127.1",
    "1.1.1.1.",
    " 1.1.1.1",
    "[2606:4700::1111]",
    "",
  ];
  for (const address of own) assert.equal(isPublic(address), false, address);
});

/** The special networks of RFC 6890 and its registries, as another implementation reads them. */
function specialNetworks(): BlockList {
  const list = new BlockList();
  const v4 =
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 " +
    "192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 " +
    "224.0.0.0/3";
  // All but 2000::/3, and of that what documents, is reserved or carries IPv4.
  const v6 = "::/3 4000::/2 8000::/1 2001::/23 2001:db8::/32 2002::/16 3fff::/20";
  for (const network of `${v4} ${v6}`.split(" ")) {
    const [first = "", length] = network.split("/");
    list.addSubnet(first, Number(length), first.includes(":") ? "ipv6" : "ipv4");
  }
  return list;
}

Deno.test("publicAddressCheck() refuses every address of a special network", () => {
  const special = specialNetworks();
  const bytes = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 });
  const first = fc.constantFrom(0, 10, 100, 127, 169, 172, 192, 198, 203, 224, 255);
  const second = fc.constantFrom(0, 2, 16, 18, 31, 51, 64, 88, 168, 254);
  const near = fc.tuple(first, second, bytes).map(([a, b, rest]) => [a, b, ...rest.slice(2)]);
  fc.assert(
    fc.property(fc.oneof(bytes, near), (parts) => {
      const address = parts.join(".");
      if (special.check(address, "ipv4")) assert.equal(isPublic(address), false, address);
    }),
    { numRuns: 5_000 },
  );
  const group = fc.nat(0xffff);
  const head = fc.oneof(
    group,
    fc.constantFrom(0, 0x64, 0x100, 0x2001, 0x2002, 0x3fff, 0x5f00, 0xfd00, 0xfe80, 0xff02),
  );
  const tail = fc.array(fc.oneof(group, fc.constant(0)), { minLength: 7, maxLength: 7 });
  fc.assert(
    fc.property(fc.tuple(head, tail), ([one, others]) => {
      const address = [one, ...others].map((part) => part.toString(16)).join(":");
      if (special.check(address, "ipv6")) assert.equal(isPublic(address), false, address);
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("publicAddressCheck() refuses IPv6 that carries any IPv4 address, however written", () => {
  fc.assert(fc.property(fc.ipV4(), (address) => {
    const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number);
    const hex = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
    const disguises = [
      `::ffff:${address}`,
      `::FFFF:${hex}`,
      `0:0:0:0:0:ffff:${hex}`,
      `::${hex}`,
      `::ffff:0:${hex}`,
      `64:ff9b::${address}`,
      `64:ff9b::${hex}`,
      `64:ff9b:1::${hex}`,
      `2002:${hex}::1`,
      `2001:0:${hex}::1`,
      `2001:0:4136:e378:8000:63bf:${hex}`,
    ];
    for (const one of disguises) assert.equal(isPublic(one), false, one);
  }));
});

Deno.test("publicAddressCheck() answers for any text", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.ipV6(), fc.domain()), (text) => {
    assert.equal(typeof isPublic(text), "boolean");
  }));
});
