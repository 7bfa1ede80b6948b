import type { z } from "zod";
import {
  depthSchema,
  lettersPageSchema,
  planReportSchema,
  replayReportSchema,
  type DepthReport,
  type PlanReport,
  type ReplayReport,
} from "../domain/api-letters.ts";

/** An operator's calls, each timed by nobody but the one who makes it. */
export interface LetterCalls {
  depth(): Promise<DepthReport>;
  /** `nextCursor` of the page. */
  list(query: Readonly<Record<string, string>>): Promise<string | null>;
  metrics(): Promise<void>;
  plan(filter: Readonly<Record<string, string>>): Promise<PlanReport>;
  replay(plan: PlanReport, ratePerSecond: number): Promise<string>;
  progress(id: string): Promise<ReplayReport>;
}

const CALL_WITHIN_MS = 60_000;

export function letterCalls(url: string, operatorToken: string): LetterCalls {
  async function call(path: string, body?: unknown): Promise<string> {
    const response = await fetch(`${url}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${operatorToken}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(CALL_WITHIN_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text.slice(0, 500)}`);
    return text;
  }
  async function read<Schema extends z.ZodType>(
    schema: Schema,
    path: string,
    body?: unknown,
  ): Promise<z.infer<Schema>> {
    return schema.parse(JSON.parse(await call(path, body)));
  }

  return {
    depth: () => read(depthSchema, "/v1/dlq/depth"),
    async list(query) {
      const parameters = new URLSearchParams(query);
      const page = await read(
        lettersPageSchema.pick({ nextCursor: true }),
        `/v1/dlq/letters?${parameters.toString()}`,
      );
      return page.nextCursor;
    },
    async metrics() {
      await call("/metrics");
    },
    plan: (filter) => read(planReportSchema, "/v1/dlq/plans", { filter }),
    async replay({ id, digest }, ratePerSecond) {
      const asked = { plan: id, digest, reason: "bench", ratePerSecond, perLanePerSecond: ratePerSecond };
      const started = await read(replayReportSchema.pick({ id: true }), "/v1/dlq/replays", asked);
      return started.id;
    },
    progress: (id) => read(replayReportSchema, `/v1/dlq/replays/${encodeURIComponent(id)}`),
  };
}
