import { afterEach, beforeEach, expect, test } from "vitest";
import * as answers from "./cli-answers.ts";
import {
  envOf,
  problemAnswer,
  run,
  startFakeWorker,
  TOKEN,
  type FakeWorker,
  type RunOptions,
} from "./cli-fixture.ts";

const { ACCOUNT, letter, lane, plan, replay, event, inbox } = answers;
const ACCOUNT_PATH = `/v1/accounts/${encodeURIComponent(ACCOUNT)}`;
const LETTER_PATH = `/v1/dlq/letters/${letter.id}`;

let worker: FakeWorker;
beforeEach(async () => {
  worker = await startFakeWorker();
});
afterEach(() => worker[Symbol.asyncDispose]());

const lockstep = (argv: readonly string[], options: RunOptions = {}) =>
  run(argv, { env: envOf(worker), ...options });

interface Case {
  readonly argv: readonly string[];
  /** Method and path. */
  readonly asks: string;
  readonly query?: string;
  readonly sends?: unknown;
  readonly answer: unknown;
  /** What `--json` prints, where that is not the answer. */
  readonly prints?: unknown;
}

const because = ["--reason", "key rotation"];
const reason = "key rotation";
const DAY_AGO = "2030-01-30T12%3A00%3A00.000Z";

const CASES: readonly Case[] = [
  { argv: ["lane", ACCOUNT], asks: `GET ${ACCOUNT_PATH}`, answer: lane },
  ...["pause", "resume", "repair"].map((command) => ({
    argv: ["lane", command, ACCOUNT, ...because],
    asks: `POST ${ACCOUNT_PATH}/${command}`,
    sends: { reason },
    answer: lane,
  })),
  {
    argv: ["lanes", "--limit", "7", "--after", "a"],
    asks: "GET /v1/accounts",
    query: "after=a&limit=7",
    answer: { accounts: [lane], next: "b" },
  },
  {
    argv: ["directive", ACCOUNT, "a:b"],
    asks: `GET ${ACCOUNT_PATH}/directives/a%3Ab`,
    answer: answers.directive,
  },
  { argv: ["dlq", "depth"], asks: "GET /v1/dlq/depth", answer: answers.depth },
  { argv: ["dlq", "incidents"], asks: "GET /v1/dlq/incidents", answer: answers.incidents },
  {
    argv: ["dlq", "list", "--state", "open", "--code", "unauthorized", "--kind", "event", "--lane", ACCOUNT]
      .concat(["--queue", "directives", "--from", "24h", "--to", "2030-01-31T00:00:00Z", "--limit", "5"])
      .concat(["--cursor", "c1"]),
    asks: "GET /v1/dlq/letters",
    query:
      `code=unauthorized&kind=event&lane=${encodeURIComponent(ACCOUNT)}&sourceQueue=directives&from=${DAY_AGO}` +
      "&to=2030-01-31T00%3A00%3A00Z&state=open&cursor=c1&limit=5",
    answer: { letters: [letter], nextCursor: "c2" },
  },
  { argv: ["dlq", "show", letter.id], asks: `GET ${LETTER_PATH}`, answer: answers.wholeLetter },
  {
    argv: ["dlq", "resolve", letter.id, "--outcome", "landed", "--tx-hash", "0x1", ...because],
    asks: `POST ${LETTER_PATH}/resolve`,
    sends: { outcome: "landed", txHash: "0x1", reason },
    answer: answers.wholeLetter,
  },
  {
    argv: ["dlq", "resolve", letter.id, "--outcome", "not-landed", ...because],
    asks: `POST ${LETTER_PATH}/resolve`,
    sends: { outcome: "not-landed", reason },
    answer: answers.wholeLetter,
  },
  {
    argv: ["dlq", "discard", letter.id, ...because],
    asks: `POST ${LETTER_PATH}/discard`,
    sends: { reason },
    answer: answers.wholeLetter,
  },
  {
    argv: ["dlq", "resubmit", letter.id, "--id", "new-1", "--action", '{"type":"x"}', ...because],
    asks: `POST ${LETTER_PATH}/resubmit`,
    sends: { id: "new-1", action: { type: "x" }, reason },
    answer: answers.wholeLetter,
  },
  {
    argv: ["dlq", "reconcile", "a", "b"],
    asks: "POST /v1/dlq/reconcile",
    sends: { ids: ["a", "b"] },
    answer: { checked: 2, outcomes: { landed: 1, unchanged: 1 } },
  },
  {
    argv: ["dlq", "reconcile"],
    asks: "POST /v1/dlq/reconcile",
    sends: {},
    answer: { checked: 0, outcomes: {} },
  },
  {
    argv: ["dlq", "plan", "--id", "a", "--id", "b", "--queue", "directives", "--limit", "9", "--force"],
    asks: "POST /v1/dlq/plans",
    sends: { filter: { ids: ["a", "b"], sourceQueue: "directives" }, limit: 9, force: true },
    answer: plan,
  },
  { argv: ["dlq", "plan"], asks: "POST /v1/dlq/plans", sends: { filter: {} }, answer: plan },
  { argv: ["dlq", "plan", plan.id], asks: `GET /v1/dlq/plans/${plan.id}`, answer: plan },
  { argv: ["dlq", "replays"], asks: "GET /v1/dlq/replays", answer: { replays: [replay] } },
  ...["pause", "resume", "cancel"].map((command) => ({
    argv: ["dlq", command, replay.id, ...because],
    asks: `POST /v1/dlq/replays/${replay.id}/${command}`,
    sends: { reason },
    answer: replay,
  })),
  {
    argv: ["events", "polar", "--key", "a b", "--limit", "3"],
    asks: "GET /v1/webhooks/polar/events",
    query: "key=a+b&limit=3",
    answer: { events: [event], nextCursor: null },
    prints: {
      events: [{ ...event, digest: undefined, effects: undefined, audit: undefined }],
      nextCursor: null,
    },
  },
  {
    argv: ["events", "show", "polar", "evt/1"],
    asks: "GET /v1/webhooks/polar/events/evt%2F1",
    answer: event,
  },
  {
    argv: ["events", "show", "github", "evt", "--shard", "3"],
    asks: "GET /v1/webhooks/github/events/evt",
    query: "shard=3",
    answer: event,
  },
  {
    argv: ["inbox", "polar", "--key", "a&b"],
    asks: "GET /v1/webhooks/polar/inbox",
    query: "key=a%26b",
    answer: inbox,
  },
  {
    argv: ["inboxes", "polar"],
    asks: "GET /v1/webhooks/polar/inboxes",
    query: "limit=50",
    answer: { inboxes: [inbox], next: null },
  },
  {
    argv: ["inbox", "skip", "github", "--shard", "0", ...because],
    asks: "POST /v1/webhooks/github/inbox/skip",
    query: "shard=0",
    sends: { reason },
    answer: inbox,
  },
  {
    argv: ["inbox", "skip", "polar", "--key", "a&b", "--sequence", "7", ...because],
    asks: "POST /v1/webhooks/polar/inbox/skip",
    query: "key=a%26b",
    sends: { reason, sequence: 7 },
    answer: inbox,
  },
  ...["pause", "resume"].map((command) => ({
    argv: ["inbox", command, "polar", "--key", "a&b", ...because],
    asks: `POST /v1/webhooks/polar/inbox/${command}`,
    query: "key=a%26b",
    sends: { reason },
    answer: inbox,
  })),
];

