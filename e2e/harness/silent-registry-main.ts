import { createServer } from 'node:net';

/**
 * Takes the address of a registry, closes each connection at once and prints a line for it. A registry with plain HTTP
 * would not log the connections of a client that tries TLS.
 */
createServer((socket) => {
  process.stdout.write(`connection from ${String(socket.remoteAddress)}\n`);
  socket.destroy();
}).listen(Number(process.argv[2]), () => {
  process.stdout.write('listening\n');
});
