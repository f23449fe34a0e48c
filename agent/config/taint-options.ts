import { option } from './option.ts';
import { VALUE } from './values.ts';

/** Options of `startup-taint`. */
export const STARTUP_TAINT_OPTIONS = {
  'taint-key': option({
    kind: VALUE.taintKey,
    fallback: 'peerglass/mirror-not-ready',
    summary: 'key of the taint to remove',
    details: 'With any value and effect. Other taints of the node stay.',
    spegel: false,
  }),
  'node-name': option({
    kind: VALUE.text,
    fallback: '',
    summary: 'name of this node in Kubernetes',
    details: '`spec.nodeName` of the pod, by the downward API.',
    spegel: false,
  }),
  'service-account': option({
    kind: VALUE.path,
    fallback: '/var/run/secrets/kubernetes.io/serviceaccount',
    summary: 'folder with token and ca.crt',
    details:
      'Both are read for every request, because they are renewed. The account must be allowed to `get` and `patch` nodes. `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, which every pod has, name the API server.',
    spegel: false,
  }),
  'metrics-addr': option({
    kind: VALUE.address,
    fallback: ':9090',
    summary: 'where the agent serves /readyz',
    details: 'Without a host it is on loopback, which the containers of a pod share.',
    spegel: false,
  }),
} as const;
