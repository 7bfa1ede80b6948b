import fc from "fast-check";
import { expect, test } from "vitest";
import { NEW_IXO_LANE, transition, type IxoLane } from "../../durable-objects/ixo-sequence-state.ts";

const RUNS = 3000;
const policy = { minDelayMs: 0, healAfterMs: 30_000 };
const reading = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 0, max: 200_000 }),
  fc.constant(1e12),
);
const anyEvent = fc.oneof(
  fc.record({ kind: fc.constantFrom("reading" as const, "grant" as const), chainSequence: reading }),
  fc.constant({ kind: "reset" as const }),
);
const history = fc.array(fc.tuple(fc.integer({ min: 0, max: 20_000 }), anyEvent), { maxLength: 60 });

test("whatever callers say, no number is given twice unless the lane fell back or was reset in between", () => {
  fc.assert(
    fc.property(history, (events) => {
      let lane = NEW_IXO_LANE;
      let nowMs = 0;
      let highest = -1;
      for (const [pauseMs, event] of events) {
        nowMs += pauseMs;
        const step = transition(lane, event, { nowMs, ...policy });
        if (!step.ok) continue;
        ({ lane } = step.value);
        if (event.kind === "reset" || step.value.fellBack !== null) highest = -1;
        if (step.value.sequence === null) continue;
        if (step.value.sequence <= highest) return false;
        highest = step.value.sequence;
      }
      return true;
    }),
    { numRuns: RUNS },
  );
});

test("whatever came before, once readings are true the lane gives the number that the chain waits for within 61 s", () => {
  fc.assert(
    fc.property(history, fc.integer({ min: 0, max: 1000 }), (events, chain) => {
      let lane = NEW_IXO_LANE;
      let nowMs = 0;
      for (const [pauseMs, event] of events) {
        nowMs += pauseMs;
        const step = transition(lane, event, { nowMs, ...policy });
        if (step.ok) ({ lane } = step.value);
      }
      const untilMs = nowMs + 2 * policy.healAfterMs + 1000;
      while (nowMs <= untilMs) {
        for (const kind of ["reading", "grant"] as const) {
          const step = transition(lane, { kind, chainSequence: chain }, { nowMs, ...policy });
          if (!step.ok) return false;
          ({ lane } = step.value);
          if (step.value.sequence === chain) return true;
        }
        nowMs += 350;
      }
      return false;
    }),
    { numRuns: RUNS },
  );
});

test("while each number lands within 20 s and readings are at most 5 s old, numbers are consecutive and none is given twice", () => {
  const call = fc.record({
    pauseMs: fc.integer({ min: 0, max: 40_000 }),
    callers: fc.integer({ min: 1, max: 5 }),
    ageMs: fc.integer({ min: 0, max: 5000 }),
    landsAfterMs: fc.integer({ min: 1, max: 20_000 }),
  });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 40 }), (calls) => {
      let lane: IxoLane = NEW_IXO_LANE;
      let nowMs = 1_000_000;
      const landsAtMs: number[] = [];
      // A number lands when the one before it has, and its own time is over.
      const chainAt = (atMs: number) => {
        const open = landsAtMs.findIndex((landsMs) => landsMs > atMs);
        return open === -1 ? landsAtMs.length : open;
      };
      for (const { pauseMs, callers, ageMs, landsAfterMs } of calls) {
        nowMs += pauseMs;
        for (let caller = 0; caller < callers; caller += 1) {
          const chainSequence = chainAt(nowMs - ageMs);
          for (const kind of ["reading", "grant"] as const) {
            const step = transition(lane, { kind, chainSequence }, { nowMs, ...policy });
            expect(step).toMatchObject({ ok: true, value: { fellBack: null } });
            if (!step.ok) continue;
            ({ lane } = step.value);
            if (kind === "grant") expect(step.value.sequence).toBe(landsAtMs.length);
          }
          const before = landsAtMs.at(-1) ?? 0;
          landsAtMs.push(Math.max(before, nowMs + landsAfterMs));
        }
      }
    }),
    { numRuns: RUNS },
  );
});
