/**
 * A process as a second one beside the agent would be: `node parser.mjs KIND SOCKET`. KIND is what it has loaded: `nothing`, the
 * listener of HTTP (`http`), or the node of the DHT as well (`parsers`). It answers each message on its channel, and on
 * connections to the socket, with one of the size that the head of an answer has.
 */
import { createServer } from 'node:net';

/** Bytes of the head of an answer, signed. */
const ANSWER = Buffer.alloc(700, 'a');

const [kind = 'nothing', path = ''] = process.argv.slice(2);

if (kind !== 'nothing') {
  const { HttpListener } = await import('../../../agent/http/http-listener.ts');
  const answer = (_: unknown, res: { end: () => unknown }): Promise<void> => {
    res.end();
    return Promise.resolve();
  };
  await new HttpListener({ host: '127.0.0.1', port: 0 }, '--x', answer).start();
}
if (kind === 'parsers') {
  const { createNode } = await import('../../../agent/routing/node/libp2p-node.ts');
  const { loadIdentity } = await import('../../../agent/routing/node/identity.ts');
  const listen = ['/ip4/127.0.0.1/tcp/0'];
  const { start } = await createNode({
    privateKey: await loadIdentity(),
    serveDht: () => undefined,
    listen,
  });
  await start();
}

createServer((socket) => {
  socket.on('error', () => undefined);
  // One message after another, each with its length in front.
  let waiting: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
    let answers = 0;
    let at = 0;
    while (waiting.length >= at + 4) {
      const end = at + 4 + waiting.readUInt32BE(at);
      if (waiting.length < end) break;
      at = end;
      answers++;
    }
    waiting = waiting.subarray(at);
    for (; answers > 0; answers--) {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(ANSWER.length);
      socket.write(Buffer.concat([head, ANSWER]));
    }
  });
}).listen(path, () => process.send?.({ started: true }));
process.on('message', () => process.send?.({ head: ANSWER.toString('latin1') }));
process.once('disconnect', () => process.exit(0));
