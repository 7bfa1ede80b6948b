import { describe, expect, test } from "vitest";
import { directiveReportSchema, laneReportSchema } from "../../domain/api.ts";
import type { DirectiveView } from "../../domain/lane.ts";
import { ACCOUNT, ACCOUNT_CHECKSUMMED, parsed, wire } from "./directive-fixture.ts";
import { call, errorFields, FakeBindings, problemOf, TOKENS, UNSIGNED_ACCOUNT } from "./producers-fixture.ts";

const lane = (account: string) => `/v1/accounts/${encodeURIComponent(account)}`;

const view: DirectiveView = {
  id: "order-1",
  account: parsed(wire()).account.id,
  digest: "d",
  status: "broadcast",
  generation: 0,
  sequence: 0,
  transactions: [{ hash: "0xaa", sequence: 0, status: "accepted" }],
  attempts: 2,
  failure: { code: "rate_limited", message: "429", atMs: 3_000, retryAfterSeconds: 1 },
  payload: "secret payload",
  admittedAtMs: 1_000,
  updatedAtMs: 4_000,
};

describe("a directive", () => {
  test("is told with its transactions, its last failure and ISO times, and without its payload", async () => {
    const bindings = new FakeBindings();
    bindings.view = view;
    const response = await call(bindings, "GET", `${lane(ACCOUNT)}/directives/order-1`, {
      token: TOKENS.producer,
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      id: "order-1",
      account: ACCOUNT,
      status: "broadcast",
      sequence: 0,
      transactions: [{ hash: "0xaa", status: "accepted", sequence: 0 }],
      attempts: 2,
      failure: { code: "rate_limited", message: "429", at: "1970-01-01T00:00:03.000Z" },
      admittedAt: "1970-01-01T00:00:01.000Z",
      updatedAt: "1970-01-01T00:00:04.000Z",
    });
  });

  test("that owns no sequence and never failed has neither field", async () => {
    const bindings = new FakeBindings();
    bindings.view = { ...view, sequence: null, failure: null, transactions: [] };
    const response = await call(bindings, "GET", `${lane(ACCOUNT)}/directives/order-1`);
    const report = directiveReportSchema.parse(await response.json());
    expect("sequence" in report || "failure" in report).toBe(false);
  });

  test("is found under every spelling of its account, encoded or not", async () => {
    const bindings = new FakeBindings();
    bindings.view = view;
    for (const path of [lane(ACCOUNT_CHECKSUMMED), `/v1/accounts/${ACCOUNT}`]) {
      expect((await call(bindings, "GET", `${path}/directives/order-1`)).status).toBe(200);
    }
    expect(bindings.opened).toEqual([ACCOUNT, ACCOUNT]);
  });

  test("that the lane does not know is 404", async () => {
    const response = await call(new FakeBindings(), "GET", `${lane(ACCOUNT)}/directives/none`);
    expect((await problemOf(response)).status).toBe(404);
  });

  test.each([
    ["an id that is none", `${lane(ACCOUNT)}/directives/a%20b`, "id"],
    ["an id with a slash in it", `${lane(ACCOUNT)}/directives/a%2Fb`, "id"],
    ["an id of broken encoding", `${lane(ACCOUNT)}/directives/%zz`, "id"],
    ["an account that is none", "/v1/accounts/0xabc/directives/order-1", "account"],
    [
      "an account of a wrong checksum",
      `${lane(ACCOUNT.replace("0xf39f", "0xF39f"))}/directives/order-1`,
      "account",
    ],
  ])("%s is 400 and opens no lane", async (_, path, field) => {
    const bindings = new FakeBindings();
    const response = await call(bindings, "GET", path);
    expect(response.status).toBe(400);
    expect(await errorFields(response)).toEqual([field]);
    expect(bindings.opened).toEqual([]);
  });
});

describe("a lane", () => {
  test("is told with ISO times", async () => {
    const response = await call(new FakeBindings(), "GET", lane(ACCOUNT));
    const report: unknown = await response.json();
    expect(laneReportSchema.parse(report)).toEqual(report);
    expect(report).toMatchObject({
      account: ACCOUNT,
      status: "paused",
      counts: { admitted: 9, settled: 5, dead: 1, inFlight: 3 },
      outage: { code: "network_error", message: "refused", at: "1970-01-01T00:00:01.000Z" },
      events: [{ at: "1970-01-01T00:00:02.000Z", kind: "paused", detail: "ada: maintenance" }],
    });
  });

  test.each(["pause", "resume", "repair"])(
    "takes %s with a reason, and learns who asked",
    async (command) => {
      const bindings = new FakeBindings();
      const response = await call(bindings, "POST", `${lane(ACCOUNT_CHECKSUMMED)}/${command}`, {
        body: { reason: "  node upgrade " },
      });
      expect(response.status).toBe(200);
      expect(bindings.commands).toEqual([
        { command, account: ACCOUNT, reason: "node upgrade", actor: "ada" },
      ]);
    },
  );

  test.each([
    ["nothing", {}, ["reason"]],
    ["an empty reason", { reason: "" }, ["reason"]],
    ["a blank reason", { reason: "   " }, ["reason"]],
    ["a reason that is no text", { reason: 5 }, ["reason"]],
    ["501 characters", { reason: "x".repeat(501) }, ["reason"]],
    ["another field", { reason: "x", force: true }, ["force"]],
    ["a list", [], [""]],
  ])("does not pause for %s", async (_, body, fields) => {
    const bindings = new FakeBindings();
    const response = await call(bindings, "POST", `${lane(ACCOUNT)}/pause`, { body });
    expect(response.status).toBe(400);
    expect(await errorFields(response)).toEqual(fields);
    expect(bindings.commands).toEqual([]);
  });

  test("does not pause for a body of megabytes", async () => {
    const body = { reason: "x".repeat(1_000_000) };
    expect((await call(new FakeBindings(), "POST", `${lane(ACCOUNT)}/pause`, { body })).status).toBe(413);
  });
});

describe("an account that is not configured has no lane, and asking makes none", () => {
  test.each([UNSIGNED_ACCOUNT, ACCOUNT.replace("31337", "1")])("%s", async (account) => {
    const bindings = new FakeBindings();
    const answers = await Promise.all([
      call(bindings, "GET", lane(account)),
      call(bindings, "GET", `${lane(account)}/directives/order-1`),
      call(bindings, "POST", `${lane(account)}/pause`, { body: { reason: "x" } }),
      call(bindings, "POST", `${lane(account)}/resume`, { body: { reason: "x" } }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
    expect(bindings.opened).toEqual([]);
  });
});
