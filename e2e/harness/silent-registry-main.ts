import { createServer } from 'node:net';

/**
 * Stands where a registry is: ends each connection at once and prints a line for it. What asks for it over
 * TLS leaves nothing in the log of a registry that speaks plain HTTP.
 */
createServer((socket) => {
  process.stdout.write(`connection from ${String(socket.remoteAddress)}\n`);
  socket.destroy();
}).listen(Number(process.argv[2]), () => {
  process.stdout.write('listening\n');
});
