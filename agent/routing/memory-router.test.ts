import assert from 'node:assert/strict';
import { it } from 'node:test';

import { OWN_PROTOCOLS, QUESTIONS, routerConformance } from '../testing/conformance/router.ts';
import { MemoryNetwork, MemoryRouter } from './memory-router.ts';

routerConformance('the memory router', () => {
  const network = new MemoryNetwork();
  const protocols = OWN_PROTOCOLS.filter(
    (name) => !QUESTIONS.some(({ protocol }) => protocol === name),
  );
  const node = (peerId: string, ip: string) => {
    const self = { peerId, origins: [`http://${ip}:5000`] };
    return {
      router: new MemoryRouter({ network, questions: QUESTIONS }, { ...self, protocols }),
      self,
    };
  };
  return Promise.resolve({
    nodes: [node('a', '10.0.0.1'), node('b', '10.0.0.2'), node('c', '10.0.0.3')],
    close: () => Promise.resolve(),
  });
});

it('calls back when another node joins, until that is ended', () => {
  const network = new MemoryNetwork();
  const join = (peerId: string) => new MemoryRouter({ network }, { peerId, origins: [] });
  const router = join('a');
  let calls = 0;
  const end = router.onMembersChange(() => (calls += 1));
  join('b');
  assert.equal(calls, 1);
  end();
  join('c');
  assert.equal(calls, 1);
});
