import { beforeEach, describe, expect, test } from "vitest";
import { readHeader } from "../../durable-objects/sequencer-rows.ts";
import { newHeader } from "../../durable-objects/sequencer-state.ts";
import {
  LEASE_MS,
  accepted,
  begin,
  entry,
  live,
  record,
  refused,
  script,
  settleWith,
  takeWork,
  uncertain,
} from "../model/lane-script.ts";

beforeEach(begin);

describe("a lane's tally of attempts", () => {
  test("counts what each send and each preflight came to", () => {
    const flight = live("a", "b", "c", "d");
    record(flight.token, entry(0, "a"), entry(1, "b"), entry(2, "c"));
    settleWith(flight.token, {
      outcomes: [
        { hash: "h-0-a", outcome: accepted },
        { hash: "h-1-b", outcome: refused("insufficient_funds") },
        { hash: "h-2-c", outcome: uncertain() },
      ],
      refusals: [{ id: "d", failure: { code: "execution_reverted", message: "no" } }],
    });
    expect(script.lane.header.attempts).toEqual({
      accepted: 1,
      "refused:insufficient_funds": 1,
      "uncertain:endpoint_timeout": 1,
      "refused:execution_reverted": 1,
    });
  });

  test("counts the send again of bytes that are out, and a chain that is away", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain() }] });
    script.nowMs += 60_000;
    const again = takeWork();
    settleWith(again.token, {
      outcomes: [{ hash: "h-0-a", outcome: accepted }],
      outage: { code: "network_error", message: "away" },
    });
    expect(script.lane.header.attempts).toEqual({
      "uncertain:endpoint_timeout": 1,
      accepted: 1,
      "unavailable:network_error": 1,
    });
  });

  test("counts nothing of a settlement that comes twice, or too late", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    const outcomes = [{ hash: "h-0-a", outcome: uncertain() }];
    settleWith(flight.token, { outcomes });
    settleWith(flight.token, { outcomes });
    script.nowMs += 60_000;
    const again = takeWork();
    script.nowMs += LEASE_MS;
    settleWith(again.token, { outcomes });
    expect(script.lane.header.attempts).toEqual({ "uncertain:endpoint_timeout": 1 });
  });

  test("begins empty in a lane that was stored before there was one", () => {
    const { attempts: _, ...stored } = newHeader();
    expect(readHeader(JSON.stringify(stored)).attempts).toEqual({});
    expect(readHeader(JSON.stringify({ ...stored, attempts: { accepted: 3 } })).attempts).toEqual({
      accepted: 3,
    });
  });
});
