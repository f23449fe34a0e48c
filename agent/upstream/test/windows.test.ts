import assert from 'node:assert/strict';
import type { ServerOptions } from 'node:https';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { Authority, noOpenssl } from '../../testing/certificates.ts';
import { eventually } from '../../testing/eventually.ts';
import {
  BYTES,
  DIGEST,
  SIZE,
  STEP_MS,
  throttled,
  trickle,
  WIDENING,
  WINDOW,
  writeHead,
  type Fault,
  type Throttled,
} from '../../testing/throttled-registry.ts';
import { sendError } from '../../testing/token-registry.ts';
import { byHttp, bytesOf, requestFor, upstreamTo } from '../../testing/upstream-fixture.ts';
import { WindowBudget } from '../client/range-window.ts';

/** What a registry by https is asked with. */
interface Asked {
  readonly yaml?: string;
  readonly budget?: WindowBudget;
  /** Requests of so many clients, at the same time. */
  readonly clients?: number;
}

/** Fetches the blob for clients that do not verify it. Returns what they got, and the outcomes by their count. */
async function fetchBlob(
  t: TestContext,
  { registry }: Throttled,
  { yaml, budget, clients = 1 }: Asked = {},
): Promise<{ bytes: Buffer[]; outcomes: Record<string, number> }> {
  const { source, metrics } = await upstreamTo(t, [byHttp(registry)], {
    ...(yaml !== undefined && { yaml }),
    widening: { ...WIDENING, ...(budget && { budget }) },
  });
  const get = async (): Promise<Buffer> => {
    const request = requestFor(registry.name, 'a', { blob: DIGEST });
    return await bytesOf(await source.fetch(request, new AbortController().signal));
  };
  const bytes = await Promise.all(Array.from({ length: clients }, get));
  const { values } = await metrics.upstreamWidened.get();
  const counted = values.filter(({ value }) => value > 0);
  const outcomes = counted.map(({ labels, value }) => [String(labels.outcome), value] as const);
  return { bytes, outcomes: Object.fromEntries(outcomes) };
}

function assertWhole(all: readonly Buffer[]): void {
  for (const bytes of all) assert.ok(bytes.equals(BYTES), 'the bytes of the blob, in their order');
}

/** Whether a range is the rest of the blob, by one connection. */
function isRest({ start, end }: { readonly start: number; readonly end: number }): boolean {
  return start > 0 && end === SIZE - 1 && end - start > WINDOW;
}

/** Windows of a budget that are free. */
function free(budget: WindowBudget): number {
  const taken: Disposable[] = [];
  for (let slot = budget.take(); slot !== undefined; slot = budget.take()) taken.push(slot);
  for (const slot of taken) slot[Symbol.dispose]();
  return taken.length;
}

describe('the memory for windows', () => {
  it('that other blobs have taken leaves a blob with one connection', async (t) => {
    const upstream = await throttled(t);
    const { bytes, outcomes } = await fetchBlob(t, upstream, { budget: new WindowBudget(0) });
    assertWhole(bytes);
    assert.equal(upstream.ranges.length, 1);
    assert.deepEqual(outcomes, { full: 1 });
  });

  it('for one window alone is not exceeded, and the blob comes whole', async (t) => {
    const upstream = await throttled(t);
    const budget = new WindowBudget(1);
    const { bytes, outcomes } = await fetchBlob(t, upstream, { budget });
    assertWhole(bytes);
    // The first connection, one window, and one that has just ended.
    assert.ok(upstream.most() <= 3, `${upstream.most()} connections`);
    assert.ok(upstream.ranges.length > 2, `${upstream.ranges.length} ranges`);
    assert.equal((outcomes['one'] ?? 0) + (outcomes['whole'] ?? 0), 1, JSON.stringify(outcomes));
    assert.equal(free(budget), 1);
  });

  it('that becomes free while the blob arrives is used then', async (t) => {
    const budget = new WindowBudget(4);
    const taken = [budget.take(), budget.take(), budget.take(), budget.take()];
    const upstream = await throttled(t);
    const fetching = fetchBlob(t, upstream, { budget });
    await delay(10 * WIDENING.observeMs);
    assert.deepEqual(upstream.ranges, [{ start: 0, end: SIZE - 1 }]);
    for (const slot of taken) slot?.[Symbol.dispose]();
    const { bytes, outcomes } = await fetching;
    assertWhole(bytes);
    assert.ok(upstream.ranges.length > 2, `${upstream.ranges.length} ranges`);
    assert.equal(outcomes['full'], 1);
  });

  it('is shared by all blobs, each of which comes whole, and is free again behind them', async (t) => {
    const upstream = await throttled(t);
    const budget = new WindowBudget(3);
    const { bytes } = await fetchBlob(t, upstream, { budget, clients: 5 });
    assertWhole(bytes);
    assert.equal(free(budget), 3);
    // One connection of each blob, and one of each window.
    assert.ok(upstream.most() <= 5 + 3, `${upstream.most()} connections`);
  });

  it('of a range that is late is used for the rest of that range', async (t) => {
    const silent: Fault = (range, res) => {
      writeHead(res, range);
      res.write(BYTES.subarray(range.start, range.start + 1000));
    };
    const budget = new WindowBudget(2);
    const upstream = await throttled(t, [undefined, silent]);
    const { bytes } = await fetchBlob(t, upstream, { budget });
    assertWhole(bytes);
    assert.equal(free(budget), 2);
  });
});

