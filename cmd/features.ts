/**
 * The features of the programs and of the command line.
 *
 * Their order is that of the steps before a job, of the API reference, and of the help.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { accessFeature } from "@lib/features/access/feature.ts";
import { artifactsFeature } from "@lib/features/artifacts/feature.ts";
import { cachesFeature } from "@lib/features/caches/feature.ts";
import { checkoutFeature } from "@lib/features/checkout/feature.ts";
import { cleaningFeature } from "@lib/features/cleaning/feature.ts";
import { consoleFeature } from "@lib/features/console/feature.ts";
import { containersFeature } from "@lib/features/containers/feature.ts";
import { filesFeature } from "@lib/features/files/feature.ts";
import { grytFeature } from "@lib/features/gryt/feature.ts";
import { holdsFeature } from "@lib/features/holds/feature.ts";
import { hostFeature } from "@lib/features/host/feature.ts";
import { installFeature } from "@lib/features/install/feature.ts";
import { jobsFeature } from "@lib/features/jobs/feature.ts";
import { llmProxyFeature } from "@lib/features/llm_proxy/feature.ts";
import { statusFeature } from "@lib/features/status/feature.ts";
import { terminalsFeature } from "@lib/features/terminals/feature.ts";
import { tracesFeature } from "@lib/features/traces/feature.ts";

/** All features. */
export const FEATURES: readonly Feature[] = [
  jobsFeature,
  checkoutFeature,
  filesFeature,
  cachesFeature,
  artifactsFeature,
  containersFeature,
  terminalsFeature,
  holdsFeature,
  statusFeature,
  hostFeature,
  cleaningFeature,
  accessFeature,
  grytFeature,
  tracesFeature,
  llmProxyFeature,
  consoleFeature,
  installFeature,
];
