import { z } from "zod";
import {
  planReportSchema,
  replayReportSchema,
  replaysPageSchema,
  type PlanReport,
  type planRequestSchema,
  type ReplayReport,
  type replayRequestSchema,
} from "../domain/api-letters.ts";
import type { Transport } from "./client-transport.ts";

const startedSchema = z.object({ id: z.string() });

export type PlanRequest = z.input<typeof planRequestSchema>;
export type ReplayRequest = z.input<typeof replayRequestSchema>;
export type ReplayCommand = "pause" | "resume" | "cancel";

export interface ReplayCalls {
  createPlan(request: PlanRequest): Promise<PlanReport>;
  plan(id: string): Promise<PlanReport>;
  /** Throws `ApiError` 409 when a letter of the plan is no longer open. */
  startReplay(request: ReplayRequest): Promise<{ readonly id: string }>;
  replays(): Promise<readonly ReplayReport[]>;
  replay(id: string): Promise<ReplayReport>;
  commandReplay(id: string, command: ReplayCommand, reason: string): Promise<ReplayReport>;
}

export function replayCalls({ get, post }: Transport): ReplayCalls {
  const replayPath = (id: string) => `/v1/dlq/replays/${encodeURIComponent(id)}`;

  return {
    createPlan: (request) => post("/v1/dlq/plans", planReportSchema, request),
    plan: (id) => get(`/v1/dlq/plans/${encodeURIComponent(id)}`, planReportSchema),
    startReplay: (request) => post("/v1/dlq/replays", startedSchema, request),
    replays: async () => (await get("/v1/dlq/replays", replaysPageSchema)).replays,
    replay: (id) => get(replayPath(id), replayReportSchema),
    commandReplay: (id, command, reason) =>
      post(`${replayPath(id)}/${command}`, replayReportSchema, { reason }),
  };
}