test.each(CASES)("$argv asks $asks once, with the token, and prints the answer as JSON", async (given) => {
  worker.answer(given.asks, { body: given.answer });
  const { code, stdout, stderr } = await lockstep([...given.argv, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(worker.requests).toEqual([
    {
      line: given.query === undefined ? given.asks : `${given.asks}?${given.query}`,
      body: given.sends,
      authorization: `Bearer ${TOKEN}`,
    },
  ]);
  const printed: unknown = JSON.parse(stdout);
  expect(printed).toEqual(JSON.parse(JSON.stringify(given.prints ?? given.answer)));
});

test.each(CASES)("$argv prints nothing but plain lines of at most 80 columns", async (given) => {
  worker.answer(given.asks, { body: given.answer });
  const { code, stdout } = await lockstep(given.argv);
  expect(code).toBe(0);
  expect(stdout).not.toBe("");
  expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  // eslint-disable-next-line no-control-regex
  expect(stdout).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F]/);
});

test("status shows the Worker, its lanes and inboxes, its incidents and its depth on one screen of 80 columns", async () => {
  worker.answer("GET /healthz", { body: { status: "ok" } });
  worker.answer(
    "GET /v1/accounts",
    { body: { accounts: [lane], next: ACCOUNT } },
    { body: { accounts: [answers.liveLane], next: null } },
  );
  worker.answer("GET /v1/dlq/depth", { body: answers.depth });
  worker.answer("GET /v1/dlq/incidents", { body: answers.incidents });
  worker.answer("GET /metrics", { body: answers.metrics });
  const text = await lockstep(["status"]);
  expect(text.code).toBe(0);
  expect(text.stdout).toMatch(/^lanes +2 \(1 paused, 1 live\)$/m);
  expect(text.stdout).toMatch(/^inboxes +4 \(3 live, 1 paused\), 2 more were not read$/m);
  expect(text.stdout).toContain("40,000");
  expect(text.stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  const summary = JSON.parse((await lockstep(["status", "--json"])).stdout) as Record<string, unknown>;
  expect(summary).toMatchObject({
    healthy: true,
    inboxes: { byStatus: { live: 3, paused: 1 }, unread: 2 },
    depth: answers.depth,
    incidents: answers.incidents.open,
  });
});

test("a Worker that is not healthy is not asked further", async () => {
  worker.answer("GET /healthz", { status: 503, body: "starting" });
  const { code, stderr } = await lockstep(["status"]);
  expect(code).toBe(3);
  expect(stderr).toContain(`${worker.url}/healthz`);
  expect(worker.lines()).toEqual(["GET /healthz"]);
});

test("--all reads page after page, and ends where the last page does", async () => {
  worker.answer(
    "GET /v1/dlq/letters",
    { body: { letters: [letter], nextCursor: "c1" } },
    { body: { letters: [{ ...letter, id: "second" }], nextCursor: null } },
  );
  const { stdout } = await lockstep(["dlq", "list", "--all", "--json"]);
  expect(worker.lines()).toEqual(["GET /v1/dlq/letters?limit=50", "GET /v1/dlq/letters?cursor=c1&limit=50"]);
  const page = JSON.parse(stdout) as { letters: { id: string }[]; nextCursor: string | null };
  expect(page.letters.map(({ id }) => id)).toEqual([letter.id, "second"]);
  expect(page.nextCursor).toBeNull();
});

test("a page that is not the last says how to read on, beside the table", async () => {
  worker.answer("GET /v1/dlq/letters", { body: { letters: [letter], nextCursor: "c 1" } });
  const { stdout, stderr } = await lockstep(["dlq", "list"]);
  expect(stderr).toContain("--cursor 'c 1'");
  expect(stdout).not.toContain("--cursor");
});

test("a page of letters of the last day says that day's beginning: a cursor is of one filter", async () => {
  worker.answer("GET /v1/dlq/letters", { body: { letters: [letter], nextCursor: "c1" } });
  const { stderr } = await lockstep(["dlq", "list", "--from", "24h"]);
  expect(stderr).toContain("--from 2030-01-30T12:00:00.000Z --cursor c1");
});

test("a letter's id and hashes are whole in every table: they are what one copies", async () => {
  worker.answer("GET /v1/dlq/letters", { body: { letters: [letter], nextCursor: null } });
  expect((await lockstep(["dlq", "list"])).stdout).toContain(letter.id);
  worker.answer(`GET ${LETTER_PATH}`, { body: answers.wholeLetter });
  expect((await lockstep(["dlq", "show", letter.id])).stdout).toContain(answers.HASH);
});

test("a replay's id and why it was made are whole in 80 columns, as is what an incident is about", async () => {
  const why = "the contract is unpaused, and all that waited for it may go";
  worker.answer("GET /v1/dlq/replays", { body: { replays: [{ ...replay, reason: why, total: 10_000 }] } });
  const { stdout } = await lockstep(["dlq", "replays"]);
  expect(stdout).toContain(replay.id);
  expect(stdout.replaceAll(/\s+/g, " ")).toContain(`${replay.actor}: ${why}`);
  const detail = "wrong_chain: the endpoint serves chain 1, and not chain 31337";
  const open = answers.incidents.open.map((incident) => ({ ...incident, detail }));
  worker.answer("GET /v1/dlq/incidents", { body: { open, closed: [] } });
  expect((await lockstep(["dlq", "incidents"])).stdout).toContain(detail);
});

test.each([
  [["lane", "pause", ACCOUNT], `POST ${ACCOUNT_PATH}/pause`, lane],
  [["lane", "resume", ACCOUNT], `POST ${ACCOUNT_PATH}/resume`, lane],
  [["inbox", "pause", "polar", "--key", "a"], "POST /v1/webhooks/polar/inbox/pause", inbox],
  [["inbox", "resume", "polar", "--key", "a"], "POST /v1/webhooks/polar/inbox/resume", inbox],
])(
  "%j that changed nothing says so: its reason is not in the log of the answer",
  async (argv, asks, answer) => {
    const logged = { ...answer, events: [{ at: answers.NOW, kind: "paused", detail: `ada: ${reason}` }] };
    worker.answer(asks, { body: answer }, { body: logged });
    const repeated = await lockstep([...argv, ...because]);
    expect(repeated.code).toBe(0);
    expect(repeated.stderr).toMatch(/^Nothing changed: the (lane|inbox) was /);
    expect((await lockstep([...argv, ...because])).stderr).toBe("");
  },
);

test("a letter that was closed before says that nothing changed: the reason is not in its history", async () => {
  const entry = { at: answers.NOW, actor: "ada", action: "discarded", reason };
  const changed = { ...answers.wholeLetter, history: [entry] };
  worker.answer(`POST ${LETTER_PATH}/discard`, { body: answers.wholeLetter }, { body: changed });
  const repeated = await lockstep(["dlq", "discard", letter.id, ...because]);
  expect(repeated).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Nothing changed: /) as string });
  expect((await lockstep(["dlq", "discard", letter.id, ...because])).stderr).toBe("");
});

