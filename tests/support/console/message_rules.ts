/**
 * The console's verdict on a message, by its type.
 *
 * @module
 */
import type { AgentEnvelope } from "./envelope.ts";
import { eventFaults, logBatchFaults, logLineFaults, usageFaults } from "./record_rules.ts";
import { heartbeatFaults, metricsFaults } from "./sample_rules.ts";
import { type Fault, fault } from "./verdict.ts";
import { resultFaults, terminalFaults } from "./work_rules.ts";

/** Returns what is wrong with a message; empty if the console takes it as it was meant. */
export function messageFaults(message: AgentEnvelope): Fault[] {
  switch (message.type) {
    case "heartbeat":
      return heartbeatFaults(message.payload);
    case "metrics":
      return metricsFaults(message.payload);
    case "terminal:output":
    case "terminal:closed":
      return terminalFaults(message);
    case "command:result":
      return resultFaults(message);
    case "event":
      return eventFaults(message.payload);
    case "llm_usage:batch":
      return usageFaults(message.payload);
    case "log:line":
      return logLineFaults(message.payload);
    case "log:batch":
      return logBatchFaults(message.payload);
    case "registration":
      return [fault("misread", "registration is stored as an event DEPLOY")];
    default:
      return [fault("dropped", `invalid envelope: unknown type ${message.type}`)];
  }
}
