import { z } from "zod";
import {
  directiveReceiptsSchema,
  directiveReportSchema,
  laneReportSchema,
  type DirectiveReceipt,
  type DirectiveReport,
  type LaneReport,
} from "../domain/api.ts";
import type { DirectiveInput } from "../domain/directive.ts";
import { ApiError, parsed, type Transport } from "./client-transport.ts";
import { toWire } from "./wire.ts";

const lanesPageSchema = z.object({ accounts: z.array(laneReportSchema), next: z.string().nullable() });
const conflictSchema = directiveReceiptsSchema.partial();

export type LanesPage = z.infer<typeof lanesPageSchema>;
export type LaneCommand = "pause" | "resume" | "repair";

export interface LaneCalls {
  /** One directive, or up to 100. Resolves for 200, 202 and 409; the receipts are in the order of the directives. */
  post(
    directives: DirectiveInput | readonly DirectiveInput[],
  ): Promise<{ readonly status: number; readonly receipts: readonly DirectiveReceipt[] }>;
  /** As `post`, with what nobody has checked: the Worker names each wrong field. */
  postUnchecked(
    directives: readonly unknown[],
  ): Promise<{ readonly status: number; readonly receipts: readonly DirectiveReceipt[] }>;
  /** Null when the account has no directive of the id. */
  directive(account: string, id: string): Promise<DirectiveReport | null>;
  lane(account: string): Promise<LaneReport>;
  /** In the order of their accounts; `after` is the `next` of the page before. */
  lanesPage(page?: { readonly after?: string | null; readonly limit?: number }): Promise<LanesPage>;
  commandLane(account: string, command: LaneCommand, reason: string): Promise<LaneReport>;
}

export function laneCalls({ url, call, get, post }: Transport): LaneCalls {
  const accountPath = (account: string) => `/v1/accounts/${encodeURIComponent(account)}`;

  async function send(body: unknown): Promise<{ status: number; receipts: readonly DirectiveReceipt[] }> {
    const { status, text } = await call("/v1/directives", { method: "POST", body: toWire(body) });
    if (status === 200 || status === 202) {
      return { status, receipts: parsed(url, text, directiveReceiptsSchema).directives };
    }
    if (status === 409) return { status, receipts: parsed(url, text, conflictSchema).directives ?? [] };
    throw new ApiError(url, status, text);
  }

  return {
    post: (directives) => send(Array.isArray(directives) ? { directives } : directives),
    postUnchecked: (directives) => send({ directives }),
    async directive(account, id) {
      try {
        return await get(
          `${accountPath(account)}/directives/${encodeURIComponent(id)}`,
          directiveReportSchema,
        );
      } catch (error) {
        if (error instanceof ApiError && error.status === 404 && error.problem !== null) return null;
        throw error;
      }
    },
    lane: (account) => get(accountPath(account), laneReportSchema),
    lanesPage: (page = {}) => get("/v1/accounts", lanesPageSchema, page),
    commandLane: (account, command, reason) =>
      post(`${accountPath(account)}/${command}`, laneReportSchema, { reason }),
  };
}
