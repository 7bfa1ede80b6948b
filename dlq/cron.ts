// In:  a tick of the cron, and the work that is due at each.
// Out: all of it was begun, and is over.
// On failure: one line in the log for each job that failed; no job stops another, and the next tick does it again.

/** By the name that the log knows it by. A job may be repeated, and may overlap with itself. */
export type CronJobs = Readonly<Record<string, () => Promise<unknown>>>;

/** Never throws. */
export async function runCron(jobs: CronJobs): Promise<void> {
  await Promise.all(
    Object.entries(jobs).map(async ([job, run]) => {
      try {
        await run();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        console.error(JSON.stringify({ at: "dlq.cron", job, error: reason }));
      }
    }),
  );
}
