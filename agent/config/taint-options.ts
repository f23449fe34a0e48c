import { option } from './option.ts';
import { VALUE } from './values.ts';

/** Options of `startup-taint`. */
export const STARTUP_TAINT_OPTIONS = {
  'taint-key': option({
    kind: VALUE.taintKey,
    fallback: 'peerglass/mirror-not-ready',
    summary: 'key of the taint to remove',
    details: 'Whatever its value and effect. Other taints of the node are left alone.',
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
      'Both are read for every request, since they are renewed. It must be allowed to `get` and `patch` nodes. The API server is where `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` say, which every pod has.',
    spegel: false,
  }),
  'metrics-addr': option({
    kind: VALUE.address,
    fallback: ':9090',
    summary: 'where the agent serves /readyz',
    details: 'Without a host on loopback: the containers of a pod share it.',
    spegel: false,
  }),
} as const;
