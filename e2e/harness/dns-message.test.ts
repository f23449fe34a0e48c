import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { after, before, test } from 'node:test';

import { answerQuery } from './dns-message.ts';

const zone = {
  'peers.example.test': ['10.0.0.1', 'fd00::1', '10.0.0.2', 'fd00:1:2:3:4:5:6:7', '::1'],
  'four.example.test': ['10.0.0.3'],
};
const socket = createSocket('udp4', (query, { port, address }) => {
  socket.send(answerQuery(query, zone), port, address);
});
const resolver = new Resolver({ timeout: 2000, tries: 1 });

before(async () => {
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  resolver.setServers([`127.0.0.1:${socket.address().port}`]);
});
after(() => {
  socket.close();
});

test('a resolver reads every address of a name, by family', async () => {
  assert.deepEqual(await resolver.resolve4('Peers.example.test'), ['10.0.0.1', '10.0.0.2']);
  assert.deepEqual(await resolver.resolve6('peers.example.test'), [
    'fd00::1',
    'fd00:1:2:3:4:5:6:7',
    '::1',
  ]);
});

test('a resolver gets no data for a family without addresses, and not found for an unknown name', async () => {
  await assert.rejects(resolver.resolve6('four.example.test'), { code: 'ENODATA' });
  await assert.rejects(resolver.resolve4('missing.example.test'), { code: 'ENOTFOUND' });
});
