import { OWN_PROTOCOLS, routerConformance } from '../testing/conformance/router.ts';
import { MemoryNetwork, MemoryRouter } from './memory-router.ts';

routerConformance('the memory router', () => {
  const network = new MemoryNetwork();
  const protocols = OWN_PROTOCOLS;
  const node = (peerId: string, ip: string) => {
    const self = { peerId, origins: [`http://${ip}:5000`] };
    return { router: new MemoryRouter({ network }, { ...self, protocols }), self };
  };
  return Promise.resolve({
    nodes: [node('a', '10.0.0.1'), node('b', '10.0.0.2'), node('c', '10.0.0.3')],
    close: () => Promise.resolve(),
  });
});
