import { AGENT_CHECKS } from './checks/agent-checks.ts';
import { CERTIFICATE_CHECKS } from './checks/certificate-checks.ts';
import { CONFIG_CHECKS } from './checks/config-checks.ts';
import { CONTAINERD_CHECKS } from './checks/containerd-checks.ts';
import { FAN_OUT_CHECKS } from './checks/fan-out-checks.ts';
import { HOSTS_CHECKS } from './checks/hosts-checks.ts';
import { IMAGE_CHECKS } from './checks/image-checks.ts';
import { NETWORK_CHECKS } from './checks/network-checks.ts';
import { PEER_CHECKS } from './checks/peer-checks.ts';
import type { Facts } from './facts.ts';
import type { Check } from './run-checks.ts';

/** All checks in the order of the report. docs/TROUBLESHOOTING.md has a section for each. */
export const CHECKS: readonly Check<Facts>[] = [
  ...CONTAINERD_CHECKS,
  ...CONFIG_CHECKS,
  ...HOSTS_CHECKS,
  ...CERTIFICATE_CHECKS,
  ...IMAGE_CHECKS,
  ...NETWORK_CHECKS,
  ...AGENT_CHECKS,
  ...PEER_CHECKS,
  ...FAN_OUT_CHECKS,
];
