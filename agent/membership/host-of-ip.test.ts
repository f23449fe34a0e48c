import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { hostOfIp } from './host-of-ip.ts';

describe('hostOfIp', () => {
  for (const [ip, host] of [
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['fd00:1:2:3::1', 'fd00:1:2:3'],
    ['fd00:1:2:3:4:5:6:7', 'fd00:1:2:3'],
    ['fd00::7', 'fd00:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['', ''],
  ] as const) {
    it(`takes ${JSON.stringify(ip)} for an address of ${JSON.stringify(host)}`, () => {
      assert.equal(hostOfIp(ip), host);
    });
  }
});
