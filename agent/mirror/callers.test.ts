import assert from 'node:assert/strict';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import type { RequestHandler } from '../http/http-listener.ts';
import { OciError } from '../oci/errors.ts';
import { listen } from '../testing/listen.ts';
import { clusterKeys, makeSigningNode } from '../testing/signing-nodes.ts';
import { Callers, type CallersComponents, type CallersInit } from './callers.ts';

const TARGET = '/v2/team/app/blobs/sha256:abc';
const unknown = (detail: string): OciError => new OciError('BLOB_UNKNOWN', detail);

/** A server that says who asks, with a node of the cluster that asks it. */
async function startServer(
  t: TestContext,
  isLocal: boolean,
  init: CallersInit,
  verifier?: CallersComponents['verifier'],
) {
  const own = await makeSigningNode(clusterKeys());
  const peer = await makeSigningNode(own.swarmKeys);
  const refused: string[] = [];
  const callers = new Callers(
    {
      verifier: verifier ?? own.verifier,
      isLocal: () => isLocal,
      onRefused: (reason, address) => refused.push(`${reason} ${address.replace(/:\d+$/, '')}`),
    },
    init,
  );
  const answer: RequestHandler = (req, res) => {
    try {
      const caller = callers.identify(req, res, unknown);
      res.setHeader('Retry-After', 1);
      res.writeHead(200, { 'Content-Type': 'application/json' });
      res.end(JSON.stringify(caller));
    } catch (error) {
      assert.ok(error instanceof OciError);
      res.writeHead(error.status).end(error.code);
    }
    return Promise.resolve();
  };
  const origin = await listen(t, answer);
  return {
    own,
    peer,
    refused,
    async ask(headers: Readonly<Record<string, string>> = {}) {
      const response = await fetch(origin + TARGET, {
        headers: { ...headers, connection: 'close' },
      });
      const text = await response.text();
      const read = (name: string): string | undefined => response.headers.get(name) ?? undefined;
      return { status: response.status, text, read };
    },
  };
}

const request = { method: 'GET', target: TARGET, range: undefined };

describe('Callers', () => {
  it('knows a peer by its signature, whatever else its request says, and signs the answer', async (t) => {
    const it = await startServer(t, false, { servesAnyone: false });
    const signature = it.peer.signer.sign(it.own.peerId, request);
    assert.ok(signature !== undefined);
    const { status, text, read } = await it.ask(signature.fields);
    assert.deepEqual(JSON.parse(text), { isPeer: true, peerId: it.peer.peerId });
    assert.equal(signature.check(status, read), 'proven');
    assert.match(read('signature-input') ?? '', /"content-type" "retry-after"/);
  });

  it('takes a client on this node at its word', async (t) => {
    const it = await startServer(t, true, { servesAnyone: false });
    assert.deepEqual(JSON.parse((await it.ask()).text), { isPeer: false });
    const marked = await it.ask({ 'x-spegel-mirrored': 'true' });
    assert.deepEqual(JSON.parse(marked.text), { isPeer: true });
  });

  it('refuses a client from elsewhere, unless anyone is served', async (t) => {
    const closed = await startServer(t, false, { servesAnyone: false });
    assert.equal((await closed.ask()).status, 404);
    assert.deepEqual(closed.refused, ['unsigned 127.0.0.1']);
    const open = await startServer(t, false, { servesAnyone: true });
    assert.deepEqual(JSON.parse((await open.ask()).text), { isPeer: false });
  });

  it('refuses a wrong signature, also from this node, and ignores it where anyone is served', async (t) => {
    const stranger = await makeSigningNode(clusterKeys());
    const closed = await startServer(t, true, { servesAnyone: false });
    const signature = stranger.signer.sign(closed.own.peerId, request);
    assert.deepEqual((await closed.ask(signature?.fields)).text, 'UNAUTHORIZED');
    assert.deepEqual(closed.refused, ['signature 127.0.0.1']);
    const open = await startServer(t, false, { servesAnyone: true });
    const other = stranger.signer.sign(open.own.peerId, request);
    const { text, read } = await open.ask(other?.fields);
    assert.deepEqual(JSON.parse(text), { isPeer: false });
    assert.equal(read('signature'), undefined);
  });

  it('tells a peer whose clock is wrong the time, signed', async (t) => {
    const it = await startServer(t, false, { servesAnyone: false });
    it.peer.ahead = 3_600;
    const signature = it.peer.signer.sign(it.own.peerId, request);
    assert.ok(signature !== undefined);
    const { status, read } = await it.ask(signature.fields);
    assert.equal(status, 401);
    assert.equal(signature.check(status, read), 'other-clock');
    assert.deepEqual(it.refused, ['stale 127.0.0.1']);
  });

  it('says that it did not verify a signature, when too many unknown nodes have asked', async (t) => {
    const verifier = { verify: () => ({ kind: 'unverified' }) as const };
    const closed = await startServer(t, false, { servesAnyone: false }, verifier);
    const { status, text, read } = await closed.ask();
    assert.deepEqual([status, text, read('retry-after')], [503, 'UNAVAILABLE', '1']);
    assert.deepEqual(closed.refused, ['unverified 127.0.0.1']);
    const open = await startServer(t, false, { servesAnyone: true }, verifier);
    assert.deepEqual(JSON.parse((await open.ask()).text), { isPeer: false });
    assert.deepEqual(open.refused, []);
  });

  it('names who was refused by the address in its shortest form, and the port', async () => {
    const { verifier } = await makeSigningNode(clusterKeys());
    const refused: string[] = [];
    const callers = new Callers(
      { verifier, isLocal: () => false, onRefused: (_, address) => refused.push(address) },
      { servesAnyone: false },
    );
    for (const remoteAddress of ['::ffff:10.0.0.7', 'fe80:0::7%eth0']) {
      const socket = new Socket();
      Object.defineProperties(socket, {
        remoteAddress: { value: remoteAddress },
        remotePort: { value: 4_711 },
      });
      const req = new IncomingMessage(socket);
      assert.throws(() => callers.identify(req, new ServerResponse(req), unknown), OciError);
    }
    assert.deepEqual(refused, ['10.0.0.7:4711', '[fe80::7]:4711']);
  });
});
