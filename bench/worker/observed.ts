/**
 * The same object, with each call of its methods told of, after it returned, and with some of its parts replaced.
 * What a method gives is passed on as it is: a promise is not waited for.
 */
export function observed<Target extends object>(
  target: Target,
  told: (method: string, args: readonly unknown[], result: unknown) => void,
  parts: Readonly<Record<string, object>> = {},
): Target {
  return new Proxy(target, {
    get(_, key): unknown {
      if (typeof key === "string" && Object.hasOwn(parts, key)) return parts[key];
      // Native objects know only themselves as `this`.
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      return (...args: readonly unknown[]): unknown => {
        const result: unknown = Reflect.apply(value, target, args);
        told(String(key), args, result);
        return result;
      };
    },
  });
}
