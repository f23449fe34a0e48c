import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { DnsBootstrapper } from './dns-bootstrapper.ts';

const noSignal = new AbortController().signal;

describe('DnsBootstrapper', () => {
  it('names every address of the domain as a peer at the router port, without a peer ID', async () => {
    const peers = await new DnsBootstrapper({ domain: 'localhost', port: 5001 }).find(noSignal);
    const addresses = peers.map(({ multiaddrs }) => String(multiaddrs[0]));
    assert.ok(addresses.includes('/ip4/127.0.0.1/tcp/5001'), addresses.join());
    assert.ok(peers.every(({ peerId }) => peerId === undefined));
  });

  it('writes an IPv6 address as /ip6', async () => {
    const [peer] = await new DnsBootstrapper({ domain: '::1', port: 5001 }).find(noSignal);
    assert.deepEqual(peer?.multiaddrs.map(String), ['/ip6/::1/tcp/5001']);
  });

  it('fails with an error that names the domain when the domain does not exist', async () => {
    const bootstrapper = new DnsBootstrapper({ domain: 'peers.invalid', port: 5001 });
    await assert.rejects(bootstrapper.find(noSignal), {
      code: 'ERR_BOOTSTRAP',
      message: /cannot look up peers\.invalid: /,
    });
  });

  it('gives up when the signal aborts, and says that the look-up took too long', async () => {
    const stop = new AbortController();
    const finding = new DnsBootstrapper({ domain: 'peers.invalid', port: 5001 }).find(stop.signal);
    stop.abort(new Error('the deadline'));
    await assert.rejects(finding, {
      code: 'ERR_BOOTSTRAP',
      message: 'looking up peers.invalid took too long',
    });
  });
});
