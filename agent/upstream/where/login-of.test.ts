import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Secret } from '../../hosts/registries/secret.ts';
import { loginOf } from './login-of.ts';

describe('loginOf', () => {
  const secret = new Secret('secret');
  const username = new Secret('_json_key');

  it('is empty without credentials', () => {
    assert.equal(loginOf(undefined), '');
  });

  it('is the same for the same credentials, and another for each other ones', () => {
    const all = [
      { username, password: secret },
      { username, password: new Secret('other') },
      { username: secret, password: username },
      { identityToken: secret },
      { registryToken: secret },
    ];
    assert.equal(new Set(all.map(loginOf)).size, all.length);
    assert.equal(
      loginOf({ username, password: secret }),
      loginOf({ username, password: new Secret('secret') }),
    );
  });

  it('has nothing of them', () => {
    const login = loginOf({ username, password: secret });
    assert.match(login, /^[\w-]{43}$/);
    assert.ok(!login.includes('secret') && !login.includes('json'));
  });
});
