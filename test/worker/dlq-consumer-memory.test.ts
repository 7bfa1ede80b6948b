import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { consumeDeadLetters } from "../../dlq/consumer.ts";
import type { LedgerDatabase } from "../../dlq/ledger.ts";
import { inboxOfKey } from "../../domain/inbox-name.ts";
import { encodeMessage } from "../../domain/message.ts";
import type { InboxLetter } from "../../domain/webhook-event.ts";
import { around, CONTEXT, FakeInboxes, FakeLanes, FakeMessage, NOW } from "./dlq-fixture.ts";

/** `maxBodyBytes` may be so much: see `sourceProblem`. */
const BODY = JSON.stringify("x".repeat(1024 * 1024 - 2));
/** An isolate has 128 MB for everything: a body as it came, as it is bound, and as it is sent. */
const MOST_BYTES = 32 * 1024 * 1024;

test("a batch of a hundred dead events of the largest size is recorded in parts that fit into an isolate", async () => {
  const address = inboxOfKey("plain", "customer-1");
  const letters = Array.from({ length: 100 }, (_, sequence): InboxLetter => {
    const failure = { code: "forbidden", message: "403", atMs: NOW } as const;
    const key = { id: `e${sequence}`, digest: "d".repeat(64), generation: 0 };
    return {
      ...key,
      address,
      sequence,
      body: BODY,
      failure,
      firstFailure: failure,
      attempts: 1,
      admittedAtMs: NOW,
    };
  });
  const messages = letters.map(
    ({ id, digest, generation }) =>
      new FakeMessage(
        encodeMessage({ kind: "rejection", origin: "inbox", inbox: address.name, id, digest, generation }),
        id,
      ),
  );
  let bound = 0;
  let most = 0;
  // Nothing is written: what counts is how much is held at once.
  const ledger: LedgerDatabase = {
    prepare: (sql) => {
      const statement = env.LEDGER.prepare(sql);
      return Object.assign(statement, {
        bind: (...values: unknown[]) => {
          for (const value of values) if (typeof value === "string") bound += value.length;
          return statement;
        },
      });
    },
    batch: async () => {
      most = Math.max(most, bound);
      bound = 0;
      return [];
    },
  };
  await consumeDeadLetters(
    { queue: "webhook-events-dlq", messages },
    around(new FakeLanes(), ledger, new FakeInboxes(...letters)),
    CONTEXT,
  );
  expect(messages.every(({ ends }) => ends.join() === "ack")).toBe(true);
  expect(most).toBeLessThan(MOST_BYTES);
});
