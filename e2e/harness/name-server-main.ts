/**
 * Program of a {@link NameServer}: `node name-server-main.ts ZONE ADDRESS`. Answers DNS queries over UDP at
 * port 53 of the address, from the JSON file ZONE, which it reads for each query.
 */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';

import { answerQuery, type Zone } from './dns-message.ts';

const [file, address] = process.argv.slice(2);
if (file === undefined || address === undefined) {
  throw new Error('usage: name-server-main.ts ZONE ADDRESS');
}

const socket = createSocket('udp4', (query, from) => {
  const zone = JSON.parse(readFileSync(file, 'utf8')) as Zone;
  try {
    socket.send(answerQuery(query, zone), from.port, from.address);
  } catch (error) {
    process.stderr.write(`query of ${from.address} not answered: ${String(error)}\n`);
  }
});
socket.bind(53, address);
