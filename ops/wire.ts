/** JSON as Lockstep reads it: amounts are decimal strings, times ISO 8601. */
export function toWire(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => (typeof item === "bigint" ? item.toString() : item));
}
