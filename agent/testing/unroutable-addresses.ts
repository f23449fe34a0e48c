/** Addresses at which no other node can be. */
export const UNROUTABLE_ADDRESSES: readonly string[] = [
  '/ip4/0.0.0.0/tcp/9090',
  '/ip4/169.254.169.254/tcp/80',
  '/ip4/224.0.0.1/tcp/5',
  '/ip4/255.255.255.255/tcp/5',
  '/ip4/127.0.0.1/tcp/9090',
  '/ip6/::/tcp/9090',
  '/ip6/::1/tcp/9090',
  '/ip6/::ffff:127.0.0.1/tcp/9090',
  '/ip6/::ffff:7f00:1/tcp/9090',
  '/ip6/::7f00:1/tcp/9090',
  '/ip6/fe80::1/tcp/80',
  '/ip6/ff02::1/tcp/80',
  '/ip4/10.0.0.9/tcp/0',
];
