/**
 * Program of a {@link Relay}: `node relay-main.ts SOCKET`. Runs inside a network namespace, listens on a
 * Unix socket (which namespaces do not divide), and joins each connection to the TCP address that its
 * first line names: `HOST PORT\n`.
 */
import { connect, createServer, type Socket } from 'node:net';

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error('usage: relay-main.ts SOCKET');

createServer({ allowHalfOpen: true }, (client) => {
  let head = '';
  const onData = (chunk: Buffer): void => {
    head += chunk.toString('latin1');
    const end = head.indexOf('\n');
    if (end < 0) return;
    client.off('data', onData);
    client.pause();
    const [host = '', port] = head.slice(0, end).split(' ');
    const target = connect({ host, port: Number(port), allowHalfOpen: true });
    const rest = Buffer.from(head.slice(end + 1), 'latin1');
    if (rest.length > 0) client.unshift(rest);
    join(client, target);
    join(target, client);
  };
  client.on('data', onData);
  client.on('error', () => {
    client.destroy();
  });
}).listen(path);

/** One way of the connection. An error or a reset on either side ends both. */
function join(from: Socket, to: Socket): void {
  from.pipe(to);
  from.on('error', () => {
    to.destroy();
  });
  from.on('close', () => {
    if (from.readableEnded) return;
    to.destroy();
  });
}