test("--version is that of the package, and asks nobody", async () => {
  const { code, stdout } = await lockstep(["--version"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(worker.requests).toEqual([]);
});

test("a letter whose lane does not answer is shown, and says why nothing is known of it now", async () => {
  worker.answer(`GET ${LETTER_PATH}`, {
    body: { ...answers.wholeLetter, now: null, nowError: "no answer within 8 s" },
  });
  expect((await lockstep(["dlq", "show", letter.id])).stdout).toContain("not known: no answer within 8 s");
});

test("--wide cuts nothing", async () => {
  worker.answer("GET /v1/dlq/letters", { body: { letters: [letter], nextCursor: null } });
  const { stdout } = await lockstep(["dlq", "list", "--wide"]);
  expect(stdout).toContain(letter.directiveId);
  expect(stdout).toContain(ACCOUNT);
});

test("colours are for terminals, and never with NO_COLOR", async () => {
  worker.answer("GET /v1/dlq/letters", { body: { letters: [letter], nextCursor: null } });
  const terminal = { columns: 80 };
  expect((await lockstep(["dlq", "list"], { terminal })).stdout).toContain("\u001B[31mopen\u001B[0m");
  const plain = await lockstep(["dlq", "list"], { terminal, env: { ...envOf(worker), NO_COLOR: "1" } });
  expect(plain.stdout).not.toContain("\u001B");
  expect((await lockstep(["dlq", "list"])).stdout).not.toContain("\u001B");
});

test("depth is watched again and again until ctrl-C, through a Worker that restarts", async () => {
  worker.answer("GET /v1/dlq/depth", { body: answers.depth }, "hang-up", problemAnswer(503, "restarting"), {
    body: answers.depth,
  });
  let looks = 0;
  const watched = await lockstep(["dlq", "depth", "--watch", "--interval", "3", "--json"], {
    onPause(interrupt) {
      looks += 1;
      if (looks === 4) interrupt();
    },
  });
  expect(watched.code).toBe(130);
  expect(watched.pauses).toEqual([3000, 3000, 3000, 3000]);
  const lines = watched.stdout.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([answers.depth, answers.depth]);
});

test("watching ends when the token is refused: it will be refused again", async () => {
  worker.answer("GET /v1/dlq/depth", problemAnswer(401, "no"));
  expect((await lockstep(["dlq", "depth", "--watch"])).code).toBe(3);
  expect(worker.requests).toHaveLength(1);
});