const OTHER = Buffer.from(BYTES).fill(0, 2 * WINDOW);
const page: Fault = (_range, res) => {
  res.writeHead(206, { 'Content-Type': 'text/html' }).end('<html>log in</html>');
};
const otherSize: Fault = ({ start, end }, res) => {
  const length = { 'Content-Length': end + 1 - start };
  res.writeHead(206, { ...length, 'Content-Range': `bytes ${start}-${end}/${SIZE + 1}` });
  res.end(BYTES.subarray(start, end + 1));
};
const none: Fault = (_range, res) => {
  res.writeHead(416, { 'Content-Range': `bytes */${SIZE}`, 'Content-Length': 0 }).end();
};
const gone: Fault = (_range, res) => {
  sendError(res, 404, 'BLOB_UNKNOWN', 'blob unknown to registry');
};
const elsewhere: Fault = (_range, res) => {
  res.writeHead(307, { Location: 'file:///etc/passwd' }).end();
};
const chunks: Fault = ({ start, end }, res) => {
  res.writeHead(206, { 'Content-Range': `bytes ${start}-${end}/${SIZE}` });
  // Far more than the range.
  for (let sent = 0; sent < 4; sent += 1) res.write(BYTES.subarray(start, end + 1));
  res.end();
};

/** The tests of registries that lie or fail, by a scheme. Each takes the time of a blob. */
function adversaries(
  scheme: string,
  faults: readonly (readonly [what: string, fault: Fault])[],
  connection: () => { readonly tls?: ServerOptions; readonly ca?: string },
): void {
  const start = async (
    t: TestContext,
    faults: (Fault | undefined)[] = [],
  ): Promise<{ upstream: Throttled; asked: Asked; budget: WindowBudget }> => {
    const { tls, ca } = connection();
    const upstream = await throttled(t, faults, () => STEP_MS, tls);
    const budget = new WindowBudget();
    const settings = `tls: { ca_file: ${ca ?? ''} }`;
    const yaml =
      ca === undefined ? {} : { yaml: `configs: { "${upstream.registry.name}": { ${settings} } }` };
    return { upstream, budget, asked: { budget, ...yaml } };
  };

  it(`asks by several connections (${scheme})`, async (t) => {
    const { upstream, asked } = await start(t);
    const { bytes, outcomes } = await fetchBlob(t, upstream, asked);
    assertWhole(bytes);
    assert.ok(upstream.most() >= 2 && upstream.most() <= 5, `${upstream.most()} connections`);
    assert.ok(outcomes['whole'] === 1 || outcomes['one'] === 1, JSON.stringify(outcomes));
  });

  for (const [what, fault] of faults) {
    it(`keeps its one connection where the first range is answered with ${what} (${scheme})`, async (t) => {
      const { upstream, asked } = await start(t, [fault, fault, fault]);
      const { bytes, outcomes } = await fetchBlob(t, upstream, asked);
      assertWhole(bytes);
      assert.equal(upstream.ranges.length, 2);
      assert.deepEqual(outcomes, { refused: 1 });
    });

    it(`goes on by one connection where a later range is answered with ${what} (${scheme})`, async (t) => {
      const { upstream, asked, budget } = await start(t, [undefined, undefined, fault]);
      const { bytes, outcomes } = await fetchBlob(t, upstream, asked);
      assertWhole(bytes);
      assert.ok(upstream.ranges.some(isRest), JSON.stringify(upstream.ranges));
      assert.deepEqual(outcomes, { one: 1 });
      assert.equal(free(budget), 8);
    });
  }

  it(`takes of a range no more than it is (${scheme})`, async (t) => {
    const { upstream, asked } = await start(t, Array<Fault>(4).fill(chunks));
    assertWhole((await fetchBlob(t, upstream, asked)).bytes);
  });

  it(`is not completed where the content changes between two ranges (${scheme})`, async (t) => {
    const lies: Fault = (range, res) => trickle(res, range, { bytes: OTHER });
    const { upstream, asked, budget } = await start(t, [undefined, ...Array<Fault>(99).fill(lies)]);
    await assert.rejects(fetchBlob(t, upstream, asked), { reason: 'digest' });
    await eventually(() => {
      assert.equal(upstream.open(), 0);
    });
    assert.equal(free(budget), 8);
  });

  it(`asks anew for the one range that trickles, and has all in the end (${scheme})`, async (t) => {
    const slow: Fault = (range, res) => trickle(res, range, { pace: () => 1_000 });
    const { upstream, asked, budget } = await start(t, [undefined, slow]);
    assertWhole((await fetchBlob(t, upstream, asked)).bytes);
    const trickled = upstream.ranges[2];
    assert.ok(trickled);
    const again = upstream.ranges.filter(({ end }) => end === trickled.end);
    assert.ok(again.length > 1 || upstream.ranges.some(isRest), JSON.stringify(upstream.ranges));
    assert.equal(free(budget), 8);
  });
}

describe('a registry that is asked by several connections', () => {
  const others = [
    ['a page', page],
    ['the range of a blob of another size', otherSize],
    ['404', gone],
    ['a redirect to a file', elsewhere],
  ] as const;
  adversaries('http', others, () => ({}));
});

describe('a registry that is asked by several connections with TLS', { skip: noOpenssl }, () => {
  let authority: Authority;
  let tls: ServerOptions;

  before(async () => {
    authority = await Authority.create('registry authority');
    await authority.issue('server');
    tls = { cert: await authority.read('server.crt'), key: await authority.read('server.key') };
  });
  after(async () => {
    await authority[Symbol.asyncDispose]();
  });

  adversaries('https', [['416', none]], () => ({ tls, ca: authority.ca }));
});
