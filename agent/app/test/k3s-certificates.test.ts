import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { Agent } from 'undici';

import { noOpenssl } from '../../testing/certificates.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage, type TestImage } from '../../testing/image.ts';
import { K3sCertificates, k3sFlags } from '../../testing/k3s-certificates.ts';
import { LayoutAgents, metricOf, pullFrom, type LayoutAgent } from '../../testing/layout-agents.ts';

const FAILURES = /^peerglass_peer_failures_total\{reason="tls"\} (\d+)$/gm;
const REFUSED = /^peerglass_tls_handshake_failures_total\{reason="client-certificate"\} (\d+)$/gm;
const SERVED =
  /^peerglass_http_requests_total\{handler="registry",protocol="h(?:ttps|2)"\} (\d+)$/gm;

describe('agents with the certificates of k3s', { skip: noOpenssl, timeout: 300_000 }, () => {
  let agents: LayoutAgents;
  let cluster: K3sCertificates;
  let image: TestImage;
  let holder: LayoutAgent;
  let asker: LayoutAgent;
  /** Where the files of a node are, by its name. */
  const files = new Map<string, string>();
  const clients: Agent[] = [];

  before(async () => {
    agents = await LayoutAgents.create();
    cluster = await K3sCertificates.create();
    image = makeImage(5_000_000);
    holder = await agents.start('a', { ...(await node('a', '127.0.0.2')), image });
    asker = await agents.start('b', await node('b', '127.0.0.3'));
  });
  after(async () => {
    await agents[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
    for (const client of clients) await client.destroy();
  });

  async function node(name: string, ip: string): Promise<{ ip: string; flags: string[] }> {
    const folder = await cluster.node(join(agents.folder, name), name, ip);
    files.set(name, folder);
    return { ip, flags: k3sFlags(folder) };
  }

  /** A client that shows a certificate of a node, and checks the mirror as containerd does. */
  async function client(name: string, pair: string | undefined): Promise<Agent> {
    const folder = files.get(name) ?? '';
    const read = (file: string): Promise<Buffer> => readFile(join(folder, file));
    const shown = pair !== undefined && {
      cert: await read(`${pair}.crt`),
      key: await read(`${pair}.key`),
    };
    const connect = { ca: await read('server-ca.crt'), ...shown, timeout: 60_000 };
    const agent = new Agent({ connect });
    clients.push(agent);
    return agent;
  }

  it('pull from each other, and serve a client that shows one of the cluster', async () => {
    const containerd = await client('b', 'client-k3s-controller');
    await eventually(async () => {
      assert.deepEqual(await pullFrom(asker, image, containerd), [200, 200]);
    });
    assert.ok((await metricOf(holder, SERVED)) > 0);
    assert.equal(await metricOf(asker, FAILURES), 0);
  });

  it('refuse a client without a certificate, and one that shows what its node serves with', async () => {
    for (const pair of [undefined, 'serving-kubelet']) {
      const before = await metricOf(holder, REFUSED);
      await assert.rejects(pullFrom(holder, image, await client('b', pair)));
      // The client connects again where it hears of the refusal before it has sent its request.
      await eventually(async () => {
        assert.ok((await metricOf(holder, REFUSED)) > before);
      });
    }
  });

  it('refuse an agent that shows a certificate for clients of the authority of servers', async () => {
    const { ip, flags } = await node('c', '127.0.0.4');
    const usage = 'clientAuth';
    const shown = await cluster.servers.issue('server-as-client', { names: '', usage });
    const wrong = await agents.start('c', {
      ip,
      flags: replaced(flags, '--registry-tls-client', shown),
    });
    const before = await metricOf(holder, REFUSED);
    const containerd = await client('c', 'client-k3s-controller');
    await eventually(async () => {
      assert.deepEqual(await pullFrom(wrong, image, containerd), [404, 404]);
      assert.ok((await metricOf(holder, REFUSED)) > before);
    });
  });

  const servers = [
    {
      what: 'from the authority of clients',
      name: 'd',
      address: '127.0.0.5',
      make: async () => {
        const names = 'DNS:d,IP:127.0.0.5';
        return await cluster.clients.issue('client-as-server', { names, usage: 'serverAuth' });
      },
    },
    {
      what: 'of another node',
      name: 'e',
      address: '127.0.0.6',
      make: () => {
        const pair = join(files.get('a') ?? '', 'serving-kubelet');
        return Promise.resolve({ cert: `${pair}.crt`, key: `${pair}.key` });
      },
    },
  ];
  for (const { what, name, address, make } of servers) {
    it(`do not ask an agent that serves with a certificate ${what}`, async () => {
      const own = makeImage(100_000);
      const { ip, flags } = await node(name, address);
      const serving = replaced(flags, '--registry-tls', await make());
      const wrong = await agents.start(name, { ip, flags: serving, image: own });
      const before = await metricOf(asker, FAILURES);
      const containerd = await client('b', 'client-k3s-controller');
      await eventually(async () => {
        assert.deepEqual(await pullFrom(asker, own, containerd), [404, 404]);
        assert.ok((await metricOf(asker, FAILURES)) > before);
      });
      assert.equal(await metricOf(wrong, SERVED), 0);
    });
  }
});

/** The options with another pair for `<prefix>-cert` and `<prefix>-key`. */
function replaced(
  flags: readonly string[],
  prefix: string,
  { cert, key }: { readonly cert: string; readonly key: string },
): string[] {
  const files: Readonly<Record<string, string>> = {
    [`${prefix}-cert`]: cert,
    [`${prefix}-key`]: key,
  };
  return flags.map((value, index) => files[flags[index - 1] ?? ''] ?? value);
}
