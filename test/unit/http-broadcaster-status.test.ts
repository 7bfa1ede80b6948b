import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { failureOfDelivery } from "../../consumers/broadcasters/http-failure.ts";
import { FAILURES, isPermanent } from "../../domain/failure.ts";

const anyStatus = fc.integer({ min: 200, max: 999 });

describe("the status of a delivery", () => {
  it.each([
    [200, null],
    [201, null],
    [202, null],
    [204, null],
    [299, null],
    [409, null],
    [300, "redirected"],
    [301, "redirected"],
    [304, "redirected"],
    [308, "redirected"],
    [400, "bad_request"],
    [401, "unauthorized"],
    [403, "forbidden"],
    [404, "not_found"],
    [410, "gone"],
    [413, "payload_rejected"],
    [422, "payload_rejected"],
    [402, "delivery_refused"],
    [405, "delivery_refused"],
    [415, "delivery_refused"],
    [418, "delivery_refused"],
    [499, "delivery_refused"],
    [408, "endpoint_timeout"],
    [425, "endpoint_timeout"],
    [429, "rate_limited"],
    [500, "endpoint_error"],
    [503, "endpoint_error"],
    [599, "endpoint_error"],
    [600, "endpoint_error"],
    [999, "endpoint_error"],
  ] as const)("%i becomes %s", (status, code) => {
    expect(failureOfDelivery(status)).toBe(code);
  });

  it("is what the destination's own statuses say, and the row of its code agrees", () => {
    fc.assert(
      fc.property(anyStatus, fc.constantFrom("success", "permanent", "transient"), (status, declared) => {
        const code = failureOfDelivery(status, { [status]: declared });
        if (declared === "success") expect(code).toBeNull();
        else expect(code !== null && isPermanent(code)).toBe(declared === "permanent");
        if (declared === "transient") expect(code !== null && FAILURES[code].contained).toBe("retry");
      }),
    );
  });

  it("keeps its own code where the destination's statuses say the usual", () => {
    expect(failureOfDelivery(404, { 404: "permanent" })).toBe("not_found");
    expect(failureOfDelivery(429, { 429: "transient" })).toBe("rate_limited");
    expect(failureOfDelivery(404, { 404: "transient" })).toBe("declared_transient");
    expect(failureOfDelivery(503, { 503: "permanent" })).toBe("declared_permanent");
    expect(failureOfDelivery(200, { 200: "permanent" })).toBe("declared_permanent");
  });

  it("is the usual where the destination's statuses speak of others", () => {
    fc.assert(
      fc.property(anyStatus, (status) => {
        expect(failureOfDelivery(status, { [status + 1]: "success" })).toBe(failureOfDelivery(status));
      }),
    );
  });
});
