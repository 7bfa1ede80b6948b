import { describe, expect, test } from "vitest";
import { decide, decideEvent, type Decided } from "../../dlq/letter-decision.ts";
import { LETTER_STATES, letterId } from "../../domain/dead-letter.ts";
import type { DirectiveFacts, DirectiveStatus } from "../../domain/lane.ts";
import type { EventStatus, EventView } from "../../domain/webhook-event.ts";
import { ACCOUNT } from "../model/lane-script.ts";

const LETTER: Decided = {
  kind: "directive",
  state: "open",
  lane: ACCOUNT,
  directiveId: "d1",
  digest: "digest",
  generation: 1,
  directiveStatus: "dead",
};
const STATUSES: readonly DirectiveStatus[] = [
  "queued",
  "recorded",
  "broadcast",
  "confirmed",
  "reverted",
  "dead",
  "review",
  "replaced",
];

function facts(given: Partial<DirectiveFacts> = {}): DirectiveFacts {
  return {
    id: "d1",
    account: ACCOUNT,
    digest: "digest",
    status: "dead",
    generation: 1,
    sequence: null,
    transactions: [{ hash: "0x01", sequence: 7, status: "superseded" }],
    attempts: 4,
    failure: { code: "unauthorized", message: "401", atMs: 5000 },
    admittedAtMs: 1,
    updatedAtMs: 2,
    ...given,
  };
}

const next = letterId({ ...LETTER, generation: 2 });

/** What each of the lane's words makes of a letter, by how its generation compares: everything not here is unchanged. */
const EXPECTED: Readonly<Record<string, string>> = {
  "confirmed same open": "landed",
  "confirmed later open": "landed",
  "confirmed earlier open": "landed",
  "confirmed same replaying": "landed",
  "confirmed later replaying": "landed",
  "confirmed earlier replaying": "landed",
  "replaced same open": "replaced",
  "replaced later open": "replaced",
  "replaced earlier open": "replaced",
  "replaced same replaying": "replaced",
  "replaced later replaying": "replaced",
  "replaced earlier replaying": "replaced",
  "dead later open": "failed-again",
  "dead later replaying": "failed-again",
  "reverted later open": "failed-again",
  "reverted later replaying": "failed-again",
};

describe("a letter of a directive", () => {
  test("is closed by what is final and by nothing else, in every combination", () => {
    const generations = { earlier: 0, same: 1, later: 3 };
    for (const status of STATUSES)
      for (const [when, generation] of Object.entries(generations))
        for (const state of LETTER_STATES) {
          const decision = decide({ ...LETTER, state }, facts({ status, generation }));
          const name = `${status} ${when} ${state}`;
          expect(decision.kind === "closed" ? decision.resolution : decision.kind, name).toBe(
            EXPECTED[name] ?? "unchanged",
          );
        }
  });

  test("in review becomes what its directive came to, and only while it is open and of that generation", () => {
    const letter = { ...LETTER, directiveStatus: "review" } as const;
    for (const status of ["dead", "reverted"] as const) {
      expect(decide(letter, facts({ status }))).toEqual({
        kind: "updated",
        status,
        fields: {
          directiveStatus: status,
          code: "unauthorized",
          message: "401",
          lastFailureAtMs: 5000,
          sequence: null,
          transactions: [{ hash: "0x01", sequence: 7, status: "superseded" }],
          attempts: 4,
        },
      });
      expect(decide({ ...letter, state: "replaying" }, facts({ status }))).toEqual({ kind: "unchanged" });
      expect(decide(letter, facts({ status, generation: 0 }))).toEqual({ kind: "unchanged" });
    }
    expect(decide(letter, facts({ status: "review" }))).toEqual({ kind: "unchanged" });
  });

  test("that failed again leads to the letter of the next generation, however many there were since", () => {
    for (const generation of [2, 3, 9])
      expect(decide({ ...LETTER, state: "replaying" }, facts({ generation }))).toEqual({
        kind: "closed",
        resolution: "failed-again",
        fields: { next },
      });
  });

  test("is not closed by a directive of another payload, or by a lane that never had it", () => {
    for (const status of STATUSES)
      expect(decide(LETTER, facts({ status, digest: "other" }))).toEqual({ kind: "unchanged" });
    expect(decide(LETTER, null)).toEqual({ kind: "unchanged" });
  });

  test("that no lane had goes on as the lane's own letter when the directive died there", () => {
    const introduction = { ...LETTER, kind: "introduction", generation: 0, directiveStatus: null } as const;
    const fields = { next: letterId({ ...introduction, kind: "directive" }) };
    expect(decide(introduction, facts({ generation: 0 }))).toEqual({
      kind: "closed",
      resolution: "failed-again",
      fields,
    });
    expect(decide(introduction, facts({ status: "confirmed" })).kind).toBe("closed");
    expect(decide(introduction, facts({ status: "queued" }))).toEqual({ kind: "unchanged" });
  });
});

describe("a letter of an event", () => {
  const letter = { ...LETTER, kind: "event", lane: "webhook:polar:c1", directiveStatus: null } as const;
  const view = (status: EventStatus, generation: number, digest = "digest"): EventView => ({
    id: "d1",
    sequence: 3,
    digest,
    status,
    generation,
    attempts: 1,
    failure: null,
    effects: [],
    audit: [],
    admittedAtMs: 1,
    updatedAtMs: 2,
  });
  const settled = { kind: "closed", resolution: "settled", fields: {} };
  const failedAgain = {
    kind: "closed",
    resolution: "failed-again",
    fields: { next: letterId({ ...letter, generation: 2 }) },
  };

  test.each([
    ["settled", 1, settled],
    ["settled", 2, settled],
    // Settled, forgotten and admitted anew.
    ["queued", 0, settled],
    ["dead", 0, settled],
    ["dead", 2, failedAgain],
    ["dead", 1, { kind: "unchanged" }],
    ["queued", 2, { kind: "unchanged" }],
  ] as const)("that the inbox says is %s in generation %i", (status, generation, expected) => {
    for (const state of ["open", "replaying"] as const)
      expect(decideEvent({ ...letter, state }, view(status, generation))).toEqual(expected);
    for (const state of ["resolved", "discarded"] as const)
      expect(decideEvent({ ...letter, state }, view(status, generation))).toEqual({ kind: "unchanged" });
  });

  test.each([
    ["knows no more", null],
    ["has under another digest", view("queued", 1, "other")],
  ])("that its inbox %s was settled there", (_, word) => {
    expect(decideEvent(letter, word)).toEqual(settled);
    expect(decideEvent({ ...letter, state: "discarded" }, word)).toEqual({ kind: "unchanged" });
  });
});
