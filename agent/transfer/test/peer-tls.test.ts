import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';

import { Agent, request } from 'undici';

import { Authority, noOpenssl, type CertificateSpec } from '../../testing/certificates.ts';
import { makeImage, putImage } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
  type MirrorNodeInit,
} from '../../testing/mirror-node.ts';
import { fixedSource } from '../../testing/test-tls.ts';
import type { TlsMaterial } from '../../tls/tls-material.ts';
import type { PeerTls } from '../client/peer-agents.ts';

const image = makeImage(6_000_000);
const [layer = image.manifest.digest] = image.layers;
/** The manifest is asked for by HTTP/2, the layer by HTTP/1.1. */
const paths = [`manifests/${image.manifest.digest}`, `blobs/${layer}`];
const ELSEWHERE = 'DNS:other.example.test,IP:192.0.2.1';

describe('a node whose peers use TLS', { skip: noOpenssl, timeout: 300_000 }, () => {
  let authority: Authority;
  let strangers: Authority;
  let own: TlsMaterial;
  let honest: MirrorNode;
  before(async () => {
    authority = await Authority.create();
    strangers = await Authority.create('strangers');
    own = await authority.material('own', { names: 'DNS:nodes.example.test,IP:127.0.0.1' });
    honest = await holder(own);
  });
  after(async () => {
    await honest[Symbol.asyncDispose]();
    await authority[Symbol.asyncDispose]();
    await strangers[Symbol.asyncDispose]();
  });

  /** A node that holds the image and serves it with this certificate. */
  async function holder(
    material: TlsMaterial,
    clientAuth: 'none' | 'require' = 'none',
  ): Promise<MirrorNode> {
    const node = await startMirror({ tls: { source: fixedSource(material), clientAuth } });
    putImage(node.store, image);
    return node;
  }

  /** The certificates of a holder, even such as no agent would start with. */
  async function materialOf(
    by: Authority,
    name: string,
    spec: CertificateSpec,
  ): Promise<TlsMaterial> {
    await by.issue(name, spec);
    const [cert, key, ca] = [
      await by.read(`${name}.crt`),
      await by.read(`${name}.key`),
      await by.read('ca.crt'),
    ];
    return { identity: { cert, key, notAfter: new Date(), names: [], warnings: [] }, ca };
  }

  /** A node that knows these holders, in their order, and checks their certificates. */
  function asker(
    peerTls: PeerTls | undefined,
    holders: readonly MirrorNode[],
    init: MirrorNodeInit = {},
  ): Promise<MirrorNode> {
    const providers = holders.map((node, index) => providerOf(`holder ${index}`, node));
    return startMirror({
      ...init,
      ...(peerTls && { peerTls }),
      router: new FixedRouter(...providers),
      firstByteBudget: 20_000,
    });
  }

  const checking = (material = own, serverName = ''): PeerTls => ({
    source: fixedSource(material),
    serverName,
  });

  /** Pulls manifest and layer through the node, and returns the statuses. */
  async function pull(node: MirrorNode): Promise<number[]> {
    const dispatcher = new Agent({ connect: { rejectUnauthorized: false, timeout: 60_000 } });
    const statuses: number[] = [];
    for (const path of paths) {
      const url = `${node.origin}/v2/team/app/${path}`;
      const { statusCode, body } = await request(url, { dispatcher });
      const bytes = Buffer.from(await body.arrayBuffer());
      statuses.push(statusCode);
      if (statusCode !== 200) continue;
      const digest = path.includes(layer) ? layer : image.manifest.digest;
      assert.ok(bytes.equals(image.blobs.get(digest) ?? Buffer.alloc(0)));
    }
    await dispatcher.destroy();
    return statuses;
  }

  async function failures(node: MirrorNode): Promise<Record<string, number>> {
    const { values } = await node.metrics.peerFailures.get();
    return Object.fromEntries(values.map(({ labels, value }) => [String(labels.reason), value]));
  }

  async function answered({ metrics }: MirrorNode): Promise<number> {
    const { values } = await metrics.httpRequests.get();
    return values.reduce((sum, { value }) => sum + value, 0);
  }

  describe('sends no request to a peer, and asks another, when the certificate', () => {
    const refused: Record<string, () => Promise<TlsMaterial>> = {
      'is for another name and another IP': () =>
        materialOf(authority, 'elsewhere', { names: ELSEWHERE }),
      'is for localhost': () => materialOf(authority, 'localhost', { names: 'DNS:localhost' }),
      'has no name at all': () => materialOf(authority, 'nameless', { names: '' }),
      'is of another authority': () => materialOf(strangers, 'stranger', {}),
      'has expired': () => materialOf(authority, 'expired', { days: -1 }),
      'is not valid yet': () => materialOf(authority, 'early', { from: 1, days: 2 }),
    };
    for (const [what, make] of Object.entries(refused)) {
      it(what, async () => {
        await using wrong = await holder(await make());
        await using node = await asker(checking(), [wrong, honest]);
        assert.deepEqual(await pull(node), [200, 200]);
        // Once for each protocol. After that the peer is known as silent, and others are asked first.
        const { tls = 0, ...others } = await failures(node);
        assert.ok(tls >= 1);
        assert.deepEqual(others, {});
        assert.equal(await answered(wrong), 0);
        await using alone = await asker(checking(), [wrong]);
        assert.deepEqual(await pull(alone), [404, 404]);
        assert.deepEqual(await failures(alone), { tls: 2 });
        assert.equal(await answered(wrong), 0);
      });
    }
  });

  describe('asks a peer when the certificate', () => {
    it('is for their IP', async () => {
      const material = await materialOf(authority, 'by-ip', { names: 'IP:127.0.0.1' });
      await using right = await holder(material);
      await using node = await asker(checking(), [right]);
      assert.deepEqual(await pull(node), [200, 200]);
    });

    it('is for a name in the certificate of the node', async () => {
      const material = await materialOf(authority, 'by-own', { names: 'DNS:nodes.example.test' });
      await using right = await holder(material);
      await using node = await asker(checking(), [right]);
      assert.deepEqual(await pull(node), [200, 200]);
    });

    it('is for the configured name, which replaces the names in the certificate of the node', async () => {
      const name = 'mirror.example.test';
      await using right = await holder(
        await materialOf(authority, 'by-name', { names: `DNS:${name}` }),
      );
      await using before = await asker(checking(), [right]);
      assert.deepEqual(await pull(before), [404, 404]);
      await using node = await asker(checking(own, name), [right]);
      assert.deepEqual(await pull(node), [200, 200]);
      await using mine = await holder(
        await materialOf(authority, 'mine', { names: 'DNS:nodes.example.test' }),
      );
      await using strict = await asker(checking(own, name), [mine]);
      assert.deepEqual(await pull(strict), [404, 404]);
    });

    it('cannot be checked because the node has no TLS configured', async () => {
      await using wrong = await holder(await materialOf(strangers, 'any', { names: ELSEWHERE }));
      await using node = await asker(undefined, [wrong]);
      assert.deepEqual(await pull(node), [200, 200]);
    });
  });

  it('waits for a peer whose handshake takes long', async () => {
    // Longer than an address that nothing listens on may take.
    const relay = createServer((client) => {
      const server = connect(Number(new URL(honest.origin).port), '127.0.0.1');
      for (const socket of [client, server]) socket.on('error', () => undefined);
      setTimeout(() => client.pipe(server).pipe(client), 1_500);
      client.once('close', () => server.destroy());
    }).listen(0, '127.0.0.1');
    await once(relay, 'listening');
    const { port } = relay.address() as AddressInfo;
    await using node = await startMirror({
      peerTls: checking(),
      router: new FixedRouter({ peerId: 'slow', origins: [`https://127.0.0.1:${port}`] }),
      firstByteBudget: 20_000,
    });
    assert.deepEqual(await pull(node), [200, 200]);
    assert.deepEqual(await failures(node), {});
    relay.close();
  });

  describe('of which some require client certificates,', () => {
    it('is served with a certificate of the same authority, and not with another or none', async () => {
      await using strict = await holder(own, 'require');
      await using node = await asker(checking(), [strict]);
      assert.deepEqual(await pull(node), [200, 200]);

      const { ca = Buffer.alloc(0) } = own;
      const served = await answered(strict);
      await using bare = await asker(checking({ ca }, 'nodes.example.test'), [strict, honest]);
      assert.deepEqual(await pull(bare), [200, 200]);
      const { tls = 0, ...others } = await failures(bare);
      assert.ok(tls >= 1);
      assert.deepEqual(others, {});

      const theirs = await materialOf(strangers, 'client', {});
      const stranger = { ...theirs, ca };
      const askingStrict = checking(stranger, 'nodes.example.test');
      await using other = await asker(askingStrict, [strict, honest]);
      assert.deepEqual(await pull(other), [200, 200]);
      assert.deepEqual(Object.keys(await failures(other)), ['tls']);
      assert.equal(await answered(strict), served);
    });

    it('presents a renewed certificate on new connections', async () => {
      await using strict = await holder(own, 'require');
      const { ca = Buffer.alloc(0) } = own;
      const theirs = { ...(await materialOf(strangers, 'old', {})), ca };
      let current: TlsMaterial = theirs;
      const listeners: ((material: TlsMaterial) => void)[] = [];
      const source = {
        get current() {
          return current;
        },
        onChange: (listener: (material: TlsMaterial) => void) => void listeners.push(listener),
      };
      const renew = (material: TlsMaterial): void => {
        current = material;
        for (const listener of listeners) listener(material);
      };
      await using node = await asker({ source, serverName: 'nodes.example.test' }, [strict]);
      assert.deepEqual(await pull(node), [404, 404]);
      renew(own);
      assert.deepEqual(await pull(node), [200, 200]);
      renew(theirs);
      assert.deepEqual(await pull(node), [404, 404], 'no earlier connection is used');
    });
  });
});
