import type { FieldProblem } from "./directive.ts";

/** Keys that could reach a prototype. They are refused wherever they stand in untrusted input. */
const FORBIDDEN_KEYS = new Set(["__proto__", "constructor", "prototype"]);
const MAX_DEPTH = 32;
const MAX_NODES = 100_000;

/**
 * The annotations of superjson that messages use. The others build what no message holds, and some ask for
 * gigabytes in a few bytes: a typed array by its length.
 */
const ANNOTATIONS = new Set<unknown>(["bigint", "Date", "undefined", "number"]);

/**
 * Why an untrusted value may not be read at all: a forbidden key, bytes, too deep, or too many parts (so also: a
 * cycle, or an array that is long and empty). Walks without recursion, so that no input can exhaust the stack.
 */
export function plainProblem(input: unknown): FieldProblem | null {
  const stack: { value: unknown; path: string; depth: number }[] = [{ value: input, path: "", depth: 0 }];
  for (let nodes = 0; stack.length > 0; nodes += 1) {
    const entry = stack.pop();
    if (entry === undefined) break;
    const { value, path, depth } = entry;
    if (depth > MAX_DEPTH) {
      const field = path.split(".").slice(0, 3).join(".");
      return { field, message: `is nested more than ${MAX_DEPTH} levels deep` };
    }
    if (nodes > MAX_NODES) return { field: "", message: "has too many parts" };
    if (typeof value !== "object" || value === null) continue;
    if (ArrayBuffer.isView(value)) return { field: path, message: "must be JSON: write bytes as hex" };
    if (Array.isArray(value) && value.length > MAX_NODES)
      return { field: path, message: "has too many parts" };
    for (const key of Object.keys(value)) {
      const field = path === "" ? key : `${path}.${key}`;
      if (FORBIDDEN_KEYS.has(key)) return { field, message: "is not an allowed key: rename it" };
      stack.push({ value: Reflect.get(value, key), path: field, depth: depth + 1 });
    }
  }
  return null;
}

/** Why the `meta` of a superjson body may not be applied. Call `plainProblem` on it first: this one recurses. */
export function annotationProblem(meta: unknown): FieldProblem | null {
  if (meta === undefined || meta === null) return null;
  if (!isRecord(meta))
    return { field: "meta", message: "must be an object as superjson.serialize writes it" };
  return meta["values"] === undefined ? null : treeProblem(meta["values"], []);
}

function treeProblem(tree: unknown, path: readonly string[]): FieldProblem | null {
  const field = path.length === 0 ? "meta.values" : path.join(".");
  if (Array.isArray(tree)) {
    if (tree.length === 1 && ANNOTATIONS.has(tree[0])) return null;
    return { field, message: "must be JSON, bigint or Date: superjson's other types are not taken" };
  }
  if (!isRecord(tree)) return { field, message: "must be annotated as superjson.serialize writes it" };
  for (const [key, subtree] of Object.entries(tree)) {
    const problem = treeProblem(subtree, [...path, key]);
    if (problem !== null) return problem;
  }
  return null;
}

/** Turns what superjson can carry into what JSON can: bigint to decimal string, Date to ISO 8601, undefined to nothing. */
export function toPlain(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? value : value.toISOString();
  if (Array.isArray(value)) return value.map(toPlain);
  if (!isRecord(value)) return value;
  const kept = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(kept.map(([key, item]) => [key, toPlain(item)]));
}

/** The first part of a value that JSON cannot carry exactly, and where it stands. Call `plainProblem` on it first. */
export function jsonProblem(
  value: unknown,
  path: readonly string[] = [],
): { readonly path: readonly string[]; readonly message: string } | null {
  if (value === null || typeof value === "string" || typeof value === "boolean") return null;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return { path, message: "must be JSON: a finite number" };
    if (!Number.isInteger(value) || Number.isSafeInteger(value)) return null;
    return { path, message: "is a number that JSON cannot carry exactly: write it as a string" };
  }
  if (!Array.isArray(value) && !isRecord(value)) return { path, message: "must be JSON" };
  for (const [key, item] of Object.entries(value)) {
    const problem = jsonProblem(item, [...path, key]);
    if (problem !== null) return problem;
  }
  return null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
