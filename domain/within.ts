/** The answer, or an error when it does not come in time: the call itself may yet have its effect. */
export async function within<Answer>(callMs: number, call: Promise<Answer>): Promise<Answer> {
  const over = Promise.withResolvers<never>();
  const timer = setTimeout(() => over.reject(new Error(`no answer within ${callMs / 1000} s`)), callMs);
  try {
    return await Promise.race([call, over.promise]);
  } finally {
    clearTimeout(timer);
  }
}
