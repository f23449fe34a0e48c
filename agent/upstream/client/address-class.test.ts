import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { addressClass, guardedLookup, literalAddress, type AddressClass } from './address-class.ts';

describe('addressClass', () => {
  for (const [ip, expected] of [
    ['93.184.216.34', 'public'],
    ['2606:4700::1111', 'public'],
    ['10.1.2.3', 'private'],
    ['172.31.0.1', 'private'],
    ['192.168.0.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd12::1', 'private'],
    ['127.0.0.53', 'loopback'],
    ['0.0.0.0', 'loopback'],
    ['::1', 'loopback'],
    ['169.254.169.254', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['100.100.100.200', 'reserved'],
    ['fd00:ec2::254', 'reserved'],
    ['224.0.0.1', 'reserved'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:169.254.169.254', 'link-local'],
    ['64:ff9b::10.0.0.1', 'private'],
    ['64:ff9b::93.184.216.34', 'public'],
    ['2002:7f00:1::', 'reserved'],
  ] as const) {
    it(`of ${ip} is ${expected}`, () => {
      assert.equal(addressClass(ip), expected);
    });
  }
});

describe('literalAddress', () => {
  it('is the address in the host of a URL', () => {
    assert.equal(literalAddress('[fd00::1]'), 'fd00::1');
    assert.equal(literalAddress('10.0.0.1'), '10.0.0.1');
    assert.equal(literalAddress('registry.example'), undefined);
    // What a URL makes of other forms of an address.
    assert.equal(literalAddress(new URL('http://0x7f.1').hostname), '127.0.0.1');
  });
});

describe('guardedLookup', () => {
  const find = (classes: readonly AddressClass[], all: boolean): Promise<unknown> =>
    new Promise((resolve, reject) => {
      guardedLookup(() => new Set(classes))('localhost', { all }, (error, ...found) => {
        if (error) reject(error);
        else resolve(found);
      });
    });

  it('gives addresses of the allowed classes, in both forms', async () => {
    const [addresses] = (await find(['loopback'], true)) as [{ address: string }[]];
    assert.ok(addresses.some(({ address }) => address === '127.0.0.1' || address === '::1'));
    const [address] = (await find(['loopback'], false)) as [string];
    assert.equal(addressClass(address), 'loopback');
  });

  it('refuses a name that leads elsewhere', async () => {
    await assert.rejects(find(['public'], true), { code: 'ERR_FORBIDDEN_ADDRESS' });
  });

  it('fails where the look-up fails', async () => {
    const failed = new Promise((resolve) => {
      guardedLookup(() => new Set(['public']))('no-such-host.invalid', {}, resolve);
    });
    assert.ok((await failed) instanceof Error);
  });
});
