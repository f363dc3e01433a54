/**
 * Configuration keys of artifacts.
 *
 * @module
 */
import { integer, secretReference, size, text } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key, optionalKey, together, type ValuesOf } from "@lib/foundations/config/key.ts";
import { KIB, TIB, webAddress } from "@lib/foundations/config/ranges.ts";

/** Bounds of artifacts, and their storage, whose keys are references to secrets. */
export const ARTIFACTS = section({
  keys: {
    maxBytes: key(
      "artifacts.max_size",
      size({ min: KIB, max: TIB }),
      "Size of all artifacts of a job; files that do not fit are left out and reported.",
      "1G",
    ),
    maxFiles: key(
      "artifacts.max_files",
      integer({ min: 1, max: 1_000_000 }),
      "Files among the artifacts of a job.",
      10_000,
    ),
    s3: together({
      endpoint: optionalKey(
        "artifacts.s3.endpoint",
        webAddress(),
        "S3-compatible storage, such as MinIO, to which artifacts are uploaded too.",
        { text: "no upload" },
      ),
      bucket: optionalKey(
        "artifacts.s3.bucket",
        text("the name of a bucket", /^[a-z0-9][a-z0-9.-]{1,62}$/),
        "Bucket of the artifacts.",
      ),
      prefix: key(
        "artifacts.s3.prefix",
        text("a prefix of object names", /^([^\s/]+\/)*[^\s/]*$/),
        "Start of the names of the objects; the project, the job and the attempt follow.",
        "",
      ),
      region: key(
        "artifacts.s3.region",
        text("the name of a region", /^[a-z0-9-]+$/),
        "Region that requests are signed for.",
        "us-east-1",
      ),
      accessKey: optionalKey(
        "artifacts.s3.access_key",
        secretReference(),
        "Reference to the access key id.",
      ),
      secretKey: optionalKey(
        "artifacts.s3.secret_key",
        secretReference(),
        "Reference to the secret access key.",
      ),
    }, ["endpoint"]),
  },
});

/** S3-compatible storage. */
export type S3Settings = NonNullable<ValuesOf<typeof ARTIFACTS.keys>["s3"]>;
