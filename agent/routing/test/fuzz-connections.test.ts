import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';

import { newSwarmKey } from '../../membership/swarm-key.ts';
import { until } from '../../testing/conformance/router.ts';
import { fuzzAsync } from '../../testing/fuzz/fuzz.ts';
import { echo, startSwarmNode, type SwarmNode } from '../../testing/swarm-nodes.ts';
import { BootstrapError, MAX_BOOTSTRAP_PEERS } from '../bootstrap/bootstrapper.ts';
import { HttpBootstrapper } from '../bootstrap/http-bootstrapper.ts';
import { KeyStream } from '../private-network/key-stream.ts';

const CORPORA = join(import.meta.dirname, 'corpus');
/** Real connections, of which each takes some milliseconds. */
const ITERATIONS = 300;
const ID = '12D3KooWQmYKYNqzRVPNnFQ3Q3XCQtWcG6X5yQ1jAeLC8VmTTqN7';
const PEER = { ID, Addrs: ['/ip4/10.0.0.1/tcp/5001', '/ip6/fd00::1/tcp/5001'] };
const BODIES = [JSON.stringify(PEER), JSON.stringify([PEER, PEER])];
const GREETING = Buffer.from('\x13/multistream/1.0.0\n', 'latin1');

function response(body: Uint8Array): Buffer {
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

describe('what a bootstrap node answers', () => {
  let answer: Buffer = Buffer.alloc(0);
  const server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end(answer));
  });
  after(() => server.close());

  async function find(bytes: Buffer): Promise<unknown> {
    if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
    answer = bytes;
    const { port } = server.address() as AddressInfo;
    const bootstrapper = new HttpBootstrapper(`http://127.0.0.1:${port}`);
    const peers = await bootstrapper.find(new AbortController().signal);
    assert.ok(peers.length <= MAX_BOOTSTRAP_PEERS);
    for (const { multiaddrs } of peers) assert.ok(multiaddrs.length > 0);
    return peers;
  }

  fuzzAsync(CORPORA, {
    name: 'bodies of bootstrap nodes',
    seeds: BODIES,
    words: [
      'null',
      '[]',
      '{}',
      '""',
      '"ID":',
      '"Addrs":',
      '/p2p/',
      '/dns4/a',
      '/unix/%2f',
      '\\u0000',
      '1e999',
    ],
    errors: [BootstrapError],
    iterations: ITERATIONS,
    parse: (body) => find(response(body)),
  });

  fuzzAsync(CORPORA, {
    name: 'responses of bootstrap nodes',
    seeds: BODIES.map((body) => response(Buffer.from(body))),
    words: [
      'Transfer-Encoding: chunked\r\n',
      'HTTP/1.1 100 Continue\r\n\r\n',
      '\r\n\r\n',
      'Content-Length: 5\r\n',
    ],
    errors: [BootstrapError],
    iterations: ITERATIONS,
    parse: find,
  });
});

describe('what strangers send to the port of the router', () => {
  const key = newSwarmKey();
  let node: SwarmNode | undefined;
  const nonce = Buffer.alloc(24, 9);
  const stream = new KeyStream(key.bytes, nonce);
  // What a member sends first, and what comes next of a handshake that it cannot finish.
  const member = Buffer.concat([nonce, stream.xor(GREETING), stream.xor(Buffer.alloc(300, 7))]);

  const ends: (() => unknown)[] = [];
  before(async () => {
    const life = { after: (end: () => unknown) => ends.push(end) };
    node = await startSwarmNode(life as unknown as TestContext, [key]);
  });
  after(async () => {
    for (const end of ends) await end();
  });

  fuzzAsync(CORPORA, {
    name: 'greetings',
    seeds: [GREETING, member, Buffer.concat([nonce, GREETING]), 'GET / HTTP/1.1\r\n\r\n'],
    errors: [],
    iterations: ITERATIONS,
    async parse(input) {
      assert.ok(node !== undefined);
      const socket = connect(node.port, '127.0.0.1', () => socket.end(input));
      // A reset, when there were bytes that the node has not read.
      socket.on('error', () => undefined).resume();
      await new Promise((resolve) => socket.once('close', resolve));
      assert.equal(node.node.getConnections().length, 0);
    },
  });

  it('does not keep a member from connecting', async (t) => {
    assert.ok(node !== undefined);
    const other = await startSwarmNode(t, [key]);
    assert.equal(await echo(other, node, 1000), 1000);
    await until(() => node?.node.getConnections().length === 1);
  });
});
