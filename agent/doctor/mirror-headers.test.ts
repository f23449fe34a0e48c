import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Facts } from './facts.ts';
import { doctorStage } from '../testing/doctor-facts.ts';
import { headersOf, mirrorHeaders } from './mirror-headers.ts';

describe('headersOf', () => {
  it('joins the values of a header', () => {
    assert.deepEqual(headersOf({ A: ['x', 'y'], B: ['z'] }), { A: 'x, y', B: 'z' });
  });
});

describe('mirrorHeaders', () => {
  it('takes those of the mirror, and of no other host', async (t) => {
    const stage = await doctorStage(t, undefined);
    using without = new Facts(stage.init);
    assert.deepEqual(await mirrorHeaders(without), {});
    stage.write(
      'certs.d/_default/hosts.toml',
      "[host.'https://other.example']\nheader = { 'Authorization' = ['Basic b'] }\n[host.'http://127.0.0.1:5002']\nheader = { 'Authorization' = ['Basic a'] }\n",
    );
    using facts = new Facts(stage.init);
    assert.deepEqual(await mirrorHeaders(facts), { Authorization: 'Basic a' });
  });
});
