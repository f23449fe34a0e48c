import type { TestContext } from 'node:test';

import { HttpListener, type HttpListenerInit, type RequestHandler } from '../http/http-listener.ts';

/** Starts a listener that ends with the test, and gives its origin. */
export async function listen(
  t: TestContext,
  handler: RequestHandler,
  init?: HttpListenerInit,
): Promise<string> {
  const address = { host: '127.0.0.1', port: 0 };
  const listener = new HttpListener(address, '--test-addr', handler, init);
  const port = await listener.start();
  t.after(() => listener.stop(0));
  return `${init?.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
}
