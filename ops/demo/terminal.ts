/** Colours only where a person sees them. Source: no-color.org. */
const colours = process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === "";
const PROGRESS_EVERY_MS = 1000;
const COLUMNS = 80;

function paint(code: number): (text: string) => string {
  return (text) => (colours ? `\u001B[${code}m${text}\u001B[0m` : text);
}
export const green = paint(32);
export const red = paint(31);
export const dim = paint(2);
export const bold = paint(1);

/** One step of the demo, while it runs and when it is done. */
export interface Step {
  /** What is to be seen at the moment. On a terminal one line that changes, elsewhere a line a second. */
  progress(text: string): void;
  /** Replaces the progress by what came of the step. */
  done(text: string): void;
}

export function startStep(name: string): Step {
  const startedAt = Date.now();
  let written = startedAt;
  const line = (text: string): string => {
    const seconds = `${((Date.now() - startedAt) / 1000).toFixed(1)} s`;
    return `  ${name.padEnd(10)}${text.padEnd(58)}${seconds.padStart(8)}`.slice(0, COLUMNS - 1);
  };
  return {
    progress(text) {
      if (process.stdout.isTTY) process.stdout.write(`\r\u001B[2K${dim(line(text))}`);
      else if (Date.now() - written >= PROGRESS_EVERY_MS) {
        written = Date.now();
        console.log(line(text));
      }
    },
    done(text) {
      if (process.stdout.isTTY) process.stdout.write("\r\u001B[2K");
      console.log(line(text));
    },
  };
}
