import { z } from "zod";
import {
  directiveReceiptsSchema,
  directiveReportSchema,
  laneReportSchema,
  problemSchema,
  type DirectiveReceipt,
  type DirectiveReport,
  type LaneReport,
} from "../domain/api.ts";
import { LETTER_KINDS, LETTER_STATES } from "../domain/dead-letter.ts";
import type { DirectiveInput } from "../domain/directive.ts";
import { toWire } from "./wire.ts";

/** What this program reads of a letter; the API says more. */
const letterSchema = z.object({
  id: z.string(),
  kind: z.enum(LETTER_KINDS),
  state: z.enum(LETTER_STATES),
  lane: z.string().nullable(),
  /** For a raw letter, the id of the queue message. */
  directiveId: z.string(),
  code: z.string(),
  message: z.string(),
  attempts: z.number(),
  directiveStatus: z.string().nullable(),
  sequence: z.number().nullable(),
  transactions: z.array(z.object({ hash: z.string(), sequence: z.number(), status: z.string() })),
  openedAt: z.string(),
});
export type LetterReport = z.infer<typeof letterSchema>;

const lettersPage = z.object({ letters: z.array(letterSchema), nextCursor: z.string().nullable() });

export type LetterQuery = Readonly<
  Partial<Record<"state" | "code" | "kind" | "lane" | "from" | "to", string>>
>;

/** Answers of the API that are no success throw `ApiError`, unless a method says otherwise. */
export interface Client {
  /** One directive, or up to 100. Resolves for 200, 202 and 409; the receipts are in the order of the directives. */
  post(
    directives: DirectiveInput | readonly DirectiveInput[],
  ): Promise<{ readonly status: number; readonly receipts: readonly DirectiveReceipt[] }>;
  /** Null when the account has no directive of the id. */
  directive(account: string, id: string): Promise<DirectiveReport | null>;
  lane(account: string): Promise<LaneReport>;
  /** Every page, newest first. */
  letters(query?: LetterQuery): Promise<readonly LetterReport[]>;
}

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  constructor(status: number, text: string) {
    super(`the Worker answered ${status}: ${text.slice(0, 500)}`);
    this.status = status;
  }
}

const CALL_WITHIN_MS = 30_000;

/** A client of Lockstep's HTTP API with one token. */
export function lockstepClient({ url, token }: { readonly url: string; readonly token: string }): Client {
  async function call(path: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
    const response = await fetch(`${url}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      signal: AbortSignal.timeout(CALL_WITHIN_MS),
    });
    return { status: response.status, text: await response.text() };
  }

  async function read<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.infer<Schema>> {
    const { status, text } = await call(path);
    if (status !== 200) throw new ApiError(status, text);
    return schema.parse(JSON.parse(text));
  }

  const accountPath = (account: string) => `/v1/accounts/${encodeURIComponent(account)}`;

  return {
    async post(directives) {
      const body = toWire(Array.isArray(directives) ? { directives } : directives);
      const { status, text } = await call("/v1/directives", { method: "POST", body });
      if (status === 200 || status === 202) {
        return { status, receipts: directiveReceiptsSchema.parse(JSON.parse(text)).directives };
      }
      if (status === 409) return { status, receipts: problemSchema.parse(JSON.parse(text)).directives ?? [] };
      throw new ApiError(status, text);
    },
    async directive(account, id) {
      try {
        const path = `${accountPath(account)}/directives/${encodeURIComponent(id)}`;
        return await read(path, directiveReportSchema);
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return null;
        throw error;
      }
    },
    lane: (account) => read(accountPath(account), laneReportSchema),
    async letters(query = {}) {
      const found: LetterReport[] = [];
      let cursor: string | null = null;
      do {
        const parameters = new URLSearchParams({
          ...query,
          limit: "100",
          ...(cursor === null ? {} : { cursor }),
        });
        const page: z.infer<typeof lettersPage> = await read(
          `/v1/dlq/letters?${parameters.toString()}`,
          lettersPage,
        );
        found.push(...page.letters);
        cursor = page.nextCursor;
      } while (cursor !== null);
      return found;
    },
  };
}
