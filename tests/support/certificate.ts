/**
 * Self-signed certificates for tests, made anew each time.
 *
 * @module
 */
import type { TlsTexts } from "@lib/foundations/http/server.ts";

/** A certificate for loopback, and its key. */
export async function makeCertificate(directory: string, name: string): Promise<TlsTexts> {
  const [certificate, key] = [`${directory}/${name}.crt`, `${directory}/${name}.key`];
  const { success, stderr } = await new Deno.Command("openssl", {
    args: [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
      "-subj",
      `/CN=${name}`,
      "-addext",
      `subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:${name}`,
      "-keyout",
      key,
      "-out",
      certificate,
    ],
    stdin: "null",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  await Deno.chmod(key, 0o600);
  return {
    certificate: await Deno.readTextFile(certificate),
    key: await Deno.readTextFile(key),
  };
}
