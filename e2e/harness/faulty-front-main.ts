/**
 * Stands in front of a registry, and does what registries do to their clients: `faulty-front-main.ts ORIGIN PORT CONTROL`.
 * CONTROL is a file with a {@link FrontControl}, which is read anew for each request. Prints each request as one line of JSON.
 */
import { readFileSync } from 'node:fs';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

import type { FrontControl, FrontRule, FrontRequest } from './faulty-front.ts';

const [origin = '', port, control = ''] = process.argv.slice(2);
/** Bytes that are sent at once. */
const PIECE = 16 * 1024;
/** How often each rule has been used, by its text. */
const used = new Map<string, number>();
/** When the next byte may be sent, on the clock of `performance.now()`: all bodies share the rate. */
let free = 0;

createServer((req, res) => {
  void answer(req, res);
}).listen(Number(port));

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const from = (req.socket.remoteAddress ?? '').replace('::ffff:', '');
  const { method = '', url = '', headers } = req;
  const { rate, rules = [] } = JSON.parse(readFileSync(control, 'utf8')) as FrontControl;
  const rule = rules.find((it) => applies(it, { from, method, path: url }));
  const log = (status: number): void => {
    const line: FrontRequest = { from, method, path: url, status, range: headers.range ?? '' };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  };
  if (rule?.delayMs !== undefined) await delay(rule.delayMs);
  if (rule?.status !== undefined) {
    log(rule.status);
    const body = JSON.stringify({ errors: [{ code: 'TEST', message: 'as the test wants it' }] });
    res.writeHead(rule.status, { 'Content-Type': 'application/json', ...rule.headers }).end(body);
    return;
  }
  const target = new URL(url, origin);
  const forwarded = request(target, { method, headers: { ...headers, host: target.host } });
  forwarded.on('error', () => res.destroy());
  forwarded.on('response', (upstream) => {
    log(upstream.statusCode ?? 0);
    const answered = { ...upstream.headers };
    const { shorten = 0 } = rule ?? {};
    if (shorten > 0)
      answered['content-length'] = String(Number(answered['content-length']) - shorten);
    res.writeHead(upstream.statusCode ?? 502, answered);
    send(upstream, res, { rate, rule }).catch(() => res.destroy());
  });
  req.pipe(forwarded);
}

function applies(
  rule: FrontRule,
  { from, method, path }: Omit<FrontRequest, 'status' | 'range'>,
): boolean {
  if (rule.from !== undefined && !rule.from.includes(from)) return false;
  if (rule.method !== undefined && rule.method !== method) return false;
  if (!new RegExp(rule.path).test(path)) return false;
  const key = JSON.stringify(rule);
  const times = used.get(key) ?? 0;
  if (times >= (rule.times ?? Infinity)) return false;
  used.set(key, times + 1);
  return true;
}

async function send(
  upstream: IncomingMessage,
  res: ServerResponse,
  { rate, rule }: { rate: number | undefined; rule: FrontRule | undefined },
): Promise<void> {
  const end = Number(res.getHeader('content-length'));
  let sent = 0;
  for await (const chunk of upstream as AsyncIterable<Buffer>) {
    // Small pieces, so that a slow body is slow from the first byte on.
    for (let at = 0; at < chunk.length; at += PIECE) {
      let piece = chunk.subarray(at, at + PIECE);
      if (rule?.cutAfter !== undefined && sent + piece.length > rule.cutAfter) {
        res.socket?.end();
        return;
      }
      const wrong = (rule?.flip ?? -1) - sent;
      if (wrong >= 0 && wrong < piece.length) {
        piece = Buffer.from(piece);
        piece[wrong] = (piece[wrong] ?? 0) ^ 0xff;
      }
      if (sent + piece.length > end) piece = piece.subarray(0, end - sent);
      await pace(piece.length, rate);
      sent += piece.length;
      if (!res.write(piece))
        await new Promise((resolve) => res.once('drain', resolve).once('close', resolve));
      if (res.destroyed) return;
    }
  }
  res.end();
}

async function pace(bytes: number, rate: number | undefined): Promise<void> {
  if (rate === undefined) return;
  const now = performance.now();
  free = Math.max(free, now) + (bytes / rate) * 1000;
  if (free - now > 5) await delay(free - now);
}
