import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerOptions } from 'node:https';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { parseRange, resolveRange, type ByteRange } from '../oci/byte-range.ts';
import { sha256 } from './image.ts';
import { TokenRegistry } from './token-registry.ts';

/** Bytes of a range that is asked for. */
export const WINDOW = 256 * 1024;
/** Bytes of the blob. */
export const SIZE = 24 * WINDOW + 1000;
/** The blob. */
export const BYTES = randomBytes(SIZE);
export const DIGEST = sha256(BYTES);
const STEP = 16 * 1024;
/** Milliseconds between two chunks of a connection. */
export const STEP_MS = 5;

/** How tests ask such a registry; see `WideningInit`. */
export const WIDENING = {
  connections: 4,
  windowBytes: WINDOW,
  observeMs: 50,
  lateMs: 100,
} as const;

/** What a registry does with the request for a range, where it does not only throttle it. */
export type Fault = (range: ByteRange, res: ServerResponse) => Promise<void> | void;

/** A registry that throttles, and what it has seen. */
export interface Throttled {
  readonly registry: TokenRegistry;
  /** The ranges that were asked for; the first is all of the blob. */
  readonly ranges: ByteRange[];
  /** Connections at the same time, at most. */
  readonly most: () => number;
  readonly open: () => number;
}

/**
 * A registry that throttles each connection. Faults are for the requests of ranges, in their order.
 *
 * @param stepMs between two chunks of a connection, where there are so many at the moment
 * @param tls Default: it is asked by http
 */
export async function throttled(
  t: TestContext,
  faults: (Fault | undefined)[] = [],
  stepMs: (connections: number) => number = () => STEP_MS,
  tls?: ServerOptions,
): Promise<Throttled> {
  const init = { scheme: 'none', redirects: false, ...(tls && { tls }) } as const;
  const registry = await TokenRegistry.start(t, init);
  registry.addBlob(BYTES);
  const ranges: ByteRange[] = [];
  const open = new Set<ServerResponse>();
  let most = 0;
  registry.faults.registry = (req: IncomingMessage, res: ServerResponse) => {
    if (req.url?.includes(DIGEST) !== true) return false;
    const asked = parseRange(req.headers.range);
    const range = (asked && resolveRange(asked, SIZE)) ?? { start: 0, end: SIZE - 1 };
    ranges.push(range);
    open.add(res);
    // What has been sent whole may be taken by the client before this process notices.
    const present = (): number => [...open].filter(({ writableEnded }) => !writableEnded).length;
    most = Math.max(most, present());
    res.once('close', () => open.delete(res));
    const fault = asked && faults.shift();
    const pace = (): number => stepMs(present());
    void (fault === undefined ? trickle(res, asked && range, { pace }) : fault(range, res));
    return true;
  };
  return { registry, ranges, most: () => most, open: () => open.size };
}

/** Begins an answer with a range. */
export function writeHead(res: ServerResponse, { start, end }: ByteRange): void {
  const length = { 'Content-Length': end + 1 - start };
  res.writeHead(206, { ...length, 'Content-Range': `bytes ${start}-${end}/${SIZE}` });
}

/** Sends a range, or all, at a bounded rate. */
export async function trickle(
  res: ServerResponse,
  range: ByteRange | undefined,
  { bytes = BYTES, pace = () => STEP_MS }: { bytes?: Buffer; pace?: () => number } = {},
): Promise<void> {
  const { start, end } = range ?? { start: 0, end: SIZE - 1 };
  if (range === undefined) res.writeHead(200, { 'Content-Length': SIZE });
  else writeHead(res, range);
  for (let at = start; at <= end && !res.destroyed; at += STEP) {
    const chunk = bytes.subarray(at, Math.min(at + STEP, end + 1));
    if (at + STEP > end) res.end(chunk);
    else res.write(chunk);
    await delay(pace());
  }
}
