import { describe, expect, test } from "vitest";
import {
  NEW_IXO_LANE,
  transition,
  type IxoEvent,
  type IxoLane,
  type IxoStep,
} from "../../durable-objects/ixo-sequence-state.ts";

const HEAL_MS = 30_000;

/** One pair, with the time in the test's hand. */
class Pair {
  lane: IxoLane = NEW_IXO_LANE;
  nowMs = 1_700_000_000_000;
  fellBack: IxoStep["fellBack"][] = [];

  readonly minDelayMs: number;

  constructor(minDelayMs = 0) {
    this.minDelayMs = minDelayMs;
  }

  apply(event: IxoEvent) {
    const { nowMs, minDelayMs } = this;
    const step = transition(this.lane, event, { nowMs, minDelayMs, healAfterMs: HEAL_MS });
    if (step.ok) {
      this.lane = step.value.lane;
      if (step.value.fellBack !== null) this.fellBack.push(step.value.fellBack);
    }
    return step;
  }

  read(chainSequence: number) {
    return this.apply({ kind: "reading", chainSequence });
  }

  /** A call of a client that read the chain just before it. */
  call(chainSequence: number): number | string {
    const read = this.read(chainSequence);
    const step = read.ok ? this.apply({ kind: "grant", chainSequence }) : read;
    return step.ok ? (step.value.sequence ?? "nothing") : step.error.kind;
  }
}

describe("a number that is lost", () => {
  test("is given again when the chain has waited for it for 30 s, though callers come every 350 ms", () => {
    const pair = new Pair();
    let chain = 100;
    const landed: boolean[] = [];
    pair.call(chain);
    for (let call = 0; call < 200; call += 1) {
      pair.nowMs += 350;
      const lands = pair.call(chain) === chain;
      if (lands) chain += 1;
      landed.push(lands);
    }
    const first = landed.indexOf(true);
    expect((first + 1) * 350).toBeGreaterThanOrEqual(HEAL_MS);
    expect((first + 1) * 350).toBeLessThan(HEAL_MS + 350);
    expect(landed.slice(first)).not.toContain(false);
    expect(pair.fellBack).toEqual([{ why: "lost", from: 100 + first + 1, to: 100 }]);
  });

  test("is not given again a millisecond earlier", () => {
    const pair = new Pair();
    pair.call(100);
    pair.nowMs += HEAL_MS - 1;
    expect(pair.call(100)).toBe(101);
    pair.nowMs += 1;
    expect(pair.call(100)).toBe(100);
  });

  test("is not given again while the chain moves, however long ago it was given out", () => {
    const pair = new Pair();
    for (let call = 0; call < 100; call += 1) pair.call(100);
    for (let block = 1; block <= 10; block += 1) {
      pair.nowMs += 20_000;
      pair.read(100 + block * 9);
    }
    expect(pair.call(190)).toBe(200);
    expect(pair.fellBack).toEqual([]);
  });

  test("is not given again to those whose readings are as old as their wait", () => {
    const pair = new Pair(400);
    const granted: number[] = [];
    for (let caller = 0; caller < 100; caller += 1) pair.read(100);
    for (let caller = 0; caller < 100; caller += 1) {
      const step = pair.apply({ kind: "grant", chainSequence: 100 });
      if (step.ok && step.value.sequence !== null) granted.push(step.value.sequence);
      pair.nowMs += 400;
    }
    expect(granted).toEqual(Array.from({ length: 100 }, (_, index) => 100 + index));
  });

  test("and is lost again, is given again after another 30 s", () => {
    const pair = new Pair();
    pair.call(100);
    pair.call(100);
    pair.nowMs += HEAL_MS;
    expect([pair.call(100), pair.call(100)]).toEqual([100, 101]);
    pair.nowMs += HEAL_MS - 1;
    expect(pair.call(100)).toBe(102);
    pair.nowMs += 1;
    expect(pair.call(100)).toBe(100);
  });
});

describe("a wrong reading", () => {
  test("that no account can have reached is refused, and changes nothing", () => {
    const pair = new Pair();
    expect(pair.call(100)).toBe(100);
    const { lane } = pair;
    expect(pair.call(9e11)).toBe("implausible");
    expect(pair.lane).toBe(lane);
    expect(pair.call(101)).toBe(101);
  });

  test("that is plausible is undone when for 30 s no other reached it", () => {
    const pair = new Pair();
    pair.call(100);
    expect(pair.call(5000)).toBe(5000);
    const given: unknown[] = [];
    for (let call = 0; call <= 31; call += 1) {
      given.push(pair.call(100));
      pair.nowMs += 1000;
    }
    expect(given.slice(0, 30)).toEqual(Array.from({ length: 30 }, (_, index) => 5001 + index));
    expect(given.slice(30)).toEqual([100, 101]);
    expect(pair.fellBack).toEqual([{ why: "lower", from: 5031, to: 100 }]);
  });

  test("that is lower is ignored, however long nobody called before", () => {
    const pair = new Pair();
    pair.call(100);
    pair.read(105);
    pair.nowMs += 3_600_000;
    expect([pair.call(104), pair.call(104)]).toEqual([105, 106]);
  });

  test("that is lower does not count when one that is not came in between", () => {
    const pair = new Pair();
    pair.call(100);
    pair.read(105);
    pair.read(104);
    pair.nowMs += HEAL_MS - 1;
    pair.read(105);
    pair.nowMs += 1;
    expect(pair.call(104)).toBe(105);
  });
});

test("the further the chain may have gone without a reading, the further a reading may be ahead", () => {
  const pair = new Pair();
  pair.call(100);
  expect(pair.call(3_000_000)).toBe("implausible");
  pair.nowMs += 3_600_000;
  expect(pair.call(3_000_000)).toBe(3_000_000);
});

test("a clock that goes back ends the stagger instead of lengthening it", () => {
  const pair = new Pair(400);
  pair.call(100);
  pair.nowMs -= 3_600_000;
  expect(pair.call(100)).toBe(101);
  expect(pair.call(100)).toBe("early");
});

test("a reading that says nothing new leaves the same object, which is not written", () => {
  const pair = new Pair();
  pair.call(100);
  const { lane } = pair;
  pair.read(100);
  expect(pair.lane).toBe(lane);
});
