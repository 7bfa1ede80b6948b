import type { z } from "zod";
import {
  depthSchema,
  incidentsReportSchema,
  letterReportSchema,
  lettersPageSchema,
  letterSummarySchema,
  reconcileReportSchema,
  type DepthReport,
  type IncidentsReport,
  type LetterFullReport,
  type resolveRequestSchema,
  type resubmitRequestSchema,
} from "../domain/api-letters.ts";
import type { Transport } from "./client-transport.ts";

/** What the demo and the tests read of a letter; the API says more. */
const letterSchema = letterSummarySchema.pick({
  id: true,
  kind: true,
  state: true,
  lane: true,
  directiveId: true,
  code: true,
  message: true,
  attempts: true,
  directiveStatus: true,
  sequence: true,
  transactions: true,
  openedAt: true,
});
export type LetterReport = z.infer<typeof letterSchema>;

const lettersSchema = lettersPageSchema.extend({ letters: letterSchema.array() });

export type LetterQuery = Readonly<
  Partial<Record<"state" | "code" | "kind" | "lane" | "sourceQueue" | "from" | "to", string | undefined>>
>;

export interface LetterCalls {
  /** Every page, newest first. */
  letters(query?: LetterQuery): Promise<readonly LetterReport[]>;
  /** One page, newest first; `cursor` is the `nextCursor` of the page before, with the same query. */
  lettersPage(
    query: LetterQuery,
    page: { readonly cursor?: string | null; readonly limit?: number },
  ): Promise<z.infer<typeof lettersPageSchema>>;
  letter(id: string): Promise<LetterFullReport>;
  resolveLetter(id: string, request: z.input<typeof resolveRequestSchema>): Promise<LetterFullReport>;
  discardLetter(id: string, reason: string): Promise<LetterFullReport>;
  /** The API checks `action`, and names what is wrong with it. */
  resubmitLetter(
    id: string,
    request: Omit<z.input<typeof resubmitRequestSchema>, "action"> & { readonly action: unknown },
  ): Promise<LetterFullReport>;
  depth(): Promise<DepthReport>;
  incidents(): Promise<IncidentsReport>;
  /** Asks the lanes what became of these letters, at most 500; without any, of the next that wait for evidence. */
  reconcile(ids?: readonly string[]): Promise<z.infer<typeof reconcileReportSchema>>;
}

export function letterCalls({ get, post }: Transport): LetterCalls {
  const letterPath = (id: string) => `/v1/dlq/letters/${encodeURIComponent(id)}`;

  return {
    async letters(query = {}) {
      const found: LetterReport[] = [];
      let cursor: string | null = null;
      do {
        const page: z.infer<typeof lettersSchema> = await get("/v1/dlq/letters", lettersSchema, {
          ...query,
          limit: 100,
          cursor,
        });
        found.push(...page.letters);
        cursor = page.nextCursor;
      } while (cursor !== null);
      return found;
    },
    lettersPage: (query, page) => get("/v1/dlq/letters", lettersPageSchema, { ...query, ...page }),
    letter: (id) => get(letterPath(id), letterReportSchema),
    resolveLetter: (id, request) => post(`${letterPath(id)}/resolve`, letterReportSchema, request),
    discardLetter: (id, reason) => post(`${letterPath(id)}/discard`, letterReportSchema, { reason }),
    resubmitLetter: (id, request) => post(`${letterPath(id)}/resubmit`, letterReportSchema, request),
    depth: () => get("/v1/dlq/depth", depthSchema),
    incidents: () => get("/v1/dlq/incidents", incidentsReportSchema),
    reconcile: (ids) => post("/v1/dlq/reconcile", reconcileReportSchema, ids === undefined ? {} : { ids }),
  };
}
