/**
 * A certificate and its key, looked at before they are used.
 *
 * The runtime takes any text and fails each handshake later.
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { TlsTexts } from "@lib/foundations/http/listener.ts";

/**
 * Makes sure that a server can use the texts.
 *
 * @throws {CicdError} `invalid_config` if one cannot be read, the key belongs to another
 * certificate, or the certificate has expired; no message holds any of the key.
 */
export function assertTlsFits({ certificate, key }: TlsTexts, now: number): void {
  const leaf = parsed(
    "certificate",
    "listen.tls_certificate",
    () => new X509Certificate(certificate),
  );
  const own = parsed("key", "listen.tls_key", () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(own)) {
    throw unusable(
      "the key (listen.tls_key) belongs to another certificate than the first in listen.tls_certificate",
    );
  }
  if (Date.parse(leaf.validTo) <= now) {
    throw unusable(`the certificate (listen.tls_certificate) was good until ${leaf.validTo}`);
  }
}

function parsed<T>(what: string, setting: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw unusable(`the ${what} (${setting}) cannot be read: ${messageOf(error)}`, error);
  }
}

function unusable(why: string, cause?: unknown): CicdError {
  return new CicdError("invalid_config", `Cannot speak TLS: ${why}`, { cause });
}
